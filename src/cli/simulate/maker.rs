//! `simulate --maker`: sends the sample requests of another maker.

use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::progress::{outcome, print, summary_text};
use super::{Refusal, SimulateArgs, UNAVAILABLE, USAGE, refuse};
use crate::simulate::maker::{PAUSE, Played, makers, requests};
use crate::simulate::sender::{SendOutcome, Sender};
use crate::simulate::summary::Summary;

/// Sends the samples --count times; returns the summary and the exit code.
pub(super) async fn play(args: &SimulateArgs, maker: &str) -> Result<(String, u8), Refusal> {
    if maker != "all" && !makers().contains(&maker) {
        let reason = format!("--maker {maker}: write one of all, {}", makers().join(", "));
        return Err(Refusal { code: USAGE, reason });
    }
    let target = args.target()?;
    let (place, zone) = (target.authority.clone(), args.zone());
    let all = |_: u32| requests(maker, &target, Timestamp::now(), &zone);
    if let Some(folder) = &args.dump {
        let count = dump(&all(0), folder).map_err(|error| refuse(UNAVAILABLE, folder.display(), &error))?;
        return Ok((format!("wrote {count} requests to {}", folder.display()), 0));
    }
    let sender = Sender::new(target.clone()).map_err(|error| refuse(UNAVAILABLE, &place, &error))?;
    let (start, mut summary) = (Instant::now(), Summary::default());
    for round in 0..args.count.unwrap_or(1) {
        for (number, played) in all(round).iter().enumerate() {
            if number > 0 || round > 0 {
                sleep(PAUSE).await;
            }
            let sent = sender.send(&played.request).await;
            let alarms = match sent.outcome {
                SendOutcome::Answered { alarms, .. } => alarms.unwrap_or(1),
                _ => 0,
            };
            summary.record(&sent, alarms);
            let (bytes, millis) = (played.request.len(), sent.latency.as_secs_f64() * 1_000.0);
            let (maker, what) = (played.maker, played.what);
            print(&format!("{maker} {what}, {bytes} bytes: {} in {millis:.1} ms\n", outcome(&sent.outcome)));
        }
    }
    summary.lasted = start.elapsed();
    sender.settle().await;
    Ok((summary_text(&summary, &place), if summary.is_success() { 0 } else { UNAVAILABLE }))
}

/// Writes the requests to files; returns their number.
fn dump(all: &[Played], folder: &std::path::Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    for (number, played) in all.iter().enumerate() {
        let name = format!("{:04}-{}-{}.http", number + 1, played.maker, played.what);
        std::fs::write(folder.join(name), &played.request)?;
    }
    Ok(all.len())
}
