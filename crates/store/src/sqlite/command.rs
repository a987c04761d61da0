//! A command for the writer: what to run, how its answer gets back to the caller.

use crate::{ErrorKind, StoreError};
use rusqlite::Connection;
use tokio::sync::oneshot;

/// How many statements a command may change something with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One statement changes something; SQLite takes it back alone when it fails. It needs no savepoint.
    Single,
    /// Several do: all or nothing by a savepoint.
    Several,
}

/// Whether a command is run where the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It waits for room.
    Usual,
    /// A sweep: it makes room in the database.
    Upkeep,
    /// It ends something: a revocation, a sign-out.
    Ending,
}

/// What the writer sees of a command. It may be run more than once: only the last run counts.
pub(super) trait Command: Send {
    /// One changing statement, or several.
    fn shape(&self) -> Shape;
    /// Whether it is run where the disk is full.
    fn need(&self) -> Need;
    /// The caller is gone.
    fn abandoned(&self) -> bool;
    /// Runs and keeps the result; `false` when it failed.
    fn run(&mut self, connection: &mut Connection) -> bool;
    /// Puts a failure in place of the result.
    fn fail(&mut self, error: StoreError);
    /// The failure kept, if it is one.
    fn failure(&self) -> Option<&StoreError>;
    /// Sends the result that is kept.
    fn answer(self: Box<Self>);
}

/// A command made of a function.
pub(super) struct Job<T, F> {
    shape: Shape,
    need: Need,
    work: F,
    result: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Job<T, F>
where
    T: Send,
    F: FnMut(&mut Connection) -> Result<T, StoreError> + Send,
{
    /// With the place where its caller waits.
    pub fn new((shape, need): (Shape, Need), work: F) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (caller, waiting) = oneshot::channel();
        (Self { shape, need, work, result: None, caller }, waiting)
    }
}

impl<T, F> Command for Job<T, F>
where
    T: Send,
    F: FnMut(&mut Connection) -> Result<T, StoreError> + Send,
{
    fn shape(&self) -> Shape {
        self.shape
    }

    fn need(&self) -> Need {
        self.need
    }

    fn abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    fn run(&mut self, connection: &mut Connection) -> bool {
        self.result = None;
        let result = (self.work)(connection);
        let good = result.is_ok();
        self.result = Some(result);
        good
    }

    fn fail(&mut self, error: StoreError) {
        self.result = Some(Err(error));
    }

    fn failure(&self) -> Option<&StoreError> {
        self.result.as_ref().and_then(|result| result.as_ref().err())
    }

    fn answer(self: Box<Self>) {
        let result = self.result.unwrap_or_else(|| Err(StoreError::new(ErrorKind::Internal)));
        // A caller that has left meanwhile needs no answer.
        drop(self.caller.send(result));
    }
}
