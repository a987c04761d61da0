//! One row updated for each request and committed on disk, all that wait in one transaction: the least that a durable
//! refresh does. SQLite with a write-ahead log and `synchronous=FULL`, as the real store.

use anyhow::{Result, anyhow};
use hallpass_core::{
    entropy::SystemEntropy,
    id::GrantId,
    time::{Clock, SystemClock},
};
use rusqlite::{Connection, params};
use std::{
    path::Path,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
};
use tokio::sync::oneshot;

/// Rows: as many as the real program refreshes in its turn.
pub const ROWS: usize = 2048;
/// A step without a common divisor with [`ROWS`]: neighbours in time are no neighbours in the table.
const STEP: usize = 797;
/// Bytes of a row that an update does not change: about those of a grant.
const REST: usize = 320;

struct Job {
    id: GrantId,
    done: oneshot::Sender<i64>,
}

/// The way to the thread that writes.
pub struct Writer {
    jobs: Sender<Job>,
    ids: Vec<GrantId>,
    turn: AtomicUsize,
}

impl Writer {
    /// Makes the table in this folder and starts the thread.
    pub fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let connection = Connection::open(folder.join("floor.sqlite"))?;
        // A checkpoint at 64 MiB, where ours is forced: SQLite's default of 4 MiB would slow the floor down.
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16384;
             PRAGMA cache_size = -16384; DROP TABLE IF EXISTS grants;
             CREATE TABLE grants (id BLOB NOT NULL PRIMARY KEY, generation INTEGER NOT NULL, rotated_at INTEGER NOT NULL,
                rest BLOB NOT NULL) STRICT, WITHOUT ROWID; BEGIN;",
        )?;
        let now = SystemClock.now();
        let ids: Vec<GrantId> = (0..ROWS).map(|_| GrantId::new(now, &SystemEntropy)).collect();
        for id in &ids {
            connection.execute(
                "INSERT INTO grants (id, generation, rotated_at, rest) VALUES ($1, 0, 0, $2)",
                params![id.as_bytes(), vec![7_u8; REST]],
            )?;
        }
        connection.execute_batch("COMMIT")?;
        let (jobs, waiting) = channel();
        std::thread::Builder::new().name("writer".into()).spawn(move || write(&connection, &waiting))?;
        Ok(Self { jobs, ids, turn: AtomicUsize::new(0) })
    }

    /// Updates the next row; on disk when this answers.
    pub async fn rotate(&self) -> Result<i64> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let id = self.ids.get(turn.wrapping_mul(STEP) % ROWS).copied().ok_or_else(|| anyhow!("no row"))?;
        let (done, waiting) = oneshot::channel();
        self.jobs.send(Job { id, done }).map_err(|_| anyhow!("the writer is gone"))?;
        Ok(waiting.await?)
    }
}

fn write(connection: &Connection, waiting: &Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        let batch: Vec<Job> = std::iter::once(first).chain(waiting.try_iter().take(511)).collect();
        match commit(connection, &batch) {
            // A failed batch has no answer, and its callers answer 503.
            Err(error) => eprintln!("floor: {error}"),
            Ok(generations) => {
                for (job, generation) in batch.into_iter().zip(generations) {
                    // A caller that has left needs no answer.
                    let _ = job.done.send(generation);
                }
            }
        }
    }
}

fn commit(connection: &Connection, batch: &[Job]) -> rusqlite::Result<Vec<i64>> {
    const UPDATE: &str =
        "UPDATE grants SET generation = generation + 1, rotated_at = $1 WHERE id = $2 RETURNING generation";
    let now = SystemClock.now().millis();
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut generations = Vec::with_capacity(batch.len());
    let mut update = connection.prepare_cached(UPDATE)?;
    for job in batch {
        generations.push(update.query_row(params![now, job.id.as_bytes()], |row| row.get(0))?);
    }
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(generations)
}
