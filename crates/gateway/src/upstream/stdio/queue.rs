//! What waits for one reader: messages for the stream of one request, or for the stream of a session.
//!
//! Bounded, and never waited for: a client that does not read its stream must not hold up the others of its process.

use bytes::Bytes;
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

/// Messages that wait at most.
const MESSAGES: usize = 256;
/// Bytes that wait at most, apart from the last message.
const BYTES: usize = 8 * 1024 * 1024;

/// Filled by the process's reader, emptied by one stream.
#[derive(Debug, Default)]
pub(super) struct Queue(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Bytes>,
    bytes: usize,
    over: bool,
    reader: Option<Waker>,
}

impl Queue {
    /// Adds a message; not when it is full or over.
    pub(super) fn push(&self, message: Bytes) -> bool {
        let mut state = self.lock();
        if state.over || state.messages.len() >= MESSAGES || state.bytes + message.len() > BYTES {
            return false;
        }
        state.add(message);
        true
    }

    /// Adds the last message, full or not.
    pub(super) fn push_last(&self, message: Bytes) {
        let mut state = self.lock();
        if !state.over {
            state.over = true;
            state.add(message);
        }
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.over = true;
        state.wake();
    }

    /// Closes it, and gives what nobody has read.
    pub(super) fn take_over(&self) -> Self {
        let mut state = self.lock();
        let (messages, bytes) = (std::mem::take(&mut state.messages), std::mem::take(&mut state.bytes));
        state.over = true;
        state.wake();
        Self(Mutex::new(State { messages, bytes, ..State::default() }))
    }

    /// The next message; nothing at the end.
    pub(super) fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.lock();
        if let Some(message) = state.messages.pop_front() {
            state.bytes = state.bytes.saturating_sub(message.len());
            return Poll::Ready(Some(message));
        }
        if state.over {
            return Poll::Ready(None);
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// Ready when there is something to read or nothing will come; with `whole` only when nothing more will come.
    pub(super) fn poll_ready(&self, whole: bool, context: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.over || (!whole && !state.messages.is_empty()) {
            return Poll::Ready(());
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// The last message, when no other waits before it.
    pub(super) fn only_answer(&self) -> Option<Bytes> {
        let mut state = self.lock();
        if state.over && state.messages.len() == 1 { state.messages.pop_front() } else { None }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn add(&mut self, message: Bytes) {
        self.bytes += message.len();
        self.messages.push_back(message);
        self.wake();
    }

    fn wake(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn next(queue: &Queue) -> Poll<Option<Bytes>> {
        queue.poll_next(&Context::from_waker(Waker::noop()))
    }

    #[test]
    fn in_order_until_it_is_over() {
        let queue = Queue::default();
        assert!(next(&queue).is_pending());
        assert!(queue.push("a".into()));
        queue.push_last("b".into());
        assert!(!queue.push("c".into()));
        queue.push_last("d".into());
        assert!(queue.only_answer().is_none());
        assert_eq!(next(&queue), Poll::Ready(Some("a".into())));
        assert_eq!(queue.only_answer(), Some("b".into()));
        assert_eq!(next(&queue), Poll::Ready(None));
    }

    #[test]
    fn it_is_bounded_in_number_and_in_bytes() {
        let many = Queue::default();
        assert_eq!((0..1000).filter(|_| many.push("x".into())).count(), MESSAGES);
        let long = Queue::default();
        let message = Bytes::from(vec![b'x'; 1024 * 1024]);
        assert_eq!((0..100).filter(|_| long.push(message.clone())).count(), 8);
        long.push_last("answer".into());
        assert!(next(&long).is_ready());
        assert!(!long.push("late".into()));
    }

    #[test]
    fn who_takes_over_gets_what_waits() {
        let old = Queue::default();
        old.push("a".into());
        let new = old.take_over();
        assert_eq!(next(&old), Poll::Ready(None));
        assert_eq!(next(&new), Poll::Ready(Some("a".into())));
        assert!(new.push("b".into()));
    }
}
