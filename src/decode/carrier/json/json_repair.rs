//! Repairs of text that a JSON parser rejects though its meaning is clear.

use std::iter::Peekable;
use std::str::Chars;

/// The text with raw control characters, lone surrogates, unknown escapes, numbers out of range, and unknown words
/// and commas replaced by valid JSON. One pass; valid text is not changed.
pub(crate) fn repaired(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut characters = text.chars().peekable();
    let mut comma = false;
    while let Some(character) = characters.next() {
        if character.is_whitespace() || character.is_control() {
            continue;
        }
        if comma && !matches!(character, '}' | ']' | ',') {
            out.push(',');
        }
        comma = false;
        match character {
            ',' => comma = true,
            '"' => string(&mut characters, &mut out),
            '-' | '+' | '.' | '0'..='9' => number(character, &mut characters, &mut out),
            'a'..='z' | 'A'..='Z' => word(character, &mut characters, &mut out),
            _ => out.push(character),
        }
    }
    out
}

/// Copies a string, whose opening quote was read.
fn string(characters: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('"');
    while let Some(character) = characters.next() {
        match character {
            '\\' => escape(characters, out),
            '"' => {
                out.push('"');
                return;
            }
            _ if character.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => out.push(character),
        }
    }
}

/// Copies an escape, whose backslash was read.
fn escape(characters: &mut Peekable<Chars<'_>>, out: &mut String) {
    match characters.next() {
        Some(plain @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => out.extend(['\\', plain]),
        Some('u') => unit(characters, out),
        Some(other) => {
            out.push_str("\\\\");
            if !other.is_control() {
                out.push(other);
            }
        }
        None => {}
    }
}

/// Copies a `\u` escape, with its second half if it is a surrogate's; half a pair is not a character.
fn unit(characters: &mut Peekable<Chars<'_>>, out: &mut String) {
    const NONE: &str = "\\ufffd";
    let Some(first) = hex(characters) else { return out.push_str(NONE) };
    if !(0xd800..0xe000).contains(&first) {
        return out.push_str(&format!("\\u{first:04x}"));
    }
    let mut ahead = characters.clone();
    let second = (ahead.next() == Some('\\') && ahead.next() == Some('u')).then(|| hex(&mut ahead)).flatten();
    match second {
        Some(second) if first < 0xdc00 && (0xdc00..0xe000).contains(&second) => {
            *characters = ahead;
            out.push_str(&format!("\\u{first:04x}\\u{second:04x}"));
        }
        _ => out.push_str(NONE),
    }
}

/// Four hex digits.
fn hex(characters: &mut Peekable<Chars<'_>>) -> Option<u32> {
    let mut value = 0;
    for _ in 0..4 {
        let digit = characters.peek().and_then(|character| character.to_digit(16))?;
        characters.next();
        value = value << 4 | digit;
    }
    Some(value)
}

/// Copies a number; one that JSON or a double cannot hold becomes a string.
fn number(first: char, characters: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut token = String::from(first);
    while let Some(next) =
        characters.next_if(|next| next.is_ascii_alphanumeric() || matches!(next, '.' | '+' | '-'))
    {
        token.push(next);
    }
    let fits = serde_json::from_str::<serde_json::Number>(&token).is_ok();
    if fits { out.push_str(&token) } else { out.extend(["\"", &token, "\""]) }
}

/// Copies a word; one that JSON does not know becomes `null`.
fn word(first: char, characters: &mut Peekable<Chars<'_>>, out: &mut String) {
    let mut token = String::from(first);
    while let Some(next) = characters.next_if(|next| next.is_ascii_alphanumeric() || *next == '_') {
        token.push(next);
    }
    out.push_str(match token.to_ascii_lowercase().as_str() {
        "true" => "true",
        "false" => "false",
        _ => "null",
    });
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::repaired;

    #[test]
    fn mistakes_and_what_they_become() {
        for (text, expected) in [
            ("{\"a\":\"x\ty\u{1}\"}", json!({"a": "x\ty\u{1}"})),
            (r#"{"a":"\ud800 \ud83d\ude00 \x \u12"}"#, json!({"a": "\u{fffd} 😀 \\x \u{fffd}"})),
            ("{\"a\":[1,2,],}", json!({"a": [1, 2]})),
            (
                "{\"a\":007,\"b\":-,\"c\":1e999,\"d\":NaN,\"e\":True}",
                json!({"a": "007", "b": "-", "c": "1e999", "d": null, "e": true}),
            ),
            ("{\0\"a\"\0:\0 1}", json!({"a": 1})),
        ] {
            let fixed = repaired(text);
            assert_eq!(serde_json::from_str::<Value>(&fixed).ok(), Some(expected), "{fixed}");
        }
    }

    proptest! {
        #[test]
        fn what_is_right_stays_right(text in "[\\PC\\n\\t\"\\\\]{0,40}", number in any::<f64>(), whole in any::<i64>()) {
            let value = json!({ text.clone(): [text, number, whole, null, true, {}] });
            let fixed = repaired(&value.to_string());
            let [left, right] = [fixed, value.to_string()].map(|text| serde_json::from_str::<Value>(&text).ok());
            prop_assert_eq!(left, right);
        }

        #[test]
        fn any_text_is_harmless(text in "\\PC{0,80}") {
            prop_assert!(repaired(&text).len() <= 8 * text.len() + 8);
        }
    }
}
