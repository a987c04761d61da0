//! Files that are removed, replaced or have no room left, under a store that is used.

use super::*;
use crate::{
    Feed as _, GrantOpened, Grants as _, Maintenance as _, People as _, RevocationReason, Store,
    contract::Story,
};
use std::{fs, path::PathBuf};
use tempfile::TempDir;

struct Under {
    story: Story,
    store: Arc<SqliteStore>,
    path: PathBuf,
    folder: TempDir,
}

async fn under(settings: SqliteSettings) -> Under {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hallpass.db");
    let store = Arc::new(SqliteStore::open(&path, settings).unwrap());
    let shared: Arc<dyn Store> = Arc::<SqliteStore>::clone(&store);
    Under { story: Story::begin(shared).await, store, path, folder }
}

impl Under {
    /// Nothing is read or written, and the sentence has these words in it.
    async fn refuses(&self, words: &str) {
        // A reader that looked just before may not look for a moment.
        tokio::time::sleep(2 * Duration::from_millis(100)).await;
        let read = self.store.person_exists().await.unwrap_err();
        let written = self.story.store.grant_open(self.story.new_grant(), self.story.now).await.unwrap_err();
        for error in [read, written] {
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            assert!(format!("{error:?}").contains(words), "{error:?}");
        }
        assert_eq!(self.story.store.trouble(), Some(StoreTrouble::Moved));
    }

    /// Another store on a copy of what a crash would leave behind.
    fn after_a_crash(&self) -> (SqliteStore, TempDir) {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name();
            if !name.to_string_lossy().ends_with("-shm") {
                fs::copy(entry.path(), copy.path().join(name)).unwrap();
            }
        }
        let store = SqliteStore::open(&copy.path().join("hallpass.db"), SqliteSettings::default()).unwrap();
        (store, copy)
    }
}

#[tokio::test]
async fn as_218_t_97_a_database_that_is_moved_away_and_back_is_refused_meanwhile_and_loses_nothing() {
    let under = under(SqliteSettings::default()).await;
    let grant = under.story.open().await;
    let away = under.folder.path().join("away");
    for _ in 0..2 {
        fs::rename(&under.path, &away).unwrap();
        under.refuses("was removed while the server runs: put it back").await;
        fs::rename(&away, &under.path).unwrap();
        under.story.read(grant).await;
        under.story.open().await;
        assert_eq!(under.story.store.trouble(), None);
    }
}

#[tokio::test]
async fn as_218_t_97_what_is_committed_into_a_file_that_was_just_removed_is_never_answered_as_done() {
    let settings =
        SqliteSettings { unknown_deadline: Duration::from_millis(200), ..SqliteSettings::default() };
    let under = under(settings).await;
    let (path, away) = (under.path.clone(), under.folder.path().join("away"));
    let moving = {
        let (path, away) = (path.clone(), away.clone());
        under.store.enqueue(Lane::Fast, (Shape::Single, Need::Usual), move |_| {
            // After the look before the transaction.
            if path.exists() {
                fs::rename(&path, &away).unwrap();
            }
            Ok(())
        })
    };
    assert_eq!(moving.await.unwrap_err().kind(), ErrorKind::Unknown);
    fs::rename(&away, &path).unwrap();
    under.story.open().await;
}

#[tokio::test]
async fn as_218_t_97_a_backup_put_in_place_under_the_server_is_not_mixed_with_its_log() {
    let under = under(SqliteSettings::default()).await;
    let before = under.story.open().await;
    let copy = under.folder.path().join("backup");
    backup(&under.path, &copy).unwrap();
    let after = under.story.open().await;
    fs::rename(&copy, &under.path).unwrap();
    under.refuses("was replaced while the server runs").await;
    let (restored, _folder) = under.after_a_crash();
    assert!(restored.grant_read(before).await.unwrap().is_some());
    assert!(
        restored.grant_read(after).await.unwrap().is_none(),
        "the log of the other database was replayed"
    );
    under.store.close().await.unwrap();
    let reopened = SqliteStore::open(&under.path, SqliteSettings::default()).unwrap();
    assert!(reopened.grant_read(before).await.unwrap().is_some());
    assert!(reopened.grant_read(after).await.unwrap().is_none());
}

#[tokio::test]
async fn as_218_t_97_a_log_that_is_removed_costs_nothing_that_was_answered() {
    for end in ["-wal", "-shm"] {
        let under = under(SqliteSettings::default()).await;
        let grant = under.story.open().await;
        let mut name = under.path.clone().into_os_string();
        name.push(end);
        fs::remove_file(name).unwrap();
        under.refuses("restart the server").await;
        let (crashed, _folder) = under.after_a_crash();
        assert!(crashed.grant_read(grant).await.unwrap().is_some(), "{end}");
        under.store.close().await.unwrap();
        let restarted = SqliteStore::open(&under.path, SqliteSettings::default()).unwrap();
        assert!(restarted.grant_read(grant).await.unwrap().is_some(), "{end}");
    }
}

#[tokio::test]
async fn as_218_t_97_without_its_reserve_only_what_ends_something_is_written() {
    const SIZE: u64 = 1 << 20;
    let under = under(SqliteSettings { reserve: SIZE, ..SqliteSettings::default() }).await;
    let grant = under.story.open().await;
    let reserve = under.folder.path().join("hallpass.reserve");
    assert_eq!(fs::metadata(&reserve).unwrap().len(), SIZE);
    // A folder of its name: it is neither whole nor can it be made.
    fs::remove_file(&reserve).unwrap();
    fs::create_dir(&reserve).unwrap();
    let (story, now) = (&under.story, under.story.now);
    let refused = story.store.grant_open(story.new_grant(), now).await.unwrap_err();
    assert!(refused.kind() == ErrorKind::Unavailable && format!("{refused:?}").contains("make room"));
    let until = now.plus(Duration::from_hours(1));
    assert!(under.store.grant_revoke(grant, RevocationReason::Person, until, now).await.unwrap());
    assert_eq!(under.store.feed_after(0, 9).await.unwrap().entries.len(), 1);
    assert_eq!(under.story.store.trouble(), Some(StoreTrouble::Full));
    fs::remove_dir(&reserve).unwrap();
    let end = std::time::Instant::now() + Duration::from_mins(1);
    while under.store.grant_open(story.new_grant(), now).await.ok() != Some(GrantOpened::Opened) {
        assert!(std::time::Instant::now() < end, "it does not go on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(fs::metadata(&reserve).unwrap().len(), SIZE, "made again");
    assert_eq!(under.story.store.trouble(), None);
}
