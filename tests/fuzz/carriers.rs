//! Targets for the carriers: XML, fields in lines and forms, packed bodies.

use alarmbus::decode::carrier::inflate::{Encoding, inflate};
use alarmbus::decode::carrier::{Tree, form, lines, xml};
use serde_json::Value;

use super::corpus;
use super::outcome;
use super::run::{Outcome, Target, run};

const XML: &[&[u8]] = &[
    b"<a>",
    b"</a>",
    b"<a/>",
    b"<a b=\"c\">",
    b"<x:a xmlns:x=\"y\">",
    b"<![CDATA[",
    b"]]>",
    b"<!--",
    b"-->",
    b"<?xml version=\"1.0\" encoding=\"gbk\"?>",
    b"<!DOCTYPE a [<!ENTITY x \"&x;&x;\">]>",
    b"&x;",
    b"&#x41;",
    b"&",
    b"<",
    b">",
    b"\"",
    b"\xff",
    b"\0",
    b"\xff\xfe",
];
const FIELDS: &[&[u8]] = &[
    b"=",
    b"&",
    b";",
    b"\r\n",
    b"Code=",
    b"data={",
    b"data=[",
    b"}",
    b"\"",
    b"\"a\":1",
    b"a[0].b=",
    b"a[1023].b=",
    b"a[99999999999]=",
    b".",
    b"Heartbeat",
    b"%7B",
    b"%22",
    b"%ff",
    b"+",
    b"\xff",
];
const PACKED: &[&[u8]] = &[
    b"\x1f\x8b\x08",
    b"\x78\x9c",
    b"\x78\xda",
    b"\0\0\xff\xff",
    b"\x03\0",
    b"\xff",
    b"{\"a\":1}",
    b"\x01\x02\0\xfd\xff",
];
/// Maximum bytes of decompressed output.
const UNPACKED: usize = 64 << 10;

/// Checks that a tree is within its limits. The outcome is its repairs and the types of its values.
fn holds(tree: Option<&Tree>, input: &[u8]) -> Outcome {
    let Some(tree) = tree else { return Outcome::from(["none".to_owned()]) };
    let mut shape = Shape::default();
    shape.take(&tree.value, 1);
    assert!(shape.depth <= 130, "{} deep", shape.depth);
    assert!(shape.values <= 600_000, "{} values", shape.values);
    // A byte that is none in UTF-8 becomes three.
    assert!(shape.text <= 3 * input.len() + 16, "{} bytes of {}", shape.text, input.len());
    let mut pieces: Outcome = tree.repairs.iter().flat_map(|repair| outcome::message(repair)).collect();
    pieces.insert(format!(
        "{} deep, {} lists, {}",
        shape.depth.min(9),
        shape.lists.min(3),
        tree.value.is_array()
    ));
    pieces
}

/// The measures of a tree.
#[derive(Default)]
struct Shape {
    depth: usize,
    values: usize,
    lists: usize,
    /// Bytes of all keys and texts.
    text: usize,
}

impl Shape {
    fn take(&mut self, value: &Value, depth: usize) {
        self.depth = self.depth.max(depth);
        self.values += 1;
        match value {
            Value::String(text) => self.text += text.len(),
            Value::Array(list) => {
                self.lists += 1;
                list.iter().for_each(|value| self.take(value, depth + 1));
            }
            Value::Object(map) => map.values().for_each(|value| self.take(value, depth + 1)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[test]
fn xml_tree() {
    let corpus = corpus::own("xml");
    let check = |input: &[u8]| holds(xml::read(input, Some("gbk")).as_ref(), input);
    run(&Target { name: "xml_tree", corpus, words: XML, longest: 32 << 10, check });
}

#[test]
fn fields() {
    let corpus = corpus::own("lines");
    let check = |input: &[u8]| {
        let text = String::from_utf8_lossy(input);
        let mut outcome = holds(lines::read(&text).as_ref(), text.as_bytes());
        outcome.extend(holds(form::read(input).as_ref(), input));
        outcome
    };
    run(&Target { name: "fields", corpus, words: FIELDS, longest: 32 << 10, check });
}

#[test]
fn packed_body() {
    let corpus = corpus::own("inflate");
    let check = |input: &[u8]| {
        let unpack = |declared| match inflate(input, declared, UNPACKED) {
            Ok(inflated) => {
                assert!(inflated.bytes.as_ref().is_none_or(|bytes| bytes.len() <= UNPACKED));
                format!("{:?} {:?}", inflated.form, inflated.ended)
            }
            Err(error) => format!("{error:?}"),
        };
        [Encoding::Deflate, Encoding::Gzip, Encoding::Other].map(unpack).into()
    };
    run(&Target { name: "packed_body", corpus, words: PACKED, longest: 8 << 10, check });
}
