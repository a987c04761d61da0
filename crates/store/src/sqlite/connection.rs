//! Opening connections: whose file it is, how it is written, which schema it has.

use super::{SqliteSettings, failure::sentence, lock};
use crate::{
    ErrorKind, Schema, StoreError,
    migrations::{Dialect, Found},
};
use rusqlite::{Connection, OpenFlags, OptionalExtension, config::DbConfig};
use std::{path::Path, time::Duration};

/// `hpas`, in the header of every database of ours, so that no other program's file is taken for one.
const APPLICATION_ID: i64 = 0x6870_6173;

/// For how long a checkpoint may keep the writer out while it waits for readers, at most.
const KEEPS_OUT: Duration = Duration::from_millis(250);

/// Makes an empty file if there is none. Password hashes will be in it: nobody else on this machine reads it, and
/// SQLite gives its side files the same mode. A file that exists is not touched: closing a file drops all locks
/// that SQLite holds on it in this process (POSIX).
pub(super) fn create(path: &Path) -> Result<(), StoreError> {
    let mut options = std::fs::OpenOptions::new();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => {
            let text = format!(
                "the file cannot be made: {error}: make room in its folder, and see that it is writable"
            );
            Err(StoreError::caused_by(ErrorKind::Unavailable, text))
        }
    }
}

/// The one connection that writes. Checks whose file it is and brings the schema up to date.
pub(super) fn writer(path: &Path, settings: &SqliteSettings) -> Result<Connection, StoreError> {
    let open = || {
        let connection = writable(path, settings, settings.writer_cache_kib)?;
        if prepare(&connection, settings.schema)? {
            // A command does not change under a server what that may not understand.
            let _alone = if settings.exclusive { None } else { Some(nobody_beside(path)?) };
            migrate(&connection, settings.schema)?;
        }
        Ok(connection)
    };
    open().map_err(|error| sentence(error, path))
}

/// The connection of the checkpoint thread.
pub(super) fn checkpointer(path: &Path, settings: &SqliteSettings) -> Result<Connection, StoreError> {
    let connection = writable(path, settings, 256)?;
    connection.busy_timeout(KEEPS_OUT)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn reader(path: &Path, settings: &SqliteSettings) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    common(&connection, settings, settings.reader_cache_kib)?;
    Ok(connection)
}

/// Everything in the write-ahead log goes into the database, and the log is emptied: done at shutdown.
pub(super) fn truncate_log(connection: &Connection) -> Result<(), StoreError> {
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

fn writable(path: &Path, settings: &SqliteSettings, cache_kib: u32) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Where it may not write, SQLite opens it for reading without a word.
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        let readonly = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY);
        return Err(rusqlite::Error::SqliteFailure(readonly, None).into());
    }
    common(&connection, settings, cache_kib)?;
    Ok(connection)
}

fn common(connection: &Connection, settings: &SqliteSettings, cache_kib: u32) -> Result<(), StoreError> {
    connection.busy_timeout(settings.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(64);
    // A plan follows from the statement alone, never from what is bound to it: otherwise SQLite prepares a join anew for
    // each value of a parameter (query planner stability guarantee).
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let log_limit = settings.log_limit;
    connection.execute_batch(&format!(
        "PRAGMA cache_size = -{cache_kib}; PRAGMA temp_store = MEMORY; PRAGMA journal_size_limit = {log_limit};"
    ))?;
    Ok(())
}

fn nobody_beside(path: &Path) -> Result<lock::FolderLock, StoreError> {
    lock::lock_folder(path).map_err(|_| {
        let text =
            "a server of an older release is using this folder: start it again with this release first";
        StoreError::caused_by(ErrorKind::Unavailable, text)
    })
}

/// Sets up how it is written. Answers whether the schema has to be brought up to date.
fn prepare(connection: &Connection, schema: Schema) -> Result<bool, StoreError> {
    let is_behind = schema.is_ahead_of(found(connection)?)?;
    // Only now is it certain that the file is ours: nothing was written to it before.
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        let text = format!("the database cannot use a write-ahead log here (its mode is '{mode}')");
        return Err(StoreError::caused_by(ErrorKind::Unavailable, text));
    }
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;")?;
    Ok(is_behind)
}

fn migrate(connection: &Connection, schema: Schema) -> Result<(), StoreError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let done = apply(connection, schema);
    connection.execute_batch(if done.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
    done
}

fn apply(connection: &Connection, schema: Schema) -> Result<(), StoreError> {
    // Read again under the lock: another process may have been faster.
    let found = found(connection)?;
    if !schema.is_ahead_of(found)? {
        return Ok(());
    }
    if found.version == 0 {
        connection.execute_batch(&format!(
            "PRAGMA application_id = {APPLICATION_ID}; \
             CREATE TABLE schema_version (id INTEGER NOT NULL PRIMARY KEY, version INTEGER NOT NULL) \
             STRICT, WITHOUT ROWID; \
             INSERT INTO schema_version (id, version) VALUES (1, 0);"
        ))?;
    }
    if !has_oldest(connection)? {
        connection.execute_batch("ALTER TABLE schema_version ADD COLUMN oldest INTEGER")?;
    }
    for (_, text) in schema.after(found.version, Dialect::SQLITE) {
        connection.execute_batch(&text)?;
    }
    let moved = "UPDATE schema_version SET version = $1, oldest = $2 WHERE id = 1";
    connection.execute(moved, [schema.newest(), schema.oldest()])?;
    Ok(())
}

/// Whether the record of the oldest schema is there: the first releases had none.
fn has_oldest(connection: &Connection) -> Result<bool, StoreError> {
    let columns = "SELECT count(*) FROM pragma_table_info('schema_version') WHERE name = 'oldest'";
    Ok(connection.query_row(columns, [], |row| row.get::<_, i64>(0))? == 1)
}

/// What the file says of its schema; version 0 for a file without anything. Refuses what is not ours.
pub(super) fn found(connection: &Connection) -> Result<Found, StoreError> {
    let id: i64 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if id != APPLICATION_ID {
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if id == 0 && tables == 0 {
            return Ok(Found::new(0, None));
        }
        return Err(corrupt("the file is a database of another program: choose another path".into()));
    }
    let record = if has_oldest(connection)? {
        "SELECT version, oldest FROM schema_version WHERE id = 1"
    } else {
        "SELECT version, NULL FROM schema_version WHERE id = 1"
    };
    let found: Option<(i64, Option<i64>)> =
        connection.query_row(record, [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match found {
        Some((version, oldest)) if version > 0 => Ok(Found::new(version, oldest)),
        Some(_) | None => {
            Err(corrupt("the database does not say of which schema it is: restore a backup".into()))
        }
    }
}

fn corrupt(text: String) -> StoreError {
    StoreError::caused_by(ErrorKind::Corrupt, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::StatementStatus;

    /// In a join, a comparison with a parameter beside the key was enough: SQLite looked at its value, so as to plan for
    /// it, and planned again whenever one was bound. Every introspection did.
    #[test]
    fn a_statement_is_prepared_once_whatever_is_asked() {
        const ASKED: &str = "SELECT g.id FROM grants g JOIN person p ON p.id = g.person AND p.epoch = g.epoch \
             WHERE g.id = $1 AND g.epoch = $2";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hallpass.sqlite");
        create(&path).unwrap();
        let settings = SqliteSettings::default();
        let writer = writer(&path, &settings).unwrap();
        let reader = reader(&path, &settings).unwrap();
        for connection in [&writer, &reader] {
            for epoch in 0..5 {
                let mut statement = connection.prepare_cached(ASKED).unwrap();
                assert!(!statement.exists(rusqlite::params![[0_u8; 16], epoch]).unwrap());
                assert_eq!(statement.get_status(StatementStatus::RePrepare), 0, "epoch {epoch}");
            }
        }
    }
}
