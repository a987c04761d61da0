//! Where the servers of a test keep things: in a file for one node, or in PostgreSQL for two.

use hallpass_core::secret::SecretString;
use hallpass_store::{
    PostgresSettings, PostgresStore, Schema, Store, StoreError,
    sqlite::{SqliteSettings, SqliteStore},
};
use hallpass_testkit::postgres::{Cluster, Database};
use std::{fs, path::PathBuf, sync::Arc};

/// What places are made on.
#[derive(Clone)]
pub enum Backend {
    Sqlite,
    Postgres(Arc<Cluster>),
}

impl Backend {
    /// An empty place. The file is in memory where there is such a folder, because what is tested here is not the
    /// disk.
    pub async fn place(&self) -> Place {
        match self {
            Self::Sqlite => {
                let memory = PathBuf::from("/dev/shm");
                let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
                Place::Folder(folder.unwrap())
            }
            Self::Postgres(cluster) => Place::Database(Box::new(cluster.database().await)),
        }
    }
}

/// A place for stores.
pub enum Place {
    Folder(tempfile::TempDir),
    Database(Box<Database>),
}

impl Place {
    fn file(&self, name: &str) -> Option<PathBuf> {
        match self {
            Self::Folder(folder) => Some(folder.path().join(name)),
            Self::Database(_) => None,
        }
    }

    /// One store for each node.
    pub async fn open(&self) -> Vec<Arc<dyn Store>> {
        match self {
            Self::Folder(folder) => {
                let file = folder.path().join("hallpass.sqlite");
                vec![Arc::new(SqliteStore::open(&file, SqliteSettings::default()).unwrap())]
            }
            Self::Database(database) => {
                vec![Arc::new(database.store().await), Arc::new(database.store().await)]
            }
        }
    }

    /// A store as a program has it that knows this schema.
    pub async fn open_as(&self, schema: Schema) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::Folder(folder) => {
                let settings = SqliteSettings { schema, ..SqliteSettings::default() };
                Arc::new(SqliteStore::open(&folder.path().join("hallpass.sqlite"), settings)?)
            }
            Self::Database(database) => {
                let url = SecretString::new(&database.url);
                let settings = PostgresSettings { connections: 16, schema, ..PostgresSettings::new(url) };
                Arc::new(PostgresStore::open(settings).await?)
            }
        })
    }

    /// Whether an old copy can be put back: of a file, by the test itself.
    pub fn can_copy(&self) -> bool {
        matches!(self, Self::Folder(_))
    }

    /// Keeps a copy; nothing is running.
    pub fn copy(&self) {
        let [file, log, copy] =
            ["hallpass.sqlite", "hallpass.sqlite-wal", "copy"].map(|name| self.file(name).unwrap());
        assert!(!log.exists(), "a closed store has no log");
        fs::copy(file, copy).unwrap();
    }

    /// Puts the copy back; nothing is running.
    pub fn restore(&self) {
        fs::copy(self.file("copy").unwrap(), self.file("hallpass.sqlite").unwrap()).unwrap();
    }
}
