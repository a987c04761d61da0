//! One session: one process, one person with one client. Who waits for what, and what goes where.
//!
//! Requests get ids of ours on their way to the process. Two requests can then never have the same one, however
//! the client numbers them, and an answer that comes after its request was given up belongs to nobody.

use super::{queue::Queue, stateless};
use bytes::Bytes;
use hallpass_core::{
    mcp::{Message, Raw, error::INTERNAL_ERROR, error_body},
    secret::SecretString,
};
use hallpass_resource::{ANONYMOUS, Authenticated};
use serde_json::{Value, json};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

/// Requests of one session at a time.
const IN_FLIGHT: usize = 64;

/// Whom a session belongs to. Checked on each use, beside the seal of its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub subject: String,
    pub client_id: String,
}

impl Owner {
    /// Of one of the processes that all share. Nobody's token has this subject, so nobody can name it as a session.
    pub(super) fn everybody(number: usize) -> Self {
        Self { subject: String::new(), client_id: number.to_string() }
    }

    /// Of whoever calls. Callers without a token are as many as their addresses: what one of them leaves with a process is not
    /// for the next to find.
    pub(super) fn of(caller: &Authenticated) -> Self {
        let client = if caller.is_anonymous() { caller.counted_as() } else { caller.client_id() };
        Self { subject: caller.subject().to_owned(), client_id: client.to_owned() }
    }

    /// Whether there is no token behind it.
    pub(super) fn is_stranger(&self) -> bool {
        self.subject == ANONYMOUS
    }

    /// By whom its processes and crashes are counted: those that all share each by itself, those of all strangers together.
    pub(super) fn counted(&self) -> Cow<'_, str> {
        if self.subject.is_empty() { format!("\0{}", self.client_id).into() } else { (&self.subject).into() }
    }
}

/// Why a session takes no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// It has ended.
    Ended,
    /// Too many are under way.
    TooMany,
}

/// Who speaks to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// A client, in a session that it began.
    Client,
    /// We, for the requests of clients that know no sessions ([`stateless`]).
    Gateway,
}

/// What a process is started for.
#[derive(Debug)]
pub(super) struct Purpose {
    /// Whose it is.
    pub owner: Owner,
    /// Who speaks to it.
    pub peer: Peer,
    /// The token that it gets, where it gets one.
    pub token: Option<SecretString>,
}

/// A running process, as requests see it.
#[derive(Debug)]
pub(super) struct Session {
    pub owner: Owner,
    peer: Peer,
    /// What it was started with. Another one it never gets.
    token: Option<SecretString>,
    to_process: mpsc::Sender<Bytes>,
    state: Mutex<State>,
    /// Wakes whoever looks after the process when it shall end.
    pub end: Notify,
}

#[derive(Debug)]
struct State {
    next_id: i64,
    pending: BTreeMap<i64, Pending>,
    /// Messages that belong to no request.
    listener: Arc<Queue>,
    /// The number of the stream that reads them, while there is one.
    listening: Option<u64>,
    listeners: u64,
    used: Instant,
    ended: bool,
    /// It takes no more requests, and ends when it has answered.
    retired: bool,
}

#[derive(Debug)]
struct Pending {
    /// The client's id.
    id: Raw,
    token: Option<Value>,
    queue: Arc<Queue>,
    /// Whether its answer may be a stream.
    streams: bool,
    /// MCP forbids to cancel it; a session whose client left before it was made is nobody's.
    initialize: bool,
    /// The method, where the answer goes to a client that knows no sessions.
    stateless: Option<String>,
}

impl Session {
    /// Of a process for this purpose; lines for it go into `to_process`.
    pub(super) fn new(purpose: Purpose, to_process: mpsc::Sender<Bytes>) -> Self {
        let Purpose { owner, peer, token } = purpose;
        let state = State {
            next_id: 1,
            pending: BTreeMap::new(),
            listener: Arc::default(),
            listening: None,
            listeners: 0,
            used: Instant::now(),
            ended: false,
            retired: false,
        };
        Self { owner, peer, token, to_process, state: Mutex::new(state), end: Notify::new() }
    }

    /// Registers a request: our id, what to send to the process, and where its messages will be.
    pub(super) fn begin(
        &self,
        request: &Message,
        streams: bool,
    ) -> Result<(i64, Bytes, Arc<Queue>), NotTaken> {
        let mut state = self.lock();
        if state.ended || state.retired {
            return Err(NotTaken::Ended);
        }
        if state.pending.len() >= IN_FLIGHT {
            return Err(NotTaken::TooMany);
        }
        let ours = state.next_id;
        state.next_id += 1;
        state.used = Instant::now();
        let queue = Arc::new(Queue::default());
        let initialize = request.method() == Some("initialize");
        let stateless =
            (self.peer == Peer::Gateway && !initialize).then(|| request.method().map(str::to_owned));
        let pending = Pending {
            id: request.id().cloned().unwrap_or_else(|| Raw::integer(ours)),
            token: progress_token(request),
            queue: Arc::clone(&queue),
            streams,
            initialize,
            stateless: stateless.flatten(),
        };
        let translated = pending.stateless.is_some();
        state.pending.insert(ours, pending);
        drop(state);
        let request = request.clone().with_id(Raw::integer(ours));
        let request = if translated { stateless::to_process(request, ours) } else { request };
        Ok((ours, request.to_canonical().into(), queue))
    }

    /// What to send to the process for a notification or response of the client. A cancellation ends the request
    /// that it names, and is for the process only when there is one.
    pub(super) fn tell(&self, message: &Message) -> Option<Bytes> {
        let mut state = self.lock();
        state.used = Instant::now();
        if message.method() != Some("notifications/cancelled") {
            return Some(message.to_canonical().into());
        }
        let Value::Object(mut params) = message.call()?.params()?.to_value()? else { return None };
        let named = params.get("requestId")?;
        let is_named =
            |pending: &Pending| pending.id.to_value().as_ref() == Some(named) && !pending.initialize;
        let ours =
            state.pending.iter().rev().find(|(_, pending)| is_named(pending)).map(|(ours, _)| *ours)?;
        let pending = state.pending.remove(&ours)?;
        state.used = Instant::now();
        drop(state);
        let text = "The request was cancelled";
        pending.queue.push_last(error_body(Some(&pending.id), INTERNAL_ERROR, text).into());
        params.insert("requestId".to_owned(), json!(ours));
        Some(cancellation(&Value::Object(params)))
    }

    /// Writes a line to the process; waits while it does not read. Nothing when it has ended.
    pub(super) async fn write(&self, line: Bytes) -> Option<()> {
        self.to_process.send(line).await.ok()
    }

    /// Passes on what the process said.
    pub(super) fn deliver(&self, message: Message) {
        match message {
            Message::Response { id, outcome } => {
                let ours = id.as_ref().and_then(|id| id.as_str().parse::<i64>().ok());
                let Some(pending) = ours.and_then(|ours| self.finish(ours)) else {
                    tracing::debug!("an answer to no request");
                    return;
                };
                let outcome = match &pending.stateless {
                    Some(method) => stateless::to_client(method, outcome),
                    None => outcome,
                };
                let answer = Message::Response { id: Some(pending.id), outcome };
                pending.queue.push_last(answer.to_canonical().into());
            }
            Message::Request { .. } | Message::Notification { .. } if self.peer == Peer::Gateway => {
                self.deliver_to_us(&message);
            }
            Message::Notification { .. } => {
                let queue = self.queue_of(&message);
                if !queue.push(message.to_canonical().into()) {
                    tracing::debug!(method = message.method(), "nobody reads, a notification is dropped");
                }
            }
            Message::Request { ref id, .. } => {
                if !self.queue_of(&message).push(message.to_canonical().into()) {
                    let line = error_body(Some(id), INTERNAL_ERROR, "The client does not read its stream");
                    let _ = self.to_process.try_send(line.into());
                }
            }
        }
    }

    /// What the process says to us of itself: progress belongs to the request whose number its token is; the rest is for
    /// nobody, and what it asks is refused, since no client stands behind us.
    fn deliver_to_us(&self, message: &Message) {
        if let Message::Request { id, call } = message {
            let _ = self.to_process.try_send(stateless::refuse(id, call.method()));
            return;
        }
        let Some(ours) = stateless::progress_of(message) else { return };
        let found = self.lock().pending.get(&ours).filter(|pending| pending.streams).and_then(|pending| {
            Some((stateless::with_token(message, pending.token.as_ref()?)?, Arc::clone(&pending.queue)))
        });
        if let Some((progress, queue)) = found {
            queue.push(progress.into());
        }
    }

    /// Whether no request is taken any more.
    pub(super) fn has_ended(&self) -> bool {
        self.lock().ended
    }

    /// Whether its process was started with this token.
    pub(super) fn has(&self, token: Option<&SecretString>) -> bool {
        self.token.as_ref() == token
    }

    /// Takes no more requests from now on; whether it took some until now.
    pub(super) fn retires(&self) -> bool {
        !std::mem::replace(&mut self.lock().retired, true)
    }

    /// Where a message of the process belongs: progress to its request; all else to the stream of the session, or,
    /// where a client has not opened one, a request to the newest request that can show it.
    fn queue_of(&self, message: &Message) -> Arc<Queue> {
        let state = self.lock();
        let mut newest = state.pending.values().rev().filter(|pending| pending.streams);
        let found = if message.method() == Some("notifications/progress") {
            let params = message.call().and_then(|call| call.params()).and_then(Raw::to_value);
            let token = params.as_ref().and_then(|params| params.get("progressToken"));
            token.and_then(|token| newest.find(|pending| pending.token.as_ref() == Some(token)))
        } else if state.listening.is_none() && message.id().is_some() {
            newest.next()
        } else {
            None
        };
        found.map_or_else(|| Arc::clone(&state.listener), |pending| Arc::clone(&pending.queue))
    }

    fn finish(&self, ours: i64) -> Option<Pending> {
        let mut state = self.lock();
        state.used = Instant::now();
        state.pending.remove(&ours)
    }

    /// Whoever asked is gone. Its answer cannot be fetched later, so the process need not go on.
    pub(super) fn abandon(&self, ours: i64) {
        let Some(pending) = self.finish(ours) else { return };
        if pending.initialize {
            self.end.notify_one();
            return;
        }
        let params = json!({ "requestId": ours, "reason": "The client is gone" });
        let _ = self.to_process.try_send(cancellation(&params));
    }

    /// Opens the stream of the session. An earlier one ends: its client may be gone without our knowing.
    pub(super) fn listen(&self) -> Option<(u64, Arc<Queue>)> {
        let mut state = self.lock();
        if state.ended {
            return None;
        }
        state.listener = Arc::new(state.listener.take_over());
        state.listeners += 1;
        state.listening = Some(state.listeners);
        state.used = Instant::now();
        Some((state.listeners, Arc::clone(&state.listener)))
    }

    /// The stream with this number is closed.
    pub(super) fn stop_listening(&self, listener: u64) {
        let mut state = self.lock();
        if state.listening == Some(listener) {
            state.listening = None;
            state.used = Instant::now();
        }
    }

    /// Since when nobody waits for anything from it; nothing while somebody does.
    pub(super) fn free_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.pending.is_empty() && state.listening.is_none() && !state.ended).then_some(state.used)
    }

    /// Whether nobody has used it for that long.
    pub(super) fn is_idle(&self, time: Duration) -> bool {
        let state = self.lock();
        state.pending.is_empty() && state.listening.is_none() && state.used.elapsed() >= time
    }

    /// Ends the session's own stream, and tells whether requests are under way.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.lock();
        state.listener.close();
        !state.pending.is_empty()
    }

    /// The process is gone or going: whoever waits gets an error.
    pub(super) fn close(&self, text: &str) {
        let mut state = self.lock();
        state.ended = true;
        let pending = std::mem::take(&mut state.pending);
        state.listener.close();
        drop(state);
        for one in pending.into_values() {
            one.queue.push_last(error_body(Some(&one.id), INTERNAL_ERROR, text).into());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cancellation(params: &Value) -> Bytes {
    let params = Raw::from_value(params);
    let line = format!(
        "{{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{}}}",
        params.as_str()
    );
    line.into()
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

#[cfg(test)]
mod tests;
