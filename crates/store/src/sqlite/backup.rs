//! A copy of the database in one file, while a server may be writing.

use super::{SqliteSettings, connection};
use crate::{ErrorKind, StoreError};
use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};
use std::{fs, io, path::Path};

/// Pages at a time: 4 MiB.
const SLICE: i32 = 1024;

/// Writes what is kept at this moment to `to`, a new file that only its owner reads, and answers its size in bytes when
/// it is on the disk. A server goes on meanwhile.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when there is no database, or the file exists or cannot be written.
pub fn backup(path: &Path, to: &Path) -> Result<u64, StoreError> {
    in_slices(path, to, SLICE, || {})
}

/// `between` is called after each slice.
fn in_slices(path: &Path, to: &Path, slice: i32, between: impl FnMut()) -> Result<u64, StoreError> {
    let refused = |text: String| StoreError::caused_by(ErrorKind::Unavailable, text);
    if !path.exists() {
        return Err(refused(format!("there is no database at {}", path.display())));
    }
    if to.exists() {
        return Err(refused(format!("{} exists: choose another name", to.display())));
    }
    // Whoever finds the name finds a whole backup.
    let mut partial = to.as_os_str().to_owned();
    partial.push(".partial");
    let partial = Path::new(&partial);
    let failed = |error: io::Error| refused(format!("{} cannot be written: {error}", to.display()));
    match fs::remove_file(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    let size = write(path, partial, slice, between).and_then(|()| {
        let file = fs::File::open(partial).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(partial, to).map_err(failed)?;
        sync_folder(to).map_err(failed)?;
        Ok(file.metadata().map_err(failed)?.len())
    });
    if size.is_err() {
        // What is left of it is of no use to anybody.
        drop(fs::remove_file(partial));
    }
    size
}

fn write(path: &Path, to: &Path, slice: i32, mut between: impl FnMut()) -> Result<(), StoreError> {
    let source = connection::reader(path, &SqliteSettings::default())?;
    connection::create(to)?;
    let mut target = Connection::open(to)?;
    // A snapshot: without it, each commit of the server would make the backup begin again, and a busy server would never
    // let it end.
    source.execute_batch("BEGIN")?;
    source.query_row("SELECT count(*) FROM schema_version", [], |_| Ok(()))?;
    let backup = Backup::new(&source, &mut target)?;
    while backup.step(slice)? == StepResult::More {
        between();
    }
    drop(backup);
    let mode: String = target.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
    let sound: String = target.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if mode != "delete" || sound != "ok" {
        let text = format!("the backup is not sound ({sound}): the database itself may be damaged");
        return Err(StoreError::caused_by(ErrorKind::Corrupt, text));
    }
    Ok(())
}

fn sync_folder(of: &Path) -> io::Result<()> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{SqliteStore, Store, contract::Story};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_backup_ends_though_a_server_commits_all_the_time_and_holds_one_moment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hallpass.sqlite");
        let to = folder.path().join("copy.sqlite");
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
        let grant = Story::begin(Arc::clone(&store)).await.open().await;
        let server = Connection::open(&path).unwrap();
        let mut commits = 0;
        let size = in_slices(&path, &to, 1, || {
            commits += 1;
            assert!(commits < 1000, "it begins again after each commit");
            server.execute("UPDATE feed SET n = n + 1", []).unwrap();
        })
        .unwrap();
        assert!(commits > 5);
        assert_eq!(size, fs::metadata(&to).unwrap().len());
        let backed_up = Connection::open(&to).unwrap();
        let n: i64 = backed_up.query_row("SELECT n FROM feed", [], |row| row.get(0)).unwrap();
        assert_eq!(n, 0, "of the moment when it began");
        drop(backed_up);
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&to).unwrap().permissions()) & 0o777,
            0o600
        );
        let again = backup(&path, &to).unwrap_err();
        assert!(format!("{again:?}").contains("choose another name"), "{again:?}");
        let settings = SqliteSettings { exclusive: false, ..SqliteSettings::default() };
        let restored = SqliteStore::open(&to, settings).unwrap();
        assert!(crate::Grants::grant_read(&restored, grant).await.unwrap().is_some());
    }
}
