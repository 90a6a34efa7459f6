//! Conversion of topics to subjects, and subject matching. Pure.

/// Turns a topic under `prefix` into a subject: levels become tokens.
///
/// # Errors
/// Returns a sentence when the result is not a valid subject to publish to: no level may add a token, a wildcard or a
/// blank. (Only the prefix, which the operator configures, may contain dots.)
pub(super) fn subject(prefix: &str, topic: &str) -> Result<String, String> {
    let rest = topic
        .strip_prefix(prefix)
        .and_then(|rest| rest.strip_prefix('/'))
        .ok_or_else(|| format!("the topic {topic:?} is not under the prefix {prefix:?}"))?;
    let mut subject = String::with_capacity(topic.len());
    for token in prefix.split('.') {
        push(&mut subject, token)?;
    }
    for level in rest.split('/') {
        if level.contains('.') {
            return Err(format!("the level {level:?} of the topic {topic:?} holds a dot"));
        }
        push(&mut subject, level)?;
    }
    Ok(subject)
}

/// Adds one token.
fn push(subject: &mut String, token: &str) -> Result<(), String> {
    if token.is_empty() {
        return Err(format!("a level of the subject after {subject:?} is empty"));
    }
    if token.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>')) {
        return Err(format!("the level {token:?} holds a blank, a control character or a wildcard"));
    }
    if !subject.is_empty() {
        subject.push('.');
    }
    subject.push_str(token);
    Ok(())
}

/// Returns whether everything that `narrow` matches is matched by `wide` (both may hold `*` and `>`).
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    let mut narrow = narrow.split('.');
    for token in wide.split('.') {
        match (token, narrow.next()) {
            (_, None) | ("*", Some(">")) => return false,
            (">", Some(_)) => return true,
            ("*", Some(_)) => {}
            (token, Some(other)) if token != other => return false,
            _ => {}
        }
    }
    narrow.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::{covers, subject};

    #[test]
    fn levels_become_tokens() {
        assert_eq!(subject("alarmbus", "alarmbus/a-1/event/x"), Ok("alarmbus.a-1.event.x".into()));
        assert_eq!(subject("site.bus", "site.bus/a/last"), Ok("site.bus.a.last".into()));
    }

    #[test]
    fn nothing_invalid_gets_through() {
        for topic in [
            "other/a/last",
            "alarmbus",
            "alarmbus/",
            "alarmbus//last",
            "alarmbus/a b/last",
            "alarmbus/*/last",
            "alarmbus/>",
            "alarmbus/a.b/last",
            "alarmbus/a\r\nPUB x/last",
            "alarmbusx/last",
        ] {
            assert!(subject("alarmbus", topic).is_err(), "{topic}");
        }
        assert!(subject("a..b", "a..b/last").is_err());
        assert!(subject("", "/last").is_err());
    }

    #[test]
    fn covering_is_by_token() {
        for (wide, narrow) in [
            ("a.*.event.*", "a.*.event.*"),
            ("a.>", "a.*.event.*"),
            (">", "a.b"),
            ("a.*.event.*", "a.b.event.c"),
            ("a.*.picture.>", "a.*.picture.>"),
            ("a.>", "a.*.picture.>"),
        ] {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("a.*.event.*", "a.>"),
            ("a.b.event.*", "a.*.event.*"),
            ("a.*", "a.b.c"),
            ("a.>", "a"),
            ("a.*", "a.>"),
            ("a.b.c", "a.b"),
            ("a.*.snapshot.>", "a.*.snapshot"),
        ] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }
}
