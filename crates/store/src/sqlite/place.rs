//! Whether the files of the database are still the ones that were opened.
//!
//! Somebody restores a backup, or removes a file, without stopping the server. Its descriptors then lead to files that
//! nobody will find again: what is committed there is answered and gone. So the path is looked at around each commit, and
//! now and then by who reads. SQLite itself does not look.

use crate::{ErrorKind, StoreError};
use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Readers look this often at most: it costs as much as a small read.
const READERS_LOOK: Duration = Duration::from_millis(100);

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
}

/// What is wrong with the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// There is no file of this name.
    Gone,
    /// There is another one.
    Replaced,
    /// A file beside it, which holds what was committed last, is gone or another one.
    Beside,
}

/// The files of one store.
#[derive(Debug)]
pub(super) struct Place {
    path: PathBuf,
    database: Option<Identity>,
    /// The write-ahead log and its index, as the connections in use have them open.
    beside: Mutex<[(PathBuf, Option<Identity>); 2]>,
    wrong: AtomicBool,
    since: Instant,
    /// When a reader looked last, in milliseconds since `since`.
    looked: AtomicU64,
}

impl Place {
    /// Of the file that is there now.
    pub fn of(path: &Path) -> io::Result<Self> {
        let beside = ["-wal", "-shm"].map(|end| {
            let mut name = path.as_os_str().to_owned();
            name.push(end);
            (PathBuf::from(name), None)
        });
        Ok(Self {
            path: path.to_owned(),
            database: identity(path)?,
            beside: Mutex::new(beside),
            wrong: AtomicBool::new(false),
            since: Instant::now(),
            looked: AtomicU64::new(0),
        })
    }

    /// A connection was opened while no other was in use: what stands beside the database may be new.
    pub fn opened(&self) {
        for (path, known) in self.beside.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            *known = identity(path).ok().flatten();
        }
    }

    /// The connection that writes is about to be closed: as the last one it takes with it what stands beside.
    pub fn closing(&self) {
        for (_, known) in self.beside.lock().unwrap_or_else(PoisonError::into_inner).iter_mut() {
            *known = None;
        }
    }

    /// Looks. The error is one sentence that says what to do; it is logged once.
    pub fn check(&self) -> Result<(), StoreError> {
        let wrong = self.look();
        let was_wrong = self.wrong.swap(wrong.is_some(), Ordering::Relaxed);
        let Some(wrong) = wrong else {
            if was_wrong {
                tracing::warn!("the database file is back: the server goes on");
            }
            return Ok(());
        };
        let sentence = self.sentence(wrong);
        if !was_wrong {
            tracing::error!("{sentence}");
        }
        Err(StoreError::caused_by(ErrorKind::Unavailable, sentence))
    }

    /// The same for readers, who come too often to look each time.
    pub fn check_now_and_then(&self) -> Result<(), StoreError> {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        let looked = self.looked.load(Ordering::Relaxed);
        let pause = u64::try_from(READERS_LOOK.as_millis()).unwrap_or(u64::MAX);
        if now.saturating_sub(looked) < pause && !self.is_wrong() {
            return Ok(());
        }
        self.looked.store(now, Ordering::Relaxed);
        self.check()
    }

    /// Whether the last look found something wrong.
    pub fn is_wrong(&self) -> bool {
        self.wrong.load(Ordering::Relaxed)
    }

    fn look(&self) -> Option<Wrong> {
        match identity(&self.path) {
            Ok(found) if found == self.database => {}
            Ok(_) => return Some(Wrong::Replaced),
            // What cannot be looked at is not there.
            Err(_) => return Some(Wrong::Gone),
        }
        let beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = |(path, known): &(PathBuf, Option<Identity>)| {
            known.is_some() && identity(path).ok().flatten() != *known
        };
        beside.iter().any(lost).then_some(Wrong::Beside)
    }

    fn sentence(&self, wrong: Wrong) -> String {
        let path = self.path.display();
        match wrong {
            Wrong::Gone => format!(
                "the database {path} was removed while the server runs: put it back, or stop the server, restore a \
                 backup and start again"
            ),
            Wrong::Replaced => format!(
                "the database {path} was replaced while the server runs, and nothing is read from either file: restart \
                 the server to use the new one, then run `hallpass admin restored`, or put the old one back"
            ),
            Wrong::Beside => format!(
                "{path}-wal or {path}-shm was removed or replaced while the server runs: restart the server; what \
                 it answered is in the database then"
            ),
        }
    }
}

#[cfg(unix)]
#[allow(clippy::unnecessary_wraps, reason = "other systems have none")]
fn identity(path: &Path) -> io::Result<Option<Identity>> {
    use std::os::unix::fs::MetadataExt as _;
    let file = std::fs::metadata(path)?;
    Ok(Some(Identity { device: file.dev(), number: file.ino() }))
}

/// Here a file that is open cannot be removed or replaced.
#[cfg(not(unix))]
fn identity(_: &Path) -> io::Result<Option<Identity>> {
    Ok(None)
}
