//! `alarmbus outbox recover FILE`: delivers what a database that was set aside still holds.
//!
//! Its log is read in order, rows on damaged pages are passed over, and what a sink had not got is committed again: new
//! numbers, the same ids, always `replayed`. What the outbox knows already is passed over too, so doing it twice does no
//! harm. Pictures are files beside the database and are found where they were.

use std::path::{Path, PathBuf};

use tokio::sync::oneshot;

use super::command::Command;
use super::device::Device;
use super::salvage::Salvage;
use super::{Closed, Outbox};
use crate::model::{EventName, Record, Source};

/// What a set-aside file gave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Alarms and ends that no sink, or not every sink, had got.
    pub undelivered: u64,
    /// Of them, committed again.
    pub committed: u64,
    /// Of them, known to the outbox already.
    pub known: u64,
    /// Numbers of the log that could not be read.
    pub unreadable: u64,
}

/// Why nothing was recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The file cannot be read, or is no outbox.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, rusqlite::Error),
    /// The bridge stopped meanwhile.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The reading went wrong in a way that is no error of the file.
    #[error("reading was given up: {0}")]
    Failed(#[from] tokio::task::JoinError),
}

/// One part of what was read.
#[derive(Debug, Default)]
pub(crate) struct Salvaged {
    /// Devices, for those the outbox does not know.
    pub(crate) devices: Vec<Device>,
    /// What went on when the file was set aside, and is over unless the outbox knows of it.
    pub(crate) ongoing: Vec<(Source, EventName)>,
    /// Entries that are to be delivered.
    pub(crate) records: Vec<Record>,
}

/// Delivers what a set-aside file still holds.
///
/// # Errors
/// When the file cannot be read at all, or the bridge stops.
pub async fn recover(file: &Path, outbox: &Outbox) -> Result<Recovered, RecoverError> {
    let path = file.to_owned();
    let open = move || Salvage::open(&path).map_err(|error| RecoverError::Unreadable(path, error));
    let mut salvage = tokio::task::spawn_blocking(open).await??;
    let mut recovered = Recovered::default();
    loop {
        let (back, part) = tokio::task::spawn_blocking(move || {
            let part = salvage.next_part();
            (salvage, part)
        })
        .await?;
        salvage = back;
        let Some(part) = part else { break };
        let undelivered = part.records.len() as u64;
        let committed = outbox.take_back(part).await?;
        recovered.undelivered += undelivered;
        recovered.committed += committed;
        recovered.known += undelivered - committed;
    }
    recovered.unreadable = salvage.unreadable();
    let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
    outbox.shared.findings.settle("database_set_aside", &name);
    Ok(recovered)
}

impl Outbox {
    /// Commits a part of what was recovered; how much of it was not known.
    async fn take_back(&self, salvaged: Salvaged) -> Result<u64, Closed> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Recover { salvaged: Box::new(salvaged), reply };
        self.commands.send(command).await.map_err(|_| Closed)?;
        answer.await.map_err(|_| Closed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use tokio::time::Instant;
    use uuid::Uuid;

    use super::*;
    use crate::config::Config;
    use crate::findings::Findings;
    use crate::outbox::{Settings, Submission};

    fn open(folder: &Path) -> Outbox {
        let mut config = Config::default();
        config.storage.path = folder.into();
        Outbox::open(Arc::new(Settings::new(&config)), Findings::default(), &["mqtt"]).unwrap()
    }

    fn submission() -> Submission {
        let body = crate::vendor::Body {
            bytes: br#"{"ip":"1.2.3.4","mac":"98-BA-5F-8B-10-03","device_name":"Door","event_list":[{"dateTime":"20261005150501","event_type":["PEOPLE"]}]}"#
                .as_slice()
                .into(),
            content_type: Some("application/json".into()),
            end: crate::vendor::End::Complete,
            skipped: 0,
        };
        let hints =
            crate::vendor::Hints { vendor: "auto".into(), alarms_per_report: 9, ..Default::default() };
        let decoded = crate::vendor::decode(&body, &hints).unwrap();
        Submission {
            id: Uuid::now_v7(),
            received_at: Timestamp::now(),
            received: Instant::now(),
            peer: std::net::IpAddr::from([127, 0, 0, 1]),
            webhook: "default".into(),
            zone: None,
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
