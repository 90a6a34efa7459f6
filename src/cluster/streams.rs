//! Streams and buckets of the cluster: made where they are absent, never altered.

use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::Store;
use async_nats::jetstream::stream::{self, DiscardPolicy, Stream};

use crate::config;

/// One day.
const DAY: Duration = Duration::from_secs(86_400);
/// Period in which a message identifier is known again.
const DUPLICATES: Duration = Duration::from_secs(120);

/// The streams.
#[derive(Debug)]
pub(super) struct Streams {
    /// Raw reports: partition k is in the one of number k mod their count.
    pub(super) inputs: Vec<Stream>,
    /// Decisions, likewise.
    pub(super) logs: Vec<Stream>,
    /// Parts of pictures.
    pub(super) pictures: Stream,
}

impl Streams {
    /// Opens them.
    pub(super) async fn open(js: &Context, config: &config::Cluster) -> Result<Self, String> {
        let wanted = |name: String, subjects: Vec<String>, age: u32, gigabytes: i64| stream::Config {
            name,
            subjects: subjects.iter().map(|subject| format!("{}.{subject}", config.prefix)).collect(),
            num_replicas: config.replicas,
            max_age: DAY * age,
            max_bytes: gigabytes << 30,
            allow_direct: true,
            duplicate_window: DUPLICATES,
            ..stream::Config::default()
        };
        let (mut inputs, mut logs) = (Vec::new(), Vec::new());
        for s in 0..config.streams {
            let (name, of) = (|word: &str| numbered(word, s, config), |word: &str| subjects(word, s, config));
            let input = wanted(name("ALARMBUS_IN"), of("in"), 0, 4);
            inputs.push(make(js, stream::Config { discard: DiscardPolicy::New, ..input }).await?);
            logs.push(make(js, wanted(name("ALARMBUS_LOG"), of("log"), 7, 8)).await?);
        }
        let pictures = wanted("ALARMBUS_PIC".into(), vec!["pic.*.*".into()], 2, 4);
        let pictures = make(js, stream::Config { max_messages_per_subject: 1, ..pictures }).await?;
        Ok(Self { inputs, logs, pictures })
    }

    /// All streams.
    pub(super) fn all(&self) -> impl Iterator<Item = &Stream> {
        self.inputs.iter().chain(&self.logs).chain([&self.pictures])
    }
}

/// Names of all streams, those of buckets included.
pub(super) fn names(config: &config::Cluster) -> Vec<String> {
    let numbered = |word| (0..config.streams).map(move |s| numbered(word, s, config));
    let others = ["ALARMBUS_PIC", "KV_ALARMBUS_LEASE", "KV_ALARMBUS_STATE"].map(str::to_owned);
    numbered("ALARMBUS_IN").chain(numbered("ALARMBUS_LOG")).chain(others).collect()
}

/// Name of a stream; with a number where there are several.
fn numbered(word: &str, s: u64, config: &config::Cluster) -> String {
    if config.streams == 1 { word.to_owned() } else { format!("{word}_{s}") }
}

/// Subjects of a stream, without the prefix.
fn subjects(word: &str, s: u64, config: &config::Cluster) -> Vec<String> {
    if config.streams == 1 {
        return vec![format!("{word}.*")];
    }
    let own = (0..config.partitions).filter(|k| k.checked_rem(config.streams) == Some(s));
    own.map(|k| format!("{word}.{k}")).collect()
}

/// Opens a stream, or creates it.
async fn make(js: &Context, wanted: stream::Config) -> Result<Stream, String> {
    let name = wanted.name.clone();
    js.get_or_create_stream(wanted).await.map_err(|error| {
        format!("the stream {name} can be neither used nor made ({error}): cluster.replicas must be at most the number of NATS servers, and these need JetStream with max_file_store of 17 GiB")
    })
}

/// A bucket, as it is or made. The client's own way of making one asks for the account first, and does not understand
/// the answer of nats-server 2.9.
pub(super) async fn bucket(
    js: &Context,
    name: &str,
    max_age: Duration,
    replicas: usize,
) -> Result<Store, String> {
    let wanted = stream::Config {
        name: format!("KV_{name}"),
        subjects: vec![format!("$KV.{name}.>")],
        max_messages_per_subject: 1,
        max_age,
        num_replicas: replicas,
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..stream::Config::default()
    };
    make(js, wanted).await?;
    js.get_key_value(name).await.map_err(|error| format!("the bucket {name} cannot be used ({error})"))
}
