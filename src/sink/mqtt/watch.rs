//! What an inbound message means. Pure.

use std::collections::HashMap;

use bytes::Bytes;

use super::settings::MqttSettings;
use crate::sink::{Notice, Retained};

/// The most topics emptied by ourselves that are remembered until their echo comes.
const EMPTIED: usize = 20_000;

/// A message from the broker.
#[derive(Debug, Clone)]
pub(super) struct Inbound {
    /// Where.
    pub(super) topic: String,
    /// What.
    pub(super) payload: Bytes,
    /// It is the stored message, sent because we subscribed; not a live one.
    pub(super) retained: bool,
}

/// What a session waits for.
#[derive(Debug)]
pub(super) struct Watch {
    token_topic: String,
    /// The payloads that may be found there; `None` once the verdict is out.
    tokens: Option<Vec<String>>,
    /// What we send to the token's topic to learn whether we may read it at all.
    probe: String,
    probe_heard: bool,
    birth_topic: Option<String>,
    discovery_topic: Option<String>,
    /// Topics emptied by ourselves whose echo is still to come (MQTT 3.1.1 knows no "no-local").
    emptied: HashMap<String, u32>,
    echoes: bool,
    /// Filters whose retained messages were asked for.
    read_back: Vec<String>,
}

impl Watch {
    /// `tokens`: of which one should be found retained, none: no verdict is wanted. `echoes`: our own messages come back.
    pub(super) fn new(settings: &MqttSettings, tokens: Vec<String>, probe: String, echoes: bool) -> Self {
        Self {
            token_topic: settings.token_topic.clone(),
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

    /// What to tell of a message, if anything.
    pub(super) fn hear(&mut self, inbound: Inbound) -> Option<Notice> {
        let Inbound { topic, payload, retained } = inbound;
        if topic == self.token_topic {
            return self.hear_token(&payload, retained);
        }
        // A retained birth message is old news: everything is announced at connect anyway.
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

    /// The verdict on the retained store, from what is at the token's topic.
    fn hear_token(&mut self, payload: &[u8], retained: bool) -> Option<Notice> {
        if payload == self.probe.as_bytes() {
            self.probe_heard = true;
        } else if retained && let Some(tokens) = self.tokens.take() {
            let kept = tokens.iter().any(|token| payload == token.as_bytes());
            return Some(Notice::Retained(if kept { Retained::Kept } else { Retained::Lost }));
        }
        None
    }

    /// Whether the verdict is still out.
    pub(super) fn undecided(&self) -> bool {
        self.tokens.is_some()
    }

    /// The verdict when nothing came in time. A probe that came back shows that the topic can be read, so the token
    /// is gone; brokers that grant every subscription and withhold the messages (mosquitto) show nothing else.
    pub(super) fn decide(&mut self) -> Option<Retained> {
        self.tokens.take()?;
        Some(if self.probe_heard { Retained::Lost } else { Retained::Unreadable })
    }

    /// Expects the retained messages under a filter.
    pub(super) fn await_filter(&mut self, filter: &str) {
        self.read_back.push(filter.to_owned());
    }

    /// Notes that we empty this topic ourselves.
    pub(super) fn emptying(&mut self, topic: &str) {
        if self.echoes && self.is_ours(topic) && self.emptied.len() < EMPTIED {
            *self.emptied.entry(topic.to_owned()).or_default() += 1;
        }
    }

    /// Whether it is a discovery topic of this program.
    fn is_ours(&self, topic: &str) -> bool {
        let rest = self.discovery_topic.as_ref().and_then(|prefix| topic.strip_prefix(prefix.as_str()));
        let object = rest.and_then(|rest| rest.strip_prefix("/device/")?.strip_suffix("/config"));
        object.is_some_and(|object| object.starts_with("alarmbus_") && !object.contains('/'))
    }

    /// Whether this is the echo of our own emptying.
    fn is_echo(&mut self, topic: &str) -> bool {
        let Some(left) = self.emptied.get_mut(topic) else { return false };
        *left -= 1;
        if *left == 0 {
            self.emptied.remove(topic);
        }
        true
    }
}

/// Whether a topic is under a filter (MQTT 5, section 4.7).
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

    use super::{Inbound, Watch, matches};
    use crate::config::{HomeAssistant, Mqtt};
    use crate::sink::mqtt::MqttSettings;
    use crate::sink::{Notice, Retained};

    const CONFIG: &str = "homeassistant/device/alarmbus_98ba5f8b1003/config";

    fn watch(token: Option<&str>, echoes: bool) -> Watch {
        let mqtt = Mqtt { server: Some("broker".into()), ..Mqtt::default() };
        let settings = MqttSettings::new(&mqtt, &HomeAssistant::default(), "7f", None, None).unwrap();
        Watch::new(&settings, token.map(str::to_owned).into_iter().collect(), "probe-1".into(), echoes)
    }

    fn inbound(topic: &str, payload: &'static str, retained: bool) -> Inbound {
        Inbound { topic: topic.into(), payload: Bytes::from_static(payload.as_bytes()), retained }
    }

    #[test]
    fn the_token_read_back_decides_once() {
        for (payload, verdict) in [("t1", Retained::Kept), ("t0", Retained::Lost)] {
            let mut watch = watch(Some("t1"), false);
            let token = inbound("alarmbus/bridge/token", payload, true);
            assert_eq!(watch.hear(token.clone()), Some(Notice::Retained(verdict)));
            assert_eq!((watch.hear(token), watch.decide()), (None, None));
        }
    }

    #[test]
    fn an_absent_token_is_lost_only_if_it_could_have_been_read() {
        let mut silent = watch(Some("t1"), false);
        assert_eq!(silent.decide(), Some(Retained::Unreadable));
        let mut readable = watch(Some("t1"), false);
        assert_eq!(readable.hear(inbound("alarmbus/bridge/token", "probe-1", false)), None);
        assert!(readable.undecided());
        assert_eq!(readable.decide(), Some(Retained::Lost));
    }

    #[test]
    fn only_a_live_birth_counts() {
        let mut watch = watch(None, false);
        assert_eq!(watch.hear(inbound("homeassistant/status", "online", true)), None);
        assert_eq!(watch.hear(inbound("homeassistant/status", "offline", false)), None);
        assert_eq!(watch.hear(inbound("homeassistant/status", "online", false)), Some(Notice::Birth));
    }

    #[test]
    fn only_others_emptying_our_devices_is_told() {
        let mut watch = watch(None, true);
        assert_eq!(watch.hear(inbound(CONFIG, "{}", true)), None, "our own, stored");
        assert_eq!(watch.hear(inbound(CONFIG, "{}", false)), None, "our own, live");
        assert_eq!(watch.hear(inbound("homeassistant/device/zigbee_1/config", "", false)), None, "not ours");
        watch.emptying(CONFIG);
        assert_eq!(watch.hear(inbound(CONFIG, "", false)), None, "the echo");
        assert_eq!(watch.hear(inbound(CONFIG, "", false)), Some(Notice::Emptied(CONFIG.into())));
    }

    #[test]
    fn stored_states_are_found_when_asked_for() {
        let mut watch = watch(None, false);
        let state = inbound("alarmbus/98ba5f8b1003/state/person", "ON", true);
        assert_eq!(watch.hear(state.clone()), None);
        watch.await_filter("alarmbus/+/state/+");
        assert!(matches!(watch.hear(state), Some(Notice::Found { .. })));
    }

    #[test]
    fn filters_match_by_level() {
        assert!(
            matches("a/+/c", "a/b/c") && matches("a/#", "a/b/c") && matches("a/#", "a") && matches("#", "a")
        );
        assert!(!matches("a/+", "a") && !matches("a/+", "a/b/c") && !matches("a/b", "a/b/c"));
    }
}
