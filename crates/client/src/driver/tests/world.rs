//! An MCP server, an authorization server and a browser, each as small as can be, with knobs to make them wrong.

use crate::{
    browser::PageUrl,
    device::DEVICE_CODE,
    driver::{Client, Interaction, LoginOptions, Settings, SignedIn, WhatFor},
    error::{ClientError, Failed},
    exchange::TOKEN_EXCHANGE,
    storage::{Contents, Store},
};
use aws_lc_rs::digest;
use hallpass_core::{
    encoding::base64url,
    entropy::SystemEntropy,
    id::GrantId,
    parameters::{Limits, Parameters, append_to},
    seal::{KeyRing, MasterKey},
    secret::SecretBytes,
    time::{Clock, Timestamp},
    token::RefreshToken,
};
use hallpass_fetch::Fetch;
use serde_json::{Value, json};
use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

/// A request as a server saw it.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub(super) fn query(&self) -> Parameters {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        Parameters::parse(query.as_bytes(), Limits::default()).unwrap()
    }

    pub(super) fn form(&self) -> Parameters {
        Parameters::parse(self.body.as_bytes(), Limits::default()).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// An answer: status, header lines, body. Status 0: the connection is dropped without one.
pub(super) struct Reply(pub(super) u16, pub(super) String, pub(super) String);

impl Reply {
    pub(super) fn json(body: &Value) -> Self {
        Self(200, "content-type: application/json\r\n".into(), body.to_string())
    }

    pub(super) fn status(status: u16) -> Self {
        Self(status, String::new(), String::new())
    }

    pub(super) fn error(code: &str) -> Self {
        Self(400, "content-type: application/json\r\n".into(), json!({ "error": code }).to_string())
    }
}

pub(super) type Log = Arc<Mutex<Vec<Seen>>>;

/// Serves on a port that is open already.
pub(super) fn serve(listener: TcpListener, handle: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Log {
    let log = Log::default();
    let (seen, handle) = (Arc::clone(&log), Arc::new(handle));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, handle) = (Arc::clone(&seen), Arc::clone(&handle));
            tokio::spawn(async move { answer(stream, &seen, &*handle).await });
        }
    });
    log
}

async fn answer(mut stream: TcpStream, log: &Log, handle: &(impl Fn(&Seen) -> Reply + ?Sized)) -> Option<()> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(bytes).unwrap();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    let seen = Seen { method, target, headers, body: String::from_utf8(body).unwrap() };
    log.lock().unwrap().push(seen.clone());
    let Reply(status, headers, body) = handle(&seen);
    if status != 0 {
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
        );
        let _ = stream.write_all(text.as_bytes()).await;
    }
    Some(())
}

/// Time that stands still until it is pushed.
pub(super) struct TestClock(pub(super) AtomicI64);

impl TestClock {
    pub(super) fn push(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(SeqCst))
    }
}

/// What the servers do wrong, and what they remember.
#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a way to be wrong of its own")]
pub(super) struct Knobs {
    /// In place of the honest answer: (path, status, headers, body).
    pub(super) instead: Vec<(&'static str, u16, String, String)>,
    /// How often `instead` of a path is still used; absent: always.
    pub(super) times: HashMap<&'static str, u32>,
    /// `iss` in authorization responses; `None`: the right one.
    pub(super) iss: Option<&'static str>,
    /// Appended to authorization server metadata.
    pub(super) metadata: Vec<(&'static str, Value)>,
    /// Lifetime of access tokens.
    pub(super) expires_in: Option<i64>,
    /// Speaks the stateless wire only.
    pub(super) stateless: bool,
    /// Issues tokens of type `DPoP`, and takes them only as such.
    pub(super) bound: bool,
    /// Time that a token request takes.
    pub(super) slow: Duration,
    pub(super) challenge_scope: Option<&'static str>,
    /// Answers to polls of a device before the tokens: codes of errors.
    pub(super) device_answers: Vec<&'static str>,
    /// What was pushed, by its `request_uri`.
    pub(super) pushed: HashMap<String, Parameters>,
    pub(super) codes: HashMap<String, (String, String)>,
    pub(super) good: HashSet<String>,
    pub(super) refresh: Option<String>,
    /// Its refresh tokens are like those of our server: each sign-in is a grant of its own, and they name it.
    pub(super) names_grants: bool,
    /// Takes the predecessor as long as its successor was not used, as a server does whose answers get lost.
    pub(super) forgiving: bool,
    /// The predecessor of `refresh`.
    pub(super) replaced: Option<String>,
    /// Every so-many-th answer with tokens gets lost; 0: none.
    pub(super) loses: u32,
    /// Where the token endpoint is by now; `None`: at `/token`.
    pub(super) moved_to: Option<&'static str>,
    /// The resource takes the newest access token alone, and so often; `None`: all, for ever.
    pub(super) uses: Option<u32>,
    pub(super) uses_left: u32,
    /// How often a caller, by its `x-caller`, sent a token that the resource does not take (any more).
    pub(super) dead: HashMap<(String, String), u32>,
    pub(super) clients: u32,
    pub(super) issued: u32,
    pub(super) reused: u32,
}

pub(super) struct World {
    pub(super) client: Client,
    pub(super) clock: Arc<TestClock>,
    pub(super) folder: tempfile::TempDir,
    pub(super) mcp: String,
    pub(super) issuer: String,
    pub(super) at_mcp: Log,
    pub(super) at_as: Log,
    pub(super) knobs: Arc<Mutex<Knobs>>,
}

impl World {
    pub(super) async fn new() -> Self {
        let (mcp, server) = (bind().await, bind().await);
        let (origin, issuer) = (origin(&mcp), origin(&server));
        let knobs = Arc::new(Mutex::new(Knobs { expires_in: Some(3600), ..Knobs::default() }));
        let (of_mcp, of_as) = (Arc::clone(&knobs), Arc::clone(&knobs));
        let (base, as_base) = (origin.clone(), issuer.clone());
        let at_mcp = serve(mcp, move |seen| mcp_server(&base, &as_base, &mut of_mcp.lock().unwrap(), seen));
        let as_base = issuer.clone();
        let at_as = serve(server, move |seen| {
            let slow = of_as.lock().unwrap().slow;
            if seen.path() == "/token" {
                std::thread::sleep(slow);
            }
            authorization_server(&as_base, &mut of_as.lock().unwrap(), seen)
        });
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000)));
        let client = client(folder.path().join("state"), Arc::clone(&clock), Settings::default());
        Self { client, clock, folder, mcp: format!("{origin}/mcp"), issuer, at_mcp, at_as, knobs }
    }

    pub(super) async fn login(&self) -> Result<SignedIn, Failed> {
        self.login_with(&LoginOptions::default()).await
    }

    pub(super) async fn login_with(&self, options: &LoginOptions) -> Result<SignedIn, Failed> {
        self.client.login(&self.mcp, options, &mut Robot::default()).await
    }

    /// The MCP server names this authorization server from now on.
    pub(super) fn names(&self, issuer: &str) {
        let metadata = json!({ "resource": self.mcp, "authorization_servers": [issuer] }).to_string();
        let head = "content-type: application/json\r\n".to_owned();
        self.set(|knobs| {
            knobs.instead = vec![("/.well-known/oauth-protected-resource/mcp", 200, head, metadata)];
        });
    }

    /// The same server under another host of this machine, so that only the name of the host speaks against it.
    pub(super) fn is_elsewhere(&self) -> String {
        let elsewhere = self.issuer.replace("127.0.0.1", "localhost");
        self.names(&elsewhere);
        self.set(|knobs| {
            knobs.metadata.push(("issuer", json!(elsewhere)));
            knobs.metadata.push(("token_endpoint", json!(format!("{elsewhere}/token"))));
        });
        elsewhere
    }

    /// Another authorization server that the MCP server names from now on: its issuer, and what it is asked.
    pub(super) async fn moves(&self) -> (String, Log) {
        let second = bind().await;
        let issuer = origin(&second);
        let (knobs, of_second) = (Arc::clone(&self.knobs), issuer.clone());
        let log =
            serve(second, move |seen| authorization_server(&of_second, &mut knobs.lock().unwrap(), seen));
        self.names(&issuer);
        (issuer, log)
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Knobs)) {
        change(&mut self.knobs.lock().unwrap());
    }

    pub(super) fn kept(&self) -> Contents {
        self.client.store().read().unwrap()
    }

    /// All requests to a path of the authorization server.
    pub(super) fn asked(&self, path: &str) -> Vec<Seen> {
        self.at_as.lock().unwrap().iter().filter(|seen| seen.path() == path).cloned().collect()
    }

    /// All requests to the MCP endpoint.
    pub(super) fn called(&self) -> Vec<Seen> {
        self.at_mcp.lock().unwrap().iter().filter(|seen| seen.path() == "/mcp").cloned().collect()
    }
}

pub(super) fn client(folder: PathBuf, clock: Arc<TestClock>, settings: Settings) -> Client {
    let fetch = Fetch::new(hallpass_fetch::Settings::default()).unwrap();
    Client::with(fetch, Store::new(folder), settings, clock, Arc::new(SystemEntropy))
}

pub(super) async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

pub(super) fn origin(listener: &TcpListener) -> String {
    format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port())
}

pub(super) fn error<T>(outcome: Result<T, Failed>) -> ClientError {
    match outcome {
        Ok(_) => panic!("no error"),
        Err(failed) => failed.error,
    }
}

fn instead(knobs: &mut Knobs, path: &str) -> Option<Reply> {
    let (name, status, headers, body) = knobs.instead.iter().find(|(at, ..)| *at == path)?.clone();
    if let Some(left) = knobs.times.get_mut(name) {
        *left = left.checked_sub(1)?;
    }
    Some(Reply(status, headers, body))
}

pub(super) fn mcp_server(origin: &str, issuer: &str, knobs: &mut Knobs, seen: &Seen) -> Reply {
    if let Some(reply) = instead(knobs, seen.path()) {
        return reply;
    }
    if seen.path() == "/.well-known/oauth-protected-resource/mcp" {
        return Reply::json(&json!({
            "resource": format!("{origin}/mcp"),
            "authorization_servers": [issuer],
            "scopes_supported": ["read", "write"],
            "resource_name": "Test server",
        }));
    }
    if seen.path() != "/mcp" {
        return Reply::status(404);
    }
    let scheme = if knobs.bound { "DPoP " } else { "Bearer " };
    let token = seen.headers.get("authorization").and_then(|value| value.strip_prefix(scheme));
    let spent = knobs.uses.is_some() && knobs.uses_left == 0;
    if spent || !token.is_some_and(|token| knobs.good.contains(token)) {
        let scope = knobs.challenge_scope.map_or(String::new(), |scope| format!(", scope=\"{scope}\""));
        if let (Some(caller), Some(token)) = (seen.headers.get("x-caller"), token) {
            *knobs.dead.entry((caller.clone(), token.to_owned())).or_default() += 1;
        }
        let error = if token.is_some() { ", error=\"invalid_token\"" } else { "" };
        let challenge = format!("www-authenticate: Bearer realm=\"x\"{scope}{error}\r\n");
        return Reply(401, challenge, String::new());
    }
    knobs.uses_left = knobs.uses_left.saturating_sub(1);
    if seen.method == "DELETE" {
        return Reply::status(204);
    }
    if seen.method == "GET" {
        return Reply::status(405);
    }
    mcp_answer(knobs, seen)
}

fn mcp_answer(knobs: &Knobs, seen: &Seen) -> Reply {
    let message = seen.json();
    let (id, method) = (message["id"].clone(), message["method"].as_str().unwrap().to_owned());
    let answer = |result: Value| json!({ "jsonrpc": "2.0", "id": id, "result": result });
    if knobs.stateless != seen.headers.contains_key("mcp-method") && method != "notifications/initialized" {
        let error = json!({ "code": -32022, "message": "Unsupported protocol version", "data": { "supported": ["2026-07-28"] } });
        if knobs.stateless {
            return Reply(
                400,
                String::new(),
                json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string(),
            );
        }
    }
    match method.as_str() {
        "initialize" => {
            let result = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "t", "version": "1" } });
            Reply(
                200,
                "content-type: application/json\r\nmcp-session-id: s1\r\n".into(),
                answer(result).to_string(),
            )
        }
        "notifications/initialized" => Reply::status(202),
        "tools/call" => {
            let progress =
                json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "progress": 1 } });
            let body =
                format!(": hello\n\ndata: {progress}\n\ndata: {}\n\n", answer(json!({ "content": [] })));
            Reply(200, "content-type: text/event-stream\r\n".into(), body)
        }
        _ if knobs.stateless => {
            Reply::json(&answer(json!({ "tools": [], "cacheScope": "private", "ttlMs": 3_600_000 })))
        }
        _ => Reply::json(&answer(json!({ "tools": [] }))),
    }
}

pub(super) fn authorization_server(issuer: &str, knobs: &mut Knobs, seen: &Seen) -> Reply {
    if let Some(reply) = instead(knobs, seen.path()) {
        return reply;
    }
    match (seen.method.as_str(), seen.path()) {
        ("GET", "/.well-known/oauth-authorization-server") => {
            let mut metadata = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "registration_endpoint": format!("{issuer}/register"),
                "revocation_endpoint": format!("{issuer}/revoke"),
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["none"],
                "authorization_response_iss_parameter_supported": true,
            });
            for (name, value) in &knobs.metadata {
                metadata[*name] = value.clone();
            }
            Reply::json(&metadata)
        }
        ("POST", "/register") => {
            knobs.clients += 1;
            let client_id = format!("client-{}", knobs.clients);
            let body = json!({ "client_id": client_id, "token_endpoint_auth_method": "none" });
            Reply(201, "content-type: application/json\r\n".into(), body.to_string())
        }
        ("POST", "/device") => Reply::json(&json!({
            "device_code": "device-1", "user_code": "WDJB-MJHT", "expires_in": 60, "interval": 1,
            "verification_uri": format!("{issuer}/enter"),
            "verification_uri_complete": format!("{issuer}/enter?user_code=WDJB-MJHT"),
        })),
        ("POST", "/par") => {
            let uri = format!("urn:ietf:params:oauth:request_uri:{}", knobs.pushed.len());
            knobs.pushed.insert(uri.clone(), seen.form());
            let body = json!({ "request_uri": uri, "expires_in": 60 });
            Reply(201, "content-type: application/json\r\n".into(), body.to_string())
        }
        ("GET", "/authorize") => {
            let query = seen.query();
            let query = query.get("request_uri").and_then(|uri| knobs.pushed.remove(uri)).unwrap_or(query);
            knobs.issued += 1;
            let code = format!("code-{}", knobs.issued);
            let get = |name| query.get(name).unwrap().to_owned();
            knobs.codes.insert(code.clone(), (get("code_challenge"), get("client_id")));
            let iss = knobs.iss.unwrap_or(issuer);
            let answer = [("code", code.as_str()), ("state", &get("state")), ("iss", iss)];
            Reply(302, format!("location: {}\r\n", append_to(&get("redirect_uri"), answer)), String::new())
        }
        ("POST", path) if path == "/token" && knobs.moved_to.is_some() => Reply::status(404),
        ("POST", path) if path == "/token" || Some(path) == knobs.moved_to => token(knobs, &seen.form()),
        ("POST", "/revoke") => Reply::status(200),
        _ => Reply::status(404),
    }
}

fn token(knobs: &mut Knobs, form: &Parameters) -> Reply {
    match form.get("grant_type").unwrap() {
        DEVICE_CODE if !knobs.device_answers.is_empty() => {
            return Reply::error(knobs.device_answers.remove(0));
        }
        "authorization_code" => {
            let verifier = form.get("code_verifier").unwrap();
            let challenge = base64url(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref());
            let code = knobs.codes.remove(form.get("code").unwrap());
            if code != Some((challenge, form.get("client_id").unwrap().to_owned())) {
                return Reply::error("invalid_grant");
            }
        }
        // Strict rotation: anything but the newest is reuse.
        "refresh_token" if knobs.refresh.as_deref() == form.get("refresh_token") => {
            knobs.replaced = knobs.refresh.take();
        }
        "refresh_token" if !knobs.forgiving || knobs.replaced.as_deref() != form.get("refresh_token") => {
            knobs.reused += 1;
            return Reply::error("invalid_grant");
        }
        _ => {}
    }
    knobs.issued += 1;
    let (access, mut refresh) = (format!("access-{}", knobs.issued), format!("refresh-{}", knobs.issued));
    if knobs.names_grants {
        let before = form.get("refresh_token").and_then(RefreshToken::grant_named_in);
        refresh = named_refresh_token(before, knobs.issued);
    }
    if let Some(uses) = knobs.uses {
        knobs.uses_left = uses;
        knobs.good.clear();
    }
    knobs.good.insert(access.clone());
    knobs.refresh = Some(refresh.clone());
    if knobs.loses > 0 && knobs.issued.is_multiple_of(knobs.loses) {
        return Reply::status(0);
    }
    let kind = if knobs.bound { "DPoP" } else { "Bearer" };
    let mut body = json!({ "access_token": access, "token_type": kind, "refresh_token": refresh });
    if let Some(seconds) = knobs.expires_in {
        body["expires_in"] = json!(seconds);
    }
    if form.get("grant_type") == Some(TOKEN_EXCHANGE) {
        body["issued_token_type"] = json!("urn:ietf:params:oauth:token-type:access_token");
    }
    Reply::json(&body)
}

/// As our server writes them: of this grant, or of a new one.
pub(super) fn named_refresh_token(grant: Option<GrantId>, number: u32) -> String {
    let master = MasterKey { number: 1, bytes: SecretBytes::new([1; 32]) };
    let ring = KeyRing::new(&[master], &SecretBytes::new([2; 32]), "https://as.example").unwrap();
    let grant = grant.unwrap_or_else(|| GrantId::from_bytes([u8::try_from(number).unwrap(); 16]));
    RefreshToken { grant, generation: number }.mint(&ring).expose().to_owned()
}

/// What a test does with the page's URL.
type Act = Box<dyn FnMut(&str) + Send>;

/// A person and a browser: opens the page, follows the redirect to the callback.
#[derive(Default)]
pub(super) struct Robot {
    /// Called instead of visiting the page.
    pub(super) instead: Option<Act>,
    pub(super) pages: Vec<String>,
    /// No page can be opened.
    pub(super) nobody: bool,
    /// What is pasted.
    pub(super) pasted: Option<mpsc::Receiver<String>>,
    /// How often that was no answer.
    pub(super) wrong: u32,
}

impl Interaction for Robot {
    fn open(&mut self, page: &PageUrl, _: &WhatFor<'_>) {
        self.pages.push(page.as_str().to_owned());
        let url = page.as_str().to_owned();
        match &mut self.instead {
            Some(act) => act(&url),
            None => {
                tokio::spawn(async move { visit(&url).await });
            }
        }
    }

    fn nobody(&self) -> bool {
        self.nobody
    }

    fn pasted(&mut self) -> Option<mpsc::Receiver<String>> {
        self.pasted.take()
    }

    fn not_the_answer(&mut self) {
        self.wrong += 1;
    }
}

/// Follows one redirect, as a browser with nobody in front of it.
pub(super) async fn visit(url: &str) {
    let location = get(url).await.lines().find_map(|line| line.strip_prefix("location: ").map(str::to_owned));
    get(&location.unwrap()).await;
}

pub(super) async fn get(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, _) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let target = &rest[host.len()..];
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}
