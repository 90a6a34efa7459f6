use proptest::prelude::*;
use serde_json::{Value, json};

use super::{parse, read};
use crate::decode::carrier::DEEPEST;

#[track_caller]
fn check(xml: &str, expected: &Value) {
    assert_eq!(parse(xml.as_bytes()).as_ref(), Some(expected), "{xml}");
}

#[track_caller]
fn check_repaired(xml: &str, expected: &Value, repairs: &[&str]) {
    let tree = read(xml.as_bytes(), None).unwrap();
    assert_eq!((&tree.value, &tree.repairs[..]), (expected, repairs), "{xml}");
}

#[test]
fn elements_attributes_and_text() {
    check("<a><b>x</b><c> y\n</c><d/><e></e></a>", &json!({"a": {"b": "x", "c": "y", "d": "", "e": ""}}));
    check("<a><b>1</b><b>2</b><b>3</b></a>", &json!({"a": {"b": ["1", "2", "3"]}}));
    check("<a id=\"1\" t='x y'> z </a>", &json!({"a": {"@id": "1", "@t": "x y", "#text": "z"}}));
    check("<a>one<b>2</b> three</a>", &json!({"a": {"b": "2", "#text": "one three"}}));
    check("<a/>", &json!({"a": ""}));
    check("<a b=\"1\"/>", &json!({"a": {"@b": "1"}}));
}

#[test]
fn names_lose_their_namespaces() {
    check(
        "<s:Envelope xmlns:s=\"http://x\" xmlns=\"y\" s:v=\"1\"><w:Topic Dialect=\"d\">tns1:A/B</w:Topic></s:Envelope>",
        &json!({"Envelope": {"@v": "1", "Topic": {"@Dialect": "d", "#text": "tns1:A/B"}}}),
    );
    check("<DeviceInfo><DeviceNo.>7</DeviceNo.></DeviceInfo>", &json!({"DeviceInfo": {"DeviceNo.": "7"}}));
    check("<a ><b x = \"1\" >2</b ></a\n>", &json!({"a": {"b": {"@x": "1", "#text": "2"}}}));
}

#[test]
fn text_that_is_escaped_and_text_that_should_be() {
    check("<a>Front & side</a>", &json!({"a": "Front & side"}));
    check("<a>&lt;b&gt; &amp;&amp; &quot;&apos; &#65;&#x42;</a>", &json!({"a": "<b> && \"' AB"}));
    check("<a>x & y; z &nbsp; &#0; &#x110000; &</a>", &json!({"a": "x & y; z &nbsp; &#0; &#x110000; &"}));
    check("<a b='1 & 2 &amp; 3 &lt;&x;'/>", &json!({"a": {"@b": "1 & 2 & 3 <&x;"}}));
    check("<a><![CDATA[ <b>&amp; ]] > ]]></a>", &json!({"a": "<b>&amp; ]] >"}));
    check("<a>x<!-- <b>no</b> --><?pi x?>y</a>", &json!({"a": "xy"}));
    check_repaired(
        "<a>1 < 2<b>3</b></a>",
        &json!({"a": {"b": "3", "#text": "1 < 2"}}),
        &["a < that begins no tag"],
    );
}

#[test]
fn no_document_type_is_used() {
    let laughs =
        "<!DOCTYPE a [<!ENTITY x \"ha\"><!ENTITY y \"&x;&x;&x;\"><!ENTITY f SYSTEM \"file:///etc/passwd\">]>";
    check(&format!("<?xml version=\"1.0\"?>{laughs}<a>&y;&f;</a>"), &json!({"a": "&y;&f;"}));
    check(
        "<!DOCTYPE a SYSTEM \"http://h/x.dtd\"><a b='&y;'>1</a>",
        &json!({"a": {"@b": "&y;", "#text": "1"}}),
    );
}

#[test]
fn documents_that_do_not_end() {
    let unfinished = &["the XML does not end"][..];
    check_repaired("<a><b>1</b><c>2</c>", &json!({"a": {"b": "1", "c": "2"}}), unfinished);
    check_repaired("<a><b>1</b><c>2</", &json!({"a": {"b": "1", "c": "2"}}), unfinished);
    // What is cut off within its value is left out: 3 may have been 33.
    check_repaired("<a><b>1</b><c>3", &json!({"a": {"b": "1"}}), unfinished);
    check_repaired("<a><b>1</b><c><d>", &json!({"a": {"b": "1"}}), unfinished);
    check_repaired("<a><b>1</b><c><![CDATA[/9j/4", &json!({"a": {"b": "1"}}), unfinished);
    check_repaired("<a><b>1</b><c><![CDATA[2]]>", &json!({"a": {"b": "1", "c": "2"}}), unfinished);
    check_repaired(
        "<a><b>1<c>2</c></a>",
        &json!({"a": {"b": {"c": "2", "#text": "1"}}}),
        &["an end tag is missing"],
    );
    check_repaired("<a><b>1</x></b></a>", &json!({"a": {"b": "1"}}), &["an end tag without its start tag"]);
    assert_eq!(parse(b"<a><b"), None);
}

#[test]
fn what_stands_around_a_document() {
    check("\u{feff}\r\n <a>1</a>\r\n\0", &json!({"a": "1"}));
    check("\0\0<?xml version=\"1.0\"?>\n<!-- c -->\n<a>1</a>", &json!({"a": "1"}));
    check_repaired("xml=<a><b>1</b></a>", &json!({"a": {"b": "1"}}), &["bytes before the XML"]);
    check("<?xml version='1.0'?><a>1</a><?xml version='1.0'?><a>2</a>", &json!([{"a": "1"}, {"a": "2"}]));
}

#[test]
fn what_is_no_document() {
    let far = format!("{}<a><b>1</b></a>", "x".repeat(600));
    for text in [
        "",
        "{\"a\":\"<b>\"}",
        "a < b",
        "some <b>text</b>",
        "Code=X;a=<b",
        "<!DOCTYPE html><html><p>x</p></html>",
        &far,
    ] {
        assert_eq!(parse(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn characters_in_any_encoding() {
    let named = |encoding: &str| format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?><a>前门</a>");
    let expected = json!({"a": "前门"});
    // Declared rightly, declared wrongly, not declared.
    for (bytes, repaired) in [
        (named("UTF-8").into_bytes(), false),
        (named("GB2312").into_bytes(), false),
        (encoding_rs::GBK.encode(&named("GB2312")).0.into_owned(), false),
        (encoding_rs::GBK.encode(&named("utf-8")).0.into_owned(), true),
        (encoding_rs::GBK.encode("<a>前门</a>").0.into_owned(), true),
        (encoding_rs::BIG5.encode(&named("Big5").replace('门', "門")).0.into_owned(), false),
        (named("x").encode_utf16().flat_map(u16::to_le_bytes).collect(), false),
        (named("UTF-16").encode_utf16().flat_map(u16::to_be_bytes).collect(), false),
    ] {
        let tree = read(&bytes, None).unwrap();
        let text = tree.value["a"].as_str().unwrap().replace('門', "门");
        assert_eq!(
            (json!({"a": text}), !tree.repairs.is_empty()),
            (expected.clone(), repaired),
            "{}",
            bytes.escape_ascii()
        );
    }
    let latin = b"<?xml version='1.0' encoding='utf-16'?><a>Caf\xe9 T\xfcr</a>";
    assert_eq!(parse(latin), Some(json!({"a": "Café Tür"})));
    let by_header = encoding_rs::SHIFT_JIS.encode("<a>玄関カメラ</a>").0.into_owned();
    assert_eq!(read(&by_header, Some("shift_jis")).unwrap().value, json!({"a": "玄関カメラ"}));
}

#[test]
fn depth_and_number_are_bounded() {
    let deep = format!("{}x{}<b>1</b>", "<a>".repeat(10_000), "</a>".repeat(10_000));
    let tree = read(deep.as_bytes(), None).unwrap();
    assert_eq!(tree.repairs, [super::CUT]);
    assert!(depth(&tree.value) <= DEEPEST + 2, "{}", depth(&tree.value));
    let wide = format!("<a>{}</a>", "<b/>".repeat(300_000));
    let tree = read(wide.as_bytes(), None).unwrap();
    assert!(tree.repairs.contains(&super::CUT) && tree.value["a"]["b"].as_array().unwrap().len() <= 100_000);
    let attributes: String = (0..300_000).map(|number| format!(" a{number}=''")).collect();
    let tree = read(format!("<a{attributes}/>").as_bytes(), None).unwrap();
    assert!(tree.value["a"].as_object().unwrap().len() <= 100_000);
    let stray = format!("<a>{}</a>", "< ".repeat(1_000_000));
    assert!(read(stray.as_bytes(), None).unwrap().repairs.contains(&super::CUT));
}

/// Depth of a tree.
fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Object(map) => map.values().map(depth).max(),
        Value::Array(list) => list.iter().map(depth).max(),
        _ => None,
    };
    1 + inner.unwrap_or(0)
}

#[test]
fn makers() {
    let hikvision = "<EventNotificationAlert version=\"2.0\" xmlns=\"http://www.hikvision.com/ver20/XMLSchema\">\r\n\
        <macAddress>02:00:5e:10:00:64</macAddress>\r\n<channelID>1</channelID>\r\n<channelName>A & B</channelName>\r\n\
        <DetectionRegionList>\r\n<DetectionRegionEntry><regionID>1</regionID></DetectionRegionEntry>\r\n</DetectionRegionList>\r\n\
        </EventNotificationAlert>\r\n";
    check(
        hikvision,
        &json!({"EventNotificationAlert": {
            "@version": "2.0", "macAddress": "02:00:5e:10:00:64", "channelID": "1", "channelName": "A & B",
            "DetectionRegionList": {"DetectionRegionEntry": {"regionID": "1"}}
        }}),
    );
    let psia = "<E xmlns=\"urn:psialliance-org\"><Extensions><serialNumber xmlns=\"urn:selfextension:psiaext-ver10-xsd\">DS-7608/8P01\r\n</serialNumber>\
        <eventPush>a&amp;&amp;b</eventPush></Extensions></E>";
    check(psia, &json!({"E": {"Extensions": {"serialNumber": "DS-7608/8P01", "eventPush": "a&&b"}}}));
    let tvt = "<?xml version=\"1.0\" encoding=\"UTF-8\" ?>\r\n<config version=\"1.7\" xmlns=\"http://www.ipc.com/ver10\">\
        <types><targetType><enum>person</enum><enum>car</enum></targetType></types>\
        <mac type=\"string\"><![CDATA[02:00:5e:10:03:01]]></mac><perimeter><perInfo type=\"list\" count=\"1\"><item><eventId type=\"uint32\">7</eventId></item></perInfo></perimeter></config>";
    check(
        tvt,
        &json!({"config": {
            "@version": "1.7", "types": {"targetType": {"enum": ["person", "car"]}},
            "mac": {"@type": "string", "#text": "02:00:5e:10:03:01"},
            "perimeter": {"perInfo": {"@type": "list", "@count": "1", "item": {"eventId": {"@type": "uint32", "#text": "7"}}}}
        }}),
    );
    let onvif = "<s:Envelope xmlns:s=\"x\"><s:Body><n:Notify><n:NotificationMessage><n:Message><tt:Message UtcTime=\"2026-11-28T11:20:05Z\" PropertyOperation=\"Changed\">\
        <tt:Source><tt:SimpleItem Name=\"Rule\" Value=\"R\"/><tt:SimpleItem Name=\"Token\" Value=\"T\"/></tt:Source>\
        <tt:Data><tt:SimpleItem Name=\"IsMotion\" Value=\"true\"/></tt:Data></tt:Message></n:Message></n:NotificationMessage></n:Notify></s:Body></s:Envelope>";
    check(
        onvif,
        &json!({"Envelope": {"Body": {"Notify": {"NotificationMessage": {"Message": {"Message": {
            "@UtcTime": "2026-11-28T11:20:05Z", "@PropertyOperation": "Changed",
            "Source": {"SimpleItem": [{"@Name": "Rule", "@Value": "R"}, {"@Name": "Token", "@Value": "T"}]},
            "Data": {"SimpleItem": {"@Name": "IsMotion", "@Value": "true"}}
        }}}}}}}),
    );
}

/// Pieces of XML, right and wrong.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "</?[a-c]:?[a-c]?( [a-c]=['\"]?[a-z&;<]{0,3}['\"]?)?/?>",
        "[a-z &;<>\"']{0,6}",
        Just("<![CDATA[x]]>".to_owned()),
        Just("<!-- x -->".to_owned()),
        Just("<?xml encoding='gbk'?>".to_owned()),
        Just("<!DOCTYPE a [<!ENTITY x 'y'>]>".to_owned()),
        Just("&#x41;&amp;".to_owned()),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _tree = parse(&bytes);
        let _tree = parse(&[b"<a>", &bytes[..]].concat());
    }

    #[test]
    fn any_markup_makes_a_bounded_tree(xml in pieces()) {
        if let Some(tree) = parse(xml.as_bytes()) {
            prop_assert!(depth(&tree) <= DEEPEST + 2);
            let text: usize = texts(&tree);
            prop_assert!(text <= xml.len(), "{text} of {}", xml.len());
        }
    }
}

/// The length of all texts of a tree.
fn texts(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(list) => list.iter().map(texts).sum(),
        Value::Object(map) => map.values().map(texts).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
