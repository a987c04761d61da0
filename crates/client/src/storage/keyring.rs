//! The keyring of the system for a key that is new, where one really answers.

use super::key::{self, KeyCommand, KeyCommandError};
use hallpass_core::secret::{self, SecretString};
use std::{
    fmt, io,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// How long a keyring may take, all in all: one that has to be unlocked first, or does not answer, is none for a process whose
/// person waits for something else.
const PATIENCE: Duration = Duration::from_secs(5);

/// A keyring that may take a new key.
pub trait Keyring: fmt::Debug + Send + Sync {
    /// What brings the key from it. `None`: there is no keyring here.
    fn command(&self) -> Option<KeyCommand>;

    /// Puts the key, in hexadecimal digits, where that command finds it. Blocks, for `patience` at most.
    ///
    /// # Errors
    /// It was not put there, or that is not known.
    fn put(&self, key: &SecretString, patience: Duration) -> io::Result<()>;
}

/// The key that is in the keyring from now on, and what brings it. `None`: it does not keep one.
///
/// A key that lies there for this folder is taken, and never written over: a folder of the same path elsewhere (in a
/// container that shares the keyring, in a backup) may be sealed with it.
pub(super) fn keep(keyring: &dyn Keyring, fresh: &[u8]) -> Option<(Zeroizing<Vec<u8>>, KeyCommand)> {
    let until = Instant::now() + PATIENCE;
    let left = || until.saturating_duration_since(Instant::now());
    let command = keyring.command()?;
    match command.tried(left()) {
        Ok(kept) => return Some((kept, command)),
        // Nothing is there, or nobody answers.
        Err(KeyCommandError::Failed) => {}
        Err(
            KeyCommandError::Start(_)
            | KeyCommandError::Late
            | KeyCommandError::NotAKey
            | KeyCommandError::AnotherKey,
        ) => return None,
    }
    keyring.put(&key::text_of(fresh), left()).ok()?;
    let read = command.tried(left()).ok()?;
    secret::equal(&read, fresh).then_some((read, command))
}
