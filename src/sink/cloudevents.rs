//! CloudEvents 1.0 attributes of log messages, in binary mode: user properties of MQTT 5, headers of NATS.
//!
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md>

use crate::render::{Message, MessagePart};

/// Attributes of a message by name, `datacontenttype` left out, which is its content type. Current values are no events
/// and have none.
///
/// `source` is the `source` attribute: the topic level of this bridge's own topics, as a URI reference.
pub(super) fn attributes(source: &str, message: &Message) -> Vec<(&'static str, String)> {
    let (Some(id), Some(kind)) = (message.id, kind(message.part)) else { return Vec::new() };
    // Source and id together name one event, and a picture has the id of its alarm.
    let id = match message.part {
        MessagePart::Picture => format!("{id}/picture"),
        MessagePart::Variant(form) => format!("{id}/picture/{}", form.as_str()),
        _ => id.to_string(),
    };
    let mut attributes = vec![
        ("specversion", "1.0".to_owned()),
        ("id", id),
        ("source", format!("/{source}")),
        ("type", kind.to_owned()),
        ("subject", message.topic.clone()),
    ];
    attributes.extend(message.time.clone().map(|time| ("time", time)));
    attributes
}

/// The `type` attribute.
fn kind(part: MessagePart) -> Option<&'static str> {
    match part {
        MessagePart::Event => Some("alarmbus.alarm"),
        MessagePart::ActivityStart => Some("alarmbus.activity.start"),
        MessagePart::ActivityEnd => Some("alarmbus.activity.end"),
        MessagePart::Picture | MessagePart::Variant(_) => Some("alarmbus.picture"),
        MessagePart::Value => None,
    }
}

/// A value as a header of NATS: percent-encoded where it is no visible ASCII, as the binding of the protocol says.
pub(super) fn header(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && byte != b'"' && byte != b'%' {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::{attributes, header};
    use crate::render::{Message, MessagePart};

    fn message(part: MessagePart) -> Message {
        Message {
            topic: "alarmbus/a/event/person".into(),
            payload: Bytes::new(),
            retain: false,
            content_type: "application/json",
            part,
            id: Some(Uuid::nil()),
            event: None,
            time: Some("2026-10-05T10:25:32Z".into()),
            sha256: None,
            replay_of: None,
        }
    }

    #[test]
    fn an_alarm_and_its_picture_are_two_events_and_a_value_is_none() {
        let of = |part| attributes("alarmbus/bridge", &message(part));
        let (alarm, picture) = (of(MessagePart::Event), of(MessagePart::Picture));
        assert_eq!(alarm[0], ("specversion", "1.0".to_owned()));
        assert_eq!(alarm[2], ("source", "/alarmbus/bridge".to_owned()));
        assert_ne!(alarm[1], picture[1]);
        assert!(of(MessagePart::Value).is_empty());
    }

    #[test]
    fn a_header_is_visible_ascii() {
        assert_eq!(header("a\"b%c d\u{e4}"), "a%22b%25c%20d%C3%A4");
    }
}
