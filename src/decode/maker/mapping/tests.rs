//! Tests of mapping files, one feature at a time.

use serde_json::{Value, json};

use super::BUILT_IN;
use crate::config::mapping::Mapping;
use crate::decode::maker::alarms::Alarms;
use crate::decode::maker::words::bare;
use crate::decode::report::{Image, Report};
use crate::findings::FindingCode;
use crate::model::{Alarm, Picture};

#[test]
fn no_word_of_a_built_in_file_stands_twice() {
    for mapping in BUILT_IN.iter() {
        let mut seen = std::collections::HashSet::new();
        for key in mapping.kinds.keys() {
            assert!(seen.insert(bare(key)), "{}: {key} is given twice", mapping.name);
        }
    }
}

/// The mapping of a file.
fn parsed(file: &str) -> Mapping {
    crate::config::mapping::read("my.toml".as_ref(), file).unwrap_or_else(|mistakes| panic!("{mistakes}")).0
}

/// The head of a picture of 200 times 100.
const JPEG: &[u8] =
    b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x64\x00\xc8\x03\x01\x22\x00\x02\x11\x01\x03\x11\x01\xff\xd9";

/// Reads a document by a mapping; returns the result.
fn read(file: &str, document: Value, headers: Value) -> (Vec<Alarm>, Report) {
    let mapping = parsed(file);
    assert!(mapping.recognises(&document, false, &headers), "{document} is not recognised");
    let picture = Picture::checked(JPEG.into());
    let image =
        Image { digits: String::new(), name: "a.jpg".into(), file: String::new(), embedded: false, picture };
    let mut report = Report { images: vec![image], headers, ..Report::default() };
    let mut alarms = Alarms::bounded(10);
    mapping.decode(document, &mut report, &mut alarms);
    (alarms.finish(), report)
}

#[test]
fn a_header_says_whose_a_document_is_and_what_it_says() {
    let file = r#"
name = "bridge"
kind = ["/@headers/x-title"]
[[recognise]]
is = { "/@headers/x-sender" = ["wyze", "other"] }
[kinds]
"Motion on Yard" = "motion"
[device]
name = ["/camera"]
"#;
    let headers = json!({"@headers": {"x-sender": "Wyze", "x-title": "Motion on Yard"}});
    let (alarms, report) = read(file, json!({"camera": "Yard"}), headers);
    assert_eq!((alarms[0].event.as_str(), alarms[0].device.name.as_deref()), ("motion", Some("Yard")));
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let mapping = parsed(file);
    assert!(!mapping.recognises(&json!({}), false, &Value::Null));
}

#[test]
fn the_first_word_of_a_text_says_whose_it_is() {
    let file = r#"
name = "talker"
kind = ["/@words/1"]
[[recognise]]
first_word = "ALARM"
[kinds]
fire = "smoke"
"#;
    let (alarms, _) =
        read(file, json!({"@words": ["ALARM", "fire", "hall"], "@text": "ALARM fire hall"}), Value::Null);
    assert_eq!(alarms[0].event.as_str(), "smoke");
}

#[test]
fn boxes_in_pixels_are_fractions_of_the_picture() {
    let file = r#"
name = "pixels"
kind_default = "person"
regions = ["/objects/zone"]
[[recognise]]
has = ["/objects"]
[object]
at = ["/objects/box"]
pixels = true
"#;
    let objects = json!([{"zone": 4, "box": {"x": 20, "y": 10, "w": 50, "h": 50}}, {"zone": "2", "box": [100, 50, 200, 100]}]);
    let (alarms, _) = read(file, json!({"objects": objects}), Value::Null);
    let boxes: Vec<[f64; 4]> = alarms[0].boxes.iter().map(|it| [it.x, it.y, it.width, it.height]).collect();
    assert_eq!(boxes, [[0.1, 0.1, 0.25, 0.5], [0.5, 0.5, 0.5, 0.5]]);
    assert_eq!(alarms[0].regions, [2, 4]);
}

#[test]
fn the_answer_repeats_a_value_and_may_depend_on_the_document() {
    let file = r#"
name = "echo"
kind = ["/kind"]
[[recognise]]
has = ["/serial"]
[answer]
body = '{"got":"{}"}'
echo = "/serial"
[[answers]]
when = { "/kind" = "test" }
status = 204
body = ""
[kinds]
test = "test"
"#;
    let (_, report) = read(file, json!({"serial": 7, "kind": "motion"}), Value::Null);
    assert_eq!(
        report.answer.map(|answer| (answer.status, answer.body)),
        Some((200, r#"{"got":"7"}"#.into()))
    );
    let (_, report) = read(file, json!({"serial": 7, "kind": "test"}), Value::Null);
    assert_eq!(report.answer.map(|answer| answer.status), Some(204));
}

#[test]
fn what_is_not_found_is_noted_with_the_line_that_would_use_it() {
    let file = r#"
name = "notes"
kind = ["/kind"]
time = ["/time"]
[[recognise]]
has = ["/a"]
[device]
mac = ["/mac"]
"#;
    let codes = |document: Value| -> Vec<(FindingCode, String)> {
        let (_, report) = read(file, document, Value::Null);
        report.problems.into_iter().map(|problem| (problem.code, problem.detail)).collect()
    };
    let found = codes(json!({"a": 1, "kind": "Saucer", "time": "soon"}));
    let of: Vec<FindingCode> = found.iter().map(|(code, _)| *code).collect();
    assert_eq!(of, [FindingCode::KindUnknown, FindingCode::IdentityMissing, FindingCode::TimeNotUnderstood]);
    assert!(found[0].1.ends_with(r#"[kinds] "Saucer" = "...""#), "{found:?}");
    assert_eq!(codes(json!({"a": 1, "mac": "02:00:5e:10:00:01"}))[0].0, FindingCode::KindMissing);
    assert!(codes(json!({"a": 1, "kind": "motion", "mac": "02:00:5e:10:00:01"})).is_empty());
}
