//! From what SQLite says to what a caller may do about it.

use crate::{ErrorKind, StoreError};
use rusqlite::{Error, ffi::ErrorCode};
use std::{error::Error as _, path::Path};

impl From<Error> for StoreError {
    fn from(error: Error) -> Self {
        Self::caused_by(kind_of(&error), error)
    }
}

#[allow(
    clippy::wildcard_enum_match_arm,
    reason = "both enums are open; what is not named is a defect of ours"
)]
fn kind_of(error: &Error) -> ErrorKind {
    match error {
        Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => ErrorKind::Busy,
            ErrorCode::DiskFull
            | ErrorCode::ReadOnly
            | ErrorCode::CannotOpen
            | ErrorCode::SystemIoFailure
            | ErrorCode::PermissionDenied
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::NoLargeFileSupport
            | ErrorCode::OutOfMemory => ErrorKind::Unavailable,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => ErrorKind::Corrupt,
            _ => ErrorKind::Internal,
        },
        // Every column has its type by STRICT and its length by us: another value was not written by us.
        Error::FromSqlConversionFailure(..)
        | Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..) => ErrorKind::Corrupt,
        _ => ErrorKind::Internal,
    }
}

/// The disk is full, and it is certain that nothing of the transaction was kept: a commit that runs out of room
/// never writes the frame that makes it valid. Any other failed commit is unknown.
pub(super) fn is_full(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
}

/// The same of what a command keeps.
pub(super) fn says_full(error: &StoreError) -> bool {
    error.source().and_then(|source| source.downcast_ref()).is_some_and(is_full)
}

/// Somebody else holds a lock, and the connection is in order.
pub(super) fn is_busy(error: &Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

/// A database that cannot be opened, in one sentence that names the fix.
pub(super) fn sentence(error: StoreError, path: &Path) -> StoreError {
    let code = error.source().and_then(|source| source.downcast_ref::<Error>()?.sqlite_error_code());
    let text = match (error.kind(), code) {
        (ErrorKind::Corrupt, Some(_)) => {
            "the file is not a database, or it is damaged: choose another path, or restore a backup".into()
        }
        (ErrorKind::Unavailable, Some(ErrorCode::DiskFull)) => "its disk is full: make room".into(),
        (ErrorKind::Unavailable, Some(ErrorCode::ReadOnly)) => {
            "it can only be read: make it and its folder writable \
             for the user who runs hallpass"
                .into()
        }
        (ErrorKind::Unavailable, Some(_)) => {
            format!(
                "{}: make room if its disk is full, and see that the user who runs hallpass may write to {}",
                cause(&error),
                path.display()
            )
        }
        _ => return error,
    };
    StoreError::caused_by(error.kind(), text)
}

fn cause(error: &StoreError) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// A failure of one for all of a batch: the kind, and the text of the cause.
#[derive(Clone, Debug)]
pub(super) struct Shared {
    pub kind: ErrorKind,
    pub cause: String,
}

impl Shared {
    /// One copy for one caller.
    pub fn copy(&self) -> StoreError {
        StoreError::caused_by(self.kind, self.cause.clone())
    }

    /// The same cause under another kind.
    pub fn as_kind(&self, kind: ErrorKind) -> Self {
        Self { kind, cause: self.cause.clone() }
    }
}

impl From<StoreError> for Shared {
    fn from(error: StoreError) -> Self {
        Self { kind: error.kind(), cause: cause(&error) }
    }
}

impl From<Error> for Shared {
    fn from(error: Error) -> Self {
        StoreError::from(error).into()
    }
}
