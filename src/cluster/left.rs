//! A spool that is left behind when an instance leaves the cluster: this instance decides its reports alone.

use bytes::Bytes;
use uuid::Uuid;

use super::message::{Input, ReportMessage};
use crate::findings::{FindingCode, Findings};
use crate::outbox::{ClusterAction, DeliveryChange, Outbox, ParkedVerb, Parking, Reader, SinkChange};

/// Messages read at a time.
const READ_BATCH: usize = 64;

/// Decides what the spool still holds, in order. Alarms that the outbox has were decided by the cluster.
pub async fn take_up(outbox: &Outbox, findings: &Findings) {
    let mut reader = outbox.reader();
    let mut taken = 0_u64;
    let mut after = 0;
    while let Ok(rows) = reader.spool_after(after, READ_BATCH) {
        let Some(last) = rows.last() else { break };
        after = last.no;
        for row in &rows {
            let done = match Input::read(row.body.as_bytes()) {
                Ok(input) => take(input, &row.pictures, outbox, &mut reader).await.is_ok(),
                Err(error) => {
                    let detail = format!("message {} of the spool was left out: {error}", row.no);
                    findings.raise(FindingCode::ClusterUnreadable, "spool", &detail);
                    true
                }
            };
            if !done {
                return;
            }
            taken += 1;
        }
        if outbox.unspool(after).await.is_err() {
            return;
        }
    }
    if 0 < taken {
        tracing::info!("{taken} messages that the cluster had not taken were decided by this instance");
    }
}

async fn take(input: Input, pictures: &[u8], outbox: &Outbox, reader: &mut Reader) -> anyhow::Result<()> {
    if let Some(action) = input.action {
        return act(action, outbox, reader).await;
    }
    let stored: Vec<Bytes> = input.pictures(pictures).map(|(_, data)| Bytes::copy_from_slice(data)).collect();
    let Some(mut report) = input.report else { return Ok(()) };
    let mut known = Vec::new();
    for alarm in &report.alarms {
        known.extend(reader.received_at(alarm.id)?.map(|_| alarm.id));
    }
    report.alarms.retain(|alarm| !known.contains(&alarm.id));
    let ids: Vec<Uuid> = report.alarms.iter().map(|alarm| alarm.id).collect();
    let mut submission = ReportMessage::submission(report);
    let mut stored = stored.into_iter();
    for picture in submission.pictures.iter_mut().filter(|picture| picture.sha256.is_some()) {
        picture.data = stored.next().unwrap_or_default();
    }
    let age = crate::host::now().duration_since(submission.received_at);
    let age = std::time::Duration::try_from(age).unwrap_or_default();
    submission.received = submission.received.checked_sub(age).unwrap_or(submission.received);
    outbox.append_as(submission, ids).await?;
    Ok(())
}

/// Makes a change that was asked for in the cluster.
async fn act(action: ClusterAction, outbox: &Outbox, reader: &mut Reader) -> anyhow::Result<()> {
    let mut parked = async |sink: &str, id: Uuid, verb| -> anyhow::Result<()> {
        let rows = reader.parked(None, usize::MAX)?;
        for row in rows.into_iter().filter(|row| row.sink == sink && row.id == Some(id)) {
            outbox.parked(row.no, verb).await?;
        }
        Ok(())
    };
    match action {
        ClusterAction::Device(change) => {
            outbox.device(change).await?;
        }
        ClusterAction::Delivery(DeliveryChange::Replay(id)) => {
            outbox.replay(id).await?;
        }
        ClusterAction::Delivery(DeliveryChange::Retry(sink, id)) => {
            parked(&sink, id, ParkedVerb::Retry).await?;
        }
        ClusterAction::Delivery(DeliveryChange::Drop(sink, id)) => {
            parked(&sink, id, ParkedVerb::Drop).await?;
        }
        ClusterAction::Delivery(DeliveryChange::Rewind(sink, since)) => {
            outbox.rewind(&sink, since).await?;
        }
        ClusterAction::Delivery(DeliveryChange::Park { sink, id, topic, code, reason, .. }) => {
            // Its position is behind it, so it would be published by nobody, and shown nowhere.
            if let Some(entry) = reader.alarm(id)? {
                let parked = vec![Parking { entry: entry.no, topic, code, reason }];
                outbox.sink(SinkChange { sink, parked, ..SinkChange::default() }).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;
    use crate::decode::{self, recorded};
    use crate::outbox::{Submission, WriterSettings};

    #[tokio::test]
    async fn what_the_cluster_was_to_park_is_parked_here() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.path = folder.path().to_owned();
        let settings = Arc::new(WriterSettings::new(&config));
        let outbox = Outbox::open(settings, Findings::default(), &["mqtt"]).unwrap();
        let body = br#"{"mac": "02-00-00-00-00-01", "event_list": [{"event_type": "PEOPLE"}]}"#;
        let alarms = decode::decode(&recorded::read(body, None), &recorded::hints(body)).unwrap().alarms;
        let blank = Submission::heard(Uuid::now_v7(), [127, 0, 0, 1].into(), Vec::new());
        let id = outbox.append(Submission { alarms, ..blank }).await.unwrap().ids[0];
        let mut reader = outbox.reader();
        let (topic, code, reason) = ("a/b".to_owned(), "refused".to_owned(), "too large".to_owned());
        let at = crate::host::now();
        let park = DeliveryChange::Park { sink: "mqtt".into(), id, topic, code, reason, at };
        act(ClusterAction::Delivery(park), &outbox, &mut reader).await.unwrap();
        outbox.flush().await.unwrap();
        let parked = reader.parked(None, 10).unwrap();
        assert_eq!(
            parked.iter().map(|row| (row.id, row.sink.as_str())).collect::<Vec<_>>(),
            [(Some(id), "mqtt")]
        );
    }
}
