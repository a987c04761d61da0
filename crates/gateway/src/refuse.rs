//! Every answer that is ours and not the upstream's: from the reason to the status and the JSON-RPC error.

use crate::{
    admit::NotAdmitted,
    challenge::{self, ChallengeStyle},
    connect::Prompt,
    headers::{self, AnswerFault},
    message::Unread,
    router::Server,
    rules::Denied,
    upstream::UpstreamError,
};
use axum::body::Body;
use hallpass_core::mcp::{
    Raw,
    error::{INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, MISSING_CAPABILITY},
};
use hallpass_core::scope::Scope;
use hallpass_resource::{
    Reason, Scheme, message,
    refuse::{self, ERROR_CODE},
};
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;
use std::time::Duration;

/// Why a call is not answered by the upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// By where it comes from.
    #[error("{0}")]
    NotAdmitted(#[from] NotAdmitted),
    /// By its token, or for lack of a scope.
    #[error("{0}")]
    Token(#[from] Reason),
    /// For lack of scopes.
    #[error("more scope is needed")]
    Scope {
        /// All that the client has to ask for, by the names of its authorization server.
        scope: Scope,
        /// How this client wants to be told.
        style: ChallengeStyle,
    },
    /// It takes a token, and there was none.
    #[error("it takes a token")]
    SignIn {
        /// All that the client has to ask for, by the names of its authorization server.
        scope: Scope,
        /// How it wants to be told.
        style: ChallengeStyle,
    },
    /// By the rules: no scope allows it.
    #[error("no rule allows it")]
    Denied(Denied),
    /// By the token's own limits: it is for other tools, or other arguments.
    #[error("the token is not for this tool with these arguments")]
    Details,
    /// More calls than this caller may make; how long to wait.
    #[error("the caller makes too many calls")]
    TooMany(Duration),
    /// More streams than this caller may have open.
    #[error("the caller has too many streams open")]
    Streams,
    /// The server works with an account that a person connected here, and the token is a machine's or of elsewhere.
    #[error(
        "the server works with an account of the person, and no person of this server is behind the token"
    )]
    NoPerson,
    /// The person has to connect a service first.
    #[error("the person has to connect {}", .0.service)]
    Connect(Box<Prompt>),
    /// What gives credentials for the person is not there right now.
    #[error("what gives credentials for the person cannot be asked right now")]
    Service,
    /// The authorization server of the server behind gives no token for the person.
    #[error("the authorization server of the server behind gives no token for the person")]
    NoToken,
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

/// The answer for the client. `id` is that of its request, once it was read, `scheme` how it presents its token.
pub(crate) fn respond(
    refusal: &Refusal,
    server: &Server,
    id: Option<&Raw>,
    scheme: Scheme,
) -> Response<Body> {
    let challenged = match refusal {
        Refusal::Token(reason) => Some((*reason, server.asked.without_token(&server.rules.required))),
        Refusal::Scope { scope, .. } => Some((Reason::InsufficientScope, scope.clone())),
        Refusal::SignIn { scope, .. } => Some((Reason::NoCredentials, scope.clone())),
        Refusal::Denied(_)
        | Refusal::Details
        | Refusal::TooMany(_)
        | Refusal::Streams
        | Refusal::NoPerson
        | Refusal::Connect(_)
        | Refusal::Service
        | Refusal::NoToken
        | Refusal::NotAdmitted(_)
        | Refusal::Unread(_)
        | Refusal::Upstream(_)
        | Refusal::Answer(_) => None,
    };
    if let Some((reason, scope)) = challenged {
        let mut response = server.resource.refuse(reason, &scope, scheme).map(Body::from);
        if let Refusal::Scope { style, .. } | Refusal::SignIn { style, .. } = refusal
            && let (ChallengeStyle::ToolResult, Some(id)) = (style, id)
        {
            in_a_result(&mut response, id);
        }
        headers::protect(response.headers_mut());
        return response;
    }
    if let Refusal::Connect(prompt) = refusal {
        return prompt.respond(id);
    }
    let (status, code, message) = row(refusal);
    let unread = if let Refusal::Unread(Unread::Message(unread)) = refusal { Some(unread) } else { None };
    let id = if let Refusal::Unread(unread) = refusal { unread.id().or(id) } else { id };
    let mut response = error(status, id, code, message);
    if let Refusal::Unread(Unread::NoTasks { .. }) = refusal {
        *response.body_mut() = Body::from(missing_tasks(id, message));
    }
    let headers = response.headers_mut();
    if let Some(seconds) = retry_after(refusal) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if unread == Some(&message::Unread::Method) {
        headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
    }
    if unread.is_some_and(message::Unread::ends_connection) {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The same challenge for a client that looks for it in the result of a tool and nowhere else.
fn in_a_result(response: &mut Response<Body>, id: &Raw) {
    let challenge = response.headers_mut().remove(header::WWW_AUTHENTICATE);
    let Some(text) = challenge.as_ref().and_then(|challenge| challenge.to_str().ok()) else { return };
    *response.body_mut() = Body::from(challenge::tool_result(id, text));
    *response.status_mut() = StatusCode::OK;
}

/// The code that the reference servers use for an unknown session.
const NO_SESSION: i64 = -32001;

/// What the MCP path takes.
pub(crate) const METHODS: &str = "GET, POST, DELETE, OPTIONS";

/// A JSON-RPC error with our headers.
pub(crate) fn error(status: StatusCode, id: Option<&Raw>, code: i64, message: &str) -> Response<Body> {
    let mut response = refuse::error(status, id, code, message).map(Body::from);
    headers::protect(response.headers_mut());
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
        Refusal::Token(_) | Refusal::Scope { .. } | Refusal::SignIn { .. } => {
            (StatusCode::UNAUTHORIZED, ours, "Authorization is required")
        }
        // Without a challenge: no token would be enough, and a client must not send its person to get one.
        Refusal::Denied(Denied::Unlisted) => {
            (StatusCode::FORBIDDEN, ours, "This is not allowed here to anybody")
        }
        Refusal::Denied(Denied::Caller) => {
            (StatusCode::FORBIDDEN, ours, "This is not allowed to this person with this client")
        }
        Refusal::Denied(Denied::Arguments) => {
            (StatusCode::FORBIDDEN, ours, "This is not allowed with these arguments")
        }
        // No scope widens it, and the person was asked for exactly this.
        Refusal::Details => {
            (StatusCode::FORBIDDEN, ours, "This access is not for this tool with these arguments")
        }
        Refusal::TooMany(_) => (StatusCode::TOO_MANY_REQUESTS, ours, "Too many calls: wait, then try again"),
        Refusal::Streams => {
            (StatusCode::TOO_MANY_REQUESTS, ours, "Too many streams are open: close one that is not needed")
        }
        // Answered above, as its client understands.
        Refusal::Connect(_) => (StatusCode::FORBIDDEN, ours, "An account has to be connected first"),
        Refusal::NoPerson => (
            StatusCode::FORBIDDEN,
            ours,
            "This server works with accounts that people connect here, and no person with an account here is behind this token",
        ),
        Refusal::Service => (
            StatusCode::SERVICE_UNAVAILABLE,
            ours,
            "A service that this needs cannot be asked right now: try again soon",
        ),
        Refusal::NoToken => (
            StatusCode::FORBIDDEN,
            ours,
            "The MCP server's own authorization server gives no access for this person. The operator finds the reason in the gateway's log",
        ),
        Refusal::Unread(unread) => unread_row(unread),
        Refusal::Upstream(error) => upstream_row(*error),
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
        Refusal::Answer(AnswerFault::TooLong) => {
            (StatusCode::BAD_GATEWAY, ours, "The MCP server's answer is too long to be passed on")
        }
        Refusal::Answer(
            AnswerFault::Status | AnswerFault::List | AnswerFault::Broken | AnswerFault::Handles,
        ) => (StatusCode::BAD_GATEWAY, ours, "The MCP server's answer cannot be passed on"),
    }
}

fn upstream_row(error: UpstreamError) -> (StatusCode, i64, &'static str) {
    let ours = i64::from(ERROR_CODE);
    match error {
        UpstreamError::Unreachable
        | UpstreamError::Untrusted(_)
        | UpstreamError::Broken
        | UpstreamError::Unsigned => (
            StatusCode::BAD_GATEWAY,
            ours,
            "The MCP server cannot be reached. Its operator finds the reason in the gateway's log",
        ),
        UpstreamError::CannotStart => (
            StatusCode::BAD_GATEWAY,
            ours,
            "The MCP server cannot be started. Its operator finds the reason in the gateway's log",
        ),
        UpstreamError::Timeout => {
            (StatusCode::GATEWAY_TIMEOUT, ours, "The MCP server did not answer in time")
        }
        UpstreamError::Crashing(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            ours,
            "The MCP server has crashed several times. It is started again later",
        ),
        UpstreamError::Busy(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            ours,
            "No further session can be opened now: close one that is not needed, or try later",
        ),
        UpstreamError::TooMany => {
            (StatusCode::TOO_MANY_REQUESTS, ours, "Too many requests of this session are under way")
        }
        UpstreamError::NoSession => unread_row(&Unread::NoSession),
        UpstreamError::SessionNeeded => {
            (StatusCode::BAD_REQUEST, INVALID_REQUEST, "Mcp-Session-Id is missing: initialize a session")
        }
        UpstreamError::NoStream => (
            StatusCode::METHOD_NOT_ALLOWED,
            INVALID_REQUEST,
            "This revision has neither sessions nor streams of their own: POST each request",
        ),
    }
}

/// Seconds.
const fn retry_after(refusal: &Refusal) -> Option<u64> {
    if let Refusal::Upstream(UpstreamError::Crashing(seconds) | UpstreamError::Busy(seconds)) = refusal {
        Some(*seconds)
    } else if let Refusal::TooMany(wait) = refusal {
        Some(wait.as_secs().saturating_add(1))
    } else if let Refusal::Upstream(UpstreamError::TooMany) = refusal {
        Some(1)
    } else if let Refusal::Service = refusal {
        Some(5)
    } else if let Refusal::Streams = refusal {
        Some(10)
    } else {
        None
    }
}

/// The error that names what is missing (SEP-2575).
fn missing_tasks(id: Option<&Raw>, message: &str) -> Vec<u8> {
    let needed = json!({ "requiredCapabilities": { "extensions": { "io.modelcontextprotocol/tasks": {} } } });
    let error = json!({ "code": MISSING_CAPABILITY, "message": message, "data": needed });
    let id = id.map_or("null", Raw::as_str);
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{error}}}").into_bytes()
}

fn unread_row(unread: &Unread) -> (StatusCode, i64, &'static str) {
    match unread {
        Unread::Message(unread) => unread.answer(),
        Unread::NoHandle { .. } => (
            StatusCode::BAD_REQUEST,
            INVALID_PARAMS,
            "No such task, cursor or state of this caller: begin anew",
        ),
        Unread::NoSuchMethod { .. } => {
            (StatusCode::NOT_FOUND, METHOD_NOT_FOUND, "This revision of MCP has no such method any more")
        }
        Unread::NoTasks { .. } => {
            (StatusCode::BAD_REQUEST, MISSING_CAPABILITY, "The client does not say that it knows tasks")
        }
        Unread::Repeated => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "A header occurs more than once"),
        Unread::NoSession => (StatusCode::NOT_FOUND, NO_SESSION, "No such session: initialize a new one"),
    }
}
