//! A simulated broker controlled by the steps of a run, and its sink. Its received log messages and retained topics
//! are compared with the model.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash as _, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use alarmbus::findings::FindingCode;
use alarmbus::render::Message;
use alarmbus::sink::{
    Notice, Outcome, Receipt, Refusal, RefusalCode, Retained, Session, Sink, SinkDown, Traits,
};
use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use crate::disk::Disk;
use crate::plan::{Cut, Manner, Topic};
use crate::received::Received;
use crate::topics::{fits, matches};

/// Maximum number of unacknowledged messages.
const WINDOW: usize = 20;
/// Time after its last "not now" in which a broker accepts nothing: messages in flight would overtake waiting ones.
const BUSY: Duration = Duration::from_millis(100);
/// Number of tokens that a real sink remembers.
const TOKENS: usize = 4;

/// The broker of one sink.
#[derive(Debug, Default)]
pub(crate) struct Broker {
    /// All accepted log messages.
    pub(crate) received: Received,
    /// Retained topics.
    pub(crate) retained: BTreeMap<String, Bytes>,
    /// Set if it cannot be reached.
    pub(crate) down: bool,
    /// Milliseconds for each message.
    pub(crate) slow: u32,
    /// Number of messages to be answered with "not now".
    pub(crate) busy: u8,
    /// Time until which it accepts nothing after a "not now".
    busy_until: Option<Instant>,
    /// Refused topics, and the manner of refusal.
    pub(crate) forbidden: Vec<(Topic, Manner)>,
    /// Number of messages until the connection is cut.
    pub(crate) cut_at: Option<(u8, Cut)>,
    sessions: u64,
    link: Option<Link>,
}

/// A connection.
#[derive(Debug, Clone)]
struct Link {
    number: u64,
    queue: Arc<Mutex<Queue>>,
    wake: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<(Message, oneshot::Sender<Outcome>, OwnedSemaphorePermit)>,
    notices: VecDeque<Notice>,
    ended: Option<SinkDown>,
}

impl Broker {
    /// Ends the connection, if there is one, as a lost network does.
    pub(crate) fn cut(&mut self, code: FindingCode, reason: &str) {
        if let Some(link) = self.link.take() {
            link.end(SinkDown { code, reason: reason.into() });
        }
    }

    /// Mark in the retained token.
    pub(crate) fn mark(&self) -> Option<Bytes> {
        let (_, token) = self.retained.iter().find(|(topic, _)| topic.ends_with("/bridge/token"))?;
        let dot = token.iter().position(|byte| *byte == b'.')?;
        Some(token.slice(dot..))
    }

    /// Manner of refusal of a topic, if it is refused.
    pub(crate) fn refuses(&self, topic: &str) -> Option<Manner> {
        self.forbidden.iter().find(|(forbidden, _)| matches(*forbidden, topic)).map(|(_, manner)| *manner)
    }

    /// Hash that must be equal for two runs of one seed: all received messages, without random identifiers.
    pub(crate) fn digest(&self, digest: &mut impl Hasher) {
        self.received.digest(digest);
        self.retained.keys().for_each(|topic| topic.hash(digest));
    }

    /// Time that each message takes.
    fn pace(&self) -> Duration {
        Duration::from_millis(u64::from(self.slow) + 1)
    }

    fn take(&mut self, message: Message) {
        if !message.retain {
            self.received.add(message.topic, &message.payload);
        } else if message.payload.is_empty() {
            self.retained.remove(&message.topic);
        } else {
            self.retained.insert(message.topic, message.payload);
        }
    }

    /// Outcome of a message, if one is reported, and whether the connection is cut then.
    fn judge(&mut self, message: Message) -> (Option<Outcome>, bool) {
        if let Some(manner) = self.refuses(&message.topic) {
            let refusal = Refusal {
                code: RefusalCode::Permission,
                reason: format!("not authorized to publish {}", message.topic),
            };
            return match manner {
                Manner::Refuse => (Some(Outcome::Refused(refusal)), false),
                Manner::RefuseThenCut => (Some(Outcome::Refused(refusal)), true),
                Manner::Cut => (None, true),
            };
        }
        if self.busy > 0 || self.busy_until.is_some_and(|until| Instant::now() < until) {
            self.busy = self.busy.saturating_sub(1);
            self.busy_until = Some(Instant::now() + BUSY + self.pace() * 2);
            return (Some(Outcome::Later("quota exceeded".into())), false);
        }
        let delivered = Some(Outcome::Delivered { object: None, heard: Some(true) });
        match self.cut_at.take() {
            Some((0, Cut::Lost)) => (None, true),
            Some((0, cut)) => {
                self.take(message);
                (delivered.filter(|_| cut == Cut::Acknowledged), true)
            }
            later => {
                self.cut_at = later.map(|(left, cut)| (left - 1, cut));
                self.take(message);
                (delivered, false)
            }
        }
    }
}

impl Link {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nobody panics with it")
    }

    fn end(&self, down: SinkDown) {
        let mut queue = self.queue();
        queue.messages.clear();
        queue.ended.get_or_insert(down);
        drop(queue);
        self.wake.notify_waiters();
        self.wake.notify_one();
    }
}

/// Sink with the behaviour of the real one, connected to the scripted broker.
#[derive(Debug)]
pub(crate) struct Scripted {
    pub(crate) broker: Arc<Mutex<Broker>>,
    pub(crate) traits: Traits,
    pub(crate) disk: Disk,
    pub(crate) token_topic: String,
    /// Tokens of which one should be retained by the broker.
    pub(crate) tokens: Vec<String>,
    pub(crate) window: Arc<Semaphore>,
    link: Option<Link>,
}

impl Scripted {
    pub(crate) fn new(
        broker: Arc<Mutex<Broker>>,
        traits: Traits,
        disk: Disk,
        token_topic: String,
        token: Option<String>,
    ) -> Self {
        let tokens = token.into_iter().collect();
        Self {
            broker,
            traits,
            disk,
            token_topic,
            tokens,
            window: Arc::new(Semaphore::new(WINDOW)),
            link: None,
        }
    }

    fn broker(&self) -> MutexGuard<'_, Broker> {
        self.broker.lock().expect("nobody panics with it")
    }

    /// Mark in the token that the broker retains.
    fn mark(&self) -> Option<String> {
        let broker = self.broker();
        let found = std::str::from_utf8(broker.retained.get(&self.token_topic)?).ok()?;
        found.split_once('.').map(|(_, mark)| mark.to_owned())
    }

    /// State of the retained messages, by the token found at the broker.
    fn verdict(&self) -> Retained {
        let broker = self.broker();
        let found = broker.retained.get(&self.token_topic);
        let known = |found: &Bytes| self.tokens.iter().any(|token| proper(token.as_bytes()) == proper(found));
        let known = found.is_some_and(known);
        if known { Retained::Kept } else { Retained::Lost }
    }
}

/// A token without its mark.
fn proper(token: &[u8]) -> &[u8] {
    token.split(|byte| *byte == b'.').next().unwrap_or_default()
}

impl Sink for Scripted {
    fn traits(&self) -> Traits {
        self.traits
    }

    fn marked(&self, token: &str, mark: &str) -> String {
        if self.traits.discovery { format!("{token}.{mark}") } else { token.to_owned() }
    }

    async fn connect(&mut self) -> Result<Session, SinkDown> {
        tokio::time::sleep(Duration::from_millis(3)).await;
        if self.disk.is_stopped() {
            std::future::pending::<()>().await;
        }
        let wait = self.traits.discovery && !self.tokens.is_empty();
        let link = Link { number: 0, queue: Arc::default(), wake: Arc::default() };
        let link = {
            let mut broker = self.broker();
            if broker.down {
                return Err(SinkDown {
                    code: FindingCode::BrokerUnreachable,
                    reason: "connection refused".into(),
                });
            }
            broker.cut(FindingCode::BrokerTakenOver, "another client has this id");
            broker.sessions += 1;
            let link = Link { number: broker.sessions, ..link };
            broker.link = Some(link.clone());
            link
        };
        if self.traits.discovery {
            let mark = self.mark();
            link.queue().notices.extend(mark.map(Notice::Mark));
        }
        if wait {
            let verdict = self.verdict();
            link.queue().notices.push_back(Notice::Retained(verdict));
        }
        let retained = match (self.traits.discovery, wait) {
            (false, _) => Retained::Kept,
            (true, true) => Retained::Unknown,
            (true, false) => Retained::Lost,
        };
        let token = format!("token-{}-{}", link.number, alarmbus::host::now().as_microsecond());
        self.window = Arc::new(Semaphore::new(WINDOW));
        tokio::spawn(serve(Arc::clone(&self.broker), link.clone(), self.disk.clone()));
        self.link = Some(link);
        Ok(Session {
            max_payload: None,
            window: WINDOW,
            retained,
            token: self.traits.discovery.then_some(token),
            description: "the scripted broker".into(),
        })
    }

    async fn send(&mut self, message: Message) -> Result<Receipt, SinkDown> {
        let Some(link) = self.link.clone() else { return Err(gone()) };
        if message.topic == self.token_topic {
            self.tokens.push(String::from_utf8_lossy(&message.payload).into_owned());
            let beyond = self.tokens.len().saturating_sub(TOKENS);
            self.tokens.drain(..beyond);
        }
        let permit = loop {
            if let Some(down) = link.queue().ended.clone() {
                return Err(down);
            }
            let window = Arc::clone(&self.window);
            tokio::select! {
                biased;
                permit = window.acquire_owned() => break permit.expect("it is never closed"),
                () = link.wake.notified() => {}
            }
        };
        let (tell, receipt) = oneshot::channel();
        link.queue().messages.push_back((message, tell, permit));
        link.wake.notify_waiters();
        Ok(receipt)
    }

    async fn notice(&mut self) -> Notice {
        let Some(link) = self.link.clone() else { return std::future::pending().await };
        loop {
            let woken = link.wake.notified();
            {
                let mut queue = link.queue();
                if let Some(notice) = queue.notices.pop_front() {
                    return notice;
                }
                if let Some(down) = queue.ended.clone() {
                    return Notice::Down(down);
                }
            }
            woken.await;
        }
    }

    async fn read_back(&mut self, filter: &str) -> Result<(), SinkDown> {
        let Some(link) = self.link.clone() else { return Err(gone()) };
        let found: Vec<Notice> = {
            let broker = self.broker();
            let fits = broker.retained.iter().filter(|(topic, _)| fits(filter, topic));
            fits.map(|(topic, payload)| Notice::Found { topic: topic.clone(), payload: payload.clone() })
                .collect()
        };
        link.queue().notices.extend(found);
        link.wake.notify_waiters();
        Ok(())
    }

    async fn close(&mut self) {
        if let Some(link) = self.link.take() {
            link.end(gone());
        }
    }
}

fn gone() -> SinkDown {
    SinkDown { code: FindingCode::BrokerUnreachable, reason: "there is no connection".into() }
}

/// Handles the messages of one connection in order.
async fn serve(broker: Arc<Mutex<Broker>>, link: Link, disk: Disk) {
    loop {
        let woken = link.wake.notified();
        let next = {
            let mut queue = link.queue();
            if queue.ended.is_some() {
                return;
            }
            queue.messages.pop_front()
        };
        let Some((message, tell, permit)) = next else {
            woken.await;
            continue;
        };
        let pace = broker.lock().expect("nobody panics with it").pace();
        tokio::time::sleep(pace).await;
        if disk.is_stopped() {
            return;
        }
        let mut broker = broker.lock().expect("nobody panics with it");
        if broker.link.as_ref().is_none_or(|now| now.number != link.number) {
            return;
        }
        let (outcome, cut) = broker.judge(message);
        if let Some(outcome) = outcome {
            // The receiver may be gone after a lost connection.
            tell.send(outcome).ok();
        } else {
            drop(tell);
        }
        drop(permit);
        if cut {
            broker.cut(FindingCode::BrokerUnreachable, "the connection was closed by the broker");
            return;
        }
    }
}
