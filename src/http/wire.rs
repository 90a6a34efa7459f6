//! The byte stream of one connection, between socket and HTTP parser.
//!
//! It mends the first request line (see `target`) and closes politely: a socket closed with bytes
//! unread sends a reset, and a reset takes the answer with it. So where a request was not read to its end, the
//! write side is shut first and what still comes is thrown away for a moment.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::target::{self, LINE_MAX};

/// How long a peer may take no byte of an answer. Without this one that never reads would hold its place for ever.
const STALL: Duration = Duration::from_secs(30);
/// How long to listen on after the write side was shut.
const LINGER: Duration = Duration::from_secs(1);
/// How much to throw away meanwhile.
const LINGER_BYTES: usize = 4 << 20;

/// What the stream, the service and the handler of one connection tell each other.
#[derive(Debug, Default)]
pub(super) struct Facts {
    /// A complete request head came.
    pub(super) head: AtomicBool,
    /// A byte came.
    pub(super) spoke: AtomicBool,
    /// The first request line was mended; then the connection is not kept, since later lines would not be.
    pub(super) mended: AtomicBool,
    /// A request was answered without reading it to its end.
    pub(super) unread: AtomicBool,
}

impl Facts {
    /// Reads a fact.
    pub(super) fn is(fact: &AtomicBool) -> bool {
        fact.load(Ordering::Relaxed)
    }

    /// States a fact.
    pub(super) fn state(fact: &AtomicBool) {
        fact.store(true, Ordering::Relaxed);
    }
}

/// The stream.
#[derive(Debug)]
pub(super) struct Wire<S> {
    io: S,
    facts: Arc<Facts>,
    /// Bytes read but not handed on: the first line while it is collected, then what came with it.
    held: Vec<u8>,
    collecting: bool,
    closing: Option<(Pin<Box<Sleep>>, usize)>,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Wraps a stream nothing was read from.
    pub(super) fn new(io: S, facts: Arc<Facts>) -> Self {
        Self { io, facts, held: Vec::new(), collecting: true, closing: None, stalled: None }
    }

    /// Reads until the first request line is there (or cannot be one), and mends it.
    fn poll_first_line(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.collecting {
            let mut space = [0; 4_096];
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
            let came = buffer.filled();
            self.held.extend_from_slice(came);
            self.collecting = !came.is_empty() && !self.line_is_there();
            if !came.is_empty() {
                Facts::state(&self.facts.spoke);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the first line is complete, or too long; mends it. Empty lines before it are dropped.
    fn line_is_there(&mut self) -> bool {
        let blank = self.held.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.held.drain(..blank);
        let Some(end) = memchr::memchr(b'\n', &self.held) else { return self.held.len() > LINE_MAX };
        let line = self.held.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(mended) = target::mended(line) {
            self.held.splice(..line.len(), mended);
            Facts::state(&self.facts.mended);
        }
        true
    }

    /// Passes the outcome of a write on, or an error when the peer has taken nothing for too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not take the answer")))
    }

    /// Reads and throws away until the peer closes, time is up, or it is too much.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (timer, left) = self.closing.get_or_insert_with(|| (Box::pin(sleep(LINGER)), LINGER_BYTES));
        let mut space = [0; 8_192];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            let Poll::Ready(read) = Pin::new(&mut self.io).poll_read(cx, &mut buffer) else { break };
            let came = buffer.filled().len();
            if read.is_err() || came == 0 || came > *left {
                return Poll::Ready(Ok(()));
            }
            *left -= came;
        }
        timer.as_mut().poll(cx).map(Ok)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_first_line(cx))?;
        if self.held.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buffer);
        }
        let count = self.held.len().min(buffer.remaining());
        let (now, later) = self.held.split_at_checked(count).unwrap_or_default();
        buffer.put_slice(now);
        self.held = later.to_vec();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, data);
        self.unless_stalled(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, data);
        self.unless_stalled(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.unless_stalled(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.closing.is_none() {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
        }
        let read_to_end = Facts::is(&self.facts.head) && !Facts::is(&self.facts.unread);
        if read_to_end || !Facts::is(&self.facts.spoke) {
            return Poll::Ready(Ok(()));
        }
        self.poll_linger(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::{Facts, Wire};

    #[tokio::test]
    async fn only_the_first_line_is_mended() {
        let (mut peer, io) = duplex(1 << 16);
        let facts = Arc::<Facts>::default();
        let mut wire = Wire::new(io, Arc::clone(&facts));
        peer.write_all(b"\r\nPOST x HTTP/1.1\r\nPOST y HTTP/1.1\r\n").await.unwrap();
        drop(peer);
        let mut all = String::new();
        wire.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "POST /x HTTP/1.1\r\nPOST y HTTP/1.1\r\n");
        assert!(Facts::is(&facts.mended) && Facts::is(&facts.spoke));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (_peer, io) = duplex(16);
        let mut wire = Wire::new(io, Arc::default());
        let error = wire.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
