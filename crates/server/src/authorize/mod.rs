//! The authorization endpoint (RFC 6749 §3.1), as a story. The order of the steps is a security property: only
//! when the redirect URI has been checked may anything go to the client, and only when a person has signed in does
//! it, so that nobody's link can bounce a stranger through this server.

pub mod begin;
pub(crate) mod connect_first;
pub mod consent;
mod interaction;
pub mod par;
mod pushed;
mod request;
mod respond;
pub mod rules;
mod step_up;

use crate::{
    app::App,
    audit::{Event, Reason},
    clients::{self, Client, ClientRefusal},
    cx::Cx,
    http::{browser, respond::Reply},
    login::{self, Behind},
    pages::{self, Problem},
    router::Incoming,
};
use hallpass_core::{
    grant::PushedError,
    id::GrantId,
    redirect::{CheckedRedirect, RedirectError},
    uri::RedirectUri,
};
use hallpass_store::StoreError;
use http::StatusCode;
use interaction::Next;
use pushed::Received;
use request::{AuthorizationRequest, RequestRefusal};
use rules::{AuthorizeRefusal, CheckedRequest};

pub use interaction::seal_since;
pub use request::SINCE;

/// Why a person sees a page and the client learns nothing.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    #[error("request: {0:?}")]
    Request(RequestRefusal),
    #[error("client: {0:?}")]
    Client(ClientRefusal),
    #[error("redirect URI: {0:?}")]
    Redirect(RedirectError),
    #[error("store: {0:?}")]
    Store(StoreError),
}

impl Reason for Stop {
    fn reason(&self) -> &'static str {
        match self {
            Self::Request(refusal) => refusal.reason(),
            Self::Client(refusal) => refusal.reason(),
            Self::Redirect(refusal) => refusal.reason(),
            Self::Store(_) => "store",
        }
    }
}

/// `GET /authorize`.
pub async fn authorize(app: &App, incoming: &Incoming) -> Reply {
    match story(app, incoming).await {
        Ok(reply) => reply,
        Err(stop) => stopped(app, incoming.cx, &stop),
    }
}

async fn story(app: &App, incoming: &Incoming) -> Result<Reply, Stop> {
    let browser = browser::read(app, incoming).await.map_err(Stop::Store)?;
    let received = pushed::read(app, &incoming.query, &browser.id, incoming.cx.now)?;
    let request = &received.request;
    let (client, redirect) = who(app, request).await?;
    let checked = rules::check(request, &app.settings, &client);
    let refused = |refusal: AuthorizeRefusal| {
        let event = Event::authorization_refused(&client.id, refusal.reason());
        app.audit.record(incoming.cx, event);
        respond::refusal(app, &redirect, request, refusal, &client.origin)
    };
    // `prompt=none` is answered at once only where that carries nobody anywhere: to a host that anybody may have
    // registered, a link with it would be an open redirect for whoever is not signed in (AS-090).
    let silent = request.prompts("none");
    let reply = match interaction::next(app, request, &browser, incoming.cx.now) {
        Next::SignIn { .. } if silent && respond::is_trusted(&redirect, &client.origin) => {
            refused(AuthorizeRefusal::SignInNeeded)
        }
        Next::SignIn { since, may_go_on } => {
            let hint = request.login_hint.as_deref();
            let go_on = may_go_on.then(|| received.query_without_prompt(app, &browser.id));
            let fresh = interaction::fresh(request);
            let behind = Behind { query: &received.query, client: &client, since, go_on, hint, fresh };
            login::form_page(app, &browser, &behind)
        }
        // Nobody is let through without being asked (AS-093).
        Next::Ask(_) if silent => refused(checked.err().unwrap_or(AuthorizeRefusal::ConsentNeeded)),
        Next::Ask(signed_in) => match checked {
            Ok(checked) => {
                not_spent(app, &received).await?;
                let asked = Asked::new(app, &received, (client, redirect), checked);
                consent::page(app, incoming.cx, &browser, signed_in, &asked).await.map_err(Stop::Store)?
            }
            Err(refusal) => refused(refusal),
        },
    };
    Ok(crate::http::respond::with_cookie(reply, browser.cookie(app)))
}

/// What a person is asked.
struct Asked<'a> {
    client: Client,
    redirect: CheckedRedirect,
    redirect_was_sent: bool,
    checked: CheckedRequest<'a>,
    /// Whether the client would stay signed in.
    refresh: bool,
    query: &'a str,
    /// The grant that a pushed request may become.
    pushed: Option<GrantId>,
}

impl<'a> Asked<'a> {
    fn new(
        app: &App,
        received: &'a Received,
        (client, redirect): (Client, CheckedRedirect),
        checked: CheckedRequest<'a>,
    ) -> Self {
        let refresh = app.settings.issues_refresh(client.refresh, &checked.scope);
        let redirect_was_sent = received.request.redirect_uri.is_some();
        let (query, pushed) = (received.query.as_str(), received.grant());
        Self { client, redirect, redirect_was_sent, checked, refresh, query, pushed }
    }
}

async fn who(app: &App, request: &AuthorizationRequest) -> Result<(Client, CheckedRedirect), Stop> {
    let client = find_client(app, request).await?;
    let redirect = check_redirect(app, request, &client)?;
    Ok((client, redirect))
}

async fn find_client(app: &App, request: &AuthorizationRequest) -> Result<Client, Stop> {
    // Before anything is fetched: a document must not be asked for an answer that goes nowhere.
    let asked = request.redirect_uri.as_deref().and_then(|text| RedirectUri::parse(text).ok());
    if asked.is_some_and(|asked| app.blocks.redirect(&asked)) {
        return Err(Stop::Client(ClientRefusal::Blocked));
    }
    clients::find(app, request.client_id.as_deref()).await.map_err(Stop::Client)
}

fn check_redirect(
    app: &App,
    request: &AuthorizationRequest,
    client: &Client,
) -> Result<CheckedRedirect, Stop> {
    let redirect =
        client.redirects.check(&app.keys, request.redirect_uri.as_deref()).map_err(Stop::Redirect)?;
    if app.blocks.redirect(redirect.uri()) {
        return Err(Stop::Client(ClientRefusal::Blocked));
    }
    Ok(redirect)
}

/// A pushed request that was used is not asked about again (RFC 9126 §4): a yes could not be redeemed. Until then the
/// page may be loaded anew as often as the person likes.
async fn not_spent(app: &App, received: &Received) -> Result<(), Stop> {
    let Some(grant) = received.grant() else { return Ok(()) };
    match app.store.grant_read(grant).await.map_err(Stop::Store)? {
        None => Ok(()),
        Some(_) => Err(Stop::Request(RequestRefusal::PushedSpent)),
    }
}

/// Asked again at the yes: everything is worked out anew from the query that the page sealed.
async fn again<'a>(app: &'a App, received: &'a Received) -> Result<Asked<'a>, Stop> {
    let client = who(app, &received.request).await?;
    let checked = rules::check(&received.request, &app.settings, &client.0)
        .map_err(|_| Stop::Request(RequestRefusal::Changed))?;
    Ok(Asked::new(app, received, client, checked))
}

fn stopped(app: &App, cx: Cx, stop: &Stop) -> Reply {
    if let Stop::Store(error) = stop {
        tracing::error!(?error, request = %cx.request, "authorization request failed in the store");
    }
    app.audit.record(cx, Event::authorization_stopped(stop.reason()));
    let (status, problem) = match stop {
        Stop::Request(RequestRefusal::Changed) => (StatusCode::BAD_REQUEST, Problem::StartAgain),
        Stop::Client(ClientRefusal::Unavailable | ClientRefusal::KeyNotHere)
        | Stop::Store(_)
        | Stop::Request(RequestRefusal::Pushed(PushedError::KeyNotHere)) => {
            (StatusCode::SERVICE_UNAVAILABLE, Problem::Unavailable)
        }
        Stop::Request(
            RequestRefusal::Pushed(_) | RequestRefusal::PushedByAnother | RequestRefusal::PushedSpent,
        ) => (StatusCode::BAD_REQUEST, Problem::PushedRequest),
        Stop::Request(_) => (StatusCode::BAD_REQUEST, Problem::BadRequest),
        Stop::Client(ClientRefusal::Missing) => (StatusCode::BAD_REQUEST, Problem::NoClient),
        Stop::Client(ClientRefusal::Unknown) => (StatusCode::BAD_REQUEST, Problem::UnknownClient),
        Stop::Client(ClientRefusal::NotForPeople) => (StatusCode::BAD_REQUEST, Problem::NotForPeople),
        Stop::Client(ClientRefusal::DocumentUnreachable(_)) => {
            (StatusCode::BAD_GATEWAY, Problem::DocumentUnreachable)
        }
        Stop::Client(ClientRefusal::DocumentHostNotAllowed | ClientRefusal::Blocked) => {
            (StatusCode::FORBIDDEN, Problem::ClientNotAllowed)
        }
        Stop::Client(ClientRefusal::DocumentGone | ClientRefusal::DocumentSuspended) => {
            (StatusCode::BAD_REQUEST, Problem::DocumentGone)
        }
        Stop::Client(ClientRefusal::DocumentAuthMethod) => {
            (StatusCode::BAD_REQUEST, Problem::DocumentAuthMethod)
        }
        Stop::Client(ClientRefusal::DocumentUrl(_) | ClientRefusal::DocumentInvalid) => {
            (StatusCode::BAD_REQUEST, Problem::DocumentInvalid)
        }
        Stop::Redirect(_) => (StatusCode::BAD_REQUEST, Problem::Redirect),
    };
    pages::problem(status, problem)
}
