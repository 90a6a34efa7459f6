//! Standard output: one line of JSON for each alarm, and for each start and end of an activity.
//!
//! The simplest sink, and the template for a new one: `connect` and `send`, no notices, nothing to close.

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;

use super::{Notice, Outcome, Receipt, Retained, Session, Sink, SinkDown, Traits};
use crate::findings::FindingCode;
use crate::render::{Message, MessagePart};

/// Writes JSON lines.
///
/// Tokio writes standard output on a thread of its own, so a blocked reader delays this sink only.
#[derive(Debug)]
pub struct StdoutSink<W = tokio::io::Stdout> {
    writer: W,
}

impl Default for StdoutSink {
    fn default() -> Self {
        Self::to(tokio::io::stdout())
    }
}

impl<W> StdoutSink<W> {
    /// Creates a sink that writes to `writer`.
    pub fn to(writer: W) -> Self {
        Self { writer }
    }
}

impl<W: AsyncWrite + Send + Unpin + 'static> Sink for StdoutSink<W> {
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
        if matches!(message.part, MessagePart::Event | MessagePart::ActivityStart | MessagePart::ActivityEnd)
        {
            let mut line = BytesMut::with_capacity(message.payload.len() + 1);
            line.put(message.payload);
            line.put_u8(b'\n');
            // One write, so that a line is written whole or not at all, as far as the pipe guarantees it.
            self.writer.write_all(&line).await.map_err(|error| gone(&error))?;
            self.writer.flush().await.map_err(|error| gone(&error))?;
        }
        let (sender, receipt) = oneshot::channel();
        sender.send(Outcome::Delivered { object: None, heard: None }).ok();
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

/// Error of a closed pipe, or of a full disk behind a redirection.
fn gone(error: &std::io::Error) -> SinkDown {
    let reason = match error.kind() {
        std::io::ErrorKind::BrokenPipe => {
            "the reader of standard output is gone: start the reader again, with \
             alarmbus, or set stdout.enabled = false"
                .into()
        }
        _ => format!("standard output cannot be written: {error}; see where it is redirected to"),
    };
    SinkDown { code: FindingCode::BrokerUnreachable, reason }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::AsyncReadExt;

    use super::{Message, MessagePart, Outcome, Sink, StdoutSink};

    fn message(part: MessagePart, payload: &'static str) -> Message {
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
            replay_of: None,
        }
    }

    #[tokio::test]
    async fn events_and_activities_are_lines_and_pictures_are_not() {
        let (ours, mut theirs) = tokio::io::duplex(4096);
        let mut sink = StdoutSink::to(ours);
        sink.connect().await.unwrap();
        for (part, payload) in [
            (MessagePart::Event, "{\"a\":1}"),
            (MessagePart::Picture, "JPEG"),
            (MessagePart::ActivityStart, "{\"b\":2}"),
            (MessagePart::ActivityEnd, "{\"c\":3}"),
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
        let mut sink = StdoutSink::to(ours);
        let error = sink.send(message(MessagePart::Event, "{}")).await.unwrap_err();
        assert!(error.reason.contains("the reader of standard output is gone"), "{error}");
    }
}
