use serde_json::json;

use super::{mask, masked, scrub};

/// Texts with the secret `hunter2` or `hunter two`.
const SECRETS: [&str; 58] = [
    // JSON
    r#"{"sharedSecret":"hunter2","a":1}"#,
    r#"{"a":{"Access_Token" : "hunter2"}}"#,
    r#"{"password":{"x":"hunter2"},"a":1}"#,
    r#"{"password":["}","hunter2",{"a":"]"},"hunter2"],"a":1}"#,
    r#"{"text":"{\"token\": \"hunter2\"}"}"#,
    r#"{"text":"{\"text\":\"{\\\"token\\\":\\\"hunter2\\\"}\"}"}"#,
    r#"{"password":"a\"hunter2"}"#,
    r#"{"text":"{\"password\":\"a\\\"hunter2\"}"}"#,
    r#"{"pass\u0077ord":"hunter2"}"#,
    r#"{"name":"token","value":"hunter2"}"#,
    r#"{"name":"token","type":"text of some length, longer than usual","value":"hunter2"}"#,
    r#"{"value":"hunter2","name":"token"}"#,
    r#"{"headers":[["Authorization","hunter2"]]}"#,
    r#"{"api key":"hunter2"}"#,
    r#"{"password (new)": "hunter2"}"#,
    r#"{'password':'hunter2'}"#,
    r#"{password:"hunter2"}"#,
    r#"{"password":"hunter2"#,
    r#"{"configurationPassword":"hunter2","passphrase":"hunter2","userPwd":"hunter2"}"#,
    r#"{"text":"Authorization: Digest username=\"a\", response=\"hunter2\"","a":1}"#,
    r#"{"url":"rtsp://admin:hunter2@192.0.2.1/1"}"#,
    r#"{"url":"http://h/x?api_key=hunter2","a":1}"#,
    // XML
    "<a><x:Password type=\"s\"><![CDATA[hunter2]]></x:Password></a>",
    "<Password><![CDATA[a</b>hunter2]]></Password>",
    "<password><a>hunter2</a><b>hunter2</b></password>",
    "<password>hunter2",
    "<i Name='token' Value='hunter2'/>",
    "<i Value='hunter2' Name='token'/>",
    "<i><name>token</name><value>hunter2</value></i>",
    "<i><value>hunter2</value><name>token</name></i>",
    "<login password=\"hunter2\"/>",
    "<login PASSWORD = 'hunter2'/>",
    "<token value=\"hunter2\"/>",
    "<text>&lt;password&gt;hunter2&lt;/password&gt;</text>",
    "<text>{&quot;password&quot;:&quot;hunter2&quot;}</text>",
    // Forms and lines
    "a=1&PASSWORD=hunter2&b=2",
    "params[password]=hunter2",
    "params%5Bpassword%5D=hunter2&b=2",
    "p%61ssword=hunter2",
    "%7B%22token%22%3A%22hunter2%22%7D=",
    "data=%7B%22token%22%3A+%22hunter2%22%7D",
    "data=%257B%2522token%2522%253A%2522hunter2%2522%257D",
    "name=token&value=hunter2",
    "A[0].Token=hunter2\r\nA[0].B=1",
    "Password = my hunter2\r\nB=1",
    "Code=X;password=a;hunter2;index=0",
    "Code=X;action=Start;index=0;data={\"password\":\"hunter2\"}",
    "Api key: hunter2",
    "password=a&hunter2",
    // Heads and parts
    "Authorization: Bearer hunter2\r\nA: b",
    "Authorization: Digest username=\"a\",\r\n realm=\"b\", response=\"hunter2\"\r\nA: b",
    "X-Forwarded: Basic aHVudGVyhunter2=\r\nA: b",
    "--B\r\nContent-Disposition: form-data; name=\"secret\"\r\n\r\nhunter2\r\n--B--",
    "--B\r\nContent-Disposition: form-data; name=secret\r\n\r\na\n--hunter2\r\nhunter2\r\n--B--",
    "--B\nContent-Disposition: form-data;\n name='secret'\n\nhunter2\n--B--",
    "--B\r\nContent-Disposition: form-data; name=\"secret\"\r\nhunter2\r\n--B--",
    "GET /x?token=hunter2 HTTP/1.1",
    "see http://h/x?api_key=hunter2",
];

#[test]
fn secret_fields_are_masked_in_every_carrier() {
    for text in SECRETS {
        let shown = masked(text, &[]);
        assert!(!shown.contains("hunter2") && shown.len() == text.len(), "{text} -> {shown}");
        let mut document = json!({ "text": text, text: 1 });
        scrub(&mut document, &[]);
        assert!(!document.to_string().contains("hunter2"), "{document}");
        let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let mut shown = wide.clone();
        mask(&mut shown, &[]);
        assert_eq!(shown.len(), wide.len());
        let shown = String::from_utf8_lossy(&shown).replace('\0', "");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn every_one_of_many_and_long_secrets_is_masked() {
    let long = format!("{}hunter2", "x".repeat(200_000));
    let many = format!("{{\"password\":\"{long}\",\"a\":1}}").repeat(50);
    assert!(!masked(&many, &[]).contains("hunter2"));
    let name = format!("\"{}password{}\":\"hunter2\"", "x".repeat(500), "y".repeat(500));
    assert!(!masked(&name, &[]).contains("hunter2"));
    let part = format!(
        "--B\r\nContent-Disposition: form-data; name=\"token\"\r\nX: {}\r\n\r\nhunter2\r\n--B--",
        "y".repeat(5_000)
    );
    assert!(!masked(&part, &[]).contains("hunter2"));
    let mut document = json!({ "text": format!("{many}{{\"token\":\"hunter2\"}}") });
    scrub(&mut document, &[]);
    assert!(!document.to_string().contains("hunter2"));
}

#[test]
fn texts_nested_deeper_than_is_decoded_are_masked_from_the_first_secret_on() {
    let mut text = r#"{"token":"hunter2"}"#.to_owned();
    for _ in 0..12 {
        text = json!({ "text": text }).to_string();
        assert!(!masked(&text, &[]).contains("hunter2"), "{text}");
    }
}

#[test]
fn other_text_stays() {
    for text in [
        "{\"event\":\"motion\",\"SourceToken\":\"v\"}",
        "<SimpleItem Name=\"VideoSourceConfigurationToken\" Value=\"v\"/>",
        "no token here",
        "{\"name\":\"Secret garden\",\"title\":\"Cookie shop: entrance\"}",
        "token",
        "\"token\"",
        "<token/><a>b</a>",
        "{\"plate\":\"B-AB 123\",\"code\":\"1234\",\"url\":\"http://h:80/x@y\"}",
        "100% &amp; \\ \\u00e4 %zz",
    ] {
        assert_eq!(masked(text, &[]), text);
    }
}

#[test]
fn what_is_beside_a_secret_stays() {
    for (text, expected) in [
        (r#"{"token":"ab1","event":"motion"}"#, r#"{"token":"**0","event":"motion"}"#),
        (r#"{"text":"token: ab1","event":"motion"}"#, r#"{"text":"token: **0","event":"motion"}"#),
        (r#"{"text":"a=1&token=ab1","event":"x"}"#, r#"{"text":"a=1&token=**0","event":"x"}"#),
        (
            r#"{"name":"token","value":"ab"},{"name":"b","value":"c"}"#,
            r#"{"name":"token","value":"**"},{"name":"b","value":"c"}"#,
        ),
        (
            r#"{"name":"a","value":"b"},{"name":"token","value":"c"}"#,
            r#"{"name":"a","value":"b"},{"name":"token","value":"*"}"#,
        ),
        ("<a><token>ab</token><plate>x</plate></a>", "<a><token>**</token><plate>x</plate></a>"),
        ("GET /x?token=ab&plate=x HTTP/1.1\r\nA: b", "GET /x?token=**&plate=x HTTP/1.1\r\nA: b"),
        ("Code=X;token=ab;index=0", "Code=X;token=**;index=0"),
        ("A.Token=ab\nA.Plate=x", "A.Token=**\nA.Plate=x"),
        ("token=ab plate=x", "token=** plate=x"),
        (
            "%7B%22token%22%3A%22ab%22%2C%22plate%22%3A%22x%22%7D",
            "%7B%22token%22%3A%22**%22%2C%22plate%22%3A%22x%22%7D",
        ),
        ("http://u:ab@h/x", "http://u:**@h/x"),
        ("{\"text\":\"{\\\"token\\\":\\\"a\\\\b\\\"}\"}", "{\"text\":\"{\\\"token\\\":\\\"*\\\\*\\\"}\"}"),
    ] {
        assert_eq!(masked(text, &[]), expected);
    }
}

#[test]
fn fields_are_left_out_of_a_document() {
    let mut document = json!({"a": [{"Token": "x", "b": "{\"pwd\":\"xyz\"}"}], "pin": 7,
        "item": {"@Name": "password", "@Value": "x"}, "configurationPassword": 1, "SourceToken": "v"});
    scrub(&mut document, &["PIN".into()]);
    let expected =
        json!({"a": [{"b": "{\"pwd\":\"***\"}"}], "item": {"@Name": "password"}, "SourceToken": "v"});
    assert_eq!(document, expected);
}

#[test]
fn what_has_the_name_of_a_secret_in_its_own_name_stays() {
    let mut document = json!({"name": "Secret garden", "data": {"type": "motion"}, "value": 1});
    let before = document.clone();
    scrub(&mut document, &[]);
    assert_eq!(document, before);
}

#[test]
fn fields_of_a_mapping_are_secret_too() {
    let more = ["door-code".to_owned()];
    assert_eq!(masked("door_code=12&plate=x", &more), "door_code=00&plate=x");
    assert_eq!(masked("door_code=12&plate=x", &[]), "door_code=12&plate=x");
}

/// Pieces that make a scan slow or deep if it looks at the same bytes again and again.
const HOSTILE: [&str; 42] = [
    "{",
    "\"",
    "<",
    "&",
    "%",
    "\\",
    "\\\\\"",
    "password=",
    "\"password\":",
    "\"password\" ",
    "\"password\" \"value\" ",
    "\"value\" ",
    "\"value\":",
    "\"value\":\"token",
    "\"value\":{\"name\":\"token\",",
    "\"password\":\"",
    "\"password\":{",
    "\"password\":[\"",
    "<password ",
    "<password/>",
    "<password>",
    "<password></x>",
    "<password value=",
    "name=\"password\"",
    "Content-Disposition: form-data; name=\"password\"",
    "Content-Disposition: form-data; name=\"password\"\r\n",
    "--B\r\nContent-Disposition: form-data; name=password;",
    "name=token&value&",
    "token ",
    "token;",
    "password=;",
    "password= &",
    "password='=\"",
    "Bearer ",
    "Authorization: \r\n ",
    "//a:b",
    "%22token%22%3A",
    "%2522",
    "%25",
    "\\u005c",
    "&amp;",
    "p\0",
];

/// Processor time that this thread has used, in seconds; other work on the machine does not count.
fn used_seconds() -> u64 {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    statistics.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<u64>().ok()).unwrap_or(0)
        / 1_000_000_000
}

#[test]
fn hostile_texts_take_little_stack_and_time() {
    let names = super::SecretNames::new(&[]);
    let run = move || {
        for piece in HOSTILE {
            for text in
                [piece.repeat((1 << 20) / piece.len()), format!("\"password\" {}", piece.repeat(9_000))]
            {
                let begun = used_seconds();
                let _secrets = super::secrets_in(text.as_bytes(), &names);
                let took = used_seconds() - begun;
                assert!(took < 10, "{piece:?} took {took} s");
            }
        }
    };
    // A quarter of the stack that a thread of the bridge has.
    std::thread::Builder::new().stack_size(512 << 10).spawn(run).unwrap().join().unwrap();
}
