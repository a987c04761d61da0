//! Putting another `master.key` in the place of the one that is there: whole or not at all, and nobody else reads it.

use anyhow::Context;
use hallpass_core::secret::SecretString;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    path::Path,
};

/// Writes the text beside the file, to the disk, and moves it over the file. Whatever fails on the way, and whenever the
/// machine stops, the file is either what it was or what it becomes.
pub fn replace(file: &Path, text: &SecretString) -> anyhow::Result<()> {
    // Where the name is a link, as to a mounted secret, what it leads to is replaced.
    let file = fs::canonicalize(file).with_context(|| format!("{} cannot be found", file.display()))?;
    let beside = file.with_extension("key.new");
    let done = write_beside(&file, &beside, text).and_then(|()| fs::rename(&beside, &file));
    if done.is_err() {
        let _ = fs::remove_file(&beside);
    }
    done.with_context(|| {
        format!(
            "{} was not changed: its folder has to be writable and to have room; where something else manages the file, \
             change it there",
            file.display()
        )
    })?;
    // The name is in the folder, which is a file of its own.
    if let Some(folder) = file.parent() {
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(|| {
            format!("{} is changed, but may be what it was if the machine stops now", file.display())
        })?;
    }
    Ok(())
}

fn write_beside(file: &Path, beside: &Path, text: &SecretString) -> io::Result<()> {
    // What a run before left when the machine stopped.
    match fs::remove_file(beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut new = private(OpenOptions::new().write(true).create_new(true)).open(beside)?;
    keep_owner(file, &new)?;
    new.write_all(text.expose().as_bytes())?;
    new.sync_all()
}

/// A command that root runs must not take the key away from the user whom the server runs as.
#[cfg(unix)]
fn keep_owner(file: &Path, new: &File) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let (before, now) = (fs::metadata(file)?, new.metadata()?);
    if (before.uid(), before.gid()) == (now.uid(), now.gid()) {
        return Ok(());
    }
    fchown(new, Some(before.uid()), Some(before.gid()))
}

#[cfg(not(unix))]
fn keep_owner(_: &Path, _: &File) -> io::Result<()> {
    Ok(())
}

/// For its owner only.
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> SecretString {
        SecretString::new(text)
    }

    #[test]
    fn the_file_is_replaced_whole_for_its_owner_only_and_a_left_over_is_no_hindrance() {
        let folder = tempfile::tempdir().unwrap();
        let (file, beside) = (folder.path().join("master.key"), folder.path().join("master.key.new"));
        assert!(replace(&file, &text("new\n")).is_err(), "there is nothing to replace");
        fs::write(&file, "old\n").unwrap();
        fs::write(&beside, "half of a ke").unwrap();
        replace(&file, &text("new\n")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new\n");
        assert!(!beside.exists());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn t_97_what_cannot_be_written_leaves_the_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        fs::write(&file, "old\n").unwrap();
        // A folder in the way stands for every failure of the write, also for those who may write everywhere.
        fs::create_dir(folder.path().join("master.key.new")).unwrap();
        let error = format!("{:#}", replace(&file, &text("secret\n")).unwrap_err());
        assert!(error.contains("was not changed") && !error.contains("secret"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "old\n");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, real) = (folder.path().join("master.key"), folder.path().join("secret.key"));
        fs::write(&real, "old\n").unwrap();
        std::os::unix::fs::symlink(&real, &file).unwrap();
        replace(&file, &text("new\n")).unwrap();
        assert!(fs::symlink_metadata(&file).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new\n");
    }
}
