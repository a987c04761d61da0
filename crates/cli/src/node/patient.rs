//! Writing to a peer that may never read: not for ever (T-88).
//!
//! Whoever opens connections, asks for much and reads nothing holds a connection here and one to the server behind us each
//! time. What cannot be written for as long as this ends the connection.
//!
//! What is read of HTTP/1 is looked at on its way (`framing`).

use super::framing::Framing;
use bytes::Bytes;
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// What is read in place of a line that must not be read, and of all that follows: in a head, in a chunk's size and behind the last
/// chunk it is wrong for every reader, so the library refuses it as it refuses what it knows to be wrong itself, with 400 where an
/// answer is due, and ends the connection.
const WRONG: Bytes = Bytes::from_static(b"\0\r\n\r\n");

/// Whether it is looked at what a peer says.
#[derive(Debug)]
enum Watch {
    No,
    Yes(Framing),
    /// It was wrong, and nothing more is read.
    Over,
}

/// A stream whose writes may wait for so long.
pub struct Patient<S> {
    /// What was read of it before.
    ahead: Bytes,
    stream: S,
    watch: Watch,
    patience: Duration,
    /// Only while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    /// Waits so long for the peer to take something. `ahead` was read of it, and comes before the rest.
    pub const fn new(ahead: Bytes, stream: S, patience: Duration) -> Self {
        Self { ahead, stream, watch: Watch::No, patience, waiting: None }
    }

    /// The same for HTTP/1, whose requests have to have one reading.
    pub fn watched(self) -> Self {
        Self { watch: Watch::Yes(Framing::default()), ..self }
    }

    fn read_ahead(&mut self, buffer: &mut ReadBuf<'_>) {
        let fits = self.ahead.len().min(buffer.remaining());
        buffer.put_slice(&self.ahead.split_to(fits));
    }

    /// Whether it is still worth waiting.
    fn waited<T>(&mut self, outcome: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.waiting = None;
            return outcome;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        waiting.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if !self.ahead.is_empty() {
            self.read_ahead(buffer);
        } else if !matches!(self.watch, Watch::Over) {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        }
        let Watch::Yes(framing) = &mut self.watch else { return Poll::Ready(Ok(())) };
        if let Some(at) = framing.take(buffer.filled().get(before..).unwrap_or_default()) {
            buffer.set_filled(before + at);
            (self.watch, self.ahead) = (Watch::Over, WRONG);
            self.read_ahead(buffer);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.waited(outcome, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.waited(outcome, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(context);
        self.waited(outcome, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_shutdown(context);
        self.waited(outcome, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn rs_065_t_88_a_peer_that_reads_nothing_is_not_waited_for() {
        let (ours, mut theirs) = tokio::io::duplex(16);
        let mut ours = Patient::new(Bytes::new(), ours, Duration::from_millis(300));
        ours.write_all(&[0; 16]).await.unwrap();
        // One that reads slowly is.
        let slowly = tokio::spawn(async move {
            for _ in 0..6 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                theirs.read_exact(&mut [0; 16]).await.unwrap();
            }
            theirs
        });
        ours.write_all(&[0; 96]).await.unwrap();
        let _theirs = slowly.await.unwrap();
        let error = ours.write_all(&[0; 16]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn rs_048_t_80_what_has_two_readings_is_not_read_whatever_follows() {
        const GOOD: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for ahead in [0, 3, 40, 46] {
            let (mut ours, theirs) = tokio::io::duplex(4096);
            let said = format!("{GOOD}GET / HTTP/1.1\nHost: b\n\n{GOOD}");
            let (first, rest) = said.split_at(ahead);
            ours.write_all(rest.as_bytes()).await.unwrap();
            let first = Bytes::from(first.to_owned());
            let mut stream = Patient::new(first, theirs, Duration::from_secs(1)).watched();
            let mut read = String::new();
            stream.read_to_string(&mut read).await.unwrap();
            assert_eq!(read, format!("{GOOD}GET / HTTP/1.1\0\r\n\r\n"));
        }
    }

    #[tokio::test]
    async fn what_was_read_before_comes_first() {
        let (mut ours, theirs) = tokio::io::duplex(16);
        ours.write_all(b"rest").await.unwrap();
        drop(ours);
        let mut stream = Patient::new(Bytes::from_static(b"ahead, "), theirs, Duration::from_secs(1));
        let mut start = [0; 3];
        stream.read_exact(&mut start).await.unwrap();
        let mut end = String::new();
        stream.read_to_string(&mut end).await.unwrap();
        assert_eq!((&start, &*end), (b"ahe", "ad, rest"));
    }
}
