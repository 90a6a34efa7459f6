use proptest::prelude::*;
use serde_json::{Value, json};

use super::{parse, read};

#[track_caller]
fn check(text: &str, expected: &Value, repairs: &[&str]) {
    let tree = read(text).unwrap_or_else(|| panic!("none of {text}"));
    assert_eq!((&tree.value, &tree.repairs[..]), (expected, repairs), "{text}");
}

#[test]
fn records_on_a_line() {
    check(
        "Code=VideoMotion;action=Stop;index=0",
        &json!({"Code": "VideoMotion", "action": "Stop", "index": "0"}),
        &[],
    );
    check("Code=A;action=Start;index=0;\r\n", &json!({"Code": "A", "action": "Start", "index": "0"}), &[]);
    let json = "Code=AlarmLocal;action=Start;index=0;data={\r\n   \"Name\" : \"But;ton\",\r\n   \"L\" : [ 1, 2 ]\r\n}\r\n";
    let record = json!({"Code": "AlarmLocal", "action": "Start", "index": "0", "data": {"Name": "But;ton", "L": [1, 2]}});
    check(json, &record, &[]);
    let other = json!({"Code": "B", "action": "Pulse", "index": "1"});
    check(
        &format!("{json}\r\nCode=B;action=Pulse;index=1\r\nHeartbeat\r\n{json}"),
        &json!([record, other, record]),
        &[],
    );
    check(
        "Code=A;index=0;data={\"x\":1};more=y",
        &json!({"Code": "A", "index": "0", "data": {"x": 1}, "more": "y"}),
        &[],
    );
}

#[test]
fn dotted_lines() {
    check(
        "Events[0].EventBaseInfo.Code=TrafficJunction\r\nEvents[0].EventBaseInfo.Index=0\r\nEvents[0].Name=Lane 1; left\r\n\
         Events[0].Object.BoundingBox[0]=5\r\nEvents[0].Object.BoundingBox[1]=6\r\nEvents[1].Name=x=y\r\n\r\n",
        &json!({"Events": [
            {"EventBaseInfo": {"Code": "TrafficJunction", "Index": "0"}, "Name": "Lane 1; left", "Object": {"BoundingBox": ["5", "6"]}},
            {"Name": "x=y"}
        ]}),
        &[],
    );
    check("a[4000000000].b=1\na[0].b=2", &json!({"a": [{"b": "2"}]}), &[super::CUT]);
    check("a=1\na.b=2", &json!({"a": "1"}), &["a field that contradicts another"]);
}

#[test]
fn plain_lines() {
    check(
        "camera = yard\nevent=motion\nnote=",
        &json!({"camera": "yard", "event": "motion", "note": ""}),
        &[],
    );
    check(
        "camera=a\nevent=x\ncamera=b\nevent=y",
        &json!([{"camera": "a", "event": "x"}, {"camera": "b", "event": "y"}]),
        &[],
    );
    check("a=1\nb=2\nb=3", &json!({"a": "1", "b": ["2", "3"]}), &[]);
    check("name=Tom & Jerry;state=on", &json!({"name": "Tom & Jerry", "state": "on"}), &[]);
    check("heartbeat\r\n", &json!({"Heartbeat": ""}), &[]);
}

#[test]
fn damaged_records_keep_what_can_be_read() {
    check(
        "Code=A;action=Start;data={\"x\":1, \"y\":",
        &json!({"Code": "A", "action": "Start"}),
        &["a field's JSON cannot be read"],
    );
    check(
        "Code=A;data={\"x\":1,}\nCode=B",
        &json!([{"Code": "A", "data": {"x": 1}}, {"Code": "B"}]),
        &["JSON with mistakes"],
    );
    check(
        "Code=A;data={\"x\":\nCode=B;data={\"y\":2}",
        &json!([{"Code": "A"}, {"Code": "B", "data": {"y": 2}}]),
        &["a field's JSON cannot be read"],
    );
    check("Code=A;data={x}", &json!({"Code": "A", "data": "{x}"}), &[]);
    check("Code=A\nind", &json!({"Code": "A"}), &["a line that is not a field"]);
    check(
        "Code=A;data={\"x\":1} rest",
        &json!({"Code": "A", "data": {"x": 1}}),
        &["a line that is not a field"],
    );
}

#[test]
fn other_texts_are_left_to_others() {
    for text in [
        "",
        " \r\n",
        "hello",
        "Motion was seen at the gate. Speed=5 km/h",
        "{\"a\":\"b=c\"}",
        "[\"a=b\"]",
        "<a b=\"c\">d</a>",
        "<!DOCTYPE html><html lang=en>",
        "camera=yard&event=motion",
        "a=1&b.c=2&d",
        "/9j/4AAQSkZJRgABAQ==",
        "AAAA==",
        "AAAA=\n",
        "--boundary\r\nContent-Type: x; y=z\r\n",
        "a line\nb=c",
        "b=c\na line\nand another",
        "Content-Type: text/plain; a=b",
        "x y=1",
        "\u{fffd}\u{fffd}=1",
    ] {
        assert_eq!(parse(text), None, "{text}");
    }
}

#[test]
fn hostile_texts_end_soon() {
    for text in [
        "a=;".repeat(1_000_000),
        "Code=A;data={\"x\":".repeat(300_000),
        "Code=A\n".repeat(500_000),
        format!("a={}", ";".repeat(3_000_000)),
        format!("a=1;{}", "data=[\"x;".repeat(300_000)),
        format!("Code=A;data={}", "[".repeat(2_000_000)),
        (0..200_000).map(|number| format!("a[1023][{number}].b=x\n")).collect(),
        format!("{}=x", "a[0].".repeat(40)),
    ] {
        let tree = parse(&text);
        assert!(tree.is_none_or(|tree| count(&tree) <= 200_000 && depth(&tree) < 70), "{:?}", text.get(..40));
    }
}

/// Number of values that a tree has.
fn count(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(count).sum::<usize>(),
        Value::Object(map) => 1 + map.values().map(count).sum::<usize>(),
        _ => 1,
    }
}

/// Depth of a tree.
fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(list) => list.iter().map(depth).max(),
        Value::Object(map) => map.values().map(depth).max(),
        _ => None,
    };
    1 + inner.unwrap_or(0)
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        let _tree = parse(&text);
        let _tree = parse(&format!("Code=A;data={{{text}"));
    }

    #[test]
    fn any_fields_make_a_bounded_tree(text in "((Code|[a-c](\\[[0-9]{1,5}\\])?(\\.[a-c](\\[[0-9]{1,2}\\])?){0,3}|data)=([a-c]|\\{\"a\":1\\}|\\{)?[;\r\n]{1,2}){0,30}") {
        if let Some(tree) = parse(&text) {
            prop_assert!(count(&tree) <= 100_000 && depth(&tree) < 70);
        }
    }
}
