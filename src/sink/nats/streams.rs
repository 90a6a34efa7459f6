//! Streams: their configuration, and their creation where they are absent. An existing stream is used unchanged.

use std::error::Error as _;
use std::time::Duration;

use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{Context, Error as ApiError, ErrorCode};

use super::denied::DeniedSubjects;
use super::failure::down;
use super::subject::covers;
use crate::findings::FindingCode;
use crate::sink::SinkDown;

/// Stream of the log lane.
pub(super) const LOG: &str = "ALARMBUS";
/// Stream of the value lane: the newest message of each subject.
pub(super) const LAST: &str = "ALARMBUS_LAST";
/// Retention of log messages and large pictures.
pub(super) const RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Number of bytes that the log stream, and the bucket, may take.
pub(super) const BYTES: i64 = 1 << 30;

/// Requirements on one stream.
pub(super) struct Wanted {
    /// Configuration to create it with. Its subjects cover every instance, since it is never altered.
    pub(super) config: Config,
    /// Subjects that an existing stream must cover.
    pub(super) needed: Vec<String>,
}

/// State of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FoundStream {
    /// The stream existed; with its creation time (RFC 3339).
    Existing(String),
    /// The stream was created at this time.
    Created(String),
    /// The stream is unreadable for lack of permission, so only publishing will show its state; with the server's
    /// text.
    Unknown(String),
}

/// Requirements on the log stream under a prefix.
pub(super) fn log(prefix: &str, replicas: usize) -> Wanted {
    let subjects: Vec<String> =
        ["event.*", "activity.*", "picture.>"].iter().map(|rest| format!("{prefix}.*.{rest}")).collect();
    let config = Config {
        name: LOG.into(),
        description: Some("alarmbus: alarms and activities, every message".into()),
        subjects: subjects.clone(),
        max_age: RETENTION,
        max_bytes: BYTES,
        num_replicas: replicas,
        allow_direct: true,
        ..Config::default()
    };
    Wanted { config, needed: subjects }
}

/// Requirements on the value stream under a prefix; `bridge` is this instance's topic level.
pub(super) fn last(prefix: &str, bridge: &str, replicas: usize) -> Wanted {
    let of_source = [
        "state.*",
        "count.*",
        "snapshot",
        "snapshot.>",
        "snapshot_info",
        "snapshot_info.>",
        "last",
        "device",
    ];
    let of_bridge = ["state", "info", "health", "token"];
    let below = |token: &str, rest: &[&str]| -> Vec<String> {
        rest.iter().map(|rest| format!("{prefix}.{token}.{rest}")).collect()
    };
    let config = Config {
        name: LAST.into(),
        description: Some("alarmbus: current values and pictures, the newest of each subject".into()),
        subjects: [below("*", &of_source), below("*", &of_bridge)].concat(),
        max_messages_per_subject: 1,
        num_replicas: replicas,
        allow_direct: true,
        ..Config::default()
    };
    Wanted { config, needed: [below("*", &of_source), below(bridge, &of_bridge)].concat() }
}

/// Ensures that a stream exists and covers our subjects.
///
/// # Errors
/// Fails when JetStream is off, the stream cannot be created, or an existing one does not cover some of our subjects.
pub(super) async fn ensure(
    js: &Context,
    denied: &DeniedSubjects,
    wanted: &Wanted,
) -> Result<FoundStream, SinkDown> {
    let name = wanted.config.name.as_str();
    let mut watch = denied.watch(&format!("$JS.API.STREAM.INFO.{name}"));
    let got = tokio::select! {
        biased;
        words = watch.denied() => return Ok(FoundStream::Unknown(words)),
        got = js.get_stream(name) => got,
    };
    let error = match got {
        Ok(stream) => return existing(stream.cached_info(), wanted),
        Err(error) => error,
    };
    match error.kind() {
        GetStreamErrorKind::JetStream(api) if api.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            create(js, denied, wanted).await
        }
        GetStreamErrorKind::JetStream(api) => Err(api_reason(name, &api)),
        _ => Err(match error.source().and_then(|source| source.downcast_ref::<RequestError>()) {
            Some(request) if request.kind() == RequestErrorKind::NoResponders => no_jetstream(),
            _ => down(
                FindingCode::StreamMissing,
                format!("JetStream does not answer about stream {name} ({error}); {QUORUM_REMEDY}"),
            ),
        }),
    }
}

/// Remedy when JetStream exists and does not respond.
const QUORUM_REMEDY: &str = "look at `nats server report jetstream`: is there a leader, is the disk full?";

/// Checks an existing stream.
fn existing(info: &Info, wanted: &Wanted) -> Result<FoundStream, SinkDown> {
    let takes = |needed: &String| info.config.subjects.iter().any(|subject| covers(subject, needed));
    let lacking: Vec<&str> =
        wanted.needed.iter().filter(|needed| !takes(needed)).map(String::as_str).collect();
    if lacking.is_empty() {
        return Ok(FoundStream::Existing(info.created.to_string()));
    }
    let name = &wanted.config.name;
    Err(down(
        FindingCode::StreamMissing,
        format!(
            "the stream {name} exists but does not take {}; add these subjects (`nats stream edit {name}`), or \
             delete it so that it is made anew: an existing stream is never altered",
            lacking.join(", ")
        ),
    ))
}

async fn create(js: &Context, denied: &DeniedSubjects, wanted: &Wanted) -> Result<FoundStream, SinkDown> {
    let name = wanted.config.name.as_str();
    let mut watch = denied.watch(&format!("$JS.API.STREAM.CREATE.{name}"));
    let made = tokio::select! {
        biased;
        words = watch.denied() => return Err(down(
            FindingCode::StreamMissing,
            format!("the stream {name} does not exist and this user may not create it ({words}); create it, or allow it"),
        )),
        made = js.create_stream(wanted.config.clone()) => made,
    };
    let error = match made {
        Ok(stream) => return Ok(FoundStream::Created(stream.cached_info().created.to_string())),
        Err(error) => error,
    };
    match error.kind() {
        // Another instance created it first.
        CreateStreamErrorKind::JetStream(api) if api.error_code() == ErrorCode::STREAM_NAME_EXIST => {
            let stream = js.get_stream(name).await;
            stream
                .map_err(|error| down(FindingCode::StreamMissing, format!("stream {name}: {error}")))
                .and_then(|stream| existing(stream.cached_info(), wanted))
        }
        CreateStreamErrorKind::JetStream(api) => Err(api_reason(name, &api)),
        CreateStreamErrorKind::JetStreamUnavailable => Err(no_jetstream()),
        _ => Err(down(
            FindingCode::StreamMissing,
            format!("the stream {name} could not be made ({error}); {QUORUM_REMEDY}"),
        )),
    }
}

/// Error of a server without JetStream; core NATS is never used instead.
fn no_jetstream() -> SinkDown {
    down(
        FindingCode::StreamMissing,
        "JetStream is not enabled at the NATS server; start nats-server with -js (or `jetstream {}` in its \
         configuration), or set nats.jetstream = false for best effort",
    )
}

/// Error of the JetStream API with its remedy.
fn api_reason(name: &str, api: &ApiError) -> SinkDown {
    match api.error_code() {
        ErrorCode::JETSTREAM_NOT_ENABLED => no_jetstream(),
        ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => down(
            FindingCode::StreamMissing,
            "JetStream is not enabled for this account of the NATS server; enable it there, or set \
             nats.jetstream = false for best effort",
        ),
        ErrorCode::STREAM_SUBJECT_OVERLAP => down(
            FindingCode::StreamMissing,
            format!(
                "the stream {name} cannot be made: another stream takes some of its subjects ({api}); \
                     narrow or delete that one, or set another nats.subject_prefix"
            ),
        ),
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED | ErrorCode::CLUSTER_NO_PEERS => down(
            FindingCode::StreamMissing,
            format!(
                "the stream {name} cannot be made with nats.replicas ({api}); set it to at most the cluster's size"
            ),
        ),
        _ => down(
            FindingCode::StreamMissing,
            format!("the stream {name} cannot be used: {api}; see the limits of the account"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{covers, last, log};

    #[test]
    fn what_we_make_takes_what_we_need_of_every_instance() {
        for wanted in [log("p", 1), last("p", "bridge", 1), last("p", "bridge-north", 3)] {
            for needed in &wanted.needed {
                assert!(wanted.config.subjects.iter().any(|subject| covers(subject, needed)), "{needed}");
            }
        }
    }

    #[test]
    fn no_subject_is_in_both() {
        let (log, last) = (log("p", 1), last("p", "bridge", 1));
        for subject in ["p.a.event.x", "p.a.activity.x", "p.a.picture.x.id"] {
            assert!(log.config.subjects.iter().any(|s| covers(s, subject)), "{subject}");
            assert!(!last.config.subjects.iter().any(|s| covers(s, subject)), "{subject}");
        }
    }
}
