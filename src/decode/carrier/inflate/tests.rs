use std::io::Write as _;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::{Completeness, Encoding, Form, InflateError, inflate};

const BOUND: usize = 1 << 20;
const TEXT: &[u8] = b"Code=AlarmLocal;action=Start;index=0;data={\r\n   \"Name\" : \"Button\"\r\n}\r\n";

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn raw(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[track_caller]
fn check(bytes: &[u8], declared: Encoding, form: Form, ended: Completeness, expected: &[u8]) {
    let inflated = inflate(bytes, declared, BOUND).unwrap();
    let out = inflated.bytes.as_deref().unwrap_or(bytes);
    assert_eq!((inflated.form, inflated.ended, out), (form, ended, expected), "{}", bytes.escape_ascii());
}

#[test]
fn the_bytes_decide_whatever_is_declared() {
    for declared in [Encoding::Deflate, Encoding::Gzip] {
        check(&zlib(TEXT), declared, Form::Zlib, Completeness::Whole, TEXT);
        check(&raw(TEXT), declared, Form::Raw, Completeness::Whole, TEXT);
        check(&gzip(TEXT), declared, Form::Gzip, Completeness::Whole, TEXT);
        for plain in
            [TEXT, b"{\"a\":1}", b"<a/>", b"--b\r\n\r\nx", b"\xff\xd8\xff\xe0\0\x10", "前门".as_bytes(), b""]
        {
            check(plain, declared, Form::Plain, Completeness::Whole, plain);
        }
    }
    check(&gzip(TEXT), Encoding::Identity, Form::Gzip, Completeness::Whole, TEXT);
    check(&zlib(TEXT), Encoding::Identity, Form::Plain, Completeness::Whole, &zlib(TEXT));
    check(TEXT, Encoding::Other, Form::Plain, Completeness::Whole, TEXT);
    assert_eq!(inflate(&zlib(TEXT), Encoding::Other, BOUND), Err(InflateError::Encoding));
}

#[test]
fn plain_bytes_that_are_not_utf8_stay() {
    let gbk = encoding_rs::GBK.encode("{\"name\":\"前门大门\"}").0.into_owned();
    check(&gbk, Encoding::Deflate, Form::Plain, Completeness::Whole, &gbk);
    let utf16: Vec<u8> = "<a>x</a>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    check(&utf16, Encoding::Deflate, Form::Plain, Completeness::Whole, &utf16);
}

#[test]
fn what_came_of_a_cut_or_damaged_stream_is_kept() {
    let text: Vec<u8> = (0..20_000_u32)
        .flat_map(|number| format!("<a>{}</a>", number.wrapping_mul(2_654_435_761)).into_bytes())
        .collect();
    for (pack, form) in [(zlib as fn(&[u8]) -> Vec<u8>, Form::Zlib), (raw, Form::Raw), (gzip, Form::Gzip)] {
        let packed = pack(&text);
        let half = inflate(packed.get(..packed.len() / 2).unwrap(), Encoding::Deflate, BOUND).unwrap();
        let out = half.bytes.unwrap();
        assert_eq!((half.form, half.ended), (form, Completeness::Cut));
        assert!(out.len() > 10_000 && text.starts_with(&out), "{form:?} {}", out.len());
        let mut damaged = packed.clone();
        damaged[packed.len() / 2..].fill(0xff);
        let found = inflate(&damaged, Encoding::Deflate, BOUND).unwrap();
        let out = found.bytes.unwrap();
        assert!(found.form == form && found.ended != Completeness::Whole);
        assert!(out.starts_with(&text[..10_000]), "{form:?} {}", out.len());
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(TEXT).unwrap();
    encoder.flush().unwrap();
    // No block is of type 3.
    let damaged = [encoder.get_ref().as_slice(), &[0xff; 8]].concat();
    check(&damaged, Encoding::Deflate, Form::Zlib, Completeness::Damaged, TEXT);
    assert_eq!(inflate(b"\x1f\x8b\x08\0\0", Encoding::Gzip, BOUND), Err(InflateError::Damaged));
}

#[test]
fn a_bomb_stops_at_the_bound() {
    let zeros = vec![b' '; 8 << 20];
    for packed in
        [zlib(&zeros), raw(&zeros), gzip(&zeros), [gzip(&zeros[..BOUND]), gzip(&zeros[..BOUND])].concat()]
    {
        let found = inflate(&packed, Encoding::Deflate, BOUND).unwrap();
        let out = found.bytes.unwrap();
        assert_eq!((found.ended, out.len()), (Completeness::TooLarge, BOUND));
        assert!(out.capacity() <= 4 * BOUND, "{}", out.capacity());
    }
    let whole = inflate(&zlib(&zeros[..BOUND]), Encoding::Deflate, BOUND).unwrap();
    assert_eq!((whole.ended, whole.bytes.unwrap().len()), (Completeness::Whole, BOUND));
}

#[test]
fn members_and_what_follows_them() {
    check(
        &[gzip(b"{\"a\":"), gzip(b"1}"), b"\r\n".to_vec()].concat(),
        Encoding::Gzip,
        Form::Gzip,
        Completeness::Whole,
        b"{\"a\":1}",
    );
}

#[test]
fn headers() {
    for (header, expected) in [
        (None, Encoding::Identity),
        (Some("identity"), Encoding::Identity),
        (Some(" GZIP "), Encoding::Gzip),
        (Some("x-gzip"), Encoding::Gzip),
        (Some("Deflate"), Encoding::Deflate),
        (Some("identity, deflate"), Encoding::Deflate),
        (Some("br"), Encoding::Other),
        (Some("br, gzip"), Encoding::Gzip),
    ] {
        assert_eq!(Encoding::of(header), expected, "{header:?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300), bound in 0_usize..400) {
        for declared in [Encoding::Deflate, Encoding::Gzip, Encoding::Identity, Encoding::Other] {
            for bytes in [bytes.clone(), [&b"\x1f\x8b\x08"[..], &bytes].concat(), [&b"\x78\x9c"[..], &bytes].concat()] {
                if let Ok(inflated) = inflate(&bytes, declared, bound) {
                    prop_assert!(inflated.bytes.is_none_or(|out| out.len() <= bound));
                }
            }
        }
    }

    #[test]
    fn what_is_packed_is_unpacked(text in "[ -~]{1,300}") {
        for pack in [zlib, raw, gzip] {
            let found = inflate(&pack(text.as_bytes()), Encoding::Deflate, BOUND).unwrap();
            if found.form != Form::Plain {
                prop_assert_eq!(found.bytes.as_deref(), Some(text.as_bytes()));
            }
        }
    }
}
