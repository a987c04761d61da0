//! What a restart keeps: everything that was answered.

use super::open;
use hallpass_store::{
    GrantOpened, GrantRotated, Revoked, SqliteSettings, SqliteStore,
    contract::{Story, minutes},
};
use std::sync::Arc;

/// Dropped without being closed, and opened again.
fn restarted(story: Story, folder: &tempfile::TempDir) -> Story {
    let Story { store, person, now, windows } = story;
    drop(store);
    Story { store: Arc::new(open(folder)), person, now, windows }
}

/// CVE-2026-9802: what was retired before a restart is retired after it.
#[tokio::test(flavor = "multi_thread")]
async fn as_142_t_21_a_retired_token_is_reuse_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let story = Story::begin(Arc::new(open(&folder))).await;
    let id = story.open().await;
    for presented in 0..3 {
        story.rotate(id, presented).await;
    }
    let mut story = restarted(story, &folder);
    assert_eq!(story.rotate(id, 1).await, GrantRotated::Reused);
    assert!(story.revoke(id).await);
    story = restarted(story, &folder);
    assert_eq!(story.rotate(id, 3).await, GrantRotated::Revoked);
    let page = story.store.feed_after(0, 10).await.unwrap();
    assert_eq!(page.entries[0].what, Revoked::Grant(id));
}

/// A clock that was set back or forward at the restart revives nothing.
#[tokio::test(flavor = "multi_thread")]
async fn as_142_a_clock_change_revives_no_retired_token() {
    let folder = tempfile::tempdir().unwrap();
    let mut story = Story::begin(Arc::new(open(&folder))).await;
    let id = story.open().await;
    story.rotate(id, 0).await;
    story.rotate(id, 1).await;
    for now in [story.now.minus(minutes(600_000)), story.now.plus(minutes(600_000))] {
        story = restarted(story, &folder);
        story.now = now;
        assert_eq!(story.rotate(id, 0).await, GrantRotated::Reused);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_21_a_code_is_a_replay_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let story = Story::begin(Arc::new(open(&folder))).await;
    let grant = story.new_grant();
    story.store.grant_open(grant.clone(), story.now).await.unwrap();
    let story = restarted(story, &folder);
    let again = hallpass_store::NewGrant { attempt: story.new_grant().attempt, ..grant };
    assert_eq!(story.store.grant_open(again, story.now).await.unwrap(), GrantOpened::Replayed);
}

/// The database is copied while it is used, the copy is put in its place, and honest people stay signed in.
#[tokio::test(flavor = "multi_thread")]
async fn as_142_t_21_a_restored_backup_moves_forward_and_still_knows_reuse() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let story = Story::begin(Arc::new(open(&folder))).await;
    let id = story.open().await;
    story.rotate(id, 0).await;
    let copy = backup.path().join("hallpass.db");
    rusqlite::Connection::open(folder.path().join("hallpass.db"))
        .unwrap()
        .backup("main", &copy, None::<fn(rusqlite::backup::Progress)>)
        .unwrap();
    for presented in 1..5 {
        story.rotate(id, presented).await;
    }
    let story =
        Story { store: Arc::new(SqliteStore::open(&copy, SqliteSettings::default()).unwrap()), ..story };
    assert_eq!(story.rotate(id, 5).await, GrantRotated::StoreWentBack { generation: 6 });
    assert_eq!(story.rotate(id, 4).await, GrantRotated::Reused);
}
