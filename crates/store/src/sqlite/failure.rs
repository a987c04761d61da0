//! From what SQLite says to what a caller may do about it.

use crate::{ErrorKind, StoreError};
use rusqlite::{Error, ffi::ErrorCode};

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
        let cause = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        Self { kind: error.kind(), cause }
    }
}

impl From<Error> for Shared {
    fn from(error: Error) -> Self {
        StoreError::from(error).into()
    }
}
