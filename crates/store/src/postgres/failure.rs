//! From what PostgreSQL says to what may be done about it.

use crate::{ErrorKind, StoreError};
use std::{error::Error as StdError, fmt};
use tokio_postgres::{Error, error::SqlState};

/// What a failed try means for the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Certainly nothing happened, and another try may work at once.
    Again,
    /// Certainly nothing happened: the server is away, restarts, or is full of connections.
    Away,
    /// The connection died while something was under way.
    Unknown,
    /// Another try would fail in the same way.
    Final,
}

/// A failure without the values that PostgreSQL quotes in its details: they may be secrets.
#[derive(Debug)]
pub(super) struct Failure {
    trouble: Trouble,
    text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Failure {}

/// What to do about an error of the store.
pub(super) fn trouble(error: &StoreError) -> Trouble {
    let failure = error.source().and_then(|source| source.downcast_ref::<Failure>());
    match failure {
        Some(failure) => failure.trouble,
        None if error.kind() == ErrorKind::Unknown => Trouble::Unknown,
        None => Trouble::Final,
    }
}

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        let (kind, trouble) = meaning(&error);
        of(kind, trouble, &error)
    }
}

/// The connection could not be made, or `BEGIN` was not answered.
pub(super) fn before_commit(error: Error) -> StoreError {
    undone(error.into())
}

/// Inside a transaction that was not committed: whatever is not known did not happen.
pub(super) fn undone(error: StoreError) -> StoreError {
    if trouble(&error) != Trouble::Unknown {
        return error;
    }
    again(text_of(&error))
}

/// Certainly nothing happened, and another try may work.
pub(super) fn again(text: String) -> StoreError {
    StoreError::caused_by(ErrorKind::Unavailable, Failure { trouble: Trouble::Again, text })
}

/// The same for one more caller.
pub(super) fn copy(error: &StoreError) -> StoreError {
    StoreError::caused_by(error.kind(), Failure { trouble: trouble(error), text: text_of(error) })
}

fn text_of(error: &StoreError) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// No connection is to be had.
pub(super) fn away(text: String) -> StoreError {
    StoreError::caused_by(ErrorKind::Unavailable, Failure { trouble: Trouble::Away, text })
}

fn of(kind: ErrorKind, trouble: Trouble, error: &Error) -> StoreError {
    let text = match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()),
        None => error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {source}")),
    };
    StoreError::caused_by(kind, Failure { trouble, text })
}

/// The kind for the caller, and what may be tried.
pub(super) fn meaning(error: &Error) -> (ErrorKind, Trouble) {
    let Some(state) = error.code() else {
        // Input or output, or closed: what was under way may have been done.
        return (ErrorKind::Unavailable, Trouble::Unknown);
    };
    let again = [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        // A pooler gave us another session than the one that prepared the statement, or the schema has moved on.
        SqlState::INVALID_SQL_STATEMENT_NAME,
        SqlState::DUPLICATE_PSTATEMENT,
        // It starts up: worth the wait.
        SqlState::CANNOT_CONNECT_NOW,
    ];
    let away = [
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::READ_ONLY_SQL_TRANSACTION,
        SqlState::DISK_FULL,
        SqlState::OUT_OF_MEMORY,
    ];
    let unknown = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::DATABASE_DROPPED,
        SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN,
        SqlState::CONNECTION_FAILURE,
        SqlState::CONNECTION_EXCEPTION,
        SqlState::TRANSACTION_RESOLUTION_UNKNOWN,
    ];
    let busy = [SqlState::QUERY_CANCELED, SqlState::LOCK_NOT_AVAILABLE];
    let foreign = [SqlState::UNDEFINED_TABLE, SqlState::UNDEFINED_COLUMN, SqlState::DATATYPE_MISMATCH];
    let refused = [
        SqlState::INVALID_PASSWORD,
        SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
        SqlState::INVALID_CATALOG_NAME,
        SqlState::INSUFFICIENT_PRIVILEGE,
    ];
    if again.contains(state) {
        (ErrorKind::Unavailable, Trouble::Again)
    } else if away.contains(state) {
        (ErrorKind::Unavailable, Trouble::Away)
    } else if unknown.contains(state) {
        (ErrorKind::Unavailable, Trouble::Unknown)
    } else if busy.contains(state) {
        (ErrorKind::Busy, Trouble::Final)
    } else if foreign.contains(state) {
        (ErrorKind::Corrupt, Trouble::Final)
    } else if refused.contains(state) {
        (ErrorKind::Unavailable, Trouble::Final)
    } else {
        (ErrorKind::Internal, Trouble::Final)
    }
}
