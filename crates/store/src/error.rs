//! One opaque error with a kind: callers decide by the kind, operators read the source chain.

use std::{error::Error as StdError, fmt};

/// What a caller may do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The queue is full or the store is shutting down: nothing happened, try later (503 with `Retry-After`).
    Busy,
    /// The outcome could not be learnt before the deadline: it may have happened, the same attempt may be run again.
    Unknown,
    /// Disk full, read-only disk, file gone.
    Unavailable,
    /// The file is not ours, is damaged, or was written by a newer release.
    Corrupt,
    /// A defect of ours.
    Internal,
}

/// A failed operation on the store.
pub struct StoreError {
    kind: ErrorKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// Without a cause from below.
    pub const fn new(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }

    /// With the cause from below.
    pub fn caused_by(kind: ErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// What a caller may do about it.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Debug for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreError({:?}, {:?})", self.kind, self.source)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ErrorKind::Busy => "the store is busy",
            ErrorKind::Unknown => "the outcome of a write is unknown",
            ErrorKind::Unavailable => "the store cannot be reached or written",
            ErrorKind::Corrupt => "the store is damaged, foreign, or from a newer release",
            ErrorKind::Internal => "an internal failure of the store",
        })
    }
}

impl StdError for StoreError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.source {
            Some(source) => Some(source.as_ref()),
            None => None,
        }
    }
}
