//! Test alarm of the Setup page: a simulated camera sends a real alarm to the ingest listener.

use jiff::tz::TimeZone;

use crate::simulate::device::{Wishes, fleet};
use crate::simulate::event::SimulatedKind;
use crate::simulate::picture::Size;
use crate::simulate::plan::{Pace, PlanInput};
use crate::simulate::request::Format;
use crate::simulate::run::{RunProgress, RunSettings, run};
use crate::simulate::sender::SendOutcome;
use crate::simulate::target::Target;

/// Seed of the simulated camera, so that it is the same one each time.
const SEED: u64 = 0x7e57;

/// Sends one person alarm with a picture to a webhook.
///
/// # Errors
/// Fails with the reason when the alarm was not accepted.
pub(super) async fn send(url: String) -> Result<(), String> {
    let target = Target::parse(&url).map_err(|_| "no webhook of this bridge can be reached".to_owned())?;
    let wishes = Wishes { name: Some("Simulated camera".into()), seed: SEED, ..Wishes::default() };
    let order = PlanInput {
        pace: Pace::Visit { count: 1 },
        devices: 1,
        formats: vec![Format::EnhancedMultipart],
        pictures: 1.0,
        seed: SEED,
    };
    let settings = RunSettings {
        target,
        devices: fleet(&wishes, 1),
        kinds: vec![SimulatedKind::parse("person")],
        order,
        zone: TimeZone::system(),
        size: Size { width: 1_280, height: 720 },
        connections: 1,
    };
    let mut outcome = Err("the simulated camera sent nothing".to_owned());
    let tell = |progress: RunProgress<'_>| {
        if let RunProgress::Sent { sent, .. } = progress {
            outcome = check_outcome(&sent.outcome);
        }
    };
    run(settings, std::future::pending(), tell).await.map_err(|error| error.to_string())?;
    outcome
}

/// Returns whether an alarm was taken in.
fn check_outcome(outcome: &SendOutcome) -> Result<(), String> {
    match outcome {
        SendOutcome::Answered { status: 200, alarms: Some(0), .. } => {
            Err("the test alarm was answered 200, but became no alarm".into())
        }
        SendOutcome::Answered { status: 200, .. } => Ok(()),
        SendOutcome::Answered { status, .. } => Err(format!("the test alarm was refused with {status}")),
        SendOutcome::Unreachable(why) => Err(format!("the listener for cameras cannot be reached: {why}")),
        SendOutcome::Broken(why) => Err(format!("the connection of the test alarm broke: {why}")),
        SendOutcome::TimedOut => Err("the test alarm was not answered in time".into()),
    }
}
