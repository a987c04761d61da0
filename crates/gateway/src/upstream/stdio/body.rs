//! The event stream that we write for a process.

use super::{queue::Queue, session::Session};
use bytes::{BufMut, Bytes, BytesMut};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// Silence after which a comment is sent: it keeps proxies from closing the stream, and finds out who is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Whose messages these are. Dropping it tells the session that nobody reads them any more.
#[derive(Debug)]
pub(super) enum Reading {
    /// Those of one request, by our id of it.
    Request(Arc<Session>, i64),
    /// Those of the session, by the number of this listener.
    Session(Arc<Session>, u64),
}

impl Drop for Reading {
    fn drop(&mut self) {
        match self {
            Self::Request(session, id) => session.abandon(*id),
            Self::Session(session, listener) => session.stop_listening(*listener),
        }
    }
}

/// `text/event-stream`. Events have no ids: what a process said is not kept, so nothing can be resumed.
#[derive(Debug)]
pub(crate) struct Events {
    queue: Arc<Queue>,
    _reading: Reading,
    keep_alive: Pin<Box<Sleep>>,
}

impl Events {
    /// Reads a queue to its end.
    pub(super) fn new(queue: Arc<Queue>, reading: Reading) -> Self {
        Self { queue, _reading: reading, keep_alive: Box::pin(tokio::time::sleep(KEEP_ALIVE)) }
    }

    /// The next piece of the stream; nothing at the end.
    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let piece = match self.queue.poll_next(context) {
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(message)) => event(&message),
            Poll::Pending if self.keep_alive.as_mut().poll(context).is_ready() => {
                Bytes::from_static(b": still here\n\n")
            }
            Poll::Pending => return Poll::Pending,
        };
        self.keep_alive.as_mut().reset(Instant::now() + KEEP_ALIVE);
        Poll::Ready(Some(piece))
    }
}

/// A canonical message is one line, so it is one `data` field.
fn event(message: &[u8]) -> Bytes {
    let mut event = BytesMut::with_capacity(message.len() + 24);
    event.put_slice(b"event: message\ndata: ");
    event.put_slice(message);
    event.put_slice(b"\n\n");
    event.freeze()
}
