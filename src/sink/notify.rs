//! Notifications over HTTP: one request for each alarm, to an ntfy server or a webhook of any service.
//!
//! The answer is the acknowledgement: 2xx is delivered. 400, 413, 422 and their like say that this message will never be
//! taken: it is sent once more without its picture, then parked. An address or a login that is refused, 408, 429, 5xx and
//! no answer concern all messages, so the message is sent again later, with growing pauses.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use uuid::Uuid;

mod connection;
mod request;

use super::{Notice, Outcome, Receipt, Refusal, RefusalCode, Retained, Session, Sink, SinkDown, Traits};
use crate::config;
use crate::findings::FindingCode;
use crate::model::Mac;
use crate::render::{Message, MessagePart};
use connection::{Answer, Connection};
use request::Composer;

/// Pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause, unless the server asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Longest pause that a server may ask for with `Retry-After`.
const LONGEST_ASKED: Duration = Duration::from_secs(3_600);
/// Longest wait for the end of a pause within one call of `send`, so that the relay comes to its other work.
const WAIT: Duration = Duration::from_secs(2);
/// Requests without an answer after which the picture may be the reason.
const MAX_BREAKS: u32 = 3;
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
    /// Consecutive failures.
    failures: u32,
    /// Consecutive requests without an answer.
    breaks: u32,
    /// Time before which nothing is sent.
    not_before: Option<Instant>,
    /// Reason of the last failure.
    failure: String,
    /// Pictures that the server refused, to be reported.
    problems: Vec<String>,
}

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
            failures: 0,
            breaks: 0,
            not_before: None,
            failure: String::new(),
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

    /// Sends one alarm and judges the answer. A picture that the server refuses, or that no connection survives, is left
    /// out.
    async fn notify(&mut self, alarm: &Value, picture: Option<Bytes>) -> Result<Outcome, SinkDown> {
        let with_picture = picture.is_some();
        match self.exchange(alarm, picture).await? {
            Ok(answer) if with_picture && is_never(answer.status) => {
                let why = self.connection.said(&answer);
                self.without_picture(alarm, &why).await
            }
            Ok(answer) => Ok(self.judge(&answer)),
            Err(_) if with_picture && MAX_BREAKS <= self.breaks => {
                let why = format!("{} tries with the picture got no answer", self.breaks);
                self.without_picture(alarm, &why).await
            }
            Err(outcome) => Ok(outcome),
        }
    }

    /// Sends an alarm without its picture. `why`: reason for leaving it out.
    async fn without_picture(&mut self, alarm: &Value, why: &str) -> Result<Outcome, SinkDown> {
        let answer = match self.exchange(alarm, None).await? {
            Ok(answer) => answer,
            Err(outcome) => return Ok(outcome),
        };
        if answer.status.is_success() {
            self.problems.push(format!("{why}; the notification was sent without its picture"));
        }
        Ok(self.judge(&answer))
    }

    /// Makes the request and sends it. The inner error is an outcome without an answer.
    async fn exchange(
        &mut self,
        alarm: &Value,
        picture: Option<Bytes>,
    ) -> Result<Result<Answer, Outcome>, SinkDown> {
        let request = match self.composer.make(alarm, picture) {
            Ok(request) => request,
            Err(reason) => {
                return Ok(Err(Outcome::Refused(Refusal { code: RefusalCode::PayloadInvalid, reason })));
            }
        };
        let limit = Duration::from_secs(self.config.timeout_seconds);
        let reason = match timeout(limit, self.connection.exchange(request)).await {
            Ok(Ok(answer)) => {
                self.breaks = 0;
                return Ok(Ok(answer));
            }
            Ok(Err(connection::Failure::Down(down))) => return Err(down),
            Ok(Err(connection::Failure::Broken(reason))) => reason,
            Err(_) => {
                self.connection.close();
                let seconds = limit.as_secs();
                format!("{} did not answer within {seconds} s: see what it does", self.connection.target())
            }
        };
        self.breaks = self.breaks.saturating_add(1);
        Ok(Err(self.later(&reason, None)))
    }

    /// Outcome of an answer.
    fn judge(&mut self, answer: &Answer) -> Outcome {
        if answer.status.is_success() || is_never(answer.status) {
            self.failures = 0;
            self.not_before = None;
        }
        if answer.status.is_success() {
            return Outcome::Delivered { object: None, heard: None };
        }
        let reason = self.connection.said(answer);
        if is_never(answer.status) {
            let code = if answer.status == StatusCode::PAYLOAD_TOO_LARGE {
                RefusalCode::TooLarge
            } else {
                RefusalCode::PayloadInvalid
            };
            return Outcome::Refused(Refusal { code, reason });
        }
        self.later(&reason, answer.retry_after)
    }

    /// Outcome of a message that is sent again later; nothing else is sent before.
    fn later(&mut self, reason: &str, asked: Option<Duration>) -> Outcome {
        let doubled =
            FIRST_PAUSE.saturating_mul(1_u32.checked_shl(self.failures.min(16)).unwrap_or(u32::MAX));
        self.failures = self.failures.saturating_add(1);
        let pause = asked.unwrap_or_default().min(LONGEST_ASKED).max(doubled.min(LONGEST_PAUSE));
        self.not_before = Some(Instant::now() + pause);
        self.failure = format!("{reason}; it is tried again in {} s", pause.as_secs());
        Outcome::Later(self.failure.clone())
    }

    /// Outcome of a message.
    async fn outcome(&mut self, message: Message) -> Result<Outcome, SinkDown> {
        let delivered = Outcome::Delivered { object: None, heard: None };
        let Some(id) = message.id else { return Ok(delivered) };
        match message.part {
            MessagePart::Picture | MessagePart::Variant(_) => self.picture = Some((id, message.payload)),
            MessagePart::Event => {
                let picture = self.picture.take().filter(|(of, _)| *of == id).map(|(_, bytes)| bytes);
                let Ok(alarm) = serde_json::from_slice::<Value>(&message.payload) else {
                    let reason = "the alarm is no JSON".into();
                    return Ok(Outcome::Refused(Refusal { code: RefusalCode::PayloadInvalid, reason }));
                };
                if !self.wants(&alarm) {
                    return Ok(delivered);
                }
                if let Some(until) = self.not_before {
                    sleep_until(until.min(Instant::now() + WAIT)).await;
                    if Instant::now() < until {
                        return Ok(Outcome::Later(self.failure.clone()));
                    }
                }
                return self.notify(&alarm, picture).await;
            }
            MessagePart::ActivityStart | MessagePart::ActivityEnd | MessagePart::Value => {}
        }
        Ok(delivered)
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
