//! One opaque error with a kind: callers decide by the kind, operators read the source chain.

use std::{
    error::Error as StdError,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

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

/// Failures of this process, in the order of [`ErrorKind::ALL`]: whoever watches it sees them whatever the caller did.
static COUNTS: [AtomicU64; 5] = [const { AtomicU64::new(0) }; 5];

impl ErrorKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Busy, Self::Unknown, Self::Unavailable, Self::Corrupt, Self::Internal];

    /// For numbers and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::Unknown => "unknown",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
            Self::Internal => "internal",
        }
    }

    /// How often it happened in this process.
    pub fn count(self) -> u64 {
        self.counter().map_or(0, |count| count.load(Ordering::Relaxed))
    }

    fn counted(self) -> Self {
        if let Some(count) = self.counter() {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self
    }

    fn counter(self) -> Option<&'static AtomicU64> {
        let at = Self::ALL.iter().position(|kind| *kind == self)?;
        COUNTS.get(at)
    }
}

/// A failed operation on the store.
pub struct StoreError {
    kind: ErrorKind,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl StoreError {
    /// Without a cause from below.
    pub fn new(kind: ErrorKind) -> Self {
        Self { kind: kind.counted(), source: None }
    }

    /// With the cause from below.
    pub fn caused_by(kind: ErrorKind, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind: kind.counted(), source: Some(source.into()) }
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
