//! Where tokens are kept: one encrypted file, mode 0600, written whole and put in place by a rename.
//!
//! The folder holds `credentials` (the file), `credentials.key` (32 random bytes, mode 0600, or where they are), `credentials.lock`
//! (held while the file is changed) and `refresh-NN.lock` (held while a token is refreshed). Locks are those of
//! the operating system: they end with the process that holds them, so there is no stale lock and no age to
//! guess. Names in the folder are fixed; nothing that a server says becomes part of a path.

mod begun;
mod entry;
mod file;
mod format;
mod key;
mod keyring;

pub use begun::Begun;
pub(crate) use begun::LIFETIME;
pub(crate) use entry::Endpoints;
pub use entry::{
    ClientCredentials, Contents, Entry, EntryKey, MachineProof, Registration, Renewal, Through, TokenAuth,
    Tokens,
};
pub use key::{KeyCommand, KeyCommandError, KeyPlace};
pub use keyring::Keyring;

use hallpass_core::{
    entropy::Entropy,
    secret::{self, SecretString},
    time::Timestamp,
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};
use zeroize::Zeroizing;

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
    /// The key is somewhere else, and was not brought from there.
    #[error(
        "the key of the sign-ins is to come from `{command}`, which {source}; nothing is lost: where that works, such as in your \
         desktop session, `hallpass keyring off` brings the key into a file that every session can read"
    )]
    KeyAway {
        /// What was run.
        command: KeyCommand,
        /// What became of it.
        source: KeyCommandError,
    },
    /// The key is to go somewhere else, and does not come back from there.
    #[error("the key of the sign-ins is to come from `{command}`, which {source}")]
    KeyCommand {
        /// What was run.
        command: KeyCommand,
        /// What became of it.
        source: KeyCommandError,
    },
    /// Somebody else's word on what is to be run.
    #[error("{path} names a command and belongs to somebody else: nothing is run", path = .0.display())]
    Foreign(PathBuf),
    /// The key could not be put where it was to go.
    #[error("the key was not put into its new place: {0}; nothing was changed")]
    KeyNotMoved(io::Error),
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
    known: key::Known,
    keyring: Option<Arc<dyn Keyring>>,
    made: Arc<OnceLock<KeyPlace>>,
}

impl Store {
    /// Names the folder; it is made when something is first kept.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, known: key::Known::default(), keyring: None, made: Arc::default() }
    }

    /// With a keyring for the key of a folder that has none yet. A key that is somewhere already stays there.
    #[must_use]
    pub fn with_keyring(self, keyring: Arc<dyn Keyring>) -> Self {
        Self { keyring: Some(keyring), ..self }
    }

    /// Where this process put the key, if it made one.
    pub fn key_made(&self) -> Option<&KeyPlace> {
        self.made.get()
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that holds the credentials, to be shown to people.
    pub fn file(&self) -> PathBuf {
        self.folder.join("credentials")
    }

    /// The file beside it that is the key, or says where it is.
    pub fn key_file(&self) -> PathBuf {
        self.folder.join("credentials.key")
    }

    /// What is kept now. Blocks for file access.
    ///
    /// # Errors
    /// Every variant. Nothing kept yet is not an error.
    pub fn read(&self) -> Result<Contents, StorageError> {
        let Some(sealed) = file::read_private(&self.file())? else { return Ok(Contents::default()) };
        let key = self.key()?.ok_or_else(|| self.key_missing())?;
        self.open(&key, &sealed)
    }

    fn open(&self, key: &[u8], sealed: &[u8]) -> Result<Contents, StorageError> {
        format::open(key, sealed).map_err(|broken| match broken {
            format::Broken::Damaged => StorageError::Unreadable(self.file()),
            format::Broken::Newer => StorageError::Newer(self.file()),
        })
    }

    fn key_missing(&self) -> StorageError {
        StorageError::KeyMissing { key: self.key_file(), file: self.file() }
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
        let lock = self.lock()?;
        let mut contents = self.read()?;
        let before = contents.clone();
        let outcome = change(&mut contents);
        contents.prune(now);
        if contents != before {
            let key = match self.key()? {
                Some(key) => key,
                None => self.first_key(entropy)?,
            };
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

    /// Where the key is. Blocks for file access.
    ///
    /// # Errors
    /// `Io`, `Readable`.
    pub fn key_place(&self) -> Result<KeyPlace, StorageError> {
        let command = file::read_private(&self.key_file())?.and_then(|bytes| KeyCommand::read(&bytes));
        Ok(command.map_or(KeyPlace::File, KeyPlace::Command))
    }

    /// Has the key come from a command from now on, for all processes. `put` gets it first, in hexadecimal digits, to put it
    /// where the command finds it; the command has to print this very key before anything is changed. Blocks for all that.
    ///
    /// # Errors
    /// Every variant; the key then is where it was.
    pub fn move_key(
        &self,
        to: &KeyCommand,
        put: impl FnOnce(&SecretString) -> io::Result<()>,
        entropy: &dyn Entropy,
    ) -> Result<(), StorageError> {
        let lock = self.lock()?;
        let key = match self.key()? {
            Some(key) => key,
            // A file without its key is not to get another one.
            None if self.file().exists() => return Err(self.key_missing()),
            None => file::make_key(&self.key_file(), entropy)?,
        };
        put(&key::text_of(&key)).map_err(StorageError::KeyNotMoved)?;
        let printed = to.run().and_then(|printed| {
            if secret::equal(&printed, &key) { Ok(()) } else { Err(KeyCommandError::AnotherKey) }
        });
        printed.map_err(|source| StorageError::KeyCommand { command: to.clone(), source })?;
        file::write_private(&self.key_file(), to.written().as_bytes(), entropy)?;
        drop(lock);
        Ok(())
    }

    /// The key of a folder that has none. The caller holds the lock: of two first uses at once, the second finds the key of the
    /// first.
    fn first_key(&self, entropy: &dyn Entropy) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        let fresh = file::new_key(entropy);
        let kept = self.keyring.as_deref().and_then(|keyring| keyring::keep(keyring, &fresh));
        let (key, place) = if let Some((key, command)) = kept {
            file::write_private(&self.key_file(), command.written().as_bytes(), entropy)?;
            (key, KeyPlace::Command(command))
        } else {
            file::write_private(&self.key_file(), &fresh, entropy)?;
            (fresh, KeyPlace::File)
        };
        let _ = self.made.set(place);
        Ok(key)
    }

    /// Brings the key back into its file, or makes it there where none was made yet. `false`: it is there. Blocks for file access.
    ///
    /// # Errors
    /// Every variant; the key then is where it was.
    pub fn bring_key_back(&self, entropy: &dyn Entropy) -> Result<bool, StorageError> {
        let lock = self.lock()?;
        let (KeyPlace::Command(_), Some(key)) = (self.key_place()?, self.key()?) else {
            if !self.key_file().exists() && !self.file().exists() {
                file::make_key(&self.key_file(), entropy)?;
            }
            return Ok(false);
        };
        if let Some(sealed) = file::read_private(&self.file())? {
            self.open(&key, &sealed)?;
        }
        file::write_private(&self.key_file(), &key, entropy)?;
        drop(lock);
        Ok(true)
    }

    /// The key; `None` where none was made yet.
    fn key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
        let Some(file) = file::read_with_owner(&self.key_file())? else { return Ok(None) };
        match KeyCommand::read(&file.bytes) {
            None => Ok(Some(file.bytes)),
            // Whoever is talked into another one's folder would run their command.
            Some(_) if !file.is_ours => Err(StorageError::Foreign(self.key_file())),
            Some(command) => self.known.key(&command).map(Some),
        }
    }

    /// Keeps others from changing the file, until it is dropped.
    fn lock(&self) -> Result<File, StorageError> {
        file::make_folder(&self.folder)?;
        let path = self.folder.join("credentials.lock");
        let lock = Self::lock_file(&path)?;
        lock.lock().map_err(StorageError::io(&path))?;
        Ok(lock)
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
mod key_tests;
#[cfg(test)]
mod tests;
