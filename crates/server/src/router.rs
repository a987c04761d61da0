//! The one table of routes, and what every request passes before its handler.

use crate::{
    account,
    app::App,
    authorize,
    cx::{self, Cx},
    describe::{self, Description, authorization, pages as page, protocol},
    device,
    http::{
        client_auth,
        rate_limit::{Limited, Source},
        respond::{self, Refusal, Reply, Uncounted},
    },
    introspect, login, metadata, pages, register, revoke, token,
};
use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request, State},
    routing::any,
};
use bytes::Bytes;
use hallpass_core::{error::ErrorCode, id::RequestId};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited as LimitedBody};
use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

/// What a handler gets: everything is read and bounded.
#[derive(Debug)]
pub struct Incoming {
    /// Time and caller.
    pub cx: Cx,
    /// Of the URL.
    pub path: String,
    /// One of the row's methods.
    pub method: Method,
    /// The query as sent, at most 8 KiB.
    pub query: String,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body, within the row's limit.
    pub body: Bytes,
}

type Handler = for<'a> fn(&'a App, &'a Incoming) -> Pin<Box<dyn Future<Output = Reply> + Send + 'a>>;

/// What kind of answer a route gives: decides about CORS, caching and the form of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A document for everybody: any origin may read it.
    Public,
    /// JSON for clients, also in browsers: any origin, never with cookies.
    Protocol,
    /// A page for a person: no other origin at all.
    Page,
}

/// A row of the table.
pub struct Route {
    /// Below the issuer.
    pub path: &'static str,
    /// What it takes.
    pub methods: &'static [Method],
    /// What kind of answer.
    pub class: Class,
    /// Most bytes of a body.
    body: usize,
    /// What is limited by address.
    pub limited: Option<Limited>,
    /// For `/openapi.json`.
    pub description: Description,
    handler: Handler,
}

const GET: &[Method] = &[Method::GET, Method::HEAD];
const POST: &[Method] = &[Method::POST];
const BOTH: &[Method] = &[Method::GET, Method::HEAD, Method::POST];
const QUERY_LIMIT: usize = 8 * 1024;
const BODY_TIME: Duration = Duration::from_secs(10);

macro_rules! route {
    ($path:literal, $methods:ident, $class:ident, $body:literal, $limited:expr, $description:expr, $handler:path) => {
        Route {
            path: $path,
            methods: $methods,
            class: Class::$class,
            body: $body,
            limited: $limited,
            description: $description,
            handler: |app, incoming| Box::pin($handler(app, incoming)),
        }
    };
}

/// THE TABLE: path below the issuer, methods, class, body limit in bytes, what is limited by address, description, handler.
#[rustfmt::skip]
const ROUTES: [Route; 22] = [
    route!("/jwks",             GET,  Public,   0,      None,                         protocol::JWKS,           metadata::jwks),
    route!("/openapi.json",     GET,  Public,   0,      None,                         protocol::OPENAPI,        describe::document_of_this),
    route!("/register",         POST, Protocol, 16_384, None,                         protocol::REGISTER,       register::register),
    route!("/par",              POST, Protocol, 16_384, Some(Limited::Failure),       authorization::PAR,       authorize::par::push),
    route!("/device_authorization", POST, Protocol, 16_384, Some(Limited::Failure),   authorization::DEVICE_AUTHORIZATION, device::device_authorization),
    route!("/token",            POST, Protocol, 16_384, Some(Limited::Failure),       protocol::TOKEN_ENDPOINT, token::token),
    route!("/revoke",           POST, Protocol, 16_384, Some(Limited::Failure),       protocol::REVOKE,         revoke::revoke),
    route!("/introspect",       POST, Protocol, 16_384, Some(Limited::Failure),       protocol::INTROSPECT,     introspect::introspect),
    route!("/authorize",        GET,  Page,     0,      Some(Limited::Authorization), page::AUTHORIZE,          authorize::authorize),
    route!("/consent",          POST, Page,     24_576, None,                         page::CONSENT,            authorize::consent::decide),
    route!("/device",           BOTH, Page,     4_096,  Some(Limited::SignIn),        page::DEVICE,             device::device),
    route!("/sign-in",          BOTH, Page,     24_576, Some(Limited::SignIn),        page::SIGN_IN,            login::sign_in),
    route!("/sign-in/callback/{provider}", GET, Page, 0, None,                       page::SIGN_IN_CALLBACK,   login::providers::callback),
    route!("/sign-in/code",     BOTH, Page,     4_096,  Some(Limited::SignIn),        page::SECOND_FACTOR_CODE, login::second_factor::code),
    route!("/sign-out",         POST, Page,     32_768, None,                         page::SIGN_OUT,           login::sign_out),
    route!("/setup",            BOTH, Page,     4_096,  Some(Limited::SignIn),        page::SETUP,              login::setup::setup),
    route!("/invitation",       BOTH, Page,     4_096,  Some(Limited::SignIn),        page::INVITATION,         login::invitation::invitation),
    route!("/account",          BOTH, Page,     4_096,  None,                         page::ACCOUNT,            account::account),
    route!("/account/second-factor", BOTH, Page, 4_096, Some(Limited::SignIn),       page::SECOND_FACTOR,      account::second_factor::second_factor),
    route!("/account/connections", BOTH, Page, 4_096, None,                          page::CONNECTIONS,        account::connections::connections),
    route!("/account/connections/callback/{connection}", GET, Page, 0, None,         page::CONNECTION_CALLBACK, account::connections::callback),
    route!("/",                 GET,  Page,     0,      None,                         page::START,              login::start),
];

/// What the numbers call the routes.
pub fn routes() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().chain([&METADATA, &UNKNOWN, &NOT_FOUND]).map(|route| route.path)
}

/// The paths that a gateway may not take, below the issuer.
pub fn own_paths() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|route| route.path)
}

/// The table, and the row of the metadata document, which is found at several paths.
pub const fn table() -> (&'static [Route], &'static Route) {
    (&ROUTES, &METADATA)
}

/// The router of the authorization server, with the paths of its issuer.
pub fn router(app: Arc<App>) -> Router {
    let prefix = app.settings.issuer.path().to_owned();
    let mut router = Router::new();
    for route in &ROUTES {
        let path = if route.path == "/" && !prefix.is_empty() {
            prefix.clone()
        } else {
            format!("{prefix}{}", route.path)
        };
        router = router.route(
            &path,
            any(move |State(app): State<Arc<App>>, request: Request| serve(app, route, request)),
        );
    }
    for path in metadata::paths(&app.settings) {
        router = router.route(
            &path,
            any(|State(app): State<Arc<App>>, request: Request| serve(app, &METADATA, request)),
        );
    }
    router
        .route(
            "/.well-known/{*rest}",
            any(|State(app): State<Arc<App>>, request: Request| serve(app, &UNKNOWN, request)),
        )
        .fallback(|State(app): State<Arc<App>>, request: Request| serve(app, &NOT_FOUND, request))
        .with_state(app)
}

const METADATA: Route = route!(
    "/.well-known/oauth-authorization-server",
    GET,
    Public,
    0,
    None,
    protocol::METADATA,
    metadata::authorization_server
);
const UNKNOWN: Route = route!("/.well-known/*", GET, Public, 0, None, describe::NOTHING, metadata::unknown);
// A client that posts its message to a wrong path is told that, and not that the message is too long.
const NOT_FOUND: Route = route!("*", BOTH, Page, 65_536, None, describe::NOTHING, pages::not_found);

async fn serve(app: Arc<App>, route: &'static Route, request: Request) -> axum::response::Response {
    let started = std::time::Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let mut reply = answer(&app, route, request).await;
    if route.class != Class::Page {
        open_to_browsers(reply.headers_mut());
    }
    if let Some(metrics) = app.metrics.route(route.path) {
        metrics.answered(reply.status(), started.elapsed());
    }
    tracing::debug!(%method, path, status = reply.status().as_u16(), ms = started.elapsed().as_millis(), "request");
    reply.map(Body::new)
}

async fn answer(app: &App, route: &Route, request: Request) -> Reply {
    let (parts, body) = request.into_parts();
    if parts.method == Method::OPTIONS && route.class != Class::Page {
        return preflight(route);
    }
    if !route.methods.contains(&parts.method) {
        return wrong_method(route);
    }
    let peer = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |info| info.0.ip());
    let now = app.clock.now();
    let address = cx::address(peer, &parts.headers, &app.settings);
    let cx = Cx { now, address, request: RequestId::new(now, &*app.entropy) };
    if let Some(wait) = over_limit(app, route, &parts.method, cx) {
        return too_many(route, wait);
    }
    let query = parts.uri.query().unwrap_or_default();
    if query.len() > QUERY_LIMIT {
        return too_large(route, StatusCode::URI_TOO_LONG);
    }
    let read = tokio::time::timeout(BODY_TIME, LimitedBody::new(body, route.body).collect()).await;
    let body = match read {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return too_large(route, StatusCode::PAYLOAD_TOO_LARGE);
        }
        // Broken chunks, or a peer that went away.
        Ok(Err(_)) => return too_large(route, StatusCode::BAD_REQUEST),
        Err(_) => return too_large(route, StatusCode::REQUEST_TIMEOUT),
    };
    let incoming = Incoming {
        cx,
        path: parts.uri.path().to_owned(),
        method: parts.method,
        query: query.to_owned(),
        headers: parts.headers,
        body,
    };
    let reply = (route.handler)(app, &incoming).await;
    let mut reply = count_failure(app, route, &incoming, reply);
    if let Ok(id) = HeaderValue::from_str(&incoming.cx.request.to_string()) {
        reply.headers_mut().insert("x-request-id", id);
    }
    reply
}

/// On a loopback issuer everybody is the same address, and a developer's tests are no flood.
fn over_limit(app: &App, route: &Route, method: &Method, cx: Cx) -> Option<Duration> {
    let (what, limits) = (route.limited?, &app.settings.limits);
    let per_minute = match what {
        Limited::Authorization => limits.authorizations,
        Limited::Failure => limits.failures_of_address(),
        Limited::SignIn | Limited::Password if *method != Method::POST => return None,
        Limited::SignIn | Limited::Password => limits.sign_ins,
        // These are counted where it is known whose they are.
        Limited::Registration | Limited::Refresh | Limited::Introspection => return None,
    };
    if app.settings.is_local() {
        return None;
    }
    let per_minute = limits.for_address(cx.address, per_minute);
    match what {
        // Counted when it has failed.
        Limited::Failure => app.limits.look(what, cx.address, per_minute, cx.now).err(),
        Limited::Authorization
        | Limited::SignIn
        | Limited::Password
        | Limited::Registration
        | Limited::Refresh
        | Limited::Introspection => app.limits.take(what, cx.address, per_minute, cx.now).err(),
    }
}

/// A refused request may be a guess. It is counted for its client at this address: above the limit the guesser is told to
/// wait, and whoever brings what is right never is, not even from the same address. An address that guesses in the names
/// of many clients is stopped before anything is computed for it.
fn count_failure(app: &App, route: &Route, incoming: &Incoming, reply: Reply) -> Reply {
    let refused = matches!(reply.status(), StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED)
        && reply.extensions().get::<Uncounted>().is_none();
    if route.limited != Some(Limited::Failure) || app.settings.is_local() || !refused {
        return reply;
    }
    let (cx, limits) = (incoming.cx, &app.settings.limits);
    let of_address = limits.for_address(cx.address, limits.failures_of_address());
    let _ = app.limits.take(Limited::Failure, cx.address, of_address, cx.now);
    let client = Source::client_at(&client_auth::named(incoming), cx.address);
    let most = limits.for_address(cx.address, limits.failures);
    match app.limits.take(Limited::Failure, client, most, cx.now) {
        Ok(()) => reply,
        Err(wait) => too_many(route, wait),
    }
}

fn open_to_browsers(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("WWW-Authenticate, Retry-After, DPoP-Nonce, X-Request-Id"),
    );
}

fn preflight(route: &Route) -> Reply {
    let mut reply = respond::empty(StatusCode::NO_CONTENT);
    let headers = reply.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, allow(route));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization, Content-Type, MCP-Protocol-Version, DPoP"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    reply
}

fn allow(route: &Route) -> HeaderValue {
    let methods: Vec<&str> = route.methods.iter().map(Method::as_str).collect();
    HeaderValue::from_str(&methods.join(", ")).unwrap_or(HeaderValue::from_static("GET"))
}

fn wrong_method(route: &Route) -> Reply {
    let refusal = Refusal::new(ErrorCode::InvalidRequest, "this endpoint does not take this method");
    let mut reply = match route.class {
        Class::Page => pages::problem(StatusCode::METHOD_NOT_ALLOWED, pages::Problem::WrongMethod),
        Class::Public | Class::Protocol => respond::refused(&refusal),
    };
    *reply.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    reply.headers_mut().insert(header::ALLOW, allow(route));
    reply
}

fn too_many(route: &Route, wait: Duration) -> Reply {
    let refusal = Refusal {
        retry_after: Some(wait),
        ..Refusal::new(ErrorCode::TemporarilyUnavailable, "too many requests from this address")
    };
    let mut reply = respond::refused(&refusal);
    if route.class == Class::Page {
        let retry = reply.headers_mut().remove(header::RETRY_AFTER);
        reply = pages::problem(StatusCode::TOO_MANY_REQUESTS, pages::Problem::TooManyRequests);
        if let Some(retry) = retry {
            reply.headers_mut().insert(header::RETRY_AFTER, retry);
        }
    }
    reply
}

fn too_large(route: &Route, status: StatusCode) -> Reply {
    let mut reply = match route.class {
        Class::Page => pages::problem(status, pages::Problem::TooLarge),
        Class::Public | Class::Protocol => {
            respond::refused(&Refusal::new(ErrorCode::InvalidRequest, "the request is too large or too slow"))
        }
    };
    *reply.status_mut() = status;
    reply
}
