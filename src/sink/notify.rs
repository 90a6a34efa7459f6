//! Notifications over HTTP: one request for each alarm, to an ntfy server or a webhook of any service.
//!
//! The answer is the acknowledgement: 2xx is delivered. 400, 413, 422 and their like say that this message will never be
//! taken: it is sent once more without its picture, then parked. Any other answer, or none, is a failure: the relay
//! sends the message again, and parks it if the receiver takes others and never this one.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

mod connection;
mod request;

use super::{
    Failure, FailureKind, Notice, Outcome, Receipt, Refusal, RefusalCode, Retained, Session, Sink, SinkDown,
    Traits,
};
use crate::config;
use crate::findings::FindingCode;
use crate::model::Mac;
use crate::render::{Message, MessagePart};
use connection::{Answer, Connection};
use request::Composer;

/// Attempts of a message that fail, from which on its picture may be the reason.
const MAX_FAILURES: u32 = 2;
/// Maximum number of messages whose failed attempts are counted.
const MAX_COUNTED: usize = 256;
/// Longest time to connect.
const CONNECT: Duration = Duration::from_secs(9);

/// Sends notifications.
#[derive(Debug, Clone)]
pub struct Notify {
    config: Arc<config::Notify>,
    composer: Composer,
    connection: Connection,
    /// The picture of the alarm that comes next.
    picture: Option<(Uuid, Bytes)>,
    /// Failed attempts of messages that were not accepted since.
    attempts: HashMap<Uuid, Attempts>,
    /// Pictures that the server refused, to be reported.
    problems: Vec<String>,
}

/// Failed attempts of one message.
#[derive(Debug, Clone, Copy, Default)]
struct Attempts {
    /// All of them.
    failed: u32,
    /// Those without an answer.
    unanswered: u32,
}

/// Answer to a request, or the outcome without one.
type Exchanged = Result<Answer, Outcome>;

impl Notify {
    /// Creates a sink for the settings.
    ///
    /// # Errors
    /// Fails when address, headers or a template cannot be used.
    pub fn new(config: &config::Notify) -> Result<Self, String> {
        let config = Arc::new(config.clone());
        Ok(Self {
            composer: Composer::new(&config)?,
            connection: Connection::new(&config)?,
            config,
            picture: None,
            attempts: HashMap::new(),
            problems: Vec::new(),
        })
    }

    /// Scheme, host and port of the server: the part of its address that is no secret.
    #[must_use]
    pub fn target(&self) -> String {
        self.connection.target()
    }

    /// Returns whether an alarm becomes a notification.
    fn wants(&self, alarm: &Value) -> bool {
        let config = &self.config;
        let text = |pointer: &str| alarm.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let flag = |pointer: &str| alarm.pointer(pointer).and_then(Value::as_bool).unwrap_or_default();
        let repeat = text("/phase") == "update";
        let event = text("/event");
        let mac = text("/device/mac").parse::<Mac>().ok();
        let is_device = |wanted: &String| {
            ["/source", "/device/name", "/device/ip"].iter().any(|pointer| text(pointer) == wanted)
                || (mac.is_some() && wanted.parse::<Mac>().ok() == mac)
        };
        (config.muted || !flag("/muted"))
            && (config.repeats || !repeat)
            && (config.events.is_empty() || config.events.iter().any(|wanted| wanted == event))
            && (config.devices.is_empty() || config.devices.iter().any(is_device))
    }

    /// Sends one alarm and judges the answer. A picture that may be the reason of a failure is left out.
    async fn notify(&mut self, id: Uuid, alarm: &Value, picture: Option<Bytes>) -> Result<Outcome, SinkDown> {
        let attempts = self.attempts.get(&id).copied().unwrap_or_default();
        let left_out = MAX_FAILURES <= attempts.unanswered && attempts.unanswered.is_multiple_of(2);
        if picture.is_some() && left_out {
            let why = format!("{} tries with the picture got no answer", attempts.unanswered);
            return self.without_picture(id, alarm, &why).await;
        }
        let with_picture = picture.is_some();
        match self.exchange(id, alarm, picture).await? {
            Ok(answer)
                if with_picture
                    && (is_never(answer.status)
                        || (answer.status.is_server_error() && MAX_FAILURES <= attempts.failed)) =>
            {
                let why = self.connection.describe(&answer);
                self.without_picture(id, alarm, &why).await
            }
            Ok(answer) => Ok(self.judge(id, &answer)),
            Err(outcome) => Ok(outcome),
        }
    }

    /// Sends an alarm without its picture. `why`: reason for leaving it out.
    async fn without_picture(&mut self, id: Uuid, alarm: &Value, why: &str) -> Result<Outcome, SinkDown> {
        let answer = match self.exchange(id, alarm, None).await? {
            Ok(answer) => answer,
            Err(outcome) => return Ok(outcome),
        };
        if answer.status.is_success() {
            self.problems.push(format!("{why}; the notification was sent without its picture"));
        }
        Ok(self.judge(id, &answer))
    }

    /// Makes the request and sends it.
    async fn exchange(
        &mut self,
        id: Uuid,
        alarm: &Value,
        picture: Option<Bytes>,
    ) -> Result<Exchanged, SinkDown> {
        let request = match self.composer.make(alarm, picture) {
            Ok(Some(request)) => request,
            Ok(None) => return Ok(Err(Outcome::Skipped)),
            Err(reason) => {
                return Ok(Err(Outcome::Refused(Refusal { code: RefusalCode::PayloadInvalid, reason })));
            }
        };
        let limit = Duration::from_secs(self.config.timeout_seconds);
        let began = Instant::now();
        let reason = match timeout(limit, self.connection.exchange(request)).await {
            Ok(Ok(answer)) => return Ok(Ok(answer)),
            Ok(Err(connection::Failure::Down(down))) => return Err(down),
            Ok(Err(connection::Failure::Broken(reason))) => reason,
            Err(_) => {
                self.connection.close();
                let seconds = limit.as_secs();
                let target = self.connection.target();
                format!("{target} did not answer within {seconds} s: see what it does")
            }
        };
        self.attempts_of(id).unanswered += 1;
        Ok(Err(self.failed(id, FailureKind::NoAnswer, reason, None, began.elapsed())))
    }

    /// Outcome of an answer.
    fn judge(&mut self, id: Uuid, answer: &Answer) -> Outcome {
        if answer.status.is_success() {
            self.attempts.remove(&id);
            return Outcome::Delivered { object: None, heard: None };
        }
        let reason = self.connection.describe(answer);
        if is_never(answer.status) {
            self.attempts.remove(&id);
            let code = if answer.status == StatusCode::PAYLOAD_TOO_LARGE {
                RefusalCode::TooLarge
            } else {
                RefusalCode::PayloadInvalid
            };
            return Outcome::Refused(Refusal { code, reason });
        }
        let kind = match answer.status.as_u16() {
            408 | 500..=599 => FailureKind::Answer,
            425 | 429 => FailureKind::Busy,
            _ => FailureKind::Access,
        };
        self.failed(id, kind, reason, answer.retry_after, Duration::ZERO)
    }

    /// Outcome of a message that failed.
    fn failed(
        &mut self,
        id: Uuid,
        kind: FailureKind,
        reason: String,
        retry_after: Option<Duration>,
        elapsed: Duration,
    ) -> Outcome {
        self.attempts_of(id).failed += 1;
        Outcome::Failed(Failure { kind, reason, retry_after, elapsed })
    }

    /// Failed attempts of a message.
    fn attempts_of(&mut self, id: Uuid) -> &mut Attempts {
        if MAX_COUNTED <= self.attempts.len() && !self.attempts.contains_key(&id) {
            self.attempts.clear();
        }
        self.attempts.entry(id).or_default()
    }

    /// Outcome of a message.
    async fn outcome(&mut self, message: Message) -> Result<Outcome, SinkDown> {
        let Some(id) = message.id else { return Ok(Outcome::Skipped) };
        match message.part {
            MessagePart::Picture | MessagePart::Variant(_) => self.picture = Some((id, message.payload)),
            MessagePart::Event => {
                let picture = self.picture.take().filter(|(of, _)| *of == id).map(|(_, bytes)| bytes);
                let Ok(alarm) = serde_json::from_slice::<Value>(&message.payload) else {
                    let reason = "the alarm is no JSON".into();
                    return Ok(Outcome::Refused(Refusal { code: RefusalCode::PayloadInvalid, reason }));
                };
                if self.wants(&alarm) {
                    return self.notify(id, &alarm, picture).await;
                }
            }
            MessagePart::ActivityStart | MessagePart::ActivityEnd | MessagePart::Value => {}
        }
        Ok(Outcome::Skipped)
    }
}

impl Sink for Notify {
    fn traits(&self) -> Traits {
        Traits { name: "notify", values: false, discovery: false, one_per_source: true, acknowledges: true }
    }

    async fn connect(&mut self) -> Result<Session, SinkDown> {
        self.picture = None;
        let target = self.connection.target();
        timeout(CONNECT, self.connection.open()).await.unwrap_or_else(|_| {
            let reason = format!("{target} does not answer: check notify.url, network and firewall");
            Err(SinkDown { code: FindingCode::BrokerUnreachable, reason })
        })?;
        Ok(Session {
            max_payload: None,
            window: 1,
            retained: Retained::Kept,
            description: format!("notifications to {target}"),
            token: None,
        })
    }

    async fn send(&mut self, message: Message) -> Result<Receipt, SinkDown> {
        let outcome = self.outcome(message).await?;
        let (sender, receipt) = oneshot::channel();
        // The receiver is in this function until it returns.
        sender.send(outcome).ok();
        Ok(receipt)
    }

    async fn notice(&mut self) -> Notice {
        match self.problems.pop() {
            Some(detail) => Notice::Problem { code: FindingCode::PictureTooLarge, detail },
            None => std::future::pending().await,
        }
    }

    async fn close(&mut self) {
        self.connection.close();
    }
}

/// Returns whether an answer says that the server will never take this message. An address or a login that is refused
/// concerns every message, and may be corrected.
fn is_never(status: StatusCode) -> bool {
    let all_alike = [401, 403, 404, 405, 407, 408, 410, 421, 425, 426, 429];
    status.is_client_error() && !all_alike.contains(&status.as_u16())
}
