//! The lock file: one server for one folder.

use crate::{ErrorKind, StoreError};
use std::{
    fs::{File, OpenOptions, TryLockError},
    path::Path,
};

/// Beside the database. It stays when the server ends; what counts is the lock, which the system lets go of even
/// when the process is killed.
const NAME: &str = "hallpass.lock";

/// Held as long as the store is open.
#[derive(Debug)]
pub(super) struct FolderLock {
    file: File,
}

impl Drop for FolderLock {
    // Closing is not enough: a child process that is just being started holds a copy of the descriptor until its
    // program is loaded, and the lock with it. Unlocking reaches all copies.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::warn!(?error, "the folder stays locked until this process ends");
        }
    }
}

/// Locks the folder of the database at `path`.
pub(super) fn lock_folder(path: &Path) -> Result<FolderLock, StoreError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    };
    let unavailable = |text: String| StoreError::caused_by(ErrorKind::Unavailable, text);
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(folder.join(NAME)).map_err(|error| {
        unavailable(format!(
            "the folder {} cannot be written: {error}: make it writable for the user who runs hallpass",
            folder.display()
        ))
    })?;
    match file.try_lock() {
        Ok(()) => Ok(FolderLock { file }),
        Err(TryLockError::WouldBlock) => Err(unavailable(format!(
            "another hallpass server is using the folder {}: stop it, or choose another folder",
            folder.display()
        ))),
        Err(TryLockError::Error(error)) => {
            Err(unavailable(format!("the folder {} cannot be locked: {error}", folder.display())))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_of_the_descriptor_does_not_keep_the_folder_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hallpass.db");
        let held = lock_folder(&path).unwrap();
        let copy = held.file.try_clone().unwrap();
        assert_eq!(lock_folder(&path).unwrap_err().kind(), ErrorKind::Unavailable);
        drop(held);
        lock_folder(&path).unwrap();
        drop(copy);
    }
}
