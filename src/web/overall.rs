//! Overall state of the bridge, computed in one place for the header of every page, the Setup page, the event stream
//! and `alarmbus doctor`.

use schemars::JsonSchema;
use serde::Serialize;

use super::chain::{self, CheckStep, Tick, TickState};
use super::texts::{fill, tr};
use super::words::counted;
use super::{Problem, Web};
use crate::findings::{Finding, Severity};

/// Overall state of the bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "overall_state")]
pub enum OverallState {
    /// Alarms arrive and are delivered, and there are no problems.
    Well,
    /// There are no problems, but some steps of the delivery check are not completed.
    Waiting,
    /// There are problems, but alarms may be delivered.
    Warning,
    /// Alarms are not delivered.
    Problem,
}

/// Overall state of the bridge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "overall")]
pub struct Overall {
    /// State.
    pub state: OverallState,
    /// Short text of the state, for people.
    pub words: String,
    /// First blocked step of the delivery check, if any.
    pub blocked: Option<CheckStep>,
}

/// Delivery check, and the overall state computed from it and the findings.
#[derive(Debug, Clone)]
pub(super) struct Checked {
    /// Steps, in order; empty if they cannot be read.
    pub(super) chain: Vec<Tick>,
    /// Overall state of the bridge.
    pub(super) overall: Overall,
}

/// Runs the delivery check.
///
/// # Errors
/// When the disk cannot be read.
pub(super) async fn check(web: &Web) -> Result<Checked, Problem> {
    let chain = chain::chain(web).await?;
    let mut findings = web.findings.list();
    findings.retain(|finding| !finding.dismissed);
    let overall = Overall::new(&chain, &findings);
    Ok(Checked { chain, overall })
}

/// Runs the delivery check, and reports a disk that cannot be read as the problem.
pub(super) async fn check_anyhow(web: &Web) -> Checked {
    check(web).await.unwrap_or_else(|_| Checked {
        chain: Vec::new(),
        overall: Overall {
            state: OverallState::Problem,
            words: tr("Storage cannot be read").into(),
            blocked: None,
        },
    })
}

impl Overall {
    /// Computes the overall state: the worst of steps and findings.
    #[must_use]
    pub(super) fn new(chain: &[Tick], findings: &[Finding]) -> Self {
        let blocked = chain.iter().position(|tick| tick.state == TickState::Failed);
        let step = blocked.and_then(|at| chain.get(at));
        let severities = findings.iter().map(|finding| finding.kind.severity);
        let worst = severities.chain(chain.iter().filter_map(|tick| tick.severity)).max();
        let state = match worst {
            Some(Severity::Error) => OverallState::Problem,
            Some(Severity::Warning) => OverallState::Warning,
            Some(Severity::Info) | None => match chain.iter().any(|tick| tick.state == TickState::Waiting) {
                true => OverallState::Waiting,
                false => OverallState::Well,
            },
        };
        let decides = step.is_some_and(|tick| tick.severity == worst);
        let count = findings.iter().filter(|finding| Some(finding.kind.severity) == worst).count();
        let words = match (state, blocked.filter(|_| decides)) {
            (_, Some(at)) => fill("Blocked at step {}", at + 1),
            (OverallState::Problem, None) => counted(count as u64, "problem"),
            (OverallState::Warning, None) => counted(count as u64, "warning"),
            (OverallState::Waiting, None) => waiting(chain).into(),
            (OverallState::Well, None) => tr("Everything works").into(),
        };
        Self { state, words, blocked: step.map(|tick| tick.step) }
    }
}

/// Text for the step that is waited for.
fn waiting(chain: &[Tick]) -> &'static str {
    let first = chain.iter().find(|tick| tick.state == TickState::Waiting).map(|tick| tick.step);
    match first {
        Some(CheckStep::Published | CheckStep::Acknowledged | CheckStep::SomebodyListens) => {
            tr("Waiting for the broker")
        }
        _ => tr("Waiting for an alarm"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::{FindingCode, Findings};

    /// Steps in these states, with the severity of failed ones.
    fn steps(states: &[(TickState, Option<Severity>)]) -> Vec<Tick> {
        let step = |(state, severity): &(TickState, Option<Severity>)| Tick {
            step: CheckStep::RequestSeen,
            title: "",
            state: *state,
            at: None,
            detail: String::new(),
            remedy: None,
            severity: *severity,
        };
        states.iter().map(step).collect()
    }

    #[track_caller]
    fn check(
        chain: &[(TickState, Option<Severity>)],
        codes: &[FindingCode],
        state: OverallState,
        words: &str,
    ) {
        let findings = Findings::default();
        codes.iter().for_each(|code| findings.raise(*code, "x", "y"));
        let overall = Overall::new(&steps(chain), &findings.list());
        assert_eq!((overall.state, &*overall.words), (state, words));
    }

    const DONE: (TickState, Option<Severity>) = (TickState::Done, None);
    const WAITING: (TickState, Option<Severity>) = (TickState::Waiting, None);
    const UNKNOWN: (TickState, Option<Severity>) = (TickState::Unknown, None);

    #[test]
    fn the_worst_of_steps_and_findings_decides() {
        let failed = |severity| (TickState::Failed, Some(severity));
        let (warning, error) = (failed(Severity::Warning), failed(Severity::Error));
        check(&[DONE, UNKNOWN], &[FindingCode::JsonRepaired], OverallState::Well, "Everything works");
        check(&[DONE, WAITING], &[], OverallState::Waiting, "Waiting for an alarm");
        check(&[DONE, DONE], &[FindingCode::WrongPath], OverallState::Warning, "1 warning");
        check(&[DONE, warning], &[FindingCode::NobodyListens], OverallState::Warning, "Blocked at step 2");
        check(
            &[DONE, warning],
            &[FindingCode::NobodyListens, FindingCode::Disk],
            OverallState::Problem,
            "1 problem",
        );
        check(&[DONE, error, error], &[FindingCode::WrongPath], OverallState::Problem, "Blocked at step 2");
        check(&[DONE], &[FindingCode::Disk, FindingCode::Certificate], OverallState::Problem, "2 problems");
    }

    #[test]
    fn a_blocked_step_is_never_well() {
        for severity in [Severity::Warning, Severity::Error] {
            let overall = Overall::new(&steps(&[DONE, (TickState::Failed, Some(severity))]), &[]);
            assert_ne!(overall.state, OverallState::Well);
            assert_eq!(overall.blocked, Some(CheckStep::RequestSeen));
        }
    }
}
