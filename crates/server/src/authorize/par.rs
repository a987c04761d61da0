//! Pushed authorization requests (RFC 9126): a client hands its request over in advance, authenticated and checked, and
//! gets a `request_uri` for it. Nothing is stored: the `request_uri` is the request, sealed.

use super::{
    Stop, check_redirect, find_client,
    request::{self, AuthorizationRequest, RequestRefusal},
    rules::{self, AuthorizeRefusal},
};
use crate::{
    app::App,
    audit::{Event, Reason},
    clients::{ClientRefusal, document},
    http::{
        client_auth::{self, ClientAuthRefusal},
        proof::{self, ProofRefusal},
        rate_limit::Limited,
        respond::{self, Refusal, Reply},
    },
    router::Incoming,
    token::{FormRefusal, form},
};
use hallpass_core::{
    encoding,
    error::ErrorCode,
    grant::{PUSHED_LIFETIME, PushedRequest},
    id::GrantId,
    parameters::Parameters,
};
use http::StatusCode;
use serde::Serialize;
use std::time::Duration;

/// Every rule that a push can break.
enum PushRefusal {
    Form(FormRefusal),
    TooMany(Duration),
    Client(ClientAuthRefusal, bool),
    /// A `request_uri` inside: a chain of them would lead anywhere (RFC 9126 §2.1).
    RequestUri,
    Stop(Stop),
    Rule(AuthorizeRefusal),
    Proof(ProofRefusal),
    /// `dpop_jkt` names one key and the proof another.
    KeysDiffer,
    TooLong,
    AuditFailing,
}

impl Reason for PushRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Form(FormRefusal::MediaType) => "media_type",
            Self::Form(FormRefusal::Parameters(error)) => error.reason(),
            Self::TooMany(_) => "too_many",
            Self::Client(refusal, _) => refusal.reason(),
            Self::RequestUri => "request_uri",
            Self::Stop(stop) => stop.reason(),
            Self::Rule(refusal) => refusal.reason(),
            Self::Proof(refusal) => refusal.reason(),
            Self::KeysDiffer => "dpop_jkt_differs",
            Self::TooLong => "request_too_long",
            Self::AuditFailing => "audit_failing",
        }
    }
}

impl PushRefusal {
    fn refusal(&self) -> Refusal {
        use ErrorCode::{InvalidRequest, TemporarilyUnavailable};
        match self {
            Self::Form(FormRefusal::MediaType) => {
                Refusal::new(InvalidRequest, "send application/x-www-form-urlencoded")
            }
            Self::Form(FormRefusal::Parameters(_)) => {
                Refusal::new(InvalidRequest, "a parameter is malformed, too long or occurs more than once")
            }
            Self::TooMany(wait) => {
                let refusal = Refusal::new(TemporarilyUnavailable, "too many requests from this address");
                Refusal { retry_after: Some(*wait), ..refusal }
            }
            Self::Client(refusal, by_header) => refusal.refusal(*by_header),
            Self::RequestUri => Refusal::new(InvalidRequest, "request_uri cannot be pushed"),
            Self::Stop(stop) => of_stop(stop),
            Self::Rule(refusal) => {
                let (code, description) = refusal.code();
                Refusal::new(code, description)
            }
            Self::Proof(refusal) => refusal.refusal(),
            Self::KeysDiffer => {
                Refusal::new(InvalidRequest, "dpop_jkt and the DPoP proof must be of the same key")
            }
            Self::TooLong => Refusal::new(
                InvalidRequest,
                "the request is too long: its request_uri may have 1500 characters, which is about 1000 bytes of parameters",
            ),
            Self::AuditFailing => {
                Refusal::new(TemporarilyUnavailable, "try again in a moment: nothing was lost")
            }
        }
    }
}

/// Whatever stops a request at a page stops a push with a code (RFC 9126 §2.3); nothing is ever redirected from here.
fn of_stop(stop: &Stop) -> Refusal {
    use ErrorCode::{InvalidClient, InvalidRequest, TemporarilyUnavailable};
    let (code, description) = match stop {
        Stop::Request(RequestRefusal::State) => (InvalidRequest, "state is longer than 4096 bytes"),
        Stop::Request(_) => (InvalidRequest, "the request cannot be read"),
        Stop::Redirect(_) => (InvalidRequest, "redirect_uri is not one of the client's"),
        Stop::Client(ClientRefusal::Missing) => (InvalidRequest, "client_id is required"),
        Stop::Client(ClientRefusal::Blocked | ClientRefusal::DocumentHostNotAllowed) => {
            (InvalidClient, "this client is not allowed here")
        }
        Stop::Client(ClientRefusal::DocumentUnreachable(_)) => {
            (TemporarilyUnavailable, "the metadata document of the client cannot be loaded: try again later")
        }
        Stop::Client(ClientRefusal::KeyNotHere | ClientRefusal::Unavailable) | Stop::Store(_) => {
            (TemporarilyUnavailable, "try again in a moment: nothing was lost")
        }
        Stop::Client(ClientRefusal::NotForPeople) => {
            (ErrorCode::UnauthorizedClient, "this client gets tokens for itself only")
        }
        Stop::Client(
            ClientRefusal::Unknown
            | ClientRefusal::DocumentUrl(_)
            | ClientRefusal::DocumentGone
            | ClientRefusal::DocumentSuspended
            | ClientRefusal::DocumentInvalid
            | ClientRefusal::DocumentAuthMethod,
        ) => (InvalidClient, "unknown client or wrong credentials: register again"),
    };
    Refusal::new(code, description)
}

#[derive(Serialize)]
struct Pushed {
    request_uri: String,
    expires_in: u64,
}

/// `POST /par`.
pub async fn push(app: &App, incoming: &Incoming) -> Reply {
    let refusal = match pushed(app, incoming).await {
        Ok(request_uri) => {
            let pushed = Pushed { request_uri, expires_in: PUSHED_LIFETIME.as_secs() };
            let reply = respond::protocol(StatusCode::CREATED, &pushed);
            return proof::offer_nonce(app, incoming, reply);
        }
        Err(refusal) => refusal,
    };
    if let PushRefusal::Stop(Stop::Store(error)) = &refusal {
        tracing::error!(?error, request = %incoming.cx.request, "a pushed request failed in the store");
    }
    app.audit.record(incoming.cx, Event::push_refused(refusal.reason()));
    let mut reply = respond::refused(&refusal.refusal());
    if matches!(refusal, PushRefusal::TooLong) {
        *reply.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    }
    if let PushRefusal::Proof(proof) = &refusal
        && proof.is_challenge()
    {
        reply = respond::uncounted(reply);
    }
    proof::offer_nonce(app, incoming, reply)
}

/// Who, what, and may it: all that the authorization endpoint asks of a request, before the answer (RFC 9126 §2.1).
async fn pushed(app: &App, incoming: &Incoming) -> Result<String, PushRefusal> {
    let parameters = form(incoming).map_err(PushRefusal::Form)?;
    if app.audit.refuses() {
        return Err(PushRefusal::AuditFailing);
    }
    let id = client_auth::claimed(incoming, &parameters)
        .map_err(|(refusal, by_header)| PushRefusal::Client(refusal, by_header))?;
    may_fetch(app, incoming, &id)?;
    let mut request = request::of(&parameters).map_err(stop(Stop::Request))?;
    request.client_id = Some(id.clone());
    request.pushed = true;
    let client = find_client(app, &request).await.map_err(PushRefusal::Stop)?;
    client_auth::authenticate_found(app, incoming, &parameters, &client)
        .await
        .map_err(|(refusal, by_header)| PushRefusal::Client(refusal, by_header))?;
    if request.request_uri {
        return Err(PushRefusal::RequestUri);
    }
    check_redirect(app, &request, &client).map_err(PushRefusal::Stop)?;
    rules::check(&request, &app.settings, &client).map_err(PushRefusal::Rule)?;
    let key = key(app, incoming, &request)?;
    let uri = seal(app, incoming, &id, (&parameters, key))?;
    app.audit.record(incoming.cx, Event::request_pushed(&id));
    Ok(uri)
}

fn stop<T>(into: impl Fn(T) -> Stop) -> impl Fn(T) -> PushRefusal {
    move |refusal| PushRefusal::Stop(into(refusal))
}

/// A client with a document is asked for here before anybody said yes to it, and anybody can have a document: it is
/// limited as at the authorization endpoint.
fn may_fetch(app: &App, incoming: &Incoming, id: &str) -> Result<(), PushRefusal> {
    if !document::is_document(id) || app.settings.is_local() {
        return Ok(());
    }
    let (cx, limits) = (incoming.cx, &app.settings.limits);
    let most = limits.for_address(cx.address, limits.authorizations);
    app.limits.take(Limited::Authorization, cx.address, most, cx.now).map_err(PushRefusal::TooMany)
}

/// The key of the proof that comes along: the code will be bound to it as if `dpop_jkt` named it (RFC 9449 §10.1).
fn key(
    app: &App,
    incoming: &Incoming,
    request: &AuthorizationRequest,
) -> Result<Option<String>, PushRefusal> {
    if !app.settings.proofs.offered {
        return Ok(None);
    }
    let Some(proven) = proof::read(app, incoming, "/par").map_err(PushRefusal::Proof)? else {
        return Ok(None);
    };
    let thumbprint = encoding::base64url(&proven.thumbprint());
    match &request.dpop_jkt {
        Some(named) if *named != thumbprint => Err(PushRefusal::KeysDiffer),
        Some(_) | None => Ok(Some(thumbprint)),
    }
}

fn seal(
    app: &App,
    incoming: &Incoming,
    id: &str,
    (parameters, key): (&Parameters, Option<String>),
) -> Result<String, PushRefusal> {
    let now = incoming.cx.now;
    let pushed = PushedRequest::new(GrantId::new(now, &*app.entropy), id, now, parameters);
    let pushed = match key {
        Some(key) => pushed.with("dpop_jkt", &key),
        None => pushed,
    };
    pushed.seal(&app.keys, &*app.entropy).ok_or(PushRefusal::TooLong)
}
