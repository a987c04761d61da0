//! Handles of a server: states of unfinished requests, tasks, cursors. Whoever has one could act as the caller that it was
//! made for (CVE-2026-52870), so what a client gets is sealed to who it is, and nobody else's opens (RS-055, T-83).
//!
//! A person with a client, never a token: tokens change while a task goes on. What a server says of tasks that the *client*
//! runs for it is the client's, and stays as it is.

mod passing;

pub(crate) use passing::Passing;

use crate::{
    session::{Principal, SessionSealer},
    tools::Operation,
};
use hallpass_core::{
    mcp::{Call, Message, Outcome, Raw, splice::Path},
    time::Timestamp,
};
use hallpass_resource::Authenticated;
use std::{sync::Arc, time::Duration};

/// What a text is that a server gives out to get it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Of one request that goes on when the client has answered (2026-07-28).
    State,
    /// A task.
    Task,
    /// A place in a list.
    Cursor,
}

impl Kind {
    /// How long one opens. A task ends when its server says so: its id is compared with those in later answers, so it has
    /// to be the same in all of them, and cannot have a date in it.
    const fn lifetime(self) -> Option<Duration> {
        match self {
            Self::State => Some(Duration::from_hours(1)),
            Self::Cursor => Some(Duration::from_hours(24)),
            Self::Task => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Cursor => "cursor",
            Self::Task => "task",
        }
    }
}

type Places = [(Kind, &'static Path)];

const RELATED: (Kind, &Path) = (Kind::Task, &["_meta", "io.modelcontextprotocol/related-task", "taskId"]);

/// In results of the server.
const RESULT: &Places = &[
    (Kind::State, &["requestState"]),
    (Kind::Cursor, &["nextCursor"]),
    (Kind::Task, &["taskId"]),
    (Kind::Task, &["task", "taskId"]),
    (Kind::Task, &["tasks", "*", "taskId"]),
    RELATED,
];
/// In what the server says of its own tasks.
const STATUS: &Places = &[(Kind::Task, &["taskId"]), RELATED];
/// In everything else that either side says of its own accord.
const OTHER: &Places = &[RELATED];
/// In requests of the client.
const REQUEST: &Places = &[
    (Kind::State, &["requestState"]),
    (Kind::Cursor, &["cursor"]),
    (Kind::Task, &["taskId"]),
    (Kind::Task, &["taskIds", "*"]),
    (Kind::Task, &["notifications", "taskIds", "*"]),
    RELATED,
];

/// What none of these places is without.
const MARKS: [&str; 4] = ["requestState", "nextCursor", "cursor", "taskId"];

/// Whether a text could have a handle in it. One that is written with escapes is not found: then it is not sealed, and
/// does not open either.
pub(crate) fn may_have(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| MARKS.iter().any(|mark| text.contains(mark)))
}

/// Whether a client's text could have one, or something that a reader who folds names takes for one.
fn may_be_taken_for_one(text: &str) -> bool {
    // Escapes and other alphabets hide names; what is that rare is looked at in full.
    if text.bytes().any(|byte| byte == b'\\' || !byte.is_ascii()) {
        return true;
    }
    let lower = text.to_ascii_lowercase();
    ["requeststate", "cursor", "taskid"].iter().any(|mark| lower.contains(mark))
}

/// Whether what is no message could have one all the same: the names of the places are looked for as they are written in JSON. In a
/// text inside it their quotes are escaped.
pub(crate) fn names_one(text: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [b"\"requestState\"", b"\"nextCursor\"", b"\"taskId\""];
    let quotes = text.iter().enumerate().filter(|(_, byte)| **byte == b'"');
    let mut rests = quotes.filter_map(|(at, _)| text.get(at..));
    rests.any(|rest| NAMES.iter().any(|name| rest.starts_with(name)))
}

fn each(
    raw: &Raw,
    places: &Places,
    change: &dyn Fn(Kind, &str) -> Option<String>,
) -> Result<Option<Raw>, NoSuchHandle> {
    if !may_be_taken_for_one(raw.as_str()) {
        return Ok(None);
    }
    let paths: Vec<&Path> = places.iter().map(|(_, path)| *path).collect();
    let kind = |number: usize| places.get(number).map_or(Kind::State, |(kind, _)| *kind);
    let mut change = |number: usize, text: &str| change(kind(number), text);
    raw.with_texts(&paths, &mut change).map_err(|_| NoSuchHandle)
}

/// The call with other parameters, where there are others.
fn changed(
    call: &Call,
    change: impl FnOnce(&Raw) -> Result<Option<Raw>, NoSuchHandle>,
) -> Result<Option<Call>, NoSuchHandle> {
    let params = call.params().map(change).transpose()?.flatten();
    Ok(params.map(|params| call.clone().with_params(params)))
}

/// Whose handles, and of which request.
#[derive(Clone)]
pub(crate) struct Handles {
    sealer: Arc<dyn SessionSealer>,
    caller: Authenticated,
    server: Arc<str>,
    /// What a state belongs to: it goes on with the request that it came from and with no other.
    request: Box<str>,
    now: Timestamp,
}

/// The handle is not one that this caller got from us for this, or it is too old.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoSuchHandle;

impl Handles {
    /// Of this caller, for this request.
    pub(crate) fn new(
        sealer: &Arc<dyn SessionSealer>,
        caller: &Authenticated,
        server: &Arc<str>,
        operation: Operation<'_>,
        now: Timestamp,
    ) -> Self {
        let request = [operation.method(), "\n", operation.name().unwrap_or_default()].concat();
        Self {
            sealer: Arc::clone(sealer),
            caller: caller.clone(),
            server: Arc::clone(server),
            request: request.into(),
            now,
        }
    }

    /// What the client is told: the same message with its handles sealed, where there are any.
    ///
    /// # Errors
    /// Where one belongs is something that cannot be sealed: it does not go to the client as it is.
    pub(crate) fn sealed(&self, message: &Message) -> Result<Option<Message>, NoSuchHandle> {
        let seal = |raw: &Raw, places: &Places| each(raw, places, &|kind, text| Some(self.seal(kind, text)));
        Ok(match message {
            Message::Response { id, outcome: Outcome::Result(result) } => seal(result, RESULT)?
                .map(|result| Message::Response { id: id.clone(), outcome: Outcome::Result(result) }),
            Message::Response { outcome: Outcome::Error(_), .. } => None,
            Message::Notification { call } => {
                let is_status = call.method().starts_with("notifications/tasks");
                let places = if is_status { STATUS } else { OTHER };
                changed(call, |params| seal(params, places))?.map(|call| Message::Notification { call })
            }
            Message::Request { id, call } => changed(call, |params| seal(params, OTHER))?
                .map(|call| Message::Request { id: id.clone(), call }),
        })
    }

    /// What the server is told: the same message with its own handles, where there are any.
    pub(crate) fn opened(&self, message: &Message) -> Result<Option<Message>, NoSuchHandle> {
        let open = |raw: &Raw, places: &Places| each(raw, places, &|kind, text| self.open(kind, text));
        Ok(match message {
            Message::Request { id, call } => changed(call, |params| open(params, REQUEST))?
                .map(|call| Message::Request { id: id.clone(), call }),
            Message::Notification { call } => {
                changed(call, |params| open(params, OTHER))?.map(|call| Message::Notification { call })
            }
            Message::Response { id, outcome: Outcome::Result(result) } => open(result, OTHER)?
                .map(|result| Message::Response { id: id.clone(), outcome: Outcome::Result(result) }),
            Message::Response { outcome: Outcome::Error(_), .. } => None,
        })
    }

    fn seal(&self, kind: Kind, text: &str) -> String {
        let at = kind.lifetime().map_or(0, |_| self.now.seconds());
        let dated = format!("{at}\n{text}");
        self.sealer.seal_handle(&self.principal(), &self.belongs_to(kind), &dated)
    }

    fn open(&self, kind: Kind, sealed: &str) -> Option<String> {
        let dated = self.sealer.open_handle(&self.principal(), &self.belongs_to(kind), sealed)?;
        let (at, text) = dated.split_once('\n')?;
        let at = Timestamp::from_seconds(at.parse().ok()?);
        let is_good = kind.lifetime().is_none_or(|lifetime| self.now < at.plus(lifetime));
        is_good.then(|| text.to_owned())
    }

    fn principal(&self) -> Principal<'_> {
        Principal { subject: self.caller.subject(), client_id: self.caller.client_id(), server: &self.server }
    }

    /// A state goes on with its request. A task is asked for by other methods than the one that made it, and a list may come
    /// on a stream that is resumed, apart from its request.
    fn belongs_to(&self, kind: Kind) -> String {
        let request = if kind == Kind::State { &*self.request } else { "" };
        format!("{}\n{request}", kind.name())
    }
}
