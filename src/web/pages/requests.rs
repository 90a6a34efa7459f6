//! The Requests page: what came over HTTP and what became of it; one request in full.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::Response;
use jiff::Timestamp;
use serde::Deserialize;

use super::alarm::{AlarmView, PictureView};
use super::boxes::Boxes;
use super::finding::FindingView;
use super::frame::{Frame, Tab};
use super::html;
use super::moment::{Moment, sentence};
use super::parts::{ShownPart, parts};
use crate::model::Record;
use crate::outbox::Entry;
use crate::outbox::history::{KeptRequest, RequestSummary};
use crate::outbox::parking::ParkedEntry;
use crate::web::{Ask, Delivery, Problem, Web};

/// Requests on one page.
const SHOWN: usize = 50;
/// Alarms shown of one request.
const ALARMS: usize = 16;
/// Findings about connections that left no request to list.
const SILENT: &[&str] =
    &["no_request", "tls_on_plain_port", "plain_on_tls_port", "tls_handshake", "bad_request_head"];

/// What the address asks for.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// Requests before this number.
    before: Option<i64>,
    /// What was just done.
    done: Option<String>,
}

/// The list.
#[derive(Debug, Template)]
#[template(path = "requests.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    silent: Vec<FindingView>,
    requests: Vec<RequestView>,
    older: Option<i64>,
}

/// One request in full.
#[derive(Debug, Template)]
#[template(path = "request.html", config = "src/web/askama.toml")]
struct OnePage {
    frame: Frame,
    request: RequestView,
    head: String,
    parts_title: &'static str,
    parts: Vec<ShownPart>,
    alarms: Vec<ResultView>,
}

/// A request in the list.
#[derive(Debug)]
struct RequestView {
    no: i64,
    id: uuid::Uuid,
    at: Moment,
    peer: String,
    tone: &'static str,
    answer: String,
    verdict: String,
    bytes: String,
}

/// An alarm that was made of a request.
#[derive(Debug)]
struct ResultView {
    id: uuid::Uuid,
    title: String,
    device: String,
    picture: Option<PictureView>,
    boxes: Boxes,
    ways: Vec<Way>,
    values: Vec<Values>,
    json: String,
}

/// The retained topics of one sink that an alarm stands in.
#[derive(Debug)]
struct Values {
    sink: String,
    topics: Vec<String>,
}

/// Where an alarm went on one sink.
#[derive(Debug)]
struct Way {
    sink: String,
    topic: String,
    tone: &'static str,
    words: String,
    at: Option<Moment>,
}

/// Answers with the list.
pub(super) async fn page(State(web): State<Web>, Ask(asked): Ask<Asked>) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let before = asked.before;
    let found = web.read(move |reader| reader.requests(before, SHOWN)).await?;
    let silent = web.findings.list().into_iter().filter(|finding| SILENT.contains(&finding.kind.code));
    let page = Page {
        frame: Frame::new(Tab::Requests, asked.done.as_deref(), &web.findings, now),
        silent: silent.filter(|_| before.is_none()).map(|finding| FindingView::new(finding, now)).collect(),
        older: found.last().filter(|_| found.len() == SHOWN).map(|request| request.no),
        requests: found.into_iter().map(|request| RequestView::new(request, now)).collect(),
    };
    html(&page)
}

/// Answers with one request.
pub(super) async fn one(
    State(web): State<Web>,
    Path(no): Path<i64>,
    Ask(asked): Ask<Asked>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let found = web
        .read(move |reader| {
            let Some(kept) = reader.request(no)? else { return Ok(None) };
            let ids = kept.summary.alarms.iter().take(ALARMS);
            let alarms = ids.map(|id| reader.alarm(*id)).collect::<Result<Vec<_>, _>>()?;
            let with_parked = |entry: Arc<Entry>| reader.parked_of(entry.no).map(|parked| (entry, parked));
            let alarms = alarms.into_iter().flatten().map(with_parked).collect::<Result<Vec<_>, _>>()?;
            Ok(Some((kept, alarms)))
        })
        .await?;
    let (kept, alarms) = found.ok_or_else(|| Problem::not_found("request of this number (any more)"))?;
    let alarms: Vec<_> =
        alarms.iter().filter_map(|(entry, parked)| ResultView::new(entry, parked, &web, now)).collect();
    let parts = parts(&kept.body);
    let page = OnePage {
        frame: Frame::new(Tab::Requests, asked.done.as_deref(), &web.findings, now),
        head: kept.head.trim_end().to_owned(),
        parts_title: match parts.len() {
            0 => "No body",
            1 => "Body",
            _ => "Parts",
        },
        parts,
        alarms,
        request: RequestView::new(kept.summary, now),
    };
    html(&page)
}

/// Answers with the capture: head and body as kept, secrets masked.
pub(super) async fn capture(State(web): State<Web>, Path(no): Path<i64>) -> Result<Response, Problem> {
    let kept: Option<KeptRequest> = web.read(move |reader| reader.request(no)).await?;
    let kept = kept.ok_or_else(|| Problem::not_found("request of this number (any more)"))?;
    let head = kept.head.trim_end().to_owned() + "\r\n\r\n";
    let mut response = Response::new(Body::from([head.as_bytes(), &kept.body].concat()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"alarmbus-request-{no}.http\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    Ok(response)
}

impl RequestView {
    fn new(request: RequestSummary, now: Timestamp) -> Self {
        let (tone, word) = match request.status {
            200..300 if request.alarms.is_empty() => ("", "No alarm"),
            200..300 => ("ok", "Taken in"),
            500.. => ("bad", "Failed"),
            _ => ("bad", "Refused"),
        };
        Self {
            no: request.no,
            id: request.id,
            at: Moment::new(request.at, now),
            peer: request.peer,
            tone,
            answer: format!("{} {word}", request.status),
            verdict: sentence(&request.verdict),
            bytes: size(request.bytes),
        }
    }
}

/// A number of bytes as people say it.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{} KiB", bytes.div_ceil(1_024)),
        _ => format!("{} MiB", bytes.div_ceil(1_048_576)),
    }
}

impl ResultView {
    fn new(entry: &Entry, parked: &[ParkedEntry], web: &Web, now: Timestamp) -> Option<Self> {
        let Record::Alarm(alarm) = &entry.record else { return None };
        let view = AlarmView::new(alarm, now);
        let deliveries = web.deliveries(entry, parked);
        Some(Self {
            id: view.id,
            title: view.title,
            device: view.device,
            picture: view.picture,
            boxes: view.boxes,
            ways: deliveries.iter().flat_map(|delivery| ways(delivery, now)).collect(),
            values: deliveries.into_iter().filter_map(Values::of).collect(),
            json: serde_json::to_string_pretty(&web.bridge.published(entry)).unwrap_or_default(),
        })
    }
}

impl Values {
    fn of(delivery: Delivery) -> Option<Self> {
        let Delivery { sink, values: topics, .. } = delivery;
        (!topics.is_empty()).then_some(Self { sink, topics })
    }
}

/// A row a topic of the alarm itself, with what became of it.
fn ways(delivery: &Delivery, now: Timestamp) -> Vec<Way> {
    let (tone, words) = match delivery.state.as_str() {
        "acknowledged" if delivery.heard == Some(false) => ("warn", "yes, nobody subscribes".to_owned()),
        "acknowledged" => ("ok", "yes".to_owned()),
        "parked" => ("bad", format!("parked: {}", delivery.reason.as_deref().unwrap_or("refused"))),
        _ => ("warn", "waiting".to_owned()),
    };
    let way = |topic: &String| {
        let at = delivery.at.map(|at| Moment::new(at, now));
        Way { sink: delivery.sink.clone(), topic: topic.clone(), tone, words: words.clone(), at }
    };
    delivery.topics.iter().map(way).collect()
}
