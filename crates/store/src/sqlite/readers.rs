//! A few connections that only read.
//!
//! A point read takes microseconds, so it runs where its caller is: handing it to another thread would cost more
//! than it takes. No connection keeps a read transaction after its statement, so none holds a checkpoint up.

use super::{SqliteSettings, connection, place::Place};
use crate::{ErrorKind, StoreError};
use rusqlite::Connection;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Connections kept open between reads. More are opened while more reads run at the same time.
const KEPT: usize = 4;

#[derive(Debug)]
pub(super) struct Readers {
    path: PathBuf,
    settings: SqliteSettings,
    place: Arc<Place>,
    idle: Mutex<Idle>,
}

#[derive(Debug)]
struct Idle {
    connections: Vec<Connection>,
    /// Raised by `clear`: a connection taken before it does not come back.
    age: u64,
    closed: bool,
}

impl Readers {
    /// Opens nothing yet.
    pub fn new(path: PathBuf, settings: SqliteSettings, place: Arc<Place>) -> Self {
        let idle = Idle { connections: Vec::new(), age: 0, closed: false };
        Self { path, settings, place, idle: Mutex::new(idle) }
    }

    /// Runs `work` on a connection nobody else is using.
    pub fn read<T>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.place.check_now_and_then()?;
        let (found, age) = {
            let mut idle = self.lock();
            if idle.closed {
                return Err(StoreError::caused_by(ErrorKind::Busy, "the store is shutting down"));
            }
            (idle.connections.pop(), idle.age)
        };
        let mut connection = if let Some(connection) = found {
            connection
        } else {
            let opened = connection::reader(&self.path, &self.settings)?;
            self.place.check()?;
            opened
        };
        let result = work(&mut connection);
        let mut idle = self.lock();
        if idle.age == age && !idle.closed && idle.connections.len() < KEPT {
            idle.connections.push(connection);
        }
        result
    }

    /// Drops what is open: after a failed commit nothing that was cached is trusted.
    pub fn clear(&self) {
        let mut idle = self.lock();
        idle.age = idle.age.wrapping_add(1);
        idle.connections.clear();
    }

    /// Drops what is open and reads no more.
    pub fn close(&self) {
        self.lock().closed = true;
        self.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
