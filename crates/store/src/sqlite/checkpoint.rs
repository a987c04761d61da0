//! The thread that moves the write-ahead log into the database, so that no caller ever waits for it.

use super::{SqliteSettings, connection};
use crate::StoreError;
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Between two checkpoints while something is being written.
const PAUSE: Duration = Duration::from_secs(1);
/// The page size of SQLite's own default, which is ours.
const PAGE: u64 = 4096;

/// What the writer tells the thread.
#[derive(Debug, Default)]
struct Signal {
    /// Something was committed since the last checkpoint. Kept apart from the lock: the writer looks here first.
    written: AtomicBool,
    closed: Mutex<bool>,
    changed: Condvar,
}

/// The running thread.
#[derive(Debug)]
pub(super) struct Checkpoints {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    /// Starts the thread. It opens its connection at the first write, and sleeps without waking up while nothing
    /// is written.
    pub fn start(path: PathBuf, settings: SqliteSettings) -> Result<Self, StoreError> {
        let signal = Arc::new(Signal::default());
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn({
                let signal = signal.clone();
                move || run(&signal, &path, &settings)
            })
            .map_err(|error| StoreError::caused_by(crate::ErrorKind::Unavailable, error))?;
        Ok(Self { signal, thread: Some(thread) })
    }

    /// Something was committed.
    pub fn written(&self) {
        if !self.signal.written.swap(true, Ordering::Release) {
            drop(self.signal.lock());
            self.signal.changed.notify_one();
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        *self.signal.lock() = true;
        self.signal.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Signal {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sleeps until something was written and a pause has passed since; `false` when it is over.
    fn wait(&self) -> bool {
        let mut closed = self.lock();
        while !*closed && !self.written.load(Ordering::Acquire) {
            closed = self.changed.wait(closed).unwrap_or_else(PoisonError::into_inner);
        }
        let (closed, _) = self
            .changed
            .wait_timeout_while(closed, PAUSE, |closed| !*closed)
            .unwrap_or_else(PoisonError::into_inner);
        !*closed
    }
}

fn run(signal: &Signal, path: &std::path::Path, settings: &SqliteSettings) {
    let mut connection = None;
    while signal.wait() {
        signal.written.store(false, Ordering::Release);
        let done = match &connection {
            Some(connection) => checkpoint(connection, settings.log_limit),
            None => connection::checkpointer(path, settings)
                .and_then(|opened| checkpoint(connection.insert(opened), settings.log_limit)),
        };
        if let Err(error) = done {
            tracing::warn!(?error, "checkpoint failed, the write-ahead log grows until one succeeds");
            connection = None;
            signal.written.store(true, Ordering::Release);
        }
    }
}

/// Moves what can be moved without holding anybody up. Only when the log has grown beyond its limit does the second
/// step keep the writer out, for the rest that the first one left.
fn checkpoint(connection: &Connection, log_limit: u64) -> Result<(), StoreError> {
    let frames: i64 = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get(1))?;
    if u64::try_from(frames).unwrap_or(0).saturating_mul(PAGE) > log_limit {
        connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
    }
    Ok(())
}
