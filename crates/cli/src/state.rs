//! The folder that holds everything: the database and the master key.

use anyhow::{Context, bail};
use hallpass_core::{
    encoding,
    entropy::{self, SystemEntropy},
    seal::MasterKey,
    secret::{SecretBytes, SecretString},
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

    fn master_key_path(&self) -> PathBuf {
        self.path.join("master.key")
    }

    /// Reads the master keys, or makes the first one when there is no database yet. A database without its key is
    /// never given a new one: everything in it would be void, and the old key might still be found.
    pub fn master_keys(&self) -> anyhow::Result<Vec<MasterKey>> {
        let path = self.master_key_path();
        match fs::read_to_string(&path) {
            Ok(text) => {
                check_mode(&path)?;
                parse(&SecretString::new(text))
                    .with_context(|| format!("{} is damaged: put back a copy of it", path.display()))
            }
            Err(error) if error.kind() == ErrorKind::NotFound && self.database().exists() => bail!(
                "{} is missing, and the database beside it cannot be read without it: put back the copy that belongs to \
                 {}, or move that database away to start anew",
                path.display(),
                self.database().display()
            ),
            Err(error) if error.kind() == ErrorKind::NotFound => self.make_key(),
            Err(error) => Err(error).with_context(|| {
                format!("{} cannot be read: it must belong to the user who runs hallpass", path.display())
            }),
        }
    }

    fn make_key(&self) -> anyhow::Result<Vec<MasterKey>> {
        let path = self.master_key_path();
        let bytes = entropy::random::<32>(&SystemEntropy);
        let text = SecretString::new(format!("0 {}\n", encoding::base64url(&bytes)));
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let written = options.open(&path).and_then(|mut file| {
            file.write_all(text.expose().as_bytes())?;
            file.sync_all()
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
        Ok(vec![MasterKey { number: 0, bytes: SecretBytes::new(bytes) }])
    }
}

/// One key a line, `NUMBER BASE64URL`, the first one for what is new.
fn parse(text: &SecretString) -> anyhow::Result<Vec<MasterKey>> {
    let mut keys: Vec<MasterKey> = Vec::new();
    for line in text.expose().lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
    {
        let key = line.split_once(' ').and_then(|(number, key)| {
            let bytes = encoding::array_from_base64url(key.trim())?;
            Some(MasterKey { number: number.parse().ok()?, bytes: SecretBytes::new(bytes) })
        });
        let Some(key) = key else { bail!("a line is not a number and 43 characters of base64url") };
        if keys.iter().any(|other| other.number == key.number) {
            bail!("two keys have the number {}", key.number);
        }
        keys.push(key);
    }
    if keys.is_empty() {
        bail!("there is no key in it");
    }
    Ok(keys)
}

#[cfg(unix)]
fn check_mode(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(path)?.permissions().mode() & 0o077;
    if mode != 0 {
        bail!("{} can be read by others: run chmod 600 {}", path.display(), path.display());
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> anyhow::Result<()> {
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
        assert_eq!(made[0].bytes.expose(), read[0].bytes.expose());
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
    fn damaged_keys() {
        for bad in [
            "",
            "x",
            "0 short",
            "0 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n0 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(parse(&SecretString::new(bad)).is_err(), "{bad}");
        }
    }
}
