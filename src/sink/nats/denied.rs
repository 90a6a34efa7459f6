//! Permission violations. The server drops the message and names the subject in an error of the connection; no
//! acknowledgement follows (measured with 2.9: it only times out). So each message that waits registers its subject
//! here.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Maximum number of subjects remembered as refused.
const REMEMBERED: usize = 1024;

/// Registered subjects, and those refused in this session; cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct DeniedSubjects(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    waiting: HashMap<u64, (String, oneshot::Sender<String>)>,
    /// Last error text by subject: the client drops events when too many arrive at once.
    known: HashMap<String, String>,
}

/// Registration of a subject; removed when dropped.
#[derive(Debug)]
pub(super) struct DeniedWatch {
    id: u64,
    subject: String,
    all: DeniedSubjects,
    refused: oneshot::Receiver<String>,
}

impl DeniedSubjects {
    /// Registers a subject, or all subjects with this prefix if it ends with a dot.
    pub(super) fn watch(&self, subject: &str) -> DeniedWatch {
        let (sender, refused) = oneshot::channel();
        let id = self.with(|inner| {
            inner.next += 1;
            inner.waiting.insert(inner.next, (subject.to_owned(), sender));
            inner.next
        });
        DeniedWatch { id, subject: subject.to_owned(), all: self.clone(), refused }
    }

    /// Passes the server's error text on; `false` if nothing waits for that subject.
    pub(super) fn notify(&self, subject: &str, words: &str) -> bool {
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
            let refused = hit.into_iter().filter_map(|id| inner.waiting.remove(&id));
            refused.map(|(_, sender)| sender.send(words.to_owned()).is_ok()).fold(false, |any, one| any | one)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Inner) -> T) -> T {
        act(&mut self.0.lock())
    }
}

fn matches(watched: &str, subject: &str) -> bool {
    watched == subject || (watched.ends_with('.') && subject.starts_with(watched))
}

impl DeniedWatch {
    /// Waits for the server's error text; pending forever if the server does not refuse. Cancel-safe.
    pub(super) async fn denied(&mut self) -> String {
        match (&mut self.refused).await {
            Ok(words) => words,
            Err(_) => std::future::pending().await,
        }
    }

    /// Error text that the server sent about this subject earlier in this session.
    pub(super) fn earlier(&self) -> Option<String> {
        self.all.with(|inner| inner.known.get(&self.subject).cloned())
    }
}

impl Drop for DeniedWatch {
    fn drop(&mut self) {
        self.all.with(|inner| inner.waiting.remove(&self.id));
    }
}

/// Subject that a server error refuses, with the operation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Violation<'a> {
    /// `Permissions Violation for Publish to "subject"`.
    Publish(&'a str),
    /// `Permissions Violation for Subscription to "subject"`.
    Subscribe(&'a str),
}

/// Parses a permission violation in a server error (nats-server `client.go`, `pubPermissionViolation`).
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
    use super::{DeniedSubjects, Violation, violation};

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
        let denied = DeniedSubjects::default();
        let mut exact = denied.watch("a.b");
        let mut prefix = denied.watch("a.");
        let other = denied.watch("a.c");
        assert!(denied.notify("a.b", "no"));
        assert_eq!(exact.denied().await, "no");
        assert_eq!(prefix.denied().await, "no");
        assert_eq!(exact.earlier().as_deref(), Some("no"));
        assert_eq!(other.earlier(), None);
        drop(other);
        assert!(!denied.notify("a.c", "no"));
    }
}
