//! What a client begins by itself, before any person is there: who it is, authenticated, and what it asks.

use super::{
    Stop, find_client,
    request::{self, AuthorizationRequest, RequestRefusal},
};
use crate::{
    app::App,
    audit::Reason,
    clients::{Client, ClientRefusal, document},
    http::{
        client_auth::{self, ClientAuthRefusal},
        rate_limit::Limited,
        respond::Refusal,
    },
    router::Incoming,
    token::{FormRefusal, form},
};
use hallpass_core::{error::ErrorCode, parameters::Parameters};
use std::time::Duration;

/// What begins.
pub struct Begun {
    /// The form, as sent.
    pub parameters: Parameters,
    /// What it asks, unchecked, with the `client_id` of who was authenticated.
    pub request: AuthorizationRequest,
    /// Who asks.
    pub client: Client,
}

/// Why nothing begins.
pub enum BeginRefusal {
    /// The body is no form.
    Form(FormRefusal),
    /// Too many documents from this address.
    TooMany(Duration),
    /// Who asks is not clear, with whether the `Authorization` header was used.
    Client(ClientAuthRefusal, bool),
    /// What would stop a request at a page.
    Stop(Stop),
    /// The audit log cannot be written, and the operator wants nothing without its line.
    AuditFailing,
}

impl Reason for BeginRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Form(FormRefusal::MediaType) => "media_type",
            Self::Form(FormRefusal::Parameters(error)) => error.reason(),
            Self::TooMany(_) => "too_many",
            Self::Client(refusal, _) => refusal.reason(),
            Self::Stop(stop) => stop.reason(),
            Self::AuditFailing => "audit_failing",
        }
    }
}

impl BeginRefusal {
    /// What the client learns: whatever would stop a request at a page has a code here. Nothing is ever redirected.
    pub fn refusal(&self) -> Refusal {
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
            Self::Stop(stop) => of_stop(stop),
            Self::AuditFailing => {
                Refusal::new(TemporarilyUnavailable, "try again in a moment: nothing was lost")
            }
        }
    }
}

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

/// Reads the form and finds out who asks.
pub async fn begin(app: &App, incoming: &Incoming) -> Result<Begun, BeginRefusal> {
    let parameters = form(incoming).map_err(BeginRefusal::Form)?;
    if app.audit.refuses() {
        return Err(BeginRefusal::AuditFailing);
    }
    let unauthenticated = |(refusal, by_header)| BeginRefusal::Client(refusal, by_header);
    let id = client_auth::claimed(incoming, &parameters).map_err(unauthenticated)?;
    may_fetch(app, incoming, &id)?;
    let mut request =
        request::of(&parameters).map_err(|refusal| BeginRefusal::Stop(Stop::Request(refusal)))?;
    request.client_id = Some(id);
    let client = find_client(app, &request).await.map_err(BeginRefusal::Stop)?;
    client_auth::authenticate_found(app, incoming, &parameters, &client).await.map_err(unauthenticated)?;
    Ok(Begun { parameters, request, client })
}

/// A client with a document is asked for here before anybody said yes to it, and anybody can have a document: it is
/// limited as at the authorization endpoint.
fn may_fetch(app: &App, incoming: &Incoming, id: &str) -> Result<(), BeginRefusal> {
    if !document::is_document(id) || app.settings.is_local() {
        return Ok(());
    }
    let (cx, limits) = (incoming.cx, &app.settings.limits);
    let most = limits.for_address(cx.address, limits.authorizations);
    app.limits.take(Limited::Authorization, cx.address, most, cx.now).map_err(BeginRefusal::TooMany)
}
