//! The Requests page: requests received over HTTP and their results; one request in full.

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::Response;
use jiff::Timestamp;

mod curl;
mod filter;
mod parts;

use super::alarm::boxes::Boxes;
use super::alarm::{AlarmView, PictureView};
use super::finding::FindingView;
use super::frame::moment::Moment;
use super::frame::{Frame, Tab};
use super::html;
use crate::decode::recorded;
use crate::findings::FindingCode;
use crate::model::Record;
use crate::outbox::Entry;
use crate::outbox::history::{KeptRequest, RequestSummary};
use crate::outbox::parking::ParkedEntry;
use crate::web::filters;
use crate::web::texts::{fill, tr};
use crate::web::words::{sentence, verdict};
use crate::web::{Delivery, DeliveryState, PageQuery, Problem, Web};
use filter::{Choice, RequestDevice, RequestFilter, RequestsPageQuery};
use parts::{ShownPart, parts};

/// Number of requests per page.
const PAGE_SIZE: usize = 50;
/// Maximum number of requests newer than the one shown in the list beside it.
const NEWER_BESIDE: i64 = 15;
/// Maximum number of alarms shown of a request.
const MAX_ALARMS: usize = 16;
/// Codes of findings about connections without a request.
const CONNECTION_FINDINGS: &[FindingCode] = &[
    FindingCode::NoRequest,
    FindingCode::TlsOnPlainPort,
    FindingCode::PlainOnTlsPort,
    FindingCode::TlsHandshake,
    FindingCode::BadRequestHead,
    FindingCode::BytesBehindRequest,
];

/// The list of requests.
#[derive(Debug, Template)]
#[template(path = "requests.html", config = "src/web/askama.toml")]
struct Page {
    frame: Frame,
    silent: Vec<FindingView>,
    /// Set if requests can be stored.
    stored: bool,
    requests: Vec<RequestView>,
    older: Option<String>,
    filter: RequestFilter,
    devices: Vec<Choice>,
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
    curl: String,
    /// Link to the list it was chosen from, for wide screens.
    list: String,
    requests: Vec<RequestView>,
    /// Set if a body or a query exists from which a mapping can be made.
    has_content: bool,
    /// Set if it led to an alarm of a known kind.
    understood: bool,
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
    device: Option<RequestDevice>,
    /// Link to the page of this request, with the current filter.
    link: String,
}

/// An alarm of a request.
#[derive(Debug)]
struct ResultView {
    id: uuid::Uuid,
    title: String,
    /// Set if its kind is in the catalogue.
    known: bool,
    device: String,
    picture: Option<PictureView>,
    boxes: Boxes,
    ways: Vec<Way>,
    values: Vec<Values>,
    json: String,
}

/// Retained topics of one sink that contain an alarm.
#[derive(Debug)]
struct Values {
    sink: String,
    topics: Vec<String>,
}

/// Delivery of an alarm to one topic.
#[derive(Debug)]
struct Way {
    sink: String,
    topic: String,
    tone: &'static str,
    words: String,
    at: Option<Moment>,
}

/// Answers with the list.
pub(super) async fn page(
    State(web): State<Web>,
    frame: Frame,
    PageQuery(asked): PageQuery<RequestsPageQuery>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let before = asked.before;
    let filter = RequestFilter::from(asked);
    let by = filter.clone();
    let found = web.read(move |reader| by.read(reader, before, PAGE_SIZE)).await?;
    let silent =
        web.findings.list().into_iter().filter(|finding| CONNECTION_FINDINGS.contains(&finding.kind.code));
    let page = Page {
        frame: match before {
            Some(_) => frame.of(Tab::Requests).titled(tr("Older requests")),
            None => frame.of(Tab::Requests),
        },
        stored: web.outbox.durable(),
        silent: silent
            .filter(|_| before.is_none() && !filter.is_set())
            .map(|finding| FindingView::new(finding, now))
            .collect(),
        older: found.older.map(|before| filter.link("/requests", Some(before))),
        requests: views(found.requests, &filter, now),
        devices: found.devices,
        filter,
    };
    html(&page)
}

/// Answers with one request.
pub(super) async fn one(
    State(web): State<Web>,
    frame: Frame,
    Path(no): Path<i64>,
    PageQuery(asked): PageQuery<RequestsPageQuery>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let filter = RequestFilter::from(asked);
    let by = filter.clone();
    let found = web
        .read(move |reader| {
            let Some(kept) = reader.request(no)? else { return Ok(None) };
            let ids = kept.summary.alarms.iter().take(MAX_ALARMS);
            let alarms = ids.map(|id| reader.alarm(*id)).collect::<Result<Vec<_>, _>>()?;
            let with_parked = |entry: Arc<Entry>| reader.parked_of(entry.no).map(|parked| (entry, parked));
            let alarms = alarms.into_iter().flatten().map(with_parked).collect::<Result<Vec<_>, _>>()?;
            // The list begins a few requests before the one shown.
            let list = by.read(reader, Some(no.saturating_add(NEWER_BESIDE)), PAGE_SIZE)?;
            Ok(Some((kept, alarms, list)))
        })
        .await?;
    let (kept, alarms, list) =
        found.ok_or_else(|| Problem::not_found("request of this number (any more)"))?;
    let alarms: Vec<_> =
        alarms.iter().filter_map(|(entry, parked)| ResultView::new(entry, parked, &web, now)).collect();
    let parts = parts(&kept.body);
    let page = OnePage {
        frame: frame.of(Tab::Requests).titled(format!("{} {no}", tr("Request"))),
        head: kept.head.trim_end().to_owned(),
        parts_title: match parts.len() {
            0 => tr("No body"),
            1 => tr("Body"),
            _ => tr("Parts"),
        },
        has_content: !parts.is_empty() || !recorded::query(kept.head.as_bytes()).is_empty(),
        understood: alarms.iter().any(|alarm| alarm.known),
        parts,
        alarms,
        curl: curl::command(&kept.head, &kept.body, &base(&web), no),
        list: filter.link("/requests", None),
        requests: views(list.requests, &filter, now),
        request: RequestView::new(kept.summary, None, String::new(), now),
    };
    html(&page)
}

/// Answers with the capture: stored head and body, secrets masked.
pub(super) async fn capture(State(web): State<Web>, Path(no): Path<i64>) -> Result<Response, Problem> {
    let kept: Option<KeptRequest> = web.read(move |reader| reader.request(no)).await?;
    let kept = kept.ok_or_else(|| Problem::not_found("request of this number (any more)"))?;
    let head = kept.head.trim_end().to_owned() + "\r\n\r\n";
    Ok(download([head.as_bytes(), &kept.body].concat(), &format!("alarmbus-request-{no}.http")))
}

/// Response that browsers save as a file.
fn download(bytes: Vec<u8>, name: &str) -> Response {
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    if let Ok(name) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, name);
    }
    response
}

/// Answers with the stored body, secrets masked.
pub(super) async fn body(State(web): State<Web>, Path(no): Path<i64>) -> Result<Response, Problem> {
    let kept: Option<KeptRequest> = web.read(move |reader| reader.request(no)).await?;
    let kept = kept.ok_or_else(|| Problem::not_found("request of this number (any more)"))?;
    Ok(download(kept.body.to_vec(), &format!("alarmbus-request-{no}.body")))
}

/// URL of the listener for cameras, without a path.
fn base(web: &Web) -> String {
    let reach = web.bridge.reach();
    let host = reach.addresses.first().map_or("127.0.0.1", String::as_str);
    match (reach.http_port, reach.https_port) {
        (0, Some(port)) => format!("https://{host}:{port}"),
        (port, _) => format!("http://{host}:{port}"),
    }
}

/// The rows of a list.
fn views(
    found: Vec<(RequestSummary, Option<RequestDevice>)>,
    filter: &RequestFilter,
    now: Timestamp,
) -> Vec<RequestView> {
    let view = |(request, who): (RequestSummary, Option<RequestDevice>)| {
        let link = filter.link(&format!("/requests/{}", request.no), None);
        RequestView::new(request, who, link, now)
    };
    found.into_iter().map(view).collect()
}

impl RequestView {
    fn new(request: RequestSummary, device: Option<RequestDevice>, link: String, now: Timestamp) -> Self {
        let (tone, word) = match request.status {
            200..300 if request.alarms.is_empty() => ("", tr("No alarm")),
            200..300 => ("ok", tr("Accepted")),
            500.. => ("bad", tr("Failed")),
            _ => ("bad", tr("Refused")),
        };
        Self {
            no: request.no,
            id: request.id,
            at: Moment::new(request.at, now),
            peer: request.peer,
            tone,
            answer: format!("{} {word}", request.status),
            verdict: sentence(&verdict(&request.verdict)),
            bytes: size(request.bytes),
            device,
            link,
        }
    }
}

/// A number of bytes with a suitable unit.
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
            known: alarm.event.kind().is_some() && alarm.event.as_str() != "unknown",
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

/// Rows of the topics of an alarm, with their delivery states.
fn ways(delivery: &Delivery, now: Timestamp) -> Vec<Way> {
    let (tone, words) = match delivery.state {
        DeliveryState::Acknowledged if delivery.heard == Some(false) => {
            ("warn", tr("yes, nobody subscribes").to_owned())
        }
        DeliveryState::Acknowledged => ("ok", tr("yes").to_owned()),
        DeliveryState::Parked => ("bad", fill("parked: {}", delivery.reason.as_deref().unwrap_or("refused"))),
        DeliveryState::Waiting => ("warn", tr("waiting").to_owned()),
        DeliveryState::LeftOut => ("idle", tr("left out by its settings").to_owned()),
    };
    let way = |topic: &String| {
        let at = delivery.at.map(|at| Moment::new(at, now));
        Way { sink: delivery.sink.clone(), topic: topic.clone(), tone, words: words.clone(), at }
    };
    delivery.topics.iter().map(way).collect()
}
