//! Load like that of cameras: a new connection per alarm, a number of them at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Shape of the load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    /// Number of cameras that send in turn.
    pub(crate) sources: u64,
    /// Size of the picture of every second alarm in bytes; 0: no pictures.
    pub(crate) picture: usize,
    /// Number of connections at once.
    pub(crate) at_once: usize,
    /// Alarms per second; 0: as fast as answers arrive.
    pub(crate) rate: u64,
}

/// Results of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcome {
    /// Number of alarms answered 200.
    pub(crate) answered: u64,
    /// Number of other results.
    pub(crate) failed: u64,
    /// Time of each answer, sorted.
    pub(crate) latencies: Vec<Duration>,
    /// Duration of the run.
    pub(crate) took: Duration,
}

impl Outcome {
    /// Answers per second.
    #[must_use]
    pub(crate) fn per_second(&self) -> f64 {
        self.answered as f64 / self.took.as_secs_f64()
    }

    /// Latency in milliseconds within which this share of the answers arrived.
    #[must_use]
    pub(crate) fn percentile(&self, share: f64) -> f64 {
        percentile(&self.latencies, share)
    }
}

/// The value below which this share of sorted durations lies, in milliseconds.
#[must_use]
pub(crate) fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let at = (sorted.len() as f64 * share).floor().max(0.0);
    let index = (0..sorted.len()).rev().find(|index| (*index as f64) <= at).unwrap_or(0);
    sorted.get(index).map_or(0.0, |took| took.as_secs_f64() * 1e3)
}

/// Sends for a while; the clock of the run is the zero of the times that alarms carry.
///
/// # Errors
/// When the URL is none.
pub(crate) async fn run(url: &str, shape: Shape, time: Duration, clock: Instant) -> anyhow::Result<Outcome> {
    let (authority, path) =
        url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).context("no http URL")?;
    let target = Arc::new(Target {
        authority: authority.to_owned(),
        path: format!("/{path}"),
        picture: picture(shape.picture),
    });
    let next = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..shape.at_once {
        tasks.spawn(camera(Arc::clone(&target), shape, Arc::clone(&next), started, time, clock));
    }
    let mut total = Outcome::default();
    while let Some(part) = tasks.join_next().await {
        let part = part?;
        total.answered += part.answered;
        total.failed += part.failed;
        total.latencies.extend(part.latencies);
    }
    total.took = started.elapsed();
    total.latencies.sort_unstable();
    Ok(total)
}

#[derive(Debug)]
struct Target {
    authority: String,
    path: String,
    picture: Vec<u8>,
}

async fn camera(
    target: Arc<Target>,
    shape: Shape,
    next: Arc<AtomicU64>,
    started: Instant,
    time: Duration,
    clock: Instant,
) -> Outcome {
    let mut outcome = Outcome::default();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if let Some(turn) = (number * 1_000_000).checked_div(shape.rate) {
            tokio::time::sleep_until(started + Duration::from_micros(turn)).await;
        }
        if time <= started.elapsed() {
            return outcome;
        }
        let request = request(&target, shape, number, clock);
        let began = Instant::now();
        match push(&target.authority, &request).await {
            Ok(true) => {
                outcome.answered += 1;
                outcome.latencies.push(began.elapsed());
            }
            Ok(false) | Err(_) => outcome.failed += 1,
        }
    }
}

/// One alarm: connect, send, read the answer to its end.
async fn push(authority: &str, request: &[u8]) -> anyhow::Result<bool> {
    let mut stream = TcpStream::connect(authority).await?;
    stream.set_nodelay(true)?;
    stream.write_all(request).await?;
    let mut answer = Vec::with_capacity(512);
    let mut buffer = [0_u8; 512];
    // The baseline keeps the connection open: the answer is over when its head and body are there.
    while !complete(&answer) {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            break;
        }
        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
    stream.set_zero_linger().ok();
    Ok(answer.starts_with(b"HTTP/1.1 200"))
}

fn complete(answer: &[u8]) -> bool {
    answer.windows(4).any(|window| window == b"\r\n\r\n") && answer.ends_with(b"}")
}

fn request(target: &Target, shape: Shape, number: u64, clock: Instant) -> Vec<u8> {
    let source = number % shape.sources;
    let sent = clock.elapsed().as_micros();
    // The time must be right: a wrong one would raise a finding with every alarm.
    let now = jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S");
    let json = format!(
        "{{\"ip\":\"10.0.{}.{}\",\"mac\":\"02-b0-{:02x}-{:02x}-{:02x}-01\",\"protocol\":\"HTTP\",\"device_name\":\"Bench {source}\",\
         \"event_list\":[{{\"camera\":\"1\",\"dateTime\":\"{now}\",\"event_type\":\"PEOPLE\",\"sent_us\":{sent},\
         \"padding\":\"{}\",\"extra_text\":[{{\"region_id\":[1],\"obj_rect_info\":[{{\"x\":2109,\"y\":4722,\"height\":5278,\"width\":1797}}],\"obj_num\":1}}]}}]}}",
        source / 250 % 250,
        source % 250,
        source >> 16 & 255,
        source >> 8 & 255,
        source & 255,
        "x".repeat(620),
    );
    let picture = if number.is_multiple_of(2) { target.picture.as_slice() } else { &[] };
    if picture.is_empty() {
        return [head(target, "application/json; charset=utf-8", json.len()).as_bytes(), json.as_bytes()]
            .concat();
    }
    let first = format!(
        "--ReportEventBoundary\r\nContent-Disposition: form-data; name=\"event\"\r\nContent-Type: application/json\r\n\r\n{json}\r\n"
    );
    let second = format!(
        "--ReportEventBoundary\r\nContent-Disposition: form-data; name=\"20261005162531\"\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n",
        picture.len()
    );
    let end = b"\r\n--ReportEventBoundary--\r\n";
    let length = first.len() + second.len() + picture.len() + end.len();
    let head = head(target, "multipart/form-data; boundary=ReportEventBoundary", length);
    [head.as_bytes(), first.as_bytes(), second.as_bytes(), picture, end].concat()
}

fn head(target: &Target, content_type: &str, length: usize) -> String {
    let Target { authority, path, .. } = target;
    format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nCache-Control: no-cache\r\n\r\n"
    )
}

/// A JPEG head followed by this number of bytes, which no decoder reads.
fn picture(bytes: usize) -> Vec<u8> {
    let head = [0xff, 0xd8, 0xff, 0xc0, 0, 11, 8, 0x05, 0xf0, 0x0a, 0x80, 1, 1, 0x11, 0, 0xff, 0xda, 0, 2];
    let mut noise = 12_345_u32;
    let body = (0..bytes.saturating_sub(head.len() + 2)).map(|_| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        u8::try_from(noise >> 25).unwrap_or(0)
    });
    if bytes == 0 { Vec::new() } else { head.into_iter().chain(body).chain([0xff, 0xd9]).collect() }
}
