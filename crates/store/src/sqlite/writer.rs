//! The one thread that writes: everything that is waiting in one transaction, one commit, then all answers.
//!
//! What a caller hears after the commit is on disk (`synchronous=FULL`). A commit that fails leaves it open whether
//! it happened: the connection is thrown away with all it cached, and the whole batch is run again. Every command
//! may be run twice, so this ends in the right answer, or after a deadline in "unknown".

use super::{
    SqliteSettings,
    checkpoint::Checkpoints,
    command::{Command, Need, Shape},
    connection,
    failure::{Shared, is_busy, is_full, says_full},
    lock::FolderLock,
    place::Place,
    queue::Queue,
    readers::Readers,
    reserve::{For, Reserve},
};
use crate::{ErrorKind, StoreError};
use rusqlite::Connection;
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
    pub place: Arc<Place>,
    /// Whether the log was emptied since the files were found to be gone.
    pub saved: bool,
    pub reserve: Reserve,
    /// Whether writes fail because the disk is full.
    pub full: Arc<AtomicBool>,
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
    /// It was rolled back because of this command; the others run again.
    Without(usize),
    /// Certainly nothing happened.
    Nothing(Shared),
    /// Certainly nothing happened, because there is no room on the disk.
    Full(Shared),
    /// The commit failed, or led to a file that nobody finds any more.
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
        let mut is_whole = self.reserve.is_whole();
        if !is_whole {
            refuse_usual(batch, &no_room());
        }
        let mut unknown: Option<(Instant, Shared)> = None;
        while !batch.is_empty() {
            let cause = match self.attempt(batch) {
                Outcome::Committed => {
                    self.checkpoints.written();
                    self.full.store(!is_whole, Ordering::Relaxed);
                    return answer(batch, unknown.as_ref().map(|(_, cause)| cause));
                }
                Outcome::Without(index) => {
                    let mut one = vec![batch.remove(index)];
                    answer(&mut one, unknown.as_ref().map(|(_, cause)| cause));
                    continue;
                }
                Outcome::Full(cause) if unknown.is_none() => {
                    is_whole = false;
                    self.full.store(true, Ordering::Relaxed);
                    let Some(cause) = self.make_do(batch, cause) else { continue };
                    cause
                }
                Outcome::Full(cause) | Outcome::Nothing(cause) => cause,
                Outcome::Unknown(cause) => {
                    if self.place.is_wrong() {
                        self.save();
                    } else {
                        tracing::error!(cause = cause.cause, "a commit failed: opening the database again");
                        self.close();
                    }
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

    /// On a full disk: what ends something gets room from the reserve, the others wait for better times. `None` when it
    /// is worth another try.
    fn make_do(&self, batch: &mut Vec<Box<dyn Command>>, cause: Shared) -> Option<Shared> {
        refuse_usual(batch, &cause);
        let ends = batch.iter().any(|command| command.need() == Need::Ending);
        let given = !batch.is_empty() && self.reserve.give(if ends { For::Ending } else { For::Upkeep });
        (!given && !batch.is_empty()).then_some(cause)
    }

    fn attempt(&mut self, batch: &mut [Box<dyn Command>]) -> Outcome {
        if let Err(error) = self.place.check() {
            self.save();
            return Outcome::Nothing(error.into());
        }
        let connection = match self.open() {
            Ok(connection) => connection,
            Err(error) => return Outcome::Nothing(error.into()),
        };
        if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
            let busy = is_busy(&error);
            let cause = error.into();
            if !busy {
                // Opened where nothing could be written, it would never write again.
                self.close();
            }
            return Outcome::Nothing(cause);
        }
        for (index, command) in batch.iter_mut().enumerate() {
            match run_one(connection, command.as_mut()) {
                Ok(Ran::Kept) => {}
                Ok(Ran::Panicked) => {
                    return match execute(connection, "ROLLBACK") {
                        Ok(()) => Outcome::Without(index),
                        Err(error) => Outcome::Unknown(error.into()),
                    };
                }
                Ok(Ran::TookAllBack) => {
                    return match command.failure() {
                        Some(error) if says_full(error) => Outcome::Full(no_room()),
                        Some(_) => Outcome::Without(index),
                        None => {
                            command.fail(StoreError::caused_by(
                                ErrorKind::Internal,
                                "a command ended the transaction of all",
                            ));
                            Outcome::Without(index)
                        }
                    };
                }
                // It cannot go on.
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
            // What is answered has to be where the next start looks for it.
            Ok(()) => self
                .place
                .check()
                .map_or_else(|error| Outcome::Unknown(error.into()), |()| Outcome::Committed),
            Err(error) if is_full(&error) && undone(connection) => Outcome::Full(error.into()),
            Err(error) => Outcome::Unknown(error.into()),
        }
    }

    /// The files are not where they were. What is in the log goes into the database that is open: put back, it is whole,
    /// and the log is no danger to another database that was put in its place.
    fn save(&mut self) {
        let Some(connection) = &self.connection else { return };
        if self.saved {
            return;
        }
        self.saved = true;
        if let Err(error) = connection::truncate_log(connection) {
            tracing::warn!(?error, "the write-ahead log of the lost database could not be emptied");
        }
    }

    /// Nothing that was cached is trusted any more.
    fn close(&mut self) {
        self.place.closing();
        self.connection = None;
        self.readers.clear();
    }

    fn open(&mut self) -> Result<&mut Connection, StoreError> {
        if self.connection.is_none() {
            #[cfg(test)]
            self.faults.open()?;
            let connection = connection::writer(&self.path, &self.settings)?;
            self.place.opened();
            // Between the last look and the opening it may have been replaced.
            self.place.check()?;
            self.connection = Some(connection);
        }
        self.saved = false;
        self.connection.as_mut().ok_or_else(|| StoreError::new(ErrorKind::Internal))
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
    /// It failed so that SQLite took back what the others did too: disk full, input or output error.
    TookAllBack,
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
        return Ok(Ran::TookAllBack);
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
        let failed = command.failure().map(StoreError::kind);
        if let (Some(cause), Some(ErrorKind::Busy | ErrorKind::Unavailable | ErrorKind::Corrupt)) =
            (unknown, failed)
        {
            command.fail(cause.as_kind(ErrorKind::Unknown).copy());
        }
        command.answer();
    }
}

/// Answers those that have to wait until there is room.
fn refuse_usual(batch: &mut Vec<Box<dyn Command>>, cause: &Shared) {
    for mut command in batch.extract_if(.., |command| command.need() == Need::Usual) {
        command.fail(cause.copy());
        command.answer();
    }
}

fn no_room() -> Shared {
    Shared { kind: ErrorKind::Unavailable, cause: "the disk is full: make room".into() }
}

fn undone(connection: &Connection) -> bool {
    connection.is_autocommit() || execute(connection, "ROLLBACK").is_ok()
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}
