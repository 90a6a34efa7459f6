//! Standard output: one line of JSON for each alarm, and for each start and end of an activity.
//!
//! The smallest sink, and the one to copy for a new one: `connect`, `send`, nothing said by itself, nothing to close.

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;

use super::{Notice, Outcome, Receipt, Retained, Session, Sink, SinkDown, Traits};
use crate::render::{Message, Part};

/// Lines of JSON to a writer.
///
/// Tokio's standard output writes on a thread of its own, so a reader that does not read holds up this sink only.
#[derive(Debug)]
pub struct Stdout<W = tokio::io::Stdout> {
    writer: W,
}

impl Default for Stdout {
    fn default() -> Self {
        Self::to(tokio::io::stdout())
    }
}

impl<W> Stdout<W> {
    /// Writes the lines elsewhere.
    pub fn to(writer: W) -> Self {
        Self { writer }
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> Sink for Stdout<W> {
    fn traits(&self) -> Traits {
        Traits { name: "stdout", values: false, discovery: false, one_per_source: false, acknowledges: true }
    }

    async fn connect(&mut self) -> Result<Session, SinkDown> {
        Ok(Session {
            max_payload: None,
            window: 1,
            retained: Retained::Kept,
            description: "JSON lines on standard output".into(),
            token: None,
        })
    }

    async fn send(&mut self, message: Message) -> Result<Receipt, SinkDown> {
        if matches!(message.part, Part::Event | Part::ActivityStart | Part::ActivityEnd) {
            let mut line = BytesMut::with_capacity(message.payload.len() + 1);
            line.put(message.payload);
            line.put_u8(b'\n');
            // One write, so that a line is whole or not there, as far as the pipe allows.
            self.writer.write_all(&line).await.map_err(|error| gone(&error))?;
            self.writer.flush().await.map_err(|error| gone(&error))?;
        }
        let (tell, receipt) = oneshot::channel();
        tell.send(Outcome::Delivered { object: None, heard: None }).ok();
        Ok(receipt)
    }

    async fn notice(&mut self) -> Notice {
        std::future::pending().await
    }

    async fn close(&mut self) {
        if let Err(error) = self.writer.flush().await {
            tracing::debug!(%error, "standard output could not be flushed");
        }
    }
}

/// Nobody reads any more, or the disk behind a redirection is full.
fn gone(error: &std::io::Error) -> SinkDown {
    let reason = match error.kind() {
        std::io::ErrorKind::BrokenPipe => {
            "whoever read standard output is gone: start the reader again, with \
             alarmbus, or set stdout.enabled = false"
                .into()
        }
        _ => format!("standard output cannot be written: {error}; see where it is redirected to"),
    };
    SinkDown { code: "broker_unreachable", reason }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::AsyncReadExt;

    use super::{Message, Outcome, Part, Sink, Stdout};

    fn message(part: Part, payload: &'static str) -> Message {
        Message {
            topic: "alarmbus/a/event/person".into(),
            payload: Bytes::from_static(payload.as_bytes()),
            retain: false,
            content_type: "application/json",
            part,
            id: None,
            event: None,
            time: None,
            sha256: None,
            again: None,
        }
    }

    #[tokio::test]
    async fn events_and_activities_are_lines_and_pictures_are_not() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let mut sink = Stdout::to(ours);
        sink.connect().await.unwrap();
        for (part, payload) in [
            (Part::Event, "{\"a\":1}"),
            (Part::Picture, "JPEG"),
            (Part::ActivityStart, "{\"b\":2}"),
            (Part::ActivityEnd, "{\"c\":3}"),
        ] {
            let outcome = sink.send(message(part, payload)).await.unwrap().await.unwrap();
            assert_eq!(outcome, Outcome::Delivered { object: None, heard: None });
        }
        drop(sink);
        let mut text = String::new();
        theirs.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n");
    }

    #[tokio::test]
    async fn a_reader_that_is_gone_ends_the_session() {
        let (ours, theirs) = tokio::io::duplex(4096);
        drop(theirs);
        let mut sink = Stdout::to(ours);
        let error = sink.send(message(Part::Event, "{}")).await.unwrap_err();
        assert!(error.reason.contains("whoever read standard output is gone"), "{error}");
    }
}
