//! Interpretation of inbound messages. Pure.

use std::collections::HashMap;

use super::packet::Inbound;
use super::settings::MqttSettings;
use crate::sink::{Notice, Retained};

/// Maximum number of topics that the bridge emptied and whose echo has not arrived.
const MAX_EMPTIED: usize = 20_000;

/// State of a session's expected messages.
#[derive(Debug)]
pub(super) struct InboundWatch {
    token_topic: String,
    /// Instance id that marks of this bridge have.
    instance_id: String,
    /// Tokens that may be retained; `None` once the check is decided.
    tokens: Option<Vec<String>>,
    /// Payload that the bridge sends to the token topic to learn whether the topic can be read.
    probe: String,
    probe_heard: bool,
    birth_topic: Option<String>,
    discovery_topic: Option<String>,
    /// Topics that the bridge emptied, with the number of expected echoes (MQTT 3.1.1 has no "no-local").
    emptied: HashMap<String, u32>,
    echoes: bool,
    /// Filters of requested retained messages.
    read_back: Vec<String>,
}

impl InboundWatch {
    /// State at the start of a session. `tokens`: one of them should be retained; empty: no check. `echoes`: the
    /// broker delivers the bridge's own messages.
    pub(super) fn new(settings: &MqttSettings, tokens: Vec<String>, probe: String, echoes: bool) -> Self {
        Self {
            token_topic: settings.token_topic.clone(),
            instance_id: settings.instance_id.clone(),
            tokens: Some(tokens).filter(|tokens| !tokens.is_empty()),
            probe,
            probe_heard: false,
            birth_topic: settings.birth_topic.clone(),
            discovery_topic: settings.discovery_topic.clone(),
            emptied: HashMap::new(),
            echoes,
            read_back: Vec::new(),
        }
    }

    /// Notice for a message, if any.
    pub(super) fn interpret(&mut self, inbound: Inbound) -> Option<Notice> {
        let Inbound { topic, payload, retained, .. } = inbound;
        if topic == self.token_topic {
            return self.interpret_token(&payload, retained);
        }
        // A retained birth message is old: everything is published at connect anyway.
        if self.birth_topic.as_ref() == Some(&topic) {
            return (!retained && payload.as_ref() == b"online").then_some(Notice::Birth);
        }
        if retained {
            let wanted = !payload.is_empty() && self.read_back.iter().any(|filter| matches(filter, &topic));
            return wanted.then_some(Notice::Found { topic, payload });
        }
        let emptied = payload.is_empty() && self.is_ours(&topic) && !self.is_echo(&topic);
        emptied.then_some(Notice::Emptied(topic))
    }

    /// Mark in the retained token, if this bridge published it.
    pub(super) fn mark(&self, inbound: &Inbound) -> Option<Notice> {
        let wanted = inbound.retained && inbound.topic == self.token_topic;
        let text = std::str::from_utf8(&inbound.payload).ok().filter(|_| wanted)?;
        let (instance, mark) = text.split_once('.')?.1.split_once('.')?;
        (instance == self.instance_id).then(|| Notice::Mark(mark.to_owned()))
    }

    /// Result of the check from a message at the token topic.
    fn interpret_token(&mut self, payload: &[u8], retained: bool) -> Option<Notice> {
        if payload == self.probe.as_bytes() {
            self.probe_heard = true;
        } else if retained && let Some(tokens) = self.tokens.take() {
            // The mark after the token itself may be newer than the last acknowledged one.
            let kept = tokens.iter().any(|token| proper(payload) == proper(token.as_bytes()));
            return Some(Notice::Retained(if kept { Retained::Kept } else { Retained::Lost }));
        }
        None
    }

    /// Returns whether the check is not decided yet.
    pub(super) fn undecided(&self) -> bool {
        self.tokens.is_some()
    }

    /// Result of the check when no token arrived in time. A probe that came back shows that the topic can be read, so
    /// the token is lost; brokers that grant every subscription and withhold the messages (mosquitto) give no other
    /// sign.
    pub(super) fn decide(&mut self) -> Option<Retained> {
        self.tokens.take()?;
        Some(if self.probe_heard { Retained::Lost } else { Retained::Unreadable })
    }

    /// Expects the retained messages under a filter.
    pub(super) fn await_filter(&mut self, filter: &str) {
        self.read_back.push(filter.to_owned());
    }

    /// Records that the bridge empties this topic.
    pub(super) fn emptying(&mut self, topic: &str) {
        if self.echoes && self.is_ours(topic) && self.emptied.len() < MAX_EMPTIED {
            *self.emptied.entry(topic.to_owned()).or_default() += 1;
        }
    }

    /// Returns whether it is a discovery topic of this program.
    fn is_ours(&self, topic: &str) -> bool {
        let rest = self.discovery_topic.as_ref().and_then(|prefix| topic.strip_prefix(prefix.as_str()));
        let object = rest.and_then(|rest| rest.strip_prefix("/device/")?.strip_suffix("/config"));
        object.is_some_and(|object| object.starts_with("alarmbus_") && !object.contains('/'))
    }

    /// Returns whether this is the echo of an emptying by the bridge.
    fn is_echo(&mut self, topic: &str) -> bool {
        let Some(left) = self.emptied.get_mut(topic) else { return false };
        *left -= 1;
        if *left == 0 {
            self.emptied.remove(topic);
        }
        true
    }
}

/// Token without its mark.
fn proper(token: &[u8]) -> &[u8] {
    token.split(|byte| *byte == b'.').next().unwrap_or_default()
}

/// Returns whether a topic is under a filter (MQTT 5, section 4.7).
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        if wanted == "#" {
            return true;
        }
        match levels.next() {
            Some(level) if wanted == "+" || wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::{Inbound, InboundWatch, matches};
    use crate::config::{HomeAssistant, Mqtt};
    use crate::sink::mqtt::MqttSettings;
    use crate::sink::mqtt::packet::ReplyAddress;
    use crate::sink::{Notice, Retained};

    const CONFIG: &str = "homeassistant/device/alarmbus_98ba5f8b1003/config";

    fn watch(token: Option<&str>, echoes: bool) -> InboundWatch {
        let mqtt = Mqtt { server: Some("broker".into()), ..Mqtt::default() };
        let settings = MqttSettings::new(&mqtt, &HomeAssistant::default(), "7f", None, None).unwrap();
        InboundWatch::new(&settings, token.map(str::to_owned).into_iter().collect(), "probe-1".into(), echoes)
    }

    fn inbound(topic: &str, payload: &'static str, retained: bool) -> Inbound {
        let payload = Bytes::from_static(payload.as_bytes());
        Inbound { topic: topic.into(), payload, retained, reply: ReplyAddress::default() }
    }

    #[test]
    fn the_token_read_back_decides_once() {
        for (payload, verdict) in [("t1", Retained::Kept), ("t0", Retained::Lost)] {
            let mut watch = watch(Some("t1"), false);
            let token = inbound("alarmbus/bridge/token", payload, true);
            assert_eq!(watch.interpret(token.clone()), Some(Notice::Retained(verdict)));
            assert_eq!((watch.interpret(token), watch.decide()), (None, None));
        }
    }

    #[test]
    fn a_token_is_the_same_with_another_mark_and_only_our_own_mark_is_told() {
        let topic = "alarmbus/bridge/token";
        let mut sees = watch(Some("t1.7f.1-2-3-4"), false);
        let token = inbound(topic, "t1.7f.1-2-9-4", true);
        assert_eq!(sees.mark(&token), Some(Notice::Mark("1-2-9-4".into())));
        assert_eq!(sees.interpret(token), Some(Notice::Retained(Retained::Kept)));
        for other in [
            inbound(topic, "t1.80.1-2-9-4", true),
            inbound(topic, "t1", true),
            inbound(topic, "t1.7f.1-2-9-4", false),
            inbound("alarmbus/bridge/info", "t1.7f.1-2-9-4", true),
        ] {
            assert_eq!(sees.mark(&other), None, "{other:?}");
        }
    }

    #[test]
    fn an_absent_token_is_lost_only_if_it_could_have_been_read() {
        let mut silent = watch(Some("t1"), false);
        assert_eq!(silent.decide(), Some(Retained::Unreadable));
        let mut readable = watch(Some("t1"), false);
        assert_eq!(readable.interpret(inbound("alarmbus/bridge/token", "probe-1", false)), None);
        assert!(readable.undecided());
        assert_eq!(readable.decide(), Some(Retained::Lost));
    }

    #[test]
    fn only_a_live_birth_counts() {
        let mut watch = watch(None, false);
        assert_eq!(watch.interpret(inbound("homeassistant/status", "online", true)), None);
        assert_eq!(watch.interpret(inbound("homeassistant/status", "offline", false)), None);
        assert_eq!(watch.interpret(inbound("homeassistant/status", "online", false)), Some(Notice::Birth));
    }

    #[test]
    fn only_others_emptying_our_devices_is_told() {
        let mut watch = watch(None, true);
        assert_eq!(watch.interpret(inbound(CONFIG, "{}", true)), None, "our own, stored");
        assert_eq!(watch.interpret(inbound(CONFIG, "{}", false)), None, "our own, live");
        assert_eq!(
            watch.interpret(inbound("homeassistant/device/zigbee_1/config", "", false)),
            None,
            "not ours"
        );
        watch.emptying(CONFIG);
        assert_eq!(watch.interpret(inbound(CONFIG, "", false)), None, "the echo");
        assert_eq!(watch.interpret(inbound(CONFIG, "", false)), Some(Notice::Emptied(CONFIG.into())));
    }

    #[test]
    fn stored_states_are_found_when_asked_for() {
        let mut watch = watch(None, false);
        let state = inbound("alarmbus/98ba5f8b1003/state/person", "ON", true);
        assert_eq!(watch.interpret(state.clone()), None);
        watch.await_filter("alarmbus/+/state/+");
        assert!(matches!(watch.interpret(state), Some(Notice::Found { .. })));
    }

    #[test]
    fn filters_match_by_level() {
        assert!(
            matches("a/+/c", "a/b/c") && matches("a/#", "a/b/c") && matches("a/#", "a") && matches("#", "a")
        );
        assert!(!matches("a/+", "a") && !matches("a/+", "a/b/c") && !matches("a/b", "a/b/c"));
    }
}
