//! Output of the command: progress and summary.

use std::io::Write;

use crate::simulate::run::RunProgress;
use crate::simulate::sender::SendOutcome;
use crate::simulate::summary::{Summary, counted};

/// Printer of the progress.
pub(super) struct ProgressPrinter {
    /// Print by the second (load) instead of by the alarm (visit).
    pub(super) load: bool,
    /// Set if standard output is a terminal, where one line is overwritten.
    pub(super) terminal: bool,
}

impl ProgressPrinter {
    /// Prints a line for each alarm of a visit, or for each second of load.
    pub(super) fn print_progress(&self, progress: &RunProgress<'_>) {
        let line = match progress {
            RunProgress::Sent { device, format, bytes, sent } if !self.load => {
                let millis = sent.latency.as_secs_f64() * 1_000.0;
                let (form, what) = (format.name(), outcome(&sent.outcome));
                format!("{} ({}) {form}, {bytes} bytes: {what} in {millis:.1} ms\n", device.name, device.mac)
            }
            RunProgress::Tick(summary) if self.load && summary.sent > 0 => {
                let failed = summary.sent - summary.answered;
                let end = if self.terminal { '\r' } else { '\n' };
                let (rate, seconds) = (summary.rate(), summary.lasted.as_secs_f64());
                let (sent, alarms) = (counted(summary.sent, "request"), counted(summary.alarms, "alarm"));
                format!(
                    "{seconds:4.0} s: sent {sent} with {alarms}, {rate:.0} alarms/s, failed {failed}   {end}"
                )
            }
            _ => return,
        };
        print(&line);
    }

    /// Ends the line that was overwritten on a terminal.
    pub(super) fn end(&self) {
        if self.load && self.terminal {
            print("\n");
        }
    }
}

/// Prints and flushes.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout();
    // The reader may be gone; the run continues.
    let _unread = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Result of an alarm in a few words.
pub(super) fn outcome(outcome: &SendOutcome) -> String {
    match outcome {
        SendOutcome::Answered { status: 200, durable, alarms } => {
            let alarms = alarms.map(|alarms| format!(", {}", counted(alarms, "alarm"))).unwrap_or_default();
            format!("200{alarms}{}", if *durable { "" } else { ", not durable" })
        }
        SendOutcome::Answered { status, .. } => status.to_string(),
        SendOutcome::Unreachable(cause) => format!("unreachable ({cause})"),
        SendOutcome::Broken(cause) => format!("no reply ({cause})"),
        SendOutcome::TimedOut => "no reply in time".into(),
    }
}

/// Summary, with the remedy if one is known.
pub(super) fn summary_text(summary: &Summary, place: &str) -> String {
    let has = |start: &str| summary.failed.keys().any(|what| what.starts_with(start));
    let remedy = if has("unreachable") {
        format!("\nnothing answers at {place}: is the bridge running, and the port open?")
    } else if has("answered 404") {
        "\n404: the path is not a webhook of this bridge; `alarmbus webhook ls` lists them".into()
    } else {
        String::new()
    };
    format!("{summary}{remedy}")
}
