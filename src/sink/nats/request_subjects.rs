//! Requests over NATS: request and reply at `<prefix>.<bridge>.request.<verb>`.

use std::sync::Arc;

use async_nats::Message;
use futures_util::StreamExt as _;
use tokio::sync::oneshot;

use super::link::shared::SessionState;
use crate::findings::FindingCode;
use crate::sink::SinkDown;
use crate::sink::request::{Request, RequestSender, busy, too_large};

/// Accepts requests and answers them.
#[derive(Debug, Clone)]
pub(super) struct RequestSubjects {
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
        Self { subject: below("request"), response: below("response"), requests }
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

    /// Passes a request on, and publishes the answer when it arrives.
    fn ask(&self, message: Message, shared: &Arc<SessionState>) {
        let topic = message.subject.to_string();
        let Some(verb) = topic.strip_prefix(&self.subject).map(str::to_owned) else { return };
        let to = message.reply.map_or_else(|| format!("{}{verb}", self.response), |reply| reply.to_string());
        let (answer, answered) = oneshot::channel();
        let request = Request { topic, verb, body: message.payload, answer: Some(answer) };
        let taken = self.requests.try_send(request).is_ok();
        let client = shared.client.clone();
        tokio::spawn(async move {
            let payload = if taken { answered.await.unwrap_or_else(|_| busy()) } else { busy() };
            let payload = if payload.len() <= client.max_payload() { payload } else { too_large() };
            if let Err(error) = client.publish(to, payload).await {
                tracing::debug!("the answer to a request was not sent: {error}");
            }
        });
    }
}
