//! Findings: problems observed between camera and broker, with cause and remedy.
//!
//! Used by log, pages, doctor and metrics. Each kind of finding is one row of [`CATALOGUE`].

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::Serialize;

mod catalogue;
mod dismissal;

pub use crate::model::status::Severity;
pub use catalogue::{CATALOGUE, FindingCode};
pub use dismissal::Dismissal;

/// Maximum number of findings; past it, the tenth seen longest ago is dropped.
const MAX_FINDINGS: usize = 500;

/// A kind of finding.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "finding_kind")]
pub struct FindingKind {
    /// Stable code.
    pub code: FindingCode,
    /// Severity.
    pub severity: Severity,
    /// Title, in one line.
    pub title: &'static str,
    /// Cause.
    pub cause: &'static str,
    /// Remedy.
    pub remedy: &'static str,
}

/// A finding.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "finding")]
pub struct Finding {
    /// Kind of the finding.
    #[serde(flatten)]
    pub kind: FindingKind,
    /// Subject: a peer, a source, a sink.
    pub subject: String,
    /// Detail of the latest occurrence.
    pub detail: String,
    /// Number of occurrences.
    pub count: u64,
    /// Time of the first occurrence.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub first: Timestamp,
    /// Time of the latest occurrence.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last: Timestamp,
    /// Set if a user dismissed it; the next occurrence clears this.
    pub dismissed: bool,
}

/// All findings of a running bridge; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    kept: Arc<Mutex<BTreeMap<(FindingCode, String), Finding>>>,
    dismissals: Arc<dismissal::Dismissals>,
}

impl Findings {
    /// Records an occurrence, and logs the 1st, 10th, 100th, and so on.
    pub fn raise(&self, code: FindingCode, subject: &str, detail: &str) {
        let seen = self.note(code, subject, detail);
        if seen.is_due() {
            seen.log(subject, detail);
        }
    }

    /// Records an occurrence and always logs it: for an action whose user waits for the result.
    pub fn raise_by_hand(&self, code: FindingCode, subject: &str, detail: &str) {
        self.note(code, subject, detail).log(subject, detail);
    }

    /// Records an occurrence without logging it, for a caller that logs a line of its own.
    pub fn note(&self, code: FindingCode, subject: &str, detail: &str) -> Seen {
        let now = crate::host::now();
        let mut kept = self.kept.lock();
        let finding = kept.entry((code, subject.to_owned())).or_insert_with(|| Finding {
            kind: code.kind(),
            subject: subject.to_owned(),
            detail: String::new(),
            count: 0,
            first: now,
            last: now,
            dismissed: false,
        });
        finding.count += 1;
        finding.last = now;
        detail.clone_into(&mut finding.detail);
        let remembered = finding.count == 1 && self.dismissals.remembers(finding);
        if finding.dismissed && !remembered {
            self.dismissals.changed();
        }
        finding.dismissed = remembered;
        let seen = Seen { kind: finding.kind, count: finding.count };
        if kept.len() > MAX_FINDINGS {
            let mut seen: Vec<Timestamp> = kept.values().map(|finding| finding.last).collect();
            seen.sort_unstable();
            let bound = seen.get(MAX_FINDINGS / 10).copied().unwrap_or(now);
            kept.retain(|_, finding| bound < finding.last);
        }
        seen
    }

    /// Removes a finding whose problem is over.
    pub fn settle(&self, code: FindingCode, subject: &str) {
        let mut kept = self.kept.lock();
        // This is called for every alarm, and mostly there is no such finding.
        let first = kept.range((code, String::new())..).next();
        if first.is_some_and(|((found, _), _)| *found == code) {
            kept.remove(&(code, subject.to_owned()));
        }
    }

    /// All findings, worst first, then latest first.
    #[must_use]
    pub fn list(&self) -> Vec<Finding> {
        let mut list: Vec<Finding> = self.kept.lock().values().cloned().collect();
        list.sort_by_key(|finding| {
            (std::cmp::Reverse(finding.kind.severity), std::cmp::Reverse(finding.last))
        });
        list
    }
}

/// Result of recording an occurrence.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Kind of the finding.
    pub kind: FindingKind,
    /// Number of occurrences.
    pub count: u64,
}

impl Seen {
    /// Returns whether this occurrence is to be logged: the 1st, 10th, 100th, and so on.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.count.checked_ilog10().is_some_and(|digits| self.count == 10_u64.pow(digits))
    }

    /// Logs one line.
    fn log(&self, subject: &str, detail: &str) {
        let (code, count, remedy) = (self.kind.code.as_str(), self.count, self.kind.remedy);
        match self.kind.severity {
            Severity::Info => {
                tracing::debug!(finding.code = code, finding.subject = %subject, finding.count = count, "{detail}")
            }
            Severity::Warning | Severity::Error => {
                tracing::warn!(finding.code = code, finding.subject = %subject, finding.count = count, "{detail}. {remedy}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CATALOGUE, FindingCode, Findings};
    use crate::model::testing::held_part;

    #[test]
    fn every_code_is_declared_once_with_cause_and_remedy() {
        let mut seen = std::collections::HashSet::new();
        for kind in CATALOGUE {
            assert!(seen.insert(kind.code.as_str()), "{} is given twice", kind.code);
            assert_eq!(serde_json::to_value(kind.code).unwrap(), kind.code.as_str());
            let name = format!("{:?}", kind.code).to_lowercase();
            assert_eq!(name, kind.code.as_str().replace('_', ""), "name and code differ");
            assert!(!kind.cause.is_empty() && !kind.remedy.is_empty(), "{}", kind.code);
        }
    }

    #[test]
    fn the_page_on_troubleshooting_has_a_row_for_every_code() {
        let mut kinds: Vec<_> = CATALOGUE.iter().collect();
        kinds.sort_by_key(|kind| kind.code.as_str());
        let mut table =
            String::from("| code | severity | what is seen | cause | remedy |\n|---|---|---|---|---|\n");
        for kind in kinds {
            let severity = format!("{:?}", kind.severity).to_lowercase();
            let row =
                [&format!("`{}`", kind.code), &severity, kind.title, kind.cause, kind.remedy].join(" | ");
            assert_eq!(row.matches('|').count(), 4, "a bar would end a cell: {row}");
            table += &format!("| {row} |\n");
        }
        held_part("docs/troubleshooting.md", "findings", &table);
    }

    #[test]
    fn however_many_there_are_the_latest_are_kept() {
        let findings = Findings::default();
        for number in 0..1_700 {
            findings.raise(FindingCode::DeviceClock, &number.to_string(), "off");
        }
        let list = findings.list();
        assert!(
            list.len() <= super::MAX_FINDINGS && list.iter().any(|finding| finding.subject == "1699"),
            "{}",
            list.len()
        );
    }

    #[test]
    fn the_first_the_tenth_and_the_hundredth_are_logged() {
        let findings = Findings::default();
        let seen = (0..1_000).map(|_| findings.note(FindingCode::Disk, "storage", "no space"));
        let logged: Vec<u64> = seen.filter(super::Seen::is_due).map(|seen| seen.count).collect();
        assert_eq!(logged, [1, 10, 100, 1_000]);
    }

    #[test]
    fn a_repeated_finding_is_one_with_a_count() {
        let findings = Findings::default();
        findings.raise(FindingCode::Disk, "storage", "no space");
        findings.raise(FindingCode::Disk, "storage", "still none");
        let list = findings.list();
        assert_eq!((list.len(), list[0].count, list[0].detail.as_str()), (1, 2, "still none"));
        findings.settle(FindingCode::Disk, "storage");
        assert!(findings.list().is_empty());
    }
}
