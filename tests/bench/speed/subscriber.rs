//! A subscriber that counts events, as a user's client would.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rumqttc_v5::mqttbytes::QoS;
use rumqttc_v5::{AsyncClient, Event, Incoming, MqttOptions};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Counts events and their latencies.
#[derive(Debug)]
pub(crate) struct Subscriber {
    task: JoinHandle<()>,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    count: AtomicU64,
    latencies: Mutex<Vec<Duration>>,
}

impl Subscriber {
    /// Subscribes; returns once the broker has said so.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub(crate) async fn start(port: u16, clock: Instant) -> anyhow::Result<Self> {
        let mut options = MqttOptions::new("bench-subscriber", ("127.0.0.1", port));
        options.set_max_packet_size(Some(64 << 20));
        let (client, mut events) = AsyncClient::builder(options).capacity(10).build();
        client.subscribe("alarmbus/+/event/+", QoS::AtMostOnce).await?;
        while !matches!(events.poll().await?, Event::Incoming(Incoming::SubAck(_))) {}
        let seen = Arc::new(Seen::default());
        let ours = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let _client = client;
            while let Ok(event) = events.poll().await {
                if let Event::Incoming(Incoming::Publish(publish)) = event {
                    ours.take(&publish.payload, clock);
                }
            }
        });
        Ok(Self { task, seen })
    }

    /// Number of events so far.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.seen.count.load(Ordering::Relaxed)
    }

    /// Waits for this number of events.
    ///
    /// # Errors
    /// When none arrived for 20 s.
    pub(crate) async fn wait_for(&self, count: u64) -> anyhow::Result<()> {
        let (mut last, mut since) = (self.count(), Instant::now());
        while self.count() < count {
            if last != self.count() {
                (last, since) = (self.count(), Instant::now());
            }
            anyhow::ensure!(
                since.elapsed() < Duration::from_secs(20),
                "{} of {count} events came",
                self.count()
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// Latency of each event from the camera to the subscriber, sorted.
    #[must_use]
    pub(crate) fn latencies(&self) -> Vec<Duration> {
        let mut latencies = self.seen.latencies.lock().unwrap_or_else(PoisonError::into_inner).clone();
        latencies.sort_unstable();
        latencies
    }
}

impl Seen {
    fn take(&self, payload: &[u8], clock: Instant) {
        self.count.fetch_add(1, Ordering::Relaxed);
        let text = String::from_utf8_lossy(payload);
        let sent = text
            .split_once("\"sent_us\":")
            .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
        if let Some(sent) = sent.and_then(|sent| sent.parse::<u64>().ok()) {
            let took = clock.elapsed().saturating_sub(Duration::from_micros(sent));
            self.latencies.lock().unwrap_or_else(PoisonError::into_inner).push(took);
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        self.task.abort();
    }
}
