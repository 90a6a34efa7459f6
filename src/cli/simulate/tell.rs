//! What the command prints while it runs and at its end.

use std::io::Write;

use crate::simulate::run::Progress;
use crate::simulate::sender::Outcome;
use crate::simulate::summary::Summary;

/// Prints how it goes.
pub(super) struct Teller {
    /// Load is told by the second, a visit by the alarm.
    pub(super) load: bool,
    /// Somebody looks at a terminal: one line is enough.
    pub(super) terminal: bool,
}

impl Teller {
    /// A line for each alarm of a visit; a line each second, on a terminal always the same one, for load.
    pub(super) fn tell(&self, progress: &Progress<'_>) {
        let line = match progress {
            Progress::Sent { device, format, bytes, sent } if !self.load => {
                let millis = sent.latency.as_secs_f64() * 1_000.0;
                let (form, what) = (format.name(), outcome(&sent.outcome));
                format!("{} ({}) {form}, {bytes} bytes: {what} in {millis:.1} ms\n", device.name, device.mac)
            }
            Progress::Tick(summary) if self.load && summary.sent > 0 => {
                let failed = summary.sent - summary.answered;
                let end = if self.terminal { '\r' } else { '\n' };
                let (sent, rate, seconds) = (summary.sent, summary.rate(), summary.lasted.as_secs_f64());
                format!("{seconds:4.0} s: sent {sent}, {rate:.0} alarms/s, failed {failed}   {end}")
            }
            _ => return,
        };
        print(&line);
    }

    /// Leaves the line of a terminal that was written over.
    pub(super) fn end(&self) {
        if self.load && self.terminal {
            print("\n");
        }
    }
}

/// Prints at once.
fn print(text: &str) {
    let mut out = std::io::stdout();
    // Nobody reads any more: the run goes on for its own sake.
    let _unread = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What became of an alarm, in few words.
fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered { status: 200, durable: false } => "200, not durable".into(),
        Outcome::Answered { status, .. } => status.to_string(),
        Outcome::Unreachable(cause) => format!("unreachable ({cause})"),
        Outcome::Broken(cause) => format!("no reply ({cause})"),
        Outcome::TimedOut => "no reply in time".into(),
    }
}

/// The summary, with the remedy where one is known.
pub(super) fn ending(summary: &Summary, place: &str) -> String {
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
