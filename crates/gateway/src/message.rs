//! What is asked: the message, and the session that it belongs to.

use crate::{
    config::Limits,
    session::{Principal, SessionSealer, unmarked},
    span,
    tools::Operation,
};
use axum::body::Body;
use hallpass_core::mcp::{Message, Raw, Revision};
pub(crate) use hallpass_resource::message::{MCP_METHOD, MCP_NAME, PARAMETER, PROTOCOL_VERSION};
use hallpass_resource::{head::single, message};
use http::{HeaderMap, HeaderName, HeaderValue, Method, request::Parts};

pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// What revision 2026-07-28 has no more, of the methods that are about something of a caller's (SEP-2575, SEP-2663). They are
/// answered here: an upstream of several revisions must not see one without the session that says whose it is.
const REMOVED: [&str; 4] = ["resources/subscribe", "resources/unsubscribe", "tasks/list", "tasks/result"];

/// One call, read and consistent, but not yet allowed.
#[derive(Debug)]
pub(crate) struct Call {
    /// What is asked.
    pub action: Action,
    /// The version that it speaks, as the client named it in the header.
    pub version: Option<HeaderValue>,
    /// Whether that revision's servers compare headers with the body, so that the headers mean something.
    pub mirrors: bool,
    /// Whether the headers are written for the upstream: those of a revision that is not known here may be compared there, and
    /// only the upstream can say that it does not know it either.
    pub writes_mirrors: bool,
    /// The session that it belongs to.
    pub session: Option<Session>,
    /// Where it stands in a trace: what the client said, or what is said of it here.
    pub traceparent: Option<HeaderValue>,
    /// The client's headers, of which `credentials` takes what is on its list.
    pub headers: HeaderMap,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Action {
    /// `POST`.
    Message(Message),
    /// `GET`.
    Listen,
    /// `DELETE`.
    EndSession,
}

/// A session id in its two forms.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// What the client has.
    pub sealed: HeaderValue,
    /// What the upstream has.
    pub upstream: HeaderValue,
    /// Whether its client opens URLs for its person.
    pub opens_urls: bool,
}

/// Why a call is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// There is no message that could be judged.
    #[error("{0}")]
    Message(#[from] message::Unread),
    /// Several session ids, or versions, or event ids.
    #[error("a header occurs more than once")]
    Repeated,
    /// A state, a task or a cursor is not one that this principal got from us.
    #[error("no such state, task or cursor of this caller")]
    NoHandle {
        /// The request that is answered.
        id: Option<Raw>,
    },
    /// A method that older revisions had, by a client of one that has it no more.
    #[error("the method is not in this revision any more")]
    NoSuchMethod {
        /// The request that is answered.
        id: Option<Raw>,
    },
    /// A task is asked for by a client that did not say that it knows tasks, and it is not one of this principal either.
    #[error("the client did not declare tasks")]
    NoTasks {
        /// The request that is answered.
        id: Option<Raw>,
    },
    /// The session id is not one that this principal got from us.
    #[error("no such session of this caller")]
    NoSession,
}

impl Unread {
    /// The request that is answered, where it was read that far.
    pub(crate) const fn id(&self) -> Option<&Raw> {
        match self {
            Self::NoHandle { id } | Self::NoSuchMethod { id } | Self::NoTasks { id } => id.as_ref(),
            Self::Message(unread) => unread.id(),
            Self::Repeated | Self::NoSession => None,
        }
    }
}

impl Call {
    /// What it wants to do.
    pub(crate) fn operation(&self) -> Operation<'_> {
        match &self.action {
            Action::Message(message) => Operation::of(message),
            Action::Listen => Operation::Listen,
            Action::EndSession => Operation::EndSession,
        }
    }

    /// The id of a request, so that an error of ours reaches who waits for it.
    pub(crate) fn id(&self) -> Option<&Raw> {
        match &self.action {
            Action::Message(message @ Message::Request { .. }) => message.id(),
            Action::Message(Message::Notification { .. } | Message::Response { .. })
            | Action::Listen
            | Action::EndSession => None,
        }
    }
}

/// Reads a call.
pub(crate) async fn read(
    parts: Parts,
    body: Body,
    limits: &Limits,
    principal: &Principal<'_>,
    sealer: &dyn SessionSealer,
) -> Result<Call, Unread> {
    let headers = parts.headers;
    let action = match parts.method {
        Method::POST => {
            let limits = message::Limits { body: limits.body, receive: limits.receive };
            Action::Message(message::read(&headers, body, limits).await?)
        }
        Method::GET => Action::Listen,
        Method::DELETE => Action::EndSession,
        _ => return Err(message::Unread::Method.into()),
    };
    let version = single(&headers, &PROTOCOL_VERSION).map_err(|()| Unread::Repeated)?.cloned();
    let mirrors = mirrors(version.as_ref(), &action);
    if let Action::Message(message @ Message::Request { .. }) = &action
        && mirrors
        && message.method().is_some_and(|method| REMOVED.contains(&method))
    {
        return Err(Unread::NoSuchMethod { id: message.id().cloned() });
    }
    // Revision 2026-07-28 has no sessions, and a server of several revisions must not see one with it (RS-057).
    let session = if mirrors { None } else { open_session(&headers, principal, sealer)? };
    let traceparent = span::received(&headers).cloned();
    let writes_mirrors = mirrors || version.as_ref().is_some_and(is_unknown);
    Ok(Call { action, version, mirrors, writes_mirrors, session, traceparent, headers })
}

fn is_unknown(version: &HeaderValue) -> bool {
    version.to_str().is_ok_and(|text| Revision::parse(text).is_none())
}

fn mirrors(version: Option<&HeaderValue>, action: &Action) -> bool {
    let mirrors = |text: &str| Revision::parse(text).is_some_and(Revision::mirrors_headers);
    let inside = match action {
        Action::Message(message) => message.protocol_version(),
        Action::Listen | Action::EndSession => None,
    };
    version.and_then(|value| value.to_str().ok()).is_some_and(mirrors) || inside.is_some_and(mirrors)
}

fn open_session(
    headers: &HeaderMap,
    principal: &Principal<'_>,
    sealer: &dyn SessionSealer,
) -> Result<Option<Session>, Unread> {
    let Some(held) = single(headers, &SESSION_ID).map_err(|()| Unread::Repeated)? else { return Ok(None) };
    let text = held.to_str().map_err(|_| Unread::NoSession)?;
    let opened = sealer.open(principal, text).ok_or(Unread::NoSession)?;
    let (upstream, opens_urls) = unmarked(&opened);
    let upstream = HeaderValue::try_from(upstream).map_err(|_| Unread::NoSession)?;
    Ok(Some(Session { sealed: held.clone(), upstream, opens_urls }))
}
