//! The one thread that writes: everything that is waiting in one transaction, one commit, then all answers.
//!
//! What a caller hears after the commit is on disk (`synchronous=FULL`). A commit that fails leaves it open whether
//! it happened: the connection is thrown away with all it cached, and the whole batch is run again. Every command
//! may be run twice, so this ends in the right answer, or after a deadline in "unknown".

use super::{
    SqliteSettings,
    checkpoint::Checkpoints,
    command::{Command, Shape},
    connection,
    failure::{Shared, is_full},
    lock::FolderLock,
    queue::Queue,
    readers::Readers,
};
use crate::{ErrorKind, StoreError};
use rusqlite::Connection;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;

/// Between two tries to get a batch of unknown outcome done.
const PAUSE: Duration = Duration::from_millis(50);

pub(super) type Commands = Queue<Box<dyn Command>>;

/// What the thread owns.
pub(super) struct Writer {
    pub path: PathBuf,
    pub settings: SqliteSettings,
    pub queue: Arc<Commands>,
    pub readers: Arc<Readers>,
    /// `None` after a failed commit, until it is open again.
    pub connection: Option<Connection>,
    pub checkpoints: Checkpoints,
    /// Turns true when everything is on disk and closed.
    pub ended: watch::Sender<bool>,
    /// `None` beside a server.
    pub lock: Option<FolderLock>,
    #[cfg(test)]
    pub faults: Arc<super::faults::Faults>,
}

/// How one try to run a batch in a transaction ended.
enum Outcome {
    Committed,
    /// It was rolled back because one command left its traces in it; that one has been answered. The others run
    /// again.
    Undone,
    /// Certainly nothing happened.
    Nothing(Shared),
    /// The commit failed.
    Unknown(Shared),
}

impl Writer {
    /// Works until the queue is closed and empty.
    pub fn run(mut self) {
        let mut batch = Vec::new();
        while self.queue.take(self.settings.batch_limit, &mut batch) {
            // Who has gone before the start wants nothing any more.
            batch.retain(|command| !command.abandoned());
            if !batch.is_empty() {
                self.settle(&mut batch);
            }
            // Whoever was just answered and is ready to run goes first, and often comes right back: else the first
            // of them has a commit to itself while the others wait for it. This is no delay to collect a batch:
            // with nobody ready it returns at once.
            std::thread::yield_now();
        }
        self.end();
    }

    /// Runs the batch until each command has its answer.
    fn settle(&mut self, batch: &mut Vec<Box<dyn Command>>) {
        let mut unknown: Option<(Instant, Shared)> = None;
        loop {
            let cause = match self.attempt(batch) {
                Outcome::Committed => {
                    self.checkpoints.written();
                    return answer(batch, unknown.as_ref().map(|(_, cause)| cause));
                }
                Outcome::Undone => continue,
                Outcome::Nothing(cause) => cause,
                Outcome::Unknown(cause) => {
                    tracing::error!(cause = cause.cause, "a commit failed: opening the database again");
                    self.connection = None;
                    self.readers.clear();
                    let since = unknown.take().map_or_else(Instant::now, |(since, _)| since);
                    unknown = Some((since, cause.clone()));
                    cause
                }
            };
            let failure = match &unknown {
                None => cause,
                Some((since, _)) if since.elapsed() >= self.settings.unknown_deadline => {
                    cause.as_kind(ErrorKind::Unknown)
                }
                Some(_) => {
                    std::thread::sleep(PAUSE);
                    continue;
                }
            };
            for command in batch.iter_mut() {
                command.fail(failure.copy());
            }
            return answer(batch, None);
        }
    }

    fn attempt(&mut self, batch: &mut Vec<Box<dyn Command>>) -> Outcome {
        let connection = match self.open() {
            Ok(connection) => connection,
            Err(error) => return Outcome::Nothing(error.into()),
        };
        if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
            return Outcome::Nothing(error.into());
        }
        for index in 0..batch.len() {
            let Some(command) = batch.get_mut(index) else { break };
            match run_one(connection, command.as_mut()) {
                Ok(Ran::Kept) => {}
                Ok(Ran::Panicked) => {
                    return match execute(connection, "ROLLBACK") {
                        Ok(()) => {
                            batch.remove(index).answer();
                            Outcome::Undone
                        }
                        Err(error) => Outcome::Unknown(error.into()),
                    };
                }
                // SQLite has rolled everything back by itself, or cannot go on: disk full, input or output error.
                Err(cause) => {
                    if !connection.is_autocommit() && execute(connection, "ROLLBACK").is_err() {
                        return Outcome::Unknown(cause);
                    }
                    return Outcome::Nothing(cause);
                }
            }
        }
        self.commit()
    }

    fn commit(&self) -> Outcome {
        let Some(connection) = &self.connection else {
            return Outcome::Unknown(StoreError::new(ErrorKind::Internal).into());
        };
        #[cfg(test)]
        if let Some(outcome) = self.faults.commit(connection) {
            return Outcome::Unknown(outcome.into());
        }
        match execute(connection, "COMMIT") {
            Ok(()) => Outcome::Committed,
            Err(error) if is_full(&error) && undone(connection) => Outcome::Nothing(error.into()),
            Err(error) => Outcome::Unknown(error.into()),
        }
    }

    fn open(&mut self) -> Result<&mut Connection, StoreError> {
        if self.connection.is_none() {
            #[cfg(test)]
            self.faults.open()?;
            self.connection = Some(connection::writer(&self.path, &self.settings)?);
        }
        self.connection.as_mut().ok_or(StoreError::new(ErrorKind::Internal))
    }

    /// Drained: no more reads, the log goes into the database, all files are closed, and last the folder is free.
    fn end(self) {
        let Self { connection, checkpoints, readers, ended, lock, .. } = self;
        readers.close();
        drop(checkpoints);
        // A server beside us checkpoints its log itself.
        if let (Some(connection), Some(_)) = (&connection, &lock)
            && let Err(error) = connection::truncate_log(connection)
        {
            tracing::warn!(?error, "the last checkpoint failed; the next start repeats it");
        }
        drop(lock);
        ended.send_replace(true);
    }
}

/// How one command ended inside the transaction.
enum Ran {
    /// With an answer, good or bad; what it did, or nothing, is in the transaction.
    Kept,
    /// It may have left half of its work behind.
    Panicked,
}

fn run_one(connection: &mut Connection, command: &mut dyn Command) -> Result<Ran, Shared> {
    let several = command.shape() == Shape::Several;
    if several {
        execute(connection, "SAVEPOINT command").map_err(Shared::from)?;
    }
    // A defect in one command must not cost the others their answers.
    let ran = catch_unwind(AssertUnwindSafe(|| command.run(connection)));
    let good = matches!(ran, Ok(true));
    if ran.is_err() {
        command.fail(StoreError::caused_by(ErrorKind::Internal, "a command panicked"));
    }
    if connection.is_autocommit() {
        let kind = command.failure().unwrap_or(ErrorKind::Unavailable);
        return Err(Shared { kind, cause: "SQLite took the whole transaction back".into() });
    }
    if several {
        if !good {
            execute(connection, "ROLLBACK TO command").map_err(Shared::from)?;
        }
        execute(connection, "RELEASE command").map_err(Shared::from)?;
    } else if ran.is_err() {
        return Ok(Ran::Panicked);
    }
    Ok(Ran::Kept)
}

/// Sends what each command keeps. After an unknown commit a failure from below does not mean that nothing happened.
fn answer(batch: &mut Vec<Box<dyn Command>>, unknown: Option<&Shared>) {
    for mut command in batch.drain(..) {
        if let (Some(cause), Some(ErrorKind::Busy | ErrorKind::Unavailable | ErrorKind::Corrupt)) =
            (unknown, command.failure())
        {
            command.fail(cause.as_kind(ErrorKind::Unknown).copy());
        }
        command.answer();
    }
}

fn undone(connection: &Connection) -> bool {
    connection.is_autocommit() || execute(connection, "ROLLBACK").is_ok()
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
