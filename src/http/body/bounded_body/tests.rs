use super::{BoundedBody, Bytes, FIRST, STUB};

const TYPE: &str = "multipart/form-data; boundary=B";

fn part(head: &str, content: &[u8]) -> Vec<u8> {
    [format!("--B\r\n{head}\r\n\r\n").as_bytes(), content, b"\r\n"].concat()
}

fn picture(size: usize) -> Vec<u8> {
    let mut jpeg = vec![0xff, 0xd8, 0xff, 0xdb];
    jpeg.resize(size, 7);
    jpeg
}

fn kept(body: &[u8], bound: usize, chunk: usize, content_type: Option<&str>) -> (Bytes, u64) {
    let mut kept = BoundedBody::new(bound, Some(body.len() as u64), content_type);
    body.chunks(chunk).for_each(|chunk| kept.push(chunk));
    kept.finish()
}

#[test]
fn within_the_bound_every_byte_is_kept() {
    let body = [part("a: b", b"{}"), picture(10_000)].concat();
    for chunk in [1, 7, 100_000] {
        assert_eq!(kept(&body, body.len(), chunk, Some(TYPE)), (body.clone().into(), 0));
    }
}

#[test]
fn json_behind_pictures_is_found_whatever_the_chunks() {
    let jpeg = part("content-type: image/jpeg", &picture(90_000));
    let body =
        [&jpeg[..], &part("x: y", br#"{"a":1}"#), &jpeg, &part("x: y", br#"{"b":2}"#), b"--B--"].concat();
    for content_type in [Some(TYPE), Some("multipart/form-data; boundary=wrong"), None] {
        for (chunk, bound) in [(1, 40_000), (3, 40_000), (50_000, 40_000), (500_000, 40_000)]
            .into_iter()
            .chain((90_020..90_060).map(|bound| (10_000, bound)))
        {
            let (bytes, skipped) = kept(&body, bound, chunk, content_type);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            assert!(text.contains("\r\n--B\r\nx: y\r\n\r\n{\"a\":1}\r\n--B"), "{chunk} {bound}");
            assert!(text.contains("{\"b\":2}\r\n--B--"), "{chunk} {bound}");
            assert!(bytes.len() <= bound && skipped > 50_000);
        }
    }
}

#[test]
fn a_cut_picture_keeps_its_first_bytes() {
    let body = part("content-type: image/jpeg", &picture(90_000));
    let (bytes, skipped) = kept(&body, 40_000, 4_096, Some(TYPE));
    assert_eq!(bytes.len(), "--B\r\ncontent-type: image/jpeg\r\n\r\n".len() + STUB);
    assert!(skipped > 80_000);
}

#[test]
fn a_body_that_gives_way_keeps_the_json_behind_its_pictures() {
    let jpeg = part("content-type: image/jpeg", &picture(90_000));
    let body = [&jpeg[..], &jpeg, &part("x: y", br#"{"a":1}"#), &jpeg, b"--B--"].concat();
    for (at, chunk) in [(500, 1), (60_000, 7), (90_020, 100), (120_000, 100_000)] {
        let mut kept = BoundedBody::new(1 << 20, Some(body.len() as u64), Some(TYPE));
        kept.push(&body[..at]);
        let gives_way = at > 1_000;
        assert_eq!(kept.give_way(), gives_way);
        assert!(!gives_way || kept.held() < 2_000, "{}", kept.held());
        body[at..].chunks(chunk).for_each(|chunk| kept.push(chunk));
        assert!(!gives_way || kept.held() <= FIRST);
        let (bytes, _) = kept.finish();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains("\r\n--B\r\nx: y\r\n\r\n{\"a\":1}\r\n--B"), "{at} {chunk}");
    }
}

#[test]
fn a_body_with_its_json_or_without_parts_does_not_give_way() {
    let jpeg = part("content-type: image/jpeg", &picture(90_000));
    for body in [[&part("x: y", b"{}")[..], &jpeg].concat(), picture(90_000), part("x: y", b"{")] {
        let mut kept = BoundedBody::new(1 << 20, Some(1 << 20), Some(TYPE));
        kept.push(&body);
        assert!(!kept.give_way());
        assert_eq!(kept.finish(), (body.into(), 0));
    }
}

#[test]
fn json_is_never_cut_back_for_a_picture() {
    let json = format!("{{\"x\":\"{}\"}}", "y".repeat(50_000));
    let (bytes, _) = kept(&part("a: b", json.as_bytes()), 40_000, 1_000, Some(TYPE));
    assert_eq!(bytes.len(), 40_000);
    let (bytes, skipped) = kept(json.as_bytes(), 40_000, 1_000, Some("application/json"));
    assert_eq!((bytes.len(), skipped), (40_000, json.len() as u64 - 40_000));
}

/// Alarms that are not JSON.
const OTHERS: [&str; 4] = [
    "<EventNotificationAlert><eventType>VMD</eventType></EventNotificationAlert>",
    "\r\n\u{feff}<?xml version=\"1.0\"?><config/>",
    "Events[0].EventBaseInfo.Code=CrossLineDetection\r\nEvents[0].EventBaseInfo.Index=0",
    "Code=AlarmLocal;action=Start;index=0",
];

#[test]
fn an_alarm_that_is_not_json_is_never_taken_for_the_picture() {
    let jpeg = part("content-type: image/jpeg", &picture(90_000));
    for alarm in OTHERS {
        let first = part("content-type: application/octet-stream", alarm.as_bytes());
        for body in [[&first[..], &jpeg, b"--B--"].concat(), [&jpeg[..], &first, &jpeg, b"--B--"].concat()] {
            for chunk in [1, 1_000, 500_000] {
                let (bytes, skipped) = kept(&body, 40_000, chunk, Some(TYPE));
                assert!(String::from_utf8_lossy(&bytes).contains(alarm) && skipped > 0, "{alarm}");
            }
        }
        let mut came = BoundedBody::new(1 << 20, Some(1 << 20), Some(TYPE));
        came.push(&[&first[..], &jpeg].concat());
        assert!(!came.give_way(), "its alarm is here");
        let large = part("a: b", &[alarm.as_bytes(), &[b'x'; 50_000]].concat());
        let (bytes, _) = kept(&large, 40_000, 1_000, Some(TYPE));
        assert_eq!(bytes.len(), 40_000, "{alarm}");
    }
}

#[test]
fn a_body_with_a_small_value_waits_for_the_alarm_behind_its_picture() {
    let jpeg = part("content-type: image/jpeg", &picture(90_000));
    let body = [&part("x: y", b"DEV1")[..], &jpeg, &part("x: y", OTHERS[0].as_bytes()), b"--B--"].concat();
    let mut came = BoundedBody::new(1 << 20, Some(1 << 20), Some(TYPE));
    came.push(&body[..50_000]);
    assert!(came.give_way());
    came.push(&body[50_000..]);
    let text = String::from_utf8_lossy(&came.finish().0).into_owned();
    assert!(text.contains("DEV1") && text.contains(OTHERS[0]), "{text}");
}

#[test]
fn a_picture_as_text_is_cut_like_another() {
    let text = part("a: b", &[b'A'; 90_000]);
    let body = [&text[..], &part("x: y", br#"{"a":1}"#), b"--B--"].concat();
    let (bytes, skipped) = kept(&body, 40_000, 4_096, Some(TYPE));
    assert!(String::from_utf8_lossy(&bytes).contains(r#"{"a":1}"#) && skipped > 0);
}
