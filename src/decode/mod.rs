//! Decodes request bodies into alarms. Pure, so that it can be fuzzed. Wire formats are known only here.
//!
//! `carrier` makes a [`Report`] of a body: documents and pictures, however damaged. `maker` makes alarms of each
//! document: the maker that recognises it decodes it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::config::FixedDevice;
use crate::config::ingest::Pointers;
use crate::config::mapping::Mapping;
use crate::config::mapping::file::Reply;
use crate::findings::FindingCode;
use crate::model::{Alarm, Picture, Reported};

pub mod carrier;
pub mod draft;
mod error;
pub mod maker;
pub mod recorded;
pub mod report;

#[cfg(test)]
mod tests;

pub use error::DecodeError;
use maker::alarms::{Alarms, blank_alarm, unknown_camera};
pub use maker::mapping::explain::{Explanation, Looked};
use maker::{Maker, choose, names};
use report::{Document, Report, cut, shown};

/// Body of a request, as far as it was received.
#[derive(Debug, Clone)]
pub struct Body {
    /// Bytes, at most limits.body_bytes.
    pub bytes: Bytes,
    /// The `Content-Type` header, as sent.
    pub content_type: Option<String>,
    /// Result of reading the body.
    pub end: BodyEnd,
    /// Number of bytes dropped past the limit.
    pub skipped: u64,
    /// Note on a `Content-Encoding` that does not match the body, or cannot be decoded.
    pub coding: Option<Coding>,
}

/// Difference between the actual encoding of a body and its `Content-Encoding` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coding {
    /// Declared and actual encoding, as text for a finding.
    pub detail: String,
    /// Set if the body is not compressed, though it is declared to be.
    pub plain: bool,
}

/// Result of reading a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyEnd {
    /// All announced bytes were received.
    Complete,
    /// The connection ended, or the time for the body ran out, before that.
    Truncated,
    /// The size limit was reached; later bytes are not in `bytes`.
    TooLarge,
}

/// Settings of a webhook for the reports that it receives.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// `auto`, or the name of a vendor.
    pub vendor: String,
    /// Mapping files of the webhook.
    pub mappings: Vec<Arc<Mapping>>,
    /// Device to which every report is assigned, whatever the report says.
    pub device: FixedDevice,
    /// Pointers for vendor `generic`.
    pub pointers: Pointers,
    /// Query of the request, which may contain an alarm.
    pub query: String,
    /// Headers of the request that a mapping may read, their names in lower case; and as `:path` the path, if the
    /// maker has fixed it.
    pub headers: Map<String, Value>,
    /// Maximum number of alarms of one report.
    pub alarms_per_report: usize,
}

impl Hints {
    /// Headers in the form that mappings read.
    pub(crate) fn headers(&self) -> Value {
        if self.headers.is_empty() {
            return Value::Null;
        }
        Map::from_iter([("@headers".to_owned(), self.headers.clone().into())]).into()
    }
}

/// A decoded report.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// The alarms in order, `motion` first. Empty for a valid report without events.
    pub alarms: Vec<Alarm>,
    /// The pictures; alarms refer to them by index.
    pub pictures: Vec<Picture>,
    /// Problems of a report that could be decoded anyway.
    pub problems: Vec<ReportProblem>,
    /// Heartbeats and tests in the report, which are not alarms.
    pub signs: Vec<Sign>,
    /// The answer that the device waits for.
    pub answer: Option<Answer>,
}

/// A heartbeat of a device, or a press of its test button.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sign {
    /// The device.
    pub device: Reported,
    /// Set for a test.
    pub test: bool,
}

/// Response that a device expects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Its `Content-Type`.
    pub content_type: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// Response of a mapping, with a value of the document inserted.
    pub(crate) fn new(reply: &Reply, echoed: Option<&str>) -> Self {
        let body = echoed.map_or_else(|| reply.body.clone(), |value| reply.body.replace("{}", &cut(value)));
        let content_type = reply.content_type.as_deref().unwrap_or("application/json").to_owned();
        Self { status: reply.status.unwrap_or(200), content_type, body }
    }
}

/// A problem of a report that was decoded nevertheless; it becomes a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportProblem {
    /// The finding's code.
    pub code: FindingCode,
    /// Description, as text for a finding.
    pub detail: String,
}

/// Decodes a body.
///
/// # Errors
/// Returns an error when neither complete JSON nor the start of a JPEG is in it.
pub fn decode(body: &Body, hints: &Hints) -> Result<Decoded, DecodeError> {
    let mut report = read(body, hints)?;
    let mut alarms = Alarms::bounded(hints.alarms_per_report);
    join(&mut report);
    let chosen: Vec<Maker<'_>> =
        report.documents.iter().map(|document| choose(hints, document, &report.headers)).collect();
    let ignore = hints.vendor != "generic" && !chosen.iter().all(|maker| maker.is_generic());
    note_coding(body, &chosen, &mut report);
    let is_data = chosen.iter().any(|maker| matches!(maker, Maker::Data(_)));
    let documents = std::mem::take(&mut report.documents);
    let none = documents.is_empty();
    for (mut document, maker) in documents.into_iter().zip(chosen) {
        if ignore && maker.is_generic() {
            report.problem(
                FindingCode::JsonIgnored,
                format!("{} stands beside the report", shown(&document.value)),
            );
            continue;
        }
        let own = matches!(maker, Maker::Data(mapping) if hints.mappings.iter().any(|own| std::ptr::eq(&**own, mapping)));
        if !own && !["", "auto", maker.name()].contains(&hints.vendor.as_str()) {
            report.problem(FindingCode::VendorMismatch, mismatch(&hints.vendor, maker));
        }
        maker.join_values(&mut document.value, &mut report);
        maker.note_generic(&document, &mut report);
        match maker {
            Maker::Code(vendor) => {
                maker::secrets::scrub(&mut document.value, &[]);
                vendor.decode(&document.value, &report, &mut alarms);
            }
            Maker::Data(mapping) => mapping.decode(document.value, &mut report, &mut alarms),
        }
    }
    if none {
        pictures_alone(&report, &mut alarms);
    }
    let mut decoded = finish(report, alarms, is_data);
    fix_device(&mut decoded, &hints.device);
    Ok(decoded)
}

/// Assigns the webhook's fixed device to every alarm and sign. Channels stay distinct.
fn fix_device(decoded: &mut Decoded, fixed: &FixedDevice) {
    let alarms = decoded.alarms.iter_mut().map(|alarm| &mut alarm.device);
    for device in alarms.chain(decoded.signs.iter_mut().map(|sign| &mut sign.device)) {
        if fixed.id.is_some() || fixed.mac.is_some() {
            device.mac = fixed.mac;
            device.device_id.clone_from(&fixed.id);
        }
        let name = fixed.name.clone().or_else(|| device.name.take()).or_else(|| fixed.id.clone());
        device.name = name;
    }
}

/// Explains which values the webhook's mappings, or otherwise the chosen ones, find in a body.
///
/// # Errors
/// Returns an error when the body contains no document.
pub fn explain(body: &Body, hints: &Hints) -> Result<Vec<Explanation>, DecodeError> {
    let mut report = read(body, hints)?;
    join(&mut report);
    let mut all = Vec::new();
    for document in &report.documents {
        let own = hints.mappings.iter().map(|mapping| &**mapping);
        let chosen = match choose(hints, document, &report.headers) {
            Maker::Data(mapping) if hints.mappings.is_empty() => Some(mapping),
            _ => None,
        };
        all.extend(own.chain(chosen).map(|mapping| mapping.explain(document, &report.headers)));
    }
    Ok(all)
}

/// Reads the body, or the query if the body contains no document.
fn read(body: &Body, hints: &Hints) -> Result<Report, DecodeError> {
    let report = carrier::reader::read(body, hints);
    if report.as_ref().is_ok_and(|report| !report.documents.is_empty()) {
        return report;
    }
    let headers = hints.headers();
    let query = carrier::form::parse(hints.query.as_bytes());
    let empty = matches!(report, Err(DecodeError::Empty)).then(|| Value::Object(Map::new()));
    let known = |value: &Value, form| maker::mapping::known(&hints.mappings, value, form, &headers);
    if let Some(value) = empty.filter(|value| known(value, false)) {
        let documents = vec![Document { value, form: false }];
        return Ok(Report { documents, headers, ..Report::default() });
    }
    match query.filter(|query| known(query, true)) {
        Some(value) if !matches!(report, Err(DecodeError::Truncated(_) | DecodeError::TooLarge(_))) => {
            let mut report = report.unwrap_or_default();
            report.headers = headers;
            report.documents.push(report::Document { value, form: true });
            Ok(report)
        }
        _ => report,
    }
}

/// Returns whether one of the webhook's mappings, or a built-in one, recognises a query.
#[must_use]
pub fn knows_query(query: &str, hints: &Hints) -> bool {
    let query = carrier::form::parse(query.as_bytes());
    query.is_some_and(|query| maker::mapping::known(&hints.mappings, &query, true, &hints.headers()))
}

/// Makes a document of the text parts of a form if there is no other.
fn join(report: &mut Report) {
    if report.documents.is_empty() && !report.values.is_empty() {
        let value = std::mem::take(&mut report.values).into();
        report.documents.push(Document { value, form: true });
    }
}

/// Notes a wrong `Content-Encoding`, unless the maker is known to declare one for bodies that are not compressed.
fn note_coding(body: &Body, chosen: &[Maker<'_>], report: &mut Report) {
    let usual = |maker: &Maker<'_>| matches!(maker, Maker::Data(mapping) if mapping.false_encoding);
    if let Some(coding) = body.coding.as_ref().filter(|coding| !coding.plain || !chosen.iter().any(usual)) {
        report.problem(FindingCode::ContentEncodingWrong, coding.detail.clone());
    }
}

/// Message for a webhook that names a vendor other than the document's.
fn mismatch(named: &str, maker: Maker<'_>) -> String {
    format!("the webhook's vendor is {named:?}, the report's is {:?}", maker.name())
}

/// Adds alarms of the peer for pictures without any JSON.
fn pictures_alone(report: &Report, alarms: &mut Alarms) {
    for index in 0..report.images.len() {
        alarms.entry();
        alarms.add(vec![names::Named::unknown()], || Alarm {
            picture: Some(index),
            ..blank_alarm(unknown_camera("generic"))
        });
    }
}

/// Assembles the result.
fn finish(mut report: Report, alarms: Alarms, has_crops: bool) -> Decoded {
    if alarms.dropped() > 0 {
        report.problem(
            FindingCode::ReportCut,
            format!("{} alarms of one report were only counted", alarms.dropped()),
        );
    }
    let alarms = alarms.finish();
    let claimed: HashSet<usize> = alarms.iter().filter_map(|alarm| alarm.picture).collect();
    let (all, claimed) = (report.images.len(), claimed.len());
    // A maker defined by a mapping file sends image crops besides the whole picture.
    if claimed < all && !has_crops {
        report.problem(
            FindingCode::PictureUnmatched,
            format!("{} of {all} pictures belong to no alarm", all - claimed),
        );
    }
    let Report { images, mut problems, signs, answer, .. } = report;
    problems.dedup();
    let pictures = images.into_iter().map(|image| image.picture).collect();
    Decoded { alarms, pictures, problems, signs, answer }
}
