//! A gateway with a clock that can be pushed, in front of a server that does as the path of its URL says.

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header},
    response::IntoResponse,
    routing::any,
};
use hallpass_core::{
    entropy::SystemEntropy,
    id::GrantId,
    jose::{Algorithm, KeySet, SigningKey},
    jwt::{AccessToken, GrantReference, access_token::AccessTokenSigner},
    scope::Scope,
    seal::{KeyRing, MasterKey},
    secret::SecretBytes,
    time::Timestamp,
    uri::ResourceUri,
};
use hallpass_gateway::{
    CallPaths, Gateway, GatewayConfig, KeyRingSealer, Limits, Processes, ProtectedServer, start,
};
use hallpass_resource::{KeySource, Revocations};
use hallpass_testkit::ManualClock;
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tower::ServiceExt;

pub const ORIGIN: &str = "https://mcp.example";
pub const METADATA: &str = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
pub const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub const GRANT: GrantId = GrantId::from_bytes([5; 16]);
pub const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

pub struct World {
    pub gateway: Router,
    pub calls: CallPaths,
    pub processes: Processes,
    pub key: SigningKey,
    pub clock: ManualClock,
    pub revocations: Arc<Revocations>,
    pub upstream: Upstream,
}

/// What the server behind the gateway has seen.
#[derive(Clone, Default)]
pub struct Upstream {
    pub asked: Arc<AtomicUsize>,
    /// Event streams that are open right now.
    pub open: Arc<AtomicUsize>,
}

impl Upstream {
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// What a server on stdio does: a shell script that reads lines.
#[cfg(unix)]
pub fn script(text: &str) -> hallpass_gateway::StdioCommand {
    hallpass_gateway::StdioCommand {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), text.into()],
        folder: None,
        environment: vec![("PATH".into(), "/bin:/usr/bin".into())],
        shared_processes: 0,
        token_variable: None,
        limits: hallpass_gateway::StdioLimits {
            stop: Duration::from_millis(300),
            ..hallpass_gateway::StdioLimits::default()
        },
    }
}

pub async fn world(behaviour: &str) -> World {
    world_with(behaviour, |_| {}).await
}

pub async fn world_with(behaviour: &str, change: impl FnOnce(&mut GatewayConfig)) -> World {
    let upstream = Upstream::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = upstream_router(upstream.clone());
    tokio::spawn(async move { axum::serve(listener, served).await });

    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let clock = ManualClock::at(START);
    let revocations = Arc::new(Revocations::new());
    revocations.replace_all([], 0);
    let master = MasterKey { number: 1, bytes: SecretBytes::new([7; 32]) };
    let ring = KeyRing::new(&[master], &SecretBytes::new([9; 32]), ORIGIN).unwrap();
    let mut config = GatewayConfig {
        public_origin: ORIGIN.into(),
        servers: vec![server("/mcp", &format!("http://{address}/{behaviour}"))],
        keys: Arc::new(KeySource::fixed(KeySet::from_keys(vec![key.verifying_key()]))),
        revocations: Arc::clone(&revocations),
        sessions: Arc::new(KeyRingSealer::new(Arc::new(ring), Arc::new(SystemEntropy))),
        proofs: hallpass_resource::Proofs::default(),
        clock: Arc::new(clock.clone()),
        local: false,
        allowed_origins: vec![],
        reserved_paths: vec![],
        limits: Limits { body: 10_000, ..Limits::default() },
        calls: None,
        address: None,
        entropy: Arc::new(SystemEntropy),
        tracing: None,
        challenge_styles: vec![],
        caller_signer: None,
    };
    change(&mut config);
    let Gateway { router: gateway, calls, processes, .. } = start(config).unwrap();
    World { gateway, calls, processes, key, clock, revocations, upstream }
}

pub fn server(path: &str, upstream: &str) -> ProtectedServer {
    ProtectedServer {
        page: None,
        name: path.trim_start_matches('/').into(),
        path: path.into(),
        resource: ResourceUri::parse(&format!("{ORIGIN}{path}")).unwrap(),
        issuer: ORIGIN.into(),
        own_tokens: true,
        issuers: vec![],
        authorization_servers: vec![ORIGIN.into()],
        scopes: Scope::parse("files:read files:write").unwrap(),
        required_scope: Scope::parse("files:read").unwrap(),
        upstream: upstream.into(),
        title: Some("Files".into()),
        policy: hallpass_gateway::Policy::default(),
        bound_tokens: hallpass_resource::BoundTokens::Offered,
        callers: hallpass_gateway::CallerLimits::default(),
        caller_audience: None,
        upstream_credential: None,
        recorded: hallpass_gateway::RecordedArguments::default(),
    }
}

/// The server behind the gateway.
pub fn upstream_router(upstream: Upstream) -> Router {
    Router::new().fallback(any(behave)).with_state(upstream)
}

async fn behave(
    State(upstream): State<Upstream>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    upstream.asked.fetch_add(1, Ordering::SeqCst);
    let typed =
        |kind: &'static str, body: &'static str| ([(header::CONTENT_TYPE, kind)], body).into_response();
    match uri.path() {
        "/echo" => echo(&method, &uri, &headers, &body),
        "/accepted" => {
            (StatusCode::ACCEPTED, [(header::CONTENT_TYPE, "text/html")], "<b>thanks").into_response()
        }
        "/none" => StatusCode::NO_CONTENT.into_response(),
        "/html" => typed("text/html", "<script>alert(document.domain)</script>"),
        "/not-found" => (
            StatusCode::NOT_FOUND,
            [(header::CONTENT_TYPE, "application/json")],
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"?"}}"#,
        )
            .into_response(),
        "/html-error" => {
            (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], "<h1>no").into_response()
        }
        "/redirect" => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "https://evil.example/")]).into_response()
        }
        "/unauthorized" => (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, "Bearer resource_metadata=\"https://evil.example\"")],
            "secret of the upstream",
        )
            .into_response(),
        "/cookie" => {
            let mut response = typed("application/json; charset=utf-7", "{}");
            for (name, value) in [
                ("set-cookie", "__Host-session=stolen; Path=/; Secure"),
                ("location", "https://evil.example/"),
                ("clear-site-data", "\"*\""),
                ("access-control-allow-credentials", "true"),
                ("content-security-policy", "default-src *"),
                ("server", "secret/1.0"),
                ("mcp-protocol-version", "2025-11-25"),
            ] {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
        }
        "/slow" => {
            tokio::time::sleep(Duration::from_mins(1)).await;
            StatusCode::OK.into_response()
        }
        "/events" => (
            [(header::CONTENT_TYPE, "text/event-stream")],
            ticking(&upstream, Duration::from_millis(50), None),
        )
            .into_response(),
        "/silent-events" => {
            ([(header::CONTENT_TYPE, "text/event-stream")], ticking(&upstream, Duration::from_hours(1), None))
                .into_response()
        }
        "/half-events" => ([(header::CONTENT_TYPE, "text/event-stream")], halves()).into_response(),
        "/dying" => (
            [(header::CONTENT_TYPE, "text/event-stream")],
            ticking(&upstream, Duration::from_millis(10), Some(2)),
        )
            .into_response(),
        "/stalling-json" => {
            ([(header::CONTENT_TYPE, "application/json")], ticking(&upstream, Duration::from_hours(1), None))
                .into_response()
        }
        "/session" => {
            ([("mcp-session-id", "upstream-session-1")], echo(&method, &uri, &headers, &body)).into_response()
        }
        _ => StatusCode::IM_A_TEAPOT.into_response(),
    }
}

/// What arrived, as JSON.
fn echo(method: &Method, uri: &Uri, headers: &HeaderMap, body: &Bytes) -> Response<Body> {
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let seen = json!({ "method": method.as_str(), "uri": uri.to_string(), "headers": headers, "body": String::from_utf8_lossy(body) });
    ([(header::CONTENT_TYPE, "application/json")], seen.to_string()).into_response()
}

/// Counts while it exists.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An event at once and then one each `pause`; breaks off after some.
fn ticking(upstream: &Upstream, pause: Duration, breaks_after: Option<usize>) -> Body {
    upstream.open.fetch_add(1, Ordering::SeqCst);
    let open = Open(Arc::clone(&upstream.open));
    let events = futures_util::stream::unfold((0_usize, open), move |(number, open)| async move {
        if number > 0 {
            tokio::time::sleep(pause).await;
        }
        if breaks_after == Some(number) {
            return Some((Err(std::io::Error::other("died")), (number, open)));
        }
        let event = format!("id: {number}\nretry: 500\ndata: {{\"n\":{number}}}\n\n");
        Some((Ok::<_, std::io::Error>(Bytes::from(event)), (number + 1, open)))
    });
    Body::from_stream(events)
}

/// An event in three pieces, each of which ends somewhere else in a line, with a pause between them.
fn halves() -> Body {
    let pieces = ["id: 7\nda", "ta: {\"n\":", "0}\r", "\n\r\n", "data: {\"n\":1}\n\n"];
    let events = futures_util::stream::unfold(pieces.into_iter(), |mut pieces| async move {
        let piece = pieces.next()?;
        tokio::time::sleep(Duration::from_millis(2_200)).await;
        Some((Ok::<_, std::io::Error>(Bytes::from(piece)), pieces))
    });
    Body::from_stream(events)
}

pub fn claims() -> AccessToken {
    AccessToken {
        issuer: ORIGIN.into(),
        subject: "ann".into(),
        audience: format!("{ORIGIN}/mcp"),
        client_id: "client".into(),
        issued_at: START,
        expires_at: START.plus(Duration::from_mins(5)),
        scope: Some("files:read".into()),
        grant: GrantReference { grant: GRANT, generation: 0, epoch: 1, salt: [0; 6] },
        key_thumbprint: None,
        details: None,
        actors: Vec::new(),
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What `/echo` saw of a header.
    pub fn seen(&self, name: &str) -> Vec<String> {
        let json = self.json();
        let headers = json["headers"].as_array().unwrap();
        headers
            .iter()
            .filter(|pair| pair[0] == name)
            .map(|pair| pair[1].as_str().unwrap().to_owned())
            .collect()
    }
}

impl World {
    pub fn token(&self) -> String {
        self.token_of(|_| {})
    }

    pub fn token_of(&self, change: impl FnOnce(&mut AccessToken)) -> String {
        let mut token = claims();
        change(&mut token);
        AccessTokenSigner::new(&self.key).sign(&token).unwrap().expose().to_owned()
    }

    /// A request with the usual headers and a good token; `more` replaces or adds.
    pub fn request(&self, method: &str, body: &str, more: &[(&str, &str)]) -> Request<Body> {
        let token = format!("Bearer {}", self.token());
        let mut request = bare(method, "/mcp", body, more);
        if !request.headers().contains_key("authorization") {
            request.headers_mut().insert("authorization", HeaderValue::try_from(token).unwrap());
        }
        request
    }

    /// As whoever listens does: the short way where there is one.
    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        match self.calls.find(request.method(), request.uri().path()) {
            Some(call) => call(request).await,
            None => self.by_routes(request).await,
        }
    }

    pub async fn by_routes(&self, request: Request<Body>) -> Response<Body> {
        let never: Result<_, Infallible> = self.gateway.clone().oneshot(request).await;
        never.unwrap()
    }

    pub async fn ask(&self, request: Request<Body>) -> Answer {
        read(self.send(request).await).await
    }

    pub async fn post(&self, body: &str, more: &[(&str, &str)]) -> Answer {
        self.ask(self.request("POST", body, more)).await
    }
}

/// An answer, whole.
pub async fn read(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    let text = String::from_utf8(to_bytes(body, 8_000_000).await.unwrap().to_vec()).unwrap();
    Answer { status: parts.status.as_u16(), headers: parts.headers, text }
}

/// A request without a token.
pub fn bare(method: &str, path: &str, body: &str, more: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    if method == "POST" {
        request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    }
    let mut replaced = std::collections::HashSet::new();
    for (name, value) in more {
        let name: header::HeaderName = name.parse().unwrap();
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        if replaced.insert(name.clone()) {
            request.headers_mut().insert(name, value);
        } else {
            request.headers_mut().append(name, value);
        }
    }
    request
}
