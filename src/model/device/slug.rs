//! Slugs: the only form in which text of devices may become a topic level.

/// Maximum length of a slug, in characters.
pub const MAX_LEN: usize = 64;

/// Converts any text to `[a-z0-9_]{1,64}`: lower-cased, every run of other characters one `_`, none at the ends.
///
/// Returns `None` when nothing is left (an empty text, or one of punctuation and foreign letters only).
#[must_use]
pub fn slug(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len().min(MAX_LEN));
    for character in text.chars() {
        if character.is_ascii_alphanumeric() {
            out.push(character.to_ascii_lowercase());
        } else if !out.is_empty() && !out.ends_with('_') {
            out.push('_');
        }
        if out.len() >= MAX_LEN {
            break;
        }
    }
    let kept = out.trim_end_matches('_').len();
    out.truncate(kept);
    (!out.is_empty()).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::slug;

    #[test]
    fn only_safe_characters_are_left() {
        assert_eq!(slug("Line Crossing"), Some("line_crossing".into()));
        assert_eq!(slug("a/b+#$.*>\0 c"), Some("a_b_c".into()));
        assert_eq!(slug("__x__"), Some("x".into()));
        assert_eq!(slug("人"), None);
        assert_eq!(slug(&"x".repeat(200)).map(|s| s.len()), Some(64));
    }
}
