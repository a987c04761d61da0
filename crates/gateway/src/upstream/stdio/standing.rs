//! The processes that serve clients without sessions: one for each person with one client, kept for the next request, or a
//! few for everybody where the operator says that the server keeps nothing about anybody.

use super::{
    Inner, LATER, PATIENCE, Reading, StdioUpstream, answered, discovered, modern, not_taken,
    owner::Owner,
    places::Place as Room,
    read_out, retire,
    session::{Peer, Purpose, Session},
    stateless,
};
use crate::upstream::{Answer, AnswerBody, UpstreamError};
use hallpass_core::{
    json,
    mcp::{Message, Outcome, Raw, error::INVALID_PARAMS, error_body},
    secret::SecretString,
};
use http::StatusCode;
use serde_json::Value;
use std::{
    collections::HashMap,
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, timeout};

/// How long a stranger waits for the end of another's process.
const ROOM: Duration = Duration::from_secs(5);

/// One process and what it said of itself.
#[derive(Clone, Debug)]
struct Ready {
    session: Arc<Session>,
    /// What it answered to `initialize`, or to `server/discover` where it knows no sessions.
    said: Arc<Value>,
}

/// Held while a process is started, so that one is started for all who wait.
type Place = Arc<tokio::sync::Mutex<Option<Ready>>>;

/// Who has which.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// By whose they are, and what they were told that these can be asked.
    of: Mutex<HashMap<(Owner, Box<str>), Place>>,
    next: AtomicUsize,
}

impl Standing {
    /// The place of this owner. Places whose process has ended, and which nobody waits for, are forgotten.
    fn place(&self, owner: &Owner, offers: &Raw) -> Place {
        let key = (owner.clone(), offers.as_str().into());
        let mut of = self.lock();
        if !of.contains_key(&key) {
            of.retain(|_, place| {
                Arc::strong_count(place) > 1
                    || place
                        .try_lock()
                        .is_ok_and(|ready| ready.as_ref().is_some_and(|ready| !ready.session.has_ended()))
            });
        }
        Arc::clone(of.entry(key).or_default())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Owner, Box<str>), Place>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StdioUpstream {
    /// Does for a request without a session what a server of the newest revision would do.
    pub(super) async fn stateless(
        &self,
        (owner, token): (Owner, Option<SecretString>),
        message: &Message,
        streams: bool,
    ) -> Result<Answer, UpstreamError> {
        let Message::Request { id, call } = message else { return Ok(Answer::empty(StatusCode::ACCEPTED)) };
        // In the order in which a server of the revision looks (SEP-2575): what a request has to say, then whether it is there.
        if !stateless::says_capabilities(call) {
            let text = stateless::no_capabilities(id);
            return Ok(Answer { status: StatusCode::BAD_REQUEST, ..Answer::json(text.into()) });
        }
        if !stateless::is_known(call.method()) {
            return Ok(not_found(stateless::no_such_method(id)));
        }
        let owner = self.whose(owner);
        // What several people share asks none of them: nobody could tell whom it means.
        let offers = if owner.is_everybody() { stateless::nothing() } else { stateless::offers(call) };
        let Some(ready) = self.ready(&owner, &offers, token).await? else {
            return Ok(Answer::json(stateless::not_initialized(id).into()));
        };
        let is_modern = ready.session.is_modern();
        if !is_modern && !stateless::is_there(call.method()) {
            return Ok(not_found(stateless::no_such_method(id)));
        }
        if call.method() == "server/discover" {
            let says = if is_modern { modern::discovery } else { stateless::discovery };
            return Ok(Answer::json(says(id, &ready.said).into()));
        }
        if !is_modern && stateless::resumes(call) {
            return Ok(match ready.session.resume(message, streams) {
                Ok(begun) => read_out(ready.session, begun, streams).await?,
                Err(text) => Answer::json(error_body(Some(id), INVALID_PARAMS, text).into()),
            });
        }
        let answer = answered(ready.session, message, streams).await?;
        if let AnswerBody::Whole(Some(text)) = &answer.body
            && stateless::is_no_such_method(text)
        {
            return Ok(not_found(text.to_vec()));
        }
        Ok(answer)
    }

    /// Whose process a request of this owner goes to: theirs, or one of those that all share, in turn.
    fn whose(&self, owner: Owner) -> Owner {
        let shared = self.0.command.shared_processes;
        if shared == 0 {
            return owner;
        }
        let turn = self.0.standing.next.fetch_add(1, Ordering::Relaxed) % shared;
        Owner::everybody(turn)
    }

    /// The process of this owner, started if there is none; nothing when it takes no session.
    async fn ready(
        &self,
        owner: &Owner,
        offers: &Raw,
        token: Option<SecretString>,
    ) -> Result<Option<Ready>, UpstreamError> {
        let place = self.0.standing.place(owner, offers);
        let mut kept = place.lock().await;
        if let Some(ready) = kept.as_ref().filter(|ready| !ready.session.has_ended()) {
            if ready.session.has(token.as_ref()) {
                return Ok(Some(ready.clone()));
            }
            // What it has under way it answers still.
            retire(Arc::clone(&ready.session));
        }
        *kept = None;
        *kept = self.0.begin(owner, offers, token).await?;
        Ok(kept.clone())
    }
}

impl Inner {
    async fn begin(
        self: &Arc<Self>,
        owner: &Owner,
        offers: &Raw,
        token: Option<SecretString>,
    ) -> Result<Option<Ready>, UpstreamError> {
        let Some(initialize) = stateless::initialize(offers) else { return Ok(None) };
        let (_, session) =
            self.process_for(Purpose { owner: owner.clone(), peer: Peer::Gateway, token }).await?;
        let (ours, line, queue) = session.begin(&initialize, false).map_err(not_taken)?;
        // Dropped before the answer, it ends the process.
        let reading = Reading::Request(Arc::clone(&session), ours);
        let _ = session.write(line).await;
        poll_fn(|context| queue.poll_ready(true, context)).await;
        drop(reading);
        let answer = queue.only_answer().ok_or(UpstreamError::Broken)?;
        let read = Message::parse(&answer, json::Limits { bytes: usize::MAX, ..Message::LIMITS });
        let Ok(Message::Response { outcome: Outcome::Result(result), .. }) = read else {
            if let Some(said) = discovered(&session).await {
                session.passes_on();
                return Ok(Some(Ready { session, said: Arc::new(said) }));
            }
            // It has crashed, which the next start waits for, or it does not know the method.
            let (server, ended) = (&self.name, session.has_ended());
            tracing::warn!(%server, ended, "the MCP server takes neither `initialize` nor `server/discover`");
            session.end.notify_one();
            return if ended { Err(UpstreamError::Broken) } else { Ok(None) };
        };
        session.offers(modern::Envelope::of_initialize(&initialize));
        let written = session.write(stateless::INITIALIZED.into()).await;
        written.ok_or(UpstreamError::Broken)?;
        let said = Arc::new(Raw::to_value(&result).unwrap_or_default());
        Ok(Some(Ready { session, said }))
    }

    /// A new process for this owner, when there is a place for it and the last one did not just crash.
    pub(super) async fn process_for(
        self: &Arc<Self>,
        purpose: Purpose,
    ) -> Result<(String, Arc<Session>), UpstreamError> {
        let owner = &purpose.owner;
        if self.stopping.load(Ordering::Relaxed) {
            return Err(UpstreamError::Busy(LATER));
        }
        let place = match self.places.take(&owner.counted(), Instant::now()) {
            None if owner.is_stranger() => self.place_of_another(owner).await,
            place => place,
        };
        let place = place.ok_or_else(|| {
            tracing::warn!(server = %self.name, subject = %owner.subject, "no place for another process");
            UpstreamError::Busy(LATER)
        })?;
        let delay = place.delay(Instant::now());
        if delay > PATIENCE {
            return Err(UpstreamError::Crashing(delay.as_secs() + 1));
        }
        tokio::time::sleep(delay).await;
        self.start(purpose, place)
    }
}

impl Inner {
    /// The place of the stranger who has been silent for longest, whose process ends: else a few addresses would keep all
    /// others out. Who waits for an answer keeps theirs.
    async fn place_of_another(&self, owner: &Owner) -> Option<Room> {
        let silent = {
            let sessions = self.lock();
            let strangers = sessions.values().filter(|session| session.owner.is_stranger());
            let free = strangers.filter_map(|session| Some((session.free_since()?, session)));
            free.min_by_key(|(since, _)| *since).map(|(_, session)| Arc::clone(session))
        };
        silent?.end.notify_one();
        let room = async {
            loop {
                if let Some(place) = self.places.take(&owner.counted(), Instant::now()) {
                    return place;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(ROOM, room).await.ok()
    }
}

fn not_found(text: Vec<u8>) -> Answer {
    Answer { status: StatusCode::NOT_FOUND, ..Answer::json(text.into()) }
}
