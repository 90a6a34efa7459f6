//! Requests and mutes from the broker's clients: the topics they arrive at, and the topic of the answer.

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::packet::{Inbound, Replier, Subscription};
use crate::config;
use crate::sink::request::{Request, RequestSender, busy, refused_reply, too_large};

/// Bytes of a packet reserved for topic and properties of an answer.
const OVERHEAD: usize = 1_024;

/// Recognizer of requests among the inbound messages.
#[derive(Debug, Clone)]
pub struct RequestTopics {
    base: String,
    /// Topic prefix of the bridge's own topics.
    bridge: String,
    /// Topic prefix that belongs to Home Assistant discovery.
    discovery: Option<String>,
    taken: config::Requests,
    requests: RequestSender,
}

impl RequestTopics {
    /// Creates it for a bridge.
    pub(super) fn new(
        base: &str,
        bridge: &str,
        discovery: Option<&str>,
        taken: &config::Requests,
        requests: RequestSender,
    ) -> Self {
        Self {
            base: base.to_owned(),
            bridge: bridge.to_owned(),
            discovery: discovery.map(str::to_owned),
            taken: taken.clone(),
            requests,
        }
    }

    /// Topic filters to subscribe to.
    pub(super) fn filters(&self) -> Vec<Subscription> {
        let asked = self.taken.enabled.then(|| format!("{}/request/+", self.bridge));
        let muted = self.taken.mute_topic.then(|| format!("{}/+/mute/set", self.base));
        let filter = |path| Subscription { path, no_local: true, stored: false };
        asked.into_iter().chain(muted).map(filter).collect()
    }

    /// Accepts a message that is a request; returns any other. A retained request is old and was answered before.
    pub(super) fn take(
        &self,
        inbound: Inbound,
        client: &impl Replier,
        packet_bytes: Option<usize>,
    ) -> Option<Inbound> {
        if let Some(verb) = self.verb(&inbound.topic) {
            if !inbound.retained {
                self.ask(&verb, inbound, client, packet_bytes);
            }
            return None;
        }
        let Some(source) = self.muted_source(&inbound.topic) else { return Some(inbound) };
        if !inbound.retained && !inbound.payload.is_empty() {
            let (verb, body) = mute(&source, &inbound.payload);
            let request = Request { topic: inbound.topic, verb: verb.into(), body, answer: None };
            if self.requests.try_send(request).is_err() {
                tracing::warn!(device.source = source, "too many requests wait: a mute was refused");
            }
        }
        None
    }

    fn verb(&self, topic: &str) -> Option<String> {
        let verb = topic.strip_prefix(&self.bridge)?.strip_prefix("/request/")?;
        (self.taken.enabled && !verb.is_empty()).then(|| verb.to_owned())
    }

    fn muted_source(&self, topic: &str) -> Option<String> {
        let source = topic.strip_prefix(&self.base)?.strip_prefix('/')?.strip_suffix("/mute/set")?;
        (self.taken.mute_topic && !source.contains('/')).then(|| source.to_owned())
    }

    /// Passes a request on, and publishes the answer when it arrives.
    fn ask(&self, verb: &str, inbound: Inbound, client: &impl Replier, packet_bytes: Option<usize>) {
        let Inbound { topic, payload, reply, .. } = inbound;
        let usual = format!("{}/response/{verb}", self.bridge);
        let wanted = reply.topic.clone().unwrap_or_else(|| usual.clone());
        let (to, refused) = match self.may_answer_at(&wanted) {
            Ok(()) => (wanted, None),
            Err(why) => (usual, Some(why)),
        };
        let (answer, answered) = oneshot::channel();
        let request = Request { topic, verb: verb.to_owned(), body: payload, answer: Some(answer) };
        let taken = refused.is_none() && self.requests.try_send(request).is_ok();
        let client = client.clone();
        tokio::spawn(async move {
            let payload = match refused {
                Some(why) => why,
                None if taken => answered.await.unwrap_or_else(|_| busy()),
                None => busy(),
            };
            let fits = packet_bytes.is_none_or(|most| payload.len() + to.len() + OVERHEAD <= most);
            client.answer(to, if fits { payload } else { too_large() }, reply.correlation).await;
        });
    }

    /// Checks that answers may be sent to a requested topic: never to one where the bridge publishes other messages.
    fn may_answer_at(&self, topic: &str) -> Result<(), Bytes> {
        let below = |prefix: &str| {
            topic.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let own = below(&self.base) && !topic.starts_with(&format!("{}/response/", self.bridge));
        let discovery = self.discovery.as_deref().is_some_and(below);
        if !own
            && !discovery
            && !topic.is_empty()
            && !topic.contains(['+', '#', '\0'])
            && !topic.starts_with('$')
        {
            return Ok(());
        }
        Err(refused_reply(topic, &format!("{}/response/", self.bridge)))
    }
}

/// Request that a payload at a device's mute topic stands for: `ON`, `OFF`, a number of seconds, or an object with
/// `event`, `seconds` and `muted`.
fn mute(source: &str, payload: &[u8]) -> (&'static str, Bytes) {
    let text = String::from_utf8_lossy(payload);
    let mut asked = match text.trim() {
        "ON" | "on" => json!({}),
        "OFF" | "off" => json!({"muted": false}),
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            json!({"seconds": number.parse::<u64>().unwrap_or(u64::MAX)})
        }
        other => serde_json::from_str(other).unwrap_or_else(|_| json!({"payload": other})),
    };
    let Some(object) = asked.as_object_mut() else {
        return ("mute", json!({"source": source, "payload": asked}).to_string().into());
    };
    let lifted = object.remove("muted") == Some(Value::Bool(false));
    object.insert("source".into(), source.into());
    (if lifted { "unmute" } else { "mute" }, asked.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request_topics() -> RequestTopics {
        let taken = config::Requests { enabled: true, mute_topic: true };
        let (requests, _) = tokio::sync::mpsc::channel(1);
        RequestTopics::new("alarmbus", "alarmbus/bridge", Some("homeassistant"), &taken, requests)
    }

    #[test]
    fn answers_go_nowhere_the_bridge_publishes_itself() {
        for topic in ["me/answers", "alarmbus2/x", "alarmbus/bridge/response/list", "homeassistant2/x"] {
            assert_eq!(request_topics().may_answer_at(topic), Ok(()), "{topic}");
        }
        for topic in [
            "",
            "a/+",
            "a/#",
            "$SYS/x",
            "alarmbus/x/state/person",
            "alarmbus/bridge/state",
            "homeassistant/device/x/config",
        ] {
            assert!(request_topics().may_answer_at(topic).is_err(), "{topic}");
        }
    }

    #[test]
    fn a_payload_of_the_mute_topic_is_read_in_every_form() {
        for (payload, verb, body) in [
            ("ON", "mute", json!({"source": "x"})),
            ("OFF", "unmute", json!({"source": "x"})),
            ("90", "mute", json!({"seconds": 90, "source": "x"})),
            (
                r#"{"event":"motion","seconds":60}"#,
                "mute",
                json!({"event": "motion", "seconds": 60, "source": "x"}),
            ),
            (r#"{"event":"motion","muted":false}"#, "unmute", json!({"event": "motion", "source": "x"})),
            ("maybe", "mute", json!({"payload": "maybe", "source": "x"})),
        ] {
            let (found, asked) = mute("x", payload.as_bytes());
            assert_eq!((found, serde_json::from_slice::<Value>(&asked).unwrap()), (verb, body), "{payload}");
        }
    }

    #[test]
    fn only_topics_of_requests_are_taken() {
        assert_eq!(request_topics().verb("alarmbus/bridge/request/list").as_deref(), Some("list"));
        assert_eq!(request_topics().verb("alarmbus/bridge/state"), None);
        assert_eq!(
            request_topics().muted_source("alarmbus/98ba5f8b1003/mute/set").as_deref(),
            Some("98ba5f8b1003")
        );
        assert_eq!(request_topics().muted_source("alarmbus/a/b/mute/set"), None);
        let paths: Vec<String> = request_topics().filters().into_iter().map(|filter| filter.path).collect();
        assert_eq!(paths, ["alarmbus/bridge/request/+", "alarmbus/+/mute/set"]);
    }
}
