//! SQLite in one file: one thread writes, a few connections read, nothing else to run.

mod backup;
mod checkpoint;
mod command;
mod connection;
pub(crate) mod copy;
mod failure;
#[cfg(test)]
mod faults;
mod lock;
mod place;
mod queue;
mod readers;
mod reserve;
mod statements;
#[cfg(test)]
mod tests;
#[cfg(unix)]
#[cfg(test)]
mod tests_place;
mod writer;

use crate::{
    Answer, ErrorKind, Schema, StoreError, StoreTrouble,
    sql::{Backend, Kind, Operation, sweep::Walk},
};
pub use backup::backup;
use command::{Job, Need, Shape};
use hallpass_core::time::Timestamp;
use place::Place;
use queue::{Lane, Queue};
use readers::Readers;
use reserve::Reserve;
use rusqlite::Connection;
use statements::{On, answer_of};
use std::{
    fmt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::watch;
use writer::{Commands, Writer};

/// Limits. The defaults are right; tests and very small machines differ.
#[derive(Clone, Copy, Debug)]
pub struct SqliteSettings {
    /// Commands waiting for the writer; one more is refused as busy.
    pub queue_limit: usize,
    /// Commands in one transaction.
    pub batch_limit: usize,
    /// Page cache of the connection that writes, in KiB. It fills with use.
    pub writer_cache_kib: u32,
    /// Page cache of each of the connections that read, in KiB.
    pub reader_cache_kib: u32,
    /// Size of the write-ahead log, in bytes, above which a checkpoint makes the writer wait.
    pub log_limit: u64,
    /// How long to wait for a lock that another process holds on the file.
    pub busy_timeout: Duration,
    /// Whether this is the server of the folder, which keeps a second one off. A command beside a server is not.
    pub exclusive: bool,
    /// Room on the disk, in bytes, that is kept for what ends access and for the sweep; 0 for none.
    pub reserve: u64,
    /// How long a batch with a failed commit is run again before its outcome is reported as unknown.
    pub unknown_deadline: Duration,
    /// What this program knows.
    pub schema: Schema,
}

impl Default for SqliteSettings {
    fn default() -> Self {
        Self {
            queue_limit: 4096,
            batch_limit: 512,
            writer_cache_kib: 12 * 1024,
            reader_cache_kib: 2 * 1024,
            log_limit: 64 * 1024 * 1024,
            busy_timeout: Duration::from_secs(5),
            exclusive: true,
            reserve: 0,
            // Clients wait ten.
            unknown_deadline: Duration::from_secs(8),
            schema: Schema::THIS,
        }
    }
}

/// The store in one SQLite file.
///
/// Dropping it lets the writer finish what is waiting. Close it first ([`crate::Maintenance::close`]) to hear that
/// everything is on disk.
pub struct SqliteStore {
    queue: Arc<Commands>,
    readers: Arc<Readers>,
    ended: watch::Receiver<bool>,
    writer: Option<JoinHandle<()>>,
    walk: Mutex<Walk>,
    place: Arc<Place>,
    full: Arc<AtomicBool>,
    #[cfg(test)]
    faults: Arc<faults::Faults>,
}

impl SqliteStore {
    /// Opens the database file at `path`, makes it if there is none, and brings its schema up to date. The folder
    /// has to exist; a lock file in it keeps a second server off.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the folder is in use by another server or cannot be written;
    /// [`ErrorKind::Corrupt`] when the file is not ours, damaged, or of a schema that is too new. The source is one sentence
    /// that names the fix.
    pub fn open(path: &Path, settings: SqliteSettings) -> Result<Self, StoreError> {
        let lock = if settings.exclusive { Some(lock::lock_folder(path)?) } else { None };
        connection::create(path)?;
        let unavailable = |error| StoreError::caused_by(ErrorKind::Unavailable, error);
        let place = Arc::new(Place::of(path).map_err(unavailable)?);
        let connection = Some(connection::writer(path, &settings)?);
        place.opened();
        place.check()?;
        let reserve = Reserve::beside(path, settings.reserve, settings.exclusive);
        if settings.exclusive {
            reserve.make().map_err(|error| no_reserve(&error, settings.reserve))?;
        }
        let full = Arc::new(AtomicBool::new(false));
        let queue = Arc::new(Queue::new(settings.queue_limit));
        let readers = Arc::new(Readers::new(path.into(), settings, Arc::clone(&place)));
        let (ended_sender, ended) = watch::channel(false);
        #[cfg(test)]
        let faults = Arc::new(faults::Faults::default());
        let writer = Writer {
            path: path.into(),
            settings,
            queue: queue.clone(),
            readers: readers.clone(),
            connection,
            place: Arc::clone(&place),
            saved: false,
            reserve,
            full: Arc::clone(&full),
            checkpoints: checkpoint::Checkpoints::start(path.into(), settings, Arc::clone(&place))?,
            ended: ended_sender,
            lock,
            #[cfg(test)]
            faults: faults.clone(),
        };
        let writer = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || writer.run())
            .map_err(|error| StoreError::caused_by(ErrorKind::Unavailable, error))?;
        Ok(Self {
            queue,
            readers,
            ended,
            writer: Some(writer),
            walk: Mutex::default(),
            place,
            full,
            #[cfg(test)]
            faults,
        })
    }

    async fn enqueue<T: Send + 'static>(
        &self,
        lane: Lane,
        shape: (Shape, Need),
        work: impl FnMut(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (job, waiting) = Job::new(shape, work);
        if !self.queue.push(lane, Box::new(job)) {
            return Err(StoreError::caused_by(ErrorKind::Busy, "the queue of the writer is full or closed"));
        }
        // The writer ended without an answer: only a defect does that, and what it did is open.
        waiting.await.unwrap_or_else(|gone| Err(StoreError::caused_by(ErrorKind::Unknown, gone)))
    }

    /// A read that may take longer, on a thread for such things.
    fn list<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Answer<'_, T> {
        let readers = self.readers.clone();
        Box::pin(async move {
            match tokio::task::spawn_blocking(move || readers.read(work)).await {
                Ok(result) => result,
                Err(error) => Err(StoreError::caused_by(ErrorKind::Internal, error)),
            }
        })
    }
}

impl Backend for SqliteStore {
    fn run<O: Operation>(&self, operation: O) -> Answer<'_, O::Answer> {
        let write = |lane, shape, operation: O| {
            self.enqueue(lane, shape, move |connection| answer_of(operation.run(&mut On(connection))))
        };
        match O::KIND {
            // Done here and now: it takes microseconds.
            Kind::Read => Box::pin(async move {
                self.readers.read(|connection| answer_of(operation.run(&mut On(connection))))
            }),
            Kind::List => self.list(move |connection| answer_of(operation.run(&mut On(connection)))),
            Kind::Write => Box::pin(write(Lane::Fast, (Shape::Single, Need::Usual), operation)),
            Kind::Several => Box::pin(write(Lane::Fast, (Shape::Several, Need::Usual), operation)),
            Kind::Ending => Box::pin(write(Lane::Fast, (Shape::Several, Need::Ending), operation)),
            Kind::Slow => Box::pin(write(Lane::Slow, (Shape::Several, Need::Upkeep), operation)),
        }
    }

    fn walk(&self) -> &Mutex<Walk> {
        &self.walk
    }

    fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn trouble(&self) -> Option<StoreTrouble> {
        if self.place.is_wrong() {
            Some(StoreTrouble::Moved)
        } else {
            self.full.load(Ordering::Relaxed).then_some(StoreTrouble::Full)
        }
    }

    fn clock(&self) -> Answer<'_, Option<Timestamp>> {
        Box::pin(async { Ok(None) })
    }

    fn end(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.queue.close();
            let mut ended = self.ended.clone();
            match ended.wait_for(|ended| *ended).await {
                Ok(_) => Ok(()),
                Err(gone) => Err(StoreError::caused_by(ErrorKind::Internal, gone)),
            }
        })
    }
}

fn no_reserve(error: &std::io::Error, size: u64) -> StoreError {
    let text =
        format!("there is no room for a reserve of {} MiB in its folder ({error}): make room", size >> 20);
    StoreError::caused_by(ErrorKind::Unavailable, text)
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("readers", &self.readers).finish_non_exhaustive()
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
    }
}
