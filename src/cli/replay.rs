//! `alarmbus replay`: sends an alarm again.

use clap::Args;
use serde_json::json;
use uuid::Uuid;

use super::control::Control;
use super::{Failure, Global};

/// Flags of `replay`.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The alarm's id; several are sent in this order
    #[arg(required = true)]
    ids: Vec<Uuid>,
}

/// Has each sent again, with the same id and marked as replayed.
pub(super) fn run(global: &Global, replay: &Replay) -> Result<(), Failure> {
    let control = Control::new(global)?;
    for id in &replay.ids {
        control.post(&format!("/alarms/{id}/replay"), &json!({}))?;
    }
    Ok(())
}
