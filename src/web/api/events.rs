//! The event stream: new alarms, and findings, health, the chain and the log as they change.
//!
//! Nothing is buffered for a watcher: what it gets next is looked up when it is ready for it, so a slow one costs
//! nothing. One that is too far behind is told so and goes on with what is new.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::Instant;

use crate::model::Record;
use crate::outbox::Tip;
use crate::web::overall::{Checked, check};
use crate::web::preferences::Preferences;
use crate::web::{ApiQuery, Problem, Web};

/// Maximum number of streams at the same time.
pub(crate) const WATCHERS: usize = 64;
/// Number of alarms read at a time.
const READ_BATCH: usize = 64;
/// Number of alarms past which a client that is behind is told to reload the page.
const MAX_BEHIND: i64 = 2_000;
/// Interval of `alive` events while there are no others: a page that gets none knows that the connection is lost.
const ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Interval of checks for changes of findings, health and delivery check.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Query of the stream: the position to begin at.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    /// Alarms after this number of the log first; new ones only without it.
    after: Option<i64>,
}

/// State of one client of the stream.
struct Watcher {
    web: Web,
    tip: watch::Receiver<Tip>,
    after: i64,
    waiting: VecDeque<Event>,
    looked: Option<Instant>,
    said: [String; 5],
    preferences: Preferences,
    _place: OwnedSemaphorePermit,
}

/// Answers with the stream.
pub(super) async fn stream(
    State(web): State<Web>,
    ApiQuery(from): ApiQuery<From>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = Arc::clone(&web.watchers).try_acquire_owned().map_err(|_| {
        let remedy = "close pages you do not look at";
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("{WATCHERS} pages are watching already"),
            remedy,
        )
    })?;
    let tip = web.outbox.tip();
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let now = tip.borrow().no;
    let after = last.or(from.after).unwrap_or(now).clamp(0, now);
    let watcher = Watcher {
        web,
        tip,
        after,
        waiting: VecDeque::new(),
        looked: None,
        said: Default::default(),
        preferences: Preferences::of(&headers),
        _place: place,
    };
    let events = futures_util::stream::unfold(watcher, |mut watcher| async move {
        let event = watcher.next().await?;
        Some((Ok(event), watcher))
    });
    Ok(Sse::new(events).keep_alive(
        KeepAlive::new().interval(ALIVE_INTERVAL).event(Event::default().event("alive").data("{}")),
    ))
}

impl Watcher {
    /// The next event; none when the bridge stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            self.alarms().await;
            if self.waiting.is_empty() && self.looked.is_none_or(|looked| CHECK_INTERVAL <= looked.elapsed())
            {
                self.looked = Some(Instant::now());
                self.changes().await;
            }
            if self.waiting.is_empty() {
                let stop = self.web.stop.clone();
                tokio::select! {
                    () = stop.cancelled() => return None,
                    changed = self.tip.changed() => changed.ok()?,
                    () = tokio::time::sleep(CHECK_INTERVAL) => {}
                }
            }
        }
    }

    /// Reads alarms committed since the last call.
    async fn alarms(&mut self) {
        let tip = self.tip.borrow_and_update().no;
        if MAX_BEHIND < tip - self.after {
            let text = json!({"skipped": tip - self.after}).to_string();
            self.waiting.push_back(Event::default().event("skipped").id(tip.to_string()).data(text));
            self.after = tip;
            return;
        }
        while self.waiting.is_empty() && self.after < tip {
            let after = self.after;
            let Ok(found) = self.web.read(move |reader| reader.entries_after(after, READ_BATCH)).await else {
                return;
            };
            self.after = found.last().map_or(tip, |entry| entry.no);
            for entry in
                found.iter().filter(|entry| matches!(entry.record, Record::Alarm(_)) && !entry.is_replay())
            {
                let data = self.preferences.scope(|| super::alarms::event_data(&self.web, entry)).to_string();
                self.waiting.push_back(Event::default().event("alarm").id(entry.no.to_string()).data(data));
            }
        }
    }

    /// Queues events for findings, health and delivery check that changed.
    async fn changes(&mut self) {
        let health = super::state::report(&self.web);
        let mut gist = health.health.clone();
        gist.at = String::new();
        self.queue_event(0, "health", &gist, &health);
        let findings = self.web.findings.list();
        self.queue_event(1, "findings", &findings, &json!({"findings": findings}));
        let lines = self.web.bridge.log_count();
        self.queue_event(3, "log", &lines, &json!({"lines": lines}));
        let marks = self.web.reviews();
        self.queue_event(4, "reviewed", &marks, &json!({"marks": marks}));
        if let Ok(Checked { chain, overall }) = check(&self.web).await {
            self.queue_event(2, "chain", &(&chain, &overall), &json!({"chain": chain, "overall": overall}));
        }
    }

    /// Queues an event, unless its content was sent before.
    fn queue_event(&mut self, which: usize, name: &str, gist: &impl Serialize, data: &impl Serialize) {
        let gist = serde_json::to_string(gist).unwrap_or_default();
        let Some(said) = self.said.get_mut(which).filter(|said| **said != gist) else { return };
        *said = gist;
        let data = serde_json::to_string(data).unwrap_or_default();
        self.waiting.push_back(Event::default().event(name).data(data));
    }
}
