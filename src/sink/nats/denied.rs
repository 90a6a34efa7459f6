//! Permission violations. The server drops the message and names the subject in an error of the connection; no
//! acknowledgement follows (measured with 2.9: it only times out). So whoever waits leaves the subject here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

/// The most subjects that are remembered as refused.
const REMEMBERED: usize = 1024;

/// Who waits for what, and what was refused in this session; a cheap handle.
#[derive(Debug, Clone, Default)]
pub(super) struct Denied(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    waiting: HashMap<u64, (String, oneshot::Sender<String>)>,
    /// The last words about a subject: the client drops events when too many come at once.
    known: HashMap<String, String>,
}

/// One who waits; forgotten when dropped.
#[derive(Debug)]
pub(super) struct Watch {
    id: u64,
    subject: String,
    all: Denied,
    told: oneshot::Receiver<String>,
}

impl Denied {
    /// Watches a subject, or all that begin with it if it ends with a dot.
    pub(super) fn watch(&self, subject: &str) -> Watch {
        let (tell, told) = oneshot::channel();
        let id = self.with(|inner| {
            inner.next += 1;
            inner.waiting.insert(inner.next, (subject.to_owned(), tell));
            inner.next
        });
        Watch { id, subject: subject.to_owned(), all: self.clone(), told }
    }

    /// Passes on what the server said; `false` if nobody waits for that subject.
    pub(super) fn tell(&self, subject: &str, words: &str) -> bool {
        self.with(|inner| {
            if inner.known.len() < REMEMBERED || inner.known.contains_key(subject) {
                inner.known.insert(subject.to_owned(), words.to_owned());
            }
            let hit: Vec<u64> = inner
                .waiting
                .iter()
                .filter(|(_, (watched, _))| matches(watched, subject))
                .map(|(id, _)| *id)
                .collect();
            let told = hit.into_iter().filter_map(|id| inner.waiting.remove(&id));
            told.map(|(_, tell)| tell.send(words.to_owned()).is_ok()).fold(false, |any, one| any | one)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn matches(watched: &str, subject: &str) -> bool {
    watched == subject || (watched.ends_with('.') && subject.starts_with(watched))
}

impl Watch {
    /// The server's words, once it refuses; pending for ever if it does not. Cancel-safe.
    pub(super) async fn denied(&mut self) -> String {
        match (&mut self.told).await {
            Ok(words) => words,
            Err(_) => std::future::pending().await,
        }
    }

    /// What the server said about this subject earlier in this session.
    pub(super) fn earlier(&self) -> Option<String> {
        self.all.with(|inner| inner.known.get(&self.subject).cloned())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.all.with(|inner| inner.waiting.remove(&self.id));
    }
}

/// What a server error refuses: publishing to a subject, or something else about permissions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Violation<'a> {
    /// `Permissions Violation for Publish to "subject"`.
    Publish(&'a str),
    /// `Permissions Violation for Subscription to "subject"`.
    Subscribe(&'a str),
}

/// Reads a permission violation out of a server error (nats-server `client.go`, `pubPermissionViolation`).
pub(super) fn violation(words: &str) -> Option<Violation<'_>> {
    let (head, rest) = words.split_once('"')?;
    let (subject, _) = rest.split_once('"')?;
    let head = head.to_ascii_lowercase();
    if !head.contains("permissions violation") {
        None
    } else if head.contains("publish") {
        Some(Violation::Publish(subject))
    } else {
        Some(Violation::Subscribe(subject))
    }
}

#[cfg(test)]
mod tests {
    use super::{Denied, Violation, violation};

    #[test]
    fn the_subject_is_read_from_the_servers_words() {
        assert_eq!(
            violation("Permissions Violation for Publish to \"a.B.c\""),
            Some(Violation::Publish("a.B.c"))
        );
        assert_eq!(
            violation("Permissions Violation for Subscription to \"_INBOX.x.*\" using queue \"q\""),
            Some(Violation::Subscribe("_INBOX.x.*"))
        );
        assert_eq!(violation("Stale Connection"), None);
    }

    #[tokio::test]
    async fn only_those_who_wait_for_the_subject_are_told() {
        let denied = Denied::default();
        let mut exact = denied.watch("a.b");
        let mut prefix = denied.watch("a.");
        let other = denied.watch("a.c");
        assert!(denied.tell("a.b", "no"));
        assert_eq!(exact.denied().await, "no");
        assert_eq!(prefix.denied().await, "no");
        assert_eq!(exact.earlier().as_deref(), Some("no"));
        assert_eq!(other.earlier(), None);
        drop(other);
        assert!(!denied.tell("a.c", "no"));
    }
}
