//! View of a finding: what was seen, cause and remedy.

use jiff::Timestamp;

use super::frame::moment::Moment;
use crate::findings::{Finding, Severity};
use crate::web::texts::tr;
use crate::web::words::{Prose, sentence};

/// A finding on a page.
#[derive(Debug)]
pub(super) struct FindingView {
    pub(super) code: &'static str,
    pub(super) tone: &'static str,
    pub(super) severity: &'static str,
    pub(super) title: &'static str,
    pub(super) subject: String,
    pub(super) detail: Prose,
    pub(super) cause: Prose,
    pub(super) remedy: Prose,
    pub(super) count: u64,
    pub(super) first: Moment,
    pub(super) last: Moment,
    pub(super) dismissed: bool,
}

/// All findings of one code.
#[derive(Debug)]
pub(super) struct GroupView {
    pub(super) first: FindingView,
    pub(super) others: Vec<FindingView>,
}

/// Groups findings by code, in the order of the first of each.
pub(super) fn grouped(findings: Vec<FindingView>) -> Vec<GroupView> {
    let mut groups: Vec<GroupView> = Vec::new();
    for finding in findings {
        match groups.iter_mut().find(|group| group.first.code == finding.code) {
            Some(group) => group.others.push(finding),
            None => groups.push(GroupView { first: finding, others: Vec::new() }),
        }
    }
    groups
}

impl GroupView {
    /// The findings of the group.
    pub(super) fn all(&self) -> impl Iterator<Item = &FindingView> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// Number of findings.
    pub(super) fn count(&self) -> usize {
        1 + self.others.len()
    }
}

impl FindingView {
    /// View of a finding.
    pub(super) fn new(finding: Finding, now: Timestamp) -> Self {
        let (tone, severity) = match finding.kind.severity {
            Severity::Info => ("", tr("Good to know")),
            Severity::Warning => ("warn", tr("Warning")),
            Severity::Error => ("bad", tr("Problem")),
        };
        Self {
            code: finding.kind.code.as_str(),
            tone,
            severity,
            title: tr(finding.kind.title),
            subject: finding.subject,
            detail: sentence(&finding.detail).into(),
            cause: finding.kind.cause.into(),
            remedy: finding.kind.remedy.into(),
            count: finding.count,
            first: Moment::new(finding.first, now),
            last: Moment::new(finding.last, now),
            dismissed: finding.dismissed,
        }
    }
}
