use proptest::prelude::*;
use serde_json::{Value, json};

use super::{parse, read};

#[track_caller]
fn check(text: &str, expected: &Value) {
    assert_eq!(parse(text.as_bytes()).as_ref(), Some(expected), "{text}");
}

#[test]
fn forms_and_queries() {
    check(
        "camera=yard&event=motion_start&file=%2Fvar%2Flib%2Fyard.jpg",
        &json!({"camera": "yard", "event": "motion_start", "file": "/var/lib/yard.jpg"}),
    );
    check(
        "?camera=Yard%20left+1&time=2026-11-28%2012:20:05\r\n",
        &json!({"camera": "Yard left 1", "time": "2026-11-28 12:20:05"}),
    );
    check("a=1&a=2&a[b]=3&c.d=4&&flag", &json!({"a": ["1", "2"], "a[b]": "3", "c.d": "4", "flag": ""}));
    check("x=a%3Db=c%zz%4", &json!({"x": "a=b=c%zz%4"}));
}

#[test]
fn json_within_a_field_is_a_part_of_the_tree() {
    check("payload=%7B%22a%22%3A%5B1%5D%7D&b=2", &json!({"payload": {"a": [1]}, "b": "2"}));
    check("payload={\"a\":1}", &json!({"payload": {"a": 1}}));
    check(
        "list=[1,2]&text=[x]&half={\"a\":&more={} x",
        &json!({"list": [1, 2], "text": "[x]", "half": "{\"a\":", "more": "{} x"}),
    );
}

#[test]
fn characters_in_any_encoding() {
    let gbk: String =
        encoding_rs::GBK.encode("京A12345大门").0.iter().map(|byte| format!("%{byte:02x}")).collect();
    check(&format!("plate={gbk}&name=%E5%89%8D%E9%97%A8"), &json!({"plate": "京A12345大门", "name": "前门"}));
    check("name=Caf%E9", &json!({"name": "Café"}));
}

#[test]
fn no_form() {
    for text in ["", "hello", "a=", "=b", "&&&", "AAAA=="] {
        assert_eq!(parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn the_number_of_fields_is_bounded() {
    let many = "a=1&".repeat(1_000_000);
    let tree = read(many.as_bytes()).unwrap();
    assert_eq!((tree.value["a"].as_array().unwrap().len(), &tree.repairs[..]), (1_024, &[super::CUT][..]));
    let lists = format!("a=[{}0]&", "0,".repeat(60_000)).repeat(20);
    assert_eq!(read(lists.as_bytes()).unwrap().repairs, [super::CUT]);
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _tree = parse(&bytes);
    }

    #[test]
    fn what_is_written_is_read(pairs in proptest::collection::vec(("[a-z]{1,5}", "\\PC{1,8}"), 1..8)) {
        let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
        if let Some(tree) = parse(text.as_bytes()) {
            for (key, value) in &pairs {
                let found = &tree[key];
                let is = |found: &Value| found.as_str() == Some(value) || !found.is_string();
                prop_assert!(is(found) || found.as_array().is_some_and(|list| list.iter().any(is)), "{key}={value:?} {found}");
            }
        }
    }
}
