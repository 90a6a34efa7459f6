//! Query of the Requests page: device, outcome, search words.

use serde::Deserialize;
use url::form_urlencoded::Serializer;

use super::super::devices::name_of;
use crate::model::{Record, Source};
use crate::outbox::Reader;
use crate::outbox::history::RequestSummary;
use crate::web::texts::{key, tr};

/// Number of requests read at a time.
const READ_BATCH: usize = 200;
/// Maximum number of requests examined for a page.
const MAX_SEARCHED: usize = 10_000;
/// Maximum number of alarms of a request examined for its device.
const MAX_ALARMS: usize = 4;
/// Maximum number of devices to choose from.
const MAX_DEVICES: usize = 2_000;

/// Query parameters.
#[derive(Debug, Default, Deserialize)]
pub(in crate::web::pages) struct RequestsPageQuery {
    /// Number before which the page begins.
    pub(super) before: Option<i64>,
    device: Option<String>,
    outcome: Option<String>,
    q: Option<String>,
}

/// Outcome of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// It led to alarms.
    Accepted,
    /// It was answered 200 without an alarm.
    NoAlarm,
    /// It was refused, or failed.
    Refused,
}

/// All outcomes, with their names in the query and titles on the page.
const OUTCOMES: [(Outcome, &str, &str); 3] = [
    (Outcome::Accepted, "accepted", key("Accepted")),
    (Outcome::NoAlarm, "no_alarm", key("No alarm")),
    (Outcome::Refused, "refused", key("Refused")),
];

/// Filter of the requests.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestFilter {
    device: Option<Source>,
    outcome: Option<Outcome>,
    pub(super) words: String,
}

/// An option of a selection list.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) word: String,
    pub(super) title: String,
    pub(super) chosen: bool,
}

/// A device that sent a request.
#[derive(Debug, Clone)]
pub(super) struct RequestDevice {
    pub(super) source: String,
    pub(super) name: String,
}

/// The requests of a page.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) requests: Vec<(RequestSummary, Option<RequestDevice>)>,
    /// Number before which the next page begins.
    pub(super) older: Option<i64>,
    pub(super) devices: Vec<Choice>,
}

impl From<RequestsPageQuery> for RequestFilter {
    fn from(asked: RequestsPageQuery) -> Self {
        let outcome = asked.outcome.unwrap_or_default();
        Self {
            device: asked.device.as_deref().and_then(Source::from_known),
            outcome: OUTCOMES.iter().find(|(_, word, _)| *word == outcome).map(|(outcome, ..)| *outcome),
            words: asked.q.unwrap_or_default().trim().to_owned(),
        }
    }
}

impl RequestFilter {
    /// Requests before a number that pass the filter, newest first.
    pub(super) fn read(
        &self,
        reader: &mut Reader,
        before: Option<i64>,
        limit: usize,
    ) -> rusqlite::Result<Listed> {
        let (mut requests, mut older, mut next, mut seen) = (Vec::new(), None, before, 0);
        'all: while seen < MAX_SEARCHED {
            let found = reader.requests(next, READ_BATCH)?;
            seen += found.len();
            let more = found.len() == READ_BATCH;
            for request in found {
                next = Some(request.no);
                if !self.matches(&request) {
                    continue;
                }
                let who = device_of(reader, &request, self.device.as_ref())?;
                if self.device.is_some() && who.is_none() {
                    continue;
                }
                if requests.len() == limit {
                    older = requests.last().map(|(request, _): &(RequestSummary, _)| request.no);
                    break 'all;
                }
                requests.push((request, who));
            }
            if !more {
                break;
            }
            if MAX_SEARCHED <= seen {
                older = next;
            }
        }
        let devices = reader.devices("", MAX_DEVICES)?;
        let devices = devices.iter().map(|state| Choice {
            word: state.device.source.to_string(),
            title: name_of(state),
            chosen: self.device.as_ref() == Some(&state.device.source),
        });
        let mut devices: Vec<Choice> = devices.collect();
        devices.sort_by_cached_key(|choice| choice.title.to_lowercase());
        Ok(Listed { requests, older, devices })
    }

    /// Returns whether the properties of a request pass the filter.
    fn matches(&self, request: &RequestSummary) -> bool {
        let outcome = match request.status {
            200..300 if request.alarms.is_empty() => Outcome::NoAlarm,
            200..300 => Outcome::Accepted,
            _ => Outcome::Refused,
        };
        let text =
            format!("{} {} {} {}", request.peer, request.status, request.verdict, request.id).to_lowercase();
        self.outcome.is_none_or(|wanted| wanted == outcome)
            && self.words.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }

    /// Outcomes to choose from.
    pub(super) fn outcomes(&self) -> Vec<Choice> {
        let choice = |(outcome, word, title): &(Outcome, &str, &'static str)| Choice {
            word: (*word).into(),
            title: tr(title).to_owned(),
            chosen: self.outcome == Some(*outcome),
        };
        OUTCOMES.iter().map(choice).collect()
    }

    /// Returns whether any filter is set.
    pub(super) fn is_set(&self) -> bool {
        self.device.is_some() || self.outcome.is_some() || !self.words.is_empty()
    }

    /// Link to a path with this filter.
    pub(super) fn link(&self, path: &str, before: Option<i64>) -> String {
        let mut query = Serializer::new(String::new());
        if let Some(device) = &self.device {
            query.append_pair("device", device.as_str());
        }
        if let Some(outcome) = self.outcome
            && let Some((_, word, _)) = OUTCOMES.iter().find(|(other, ..)| *other == outcome)
        {
            query.append_pair("outcome", word);
        }
        if !self.words.is_empty() {
            query.append_pair("q", &self.words);
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// Device of a request: the one in the filter, otherwise that of its first stored alarm.
fn device_of(
    reader: &mut Reader,
    request: &RequestSummary,
    wanted: Option<&Source>,
) -> rusqlite::Result<Option<RequestDevice>> {
    for id in request.alarms.iter().take(MAX_ALARMS) {
        let Some(entry) = reader.alarm(*id)? else { continue };
        let Record::Alarm(alarm) = &entry.record else { continue };
        if wanted.is_none_or(|wanted| *wanted == alarm.source) {
            return Ok(Some(RequestDevice {
                source: alarm.source.to_string(),
                name: alarm.device.name.clone(),
            }));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_what_was_chosen() {
        let asked = RequestsPageQuery {
            device: Some("98ba5f8b1003".into()),
            outcome: Some("refused".into()),
            q: Some(" 404 & x ".into()),
            before: None,
        };
        let filter = RequestFilter::from(asked);
        let link = filter.link("/requests", Some(7));
        assert_eq!(link, "/requests?device=98ba5f8b1003&outcome=refused&q=404+%26+x&before=7");
        assert!(filter.is_set() && !RequestFilter::default().is_set());
        assert_eq!(RequestFilter::default().link("/requests/3", None), "/requests/3");
    }
}
