//! Recovery (`alarmbus outbox recover FILE`): delivers entries of a database that was set aside.
//!
//! Its log is read in order. Rows on damaged pages are skipped, and entries that a sink had not acknowledged are
//! committed again: new numbers, the same ids, always `replayed`. Entries that the outbox already has are skipped
//! too, so recovery can be repeated. Pictures are files beside the database and are still there.

use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use super::salvage::Salvage;
use crate::findings::FindingCode;
use crate::model::{EventName, Record, Source};
use crate::outbox::command::Command;
use crate::outbox::state::device::Device;
use crate::outbox::{Closed, Outbox};

/// Result of a recovery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecoveryResult {
    /// Alarms and ends that not every sink had acknowledged.
    pub undelivered: u64,
    /// Of them, committed again.
    pub committed: u64,
    /// Of them, already in the outbox.
    pub known: u64,
    /// Numbers of the log that could not be read.
    pub unreadable: u64,
}

/// Reason why nothing was recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The file cannot be read, or is not an outbox.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, rusqlite::Error),
    /// The bridge stopped meanwhile.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The task that reads the file ended early.
    #[error("the reading task ended early: {0}")]
    Failed(#[from] tokio::task::JoinError),
}

/// Part of a file that is being recovered.
#[derive(Debug, Default)]
pub(crate) struct Salvaged {
    /// Devices; those missing in the outbox are added.
    pub(crate) devices: Vec<Device>,
    /// Activities in progress when the file was set aside; they are ended, unless the outbox has them.
    pub(crate) ongoing: Vec<(Source, EventName)>,
    /// Entries that are to be delivered.
    pub(crate) records: Vec<Record>,
}

/// Delivers entries of a file that was set aside.
///
/// # Errors
/// When the file cannot be read at all, or the bridge stops.
pub async fn recover(file: &Path, outbox: &Outbox) -> Result<RecoveryResult, RecoverError> {
    let path = file.to_owned();
    let open = move || Salvage::open(&path).map_err(|error| RecoverError::Unreadable(path, error));
    let mut salvage = tokio::task::spawn_blocking(open).await??;
    let mut recovered = RecoveryResult::default();
    loop {
        let (back, part) = tokio::task::spawn_blocking(move || {
            let part = salvage.next_part();
            (salvage, part)
        })
        .await?;
        salvage = back;
        let Some(part) = part else { break };
        let undelivered = part.records.len() as u64;
        let committed = outbox.commit_salvaged(part).await?;
        recovered.undelivered += undelivered;
        recovered.committed += committed;
        recovered.known += undelivered - committed;
    }
    recovered.unreadable = salvage.unreadable();
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    outbox.shared.findings.settle(FindingCode::DatabaseSetAside, &name);
    if let Err(error) = super::note_recovered(file) {
        tracing::warn!("{name} will be reported again at the next start: {error}");
    }
    Ok(recovered)
}

impl Outbox {
    /// Commits a part of the file. Returns the number of records that were new.
    async fn commit_salvaged(&self, salvaged: Salvaged) -> Result<u64, Closed> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Recover { salvaged: Box::new(salvaged), reply };
        self.commands.send(command).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::time::Instant;
    use uuid::Uuid;

    use super::*;
    use crate::config::Config;
    use crate::findings::Findings;
    use crate::outbox::{Submission, WriterSettings};

    fn open(folder: &Path) -> Outbox {
        let mut config = Config::default();
        config.storage.path = folder.into();
        Outbox::open(Arc::new(WriterSettings::new(&config)), Findings::default(), &["mqtt"]).unwrap()
    }

    fn submission() -> Submission {
        let body = crate::decode::Body {
            bytes: br#"{"ip":"1.2.3.4","mac":"98-BA-5F-8B-10-03","device_name":"Door","event_list":[{"dateTime":"20261005150501","event_type":["PEOPLE"]}]}"#
                .as_slice()
                .into(),
            content_type: Some("application/json".into()),
            end: crate::decode::BodyEnd::Complete,
            skipped: 0,
            coding: None,
        };
        let hints =
            crate::decode::Hints { vendor: "auto".into(), alarms_per_report: 9, ..Default::default() };
        let decoded = crate::decode::decode(&body, &hints).unwrap();
        Submission {
            id: Uuid::now_v7(),
            received_at: crate::host::now(),
            received: Instant::now(),
            peer: std::net::IpAddr::from([127, 0, 0, 1]),
            webhook: "default".into(),
            zone: None,
            heard: Vec::new(),
            alarms: decoded.alarms,
            pictures: Vec::new(),
            request: None,
        }
    }

    async fn fill(folder: &Path, count: usize) -> Vec<Uuid> {
        let outbox = open(folder);
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.extend(outbox.append(submission()).await.unwrap().ids);
        }
        outbox.stop().await;
        ids
    }

    fn damage(path: &Path, from: usize, to: usize) {
        let mut bytes = std::fs::read(path).unwrap();
        let to = to.min(bytes.len());
        bytes[from..to].fill(0xa5);
        std::fs::write(path, bytes).unwrap();
    }

    async fn alarms(outbox: &Outbox) -> Vec<(i64, Uuid)> {
        outbox.flush().await.unwrap();
        let entries = outbox.reader().entries_after(0, 10_000).unwrap();
        let alarms = entries.iter().filter(|entry| matches!(entry.record, Record::Alarm(_)));
        alarms.map(|entry| (entry.run, entry.record.id())).collect()
    }

    #[tokio::test]
    async fn what_a_damaged_file_holds_is_delivered_once() {
        let folder = tempfile::tempdir().unwrap();
        let ids = fill(folder.path(), 200).await;
        let aside = folder.path().join("outbox.db.corrupt-x");
        std::fs::rename(folder.path().join("outbox.db"), &aside).unwrap();
        damage(&aside, 150_000, 158_000);
        let outbox = open(folder.path());
        let recovered = recover(&aside, &outbox).await.unwrap();
        assert!(recovered.committed > 150 && recovered.unreadable > 0, "{recovered:?}");
        let found = alarms(&outbox).await;
        assert!(found.iter().all(|(run, id)| *run == crate::outbox::Entry::REPLAYED && ids.contains(id)));
        let again = recover(&aside, &outbox).await.unwrap();
        assert_eq!((again.committed, again.known), (0, recovered.committed));
        outbox.stop().await;
    }

    #[tokio::test]
    async fn a_file_set_aside_is_reported_at_every_start_until_it_is_recovered() {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path(), 5).await;
        let aside = folder.path().join("outbox.db.corrupt-20261005T150501.000Z");
        std::fs::rename(folder.path().join("outbox.db"), &aside).unwrap();
        for (recovers, expected) in [(false, true), (true, true), (false, false)] {
            let outbox = open(folder.path());
            let found = outbox.shared.findings.list();
            let reported = found.iter().any(|finding| {
                finding.kind.code == FindingCode::DatabaseSetAside && aside.ends_with(&finding.subject)
            });
            assert_eq!(reported, expected);
            if recovers {
                recover(&aside, &outbox).await.unwrap();
            }
            outbox.stop().await;
        }
        assert!(crate::outbox::store::unrecovered(folder.path()).is_empty());
    }

    #[tokio::test]
    async fn a_file_without_its_first_page_is_read_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let ids = fill(folder.path(), 50).await;
        let aside = folder.path().join("outbox.db.corrupt-x");
        std::fs::rename(folder.path().join("outbox.db"), &aside).unwrap();
        damage(&aside, 0, 4_096);
        let outbox = open(folder.path());
        let recovered = recover(&aside, &outbox).await.unwrap();
        assert_eq!(alarms(&outbox).await.iter().map(|(_, id)| *id).collect::<Vec<_>>(), ids);
        assert_eq!(recovered.unreadable, 0);
        assert_eq!(outbox.counts().devices, 1);
        outbox.stop().await;
    }
}
