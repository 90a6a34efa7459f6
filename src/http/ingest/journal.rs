//! Log of requests: one line for each, whatever its outcome. The lines about unknown peers are limited per minute;
//! suppressed ones are counted and reported at the end of the minute.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use parking_lot::{Mutex, MutexGuard};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::visit::Visit;
use crate::findings::Seen;
use crate::metrics::RequestOutcome;

/// Period in which lines about unknown peers are counted.
const WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of lines about one unknown peer per period.
const LINES: u64 = 10;
/// Maximum number of unknown peers counted separately per period; further ones share one count.
const PEERS: usize = 32;
/// Maximum number of unknown peers named in the report of suppressed lines.
const NAMED: usize = 4;
/// Maximum number of names and identifiers of one report in a line.
const LISTED: usize = 8;

/// Outcome of a request, for its line.
#[derive(Debug)]
pub(super) struct RequestLine<'a> {
    pub(super) outcome: RequestOutcome,
    pub(in crate::http) status: StatusCode,
    /// Webhook of the request, if its path is one.
    pub(in crate::http) webhook: Option<&'a str>,
    /// Bytes read of its body.
    pub(in crate::http) bytes: Option<u64>,
    /// Content that was committed.
    pub(in crate::http) committed: Option<Committed<'a>>,
    /// Outcome as text.
    pub(in crate::http) text: &'a str,
    /// Finding that was recorded.
    pub(in crate::http) finding: Option<Seen>,
}

/// Committed content of a request.
#[derive(Debug)]
pub(super) struct Committed<'a> {
    pub(in crate::http) ids: &'a [Uuid],
    pub(in crate::http) events: &'a [String],
    pub(in crate::http) pictures: usize,
    pub(in crate::http) durable: bool,
}

/// Log of requests; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    window: Arc<Mutex<Window>>,
    shutdown: CancellationToken,
}

/// Line counts of the current period.
#[derive(Debug, Default)]
struct Window {
    end: Option<Instant>,
    peers: BTreeMap<IpAddr, Lines>,
    others: Lines,
}

/// Line counts of an unknown peer.
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
    /// Creates it; suppressed lines are also reported at the stop.
    pub(in crate::http) fn new(shutdown: CancellationToken) -> Self {
        Self { window: Arc::default(), shutdown }
    }

    /// Writes the line of a request: a warning with the remedy when its finding is due in the log.
    pub(in crate::http) fn write(&self, visit: &Visit, summary: &RequestLine<'_>) {
        let strange = matches!(
            summary.outcome,
            RequestOutcome::Refused | RequestOutcome::NotUnderstood | RequestOutcome::Limited
        );
        let due = summary.finding.filter(Seen::is_due);
        if strange && !self.may_log(visit.peer) && due.is_none() {
            return;
        }
        let path = summary.webhook.is_none().then(|| visit.shown_path());
        let committed = summary.committed.as_ref();
        macro_rules! line {
            ($level:ident, $($more:tt)*) => {
                tracing::$level!(
                    request.id = %visit.id,
                    peer = %visit.peer,
                    method = %visit.parts.method,
                    webhook = summary.webhook,
                    path,
                    outcome = summary.outcome.label(),
                    status = summary.status.as_u16(),
                    alarms = committed.map_or(0, |committed| committed.ids.len()),
                    alarm.ids = committed.map(|committed| first_items(committed.ids)),
                    events = committed.map(|committed| first_items(committed.events)),
                    pictures = committed.map(|committed| committed.pictures),
                    durable = committed.map(|committed| committed.durable),
                    bytes = summary.bytes,
                    ms = u64::try_from(visit.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
                    $($more)*
                )
            };
        }
        match due {
            None => line!(info, "{}", summary.text),
            Some(Seen { kind, count }) => {
                line!(
                    warn,
                    finding.code = kind.code.as_str(),
                    finding.count = count,
                    "{}. {}",
                    summary.text,
                    kind.remedy
                );
            }
        }
    }

    /// Returns whether a line about an unknown peer may be written; the first one that may not starts the report of
    /// suppressed lines.
    fn may_log(&self, peer: IpAddr) -> bool {
        let now = Instant::now();
        let mut window = self.window();
        if window.end.is_none_or(|end| end <= now) {
            let over =
                std::mem::replace(&mut *window, Window { end: Some(now + WINDOW), ..Window::default() });
            over.report_left_out();
        }
        let first = window.left_out() == 0;
        let may = window.count(peer);
        if !may && first {
            let end = window.end.unwrap_or(now);
            drop(window);
            self.report_at(end);
        }
        may
    }

    /// Reports suppressed lines at the end of the period, or at the stop.
    fn report_at(&self, end: Instant) {
        let journal = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = tokio::time::sleep_until(end) => {}
                () = journal.shutdown.cancelled() => {}
            }
            // The start of the next period has reported them already.
            let mut window = journal.window();
            if window.end == Some(end) {
                std::mem::take(&mut *window).report_left_out();
            }
        });
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock()
    }
}

impl Window {
    /// Counts a line; `false` if it exceeds the limit.
    fn count(&mut self, peer: IpAddr) -> bool {
        let room = self.peers.len() < PEERS || self.peers.contains_key(&peer);
        let lines = if room { self.peers.entry(peer).or_default() } else { &mut self.others };
        lines.asked += 1;
        lines.asked <= LINES
    }

    /// Number of suppressed lines.
    fn left_out(&self) -> u64 {
        self.peers.values().map(|lines| lines.left_out()).sum::<u64>() + self.others.left_out()
    }

    /// Reports suppressed lines, if there are any.
    fn report_left_out(&self) {
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
            "{all} more requests of unknown peers are not listed: {}{}",
            if names.is_empty() { "many peers".into() } else { names.join(", ") },
            if names.len() < most.len() || 0 < self.others.left_out() { " and others" } else { "" },
        );
    }
}

/// First items of a list: one report may have hundreds.
fn first_items(list: &[impl ToString]) -> String {
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
        assert_eq!((0..50).filter(|_| journal.may_log(peer(1))).count() as u64, LINES);
        assert!(journal.may_log(peer(2)));
        assert_eq!(journal.window().left_out(), 40);
        tokio::time::sleep(WINDOW + Duration::from_millis(1)).await;
        assert_eq!(journal.window().left_out(), 0, "it was said");
        assert!(journal.may_log(peer(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn many_strangers_share_what_is_left() {
        let journal = Journal::new(CancellationToken::new());
        let written = (0..=255).filter(|number| journal.may_log(peer(*number))).count();
        assert_eq!(written as u64, PEERS as u64 + LINES);
        assert_eq!(journal.window().left_out(), 256 - PEERS as u64 - LINES);
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(first_items(&[1, 2]), "1,2");
        assert_eq!(first_items(&[0; 10]), "0,0,0,0,0,0,0,0,2 more");
    }
}
