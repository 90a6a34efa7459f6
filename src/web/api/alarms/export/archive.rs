//! ZIP archive of pictures, without compression: a JPEG does not shrink.

use std::io::{self, Write};
use std::mem;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use parking_lot::Mutex;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, ZipWriter};

use super::{Latest, Rest, broken};
use crate::model::Record;
use crate::outbox::Entry;

/// Number of alarms read at a time.
const READ_BATCH: usize = 50;
/// Maximum number of pictures listed as missing.
const MAX_MISSING: usize = 1_000;

/// Bytes of the archive that are not sent yet.
#[derive(Debug, Clone, Default)]
struct Unsent(Arc<Mutex<Vec<u8>>>);

impl Unsent {
    fn take(&self) -> Bytes {
        mem::take(&mut *self.0.lock()).into()
    }
}

impl Write for Unsent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// State of an archive that is being written.
struct Archive {
    rest: Rest,
    /// Writer of the archive; `None` once it is complete.
    writer: Option<ZipWriter<StreamWriter<Unsent>>>,
    unsent: Unsent,
    waiting: Vec<Arc<Entry>>,
    latest: Latest,
    missing: Vec<String>,
}

/// Stream of the parts of an archive.
pub(super) fn parts(rest: Rest) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let unsent = Unsent::default();
    let archive = Archive {
        rest,
        writer: Some(ZipWriter::new_stream(unsent.clone())),
        unsent,
        waiting: Vec::new(),
        latest: Latest::default(),
        missing: Vec::new(),
    };
    try_unfold(archive, |mut archive| async move {
        while archive.writer.is_some() {
            archive.step().await?;
            let bytes = archive.unsent.take();
            if !bytes.is_empty() {
                return Ok(Some((bytes, archive)));
            }
        }
        Ok(None)
    })
}

impl Archive {
    /// Adds one picture, or ends the archive.
    async fn step(&mut self) -> io::Result<()> {
        if self.waiting.is_empty() {
            self.waiting = self.rest.next(READ_BATCH).await.map_err(broken)?;
            self.waiting.reverse();
        }
        let Some(entry) = self.waiting.pop() else { return self.finish() };
        let Some(picture) = entry.picture().filter(|picture| self.latest.take(*picture)) else {
            return Ok(());
        };
        let name = name(&entry);
        match self.rest.web.read(move |reader| Ok(reader.pictures().read(picture))).await.map_err(broken)? {
            Ok(bytes) => self.add(&name, &bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.missing.len() < MAX_MISSING {
                    self.missing.push(name);
                }
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn add(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let Some(writer) = self.writer.as_mut() else { return Ok(()) };
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        writer.start_file(name, options).map_err(io::Error::other)?;
        writer.write_all(bytes)
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.missing.is_empty() {
            let text = format!("These pictures are deleted already:\n{}\n", self.missing.join("\n"));
            self.add("missing.txt", text.as_bytes())?;
        }
        let Some(writer) = self.writer.take() else { return Ok(()) };
        writer.finish().map(drop).map_err(io::Error::other)
    }
}

/// File name of an alarm's picture: time, source, kind, and the end of its id, so that names are unique.
fn name(entry: &Entry) -> String {
    let Record::Alarm(alarm) = &entry.record else { return format!("{}.jpg", entry.no) };
    let at = alarm.received_at.strftime("%Y-%m-%dT%H-%M-%SZ");
    format!("{at}_{}_{}_{}.jpg", alarm.source, alarm.event, entry.no)
}
