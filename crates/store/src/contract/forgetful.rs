//! A store whose answers get lost: what it was told to do is done, and nobody hears of it.

use crate::{
    Answer, ErrorKind, SqliteStore, StoreError, StoreTrouble,
    sql::{Backend, Kind, Operation, sweep::Walk},
};
use hallpass_core::time::Timestamp;
use std::sync::{
    Mutex,
    atomic::{AtomicU32, Ordering},
};

/// SQLite, with answers that are lost on the way.
#[derive(Debug)]
pub struct Forgetful {
    inner: SqliteStore,
    lost: AtomicU32,
}

impl Forgetful {
    /// Loses nothing yet.
    pub const fn new(inner: SqliteStore) -> Self {
        Self { inner, lost: AtomicU32::new(0) }
    }

    /// The answers of so many writes are lost from now on.
    pub fn lose(&self, writes: u32) {
        self.lost.store(writes, Ordering::SeqCst);
    }
}

impl Backend for Forgetful {
    fn run<O: Operation>(&self, operation: O) -> Answer<'_, O::Answer> {
        Box::pin(async move {
            let answer = self.inner.run(operation).await?;
            let loses = matches!(O::KIND, Kind::Write | Kind::Several | Kind::Ending)
                && self
                    .lost
                    .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                    .is_ok();
            if loses {
                return Err(StoreError::caused_by(ErrorKind::Unknown, "the answer was lost"));
            }
            Ok(answer)
        })
    }

    fn walk(&self) -> &Mutex<Walk> {
        self.inner.walk()
    }

    fn trouble(&self) -> Option<StoreTrouble> {
        Backend::trouble(&self.inner)
    }

    fn end(&self) -> Answer<'_, ()> {
        self.inner.end()
    }

    fn clock(&self) -> Answer<'_, Option<Timestamp>> {
        Backend::clock(&self.inner)
    }
}
