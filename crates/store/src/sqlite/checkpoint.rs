//! The thread that moves the write-ahead log into the database, so that no caller ever waits for it.

use super::{
    SqliteSettings, connection,
    failure::says_full,
    place::Place,
    reserve::{For, Reserve},
};
use crate::StoreError;
use rusqlite::Connection;
use std::{
    path::{Path, PathBuf},
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
    pub fn start(path: PathBuf, settings: SqliteSettings, place: Arc<Place>) -> Result<Self, StoreError> {
        let signal = Arc::new(Signal::default());
        let thread = std::thread::Builder::new()
            .name("checkpoint".into())
            .spawn({
                let signal = signal.clone();
                move || run(&signal, &path, &settings, &place)
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

fn run(signal: &Signal, path: &Path, settings: &SqliteSettings, place: &Place) {
    let (mut connection, mut failing) = (None, false);
    let reserve = Reserve::beside(path, settings.reserve, false);
    while signal.wait() {
        signal.written.store(false, Ordering::Release);
        let done = place.check().and_then(|()| match &connection {
            Some(connection) => checkpoint(connection, settings.log_limit),
            None => connection::checkpointer(path, settings)
                .and_then(|opened| checkpoint(connection.insert(opened), settings.log_limit)),
        });
        if let Err(error) = &done {
            if !failing {
                tracing::warn!(?error, "checkpoint failed, the write-ahead log grows until one succeeds");
            }
            // The log is written anew only when all of it is in the database.
            if says_full(error) {
                reserve.give(For::Upkeep);
            }
            connection = None;
            signal.written.store(true, Ordering::Release);
        }
        failing = done.is_err();
    }
}

/// Moves what can be moved without holding anybody up. Only when the log has grown beyond its limit does the last step
/// keep the writer out, for the rest that the others left. It would also wait for readers, with the writer kept out: while
/// a backup reads it is left undone, and the log grows until the backup has ended.
fn checkpoint(connection: &Connection, log_limit: u64) -> Result<(), StoreError> {
    let before = passive(connection)?;
    if before.frames.saturating_mul(PAGE) <= log_limit {
        return Ok(());
    }
    let after = passive(connection)?;
    // Nothing more could be moved, though there is something: a reader needs what is in the database now.
    if after.moved <= before.moved && before.moved < before.frames {
        tracing::info!(
            frames = after.frames,
            "the write-ahead log grows while somebody reads, such as a backup"
        );
        return Ok(());
    }
    connection.query_row("PRAGMA wal_checkpoint(RESTART)", [], |_| Ok(()))?;
    Ok(())
}

/// How far a checkpoint came.
struct Moved {
    frames: u64,
    moved: u64,
}

fn passive(connection: &Connection) -> Result<Moved, StoreError> {
    let count = |frames: i64| u64::try_from(frames).unwrap_or(0);
    let read = |row: &rusqlite::Row<'_>| Ok(Moved { frames: count(row.get(1)?), moved: count(row.get(2)?) });
    Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], read)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    static WAITED: AtomicU32 = AtomicU32::new(0);

    fn write(connection: &Connection, rows: u32) {
        for _ in 0..rows {
            connection.execute("INSERT INTO t VALUES (randomblob(4000))", []).unwrap();
        }
    }

    fn frames(connection: &Connection) -> u64 {
        passive(connection).unwrap().frames
    }

    #[test]
    fn a_long_log_is_begun_anew_and_a_backup_that_reads_keeps_nobody_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Connection::open(folder.path().join("db")).unwrap();
        let (writer, mut ours) = (open(), open());
        writer
            .execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (x)")
            .unwrap();
        write(&writer, 50);
        // Called by whoever waits for a lock, in RESTART with the writer kept out.
        ours.busy_handler(Some(|_| WAITED.fetch_add(1, Ordering::SeqCst) < 3)).unwrap();
        let reading = open();
        reading.execute_batch("BEGIN; SELECT count(*) FROM t").unwrap();
        let moved = |connection: &Connection| passive(connection).unwrap().moved;
        write(&writer, 50);
        for _ in 0..3 {
            checkpoint(&ours, 10 * PAGE).unwrap();
            write(&writer, 10);
        }
        assert_eq!(WAITED.load(Ordering::SeqCst), 0, "it waits for the reader, and the writer for it");
        assert!(moved(&ours) < frames(&ours), "the reader needs what is in the database");
        reading.execute_batch("COMMIT").unwrap();
        checkpoint(&ours, 10 * PAGE).unwrap();
        write(&writer, 1);
        assert!(frames(&ours) < 10, "{}", frames(&ours));
    }
}
