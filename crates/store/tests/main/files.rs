//! Files that are damaged, foreign, newer, or in use: each is one sentence that names the fix.

use hallpass_store::{ErrorKind, Schema, SqliteSettings, SqliteStore, StoreError, contract::Story};
use std::{error::Error as _, path::PathBuf, sync::Arc, time::Instant};
use tempfile::TempDir;

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hallpass.db");
    (folder, path)
}

fn refusal(path: &std::path::Path) -> (ErrorKind, String) {
    let error = SqliteStore::open(path, SqliteSettings::default()).unwrap_err();
    let cause = error.source().unwrap().to_string();
    (error.kind(), cause)
}

#[test]
fn a_file_of_random_bytes_is_corrupt_and_left_as_it_is() {
    let (_folder, path) = folder();
    let noise: Vec<u8> = (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    std::fs::write(&path, &noise).unwrap();
    let (kind, cause) = refusal(&path);
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(cause.contains("restore a backup"), "{cause}");
    assert_eq!(std::fs::read(&path).unwrap(), noise);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_damaged_inside_is_corrupt_when_it_is_read() {
    let (_folder, path) = folder();
    let store = Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
    let story = Story::begin(store.clone()).await;
    for _ in 0..500 {
        story.open().await;
    }
    hallpass_store::Maintenance::close(&*store).await.unwrap();
    drop((story, store));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 * 2..].fill(0x5A);
    std::fs::write(&path, bytes).unwrap();
    let read = async || -> Result<(), StoreError> {
        let store = SqliteStore::open(&path, SqliteSettings::default())?;
        hallpass_store::People::person_by_name(&store, "ada".into()).await.map(|_| ())
    };
    assert_eq!(read().await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    let (_folder, path) = folder();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
    drop(other);
    let before = std::fs::read(&path).unwrap();
    let (kind, cause) = refusal(&path);
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(cause.contains("another program"), "{cause}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[test]
fn a_database_of_a_newer_release_is_refused_with_both_numbers() {
    let (_folder, path) = folder();
    drop(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
    let newer = rusqlite::Connection::open(&path).unwrap();
    let known: u32 = newer.query_row("SELECT version FROM schema_version", [], |row| row.get(0)).unwrap();
    newer.execute_batch("UPDATE schema_version SET version = 7000, oldest = 6999").unwrap();
    drop(newer);
    let (kind, cause) = refusal(&path);
    assert_eq!(kind, ErrorKind::Corrupt);
    assert_eq!(
        cause,
        format!(
            "the database is of schema 7000, which releases that know schema 6999 can use, and this one knows up to \
             {known}: start the newer release, or restore a backup"
        )
    );
}

#[test]
fn t_103_a_command_does_not_upgrade_the_database_under_a_server() {
    let (_folder, path) = folder();
    let older = SqliteSettings { schema: Schema::made_up(4, &[]), ..SqliteSettings::default() };
    let server = SqliteStore::open(&path, older).unwrap();
    let command = SqliteSettings { exclusive: false, ..SqliteSettings::default() };
    let error = SqliteStore::open(&path, command).unwrap_err();
    assert_eq!(
        (error.kind(), error.source().unwrap().to_string().as_str()),
        (
            ErrorKind::Unavailable,
            "a server of an older release is using this folder: start it again with this release first"
        )
    );
    // What needs no upgrade is none of its business, and alone it may.
    drop(SqliteStore::open(&path, SqliteSettings { exclusive: false, ..older }).unwrap());
    drop(server);
    SqliteStore::open(&path, command).unwrap();
}

#[test]
fn a_second_server_on_the_same_folder_is_refused_until_the_first_ends() {
    let (folder, path) = folder();
    let first = SqliteStore::open(&path, SqliteSettings::default()).unwrap();
    let (kind, cause) = refusal(&path);
    assert_eq!(kind, ErrorKind::Unavailable);
    let expected = format!(
        "another hallpass server is using the folder {}: stop it, or choose another folder",
        folder.path().display()
    );
    assert_eq!(cause, expected);
    drop(first);
    SqliteStore::open(&path, SqliteSettings::default()).unwrap();
}

#[test]
fn a_folder_that_is_not_there_is_unavailable() {
    let (folder, _) = folder();
    let (kind, cause) = refusal(&folder.path().join("nowhere").join("hallpass.db"));
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(cause.contains("nowhere"), "{cause}");
}

#[test]
fn an_empty_file_left_by_a_crash_becomes_a_database() {
    let (_folder, path) = folder();
    std::fs::write(&path, b"").unwrap();
    SqliteStore::open(&path, SqliteSettings::default()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_folder_opens_within_milliseconds() {
    let (_folder, path) = folder();
    let story = Story::begin(Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap())).await;
    for _ in 0..1000 {
        story.open().await;
    }
    drop(story);
    // The best of a few: other tests run at the same time.
    let best = (0..10)
        .map(|_| {
            let begun = Instant::now();
            let store = SqliteStore::open(&path, SqliteSettings::default()).unwrap();
            let took = begun.elapsed();
            drop(store);
            took
        })
        .min();
    assert!(best.unwrap().as_millis() <= 10, "{best:?}");
}
