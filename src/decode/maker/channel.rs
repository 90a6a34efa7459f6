//! Channel numbers, written as a string or a number.

use super::fields::{Fields, number};
use serde_json::Value;

/// Removes a channel from an entry: `2`, `"2"`, `"CH2"`. A value that is none stays among the entry's fields.
pub(crate) fn channel(fields: &mut Fields<'_>, keys: &[&str]) -> Option<u32> {
    let value = fields.take(keys)?;
    let found = number(&value).or_else(|| trailing(value.as_str()?));
    if found.is_none() && !value.is_null() {
        fields.put("channel", value.into_owned());
    }
    // Channels are counted from 1; 0 means that there is none.
    found.filter(|channel| *channel > 0)
}

/// The number at the end of a text.
fn trailing(text: &str) -> Option<u32> {
    let head = text.trim_end().trim_end_matches(|character: char| character.is_ascii_digit());
    text.trim_end().strip_prefix(head)?.parse().ok()
}

/// Channel in a value.
pub(crate) fn channel_of(value: &Value) -> Option<u32> {
    number(value).or_else(|| trailing(value.as_str()?)).filter(|channel| *channel > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::channel;
    use crate::decode::maker::fields::Fields;

    #[test]
    fn channels_in_any_spelling() {
        for (value, expected, kept) in [
            (json!("2"), Some(2), false),
            (json!(3), Some(3), false),
            (json!("CH12"), Some(12), false),
            (json!(0), None, false),
            (json!("left"), None, true),
            (json!("99999999999"), None, true),
            (json!(null), None, false),
        ] {
            let entry = json!({"camera": value});
            let mut fields = Fields::of(&entry);
            assert_eq!((channel(&mut fields, &["camera"]), !fields.is_empty()), (expected, kept), "{value}");
        }
    }
}
