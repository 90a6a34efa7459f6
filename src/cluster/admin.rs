//! Commands of an operator to a cluster.

use futures_util::StreamExt as _;

use super::common::Common;
use super::link::JetStreamLink;
use super::message::LogRecord;
use crate::config;

/// Permissions that the NATS account of a cluster needs, as a NATS server's configuration has it.
#[must_use]
pub fn permissions(config: &config::Cluster) -> String {
    let numbered = |word: &str| -> Vec<String> {
        if config.streams == 1 {
            return vec![word.to_owned()];
        }
        (0..config.streams).map(|s| format!("{word}_{s}")).collect()
    };
    let (inputs, logs) = (numbered("ALARMBUS_IN"), numbered("ALARMBUS_LOG"));
    let others = ["ALARMBUS_PIC", "KV_ALARMBUS_LEASE", "KV_ALARMBUS_STATE"].map(str::to_owned);
    let mut publish: Vec<String> = vec![format!("{}.>", config.prefix)];
    publish.extend(
        ["$KV.ALARMBUS_LEASE.>", "$KV.ALARMBUS_STATE.>", "$JS.API.INFO", "$JS.FC.>"].map(str::to_owned),
    );
    publish.extend(inputs.iter().map(|stream| format!("$JS.API.STREAM.PURGE.{stream}")));
    let verbs = [
        "STREAM.CREATE.S",
        "STREAM.INFO.S",
        "DIRECT.GET.S",
        "DIRECT.GET.S.>",
        "CONSUMER.CREATE.S",
        "CONSUMER.CREATE.S.>",
        "CONSUMER.INFO.S.>",
        "CONSUMER.MSG.NEXT.S.>",
        "CONSUMER.DELETE.S.>",
    ];
    for stream in inputs.iter().chain(&logs).chain(&others) {
        publish.extend(
            verbs.iter().map(|verb| format!("$JS.API.{}", verb.replacen(".S", &format!(".{stream}"), 1))),
        );
    }
    let lines: Vec<String> = publish.iter().map(|subject| format!("    {subject:?}")).collect();
    let subscribe = format!("{:?}, {:?}", format!("{}.>", config.prefix), "_INBOX_alarmbus.>");
    format!(
        "permissions: {{\n  publish: {{ allow: [\n{}\n  ] }}\n  subscribe: {{ allow: [{subscribe}] }}\n}}\n",
        lines.join(",\n")
    )
}

/// Changes the number of partitions. All instances are stopped, and every report is decided.
///
/// # Errors
/// With the reason.
pub async fn repartition(config: &config::Cluster, partitions: u64) -> Result<(), String> {
    if !(1..=256).contains(&partitions) || partitions < config.streams {
        return Err(format!(
            "{partitions} partitions cannot be made: 1 to 256, and at least one for each stream"
        ));
    }
    if 1 < config.streams {
        return Err("partitions in several streams cannot be changed: the streams name them. Begin with another cluster.prefix".into());
    }
    let link = JetStreamLink::open(config, "repartition").await?;
    let common = Common::of(config, "", &[0; 32]).agree(&link).await?;
    let mut members = link.leases.keys().await.map_err(|error| error.to_string())?;
    if let Some(Ok(key)) = members.next().await {
        return Err(format!(
            "{key} is alive: stop all instances first, and wait until their leases are over"
        ));
    }
    for k in 0..common.partitions {
        let input = link.end_of(&format!("in.{k}"), link.input(k)).await;
        let input = input.ok_or("the stream of reports does not answer")?;
        let decided = link.last(&format!("log.{k}"), link.log(k)?).await?;
        let decided = decided.and_then(|record| serde_json::from_slice::<LogRecord>(&record).ok());
        if decided.map_or(0, |record| record.input) < input {
            return Err(format!(
                "reports of partition {k} wait for a decision: start the instances until there are none"
            ));
        }
    }
    let changed = serde_json::to_vec(&Common { partitions, ..common }).map_err(|error| error.to_string())?;
    link.states.put("config", changed.into()).await.map(drop).map_err(|error| error.to_string())
}
