//! An MCP server that speaks over its standard input and output: we start it, and speak streamable HTTP for it.
//!
//! One process for each session of the 2025 revisions, and for each person with one client of the newest, never one for two
//! people unless the operator says so, by `shared_processes` or by opening something to callers without a token, who are one
//! person here: such servers know nothing of people, and what they keep, they keep for whoever
//! speaks to them (T-81, RS-056). A session lives on the node that started it.

mod body;
mod lines;
mod places;
mod process;
mod queue;
mod session;
mod standing;
mod stateless;

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
    time::Timestamp,
};
use hallpass_resource::Authorized;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use places::{Place, Places};
use session::{NotTaken, Owner, Peer, Session};
use standing::Standing;
use std::{
    collections::HashMap,
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

    /// Does for a call what a server on HTTP would do.
    pub(crate) async fn send(&self, authorized: &Authorized<Call>) -> Result<Answer, UpstreamError> {
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
                    self.stateless(owner(authorized), message, takes_events(&call.headers)).await
                }
                Action::Listen | Action::EndSession => Err(UpstreamError::NoStream),
            };
        }
        match &call.action {
            Action::Message(message @ Message::Request { .. }) if message.method() == Some("initialize") => {
                self.initialize(authorized, message).await
            }
            Action::Message(message @ Message::Request { .. }) => {
                let session = self.session(authorized)?;
                answered(session, message, takes_events(&call.headers)).await
            }
            Action::Message(message) => {
                let session = self.session(authorized)?;
                if let Some(line) = session.tell(message) {
                    session.write(line).await.ok_or(UpstreamError::NoSession)?;
                }
                Ok(Answer::empty(StatusCode::ACCEPTED))
            }
            Action::Listen => {
                let session = self.session(authorized)?;
                let (listener, queue) = session.listen().ok_or(UpstreamError::NoSession)?;
                Ok(Answer::events(Events::new(queue, Reading::Session(session, listener))))
            }
            Action::EndSession => {
                self.session(authorized)?.end.notify_one();
                Ok(Answer::empty(StatusCode::NO_CONTENT))
            }
        }
    }

    /// The caller's session. That of anybody else does not exist.
    fn session(&self, authorized: &Authorized<Call>) -> Result<Arc<Session>, UpstreamError> {
        let named = authorized.operation().session.as_ref().ok_or(UpstreamError::SessionNeeded)?;
        let id = named.upstream.to_str().map_err(|_| UpstreamError::NoSession)?;
        let session = self.0.lock().get(id).cloned();
        session.filter(|session| session.owner == owner(authorized)).ok_or(UpstreamError::NoSession)
    }

    async fn initialize(
        &self,
        authorized: &Authorized<Call>,
        message: &Message,
    ) -> Result<Answer, UpstreamError> {
        let (id, session) = self.0.process_for(owner(authorized), Peer::Client).await?;
        let (ours, line, queue) = session.begin(message, false).map_err(not_taken)?;
        // Dropped before the answer, it ends the process.
        let reading = Reading::Request(Arc::clone(&session), ours);
        // When the process is gone already, the answer says so.
        let _ = session.write(line).await;
        poll_fn(|context| queue.poll_ready(true, context)).await;
        drop(reading);
        let answer = queue.only_answer().ok_or(UpstreamError::Broken)?;
        let read = Message::parse(&answer, json::Limits { bytes: usize::MAX, ..Message::LIMITS });
        let made = matches!(read, Ok(Message::Response { outcome: Outcome::Result(_), .. }));
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
        owner: Owner,
        peer: Peer,
        place: Place,
    ) -> Result<(String, Arc<Session>), UpstreamError> {
        let child = process::spawn(&self.command).map_err(|error| {
            tracing::error!(server = %self.name, program = %self.command.program, %error, "the MCP server cannot be started");
            UpstreamError::CannotStart
        })?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", self.started.seconds());
        let (to_process, from_clients) = mpsc::channel(WAITING);
        tracing::info!(server = %self.name, subject = %owner.subject, process = child.id(), "an MCP server is started");
        let session = Arc::new(Session::new(owner, peer, to_process));
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
        let why = process::serve(&mut child, &self.session, from_clients, command, server).await;
        self.inner.lock().remove(&self.id);
        if why.is_crash() {
            self.place.crashed(Instant::now());
        }
        let status = process::stop(child, process, command.limits.stop).await;
        let status = status.map(tracing::field::display);
        if why.is_crash() {
            tracing::warn!(%server, process, status, %why, "an MCP server has crashed; HALLPASS_LOG=debug shows its standard error");
        } else {
            tracing::info!(%server, process, status, %why, "an MCP server has ended");
        }
    }
}

/// The answer as JSON when it is there soon and comes alone, else as a stream.
async fn answered(session: Arc<Session>, message: &Message, streams: bool) -> Result<Answer, UpstreamError> {
    let (ours, line, queue) = session.begin(message, streams).map_err(not_taken)?;
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
    Owner { subject: authorized.subject().to_owned(), client_id: authorized.client_id().to_owned() }
}

const fn not_taken(reason: NotTaken) -> UpstreamError {
    match reason {
        NotTaken::Ended => UpstreamError::NoSession,
        NotTaken::TooMany => UpstreamError::TooMany,
    }
}
