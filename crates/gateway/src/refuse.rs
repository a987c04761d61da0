//! Every answer that is ours and not the upstream's: from the reason to the status and the JSON-RPC error.

use crate::{
    admit::NotAdmitted,
    headers::{self, AnswerFault},
    message::Unread,
    router::Server,
    upstream::UpstreamError,
};
use axum::body::Body;
use hallpass_core::mcp::{
    MessageError, Raw,
    error::{HEADER_MISMATCH, INVALID_REQUEST, PARSE_ERROR},
    error_body,
};
use hallpass_resource::{Reason, refuse::ERROR_CODE};
use http::{HeaderValue, Response, StatusCode, header};

/// Why a call is not answered by the upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// By where it comes from.
    #[error("{0}")]
    NotAdmitted(#[from] NotAdmitted),
    /// By its token, or for lack of a scope.
    #[error("{0}")]
    Token(#[from] Reason),
    /// By its form.
    #[error("{0}")]
    Unread(#[from] Unread),
    /// There is no answer.
    #[error("{0}")]
    Upstream(#[from] UpstreamError),
    /// The answer is none for a client.
    #[error("{0}")]
    Answer(#[from] AnswerFault),
}

/// The answer for the client. `id` is that of its request, once it was read.
pub(crate) fn respond(refusal: &Refusal, server: &Server, id: Option<&Raw>) -> Response<Body> {
    if let Refusal::Token(reason) = refusal {
        let mut response = server.resource.refuse(*reason, &server.rules.required).map(Body::from);
        headers::protect(response.headers_mut());
        return response;
    }
    let (status, code, message) = row(refusal);
    let id = if let Refusal::Unread(Unread::Headers { id, .. }) = refusal { id.as_ref() } else { id };
    let mut response = error(status, id, code, message);
    let headers = response.headers_mut();
    if matches!(refusal, Refusal::Unread(Unread::Method)) {
        headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
    }
    // Whoever does not finish its request is not waited for.
    if matches!(refusal, Refusal::Unread(Unread::Slow | Unread::TooLong | Unread::CutOff)) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The code that the reference servers use for an unknown session.
const NO_SESSION: i64 = -32001;

/// What the MCP path takes.
pub(crate) const METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// A JSON-RPC error with our headers.
pub(crate) fn error(status: StatusCode, id: Option<&Raw>, code: i64, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(error_body(id, code, message)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers::protect(headers);
    response
}

/// The table. What the upstream is and does is for the operator's log, not for the client.
fn row(refusal: &Refusal) -> (StatusCode, i64, &'static str) {
    let ours = i64::from(ERROR_CODE);
    match refusal {
        Refusal::NotAdmitted(NotAdmitted::Host) => {
            (StatusCode::FORBIDDEN, ours, "This Host is not served here")
        }
        Refusal::NotAdmitted(NotAdmitted::Origin) => {
            (StatusCode::FORBIDDEN, ours, "This Origin may not ask here")
        }
        // Answered above, with a challenge.
        Refusal::Token(_) => (StatusCode::UNAUTHORIZED, ours, "Authorization is required"),
        Refusal::Unread(unread) => unread_row(unread),
        Refusal::Upstream(UpstreamError::Unreachable | UpstreamError::Broken) => (
            StatusCode::BAD_GATEWAY,
            ours,
            "The MCP server cannot be reached. Its operator finds the reason in the gateway's log",
        ),
        Refusal::Upstream(UpstreamError::Timeout) => {
            (StatusCode::GATEWAY_TIMEOUT, ours, "The MCP server did not answer in time")
        }
        Refusal::Answer(AnswerFault::Credentials) => (
            StatusCode::BAD_GATEWAY,
            ours,
            "The MCP server refuses the gateway. Its operator has to let it accept requests of the gateway without a token",
        ),
        Refusal::Answer(AnswerFault::Redirect) => (
            StatusCode::BAD_GATEWAY,
            ours,
            "The MCP server has moved. The gateway's operator has to configure its new URL",
        ),
        Refusal::Answer(AnswerFault::Status) => {
            (StatusCode::BAD_GATEWAY, ours, "The MCP server's answer cannot be passed on")
        }
    }
}

fn unread_row(unread: &Unread) -> (StatusCode, i64, &'static str) {
    match unread {
        Unread::Method => {
            (StatusCode::METHOD_NOT_ALLOWED, INVALID_REQUEST, "Only POST, GET and DELETE are understood here")
        }
        Unread::MediaType => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, "Content-Type must be application/json")
        }
        Unread::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, "The message is too long"),
        Unread::Slow => {
            (StatusCode::REQUEST_TIMEOUT, INVALID_REQUEST, "The message was not received in time")
        }
        Unread::CutOff => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "The message was cut off"),
        Unread::Message(error) => (StatusCode::BAD_REQUEST, error.code(), describe(*error)),
        Unread::Headers { .. } => {
            (StatusCode::BAD_REQUEST, HEADER_MISMATCH, "The headers and the message differ")
        }
        Unread::Repeated => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "A header occurs more than once"),
        Unread::NoSession => (StatusCode::NOT_FOUND, NO_SESSION, "No such session: initialize a new one"),
    }
}

/// The class of a malformed message; the exact rule is in the log.
fn describe(error: MessageError) -> &'static str {
    if error == MessageError::Batch {
        "Batches are not accepted: send one message at a time"
    } else if matches!(error, MessageError::DuplicateMember | MessageError::FoldedMember) {
        "The message can be read in two ways"
    } else if error.code() == PARSE_ERROR {
        "The message is not JSON"
    } else {
        "Not a JSON-RPC message that is accepted here"
    }
}
