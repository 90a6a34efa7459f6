//! A finding as a page shows it: what was seen, why, and what to do.

use jiff::Timestamp;

use super::moment::{Moment, sentence};
use crate::findings::{Finding, Severity};

/// A finding on a page.
#[derive(Debug)]
pub(super) struct FindingView {
    pub(super) code: &'static str,
    pub(super) tone: &'static str,
    pub(super) severity: &'static str,
    pub(super) title: &'static str,
    pub(super) subject: String,
    pub(super) detail: String,
    pub(super) cause: &'static str,
    pub(super) remedy: &'static str,
    pub(super) count: u64,
    pub(super) first: Moment,
    pub(super) last: Moment,
}

impl FindingView {
    /// A finding, seen from now.
    pub(super) fn new(finding: Finding, now: Timestamp) -> Self {
        let (tone, severity) = match finding.kind.severity {
            Severity::Info => ("", "Good to know"),
            Severity::Warning => ("warn", "Warning"),
            Severity::Error => ("bad", "Problem"),
        };
        Self {
            code: finding.kind.code,
            tone,
            severity,
            title: finding.kind.title,
            subject: finding.subject,
            detail: sentence(&finding.detail),
            cause: finding.kind.cause,
            remedy: finding.kind.remedy,
            count: finding.count,
            first: Moment::new(finding.first, now),
            last: Moment::new(finding.last, now),
        }
    }
}
