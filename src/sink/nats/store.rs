//! JetStream of one session: its streams, which are created again when they vanish, and the object store for large
//! pictures.

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
use super::link::ending::Ending;
use super::streams::{self, BYTES, FoundStream, RETENTION, Wanted};
use crate::findings::FindingCode;
use crate::sink::{Retained, SinkDown};

/// Bucket for pictures that are too large for a message.
pub(super) const BUCKET: &str = "ALARMBUS_SNAPSHOTS";
/// Chunk size in bytes: the client's default; smaller where the server's limit is smaller.
const CHUNK: usize = 128 * 1024;
/// Maximum age in seconds at which a stored picture is used again (alarms of one report share it).
const FRESH_SECONDS: i64 = 3600;
/// Minimum interval between two attempts to restore vanished streams.
const RESTORE_INTERVAL: Duration = Duration::from_secs(2);

/// Delay before streams are restored: another stream may be deleted next, and a server that creates a stream while
/// deleting it can leave one that acknowledges and stores nothing (observed with nats-server 2.9.10).
const RESTORE_DELAY: Duration = Duration::from_millis(300);

/// JetStream of one session.
pub(super) struct JetStreamStore {
    /// JetStream client for publishing and requests.
    pub(super) js: Context,
    log: Wanted,
    last: Wanted,
    replicas: usize,
    bucket: Mutex<Option<ObjectStore>>,
    looked: Mutex<Option<Instant>>,
    /// Values were lost in this session.
    pub(super) lost: AtomicBool,
}

impl JetStreamStore {
    /// Creates JetStream on a connection; `wait` bounds each acknowledgement and request.
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

    /// Ensures both streams at the start of a session. Returns the creation time of the value stream and whether it
    /// still holds the values; `seen` is its last known creation time.
    ///
    /// # Errors
    /// Fails as [`streams::ensure`] does.
    pub(super) async fn open(
        &self,
        ending: &Ending,
        seen: Option<&str>,
    ) -> Result<(Option<String>, Retained), SinkDown> {
        if let FoundStream::Unknown(words) = streams::ensure(&self.js, &ending.denied, &self.log).await? {
            ending.problem(FindingCode::ValueRefused, not_seen(&self.log, &words));
        }
        match streams::ensure(&self.js, &ending.denied, &self.last).await? {
            FoundStream::Created(made) => Ok((Some(made), Retained::Lost)),
            FoundStream::Existing(made) => {
                let kept = seen.is_none_or(|seen| seen == made);
                Ok((Some(made), if kept { Retained::Kept } else { Retained::Lost }))
            }
            FoundStream::Unknown(words) => {
                ending.problem(FindingCode::ValueRefused, not_seen(&self.last, &words));
                Ok((None, Retained::Unreadable))
            }
        }
    }

    /// Handles a message that found no stream: reports it and creates the streams again, at most once per [`RESTORE_INTERVAL`].
    pub(super) async fn handle_missing_stream(&self, ending: &Ending, subject: &str) {
        let Ok(mut looked) = self.looked.try_lock() else { return };
        if looked.is_some_and(|at| at.elapsed() < RESTORE_INTERVAL) {
            return;
        }
        ending.problem(
            FindingCode::StreamMissing,
            format!("no stream takes {subject}: it was deleted, or has no leader"),
        );
        let made = tokio::select! {
            made = async { sleep(RESTORE_DELAY).await; self.make_again(ending).await } => made,
            () = ending.gone.cancelled() => return,
        };
        if let Err(error) = made {
            ending.problem(error.code, error.reason);
        }
        *looked = Some(Instant::now());
    }

    async fn make_again(&self, ending: &Ending) -> Result<(), SinkDown> {
        streams::ensure(&self.js, &ending.denied, &self.log).await?;
        if let FoundStream::Created(_) = streams::ensure(&self.js, &ending.denied, &self.last).await? {
            // Only a new session makes the relay send all values again.
            self.lost.store(true, Ordering::Relaxed);
            ending.end(down(
                FindingCode::StreamMissing,
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
    /// Returns a sentence when it cannot be stored now.
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
                // The bucket may have been deleted: look it up again next time.
                *self.bucket.lock().await = None;
                Err(format!("the picture could not be put into the object store {BUCKET}: {error}"))
            }
        }
    }

    /// Opens the bucket; creates it if it is absent.
    ///
    /// The client's own call creates buckets that refuse new objects when full, so a full one would block all pictures
    /// for days; this one discards the oldest, as the log stream does.
    async fn bucket(&self) -> Result<ObjectStore, String> {
        let mut kept = self.bucket.lock().await;
        if let Some(bucket) = &*kept {
            return Ok(bucket.clone());
        }
        let config = Config {
            name: format!("OBJ_{BUCKET}"),
            description: Some("alarmbus: pictures larger than a message may be".into()),
            subjects: vec![format!("$O.{BUCKET}.C.>"), format!("$O.{BUCKET}.M.>")],
            max_age: RETENTION,
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
