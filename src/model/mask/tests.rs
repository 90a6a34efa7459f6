//! Tests that every encoding of a secret is masked, and nothing else.

use proptest::prelude::*;

use super::{SecretSet, last_part};

const SECRET: &str = "0aZ-s3cretS3cret_42";

/// A character in one of the encodings.
fn spelled(character: char, how: u8) -> String {
    let bytes = || character.to_string().into_bytes();
    let percent = |upper: bool| {
        bytes()
            .iter()
            .map(|byte| if upper { format!("%{byte:02X}") } else { format!("%{byte:02x}") })
            .collect::<String>()
    };
    let units = |upper: bool| {
        let mut space = [0; 2];
        character
            .encode_utf16(&mut space)
            .iter()
            .map(|unit| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") })
            .collect::<String>()
    };
    match how {
        0 => percent(true),
        1 => percent(false),
        2 => percent(true).replace('%', "%25"),
        3 => percent(false).replace('%', "%2525"),
        4 => units(true),
        5 => units(false),
        6 => units(false).replace('\\', "\\\\"),
        7 => percent(false).replace('%', "\\u0025"),
        8 => units(false).replace('\\', "%5C"),
        9 => format!("&#{};", u32::from(character)),
        10 => format!("&#x{:x};", u32::from(character)),
        11 => format!("&amp;#{};", u32::from(character)),
        12 if character == '/' => "\\/".into(),
        12 if character == '\\' => "\\\\".into(),
        _ => character.to_string(),
    }
}

/// A secret and one encoding of it, character by character.
fn spelling(secret: &'static str) -> impl Strategy<Value = (String, Vec<u8>)> {
    let secret = secret.prop_map_or(16..40);
    (secret, proptest::collection::vec(0_u8..20, 40), any::<bool>(), 0_u8..6).prop_map(
        |(secret, how, same, encoding)| {
            let of = |n: usize| if same { how[0] } else { how[n] };
            let text: String = secret.chars().enumerate().map(|(n, c)| spelled(c, of(n))).collect();
            (secret, encoded(&text, encoding))
        },
    )
}

/// Text in UTF-8, or in UTF-16 or UTF-32 of either byte order.
fn encoded(text: &str, encoding: u8) -> Vec<u8> {
    match encoding {
        1 => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        2 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        3 => text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect(),
        _ => text.as_bytes().to_vec(),
    }
}

/// Strategies of secrets: those the bridge makes, or any with the given letters.
trait Letters {
    fn prop_map_or(self, length: std::ops::Range<usize>) -> BoxedStrategy<String>;
}

impl Letters for &'static str {
    fn prop_map_or(self, length: std::ops::Range<usize>) -> BoxedStrategy<String> {
        let letters: Vec<char> = self.chars().collect();
        let letter = proptest::sample::select(letters);
        proptest::collection::vec(letter, length).prop_map(|all| all.into_iter().collect()).boxed()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_spelling_stays(
        (secret, spelled) in spelling("0123456789abcdefZ_-/"),
        before in "[a-z \"{:]{0,9}[a-z \"{:]",
        after in "[a-z \"}]{0,9}",
    ) {
        let secrets = SecretSet::new([&secret]);
        let text = [before.as_bytes(), &spelled, after.as_bytes()].concat();
        let mut masked = text.clone();
        prop_assert!(secrets.mask(&mut masked), "{:?}", String::from_utf8_lossy(&text));
        prop_assert_eq!(masked.len(), text.len());
        prop_assert!(!secrets.are_in(&masked));
        prop_assert!(masked.starts_with(before.as_bytes()) && masked.ends_with(after.as_bytes()));
        let stars = &masked[before.len()..text.len() - after.len()];
        prop_assert!(stars.iter().all(|byte| matches!(byte, b'*' | 0)), "{:?}", String::from_utf8_lossy(&masked));
    }

    #[test]
    fn no_spelling_of_odd_letters_stays((secret, spelled) in spelling("a b25.~")) {
        let secrets = SecretSet::new([&secret]);
        prop_assert!(secrets.are_in(&spelled), "{secret:?} {:?}", String::from_utf8_lossy(&spelled));
    }

    #[test]
    fn other_bytes_stay(text in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        let mut masked = text.clone();
        prop_assert!(!SecretSet::new([SECRET]).mask(&mut masked));
        prop_assert_eq!(masked, text);
    }
}

#[test]
fn each_occurrence_is_masked_and_the_rest_of_the_text_stays() {
    let secrets = SecretSet::new([SECRET, "another-secret-0123456789"]);
    let text =
        format!("{{\"a\":\"http://h\\/alarm\\/{SECRET}\",\"b\":\"another%2Dsecret-0123456789\"}} {SECRET}");
    let stars = "*".repeat(SECRET.len());
    let expected = format!("{{\"a\":\"http://h\\/alarm\\/{stars}\",\"b\":\"{}\"}} {stars}", "*".repeat(27));
    assert_eq!(secrets.masked(&text), expected);
    assert_eq!(secrets.replaced(&format!("x {SECRET} y"), "***"), "x *** y");
    assert_eq!(format!("{secrets:?}"), "***");
    assert!(!SecretSet::new(["", ""]).are_in(text.as_bytes()) && !SecretSet::new([""; 0]).are_in(b"\\%&+"));
}

/// A text made of escapes of escapes does not cost more than its length allows.
#[test]
fn a_text_of_nothing_but_escapes_ends_soon() {
    let secrets = SecretSet::new([SECRET]);
    for piece in ["\\", "%25", "\\u005c", "\\u005cu005c", "&amp;", "%%", "\\u0025", "0aZ\\u005cu002d"] {
        let text = piece.repeat((1 << 20) / piece.len());
        let started = tokio::time::Instant::now();
        assert!(!secrets.are_in(text.as_bytes()), "{piece}");
        assert!(started.elapsed() < std::time::Duration::from_secs(30), "{piece}: {:?}", started.elapsed());
        println!("{piece}: {:?}", started.elapsed());
    }
}

#[test]
fn the_last_part_of_a_path_is_masked_and_nothing_of_it_stays() {
    for (path, expected) in
        [("/alarm/abc", "/alarm/***"), ("/a/b/c/", "/a/b/***"), ("/abc", "/***"), ("abc", "/***")]
    {
        assert_eq!(last_part(path, "***"), expected);
    }
}
