//! The bounded queue in front of the writer: two lanes, never waiting on the side of the callers.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

/// Which lane a command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lane {
    /// What a person or a client waits for.
    Fast,
    /// Sweeps: at most one goes along with each batch, so they neither starve nor crowd anybody out.
    Slow,
}

/// Commands waiting for the writer.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    limit: usize,
}

struct State<T> {
    fast: VecDeque<T>,
    slow: VecDeque<T>,
    closed: bool,
    /// The writer sleeps, and whoever pushes has to wake it.
    idle: bool,
}

impl<T> Queue<T> {
    /// Holds at most `limit` commands in each lane.
    pub fn new(limit: usize) -> Self {
        let state = State { fast: VecDeque::new(), slow: VecDeque::new(), closed: false, idle: false };
        Self { state: Mutex::new(state), arrived: Condvar::new(), limit }
    }

    /// Adds a command, or says at once that there is no room (or no writer any more): `false`.
    pub fn push(&self, lane: Lane, command: T) -> bool {
        let mut state = self.lock();
        let closed = state.closed;
        let waiting = match lane {
            Lane::Fast => &mut state.fast,
            Lane::Slow => &mut state.slow,
        };
        if closed || waiting.len() >= self.limit {
            return false;
        }
        waiting.push_back(command);
        let wake = std::mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        true
    }

    /// Takes everything that is waiting, up to `most`, and sleeps while there is nothing. `false` once the queue
    /// is closed and empty.
    pub fn take(&self, most: usize, batch: &mut Vec<T>) -> bool {
        let mut state = self.lock();
        loop {
            batch.extend(state.slow.pop_front());
            let count = state.fast.len().min(most);
            batch.extend(state.fast.drain(..count));
            if !batch.is_empty() {
                return true;
            }
            if state.closed {
                return false;
            }
            state.idle = true;
            state = self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        let state = self.lock();
        state.fast.len() + state.slow.len()
    }

    /// Takes no more; what is waiting is still handed out.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.idle = false;
        drop(state);
        self.arrived.notify_all();
    }

    // Nothing under this lock can panic half-way through a change, so a poisoned lock is still in order.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_says_so_at_once_and_closed_hands_out_the_rest() {
        let queue = Queue::new(2);
        assert!(queue.push(Lane::Fast, 1) && queue.push(Lane::Fast, 2));
        assert!(!queue.push(Lane::Fast, 3), "full");
        assert!(queue.push(Lane::Slow, 4), "the other lane has room of its own");
        queue.close();
        assert!(!queue.push(Lane::Slow, 5), "closed");
        let mut batch = Vec::new();
        assert!(queue.take(10, &mut batch));
        assert_eq!(batch, [4, 1, 2]);
        batch.clear();
        assert!(!queue.take(10, &mut batch));
    }

    #[test]
    fn one_slow_command_goes_along_with_each_batch() {
        let queue = Queue::new(100);
        for n in 0..6 {
            queue.push(Lane::Fast, n);
        }
        for n in 10..13 {
            queue.push(Lane::Slow, n);
        }
        let mut seen = Vec::new();
        for _ in 0..3 {
            let mut batch = Vec::new();
            assert!(queue.take(2, &mut batch));
            seen.push(batch);
        }
        assert_eq!(seen, [[10, 0, 1], [11, 2, 3], [12, 4, 5]]);
    }

    #[test]
    fn a_sleeping_writer_is_woken() {
        let queue = std::sync::Arc::new(Queue::new(2));
        let writer = std::thread::spawn({
            let queue = queue.clone();
            move || {
                let mut batch = Vec::new();
                queue.take(2, &mut batch);
                batch
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(20));
        queue.push(Lane::Fast, 7);
        assert_eq!(writer.join().unwrap(), [7]);
    }
}
