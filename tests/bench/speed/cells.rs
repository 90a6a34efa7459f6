//! The cells of the table.

use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::time::Instant;

use super::Effort;
use super::bridge::{Bridge, Broker};
use super::load::{self, Outcome, Shape};
use super::process::{Process, own_cpu};
use super::subscriber::Subscriber;
use super::table::Row;

const JSON: Shape = Shape { sources: 1_000, picture: 0, at_once: 32, rate: 0 };
const MIX: Shape = Shape { sources: 1_000, picture: 150_000, at_once: 32, rate: 0 };

/// One round of one side.
#[derive(Debug)]
struct Round {
    load: Outcome,
    cpu_us: f64,
}

/// Names of the measurements.
pub(crate) const NAMES: [&str; 6] = ["json", "mix", "paced", "drain", "memory", "sources"];

/// Runs the named measurements; without names, all of them.
pub(crate) async fn all(effort: Effort, only: &[&str]) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for name in NAMES.into_iter().filter(|name| only.is_empty() || only.contains(name)) {
        match name {
            "json" => saturated("1 KB", JSON, effort, &mut rows).await?,
            "mix" => saturated("mix, half with 150 KB", MIX, effort, &mut rows).await?,
            "paced" => rows.extend(paced(effort).await?),
            "drain" => rows.extend(drain(effort).await?),
            "memory" => rows.extend(memory().await?),
            _ => rows.extend(sources(effort).await?),
        }
    }
    Ok(rows)
}

/// Requests a second, CPU and latency against the baseline.
async fn saturated(name: &str, shape: Shape, effort: Effort, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let (bare, url) =
        Process::spawn_and_read(Command::new(std::env::current_exe()?).arg("bare").stderr(Stdio::inherit()))?;
    let broker = Broker::start().await?;
    let bridge = Bridge::start(broker.port).await?;
    let clock = Instant::now();
    let subscriber = Subscriber::start(broker.port, clock).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut sent, mut others) = (0, Duration::ZERO);
    for _ in 0..effort.rounds {
        theirs.push(round(&bare, &url, shape, effort, clock).await?);
        let before = broker.cpu()? + own_cpu()?;
        let round = round(bridge.running()?, &bridge.url, shape, effort, clock).await?;
        sent += round.load.answered;
        ours.push(round);
        subscriber.wait_for(sent).await?;
        others += (broker.cpu()? + own_cpu()?).saturating_sub(before);
    }
    let failed: u64 = ours.iter().map(|round| round.load.failed).sum();
    anyhow::ensure!(failed == 0, "{failed} alarms were not answered 200");
    let of = |rounds: &[Round], value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let both = |value: fn(&Round) -> f64| (of(&ours, value), of(&theirs, value));
    let (rate, bare_rate) = both(|round| round.load.per_second());
    let (cpu, bare_cpu) = both(|round| round.cpu_us);
    let (p99, bare_p99) = both(|round| round.load.percentile(0.99));
    rows.push(Row::ratio(
        &format!("requests/s, {name}"),
        rate,
        bare_rate,
        if shape.picture == 0 { ">= 0.55" } else { ">= 0.50" },
    ));
    rows.push(Row::ratio(
        &format!("CPU per alarm in µs, {name}"),
        cpu,
        bare_cpu,
        if shape.picture == 0 { "<= 120 µs, <= 1.8" } else { "" },
    ));
    rows.push(Row::ratio(&format!("p99 of the answer in ms, {name}"), p99, bare_p99, "<= 3"));
    // Maximum throughput of this machine: all cores busy, and the bridge as cheap as the baseline.
    let others_us = others.as_secs_f64() * 1e6 / sent.max(1) as f64;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
    rows.push(Row::value(
        &format!("CPU of broker, generator and subscriber per alarm in µs, {name}"),
        others_us,
        "",
    ));
    let most = cores * 1e6 / (others_us + bare_cpu);
    rows.push(Row::ratio(
        &format!("requests/s if the bridge cost what the bare handler does, {name}"),
        most,
        bare_rate,
        "",
    ));
    Ok(())
}

async fn round(
    process: &Process,
    url: &str,
    shape: Shape,
    effort: Effort,
    clock: Instant,
) -> anyhow::Result<Round> {
    let before = process.cpu()?;
    let load = load::run(url, shape, effort.seconds, clock).await?;
    let cpu = process.cpu()?.saturating_sub(before);
    let cpu_us = cpu.as_secs_f64() * 1e6 / load.answered.max(1) as f64;
    Ok(Round { load, cpu_us })
}

/// Measures latency from the camera to the subscriber, at a moderate rate.
async fn paced(effort: Effort) -> anyhow::Result<Vec<Row>> {
    let broker = Broker::start().await?;
    let bridge = Bridge::start(broker.port).await?;
    let clock = Instant::now();
    let subscriber = Subscriber::start(broker.port, clock).await?;
    let outcome = load::run(&bridge.url, Shape { rate: 100, ..JSON }, effort.seconds * 2, clock).await?;
    subscriber.wait_for(outcome.answered).await?;
    let latencies = subscriber.latencies();
    Ok(vec![
        Row::value("camera to subscriber at 100/s, p50 in ms", load::percentile(&latencies, 0.5), "<= 3"),
        Row::value("camera to subscriber at 100/s, p99 in ms", load::percentile(&latencies, 0.99), "<= 10"),
    ])
}

/// Measures the rate at which a backlog drains, and the start time with it in the store.
async fn drain(effort: Effort) -> anyhow::Result<Vec<Row>> {
    let mut broker = Broker::start().await?;
    let mut bridge = Bridge::start(broker.port).await?;
    broker.stop();
    let mut waiting = 0;
    let wanted = if effort.rounds == 1 { 10_000 } else { 100_000 };
    while waiting < wanted {
        waiting += load::run(&bridge.url, JSON, Duration::from_secs(2), Instant::now()).await?.answered;
    }
    bridge.restart().await?;
    let start = bridge.start;
    broker.restart().await?;
    let subscriber = Subscriber::start(broker.port, Instant::now()).await?;
    while subscriber.count() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let began = Instant::now();
    subscriber.wait_for(waiting).await?;
    let rate = waiting as f64 / began.elapsed().as_secs_f64();
    Ok(vec![
        Row::value(&format!("drain of {waiting} alarms to mosquitto, alarms/s"), rate, ">= 10,000"),
        Row::value(
            &format!("start to listening with {waiting} alarms in the store, ms"),
            start.as_secs_f64() * 1e3,
            "<= 100",
        ),
    ])
}

/// Memory, idle and with 16 pictures at once.
async fn memory() -> anyhow::Result<Vec<Row>> {
    let broker = Broker::start().await?;
    let bridge = Bridge::start(broker.port).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = bridge.running()?.memory("VmRSS")?;
    let shape = Shape { picture: 150_000, at_once: 16, ..JSON };
    load::run(&bridge.url, shape, Duration::from_secs(4), Instant::now()).await?;
    let peak = bridge.running()?.memory("VmHWM")?;
    Ok(vec![
        Row::value("memory, idle, MiB", idle, "<= 20"),
        Row::value("memory, peak with 16 pictures of 150 KB at once, MiB", peak, "<= 64"),
    ])
}

/// Measures the cost of an alarm with few and with many known sources.
async fn sources(effort: Effort) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    let mut first = 0.0;
    for count in [1, 1_000, 50_000] {
        let broker = Broker::start().await?;
        let bridge = Bridge::start(broker.port).await?;
        let shape = Shape { sources: count, ..JSON };
        // All sources are known before the measurement.
        let mut known = 0;
        while known < count {
            known += load::run(&bridge.url, shape, Duration::from_secs(2), Instant::now()).await?.answered;
        }
        let round = round(bridge.running()?, &bridge.url, shape, effort, Instant::now()).await?;
        if count == 1 {
            first = round.cpu_us;
        }
        rows.push(Row::ratio(
            &format!("CPU per alarm in µs with {count} known sources"),
            round.cpu_us,
            first,
            "<= 1.3",
        ));
    }
    Ok(rows)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
