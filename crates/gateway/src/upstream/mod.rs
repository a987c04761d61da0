//! The MCP servers behind us. What is sent to them is written from an authorized call, and from nothing else.

mod connector;
mod http;
mod stdio;

pub(crate) use self::http::HttpUpstream;
pub(crate) use stdio::{Events, StdioUpstream};

use crate::{
    message::Call,
    upstream_credential::{Added, SecretHeader},
};
use ::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::Bytes;
use hallpass_fetch::tls::Distrust;
use hallpass_resource::Authorized;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

/// One server, however it is reached.
#[derive(Clone, Debug)]
pub(crate) enum Upstream {
    /// Over streamable HTTP.
    Http(Arc<HttpUpstream>),
    /// As processes of ours.
    Stdio(StdioUpstream),
}

/// An answer, not yet judged.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: AnswerBody,
}

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    /// As it comes over HTTP.
    Http(Incoming),
    /// At once.
    Whole(Option<Bytes>),
    /// As a process says it.
    Events(Events),
}

/// Why there is no answer of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// The server has to be told who calls, and the key does not sign.
    #[error("what the upstream is told about who calls could not be signed")]
    Unsigned,
    /// Nobody accepts connections there.
    #[error("the upstream cannot be reached: is the MCP server running at its configured URL?")]
    Unreachable,
    /// It is not who it should be, or we are not to it.
    #[error("the upstream is not talked to: {0}")]
    Untrusted(Distrust),
    /// It accepted and did not answer in time.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// The connection broke before the answer, or what came is not HTTP.
    #[error("the upstream broke the connection")]
    Broken,
    /// The command does not start a process.
    #[error("the upstream cannot be started: does its command work in a terminal?")]
    CannotStart,
    /// It crashes at each start. Seconds until the next try.
    #[error("the upstream has crashed several times")]
    Crashing(u64),
    /// As many processes as may be, in all or of this person. Seconds until the next try.
    #[error("there are as many processes as may be")]
    Busy(u64),
    /// As many requests of one session as may be.
    #[error("there are as many requests of this session as may be")]
    TooMany,
    /// The process of the session is gone, or the session is somebody else's.
    #[error("no such session")]
    NoSession,
    /// Only `initialize` is without a session.
    #[error("no session is named")]
    SessionNeeded,
    /// The newest revision has neither sessions nor streams of their own.
    #[error("the revision has neither sessions nor streams of their own")]
    NoStream,
}

impl Upstream {
    /// Sends a call that is allowed, and waits for the head of the answer for as long as the caller does. Dropping
    /// the future, or the answer's body, cancels.
    /// `added` says who it is and who we are, for a server that wants to know.
    pub(crate) async fn send(
        &self,
        authorized: &Authorized<Call>,
        added: Added,
    ) -> Result<Answer, UpstreamError> {
        match self {
            Self::Http(upstream) => {
                let (parts, body) = upstream.send(authorized, added).await?.into_parts();
                let body = AnswerBody::Http(body);
                Ok(Answer { status: parts.status, headers: parts.headers, body })
            }
            Self::Stdio(upstream) => {
                let token = added.credential.filter(|_| upstream.takes_tokens());
                upstream.send(authorized, token.as_ref().and_then(SecretHeader::token)).await
            }
        }
    }

    /// Whether nothing can be asked of it without the token of a person: a process has it from its start.
    pub(crate) fn is_of_one_person(&self) -> bool {
        match self {
            Self::Http(_) => false,
            Self::Stdio(upstream) => upstream.takes_tokens(),
        }
    }

    /// What has the token of this caller's person ends: it is no longer theirs.
    pub(crate) fn end_all_of(&self, authorized: &Authorized<Call>) {
        match self {
            Self::Http(_) => {}
            Self::Stdio(upstream) => upstream.end_all_of(authorized),
        }
    }
}

impl Answer {
    /// `application/json`.
    fn json(text: Bytes) -> Self {
        Self::typed("application/json", AnswerBody::Whole(Some(text)))
    }

    /// `text/event-stream`.
    fn events(events: Events) -> Self {
        Self::typed("text/event-stream", AnswerBody::Events(events))
    }

    /// No body.
    fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: AnswerBody::Whole(None) }
    }

    fn typed(media_type: &'static str, body: AnswerBody) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        Self { status: StatusCode::OK, headers, body }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Http(incoming) => Pin::new(incoming).poll_frame(context),
            Self::Whole(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Events(events) => {
                events.poll_piece(context).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http(incoming) => incoming.is_end_stream(),
            Self::Whole(text) => text.is_none(),
            Self::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http(incoming) => incoming.size_hint(),
            Self::Whole(text) => SizeHint::with_exact(
                text.as_ref().and_then(|text| u64::try_from(text.len()).ok()).unwrap_or_default(),
            ),
            Self::Events(_) => SizeHint::default(),
        }
    }
}
