//! Cost of the bridge relative to the bare HTTP server, measured in one run on one machine: `tests/bench/run`.
//!
//! The baseline is an axum handler that reads the body and answers. Both are separate processes under the same load,
//! made as cameras make it: a new connection per alarm, 32 at once, many sources. Rounds alternate, so that a noisy
//! machine disturbs both alike; ratios are of the medians.

mod bare;
mod bridge;
mod cells;
mod load;
mod process;
mod subscriber;
mod table;

use std::time::Duration;

use anyhow::Context as _;

/// Duration and number of rounds of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Effort {
    /// Seconds of load per cell.
    pub(crate) seconds: Duration,
    /// Rounds, baseline and bridge in turn.
    pub(crate) rounds: usize,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    if arguments.iter().any(|argument| argument == "bare") {
        return runtime.block_on(bare::serve());
    }
    let quick = arguments.iter().any(|argument| argument == "quick");
    let effort = if quick {
        Effort { seconds: Duration::from_secs(2), rounds: 1 }
    } else {
        Effort { seconds: Duration::from_secs(5), rounds: 3 }
    };
    let only: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|argument| cells::NAMES.contains(argument)).collect();
    let rows =
        runtime.block_on(cells::all(effort, &only)).context("the benchmark could not be run to its end")?;
    table::print(&rows)
}
