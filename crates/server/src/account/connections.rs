//! `/account/connections`: the services that I connected, with a button to connect and to disconnect each; and where a
//! service answers.

use super::view::ago;
use crate::{
    app::App,
    audit::{Event, Reason, Who},
    connections::{
        prompt,
        provider::{self, ProviderError},
        renew,
        request::{self, AnswerError, Begun, Bound},
        settings::{ConnectionSettings, Endpoints, Provider},
        vault,
    },
    http::{
        browser::{self, Browser, SignedIn, Way},
        respond::{Reply, see_other, with_cookie},
    },
    login::{self, unavailable},
    pages::{self, ConnectingPage, ConnectionProblem, ConnectionRow, ConnectionsPage, Problem},
    router::Incoming,
};
use hallpass_client::token::TokenError;
use hallpass_core::{
    id::ConnectionId,
    parameters::{Limits, Parameters},
    seal::Purpose,
    time::Timestamp,
};
use hallpass_store::{Connection, NewConnection, StoreError};
use http::{Method, StatusCode};

/// `GET` and `POST /account/connections`.
pub async fn connections(app: &App, incoming: &Incoming) -> Reply {
    let browser = match browser::read(app, incoming).await {
        Ok(browser) => browser,
        Err(error) => return unavailable(&error),
    };
    let query = Parameters::parse(incoming.query.as_bytes(), Limits::default()).unwrap_or_default();
    let Some(signed_in) = browser.signed_in.as_ref() else {
        if incoming.method == Method::POST {
            return pages::problem(StatusCode::FORBIDDEN, Problem::SignedOut);
        }
        let form = login::form_for_connections(app, &browser, query.get(prompt::LINK));
        return with_cookie(form, browser.cookie(app));
    };
    let done = if incoming.method == Method::POST {
        let Some(parameters) = browser::form(incoming) else {
            return pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest);
        };
        if !browser.sent_this(app, incoming, parameters.get("csrf")) {
            return pages::problem(StatusCode::FORBIDDEN, Problem::NotFromHere);
        }
        act(app, incoming, (&browser, signed_in), &parameters).await
    } else {
        page(app, incoming, (&browser, signed_in), &query).await
    };
    with_cookie(done.unwrap_or_else(|error| unavailable(&error)), browser.cookie(app))
}

/// The list. A link of a prompt says which of them a call waits for; it is for one person, and refused for any other: else
/// one could have somebody else connect an account for a call of one's own (T-68).
async fn page(
    app: &App,
    incoming: &Incoming,
    (browser, signed_in): (&Browser, &SignedIn),
    query: &Parameters,
) -> Result<Reply, StoreError> {
    let now = incoming.cx.now;
    let asked = match query.get(prompt::LINK).map(|text| prompt::read(app, text, now)) {
        None => None,
        Some(None) => {
            return Ok(pages::problem_with_way(
                app,
                StatusCode::BAD_REQUEST,
                Problem::Connection(ConnectionProblem::Link),
            ));
        }
        Some(Some(link)) if link.person != signed_in.person.id => {
            let who = Who::of(&signed_in.person);
            app.audit.record(incoming.cx, Event::connection_refused(who, &link.name, "link_of_another"));
            return Ok(pages::problem_with_way(
                app,
                StatusCode::FORBIDDEN,
                Problem::Connection(ConnectionProblem::OfAnother),
            ));
        }
        Some(Some(link)) => Some(link.name),
    };
    let kept = app.store.connections_of_person(signed_in.person.id).await?;
    let rows = app.settings.connections.iter().map(|connection| {
        let found = kept.iter().find(|row| row.name == connection.name);
        row(app, connection, found, now)
    });
    let mut rows: Vec<ConnectionRow> = rows.collect();
    let of = |name: Option<&str>| {
        let found = app.settings.connections.iter().find(|one| Some(&*one.name) == name);
        found.map(|one| one.title.clone())
    };
    let (wanted, done) = (of(asked.as_deref()), of(query.get("connected")));
    rows.sort_by_key(|row| Some(&row.title) != wanted.as_ref());
    let alive = |title: &String| rows.iter().any(|row| row.title == *title && row.is_connected());
    let (wanted, done) = (wanted.filter(|title| !alive(title)), done.filter(alive));
    Ok(pages::connections(&ConnectionsPage {
        base: app.settings.issuer.path(),
        person: &signed_in.person.name,
        csrf: &browser.csrf(app),
        wanted: wanted.as_deref(),
        done: done.as_deref(),
        rows,
    }))
}

/// In words.
fn row(
    app: &App,
    connection: &ConnectionSettings,
    kept: Option<&Connection>,
    now: Timestamp,
) -> ConnectionRow {
    let servers =
        app.settings.resources.iter().filter(|one| one.connection.as_ref() == Some(&connection.name));
    ConnectionRow {
        name: connection.name.clone(),
        title: connection.title.clone(),
        host: host(&connection.provider),
        servers: servers.map(|server| server.title.clone()).collect(),
        scopes: connection.scope.iter().map(str::to_owned).collect(),
        since: kept.map(|row| ago(now.since(row.connected_at))),
        dead: kept.is_some_and(|row| row.died_at.is_some()),
    }
}

/// Where the person is sent, as far as that is known without asking.
pub(crate) fn host(provider: &Provider) -> String {
    let text = match provider {
        Provider::Discovered(issuer) | Provider::OpenId(issuer) => issuer.as_str(),
        Provider::Written(endpoints) => endpoints.authorization.as_str(),
    };
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or(rest).to_owned()
}

async fn act(
    app: &App,
    incoming: &Incoming,
    (browser, signed_in): (&Browser, &SignedIn),
    parameters: &Parameters,
) -> Result<Reply, StoreError> {
    let named = parameters.get("connection").and_then(|name| app.settings.connection(name));
    match (parameters.get("action"), named) {
        (Some("connect"), Some(connection)) => {
            Ok(begin(app, incoming, (browser, signed_in), connection).await)
        }
        (Some("disconnect"), Some(connection)) => disconnect(app, incoming, signed_in, connection).await,
        _ => Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest)),
    }
}

fn bound(browser: &Browser, signed_in: &SignedIn) -> Bound {
    Bound::to_person(Purpose::ConnectionRequest, browser, signed_in)
}

/// A page of ours that moves on to the service: a redirect behind a form is blocked by our own policy for pages.
async fn begin(
    app: &App,
    incoming: &Incoming,
    (browser, signed_in): (&Browser, &SignedIn),
    connection: &ConnectionSettings,
) -> Reply {
    let endpoints = match provider::endpoints(app, connection).await {
        Ok(endpoints) => endpoints,
        Err(error) => return unreachable(app, incoming, (signed_in, connection), error),
    };
    let begun = Begun::new(connection, &*app.entropy, (incoming.cx.now, request::LIFETIME));
    let target = begun.page(connection, &endpoints, &redirect_uri(app, connection), &[]);
    let sealed = begun.seal(app, &bound(browser, signed_in), &[]);
    let cookie = browser::away_cookie(app, Way::Connecting, &sealed, request::LIFETIME);
    let page = ConnectingPage { target: &target, title: &connection.title, host: &host_of(&endpoints) };
    with_cookie(pages::connecting(&page), cookie)
}

pub(crate) fn host_of(endpoints: &Endpoints) -> String {
    host(&Provider::Written(Box::new(endpoints.clone())))
}

/// One for each service, so that a code of one is never sent to another.
pub fn redirect_uri(app: &App, connection: &ConnectionSettings) -> String {
    app.settings.issuer.endpoint(&format!("{CALLBACK}{}", connection.name))
}

const CALLBACK: &str = "/account/connections/callback/";

/// `GET /account/connections/callback/{connection}`: the service answers.
pub async fn callback(app: &App, incoming: &Incoming) -> Reply {
    let browser = match browser::read(app, incoming).await {
        Ok(browser) => browser,
        Err(error) => return unavailable(&error),
    };
    let prefix = format!("{}{CALLBACK}", app.settings.issuer.path());
    let named = incoming.path.strip_prefix(&prefix).and_then(|name| app.settings.connection(name));
    let Some(connection) = named else {
        return pages::problem(StatusCode::NOT_FOUND, Problem::NotFound);
    };
    let Some(signed_in) = browser.signed_in.as_ref() else {
        return pages::problem(StatusCode::FORBIDDEN, Problem::SignedOut);
    };
    let cookie = browser::away(app, incoming, Way::Connecting);
    let begun = cookie.and_then(|cookie| Begun::open(app, &bound(&browser, signed_in), &cookie));
    let begun = begun
        .map(|(begun, _)| begun)
        .filter(|begun| begun.is_for(connection, &incoming.query, incoming.cx.now));
    let Some(begun) = begun else {
        // Nothing is taken away: the request that this browser made, if it made one, may still be answered.
        return refused(app, incoming, (signed_in, connection), AnswerError::NotAskedFor);
    };
    let done = connected(app, incoming, (signed_in, connection), &begun).await;
    // Answered once, in whatever way.
    with_cookie(done, browser::clear_away(app, Way::Connecting))
}

async fn connected(
    app: &App,
    incoming: &Incoming,
    (signed_in, connection): (&SignedIn, &ConnectionSettings),
    begun: &Begun,
) -> Reply {
    let who = (signed_in, connection);
    let endpoints = match provider::endpoints(app, connection).await {
        Ok(endpoints) => endpoints,
        Err(error) => return unreachable(app, incoming, who, error),
    };
    let code = match request::code(&incoming.query, &endpoints) {
        Ok(code) => code,
        Err(error) => return refused(app, incoming, who, error),
    };
    let redirect_uri = redirect_uri(app, connection);
    let code = (&code, begun.verifier());
    let tokens = provider::redeem(app, (connection, &endpoints), code, &redirect_uri, incoming.cx.now).await;
    let tokens = match tokens {
        Ok(redeemed) => redeemed.tokens,
        Err(error) => return unreachable(app, incoming, who, error),
    };
    let (person, now) = (&signed_in.person, app.clock.now());
    let id = ConnectionId::new(now, &*app.entropy);
    let new = NewConnection {
        id,
        person: person.id,
        epoch: person.epoch,
        name: connection.name.clone(),
        sealed: vault::seal(app, (person.id, &connection.name, id), &tokens),
        connected_at: now,
    };
    match app.store.connection_put(new).await {
        Ok(true) => {}
        Ok(false) => return pages::problem(StatusCode::FORBIDDEN, Problem::SignedOut),
        Err(error) => return unavailable(&error),
    }
    app.audit.record(incoming.cx, Event::connected(Who::of(person), &connection.name));
    see_other(&format!("{}/account/connections?connected={}", app.settings.issuer.path(), connection.name))
}

fn refused(
    app: &App,
    incoming: &Incoming,
    (signed_in, connection): (&SignedIn, &ConnectionSettings),
    error: AnswerError,
) -> Reply {
    let problem = Problem::Connection(match error {
        AnswerError::NotAskedFor => ConnectionProblem::NotAskedFor,
        AnswerError::Declined => ConnectionProblem::Declined,
        AnswerError::Repeated | AnswerError::Issuer | AnswerError::Refused => ConnectionProblem::Refused,
    });
    let who = Who::of(&signed_in.person);
    app.audit.record(incoming.cx, Event::connection_refused(who, &connection.name, error.reason()));
    let is_theirs = error == AnswerError::NotAskedFor;
    let status = if is_theirs { StatusCode::FORBIDDEN } else { StatusCode::BAD_GATEWAY };
    pages::problem_with_way(app, status, problem)
}

/// The service did not do its part.
fn unreachable(
    app: &App,
    incoming: &Incoming,
    (signed_in, connection): (&SignedIn, &ConnectionSettings),
    error: ProviderError,
) -> Reply {
    tracing::warn!(connection = %connection.name, %error, "a service could not be connected");
    let who = Who::of(&signed_in.person);
    let event = Event::connection_refused(who, &connection.name, renew::reason(error));
    app.audit.record(incoming.cx, event);
    let problem = match error {
        ProviderError::Token(TokenError::InvalidGrant) => Problem::Connection(ConnectionProblem::Refused),
        ProviderError::Token(_)
        | ProviderError::Metadata(_)
        | ProviderError::Fetch(_)
        | ProviderError::UserInfo => Problem::Connection(ConnectionProblem::Unavailable),
    };
    pages::problem_with_way(app, StatusCode::BAD_GATEWAY, problem)
}

/// Here first, then there: what the service says of it changes nothing here.
async fn disconnect(
    app: &App,
    incoming: &Incoming,
    signed_in: &SignedIn,
    connection: &ConnectionSettings,
) -> Result<Reply, StoreError> {
    let person = signed_in.person.id;
    if let Some(row) = app.store.connection_read(person, connection.name.clone()).await?
        && app.store.connection_remove(row.id, person).await?
    {
        app.audit.record(incoming.cx, Event::disconnected(Who::of(&signed_in.person), &connection.name));
        if let Ok(tokens) = vault::open(app, &row)
            && row.died_at.is_none()
            && let Err(error) = provider::revoke(app, connection, &tokens).await
        {
            tracing::warn!(connection = %connection.name, %error, "the service did not take back a token that is gone here");
        }
    }
    Ok(see_other(&format!("{}/account/connections", app.settings.issuer.path())))
}
