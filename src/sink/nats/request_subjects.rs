//! Requests over NATS: request and reply at `<prefix>.<bridge>.request.<verb>`.

use std::sync::Arc;

use async_nats::Message;
use futures_util::StreamExt as _;
use tokio::sync::oneshot;

use super::link::shared::SessionState;
use crate::findings::FindingCode;
use crate::sink::SinkDown;
use crate::sink::request::{Request, RequestSender, busy, refused_reply, too_large};

/// Accepts requests and answers them.
#[derive(Debug, Clone)]
pub(super) struct RequestSubjects {
    /// Prefix of all subjects of the bridge, including the dot.
    prefix: String,
    /// Subject prefix before the verb, including the dot.
    subject: String,
    /// Subject of answers to requests without a reply subject.
    response: String,
    requests: RequestSender,
}

impl RequestSubjects {
    /// Creates it; `bridge` is the topic level of the bridge's own subjects.
    pub(super) fn new(prefix: &str, bridge: &str, requests: RequestSender) -> Self {
        let below = |word: &str| format!("{prefix}.{bridge}.{word}.");
        let own = format!("{prefix}.");
        Self { prefix: own, subject: below("request"), response: below("response"), requests }
    }

    /// Subscribes, and answers requests until the session is over.
    pub(super) async fn open(&self, shared: &Arc<SessionState>) -> Result<(), SinkDown> {
        let subscribed = shared.client.subscribe(format!("{}*", self.subject)).await;
        let mut requests = subscribed.map_err(|error| {
            super::failure::down(
                FindingCode::BrokerUnreachable,
                format!("requests cannot be subscribed to: {error}"),
            )
        })?;
        let (request_subjects, shared) = (self.clone(), Arc::clone(shared));
        tokio::spawn(async move {
            let gone = shared.ending.gone.clone();
            let work = async {
                while let Some(message) = requests.next().await {
                    request_subjects.ask(message, &shared);
                }
            };
            gone.run_until_cancelled(work).await
        });
        Ok(())
    }

    /// Checks that answers may be sent to a subject: never to one where the bridge publishes other messages, and none of
    /// the server's own, where a message is a command to it.
    fn may_answer_at(&self, subject: &str) -> bool {
        let own = subject.starts_with(&self.prefix) && !subject.starts_with(&self.response);
        !own && !subject.starts_with('$')
    }

    /// Passes a request on, and publishes the answer when it arrives.
    fn ask(&self, message: Message, shared: &Arc<SessionState>) {
        let topic = message.subject.to_string();
        let Some(verb) = topic.strip_prefix(&self.subject).map(str::to_owned) else { return };
        let usual = format!("{}{verb}", self.response);
        let wanted = message.reply.map_or_else(|| usual.clone(), |reply| reply.to_string());
        let (to, refused) = if self.may_answer_at(&wanted) {
            (wanted, None)
        } else {
            (usual, Some(refused_reply(&wanted, &self.response)))
        };
        let (answer, answered) = oneshot::channel();
        let request = Request { topic, verb, body: message.payload, answer: Some(answer) };
        let taken = refused.is_none() && self.requests.try_send(request).is_ok();
        let client = shared.client.clone();
        tokio::spawn(async move {
            let payload = match refused {
                Some(why) => why,
                None if taken => answered.await.unwrap_or_else(|_| busy()),
                None => busy(),
            };
            let payload = if payload.len() <= client.max_payload() { payload } else { too_large() };
            if let Err(error) = client.publish(to, payload).await {
                tracing::debug!("the answer to a request was not sent: {error}");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_nowhere_the_bridge_or_the_server_is_reached() {
        let (requests, _) = tokio::sync::mpsc::channel(1);
        let subjects = RequestSubjects::new("site.alarmbus", "bridge", requests);
        for subject in ["_INBOX.a.b", "me", "site.alarmbus.bridge.response.list", "site.alarmbus2.x"] {
            assert!(subjects.may_answer_at(subject), "{subject}");
        }
        for subject in [
            "site.alarmbus.98ba5f8b1003.event.person",
            "site.alarmbus.bridge.request.clear",
            "site.alarmbus.bridge.state",
            "$JS.API.STREAM.DELETE.ALARMBUS",
            "$SYS.REQ.SERVER.PING",
        ] {
            assert!(!subjects.may_answer_at(subject), "{subject}");
        }
    }
}
