//! Writes that wait at the same moment share a transaction and a commit, as they do on one file.
//!
//! Whoever comes first goes at once and alone. What comes while all lanes are under way waits for the next one that is free, and
//! goes with all others that wait: one commit, one flush of the server's log, and statements that are sent without waiting
//! for each other's answers. When anything in a batch fails, all of it is taken back, and each caller tries again alone: a
//! write that cannot be done costs the others a moment.

use super::{
    connect::{Connections, Held},
    failure,
    statements::On,
};
use crate::{ErrorKind, StoreError, sql::Operation};
use deadpool_postgres::ClientWrapper;
use futures_util::future::{BoxFuture, join, join_all};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::oneshot;

/// Batches under way at a time. Fewer make larger ones; several, so that one which waits for a lock holds up a part only.
const LANES: usize = 4;
/// Operations in one batch. The rows that they change stay locked until its commit.
const MOST: usize = 64;

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// What waits, and how many lanes are under way.
pub(super) struct Batches {
    connections: Arc<Connections>,
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Box<dyn Job>>,
    lanes: usize,
}

impl Batches {
    /// At most `limit` operations wait.
    pub fn new(connections: Arc<Connections>, limit: usize) -> Self {
        Self { connections, limit, state: Mutex::default() }
    }

    /// Runs a write of one statement, together with others that wait.
    pub async fn run<O: Operation>(self: &Arc<Self>, operation: Arc<O>) -> Result<O::Answer, StoreError> {
        let (caller, answer) = oneshot::channel();
        if self.push(Box::new(Write { operation, result: None, caller }))? {
            tokio::spawn(Lane { batches: Arc::clone(self), ended: false }.work());
        }
        // A lane that ended without an answer: only a defect does that, and what was done is open.
        answer.await.unwrap_or_else(|gone| Err(StoreError::caused_by(ErrorKind::Unknown, gone)))
    }

    /// Operations that wait for a lane.
    pub fn waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    /// `true` when a lane has to be opened for it.
    fn push(&self, job: Box<dyn Job>) -> Result<bool, StoreError> {
        let mut state = self.lock();
        if state.waiting.len() >= self.limit {
            return Err(StoreError::caused_by(ErrorKind::Busy, "too many operations wait for the database"));
        }
        state.waiting.push_back(job);
        let opens = state.lanes < LANES;
        state.lanes += usize::from(opens);
        Ok(opens)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One batch after the other, until nobody waits.
struct Lane {
    batches: Arc<Batches>,
    ended: bool,
}

impl Lane {
    async fn work(mut self) {
        while let Some(mut batch) = self.next() {
            let outcome = self.settle(&mut batch).await;
            for job in batch {
                job.answer(outcome.as_ref().err());
            }
        }
    }

    /// Everything that waits; who has gone before the start wants nothing any more.
    fn next(&mut self) -> Option<Vec<Box<dyn Job>>> {
        let mut state = self.batches.lock();
        let count = state.waiting.len().min(MOST);
        let batch: Vec<_> = state.waiting.drain(..count).filter(|job| !job.is_abandoned()).collect();
        if batch.is_empty() && state.waiting.is_empty() {
            // Under the lock: whoever pushes from now on opens a lane.
            state.lanes -= 1;
            self.ended = true;
            return None;
        }
        Some(batch)
    }

    async fn settle(&self, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
        let mut held = match batch {
            [] => return Ok(()),
            _ => self.batches.connections.get().await?,
        };
        let in_order = match batch {
            [alone] => alone.run(held.client()?).await,
            several => {
                together(&held, several).await?;
                true
            }
        };
        // A connection on which anything went wrong is not used again: its state is not known.
        if in_order {
            held.keep();
        }
        Ok(())
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // After a panic.
        if !self.ended {
            self.batches.lock().lanes -= 1;
        }
    }
}

/// All or nothing. `BEGIN` is sent first and nobody waits for its answer.
async fn together(held: &Held, batch: &mut [Box<dyn Job>]) -> Result<(), StoreError> {
    let client = held.client()?;
    let all = join_all(batch.iter_mut().map(|job| job.run(client)));
    let (begun, good) = join(client.batch_execute(BEGIN), all).await;
    // Without it each statement may have committed for itself.
    begun?;
    if good.contains(&false) {
        return Err(failure::again("another operation of the same transaction failed".to_owned()));
    }
    Ok(client.batch_execute("COMMIT").await?)
}

/// An operation whatever it answers.
trait Job: Send {
    /// Runs it and keeps the result; `false` when it failed.
    fn run<'a>(&'a mut self, client: &'a ClientWrapper) -> BoxFuture<'a, bool>;
    /// The caller is gone.
    fn is_abandoned(&self) -> bool;
    /// Sends the result that is kept, or what happened to the whole batch.
    fn answer(self: Box<Self>, failed: Option<&StoreError>);
}

struct Write<O: Operation> {
    operation: Arc<O>,
    result: Option<Result<O::Answer, StoreError>>,
    caller: oneshot::Sender<Result<O::Answer, StoreError>>,
}

impl<O: Operation> Job for Write<O> {
    fn run<'a>(&'a mut self, client: &'a ClientWrapper) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let result = self.operation.run(&mut On(client)).await;
            let good = result.is_ok();
            self.result = Some(result);
            good
        })
    }

    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    fn answer(self: Box<Self>, failed: Option<&StoreError>) {
        let result = match (failed, self.result) {
            (Some(error), _) => Err(failure::copy(error)),
            (None, Some(result)) => result,
            (None, None) => Err(StoreError::new(ErrorKind::Internal)),
        };
        // A caller that has left meanwhile needs no answer.
        drop(self.caller.send(result));
    }
}
