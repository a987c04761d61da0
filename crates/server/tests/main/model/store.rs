//! Where a world keeps things: a folder in memory where there is one, because what is tested here is not the disk.

use hallpass_store::{
    Store,
    sqlite::{SqliteSettings, SqliteStore},
};
use std::{fs, path::PathBuf, sync::Arc};

/// A place for stores.
pub struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub fn sqlite() -> Self {
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { folder: folder.unwrap() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One store for each node.
    pub fn open(&self) -> Vec<Arc<dyn Store>> {
        let store = SqliteStore::open(&self.file("hallpass.sqlite"), SqliteSettings::default()).unwrap();
        vec![Arc::new(store)]
    }

    /// Keeps a copy; nothing is running.
    pub fn copy(&self) {
        assert!(!self.file("hallpass.sqlite-wal").exists(), "a closed store has no log");
        fs::copy(self.file("hallpass.sqlite"), self.file("copy")).unwrap();
    }

    /// Puts the copy back; nothing is running.
    pub fn restore(&self) {
        fs::copy(self.file("copy"), self.file("hallpass.sqlite")).unwrap();
    }
}
