//! The log of requests: one line for each, whatever became of it. Of strangers, who are many and repeat themselves,
//! only so many lines; what is left out is counted, and said once the minute is over.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use axum::http::StatusCode;

use super::visit::Visit;
use crate::metrics::Outcome;

/// What lines of strangers are counted in.
const WINDOW: Duration = Duration::from_secs(60);
/// Lines of one stranger in a window.
const LINES: u64 = 10;
/// Strangers who are told apart in a window; further ones share their lines.
const PEERS: usize = 32;
/// Strangers named when lines were left out.
const NAMED: usize = 4;
/// So many names and identifiers of one report go to the log.
const LISTED: usize = 8;

/// What became of a request, for its line.
#[derive(Debug)]
pub(super) struct Told<'a> {
    pub(super) outcome: Outcome,
    pub(super) status: StatusCode,
    /// The webhook it was for, if it was for one.
    pub(super) webhook: Option<&'a str>,
    /// Bytes of its body, as far as it was read.
    pub(super) bytes: Option<u64>,
    /// What was committed of it.
    pub(super) committed: Option<Committed<'a>>,
    /// All that in words.
    pub(super) text: &'a str,
}

/// What was committed of a request.
#[derive(Debug)]
pub(super) struct Committed<'a> {
    pub(super) ids: &'a [Uuid],
    pub(super) events: &'a [String],
    pub(super) pictures: usize,
    pub(super) durable: bool,
}

/// Lines of strangers; a cheap handle.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    window: Arc<Mutex<Window>>,
    shutdown: CancellationToken,
}

/// Who wrote how much in this minute.
#[derive(Debug, Default)]
struct Window {
    end: Option<Instant>,
    peers: BTreeMap<IpAddr, Lines>,
    others: Lines,
}

/// The lines of a stranger.
#[derive(Debug, Default, Clone, Copy)]
struct Lines {
    asked: u64,
}

impl Lines {
    fn left_out(self) -> u64 {
        self.asked.saturating_sub(LINES)
    }
}

impl Journal {
    /// Nothing was written yet; what was left out is said at the stop too.
    pub(super) fn new(shutdown: CancellationToken) -> Self {
        Self { window: Arc::default(), shutdown }
    }

    /// Writes the line of a request.
    pub(super) fn write(&self, visit: &Visit, told: &Told<'_>) {
        let strange = matches!(told.outcome, Outcome::Refused | Outcome::NotUnderstood | Outcome::Limited);
        if strange && !self.may(visit.peer) {
            return;
        }
        let path = told.webhook.is_none().then(|| visit.shown_path());
        let committed = told.committed.as_ref();
        tracing::info!(
            request.id = %visit.id,
            peer = %visit.peer,
            method = %visit.parts.method,
            webhook = told.webhook,
            path,
            outcome = told.outcome.label(),
            status = told.status.as_u16(),
            alarms = committed.map_or(0, |committed| committed.ids.len()),
            alarm.ids = committed.map(|committed| some(committed.ids)),
            events = committed.map(|committed| some(committed.events)),
            pictures = committed.map(|committed| committed.pictures),
            durable = committed.map(|committed| committed.durable),
            bytes = told.bytes,
            ms = u64::try_from(visit.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            "{}", told.text
        );
    }

    /// Whether a stranger may have a line; the first that has none lets the count be said later.
    fn may(&self, peer: IpAddr) -> bool {
        let now = Instant::now();
        let mut window = self.window();
        if window.end.is_none_or(|end| end <= now) {
            let over =
                std::mem::replace(&mut *window, Window { end: Some(now + WINDOW), ..Window::default() });
            over.tell();
        }
        let first = window.left_out() == 0;
        let may = window.count(peer);
        if !may && first {
            let end = window.end.unwrap_or(now);
            drop(window);
            self.tell_at(end);
        }
        may
    }

    /// Says at the end of the window, or at the stop, what was left out of it.
    fn tell_at(&self, end: Instant) {
        let journal = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep_until(end) => {}
                () = journal.shutdown.cancelled() => {}
            }
            // Whoever began the next window has said it already.
            let mut window = journal.window();
            if window.end == Some(end) {
                std::mem::take(&mut *window).tell();
            }
        });
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// Counts a line; `false` when it is one too many.
    fn count(&mut self, peer: IpAddr) -> bool {
        let room = self.peers.len() < PEERS || self.peers.contains_key(&peer);
        let lines = if room { self.peers.entry(peer).or_default() } else { &mut self.others };
        lines.asked += 1;
        lines.asked <= LINES
    }

    /// Lines that were not written.
    fn left_out(&self) -> u64 {
        self.peers.values().map(|lines| lines.left_out()).sum::<u64>() + self.others.left_out()
    }

    /// Says what was left out, if anything was.
    fn tell(&self) {
        let all = self.left_out();
        if all == 0 {
            return;
        }
        let mut most: Vec<(u64, IpAddr)> = self
            .peers
            .iter()
            .map(|(peer, lines)| (lines.left_out(), *peer))
            .filter(|(out, _)| 0 < *out)
            .collect();
        most.sort_unstable_by(|a, b| b.cmp(a));
        let names: Vec<String> = most.iter().take(NAMED).map(|(out, peer)| format!("{peer} {out}")).collect();
        tracing::info!(
            requests.left_out = all,
            "{all} more requests of strangers came and have no line of their own here: {}{}",
            if names.is_empty() { "many peers".into() } else { names.join(", ") },
            if names.len() < most.len() || 0 < self.others.left_out() { " and others" } else { "" },
        );
    }
}

/// The first few of a list: one report may hold hundreds.
fn some(list: &[impl ToString]) -> String {
    let mut text: Vec<String> = list.iter().take(LISTED).map(ToString::to_string).collect();
    if list.len() > LISTED {
        text.push(format!("{} more", list.len() - LISTED));
    }
    text.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, number])
    }

    #[tokio::test(start_paused = true)]
    async fn a_stranger_has_so_many_lines_and_hides_no_other() {
        let journal = Journal::new(CancellationToken::new());
        assert_eq!((0..50).filter(|_| journal.may(peer(1))).count() as u64, LINES);
        assert!(journal.may(peer(2)));
        assert_eq!(journal.window().left_out(), 40);
        tokio::time::sleep(WINDOW + Duration::from_millis(1)).await;
        assert_eq!(journal.window().left_out(), 0, "it was said");
        assert!(journal.may(peer(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn many_strangers_share_what_is_left() {
        let journal = Journal::new(CancellationToken::new());
        let written = (0..=255).filter(|number| journal.may(peer(*number))).count();
        assert_eq!(written as u64, PEERS as u64 + LINES);
        assert_eq!(journal.window().left_out(), 256 - PEERS as u64 - LINES);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(some(&[1, 2]), "1,2");
        assert_eq!(some(&[0; 10]), "0,0,0,0,0,0,0,0,2 more");
    }
}
