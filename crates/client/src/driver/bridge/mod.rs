//! For clients that only know stdio: their messages go to a protected server over HTTP, with a good token, and what
//! comes back goes to them.
//!
//! Messages are read once and strictly in both directions and written anew, so one line is one message. The client's
//! own words are passed on, on both wires: `initialize` and its session are the client's, not ours.

mod exchange;
mod stream;

use super::{
    Client, Credentials, Interaction, LoginOptions,
    call::{LIMITS, of_server},
    server_policy,
};
use crate::{
    error::Failed,
    tool_headers::ToolHeaders,
    wire::{self, Wire},
};
use hallpass_core::mcp::{Message, Raw, error::INTERNAL_ERROR, error_body};
use hallpass_fetch::Limits;
use http::HeaderValue;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::AbortHandle,
};

/// Requests under way at a time; a client that sends more waits.
const AT_A_TIME: usize = 64;

/// What is told of a message that could not be passed on.
pub type Report = Box<dyn Fn(&Failed) + Send + Sync>;

/// One client on stdio and one protected server. Cheap to clone.
#[derive(Clone)]
pub struct Bridge(Arc<Inner>);

struct Inner {
    /// One sign-in at a time, and whoever waited for it uses what it brought.
    credentials: Credentials,
    out: mpsc::Sender<Vec<u8>>,
    report: Report,
    state: Mutex<State>,
    /// One new session in place of a lost one.
    reopening: tokio::sync::Mutex<()>,
    room: Arc<Semaphore>,
}

#[derive(Default)]
struct State {
    /// After `initialize`.
    session: Option<Wire>,
    /// `initialize` as the client sent it, for a session that the server forgets.
    opening: Option<Message>,
    /// The client speaks the stateless wire.
    stateless: bool,
    tool_headers: ToolHeaders,
    under_way: HashMap<String, AbortHandle>,
    listening: Option<AbortHandle>,
}

impl std::fmt::Debug for Bridge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bridge").field("server", self.0.credentials.server()).finish_non_exhaustive()
    }
}

impl Client {
    /// A bridge to this server. `options` says as whom, and how to sign in when the server asks for it; lines for the
    /// client go to `out`, without their line ends.
    ///
    /// # Errors
    /// `ServerUrl`.
    pub fn bridge(
        &self,
        server: &str,
        options: LoginOptions,
        (interaction, report): (Box<dyn Interaction>, Report),
        out: mpsc::Sender<Vec<u8>>,
    ) -> Result<Bridge, Failed> {
        Ok(Bridge(Arc::new(Inner {
            credentials: self.credentials(server, options, Some(interaction))?,
            out,
            report,
            state: Mutex::default(),
            reopening: tokio::sync::Mutex::default(),
            room: Arc::new(Semaphore::new(AT_A_TIME)),
        })))
    }
}

impl Bridge {
    /// Takes one line of the client. Returns when the next one may be taken: requests go on by themselves, and all
    /// else keeps its order.
    pub async fn take(&self, line: &[u8]) {
        let message = match Message::parse(line, Message::LIMITS) {
            Ok(message) => message,
            Err(error) => return self.send(error_body(None, error.code(), &error.to_string())).await,
        };
        match &message {
            Message::Request { call, .. } if call.method() == "initialize" => {
                self.begin(&message);
                self.carry(&message).await;
            }
            Message::Request { id, .. } => {
                let id = id.as_str().to_owned();
                let Ok(room) = Arc::clone(&self.0.room).acquire_owned().await else { return };
                let bridge = self.clone();
                let task = tokio::spawn(async move {
                    bridge.carry(&message).await;
                    drop(room);
                });
                self.note(id, task.abort_handle());
            }
            Message::Notification { call }
                if call.method() == "notifications/cancelled" && self.state().stateless =>
            {
                self.cancel(call.params());
            }
            Message::Notification { .. } | Message::Response { .. } => self.carry(&message).await,
        }
    }

    /// Notes a new session of the client.
    fn begin(&self, opening: &Message) {
        let mut state = self.state();
        state.session = None;
        state.opening = Some(opening.clone());
    }

    /// Notes a request that is under way.
    fn note(&self, id: String, task: AbortHandle) {
        let mut state = self.state();
        state.under_way.retain(|_, task| !task.is_finished());
        state.under_way.insert(id, task);
    }

    /// Waits until nothing is under way, at most `patience`.
    pub async fn settle(&self, patience: Duration) {
        let all = u32::try_from(AT_A_TIME).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(patience, self.0.room.acquire_many(all)).await;
    }

    /// Ends what is under way and the session, where there is one. The server may refuse that, and it does not matter.
    pub async fn close(&self) {
        let session = {
            let mut state = self.state();
            let tasks = std::mem::take(&mut state.under_way);
            for task in tasks.into_values().chain(state.listening.take()) {
                task.abort();
            }
            state.session.take()
        };
        let Some(session) = session else { return };
        let Ok(Some(request)) = wire::end_session(self.0.credentials.server(), &session) else { return };
        let entry = self.0.credentials.current().await.ok().flatten();
        if let Ok(request) = self.client().authorized(request, entry.as_deref()) {
            let limits = Limits { total: Duration::from_secs(2), ..LIMITS };
            let sent =
                self.client().fetch.send(request, &server_policy(self.0.credentials.server()), limits).await;
            let _ = sent.map_err(of_server);
        }
    }

    /// One message there, and everything that comes for it back.
    async fn carry(&self, message: &Message) {
        let failed = match self.exchange(message).await {
            Ok(answered) => self.deliver(message, answered).await,
            Err(failed) => Err(failed),
        };
        let Err(failed) = failed else { return };
        (self.0.report)(&failed);
        if let Message::Request { id, .. } = message {
            self.refuse(id, &format!("hallpass: {failed}")).await;
        }
    }

    async fn refuse(&self, id: &Raw, text: &str) {
        self.send(error_body(Some(id), INTERNAL_ERROR, text)).await;
    }

    /// A client that is gone gets nothing more, and nobody has to know.
    async fn send(&self, line: Vec<u8>) {
        let _ = self.0.out.send(line).await;
    }

    /// On the stateless wire a request is cancelled by leaving it.
    fn cancel(&self, params: Option<&Raw>) {
        let id = params.and_then(Raw::to_value).and_then(|params| params.get("requestId").cloned());
        if let Some(id) = id
            && let Some(task) = self.state().under_way.remove(Raw::from_value(&id).as_str())
        {
            task.abort();
        }
    }

    fn client(&self) -> &Client {
        self.0.credentials.client()
    }

    // Nothing under this lock can panic half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session's id.
const fn session_id(wire: &Wire) -> Option<&HeaderValue> {
    match wire {
        Wire::Session { session, .. } => session.as_ref(),
        Wire::Stateless => None,
    }
}
