//! Failures on demand, for the tests of the writer.

use crate::{ErrorKind, StoreError};
use rusqlite::Connection;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many of the next commits and openings fail.
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// It happened, but its answer is lost.
    pub answers_lost: AtomicU32,
    /// It did not happen.
    pub commits_lost: AtomicU32,
    pub openings: AtomicU32,
}

impl Faults {
    pub fn commit(&self, connection: &Connection) -> Option<StoreError> {
        if due(&self.answers_lost) {
            connection.execute_batch("COMMIT").unwrap();
        } else if due(&self.commits_lost) {
            connection.execute_batch("ROLLBACK").unwrap();
        } else {
            return None;
        }
        Some(StoreError::caused_by(ErrorKind::Unavailable, "the disk did not answer"))
    }

    pub fn open(&self) -> Result<(), StoreError> {
        if due(&self.openings) {
            return Err(StoreError::caused_by(ErrorKind::Unavailable, "the file is gone"));
        }
        Ok(())
    }
}

fn due(counter: &AtomicU32) -> bool {
    counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}
