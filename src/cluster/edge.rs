//! The edge: sends reports from the spool to JetStream, in order.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::Member;
use super::key::Keys;
use super::link::{JetStreamLink, PublishFailure};
use super::message::{Input, ReportMessage, VERSION};
use super::positions::partition_of_sink;
use super::survey::View;
use crate::config::Acknowledge;
use crate::findings::FindingCode;
use crate::model::device::identity::identify;
use crate::model::{Reported, Source, request_id};
use crate::outbox::cluster::{Edge, SpoolRow, Spooled, SpooledAction, partition};
use crate::outbox::{ClusterAction, DeliveryChange, Reader, Submission, WriterSettings};

/// Number of messages read from the spool at a time.
const READ_BATCH: usize = 16;
/// Pause after a message that JetStream did not acknowledge.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Number of failed attempts before a finding is raised.
const FAILURES_BEFORE_FINDING: u32 = 5;

/// Converts reports into messages.
#[derive(Debug)]
pub(super) struct ReportEncoder {
    name: String,
    keys: Keys,
    settings: Arc<ArcSwap<WriterSettings>>,
    partitions: u64,
    /// Maximum time that an answer waits for JetStream, if it does.
    patience: Option<Duration>,
    /// Answers that wait, by report.
    waiting: Mutex<HashMap<Uuid, oneshot::Sender<()>>>,
    view: View,
}

impl ReportEncoder {
    /// Converter of an instance.
    pub(super) fn new(member: &Member, view: View) -> Self {
        let patience = Duration::from_millis(member.config.ack_ms);
        Self {
            name: member.name.clone(),
            keys: Keys::default(),
            settings: Arc::clone(&member.settings),
            partitions: member.config.partitions,
            patience: (member.config.ack == Acknowledge::Cluster).then_some(patience),
            waiting: Mutex::default(),
            view,
        }
    }

    fn input(&self) -> Input {
        Input { v: VERSION, by: self.name.clone(), report: None, action: None, id: None }
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<Uuid, oneshot::Sender<()>>> {
        self.waiting.lock()
    }

    /// JetStream has a report: its answer waits no longer.
    fn taken(&self, input: &Input) {
        let Some(report) = &input.report else { return };
        if let Some(answer) = self.waiting().remove(&report.id) {
            answer.send(()).ok();
        }
    }

    /// Partition of the device that a report names: that of all its channels.
    fn partition_of(&self, device: Reported, peer: IpAddr) -> u64 {
        if self.partitions == 1 {
            return 0;
        }
        let whole = Reported { channel: None, ..device };
        let identity = identify(&whole, peer, |key| self.settings.load().alias(key));
        partition(&identity.source, self.partitions)
    }

    /// The messages of a report or action, each with its partition.
    fn parts(&self, input: Input, reader: &mut Reader) -> Vec<(u64, Input)> {
        let parts = match (&input.report, &input.action) {
            (_, Some(action)) => vec![(self.partition_of_action(action, reader), input)],
            _ => input.by_partition(
                |device, peer| self.partition_of(device, peer),
                |peer| reader.partitions_at(&peer.to_canonical().to_string(), self.partitions),
            ),
        };
        let sized = |(k, part): (u64, Input)| part.parts().into_iter().map(move |part| (k, part));
        parts.into_iter().flat_map(sized).collect()
    }

    fn partition_of_action(&self, action: &ClusterAction, reader: &mut Reader) -> u64 {
        match action {
            ClusterAction::Device(change) => self.partition_of_source(change.source(), reader),
            ClusterAction::Delivery(DeliveryChange::Replay(id)) => {
                let entry = reader.alarm(*id).ok().flatten();
                entry.map_or(0, |entry| self.partition_of_source(entry.record.source(), reader))
            }
            ClusterAction::Delivery(
                DeliveryChange::Park { sink, .. }
                | DeliveryChange::Retry(sink, _)
                | DeliveryChange::Drop(sink, _)
                | DeliveryChange::Rewind(sink, _),
            ) => partition_of_sink(sink),
        }
    }

    fn partition_of_source(&self, source: &Source, reader: &mut Reader) -> u64 {
        let known = reader.device(source).ok().flatten().map(|state| state.device);
        let parent = known.and_then(|device| device.parent);
        partition(parent.as_ref().unwrap_or(source), self.partitions)
    }
}

impl Edge for ReportEncoder {
    fn report(&self, submission: &Submission) -> Spooled {
        let keys = self.keys.of_report(&submission.alarms, submission.received_at);
        let ids: Vec<Uuid> = keys
            .into_iter()
            .enumerate()
            .map(|(index, key)| key.unwrap_or_else(|| request_id::alarm(submission.id, index)))
            .collect();
        let pictures = submission.pictures.iter().flat_map(|picture| picture.data.iter().copied()).collect();
        let row = row(&Input { report: Some(ReportMessage::of(submission, &ids)), ..self.input() }, pictures);
        let taken = self.patience.map(|patience| {
            let (answer, taken) = oneshot::channel();
            let mut waiting = self.waiting();
            waiting.retain(|_, answer| !answer.is_closed());
            waiting.insert(submission.id, answer);
            (taken, patience)
        });
        Spooled { row, ids, taken }
    }

    fn action(&self, action: ClusterAction) -> SpooledAction {
        let id = Uuid::now_v7();
        let row = row(&Input { action: Some(action), id: Some(id), ..self.input() }, Vec::new());
        SpooledAction { row, done: self.view.shared().actions.wait(id) }
    }

    fn decides(&self, source: &Source, reader: &mut Reader) -> bool {
        let k = self.partition_of_source(source, reader);
        self.view.shared().leases.owned().contains(&k)
    }
}

/// A message in the spool.
fn row(input: &Input, pictures: Vec<u8>) -> SpoolRow {
    SpoolRow { no: 0, body: serde_json::to_string(input).unwrap_or_default(), pictures }
}

/// Publishes the spool.
pub(super) async fn publish(member: &Member, reports: &ReportEncoder, link: &JetStreamLink) {
    let mut reader = member.outbox.reader();
    let mut sent = 0;
    loop {
        for row in rows(&mut reader, sent) {
            send(member, reports, link, (&row, &mut reader)).await;
            sent = row.no;
            if member.outbox.unspool(sent).await.is_err() {
                return;
            }
        }
        drop(tokio::time::timeout(RETRY_DELAY, member.outbox.spooled()).await);
    }
}

/// Publishes a message of the spool, as often as is needed. One that can never be published is dropped with a finding, so
/// that it holds up nothing.
async fn send(
    member: &Member,
    reports: &ReportEncoder,
    link: &JetStreamLink,
    (row, reader): (&SpoolRow, &mut Reader),
) {
    let subject = &member.config.prefix;
    let id = Uuid::now_v7();
    let mut tries = 0_u32;
    while let Err(refused) = put(reports, link, (row, id), reader).await {
        tries += 1;
        let reason = match refused {
            PublishFailure::Overtaken => "a message was refused".to_owned(),
            PublishFailure::Unknown(reason) => reason,
            PublishFailure::Impossible(reason) => {
                let detail = format!("message {} of the spool of {}: {reason}", row.no, member.name);
                member.findings.raise(FindingCode::ClusterUnreadable, subject, &detail);
                break;
            }
        };
        // The first attempts may fail only because another instance's copy is still being written.
        if tries < FAILURES_BEFORE_FINDING {
            tokio::time::sleep(RETRY_DELAY / 10).await;
            continue;
        }
        member.findings.raise(FindingCode::ClusterUnreachable, subject, &reason);
        tokio::time::sleep(RETRY_DELAY).await;
    }
    member.findings.settle(FindingCode::ClusterUnreachable, subject);
}

fn rows(reader: &mut Reader, after: i64) -> Vec<Arc<SpoolRow>> {
    reader.spool_after(after, READ_BATCH).unwrap_or_else(|error| {
        tracing::warn!("the spool cannot be read: {error}");
        Vec::new()
    })
}

/// Publishes a message, its pictures first. `id`: identifier of what has no alarms.
async fn put(
    reports: &ReportEncoder,
    link: &JetStreamLink,
    (row, id): (&SpoolRow, Uuid),
    reader: &mut Reader,
) -> Result<(), PublishFailure> {
    let input = Input::read(row.body.as_bytes()).map_err(PublishFailure::Impossible)?;
    let whole = input.clone();
    for (sha256, data) in input.pictures(&row.pictures) {
        link.put_picture(sha256, data).await?;
    }
    for (index, (k, part)) in reports.parts(input, reader).into_iter().enumerate() {
        let ids: String =
            part.report.iter().flat_map(|report| &report.alarms).map(|alarm| alarm.id.to_string()).collect();
        let id = if ids.is_empty() {
            super::key::derived(id, &index.to_string())
        } else {
            super::key::derived(Uuid::nil(), &ids)
        };
        let body =
            serde_json::to_vec(&part).map_err(|error| PublishFailure::Impossible(error.to_string()))?;
        link.publish(&format!("in.{k}"), &id.to_string(), body.into(), None).await?;
    }
    reports.taken(&whole);
    Ok(())
}
