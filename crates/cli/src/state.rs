//! The folder that holds everything: the database and the master key.

mod key_file;
mod replace;

pub use key_file::{Happened, KeyFile};

use anyhow::{Context, bail};
use hallpass_core::{
    entropy::SystemEntropy,
    seal::MasterKeys,
    secret::SecretString,
    time::{Clock, SystemClock},
};
use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

/// The folder.
pub struct StateFolder {
    path: PathBuf,
}

impl StateFolder {
    /// Opens the folder, or makes it, readable by its owner only.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::DirBuilderExt;
            builder.mode(0o700);
        }
        builder.create(path).with_context(|| {
            format!(
                "the state folder {} cannot be made: choose a folder that you may write to with --state",
                path.display()
            )
        })?;
        Ok(Self { path: path.to_owned() })
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join("hallpass.sqlite")
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the master keys are, for people.
    pub fn key_path(&self) -> String {
        self.master_key_path().display().to_string()
    }

    /// Makes sure that `master.key` survives a power cut, however it came here: what is sealed under a key that was never on
    /// the disk is lost with it.
    #[cfg(unix)]
    pub fn sync_master_key(&self) -> anyhow::Result<()> {
        let path = self.master_key_path();
        match fs::File::open(&path).and_then(|file| file.sync_all()) {
            // A mounted secret is nobody's to write.
            Err(error)
                if error.kind() != ErrorKind::ReadOnlyFilesystem
                    && error.kind() != ErrorKind::InvalidInput =>
            {
                Err(error).with_context(|| format!("{} did not reach the disk", path.display()))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Files that are open for reading only cannot be synced here.
    #[cfg(not(unix))]
    pub fn sync_master_key(&self) -> anyhow::Result<()> {
        Ok(())
    }

    fn master_key_path(&self) -> PathBuf {
        self.path.join("master.key")
    }

    /// Whether there is a `master.key`, or something in its place.
    pub fn has_master_key(&self) -> bool {
        !matches!(self.master_key_path().try_exists(), Ok(false))
    }

    /// Takes away a `master.key` that was just made here, before anything was sealed under it.
    pub fn forget_made_key(&self) -> anyhow::Result<()> {
        let path = self.master_key_path();
        fs::remove_file(&path).with_context(|| format!("{} cannot be removed", path.display()))
    }

    /// Reads the master keys, or makes the first one when there is no database yet. A database without its key is
    /// never given a new one: everything in it would be void, and the old key might still be found.
    pub fn master_keys(&self) -> anyhow::Result<MasterKeys> {
        if !self.has_master_key() && !self.database().exists() {
            return self.make_key();
        }
        self.key_file().map(|file| file.master_keys())
    }

    /// Reads `master.key`. Never makes one.
    pub fn key_file(&self) -> anyhow::Result<KeyFile> {
        let path = self.master_key_path();
        match path.try_exists() {
            Ok(false) => bail!(
                "{} is missing, and the database cannot be read without it: put back the copy that belongs to \
                 the database of {}, or move that database away to start anew",
                path.display(),
                self.path.display()
            ),
            Ok(true) | Err(_) => read_key_file(&path),
        }
    }

    /// What tells whether `master.key` has changed: its text, and whether others may read it. `None` while it cannot be
    /// read.
    pub fn look_at_master_key(&self) -> Option<(SecretString, bool)> {
        let path = self.master_key_path();
        let text = fs::read_to_string(&path).ok().map(SecretString::new)?;
        Some((text, check_mode(&path).is_ok()))
    }

    /// Changes `master.key`, one after the other with whoever does so at the same time.
    pub fn change_key_file<T>(
        &self,
        change: impl FnOnce(&mut KeyFile) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let lock = self.path.join("master.key.lock");
        let lock = replace::private(OpenOptions::new().create(true).truncate(false).write(true))
            .open(&lock)
            .and_then(|lock| lock.lock().map(|()| lock))
            .with_context(|| {
                format!("{} cannot be written: run this as the user of the server", lock.display())
            })?;
        let mut file = self.key_file()?;
        let done = change(&mut file)?;
        replace::replace(&self.master_key_path(), &file.text())?;
        drop(lock);
        Ok(done)
    }

    fn make_key(&self) -> anyhow::Result<MasterKeys> {
        let path = self.master_key_path();
        let first = KeyFile::first(&SystemEntropy, SystemClock.now());
        let made = replace::private(OpenOptions::new().write(true).create_new(true)).open(&path);
        let written = made.and_then(|mut file| {
            let written = file.write_all(first.text().expose().as_bytes()).and_then(|()| file.sync_all());
            if written.is_err() {
                // Half a key is worse than none: the next start would call it damaged.
                let _ = fs::remove_file(&path);
            }
            written
        });
        if let Err(error) = written {
            // Made by us and not whole: the next start would take it for a damaged one.
            if error.kind() != ErrorKind::AlreadyExists {
                drop(fs::remove_file(&path));
            }
            return Err(error).with_context(|| {
                format!(
                    "{} cannot be written: make room there, or choose a folder that you may write to with --state",
                    path.display()
                )
            });
        }
        fs::File::open(&self.path).and_then(|folder| folder.sync_all()).ok();
        Ok(first.master_keys())
    }
}

/// Reads a file of master keys that nobody else may read.
pub fn read_key_file(path: &Path) -> anyhow::Result<KeyFile> {
    let text = fs::read_to_string(path).map(SecretString::new).with_context(|| {
        format!("{} cannot be read: it must belong to the user who runs hallpass", path.display())
    })?;
    check_mode(path)?;
    KeyFile::parse(&text).with_context(|| format!("{} is damaged: put back a copy of it", path.display()))
}

/// Refuses a file that others may read.
#[cfg(unix)]
pub fn check_mode(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path)?.permissions().mode() & 0o077;
    if mode != 0 {
        bail!("{} can be read by others: run chmod 600 {}", path.display(), path.display());
    }
    Ok(())
}

/// Nothing to look at here.
#[cfg(not(unix))]
pub fn check_mode(_: &Path) -> anyhow::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_for_its_owner() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(&folder.path().join("state")).unwrap();
        let made = state.master_keys().unwrap();
        let read = state.master_keys().unwrap();
        assert_eq!(made.keys[0].bytes.expose(), read.keys[0].bytes.expose());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = folder.path().join("state/master.key");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
            assert!(state.master_keys().unwrap_err().to_string().contains("chmod 600"));
        }
    }

    #[test]
    fn a_lost_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(folder.path()).unwrap();
        state.master_keys().unwrap();
        fs::write(state.database(), "").unwrap();
        fs::remove_file(folder.path().join("master.key")).unwrap();
        assert!(state.master_keys().unwrap_err().to_string().contains("put back the copy"));
    }

    #[test]
    fn two_changes_at_once_are_both_kept() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(folder.path()).unwrap();
        state.master_keys().unwrap();
        let made = std::thread::scope(|scope| {
            let add = || state.change_key_file(|file| file.add(&SystemEntropy, SystemClock.now())).unwrap();
            let adding: Vec<_> = (0..16).map(|_| scope.spawn(add)).collect();
            let mut made: Vec<u8> = adding.into_iter().map(|one| one.join().unwrap()).collect();
            made.sort_unstable();
            made
        });
        assert_eq!(made, (1..=16).collect::<Vec<u8>>());
        assert_eq!(state.key_file().unwrap().numbers(), (0..=16).collect::<Vec<u8>>());
        let refused: anyhow::Result<()> = state.change_key_file(|_| bail!("no"));
        assert!(refused.is_err() && state.key_file().unwrap().numbers().len() == 17);
    }

    #[test]
    fn what_changed_about_the_file_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateFolder::open(folder.path()).unwrap();
        assert!(state.look_at_master_key().is_none());
        state.master_keys().unwrap();
        let before = state.look_at_master_key().unwrap();
        assert!(before.1 && state.look_at_master_key().unwrap() == before);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = folder.path().join("master.key");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
            assert!(!state.look_at_master_key().unwrap().1);
        }
    }
}
