//! The writer when things go wrong: lost commits, full disks, full queues, panics.

#![allow(clippy::similar_names, clippy::as_conversions, reason = "a story is told about a store")]

use super::*;
use crate::{FirstPerson, GrantOpened, GrantRotated, Maintenance as _, People as _, Store, contract::Story};
use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Instant,
};
use tempfile::TempDir;

const USUAL: (Shape, Need) = (Shape::Single, Need::Usual);

fn open(settings: SqliteSettings) -> (Arc<SqliteStore>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Arc::new(SqliteStore::open(&folder.path().join("hallpass.db"), settings).unwrap()), folder)
}

async fn begin(settings: SqliteSettings) -> (Story, Arc<SqliteStore>, TempDir) {
    let (store, folder) = open(settings);
    let story = Story::begin(Arc::clone(&store) as Arc<dyn Store>).await;
    (story, store, folder)
}

/// Keeps the writer busy until the returned guard is dropped.
fn hold(store: &SqliteStore) -> std::sync::mpsc::Sender<()> {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (started, running) = std::sync::mpsc::channel();
    let (job, waiting) = Job::new(USUAL, move |_: &mut Connection| {
        started.send(()).unwrap();
        let _ = held.recv();
        Ok(())
    });
    // The caller's half is leaked into the thread, so that the command is not skipped.
    std::thread::spawn(move || drop(waiting.blocking_recv()));
    assert!(store.queue.push(Lane::Fast, Box::new(job)));
    running.recv().unwrap();
    release
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_run_again_and_reads_as_our_own() {
    let (story, store, _folder) = begin(SqliteSettings::default()).await;
    let cases = [
        (&store.faults.answers_lost, GrantRotated::Repeated { generation: 1 }),
        (&store.faults.commits_lost, GrantRotated::Rotated { generation: 1 }),
    ];
    for (lost, rotated) in cases {
        let grant = story.new_grant();
        lost.store(2, Ordering::SeqCst);
        store.faults.openings.store(1, Ordering::SeqCst);
        let answer = story.store.grant_open(grant.clone(), story.now).await.unwrap();
        assert_eq!(answer, GrantOpened::Opened, "not a replay");

        lost.store(1, Ordering::SeqCst);
        assert_eq!(story.rotate(grant.id, 0).await, rotated);
        assert_eq!(lost.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn an_outcome_not_learnt_before_the_deadline_is_unknown() {
    let settings =
        SqliteSettings { unknown_deadline: Duration::from_millis(200), ..SqliteSettings::default() };
    let (story, store, _folder) = begin(settings).await;
    let grant = story.new_grant();
    store.faults.answers_lost.store(1, Ordering::SeqCst);
    store.faults.openings.store(1000, Ordering::SeqCst);
    let begun = Instant::now();
    let error = story.store.grant_open(grant.clone(), story.now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unknown);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    let error = story.store.grant_open(story.new_grant(), story.now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "this one certainly did not happen");
    store.faults.openings.store(0, Ordering::SeqCst);
    let answer = story.store.grant_open(grant, story.now).await.unwrap();
    assert_eq!(answer, GrantOpened::Opened, "the same attempt, run again by the caller");
}

#[tokio::test]
async fn a_full_disk_is_unavailable_and_recovers() {
    let (story, store, _folder) = begin(SqliteSettings::default()).await;
    let existing = story.open().await;
    let pages = |count: u32| {
        store.enqueue(Lane::Fast, USUAL, move |connection| {
            let sql = format!("PRAGMA max_page_count = {count}");
            Ok(connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?)
        })
    };
    // Never below what is used already.
    pages(1).await.unwrap();
    let mut kinds = Vec::new();
    for _ in 0..100 {
        if let Err(error) = story.store.grant_open(story.new_grant(), story.now).await {
            kinds.push(error.kind());
        }
    }
    assert!(kinds.len() > 50, "{}", kinds.len());
    assert!(kinds.iter().all(|kind| *kind == ErrorKind::Unavailable), "{kinds:?}");
    assert_eq!(story.rotate(existing, 0).await, GrantRotated::Rotated { generation: 1 }, "needs no room");
    pages(1_000_000).await.unwrap();
    story.open().await;
}

#[tokio::test]
async fn a_full_queue_is_busy_at_once_and_those_who_wait_are_served() {
    let settings = SqliteSettings { queue_limit: 8, ..SqliteSettings::default() };
    let (story, store, _folder) = begin(settings).await;
    let release = hold(&store);
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let story = story.clone();
            tokio::spawn(async move { story.open().await })
        })
        .collect();
    tokio::task::yield_now().await;
    let begun = Instant::now();
    let error = story.store.grant_open(story.new_grant(), story.now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert!(begun.elapsed() < Duration::from_millis(100));
    drop(release);
    for task in waiting {
        task.await.unwrap();
    }
    story.open().await;
}

#[tokio::test]
async fn a_command_whose_caller_is_gone_before_it_starts_is_skipped() {
    let (store, _folder) = open(SqliteSettings::default());
    let release = hold(&store);
    let runs = Arc::new(AtomicU32::new(0));
    let count = |runs: &Arc<AtomicU32>| {
        let runs = runs.clone();
        store.enqueue(Lane::Fast, USUAL, move |_| Ok(runs.fetch_add(1, Ordering::SeqCst)))
    };
    let gone = tokio::time::timeout(Duration::from_millis(20), count(&runs)).await;
    assert!(gone.is_err());
    drop(release);
    assert_eq!(count(&runs).await.unwrap(), 0, "the first to run");
}

#[tokio::test]
async fn a_panic_costs_only_the_command_that_panicked() {
    let (story, store, _folder) = begin(SqliteSettings::default()).await;
    for shape in [Shape::Single, Shape::Several] {
        let release = hold(&store);
        let before = tokio::spawn({
            let story = story.clone();
            async move { story.open().await }
        });
        tokio::task::yield_now().await;
        let panicking = tokio::spawn({
            let store = store.clone();
            async move {
                let work = |connection: &mut Connection| -> Result<(), StoreError> {
                    connection.execute("UPDATE feed SET n = n + 100", [])?;
                    panic!("a defect");
                };
                store.enqueue(Lane::Fast, (shape, Need::Usual), work).await
            }
        });
        tokio::task::yield_now().await;
        let after = tokio::spawn({
            let story = story.clone();
            async move { story.open().await }
        });
        tokio::task::yield_now().await;
        drop(release);
        let id = before.await.unwrap();
        after.await.unwrap();
        assert_eq!(panicking.await.unwrap().unwrap_err().kind(), ErrorKind::Internal);
        assert_eq!(story.store.feed_after(0, 1).await.unwrap().counter, 0, "its traces are gone");
        story.read(id).await;
    }
}

#[tokio::test]
async fn as_218_t_97_one_command_that_loses_the_transaction_of_all_costs_the_others_nothing() {
    let (story, store, _folder) = begin(SqliteSettings::default()).await;
    let release = hold(&store);
    let mut others = Vec::new();
    for _ in 0..3 {
        let story = story.clone();
        others.push(tokio::spawn(async move { story.open().await }));
        tokio::task::yield_now().await;
        let store = store.clone();
        let losing = tokio::spawn(async move {
            let work = |connection: &mut Connection| -> Result<(), StoreError> {
                // What SQLite does by itself where a page cannot be read.
                connection.execute_batch("ROLLBACK")?;
                Err(StoreError::new(ErrorKind::Unavailable))
            };
            let error = store.enqueue(Lane::Fast, USUAL, work).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unavailable);
            hallpass_core::id::GrantId::from_bytes([0; 16])
        });
        others.push(losing);
        tokio::task::yield_now().await;
    }
    drop(release);
    for other in others {
        let id = other.await.unwrap();
        if id.as_bytes() != &[0; 16] {
            story.read(id).await;
        }
    }
}

#[tokio::test]
async fn several_statements_are_all_or_nothing() {
    let (store, _folder) = open(SqliteSettings::default());
    let failed = store.enqueue(Lane::Fast, (Shape::Several, Need::Usual), |connection| {
        connection.execute("UPDATE feed SET n = n + 100", [])?;
        Err::<(), _>(StoreError::new(ErrorKind::Internal))
    });
    failed.await.unwrap_err();
    assert_eq!(crate::Feed::feed_after(&*store, 0, 1).await.unwrap().counter, 0);
}

#[tokio::test]
async fn another_process_that_holds_the_lock_makes_it_busy() {
    let settings = SqliteSettings { busy_timeout: Duration::from_millis(50), ..SqliteSettings::default() };
    let (story, _store, folder) = begin(settings).await;
    let other = Connection::open(folder.path().join("hallpass.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let grant = story.new_grant();
    let error = story.store.grant_open(grant.clone(), story.now).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(story.store.grant_open(grant, story.now).await.unwrap(), GrantOpened::Opened);
}

#[tokio::test]
async fn closing_drains_what_waits_and_leaves_one_file_with_everything() {
    let (story, store, folder) = begin(SqliteSettings::default()).await;
    // Another process that looks at the file, such as a command line: without it SQLite would empty the log by
    // itself at the last close.
    let other = Connection::open(folder.path().join("hallpass.db")).unwrap();
    other.query_row("SELECT count(*) FROM grants", [], |row| row.get::<_, i64>(0)).unwrap();
    let release = hold(&store);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let story = story.clone();
            tokio::spawn(async move { story.open().await })
        })
        .collect();
    tokio::task::yield_now().await;
    let closing = tokio::spawn({
        let store = store.clone();
        async move { store.close().await }
    });
    tokio::task::yield_now().await;
    drop(release);
    closing.await.unwrap().unwrap();
    for task in waiting {
        task.await.unwrap();
    }
    let path = folder.path().join("hallpass.db");
    let log = std::fs::metadata(path.with_extension("db-wal")).map_or(0, |file| file.len());
    assert_eq!(log, 0, "the log was emptied into the database");
    drop(other);
    let reopened = SqliteStore::open(&path, SqliteSettings::default()).unwrap();
    assert!(reopened.person_exists().await.unwrap());
}

#[tokio::test]
async fn what_was_written_is_moved_into_the_database_within_seconds() {
    let (story, _store, folder) = begin(SqliteSettings::default()).await;
    let path = folder.path().join("hallpass.db");
    for _ in 0..200 {
        story.open().await;
    }
    let size = || std::fs::metadata(&path).unwrap().len();
    let before = size();
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if size() > before {
            return;
        }
    }
    panic!("no checkpoint");
}

#[tokio::test]
async fn nobody_else_reads_the_files() {
    let (_story, _store, folder) = begin(SqliteSettings::default()).await;
    #[cfg(unix)]
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn the_setup_code_is_used_up_even_when_the_commit_is_unknown() {
    let (store, _folder) = open(SqliteSettings::default());
    let begun = Timestamp::from_seconds(1_800_000_000);
    let person = crate::Person {
        id: hallpass_core::id::PersonId::from_bytes([1; 16]),
        name: "ada".into(),
        password: "$argon2id$".into(),
        epoch: 0,
        disabled_at: None,
        created_at: begun,
    };
    store.setup_code_put([1; 32], begun.plus(Duration::from_secs(9))).await.unwrap();
    store.faults.answers_lost.store(1, Ordering::SeqCst);
    let made = store.person_create_first([1; 32], person, begun).await.unwrap();
    assert_eq!(made, FirstPerson::Created);
}

#[test]
fn no_statement_is_planned_anew_for_other_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hallpass.db");
    connection::create(&path).unwrap();
    let connection = connection::writer(&path, &SqliteSettings::default()).unwrap();
    connection.execute_batch("BEGIN").unwrap();
    for sql in crate::sql::all() {
        let mut statement = connection.prepare(sql).unwrap();
        for first in [1_i64, 1_000] {
            for (parameter, value) in (1..=statement.parameter_count()).zip(first..) {
                statement.raw_bind_parameter(parameter, value).unwrap();
            }
            // Most of these values are of the wrong type for most statements: what a row says does not matter here.
            let mut rows = statement.raw_query();
            while let Ok(Some(_)) = rows.next() {}
        }
        assert_eq!(statement.get_status(rusqlite::StatementStatus::RePrepare), 0, "{sql}");
    }
}
