//! Files that only their owner may read, written whole or not at all.

use super::{StorageError, key::LENGTH};
use hallpass_core::{
    encoding::base64url,
    entropy::{Entropy, random},
};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};
use zeroize::Zeroizing;

/// More than any number of entries needs; a file beyond it is not ours.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// New files are for the owner only.
pub(super) fn private(options: &mut OpenOptions) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    #[cfg(not(unix))]
    let _ = options; // The profile folder's access list already is for the owner only.
}

/// The folder and those above it, for the owner only where they are new.
pub(super) fn make_folder(folder: &Path) -> Result<(), StorageError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(folder).map_err(StorageError::io(folder))
}

/// A file that only its owner may read.
pub(super) struct Private {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// Whether whoever runs this program is the owner.
    pub(super) is_ours: bool,
}

/// The bytes of a file that only its owner may read, or `None` where there is none.
pub(super) fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, StorageError> {
    Ok(read_with_owner(path)?.map(|file| file.bytes))
}

/// The same, and whose it is.
pub(super) fn read_with_owner(path: &Path) -> Result<Option<Private>, StorageError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io(path)(error)),
    };
    let metadata = file.metadata().map_err(StorageError::io(path))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if metadata.permissions().mode() & 0o077 != 0 {
            return Err(StorageError::Readable(path.to_owned()));
        }
    }
    if metadata.len() > MAX_FILE {
        return Err(StorageError::Unreadable(path.to_owned()));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(StorageError::io(path))?;
    Ok(Some(Private { bytes, is_ours: is_ours(&metadata) }))
}

#[cfg(unix)]
fn is_ours(metadata: &fs::Metadata) -> bool {
    std::os::unix::fs::MetadataExt::uid(metadata) == rustix::process::geteuid().as_raw()
}

/// The profile folder's access list says it.
#[cfg(not(unix))]
const fn is_ours(_: &fs::Metadata) -> bool {
    true
}

/// Written beside, made durable, then renamed over the old one: after a crash there is the old file or the new
/// one, never half of one.
pub(super) fn write_private(path: &Path, bytes: &[u8], entropy: &dyn Entropy) -> Result<(), StorageError> {
    let temporary = path.with_extension(format!("{}.tmp", base64url(&random::<9>(entropy))));
    let written = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&temporary);
        return Err(StorageError::io(path)(error));
    }
    sync_folder_of(path).map_err(StorageError::io(path))
}

/// The key, made on first use. The caller holds the lock, so that two first uses cannot make two keys.
pub(super) fn make_key(path: &Path, entropy: &dyn Entropy) -> Result<Zeroizing<Vec<u8>>, StorageError> {
    let key = new_key(entropy);
    write_private(path, &key, entropy)?;
    Ok(key)
}

/// A key that is nowhere yet.
pub(super) fn new_key(entropy: &dyn Entropy) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(random::<LENGTH>(entropy).to_vec())
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    private(&mut options);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The rename itself is only durable once the folder is.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}
