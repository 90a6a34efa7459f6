//! The streams: what they hold, and making them where they are absent. One that exists is used as it is.

use std::error::Error as _;
use std::time::Duration;

use async_nats::jetstream::context::{
    CreateStreamErrorKind, GetStreamErrorKind, RequestError, RequestErrorKind,
};
use async_nats::jetstream::stream::{Config, Info};
use async_nats::jetstream::{Context, Error as ApiError, ErrorCode};

use super::denied::Denied;
use super::failure::down;
use super::subject::covers;
use crate::sink::SinkDown;

/// The stream of the log lane.
pub(super) const LOG: &str = "ALARMBUS";
/// The stream of the value lane: the newest message of each subject.
pub(super) const LAST: &str = "ALARMBUS_LAST";
/// How long log messages and large pictures are kept.
pub(super) const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// How many bytes the log stream, and the bucket, may take.
pub(super) const BYTES: i64 = 1 << 30;

/// One stream as we need it.
pub(super) struct Wanted {
    /// How it is made if it is absent. Its subjects hold for every instance, since it is never altered.
    pub(super) config: Config,
    /// What an existing one must take.
    pub(super) needed: Vec<String>,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It was there; made at this time (RFC 3339).
    Existing(String),
    /// We made it, at this time.
    Created(String),
    /// We may not look; publishing will tell. The server's words.
    Unknown(String),
}

/// The log stream under a prefix.
pub(super) fn log(prefix: &str, replicas: usize) -> Wanted {
    let subjects: Vec<String> =
        ["event.*", "activity.*", "picture.>"].iter().map(|rest| format!("{prefix}.*.{rest}")).collect();
    let config = Config {
        name: LOG.into(),
        description: Some("alarmbus: alarms and activities, every message".into()),
        subjects: subjects.clone(),
        max_age: KEPT,
        max_bytes: BYTES,
        num_replicas: replicas,
        allow_direct: true,
        ..Config::default()
    };
    Wanted { config, needed: subjects }
}

/// The stream of current values under a prefix; `bridge` is this instance's bridge token.
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

/// Makes sure that a stream is there and takes our subjects.
///
/// # Errors
/// When JetStream is off, the stream may not or cannot be made, or an existing one lacks some of our subjects.
pub(super) async fn ensure(js: &Context, denied: &Denied, wanted: &Wanted) -> Result<Found, SinkDown> {
    let name = wanted.config.name.as_str();
    let mut watch = denied.watch(&format!("$JS.API.STREAM.INFO.{name}"));
    let got = tokio::select! {
        biased;
        words = watch.denied() => return Ok(Found::Unknown(words)),
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
                "stream_missing",
                format!("JetStream does not answer about stream {name} ({error}); {QUORUM}"),
            ),
        }),
    }
}

/// What to look at when JetStream is there and does not answer.
const QUORUM: &str = "look at `nats server report jetstream`: is there a leader, is the disk full?";

/// An existing stream, as it is.
fn existing(info: &Info, wanted: &Wanted) -> Result<Found, SinkDown> {
    let takes = |needed: &String| info.config.subjects.iter().any(|subject| covers(subject, needed));
    let lacking: Vec<&str> =
        wanted.needed.iter().filter(|needed| !takes(needed)).map(String::as_str).collect();
    if lacking.is_empty() {
        return Ok(Found::Existing(info.created.to_string()));
    }
    let name = &wanted.config.name;
    Err(down(
        "stream_missing",
        format!(
            "the stream {name} exists but does not take {}; add these subjects (`nats stream edit {name}`), or \
             delete it so that it is made anew: an existing stream is never altered",
            lacking.join(", ")
        ),
    ))
}

async fn create(js: &Context, denied: &Denied, wanted: &Wanted) -> Result<Found, SinkDown> {
    let name = wanted.config.name.as_str();
    let mut watch = denied.watch(&format!("$JS.API.STREAM.CREATE.{name}"));
    let made = tokio::select! {
        biased;
        words = watch.denied() => return Err(down(
            "stream_missing",
            format!("the stream {name} does not exist and this user may not create it ({words}); create it, or allow it"),
        )),
        made = js.create_stream(wanted.config.clone()) => made,
    };
    let error = match made {
        Ok(stream) => return Ok(Found::Created(stream.cached_info().created.to_string())),
        Err(error) => error,
    };
    match error.kind() {
        // Another instance was faster.
        CreateStreamErrorKind::JetStream(api) if api.error_code() == ErrorCode::STREAM_NAME_EXIST => {
            let stream = js.get_stream(name).await;
            stream
                .map_err(|error| down("stream_missing", format!("stream {name}: {error}")))
                .and_then(|stream| existing(stream.cached_info(), wanted))
        }
        CreateStreamErrorKind::JetStream(api) => Err(api_reason(name, &api)),
        CreateStreamErrorKind::JetStreamUnavailable => Err(no_jetstream()),
        _ => Err(down("stream_missing", format!("the stream {name} could not be made ({error}); {QUORUM}"))),
    }
}

/// JetStream is wanted and absent; never a fall-back.
fn no_jetstream() -> SinkDown {
    down(
        "stream_missing",
        "JetStream is not enabled at the NATS server; start nats-server with -js (or `jetstream {}` in its \
         configuration), or set nats.jetstream = false for best effort",
    )
}

/// An error of the JetStream API with its remedy.
fn api_reason(name: &str, api: &ApiError) -> SinkDown {
    match api.error_code() {
        ErrorCode::JETSTREAM_NOT_ENABLED => no_jetstream(),
        ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT => down(
            "stream_missing",
            "JetStream is not enabled for this account of the NATS server; enable it there, or set \
             nats.jetstream = false for best effort",
        ),
        ErrorCode::STREAM_SUBJECT_OVERLAP => down(
            "stream_missing",
            format!(
                "the stream {name} cannot be made: another stream takes some of its subjects ({api}); \
                     narrow or delete that one, or set another nats.subject_prefix"
            ),
        ),
        ErrorCode::STREAM_REPLICAS_NOT_SUPPORTED | ErrorCode::CLUSTER_NO_PEERS => down(
            "stream_missing",
            format!(
                "the stream {name} cannot be made with nats.replicas ({api}); set it to at most the cluster's size"
            ),
        ),
        _ => down(
            "stream_missing",
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
