//! A file that the configuration names.

use std::{
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::PathBuf,
};

/// One, and what was in it when it was read, which may be secret: of that only whether it is the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFile {
    path: PathBuf,
    held: u64,
}

impl NamedFile {
    /// As it was read.
    pub fn new(path: PathBuf, bytes: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        Self { path, held: hasher.finish() }
    }

    /// As it is now; nothing while it is away.
    pub fn again(&self) -> Option<Self> {
        let bytes = std::fs::read(&self.path).ok()?;
        Some(Self::new(self.path.clone(), &bytes))
    }
}
