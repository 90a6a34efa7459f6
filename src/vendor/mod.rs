//! From bytes to meaning: one module per maker. Pure, so that it can be fuzzed; only here are wire formats known.
//!
//! A body becomes a [`Report`] (JSON documents and pictures, however damaged), and the vendor that
//! recognises a document makes alarms of it. A new maker is a module with a [`Vendor`] and a row in [`VENDORS`].

use std::collections::HashSet;

use bytes::Bytes;
use serde_json::Value;

use crate::config::ingest::Pointers;
use crate::model::{Alarm, Picture};

pub mod alarms;
mod base64;
mod boundary;
mod boxes;
mod channel;
mod charset;
mod content;
mod error;
mod fields;
mod generic;
mod json;
mod json_repair;
mod json_value;
mod multipart;
mod names;
mod part;
mod reader;
pub mod report;
mod strict;
mod vigi;
mod vigi_nvr;

#[cfg(test)]
mod tests;

use alarms::{Alarms, blank, nobody};
pub use error::DecodeError;
use report::Report;

/// A maker's format. Knows nothing of transport: what it gets is JSON.
pub trait Vendor: Sync {
    /// The word for it in the configuration of a webhook.
    fn name(&self) -> &'static str;
    /// Whether a document has this maker's shape.
    fn recognises(&self, document: &Value) -> bool;
    /// Adds the alarms of a document. Total: what cannot be read is left out of an alarm or kept in its `extra`.
    fn decode(&self, document: &Value, report: &Report, alarms: &mut Alarms);
}

/// Every vendor; the first that recognises a document decodes it.
pub static VENDORS: &[&dyn Vendor] = &[&vigi::Vigi, &vigi_nvr::VigiNvr, &generic::Generic];

/// The body of one request, as far as it came.
#[derive(Debug, Clone)]
pub struct Body {
    /// The bytes, at most the body bound.
    pub bytes: Bytes,
    /// The `Content-Type` header, as sent.
    pub content_type: Option<String>,
    /// How reading ended.
    pub end: End,
    /// Bytes that came after the bound and were thrown away.
    pub skipped: u64,
}

/// How reading a body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Every announced byte came.
    Complete,
    /// The connection ended or the body time ran out before that.
    Truncated,
    /// The bound was passed; what came after it is not in `bytes`.
    TooLarge,
}

/// What a webhook says about the reports that come to it.
#[derive(Debug, Clone, Default)]
pub struct Hints {
    /// `auto`, or the name of a vendor.
    pub vendor: String,
    /// Pointers for vendor `generic`.
    pub pointers: Pointers,
    /// The most alarms one report may make.
    pub alarms_per_report: usize,
}

/// A report understood.
#[derive(Debug, Clone, Default)]
pub struct Decoded {
    /// The alarms in order, `motion` first. Empty for a valid report without events.
    pub alarms: Vec<Alarm>,
    /// The pictures; alarms refer to them by index.
    pub pictures: Vec<Picture>,
    /// What was wrong with the report though it was understood.
    pub problems: Vec<Problem>,
}

/// Something wrong with a report that was understood all the same: becomes a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The finding's code.
    pub code: &'static str,
    /// What was seen, in plain words.
    pub detail: String,
}

/// Decodes a body.
///
/// # Errors
/// When neither complete JSON nor the start of a JPEG is in it.
pub fn decode(body: &Body, hints: &Hints) -> Result<Decoded, DecodeError> {
    let mut report = reader::read(body, hints)?;
    let mut alarms = Alarms::bounded(hints.alarms_per_report);
    let chosen: Vec<&dyn Vendor> = report.documents.iter().map(|it| choose(&hints.vendor, it)).collect();
    let generic = |vendor: &dyn Vendor| vendor.name() == "generic";
    let ignore = hints.vendor != "generic" && !chosen.iter().all(|vendor| generic(*vendor));
    let documents = std::mem::take(&mut report.documents);
    let is_named = |vendor: &dyn Vendor| ["", "auto", vendor.name()].contains(&hints.vendor.as_str());
    for (document, vendor) in documents.iter().zip(chosen) {
        if ignore && generic(vendor) {
            report.problem("json_ignored", shown(document));
            continue;
        }
        if !is_named(vendor) {
            report.problem("vendor_mismatch", mismatch(&hints.vendor, vendor));
        }
        vendor.decode(document, &report, &mut alarms);
    }
    if documents.is_empty() {
        pictures_alone(&report, &mut alarms);
    }
    Ok(finish(report, alarms))
}

/// The vendor of a document: the one the webhook names, unless the document has the shape of another.
fn choose(named: &str, document: &Value) -> &'static dyn Vendor {
    let by_name = VENDORS.iter().find(|vendor| vendor.name() == named && vendor.recognises(document));
    let by_content = || VENDORS.iter().find(|vendor| vendor.recognises(document));
    by_name.or_else(by_content).copied().unwrap_or(&generic::Generic)
}

/// The webhook names another vendor than the document's.
fn mismatch(named: &str, vendor: &dyn Vendor) -> String {
    format!("the webhook's vendor is {named:?}, the report's is {:?}", vendor.name())
}

/// Pictures without any JSON are alarms of the peer.
fn pictures_alone(report: &Report, alarms: &mut Alarms) {
    for index in 0..report.images.len() {
        alarms.entry();
        alarms.add(vec![names::Named::unknown()], || Alarm {
            picture: Some(index),
            ..blank(nobody("generic"))
        });
    }
}

/// Puts the result together.
fn finish(mut report: Report, alarms: Alarms) -> Decoded {
    if alarms.dropped() > 0 {
        report.problem("report_cut", format!("{} alarms of one report were only counted", alarms.dropped()));
    }
    let alarms = alarms.finish();
    let claimed: HashSet<usize> = alarms.iter().filter_map(|alarm| alarm.picture).collect();
    let (all, claimed) = (report.images.len(), claimed.len());
    if claimed < all {
        report
            .problem("picture_unmatched", format!("{} of {all} pictures belong to no alarm", all - claimed));
    }
    let Report { images, mut problems, .. } = report;
    problems.dedup();
    Decoded { alarms, pictures: images.into_iter().map(|image| image.picture).collect(), problems }
}

/// The beginning of a document, for people.
fn shown(document: &Value) -> String {
    let keys = document.as_object().into_iter().flat_map(|map| map.keys()).take(8);
    let keys: Vec<String> = keys.map(|key| fields::cut(key)).collect();
    format!("a document with the keys {keys:?} stands beside the report")
}
