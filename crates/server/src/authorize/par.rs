//! Pushed authorization requests (RFC 9126): a client hands its request over in advance, authenticated and checked, and
//! gets a `request_uri` for it. Nothing is stored: the `request_uri` is the request, sealed.

use super::{
    begin::{self, BeginRefusal, Begun},
    check_redirect,
    request::AuthorizationRequest,
    rules::{self, AuthorizeRefusal},
};
use crate::{
    app::App,
    audit::{Event, Reason},
    clients::{Client, Origin},
    http::{
        proof::{self, ProofRefusal},
        respond::{self, Refusal, Reply},
    },
    router::Incoming,
};
use hallpass_core::{
    encoding,
    error::ErrorCode,
    grant::{PUSHED_LIFETIME, PushedRequest},
    id::GrantId,
    time::Timestamp,
};
use http::StatusCode;
use serde::Serialize;

/// Every rule that a push can break.
enum PushRefusal {
    Begin(BeginRefusal),
    /// A `request_uri` inside: a chain of them would lead anywhere (RFC 9126 §2.1).
    RequestUri,
    Rule(AuthorizeRefusal),
    Proof(ProofRefusal),
    /// `dpop_jkt` names one key and the proof another.
    KeysDiffer,
    TooLong,
}

impl Reason for PushRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Begin(refusal) => refusal.reason(),
            Self::RequestUri => "request_uri",
            Self::Rule(refusal) => refusal.reason(),
            Self::Proof(refusal) => refusal.reason(),
            Self::KeysDiffer => "dpop_jkt_differs",
            Self::TooLong => "request_too_long",
        }
    }
}

impl PushRefusal {
    fn refusal(&self) -> Refusal {
        match self {
            Self::Begin(refusal) => refusal.refusal(),
            Self::RequestUri => Refusal::new(ErrorCode::InvalidRequest, "request_uri cannot be pushed"),
            Self::Rule(refusal) => {
                let (code, description) = refusal.code();
                Refusal::new(code, description)
            }
            Self::Proof(refusal) => refusal.refusal(),
            Self::KeysDiffer => {
                Refusal::new(ErrorCode::InvalidRequest, "dpop_jkt and the DPoP proof must be of the same key")
            }
            Self::TooLong => Refusal::new(
                ErrorCode::InvalidRequest,
                "the request is too long: its request_uri may have 1500 characters, which is about 1000 bytes of parameters",
            ),
        }
    }
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
    let mut begun = begin::begin(app, incoming).await.map_err(PushRefusal::Begin)?;
    begun.request.pushed = true;
    if begun.request.request_uri {
        return Err(PushRefusal::RequestUri);
    }
    check_redirect(app, &begun.request, &begun.client)
        .map_err(|stop| PushRefusal::Begin(BeginRefusal::Stop(stop)))?;
    if begun.request.authorization_details.is_some() && !is_known(app, &begun.client, incoming.cx.now).await {
        return Err(PushRefusal::Rule(AuthorizeRefusal::DetailsOfStranger));
    }
    let checked = rules::check(&begun.request, &app.settings, &begun.client).map_err(PushRefusal::Rule)?;
    let key = key(app, incoming, &begun.request)?;
    // As we write them: what is shown, kept and compared later is one text.
    let details = checked.details.map(|details| details.to_string());
    let uri = seal(app, incoming, &begun, [("dpop_jkt", key), ("authorization_details", details)])?;
    app.audit.record(incoming.cx, Event::request_pushed(&begun.client.id));
    Ok(uri)
}

/// Whether somebody here has said something about it: an operator, or a person who has said yes to its document (M10, M13).
async fn is_known(app: &App, client: &Client, now: Timestamp) -> bool {
    match &client.origin {
        Origin::Operator => true,
        Origin::Document { url, .. } => {
            app.documents.kept(url.as_str(), app.settings.document_life, now).await.is_ok()
        }
        Origin::Registered => false,
    }
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
    let Some(proven) = proof::read(app, incoming, app.targets.par.as_ref()).map_err(PushRefusal::Proof)?
    else {
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
    begun: &Begun,
    ours: [(&str, Option<String>); 2],
) -> Result<String, PushRefusal> {
    let (now, id) = (incoming.cx.now, &begun.client.id);
    let mut pushed = PushedRequest::new(GrantId::new(now, &*app.entropy), id, now, &begun.parameters);
    for (name, value) in ours {
        if let Some(value) = value {
            pushed = pushed.with(name, &value);
        }
    }
    pushed.seal(&app.keys, &*app.entropy).ok_or(PushRefusal::TooLong)
}
