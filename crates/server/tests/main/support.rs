//! A server with one protected resource, a browser that keeps cookies and fills forms, and a client.

use axum::{Router, body::Body, extract::ConnectInfo};
use hallpass_core::{
    encoding,
    entropy::SystemEntropy,
    parameters,
    seal::{MasterKey, MasterKeys},
    secret::SecretBytes,
    time::{Clock, Timestamp},
    uri::{Issuer, ResourceUri},
};
use hallpass_fetch::Fetch;
use hallpass_server::{App, Parts, Resource, ScopeEntry, Settings, router, setup_link};
use hallpass_store::{SqliteSettings, SqliteStore, Store};
use hallpass_testkit::{DocumentHost, ManualClock};
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use std::{collections::BTreeMap, net::SocketAddr, sync::Arc, time::Duration};
use tower::ServiceExt;

pub const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
pub const ISSUER: &str = "https://auth.example";
pub const RESOURCE: &str = "https://auth.example/mcp";
pub const REDIRECT: &str = "http://127.0.0.1:5000/callback";
pub const NAME: &str = "ada";
pub const PASSWORD: &str = "an analytical engine";
pub const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `error` of a JSON answer.
    pub fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// Value of the hidden input with this name, the first one.
    pub fn hidden(&self, name: &str) -> Option<String> {
        let marker = format!("name=\"{name}\" value=\"");
        let start = self.text.find(&marker)? + marker.len();
        let end = start + self.text[start..].find('"')?;
        Some(unescape(&self.text[start..end]))
    }

    /// Where a page of ours moves on to.
    pub fn target(&self) -> Option<String> {
        let start = self.text.find("content=\"0;url=")? + 15;
        let end = start + self.text[start..].find('"')?;
        Some(unescape(&self.text[start..end]))
    }

    /// The link to the client on a page that waits for a click.
    pub fn link(&self) -> Option<String> {
        let end = self.text.find("\" rel=\"noreferrer\"")?;
        let start = self.text[..end].rfind("href=\"")? + 6;
        Some(unescape(&self.text[start..end]))
    }

    /// A parameter of the target.
    pub fn answered(&self, name: &str) -> Option<String> {
        let target = self.target()?;
        let query = target.split_once('?')?.1.to_owned();
        let read = parameters::Parameters::parse(query.as_bytes(), parameters::Limits::default()).unwrap();
        let mut all = read.all(name);
        let first = all.next().map(str::to_owned);
        assert_eq!(all.next(), None, "{name} twice in {target}");
        first
    }
}

fn unescape(text: &str) -> String {
    let mut out = text.to_owned();
    for (from, to) in [
        ("&#38;", "&"),
        ("&amp;", "&"),
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&lt;", "<"),
        ("&#60;", "<"),
        ("&gt;", ">"),
        ("&#62;", ">"),
    ] {
        out = out.replace(from, to);
    }
    out
}

/// A server.
pub struct Server {
    pub app: Arc<App>,
    pub clock: ManualClock,
    pub folder: tempfile::TempDir,
    fetch: Fetch,
    router: Router,
}

pub fn settings() -> Settings {
    let scopes = ["read", "write"]
        .map(|name| ScopeEntry { name: name.into(), title: format!("May {name} your things") });
    let resource =
        Resource::new(ResourceUri::parse(RESOURCE).unwrap(), "Things".into(), scopes.into()).unwrap();
    Settings::new(Issuer::parse(ISSUER).unwrap(), vec![resource])
}

fn parts(
    master: [u8; 32],
    settings: Settings,
    store: Arc<dyn Store>,
    clock: &ManualClock,
    fetch: &Fetch,
) -> Parts {
    Parts {
        settings,
        masters: vec![MasterKey { number: 0, bytes: SecretBytes::new(master) }].into(),
        store,
        clock: Arc::new(clock.clone()),
        entropy: Arc::new(SystemEntropy),
        fetch: fetch.clone(),
    }
}

impl Server {
    pub async fn start() -> Self {
        Self::with(settings()).await
    }

    pub async fn with(settings: Settings) -> Self {
        let fetch = Fetch::new(hallpass_fetch::Settings::default()).unwrap();
        Self::fetching(settings, ManualClock::at(NOW), fetch).await
    }

    /// With this one way out.
    pub async fn fetching(settings: Settings, clock: ManualClock, fetch: Fetch) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::under([7; 32], settings, folder, clock, fetch).await
    }

    /// A server that can reach one host with documents and no other, and that host.
    pub async fn with_documents(settings: Settings) -> (Self, DocumentHost) {
        let (host, clock) = (DocumentHost::start().await.unwrap(), ManualClock::at(NOW));
        let fetch = host.fetch(Arc::new(clock.clone())).unwrap();
        (Self::fetching(settings, clock, fetch).await, host)
    }

    /// The same server by this clock.
    pub async fn by_clock(self, clock: Arc<dyn Clock>) -> Self {
        let (settings, store) = (self.app.settings.clone(), Arc::clone(&self.app.store));
        let parts = Parts { clock, ..parts([7; 32], settings, store, &self.clock, &self.fetch) };
        let app = App::start(parts).await.unwrap();
        let router = router(Arc::clone(&app));
        Self { app, router, ..self }
    }

    /// Stops and starts anew on the same folder, at the same time.
    pub async fn restarted(self) -> Self {
        let settings = self.app.settings.clone();
        self.app.store.close().await.unwrap();
        let (folder, clock, fetch) = (self.folder, self.clock, self.fetch);
        drop((self.router, self.app));
        Self::under([7; 32], settings, folder, clock, fetch).await
    }

    /// Another node on the same store, at the same time.
    pub async fn beside(&self) -> Self {
        let (settings, clock) = (self.app.settings.clone(), self.clock.clone());
        let folder = tempfile::tempdir().unwrap();
        Self::on(Arc::clone(&self.app.store), settings, folder, clock, self.fetch.clone()).await
    }

    /// A server on this store.
    pub async fn on(
        store: Arc<dyn Store>,
        settings: Settings,
        folder: tempfile::TempDir,
        clock: ManualClock,
        fetch: Fetch,
    ) -> Self {
        let parts = parts([7; 32], settings, store, &clock, &fetch);
        Self::of(parts, folder, clock, fetch).await
    }

    /// The same server with other master keys, as when `master.key` changes while it runs.
    pub async fn taking(&self, masters: &MasterKeys) -> Result<Self, hallpass_server::app::MasterKeysError> {
        Ok(self.as_app(self.app.with_master_keys(masters).await?))
    }

    /// The same server with these settings, as when its file changes while it runs.
    pub fn reloaded(&self, settings: Settings) -> Self {
        self.as_app(self.app.with_settings(settings, None).unwrap())
    }

    /// The same server that has forgotten all keys of others.
    pub fn restarted_keys(&self) -> Self {
        let settings = self.app.settings.clone();
        self.as_app(self.app.with_settings(settings, Some(self.fetch.clone())).unwrap())
    }

    fn as_app(&self, app: Arc<App>) -> Self {
        let (folder, router) = (tempfile::tempdir().unwrap(), router(Arc::clone(&app)));
        Self { app, clock: self.clock.clone(), folder, fetch: self.fetch.clone(), router }
    }

    /// A server whose `folder` has a database that was made under this master key.
    pub async fn under(
        master: [u8; 32],
        settings: Settings,
        folder: tempfile::TempDir,
        clock: ManualClock,
        fetch: Fetch,
    ) -> Self {
        let file = folder.path().join("hallpass.sqlite");
        let store = Arc::new(SqliteStore::open(&file, SqliteSettings::default()).unwrap());
        let parts = parts(master, settings, store, &clock, &fetch);
        Self::of(parts, folder, clock, fetch).await
    }

    async fn of(parts: Parts, folder: tempfile::TempDir, clock: ManualClock, fetch: Fetch) -> Self {
        let app = App::start(parts).await.unwrap();
        let router = router(Arc::clone(&app));
        Self { app, clock, folder, fetch, router }
    }

    pub fn push(&self, seconds: u64) {
        self.clock.push(Duration::from_secs(seconds));
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn form(&self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let body = parameters::encode(pairs.iter().copied());
        self.send(
            Request::post(path)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.into())
                .unwrap(),
        )
        .await
    }

    pub async fn post_json(&self, path: &str, body: &Value) -> Answer {
        self.send(
            Request::post(path)
                .header("content-type", "application/json")
                .body(body.to_string().into())
                .unwrap(),
        )
        .await
    }

    /// Registers a public client with this redirect URI.
    pub async fn register(&self, redirect: &str) -> String {
        let body = serde_json::json!({
            "redirect_uris": [redirect], "client_name": "Test client", "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        });
        let answer = self.post_json("/register", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        answer.json()["client_id"].as_str().unwrap().to_owned()
    }

    /// Makes the account and answers a browser in which it is signed in.
    pub async fn set_up(&self) -> Browser<'_> {
        let mut browser = Browser::new(self);
        let link = setup_link(&self.app).await.unwrap().expect("set-up is open");
        let page = browser.get(link.expose().strip_prefix(ISSUER).unwrap()).await;
        let done = browser
            .submit(&page, "/setup", &["csrf", "code"], &[("name", NAME), ("password", PASSWORD)])
            .await;
        assert_eq!(
            (done.status, done.header("location")),
            (StatusCode::SEE_OTHER, "/account"),
            "{}",
            done.text
        );
        browser
    }

    /// The usual parameters of an authorization request.
    pub fn request(client: &str) -> BTreeMap<String, String> {
        [
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("state", "st/a+te %&"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("resource", RESOURCE),
            ("scope", "read"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
    }

    pub async fn redeem(&self, client: &str, code: &str) -> Answer {
        self.redeem_with(client, code, &[]).await
    }

    /// Redeems a code with these parameters instead of the usual ones; an empty value leaves one out.
    pub async fn redeem_with(&self, client: &str, code: &str, other: &[(&str, &str)]) -> Answer {
        let mut pairs: BTreeMap<&str, &str> = [
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("code", code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", REDIRECT),
        ]
        .into();
        pairs.extend(other.iter().copied());
        pairs.retain(|_, value| !value.is_empty());
        self.form("/token", &pairs.into_iter().collect::<Vec<_>>()).await
    }

    pub async fn refresh(&self, client: &str, token: &str) -> Answer {
        self.form(
            "/token",
            &[("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)],
        )
        .await
    }

    /// Set-up, registration, consent, redemption: client and tokens.
    pub async fn granted(&self) -> (String, Value) {
        let client = self.register(REDIRECT).await;
        let mut browser = self.set_up().await;
        let code = browser.allow(&Self::request(&client)).await;
        let tokens = self.redeem(&client, &code).await;
        assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
        (client, tokens.json())
    }
}

pub fn query(request: &BTreeMap<String, String>) -> String {
    let encoded = parameters::encode(request.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    format!("/authorize?{encoded}")
}

/// The token with another character in it, whatever it was.
pub fn altered(token: &str) -> String {
    let (head, tail) = token.split_at(token.len() - 10);
    let other = if tail.starts_with('A') { "B" } else { "A" };
    format!("{head}{other}{}", &tail[1..])
}

/// Claims of a JWT, unverified.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&encoding::from_base64url(payload).unwrap()).unwrap()
}

pub fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} in {value}"))
}

/// A browser.
#[derive(Clone)]
pub struct Browser<'a> {
    server: &'a Server,
    pub cookies: BTreeMap<String, String>,
    pub origin: Option<String>,
    pub site: Option<String>,
    pub agent: Option<String>,
    pub address: Option<SocketAddr>,
}

impl<'a> Browser<'a> {
    pub fn new(server: &'a Server) -> Self {
        Self {
            server,
            cookies: BTreeMap::new(),
            origin: Some("null".to_owned()),
            site: Some("same-origin".to_owned()),
            agent: None,
            address: None,
        }
    }

    pub async fn send(&mut self, mut request: Request<Body>) -> Answer {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        if !cookies.is_empty() {
            request.headers_mut().insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        }
        if let (&Method::POST, Some(origin)) = (request.method(), &self.origin) {
            request.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
        }
        if let (&Method::POST, Some(site)) = (request.method(), &self.site) {
            request.headers_mut().insert("sec-fetch-site", site.parse().unwrap());
        }
        if let Some(agent) = &self.agent {
            request.headers_mut().insert(header::USER_AGENT, agent.parse().unwrap());
        }
        if let Some(address) = self.address {
            request.extensions_mut().insert(ConnectInfo(address));
        }
        let answer = self.server.send(request).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            let (pair, attributes) = cookie.to_str().unwrap().split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if attributes.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        answer
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&mut self, path: &str, pairs: &[(&str, &str)]) -> Answer {
        let body = parameters::encode(pairs.iter().copied());
        self.send(
            Request::post(path)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(body.into())
                .unwrap(),
        )
        .await
    }

    /// Sends a form of a page with its hidden inputs.
    pub async fn submit(
        &mut self,
        page: &Answer,
        path: &str,
        hidden: &[&str],
        typed: &[(&str, &str)],
    ) -> Answer {
        let values: Vec<(String, String)> = hidden
            .iter()
            .map(|name| {
                ((*name).to_owned(), page.hidden(name).unwrap_or_else(|| panic!("{name} in {}", page.text)))
            })
            .collect();
        let mut pairs: Vec<(&str, &str)> =
            values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        pairs.extend(typed);
        self.post(path, &pairs).await
    }

    pub async fn sign_in(&mut self, page: &Answer) -> Answer {
        self.submit(page, "/sign-in", &["csrf", "waiting"], &[("name", NAME), ("password", PASSWORD)]).await
    }

    /// The consent page of a request.
    pub async fn ask(&mut self, request: &BTreeMap<String, String>) -> Answer {
        let page = self.get(&query(request)).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        assert!(page.hidden("page").is_some(), "{}", page.text);
        page
    }

    pub async fn answer(&mut self, page: &Answer, decision: &str) -> Answer {
        self.submit(page, "/consent", &["csrf", "page"], &[("decision", decision)]).await
    }

    /// Asks and allows: the code.
    pub async fn allow(&mut self, request: &BTreeMap<String, String>) -> String {
        let page = self.ask(request).await;
        let moving = self.answer(&page, "allow").await;
        moving.answered("code").unwrap_or_else(|| panic!("{}", moving.text))
    }
}

/// A copy of a metadata document as the store keeps it, found good just now.
pub fn stored(url: &str, body: Vec<u8>, now: Timestamp) -> hallpass_store::StoredDocument {
    hallpass_store::StoredDocument {
        url: url.to_owned(),
        body,
        checked_at: now,
        fresh_until: now.plus(Duration::from_mins(5)),
        gone_since: None,
        suspended_at: None,
    }
}
