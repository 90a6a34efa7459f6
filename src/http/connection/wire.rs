//! The byte stream of one connection, between socket and HTTP parser.
//!
//! It repairs the first request line (see `target`), gives a first report without a length its body (see `unframed`),
//! says when the connection is idle between requests, and closes politely: a socket closed with bytes unread sends a
//! reset, and a reset takes the answer with it. So where a request was not read to its end, or bytes stand behind it,
//! the write side is shut first and what still comes is thrown away for a moment.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::connections::ConnectionSlot;
use super::target;
use super::target::LINE_MAX;
use super::unframed;

/// Maximum time in which a peer accepts no byte of a response. Without it a peer that never reads would keep its slot
/// forever.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time for discarding bytes after the write side was shut.
const LINGER: Duration = Duration::from_secs(1);
/// Maximum bytes held while the end of a head is awaited.
const MAX_HELD_BYTES: usize = 64 << 10;
/// Maximum bytes discarded after the write side was shut.
const LINGER_BYTES: usize = 4 << 20;

/// State shared by the stream, the service and the handler of one connection.
#[derive(Debug, Default)]
pub(in crate::http) struct WireFacts {
    /// A complete request head arrived.
    pub(in crate::http) head: AtomicBool,
    /// A byte arrived.
    pub(super) spoke: AtomicBool,
    /// The first request line was repaired; then the connection is not kept, since later lines would not be.
    pub(super) repaired: AtomicBool,
    /// A request was answered without reading it to its end.
    pub(in crate::http) unread: AtomicBool,
    /// The first request has no length, and its body ends with the connection.
    pub(in crate::http) unframed: AtomicBool,
    /// Set if that request uses HTTP/1.0.
    pub(in crate::http) old: AtomicBool,
    /// Bytes arrived after the last request.
    pub(in crate::http) behind: AtomicBool,
    /// A request was answered, and the parser has not asked for the next one.
    pub(in crate::http) answered: AtomicBool,
}

impl WireFacts {
    /// Reads a flag.
    pub(in crate::http) fn is(fact: &AtomicBool) -> bool {
        fact.load(Ordering::Relaxed)
    }

    /// Sets a flag.
    pub(in crate::http) fn state(fact: &AtomicBool) {
        fact.store(true, Ordering::Relaxed);
    }
}

/// Handling of received bytes.
#[derive(Debug)]
enum Stage {
    /// They are held until the first line is complete, or the whole head if a body without a length may follow.
    Collecting,
    /// The head of a report without a length is complete; the next bytes decide whether a body follows.
    Deciding(Pin<Box<Sleep>>),
    /// They are passed on as a chunked body.
    Chunking(Pin<Box<Sleep>>),
    /// Set if that body has ended.
    Ended,
    /// They are passed on unchanged.
    Passing,
}

/// Byte stream of a connection.
#[derive(Debug)]
pub(super) struct Wire<S> {
    io: S,
    facts: Arc<WireFacts>,
    place: Option<Arc<ConnectionSlot>>,
    /// Bytes read and not passed on: the head while it is incomplete, then the bytes after it.
    held: Vec<u8>,
    stage: Stage,
    closing: Option<(Pin<Box<Sleep>>, usize)>,
    stalled: Option<Pin<Box<Sleep>>>,
    /// Maximum idle time after a response; `None`: the parser's own limit.
    idle_limit: Option<Duration>,
    /// Timer of the idle connection; the connection ends with it.
    idle: Option<Pin<Box<Sleep>>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Wraps a stream that was not read from.
    pub(in crate::http) fn new(io: S, facts: Arc<WireFacts>) -> Self {
        let (held, stage) = (Vec::new(), Stage::Collecting);
        Self {
            io,
            facts,
            place: None,
            held,
            stage,
            closing: None,
            stalled: None,
            idle_limit: None,
            idle: None,
        }
    }

    /// Sets the slot that is notified when the connection is idle, and the maximum idle time.
    pub(in crate::http) fn at(self, place: Arc<ConnectionSlot>, idle_limit: Option<Duration>) -> Self {
        Self { place: Some(place), idle_limit, ..self }
    }

    /// Reads more bytes behind those that are held; none at the end of the stream.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [0; 4_096];
        let mut buffer = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buffer))?;
        self.held.extend_from_slice(buffer.filled());
        if !buffer.filled().is_empty() {
            WireFacts::state(&self.facts.spoke);
        }
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// Reads until it is known what to do with the first request, and repairs its line.
    fn poll_first_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut repaired = false;
        loop {
            match &mut self.stage {
                Stage::Collecting => {
                    let ended = ready!(self.poll_more(cx))? == 0;
                    repaired = repaired || self.line_is_there();
                    if ended {
                        self.stage = Stage::Passing;
                    } else if repaired {
                        self.stage = self.after_line();
                    }
                }
                Stage::Deciding(timer) => {
                    let late = timer.as_mut().poll(cx).is_ready();
                    let more = if late { Poll::Ready(Ok(0)) } else { self.poll_more(cx) };
                    if ready!(more)? == 0 {
                        self.stage = Stage::Passing;
                    } else if let Some(stage) = self.after_head() {
                        self.stage = stage;
                    }
                }
                Stage::Chunking(_) | Stage::Ended | Stage::Passing => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Returns whether the first line is complete, or too long; repairs it. Empty lines before it are dropped.
    fn line_is_there(&mut self) -> bool {
        let blank = self.held.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.held.drain(..blank);
        let Some(end) = memchr::memchr(b'\n', &self.held) else { return self.held.len() > LINE_MAX };
        let line = self.held.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(repaired) = target::repaired(line) {
            self.held.splice(..line.len(), repaired);
            WireFacts::state(&self.facts.repaired);
        }
        true
    }

    /// Next stage once the first line is complete.
    fn after_line(&mut self) -> Stage {
        if !unframed::may_push(&self.held) || MAX_HELD_BYTES < self.held.len() {
            return Stage::Passing;
        }
        let Some(end) = unframed::head_end(&self.held) else { return Stage::Collecting };
        if unframed::says_length(self.held.get(..end).unwrap_or_default()) {
            return Stage::Passing;
        }
        let waiting = Stage::Deciding(Box::pin(sleep(unframed::FIRST)));
        self.after_head().unwrap_or(waiting)
    }

    /// Next stage once bytes follow the head of a report without a length.
    fn after_head(&mut self) -> Option<Stage> {
        let (head, behind) = self.held.split_at_checked(unframed::head_end(&self.held)?)?;
        if !unframed::is_body(behind)? {
            return Some(Stage::Passing);
        }
        let Some((head, old)) = unframed::chunked(head) else { return Some(Stage::Passing) };
        self.held = [head, unframed::chunk(behind)].concat();
        WireFacts::state(&self.facts.unframed);
        if old {
            WireFacts::state(&self.facts.old);
        }
        Some(Stage::Chunking(Box::pin(sleep(unframed::SILENCE))))
    }

    /// Reads a chunk of a body without a length; the body ends with the stream or with a pause.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Stage::Chunking(timer) = &mut self.stage else { return Poll::Ready(Ok(())) };
        let mut space = [0; 8_192];
        let mut buffer = ReadBuf::new(&mut space);
        match Pin::new(&mut self.io).poll_read(cx, &mut buffer) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => ready!(timer.as_mut().poll(cx)),
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => {}
            Poll::Ready(Ok(())) => {
                timer.as_mut().reset(Instant::now() + unframed::SILENCE);
                self.held = unframed::chunk(buffer.filled());
                return Poll::Ready(Ok(()));
            }
        }
        self.held = unframed::END.to_vec();
        self.stage = Stage::Ended;
        Poll::Ready(Ok(()))
    }

    /// Marks the connection idle when the parser asks for more after a response, unless the response is still being
    /// sent.
    fn note_idle(&mut self) {
        if self.stalled.is_none()
            && let Some(place) = &self.place
            && self.facts.answered.swap(false, Ordering::Relaxed)
        {
            place.idle();
            self.idle = self.idle_limit.map(|limit| Box::pin(sleep(limit)));
        }
    }

    /// Returns the result of a read, or the end of the stream when the connection was idle for too long.
    fn unless_idle(&mut self, cx: &mut Context<'_>, read: Poll<io::Result<()>>) -> Poll<io::Result<()>> {
        if read.is_ready() {
            self.idle = None;
            return read;
        }
        match &mut self.idle {
            Some(timer) if self.stalled.is_none() => timer.as_mut().poll(cx).map(Ok),
            _ => Poll::Pending,
        }
    }

    /// Returns whether bytes came that no request asked for.
    fn poll_behind(&mut self, cx: &mut Context<'_>) -> bool {
        let mut space = [0; 64];
        let mut buffer = ReadBuf::new(&mut space);
        let read = Pin::new(&mut self.io).poll_read(cx, &mut buffer);
        matches!(read, Poll::Ready(Ok(()))) && !buffer.filled().is_empty()
    }

    /// Returns the result of a write, or an error when the peer accepted nothing for too long.
    fn unless_stalled<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let timer = self.stalled.get_or_insert_with(|| Box::pin(sleep(WRITE_TIMEOUT)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer does not take the answer")))
    }

    /// Reads and discards until the peer closes, the time is over, or the byte limit is reached.
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
        self.note_idle();
        ready!(self.poll_first_head(cx))?;
        if self.held.is_empty() {
            ready!(self.poll_chunk(cx))?;
        }
        if matches!(self.stage, Stage::Ended) && self.held.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.held.is_empty() {
            let read = Pin::new(&mut self.io).poll_read(cx, buffer);
            return self.unless_idle(cx, read);
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
        let read_to_end = WireFacts::is(&self.facts.head) && !WireFacts::is(&self.facts.unread);
        if self.closing.is_none() && read_to_end && self.poll_behind(cx) {
            WireFacts::state(&self.facts.behind);
        }
        if (read_to_end && !WireFacts::is(&self.facts.behind)) || !WireFacts::is(&self.facts.spoke) {
            return Poll::Ready(Ok(()));
        }
        self.poll_linger(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::{Wire, WireFacts};

    #[tokio::test]
    async fn only_the_first_line_is_repaired() {
        let (mut peer, io) = duplex(1 << 16);
        let facts = Arc::<WireFacts>::default();
        let mut wire = Wire::new(io, Arc::clone(&facts));
        peer.write_all(b"\r\nPOST x HTTP/1.1\r\nPOST y HTTP/1.1\r\n").await.unwrap();
        drop(peer);
        let mut all = String::new();
        wire.read_to_string(&mut all).await.unwrap();
        assert_eq!(all, "POST /x HTTP/1.1\r\nPOST y HTTP/1.1\r\n");
        assert!(WireFacts::is(&facts.repaired) && WireFacts::is(&facts.spoke));
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (_peer, io) = duplex(16);
        let mut wire = Wire::new(io, Arc::default());
        let error = wire.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    }
}
