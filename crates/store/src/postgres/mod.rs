//! PostgreSQL, for any number of nodes on one database.
//!
//! The same operations as on one file, at `READ COMMITTED`, on the primary. A read runs on a connection of its own, several
//! statements in a transaction of their own; writes of one statement that wait at the same moment share one ([`batch`]). What PostgreSQL certainly took back (serialization failures, deadlocks)
//! is run again; what was under way when a connection died is unknown, and is run again too, because every write may be
//! run twice. After a deadline the caller is told.
//!
//! No `LISTEN`, no advisory locks, nothing that belongs to a session: a pooler or a failover in between is no news.

mod batch;
mod connect;
pub(crate) mod copy;
mod failure;
mod schema;
mod statements;

use crate::{
    Answer, ErrorKind, Schema, StoreError,
    sql::{Backend, Kind, Operation, sweep::Walk},
};
use batch::{BEGIN, Batches};
use connect::{Connections, Held};
pub use connect::{Transport, check_url};
use failure::{Trouble, trouble};
use hallpass_core::{secret::SecretString, time::Timestamp};
use statements::On;
use std::{
    fmt,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

/// Where the database is, and limits.
#[derive(Clone, Debug)]
pub struct PostgresSettings {
    /// `postgres://user:password@host:port/database`, or libpq's `key=value` form. `sslmode=disable` is taken as written;
    /// anything else means TLS with a verified certificate, except on this machine, where `prefer` is enough.
    pub url: SecretString,
    /// Connections of this node at a time.
    pub connections: usize,
    /// Operations waiting for one; one more is refused as busy.
    pub queue_limit: usize,
    /// Further certificate authorities, PEM.
    pub extra_ca: Vec<Vec<u8>>,
    /// How long an operation is tried again before its outcome is reported as unknown.
    pub deadline: Duration,
    /// What this program knows.
    pub schema: Schema,
}

impl PostgresSettings {
    /// For this database, with limits that are right for a node on two cores.
    pub const fn new(url: SecretString) -> Self {
        Self {
            url,
            connections: 32,
            queue_limit: 4096,
            extra_ca: Vec::new(),
            // Clients wait ten.
            deadline: Duration::from_secs(8),
            schema: Schema::THIS,
        }
    }
}

/// The store in a PostgreSQL database. Any number of them, in any number of processes, may use one database.
pub struct PostgresStore {
    connections: Arc<Connections>,
    batches: Arc<Batches>,
    walk: Mutex<Walk>,
    deadline: Duration,
}

/// Between two tries; doubled each time.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);
/// How long a caller waits for a server that is away: as long as a restart takes.
const AWAY: Duration = Duration::from_secs(3);

impl PostgresStore {
    /// Connects, and brings the schema up to date. Several nodes may do so at once.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the server cannot be reached or does not let us in, or is read-only;
    /// [`ErrorKind::Corrupt`] when the database has a schema that is too new, or tables of another program. The source is one
    /// sentence that names the fix.
    pub async fn open(settings: PostgresSettings) -> Result<Self, StoreError> {
        let connections = Arc::new(Connections::new(&settings)?);
        schema::migrate(&connections, settings.schema).await?;
        let batches = Arc::new(Batches::new(Arc::clone(&connections), settings.queue_limit));
        Ok(Self { connections, batches, walk: Mutex::default(), deadline: settings.deadline })
    }

    /// Runs the operation until it is done, or until the deadline.
    async fn until_done<O: Operation>(&self, operation: &Arc<O>) -> Result<O::Answer, StoreError> {
        let began = Instant::now();
        let end = began + self.deadline;
        let mut pause = PAUSE;
        let mut unknown = false;
        // What went wrong in company is tried alone.
        let mut alone = O::KIND != Kind::Write;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let outcome = if alone {
                tokio::time::timeout(left, self.attempt(&**operation)).await
            } else {
                tokio::time::timeout(left, self.batches.run(Arc::clone(operation))).await
            };
            alone = true;
            let error = match outcome {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => error,
                // Dropped in the middle: the connection is gone, and what it did is open.
                Err(_) => StoreError::caused_by(ErrorKind::Unknown, "the database did not answer in time"),
            };
            match trouble(&error) {
                Trouble::Unknown if is_write(O::KIND) => unknown = true,
                // Whoever is away for longer is not waited for by each caller: they are told, and come back.
                Trouble::Away if !unknown && began.elapsed() >= AWAY => return Err(error),
                Trouble::Again | Trouble::Unknown | Trouble::Away => {}
                Trouble::Final if unknown => return Err(as_unknown(&error)),
                Trouble::Final => return Err(error),
            }
            if Instant::now() + pause >= end {
                return Err(if unknown { as_unknown(&error) } else { error });
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt<O: Operation>(&self, operation: &O) -> Result<O::Answer, StoreError> {
        let mut held = self.connections.get().await?;
        let answer = match O::KIND {
            Kind::Read | Kind::List | Kind::Write => operation.run(&mut On(held.client()?)).await,
            Kind::Several | Kind::Ending | Kind::Slow => in_transaction(&held, operation).await,
        };
        // A connection on which anything went wrong is not used again: its state is not known.
        if answer.is_ok() {
            held.keep();
        }
        answer
    }
}

const fn is_write(kind: Kind) -> bool {
    matches!(kind, Kind::Write | Kind::Several | Kind::Ending | Kind::Slow)
}

/// All or nothing. Until the commit was sent, nothing happened.
async fn in_transaction<O: Operation>(held: &Held, operation: &O) -> Result<O::Answer, StoreError> {
    let client = held.client()?;
    client.batch_execute(BEGIN).await.map_err(failure::before_commit)?;
    let answer = operation.run(&mut On(client)).await.map_err(failure::undone)?;
    client.batch_execute("COMMIT").await?;
    Ok(answer)
}

fn as_unknown(error: &StoreError) -> StoreError {
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    StoreError::caused_by(ErrorKind::Unknown, cause)
}

impl Backend for PostgresStore {
    fn run<O: Operation>(&self, operation: O) -> Answer<'_, O::Answer> {
        Box::pin(async move { self.until_done(&Arc::new(operation)).await })
    }

    fn walk(&self) -> &Mutex<Walk> {
        &self.walk
    }

    fn waiting(&self) -> usize {
        self.connections.waiting() + self.batches.waiting()
    }

    fn clock(&self) -> Answer<'_, Option<Timestamp>> {
        Box::pin(async move {
            let mut held = self.connections.get().await?;
            let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";
            let millis: i64 = held.client()?.query_one(sql, &[]).await?.try_get(0)?;
            held.keep();
            Ok(Some(Timestamp::from_millis(millis)))
        })
    }

    fn end(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.connections.close();
            Ok(())
        })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}
