//! Where tokens are kept: one encrypted file, mode 0600, written whole and put in place by a rename.
//!
//! The folder holds `credentials` (the file), `credentials.key` (32 random bytes, mode 0600), `credentials.lock`
//! (held while the file is changed) and `refresh-NN.lock` (held while a token is refreshed). Locks are those of
//! the operating system: they end with the process that holds them, so there is no stale lock and no age to
//! guess. Names in the folder are fixed; nothing that a server says becomes part of a path.

mod entry;
mod file;
mod format;

pub use entry::{
    ClientCredentials, Contents, Entry, EntryKey, Registration, Renewal, Through, TokenAuth, Tokens,
};

use hallpass_core::{entropy::Entropy, time::Timestamp};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

/// Locks for refreshing: a fixed number, so that none ever has to be deleted. Two credentials on one number
/// wait for each other, nothing else.
const REFRESH_LOCKS: u8 = 16;

/// Why the kept credentials cannot be used. The path is the person's own.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The folder or a file in it cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Other people on this machine may read it (OAuth 2.1 §7.1).
    #[error("{path} can be read by others; run: chmod 600 {path}", path = .0.display())]
    Readable(PathBuf),
    /// The key is gone while the file is there.
    #[error(
        "{key} is missing, without it {file} cannot be opened; restore it, or delete {file} and sign in again",
        key = key.display(), file = file.display()
    )]
    KeyMissing {
        /// The missing key.
        key: PathBuf,
        /// The file that it opens.
        file: PathBuf,
    },
    /// Damaged, or sealed with another key.
    #[error("{path} is damaged or belongs to another key; delete it and sign in again", path = .0.display())]
    Unreadable(PathBuf),
    /// Something in it would not be read back.
    #[error("what the server answered cannot be kept; nothing was changed")]
    NotKept,
    /// Written by a newer release.
    #[error("{path} was written by a newer release of this program", path = .0.display())]
    Newer(PathBuf),
}

impl StorageError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }
}

/// The credentials of one person on one machine. Several processes may use one folder at the same time.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl Store {
    /// Names the folder; it is made when something is first kept.
    pub const fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The file that holds the credentials, to be shown to people.
    pub fn file(&self) -> PathBuf {
        self.folder.join("credentials")
    }

    fn key_file(&self) -> PathBuf {
        self.folder.join("credentials.key")
    }

    /// What is kept now. Blocks for file access.
    ///
    /// # Errors
    /// Every variant. Nothing kept yet is not an error.
    pub fn read(&self) -> Result<Contents, StorageError> {
        let path = self.file();
        let Some(sealed) = file::read_private(&path)? else { return Ok(Contents::default()) };
        let Some(key) = file::read_private(&self.key_file())? else {
            return Err(StorageError::KeyMissing { key: self.key_file(), file: path });
        };
        format::open(&key, &sealed).map_err(|broken| match broken {
            format::Broken::Damaged => StorageError::Unreadable(path),
            format::Broken::Newer => StorageError::Newer(path),
        })
    }

    /// Reads, changes and writes under the lock, and returns what `change` returned once it is on disk. Blocks
    /// for file access and while another process changes the file.
    ///
    /// # Errors
    /// Every variant; the file is then as before.
    pub fn update<T>(
        &self,
        now: Timestamp,
        entropy: &dyn Entropy,
        change: impl FnOnce(&mut Contents) -> T,
    ) -> Result<T, StorageError> {
        file::make_folder(&self.folder)?;
        let lock_path = self.folder.join("credentials.lock");
        let lock = Self::lock_file(&lock_path)?;
        lock.lock().map_err(StorageError::io(&lock_path))?;
        let mut contents = self.read()?;
        let before = contents.clone();
        let outcome = change(&mut contents);
        contents.prune(now);
        if contents != before {
            let key = file::read_or_make_key(&self.key_file(), entropy)?;
            let path = self.file();
            let sealed = format::seal(&key, &contents, entropy)
                .ok_or_else(|| StorageError::Unreadable(self.key_file()))?;
            // A server has a say in what is kept: nothing that it says may cost the sign-ins at all the others.
            if format::open(&key, &sealed).as_ref() != Ok(&contents) {
                return Err(StorageError::NotKept);
            }
            file::write_private(&path, &sealed, entropy)?;
        }
        // Held until here: the lock ends with the file handle.
        drop(lock);
        Ok(outcome)
    }

    /// Takes the right to refresh this credential, or `None` while another process or task has it.
    ///
    /// # Errors
    /// `Io`.
    pub fn try_refresh_lock(&self, key: &EntryKey) -> Result<Option<RefreshLock>, StorageError> {
        file::make_folder(&self.folder)?;
        let number = key.digest().first().map_or(0, |byte| byte % REFRESH_LOCKS);
        let path = self.folder.join(format!("refresh-{number:02}.lock"));
        let lock = Self::lock_file(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(RefreshLock { _file: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(StorageError::Io { path, source }),
        }
    }

    fn lock_file(path: &Path) -> Result<File, StorageError> {
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(false);
        file::private(&mut options);
        options.open(path).map_err(StorageError::io(path))
    }
}

/// The right to refresh one credential, until dropped or the process ends.
#[derive(Debug)]
pub struct RefreshLock {
    _file: File,
}

#[cfg(test)]
mod tests;
