//! JetStream of one session: its streams, again when they vanish, and the object store for large pictures.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::object_store::{ObjectMetadata, ObjectStore};
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use async_nats::jetstream::{Context, ErrorCode, context::CreateStreamErrorKind};
use bytes::Bytes;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::failure::down;
use super::link::Ending;
use super::streams::{self, BYTES, Found, KEPT, Wanted};
use crate::sink::{Retained, SinkDown};

/// The bucket of pictures that are too large for a message.
pub(super) const BUCKET: &str = "ALARMBUS_SNAPSHOTS";
/// The client's default; smaller where the server's limit is.
const CHUNK: usize = 128 * 1024;
/// How old a stored picture may be to stand for the same one again (alarms of one report share it).
const FRESH_SECONDS: i64 = 3600;
/// How often vanished streams are looked after, at most.
const AGAIN: Duration = Duration::from_secs(2);

/// Whoever deletes one stream may be about to delete the next: a server that is asked to make one that it is just
/// deleting can be left with a stream that acknowledges and keeps nothing (seen with nats-server 2.9.10).
const SETTLE: Duration = Duration::from_millis(300);

/// JetStream of one session.
pub(super) struct Store {
    /// Publishes and asks.
    pub(super) js: Context,
    log: Wanted,
    last: Wanted,
    replicas: usize,
    bucket: Mutex<Option<ObjectStore>>,
    looked: Mutex<Option<Instant>>,
    /// The values were lost in this session.
    pub(super) lost: AtomicBool,
}

impl Store {
    /// JetStream over a connection; `wait` bounds each acknowledgement and request.
    pub(super) fn new(client: &Client, prefix: &str, bridge: &str, replicas: usize, wait: Duration) -> Self {
        Self {
            js: ContextBuilder::new().timeout(wait).build(client.clone()),
            log: streams::log(prefix, replicas),
            last: streams::last(prefix, bridge, replicas),
            replicas,
            bucket: Mutex::new(None),
            looked: Mutex::new(None),
            lost: AtomicBool::new(false),
        }
    }

    /// Makes sure of both streams at the begin of a session; returns when the value stream was made and whether it
    /// still holds the values, `seen` being when it was made as last known.
    ///
    /// # Errors
    /// As [`streams::ensure`].
    pub(super) async fn open(
        &self,
        ending: &Ending,
        seen: Option<&str>,
    ) -> Result<(Option<String>, Retained), SinkDown> {
        if let Found::Unknown(words) = streams::ensure(&self.js, &ending.denied, &self.log).await? {
            ending.problem("value_refused", not_seen(&self.log, &words));
        }
        match streams::ensure(&self.js, &ending.denied, &self.last).await? {
            Found::Created(made) => Ok((Some(made), Retained::Lost)),
            Found::Existing(made) => {
                let kept = seen.is_none_or(|seen| seen == made);
                Ok((Some(made), if kept { Retained::Kept } else { Retained::Lost }))
            }
            Found::Unknown(words) => {
                ending.problem("value_refused", not_seen(&self.last, &words));
                Ok((None, Retained::Unreadable))
            }
        }
    }

    /// A message found no stream: says so and makes the streams again, but not more often than every [`AGAIN`].
    pub(super) async fn look_after(&self, ending: &Ending, subject: &str) {
        let Ok(mut looked) = self.looked.try_lock() else { return };
        if looked.is_some_and(|at| at.elapsed() < AGAIN) {
            return;
        }
        ending.problem(
            "stream_missing",
            format!("no stream takes {subject}: it was deleted, or has no leader"),
        );
        let made = tokio::select! {
            made = async { sleep(SETTLE).await; self.make_again(ending).await } => made,
            () = ending.gone.cancelled() => return,
        };
        if let Err(error) = made {
            ending.problem(error.code, error.reason);
        }
        *looked = Some(Instant::now());
    }

    async fn make_again(&self, ending: &Ending) -> Result<(), SinkDown> {
        streams::ensure(&self.js, &ending.denied, &self.log).await?;
        if let Found::Created(_) = streams::ensure(&self.js, &ending.denied, &self.last).await? {
            // Only a new session tells the relay that all values are wanted again.
            self.lost.store(true, Ordering::Relaxed);
            ending.end(down(
                "stream_missing",
                format!(
                    "the stream {} was deleted and has been made again; connecting again to send all values",
                    streams::LAST
                ),
            ));
        }
        Ok(())
    }

    /// Stores a picture under its digest and returns the key.
    ///
    /// # Errors
    /// In words, when it could not be stored now.
    pub(super) async fn put(
        &self,
        sha256: &str,
        picture: &Bytes,
        max_payload: usize,
    ) -> Result<String, String> {
        let key = format!("{sha256}.jpg");
        let bucket = self.bucket().await?;
        if let Ok(info) = bucket.info(&key).await {
            let age = jiff::Timestamp::now().as_second() - info.modified.map_or(0, |at| at.unix_timestamp());
            if !info.deleted && info.size == picture.len() && age < FRESH_SECONDS {
                return Ok(key);
            }
        }
        let meta = ObjectMetadata {
            name: key.clone(),
            chunk_size: Some(CHUNK.min(max_payload)),
            ..ObjectMetadata::default()
        };
        let mut bytes = &picture[..];
        match bucket.put(meta, &mut bytes).await {
            Ok(_) => Ok(key),
            Err(error) => {
                // It may have been deleted: look again next time.
                *self.bucket.lock().await = None;
                Err(format!("the picture could not be put into the object store {BUCKET}: {error}"))
            }
        }
    }

    /// The bucket, made if it is absent.
    ///
    /// The client's own call makes buckets that refuse what is new when full, so a full one would stop all pictures
    /// for days; ours drops the oldest, like the log stream.
    async fn bucket(&self) -> Result<ObjectStore, String> {
        let mut kept = self.bucket.lock().await;
        if let Some(bucket) = &*kept {
            return Ok(bucket.clone());
        }
        let config = Config {
            name: format!("OBJ_{BUCKET}"),
            description: Some("alarmbus: pictures larger than a message may be".into()),
            subjects: vec![format!("$O.{BUCKET}.C.>"), format!("$O.{BUCKET}.M.>")],
            max_age: KEPT,
            max_bytes: BYTES,
            num_replicas: self.replicas,
            discard: DiscardPolicy::Old,
            allow_rollup: true,
            allow_direct: true,
            ..Config::default()
        };
        let bucket = match self.js.get_object_store(BUCKET).await {
            Ok(bucket) => bucket,
            Err(_) => {
                if let Err(error) = self.js.create_stream(config).await
                    && !matches!(error.kind(), CreateStreamErrorKind::JetStream(api) if api.error_code() == ErrorCode::STREAM_NAME_EXIST)
                {
                    return Err(format!("the object store {BUCKET} is absent and cannot be made: {error}"));
                }
                let made = self.js.get_object_store(BUCKET).await;
                made.map_err(|error| format!("the object store {BUCKET} cannot be opened: {error}"))?
            }
        };
        *kept = Some(bucket.clone());
        Ok(bucket)
    }
}

fn not_seen(wanted: &Wanted, words: &str) -> String {
    format!(
        "whether the stream {} is there is not known ({words}); allow it, or see to it yourself",
        wanted.config.name
    )
}
