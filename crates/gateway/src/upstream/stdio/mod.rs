//! An MCP server that speaks over its standard input and output: we start it, and speak streamable HTTP for it.
//!
//! One process for each session of the 2025 revisions, and for each person with one client of the newest, never one for two
//! people unless the operator says so, by `shared_processes`: such servers know nothing of people, and what they keep, they keep
//! for whoever speaks to them (T-81, RS-056). Callers without a token, where something is open to them, are told apart by their
//! addresses, and have as many processes together as one person. A session lives on the node that started it.
//!
//! Which revisions a process knows, it says when it is started: it is asked to begin a session, and where it refuses, who it is in
//! the newest revision. Clients of all revisions get to either kind: [`stateless`] and [`parked`] have those without sessions at a
//! process with them, [`modern`] and [`rounds`] all clients at a process without them.

mod body;
mod lines;
mod modern;
mod owner;
mod parked;
mod pending;
mod places;
mod process;
mod queue;
mod rounds;
mod session;
mod standing;
mod stateless;
mod subscribed;

pub(crate) use body::Events;

use super::{Answer, UpstreamError};
use crate::{
    config::StdioCommand,
    message::{Action, Call, SESSION_ID},
};
use body::Reading;
use bytes::Bytes;
use hallpass_core::{
    json,
    mcp::{Message, Outcome, Revision},
    secret::SecretString,
    time::Timestamp,
};
use hallpass_resource::Authorized;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use owner::Owner;
use places::{Place, Places};
use queue::Queue;
use serde_json::Value;
use session::{NotTaken, Peer, Purpose, Session};
use standing::Standing;
use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    process::Child,
    sync::mpsc,
    time::{Instant, timeout},
};

/// Lines that wait for a process to read them.
const WAITING: usize = 8;
/// An answer that comes within it is answered as JSON, else the stream opens.
const FIRST: Duration = Duration::from_secs(1);
/// How long a client is kept waiting for a start after crashes; longer than that it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a process whose token was replaced may answer what it was asked.
const RETIRING: Duration = Duration::from_mins(5);
/// When to come back while all places are taken. Nobody knows.
const LATER: u64 = 30;

/// The processes of one server.
#[derive(Clone, Debug)]
pub(crate) struct StdioUpstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    command: StdioCommand,
    places: Arc<Places>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
    standing: Standing,
    /// Session ids are sealed for their owner, so they need not be secret; the time of our start and a number make
    /// them different from all before.
    started: Timestamp,
    numbers: AtomicU64,
    stopping: AtomicBool,
}

impl StdioUpstream {
    /// Starts nothing yet.
    pub(crate) fn new(name: &str, command: StdioCommand, now: Timestamp) -> Self {
        let places = Places::new(command.limits.processes, command.limits.processes_per_subject);
        Self(Arc::new(Inner {
            name: name.to_owned(),
            command,
            places,
            sessions: Mutex::default(),
            standing: Standing::default(),
            started: now,
            numbers: AtomicU64::new(1),
            stopping: AtomicBool::new(false),
        }))
    }

    /// Whether the two are one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether its processes get the tokens of their people.
    pub(crate) fn takes_tokens(&self) -> bool {
        self.0.command.token_variable.is_some()
    }

    /// Ends the processes of this caller: the token that they have is no longer that of the person.
    pub(crate) fn end_all_of(&self, authorized: &Authorized<Call>) {
        let owner = owner(authorized);
        let sessions = self.0.lock();
        for session in sessions.values().filter(|session| session.owner.subject == owner.subject) {
            session.end.notify_one();
        }
    }

    /// Does for a call what a server on HTTP would do. `token` is that of the person, for a server that takes one.
    pub(crate) async fn send(
        &self,
        authorized: &Authorized<Call>,
        token: Option<SecretString>,
    ) -> Result<Answer, UpstreamError> {
        let call = authorized.operation();
        if !is_known(call.version.as_ref()) {
            let requested = call.version.as_ref().and_then(|version| version.to_str().ok());
            return Ok(Answer {
                status: StatusCode::BAD_REQUEST,
                ..Answer::json(stateless::unsupported_version(call.id(), requested).into())
            });
        }
        if call.mirrors {
            return match &call.action {
                Action::Message(message) => {
                    let whose = (owner(authorized), token);
                    self.stateless(whose, message, takes_events(&call.headers)).await
                }
                Action::Listen | Action::EndSession => Err(UpstreamError::NoStream),
            };
        }
        match &call.action {
            Action::Message(message @ Message::Request { .. }) if message.method() == Some("initialize") => {
                self.initialize(authorized, message, token).await
            }
            Action::Message(message @ Message::Request { .. }) => {
                let session = self.session(authorized, token.as_ref())?;
                if let Some(answer) = session.answers_itself(message) {
                    return Ok(Answer::json(answer.into()));
                }
                answered(session, message, takes_events(&call.headers)).await
            }
            Action::Message(message) => {
                let session = self.session(authorized, token.as_ref())?;
                if let Some(line) = session.tell(message) {
                    session.write(line).await.ok_or(UpstreamError::NoSession)?;
                }
                Ok(Answer::empty(StatusCode::ACCEPTED))
            }
            Action::Listen => {
                let session = self.session(authorized, token.as_ref())?;
                let (listener, queue) = session.listen().ok_or(UpstreamError::NoSession)?;
                Ok(Answer::events(Events::new(queue, Reading::Session(session, listener))))
            }
            Action::EndSession => {
                self.owned(authorized)?.end.notify_one();
                Ok(Answer::empty(StatusCode::NO_CONTENT))
            }
        }
    }

    /// The caller's session, while its process has the token of today. With another one a client begins anew, as it has to
    /// when a server says that a session is over.
    fn session(
        &self,
        authorized: &Authorized<Call>,
        token: Option<&SecretString>,
    ) -> Result<Arc<Session>, UpstreamError> {
        let session = self.owned(authorized)?;
        if session.has(token) {
            return Ok(session);
        }
        retire(session);
        Err(UpstreamError::NoSession)
    }

    /// The caller's session. That of anybody else does not exist.
    fn owned(&self, authorized: &Authorized<Call>) -> Result<Arc<Session>, UpstreamError> {
        let named = authorized.operation().session.as_ref().ok_or(UpstreamError::SessionNeeded)?;
        let id = named.upstream.to_str().map_err(|_| UpstreamError::NoSession)?;
        let session = self.0.lock().get(id).cloned();
        session.filter(|session| session.owner == owner(authorized)).ok_or(UpstreamError::NoSession)
    }

    async fn initialize(
        &self,
        authorized: &Authorized<Call>,
        message: &Message,
        token: Option<SecretString>,
    ) -> Result<Answer, UpstreamError> {
        let purpose = Purpose { owner: owner(authorized), peer: Peer::Client, token };
        let (id, session) = self.0.process_for(purpose).await?;
        let (ours, line, queue) = session.begin(message, false).map_err(not_taken)?;
        // Dropped before the answer, it ends the process.
        let reading = Reading::Request(Arc::clone(&session), ours);
        // When the process is gone already, the answer says so.
        let _ = session.write(line).await;
        poll_fn(|context| queue.poll_ready(true, context)).await;
        drop(reading);
        let answer = queue.only_answer().ok_or(UpstreamError::Broken)?;
        let read = Message::parse(&answer, json::Limits { bytes: usize::MAX, ..Message::LIMITS });
        let mut made = matches!(read, Ok(Message::Response { outcome: Outcome::Result(_), .. }));
        let mut answer = answer;
        if !made && let Some(discovered) = discovered(&session).await {
            session.keeps_for(modern::Envelope::of_initialize(message), &discovered);
            (answer, made) = (modern::initialized(message, &discovered).into(), true);
        }
        let mut answer = Answer::json(answer);
        if made {
            let id = HeaderValue::try_from(id).map_err(|_| UpstreamError::Broken)?;
            answer.headers.insert(SESSION_ID, id);
        } else {
            session.end.notify_one();
        }
        Ok(answer)
    }

    /// Ends all processes: those that do nothing at once, the others when they have answered or `grace` is over.
    pub(crate) async fn stop(&self, grace: Duration) {
        let inner = &self.0;
        inner.stopping.store(true, Ordering::Relaxed);
        let all_idle = async {
            loop {
                let busy = {
                    let sessions = inner.lock();
                    let idle = sessions.values().filter(|session| !session.is_busy());
                    sessions.len() - idle.map(|session| session.end.notify_one()).count()
                };
                if busy == 0 {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = timeout(grace, all_idle).await;
        for session in inner.lock().values() {
            session.end.notify_one();
        }
        inner.places.empty().await;
    }
}

impl Inner {
    fn start(
        self: &Arc<Self>,
        purpose: Purpose,
        place: Place,
    ) -> Result<(String, Arc<Session>), UpstreamError> {
        let child = process::spawn(&self.command, purpose.token.as_ref()).map_err(|error| {
            tracing::error!(server = %self.name, program = %self.command.program, %error, "the MCP server cannot be started");
            UpstreamError::CannotStart
        })?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", self.started.seconds());
        let (to_process, from_clients) = mpsc::channel(WAITING);
        tracing::info!(server = %self.name, subject = %purpose.owner.subject, process = child.id(), "an MCP server is started");
        let session = Arc::new(Session::new(id.clone(), purpose, to_process));
        self.lock().insert(id.clone(), Arc::clone(&session));
        let run = Run { inner: Arc::clone(self), id: id.clone(), session: Arc::clone(&session), place };
        tokio::spawn(run.see_through(child, from_clients));
        Ok((id, session))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A process and what is to be undone when it has ended.
struct Run {
    inner: Arc<Inner>,
    id: String,
    session: Arc<Session>,
    place: Place,
}

impl Run {
    async fn see_through(self, mut child: Child, from_clients: mpsc::Receiver<Bytes>) {
        let (server, command) = (&self.inner.name, &self.inner.command);
        let process = child.id();
        let (why, stderr) = process::serve(&mut child, &self.session, from_clients, command, server).await;
        self.inner.lock().remove(&self.id);
        if why.is_crash() {
            self.place.crashed(Instant::now());
        }
        let status = process::stop(child, process, command.limits.stop).await;
        let status = status.map(tracing::field::display);
        if why.is_crash() {
            let stderr = match stderr {
                Some(stderr) => stderr.last_lines().await,
                None => VecDeque::new(),
            };
            let stderr = (!stderr.is_empty()).then(|| tracing::field::debug(stderr));
            tracing::warn!(%server, process, status, %why, stderr, "an MCP server has crashed; HALLPASS_LOG=debug shows all that it says on its standard error");
        } else {
            tracing::info!(%server, process, status, %why, "an MCP server has ended");
        }
    }
}

/// What a process says of itself that has refused a session: nothing, unless it knows the newest revision.
async fn discovered(session: &Arc<Session>) -> Option<Value> {
    let (ours, line, queue) = session.begin(&modern::discover()?, false).ok()?;
    let reading = Reading::Request(Arc::clone(session), ours);
    session.write(line).await?;
    // One that takes only what it knows may never answer.
    let answered = timeout(PATIENCE, poll_fn(|context| queue.poll_ready(true, context))).await;
    drop(reading);
    let answer = answered.ok().and_then(|()| queue.only_answer())?;
    let read = Message::parse(&answer, json::Limits { bytes: usize::MAX, ..Message::LIMITS });
    let Ok(Message::Response { outcome, .. }) = read else { return None };
    modern::discovered(&outcome)
}

/// The answer as JSON when it is there soon and comes alone, else as a stream.
async fn answered(session: Arc<Session>, message: &Message, streams: bool) -> Result<Answer, UpstreamError> {
    let begun = session.begin(message, streams).map_err(not_taken)?;
    read_out(session, begun, streams).await
}

/// The same for what a session has begun.
async fn read_out(
    session: Arc<Session>,
    (ours, line, queue): (i64, Bytes, Arc<Queue>),
    streams: bool,
) -> Result<Answer, UpstreamError> {
    let reading = Reading::Request(Arc::clone(&session), ours);
    session.write(line).await.ok_or(UpstreamError::NoSession)?;
    let ready = poll_fn(|context| queue.poll_ready(!streams, context));
    if streams {
        let _ = timeout(FIRST, ready).await;
    } else {
        ready.await;
    }
    Ok(match queue.only_answer() {
        Some(answer) => Answer::json(answer),
        None => Answer::events(Events::new(queue, reading)),
    })
}

/// Ends a session when it has answered what it was asked, or in a while; from now on it takes nothing more.
fn retire(session: Arc<Session>) {
    if !session.retires() {
        return;
    }
    tokio::spawn(async move {
        let answered = async {
            while session.is_busy() && !session.has_ended() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let _ = timeout(RETIRING, answered).await;
        session.end.notify_one();
    });
}

/// Whether a revision is named that we know, or none, as before 2025-06-18.
fn is_known(version: Option<&HeaderValue>) -> bool {
    version.is_none_or(|version| version.to_str().ok().and_then(Revision::parse).is_some())
}

fn takes_events(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().peekable();
    accepted.peek().is_none()
        || accepted.any(|value| {
            let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
            ["text/event-stream", "text/*", "*/*"].iter().any(|media_type| text.contains(media_type))
        })
}

fn owner(authorized: &Authorized<Call>) -> Owner {
    Owner::of(authorized.caller())
}

const fn not_taken(reason: NotTaken) -> UpstreamError {
    match reason {
        NotTaken::Ended => UpstreamError::NoSession,
        NotTaken::TooMany => UpstreamError::TooMany,
    }
}
