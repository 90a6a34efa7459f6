//! Dismissed findings. They are stored over a restart, and shown again at their next occurrence.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::{Finding, Findings};

/// A dismissed finding, as stored.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dismissal {
    /// The code; a text, since the store may hold codes of another version.
    pub code: String,
    /// Subject.
    pub subject: String,
    /// Detail of the latest occurrence.
    pub detail: String,
}

/// Dismissals of earlier runs, and the signal for changes.
#[derive(Debug, Default)]
pub(super) struct Dismissals {
    before: Mutex<BTreeSet<Dismissal>>,
    changed: Notify,
}

impl Dismissals {
    /// Returns whether this finding, with the same detail, was dismissed in an earlier run; removes it from the list.
    pub(super) fn remembers(&self, finding: &Finding) -> bool {
        let mut before = self.before.lock();
        !before.is_empty() && before.remove(&Dismissal::of(finding))
    }

    /// Signals that dismissals changed.
    pub(super) fn changed(&self) {
        self.changed.notify_one();
    }
}

impl Dismissal {
    fn of(finding: &Finding) -> Self {
        Self {
            code: finding.kind.code.to_string(),
            subject: finding.subject.clone(),
            detail: finding.detail.clone(),
        }
    }
}

impl Findings {
    /// Dismisses findings of a code: of one subject, or all. Returns their number.
    pub fn dismiss(&self, code: &str, subject: Option<&str>) -> usize {
        let mut kept = self.kept.lock();
        let of_it = kept.values_mut().filter(|finding| {
            finding.kind.code.as_str() == code
                && !finding.dismissed
                && subject.is_none_or(|subject| subject == finding.subject)
        });
        let dismissed = of_it.map(|finding| finding.dismissed = true).count();
        if 0 < dismissed {
            self.dismissals.changed();
        }
        dismissed
    }

    /// Dismissed findings, to be stored.
    #[must_use]
    pub fn dismissed(&self) -> Vec<Dismissal> {
        let kept = self.kept.lock();
        kept.values().filter(|finding| finding.dismissed).map(Dismissal::of).collect()
    }

    /// Restores dismissals of earlier runs.
    pub fn remember(&self, dismissals: Vec<Dismissal>) {
        let mut kept = self.kept.lock();
        *self.dismissals.before.lock() = dismissals.into_iter().collect();
        for finding in kept.values_mut().filter(|finding| finding.count == 1) {
            finding.dismissed |= self.dismissals.remembers(finding);
        }
    }

    /// Returns when dismissals have changed.
    pub async fn dismissals_changed(&self) {
        self.dismissals.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::FindingCode;

    fn open(findings: &Findings) -> Vec<String> {
        findings.list().into_iter().filter(|one| !one.dismissed).map(|one| one.subject).collect()
    }

    #[test]
    fn a_dismissed_finding_comes_back_when_it_is_seen_again() {
        let findings = Findings::default();
        findings.raise(FindingCode::WrongPath, "a", "x");
        findings.raise(FindingCode::WrongPath, "b", "x");
        assert_eq!(findings.dismiss("wrong_path", Some("a")), 1);
        assert_eq!(findings.dismiss("wrong_path", Some("a")), 0);
        assert_eq!(open(&findings), ["b"]);
        findings.raise(FindingCode::WrongPath, "a", "x");
        assert_eq!(open(&findings).len(), 2);
        assert_eq!(findings.dismiss("wrong_path", None), 2);
    }

    #[test]
    fn what_was_dismissed_before_the_start_stays_so_once_word_for_word() {
        let before = Findings::default();
        before.raise(FindingCode::WrongPath, "a", "x");
        before.raise(FindingCode::WrongPath, "b", "x");
        before.dismiss("wrong_path", None);
        let after = Findings::default();
        after.raise(FindingCode::WrongPath, "a", "x");
        after.remember(before.dismissed());
        after.raise(FindingCode::WrongPath, "b", "another");
        assert_eq!(open(&after), ["b"]);
        after.raise(FindingCode::WrongPath, "a", "x");
        assert_eq!(open(&after).len(), 2);
    }
}
