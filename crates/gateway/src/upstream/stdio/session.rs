//! One session: one process, one person with one client. Who waits for what, and what goes where.
//!
//! Requests get ids of ours on their way to the process. Two requests can then never have the same one, however
//! the client numbers them, and an answer that comes after its request was given up belongs to nobody.

use super::{
    modern::{self, Envelope},
    owner::Owner,
    parked::Parked,
    pending::{Kind, Pending, progress_token},
    queue::Queue,
    rounds::Round,
    stateless,
    subscribed::Subscribed,
};
use bytes::Bytes;
use hallpass_core::{
    mcp::{Message, Raw, error::INTERNAL_ERROR, error_body},
    secret::SecretString,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, mpsc},
    time::Instant,
};

/// Requests of one session at a time.
const IN_FLIGHT: usize = 64;

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
    /// It alone has this name, also of those before our own start.
    process: String,
    peer: Peer,
    /// What it was started with. Another one it never gets.
    token: Option<SecretString>,
    pub(super) to_process: mpsc::Sender<Bytes>,
    /// What is between it and its client, where it knows no sessions.
    modern: OnceLock<Modern>,
    /// What it was told that clients without sessions can be asked.
    offered: OnceLock<Envelope>,
    state: Mutex<State>,
    /// Wakes whoever looks after the process when it shall end.
    pub end: Notify,
}

/// What is between a process that knows no sessions, and its client.
#[derive(Debug)]
enum Modern {
    /// Nothing: the client knows none either.
    Passing,
    /// A session, which is ours; and what its client said of itself.
    Keeping(Envelope),
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) next_id: i64,
    pub(super) pending: BTreeMap<i64, Pending>,
    /// Questions that the client was asked, by our numbers of them: for which request, and under which name.
    pub(super) asked: BTreeMap<i64, (i64, String)>,
    /// The numbers of requests that were sent again.
    pub(super) again: BTreeMap<i64, i64>,
    /// Requests that wait for an answer of their client, which knows no sessions.
    pub(super) parked: BTreeMap<i64, Parked>,
    /// What the client has set with `logging/setLevel`.
    log_level: Option<Raw>,
    /// What the client hears of, where the session is ours.
    pub(super) subscribed: Subscribed,
    /// Messages that belong to no request.
    pub(super) listener: Arc<Queue>,
    /// The number of the stream that reads them, while there is one.
    pub(super) listening: Option<u64>,
    listeners: u64,
    pub(super) used: Instant,
    ended: bool,
    /// It takes no more requests, and ends when it has answered.
    retired: bool,
}

impl Session {
    /// Of a process for this purpose; lines for it go into `to_process`.
    pub(super) fn new(process: String, purpose: Purpose, to_process: mpsc::Sender<Bytes>) -> Self {
        let Purpose { owner, peer, token } = purpose;
        let state = State {
            next_id: 1,
            pending: BTreeMap::new(),
            asked: BTreeMap::new(),
            again: BTreeMap::new(),
            parked: BTreeMap::new(),
            log_level: None,
            subscribed: Subscribed::default(),
            listener: Arc::default(),
            listening: None,
            listeners: 0,
            used: Instant::now(),
            ended: false,
            retired: false,
        };
        let (modern, offered) = (OnceLock::new(), OnceLock::new());
        let (state, end) = (Mutex::new(state), Notify::new());
        Self { owner, process, peer, token, to_process, modern, offered, state, end }
    }

    /// Its name.
    pub(super) fn process(&self) -> &str {
        &self.process
    }

    /// From now on it may ask clients without sessions for what they have offered.
    pub(super) fn offers(&self, clients: Envelope) {
        let _ = self.offered.set(clients);
    }

    /// Whether it was told that it may ask for this.
    pub(super) fn offered(&self, method: &str) -> bool {
        self.offered.get().is_some_and(|clients| clients.may_be_asked(method).is_ok())
    }

    /// From now on its client is one of the newest revision, which it knows alone.
    pub(super) fn passes_on(&self) {
        let _ = self.modern.set(Modern::Passing);
    }

    /// From now on its session is ours: it knows none.
    pub(super) fn keeps_for(&self, client: Envelope, discovered: &Value) {
        self.lock().subscribed = Subscribed::of(discovered);
        let _ = self.modern.set(Modern::Keeping(client));
    }

    /// Whether the process knows no sessions.
    pub(super) fn is_modern(&self) -> bool {
        self.modern.get().is_some()
    }

    /// What its client said of itself, where the session is ours.
    pub(super) fn kept_for(&self) -> Option<&Envelope> {
        match self.modern.get() {
            Some(Modern::Keeping(client)) => Some(client),
            Some(Modern::Passing) | None => None,
        }
    }

    /// The answer to what only a session has, where the session is ours.
    pub(super) fn answers_itself(&self, request: &Message) -> Option<Vec<u8>> {
        self.kept_for()?;
        if let Some(level) = modern::log_level(request) {
            self.lock().log_level = Some(level);
        }
        self.subscribes(request).or_else(|| modern::answer_here(request))
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
        self.forget_old(&mut state);
        if state.pending.len() >= IN_FLIGHT {
            return Err(NotTaken::TooMany);
        }
        let ours = state.next_id;
        state.next_id += 1;
        state.used = Instant::now();
        let queue = Arc::new(Queue::default());
        let kind = Kind::of(request);
        // Our own first two are written as the process has to have them.
        let translated = self.peer == Peer::Gateway
            && !self.is_modern()
            && kind != Kind::Initialize
            && request.method() != Some("server/discover");
        let mut pending = Pending {
            id: request.id().cloned().unwrap_or_else(|| Raw::integer(ours)),
            token: progress_token(request),
            queue: Arc::clone(&queue),
            streams,
            kind,
            stateless: request.method().filter(|_| translated).map(str::to_owned),
            current: ours,
            round: None,
        };
        let numbered = request.clone().with_id(Raw::integer(ours));
        let numbered = match self.modern.get() {
            None if translated => stateless::to_process(numbered, ours),
            None => numbered,
            Some(Modern::Passing) => modern::to_process(numbered, ours),
            Some(Modern::Keeping(client)) => {
                let numbered = client.around(numbered, state.log_level.as_ref());
                pending.round = Some(Box::new(Round::new(numbered.clone())));
                numbered
            }
        };
        state.pending.insert(ours, pending);
        drop(state);
        Ok((ours, numbered.to_canonical().into(), queue))
    }

    /// What to send to the process for a notification or response of the client. A cancellation ends the request
    /// that it names, and is for the process only when there is one.
    pub(super) fn tell(&self, message: &Message) -> Option<Bytes> {
        let mut state = self.lock();
        state.used = Instant::now();
        if message.method() != Some("notifications/cancelled") {
            if self.kept_for().is_some() {
                drop(state);
                if message.method() == Some("notifications/initialized") {
                    self.is_ready();
                }
                return self.answered_by_client(message);
            }
            return Some(message.to_canonical().into());
        }
        let Value::Object(mut params) = message.call()?.params()?.to_value()? else { return None };
        let named = params.get("requestId")?;
        let is_named = |pending: &Pending| {
            pending.id.to_value().as_ref() == Some(named) && pending.kind != Kind::Initialize
        };
        let ours =
            state.pending.iter().rev().find(|(_, pending)| is_named(pending)).map(|(ours, _)| *ours)?;
        let pending = state.remove(ours)?;
        state.used = Instant::now();
        drop(state);
        let text = "The request was cancelled";
        pending.queue.push_last(error_body(Some(&pending.id), INTERNAL_ERROR, text).into());
        params.insert("requestId".to_owned(), json!(pending.current));
        Some(cancellation(&Value::Object(params)))
    }

    /// Writes a line to the process; waits while it does not read. Nothing when it has ended.
    pub(super) async fn write(&self, line: Bytes) -> Option<()> {
        self.to_process.send(line).await.ok()
    }

    /// Passes on what the process said.
    pub(super) fn deliver(&self, message: Message) {
        match message {
            Message::Response { id, outcome } if self.kept_for().is_some() => {
                self.deliver_to_session(id.as_ref(), outcome);
            }
            Message::Response { id, outcome } => {
                let Some(ours) = id.as_ref().and_then(|id| id.as_str().parse::<i64>().ok()) else { return };
                let Some(outcome) = self.keep_for_parked(ours, outcome) else { return };
                let Some(pending) = self.finish(ours) else {
                    tracing::debug!("an answer to no request");
                    return;
                };
                pending.answered(outcome);
            }
            Message::Request { .. } | Message::Notification { .. } if self.peer == Peer::Gateway => {
                self.deliver_to_us(&message);
            }
            Message::Notification { .. }
                if self.kept_for().is_some() && self.deliver_of_subscription(&message) => {}
            Message::Notification { .. } => {
                let queue = self.queue_of(&message);
                if !queue.push(message.to_canonical().into()) {
                    tracing::debug!(method = message.method(), "nobody reads, a notification is dropped");
                }
            }
            Message::Request { ref id, ref call } if self.is_modern() => {
                let _ = self.to_process.try_send(stateless::refuse(id, call.method()));
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
            if self.is_modern() || !self.park(id, call) {
                let _ = self.to_process.try_send(stateless::refuse(id, call.method()));
            }
            return;
        }
        if self.is_modern() && self.deliver_of_the_revision(message) {
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

    /// The token that its process was started with.
    pub(super) const fn token(&self) -> Option<&SecretString> {
        self.token.as_ref()
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
        state.remove(ours)
    }

    /// Whoever asked is gone. Its answer cannot be fetched later, so the process need not go on.
    pub(super) fn abandon(&self, ours: i64) {
        let Some(pending) = self.finish(ours) else { return };
        if pending.kind == Kind::Initialize {
            self.end.notify_one();
            return;
        }
        self.cancel(pending.current, "The client is gone");
    }

    pub(super) fn cancel(&self, number: i64, why: &str) {
        let params = json!({ "requestId": number, "reason": why });
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
        let nobody_waits = state.parked.values().all(Parked::is_over);
        state.pending.is_empty() && nobody_waits && state.listening.is_none() && state.used.elapsed() >= time
    }

    /// Ends the session's own stream, and tells whether requests are under way.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.lock();
        state.listener.close();
        state.pending.values().any(|pending| pending.kind != Kind::Listen)
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

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A request that is over, with all that was kept for it.
    pub(super) fn remove(&mut self, ours: i64) -> Option<Pending> {
        let pending = self.pending.remove(&ours)?;
        if pending.round.is_some() {
            self.again.remove(&pending.current);
            self.asked.retain(|_, (of, _)| *of != ours);
        }
        Some(pending)
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

#[cfg(test)]
mod tests;
