//! A request under way, and how its answer gets to its client.

use super::{modern, queue::Queue, rounds::Round, stateless};
use hallpass_core::mcp::{Message, Outcome, Raw};
use serde_json::Value;
use std::sync::Arc;

#[derive(Debug)]
pub(super) struct Pending {
    /// The client's id.
    pub(super) id: Raw,
    pub(super) token: Option<Value>,
    pub(super) queue: Arc<Queue>,
    /// Whether its answer may be a stream.
    pub(super) streams: bool,
    pub(super) kind: Kind,
    /// The method, where the answer goes to a client that knows no sessions.
    pub(super) stateless: Option<String>,
    /// The number that the process knows it by.
    pub(super) current: i64,
    /// What is kept to ask the client for the process.
    pub(super) round: Option<Box<Round>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// MCP forbids to cancel it; a session whose client left before it was made is nobody's.
    Initialize,
    /// It is over when its client leaves.
    Listen,
    /// It wants the log beside its answer.
    Logged,
    Plain,
}

impl Kind {
    pub(super) fn of(request: &Message) -> Self {
        match request.method() {
            Some("initialize") => Self::Initialize,
            Some(modern::LISTEN) => Self::Listen,
            Some(_) | None if modern::wants_log(request) => Self::Logged,
            Some(_) | None => Self::Plain,
        }
    }
}

impl Pending {
    /// The method, of a client without sessions.
    pub(super) fn method(&self) -> Option<&str> {
        self.stateless.as_deref()
    }

    /// The same request, sent again: its answer goes there now.
    pub(super) fn again(&mut self, request: &Message, (queue, streams): (Arc<Queue>, bool)) {
        self.id = request.id().cloned().unwrap_or_else(|| self.id.clone());
        self.token = progress_token(request);
        (self.queue, self.streams) = (queue, streams);
    }

    /// Its answer, as its client wants it.
    pub(super) fn answered(self, outcome: Outcome) {
        let outcome = match &self.stateless {
            Some(method) => stateless::to_client(method, outcome),
            None if self.kind == Kind::Listen => modern::to_client(outcome, &self.id),
            None => outcome,
        };
        let answer = Message::Response { id: Some(self.id), outcome };
        self.queue.push_last(answer.to_canonical().into());
    }
}

/// `params._meta.progressToken`, which progress notifications repeat.
pub(super) fn progress_token(request: &Message) -> Option<Value> {
    let params = request.call()?.params()?;
    // Most requests have none; arguments may be long.
    if !params.as_str().contains("rogress") {
        return None;
    }
    let token = params.to_value()?.get("_meta")?.get("progressToken")?.clone();
    (token.is_string() || token.is_number()).then_some(token)
}
