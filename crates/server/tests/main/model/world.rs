//! The real server, driven by steps: its router, a real store, browsers that keep cookies, gateways that read the
//! feed.

mod devices;

use super::{
    operation::{Asked, Op, Slip, Way},
    rules::{
        AGENT, CLIENTS, DETAILS, HELPER, Holder, Model, Outcome, PEOPLE, Page, SCOPES, Seen, Step, presenter,
    },
};
use crate::accounts::{add_person, session_of};
use crate::places::Place;
use crate::support::{Answer, CHALLENGE, NOW, VERIFIER, claims, text};
use axum::{Router, body::Body};
use hallpass_core::{
    encoding,
    entropy::{self, SystemEntropy},
    id::PersonId,
    parameters,
    seal::MasterKey,
    secret::{SecretBytes, SecretString},
    time::Clock,
    uri::{Issuer, ResourceUri},
};
use hallpass_fetch::Fetch;
use hallpass_resource::{
    KeySource, ProtectedResource, Revocation, Revocations, Revoked, Settings as Guarded,
};
use hallpass_server::{
    App, ClientRecord, OperatorClient, Parts, Resource, ScopeEntry, Settings, TOKEN_EXCHANGE,
    digest_of_secret, feed, router,
};
use hallpass_store::{Block, BlockKind};
use hallpass_testkit::ManualClock;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tower::ServiceExt;

/// A loopback issuer counts no requests by address: all of a test come from one.
const ISSUER: &str = "http://localhost:8080";
const RESOURCES: [&str; 2] = ["http://localhost:8080/one", "http://localhost:8080/two"];
const OTHER_VERIFIER: &str = "M25iVXpKU3puUjFaYWg3T1NDTDQtcW1ROUY5YXlwalNoc0hhakxifmZHag";
const OTHER_CHALLENGE: &str = "qjrzSW9gMiUgpUvqgEPE4_-8swvyCtfOVvg55o5S_es";

/// The client with a secret is also what asks about tokens.
const INTROSPECTOR: usize = 1;
/// Of the clients that the operator made.
const MADE: [&str; 3] = ["agent", "helper", "third"];
const SECRET: &str = "a-secret-of-everybody-here";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// A node: a server and the gateways beside it.
struct Node {
    app: Arc<App>,
    router: Router,
    revocations: Arc<Revocations>,
    guards: Vec<ProtectedResource>,
    cursor: Option<i64>,
}

struct Client {
    id: String,
    secret: Option<String>,
}

/// Nodes on one store, and who is there.
pub struct World {
    place: Place,
    clock: ManualClock,
    fetch: Fetch,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    people: Vec<PersonId>,
    browsers: Vec<String>,
    sessions: Vec<String>,
    /// Whether the helper was blocked in this sequence.
    blocked: bool,
    /// Sequences so far.
    pub played: usize,
}

/// A client as the operator makes one.
fn made(id: &str, record: &Value) -> OperatorClient {
    let mut record = record.clone();
    record["name"] = id.into();
    record["auth"] = "client_secret_post".into();
    record["secrets"] = json!([digest_of_secret(&SecretString::new(SECRET)).unwrap()]);
    let record: ClientRecord = serde_json::from_value(record).unwrap();
    OperatorClient::new(id, &record).unwrap()
}

fn settings(registered: &[Client]) -> Settings {
    let mut resources = RESOURCES.map(|uri| {
        let scopes = ["read", "write"].map(|name| ScopeEntry { name: name.into(), title: name.into() });
        Resource::new(ResourceUri::parse(uri).unwrap(), "Things".into(), scopes.into()).unwrap()
    });
    resources[0].introspectors.extend(registered.get(INTROSPECTOR).map(|client| client.id.clone()));
    let all = registered.iter().map(|client| &*client.id).chain([MADE[0], MADE[2]]).collect::<BTreeSet<_>>();
    let records = [
        json!({
            "grant_types": ["authorization_code", "refresh_token", DEVICE, TOKEN_EXCHANGE],
            "redirect_uris": [redirect(AGENT)],
        }),
        json!({ "grant_types": [TOKEN_EXCHANGE], "exchange_from": all }),
        json!({ "grant_types": [TOKEN_EXCHANGE], "exchange_from": [MADE[1]] }),
    ];
    Settings {
        grant_lifetime: Duration::from_hours(40 * 24),
        clients: MADE.iter().zip(&records).map(|(id, record)| made(id, record)).collect(),
        ..Settings::new(Issuer::parse(ISSUER).unwrap(), resources.into())
    }
}

fn redirect(client: usize) -> String {
    format!("https://client{client}.example/callback")
}

impl World {
    pub async fn open(place: Place) -> Self {
        let mut world = Self {
            place,
            clock: ManualClock::at(NOW),
            fetch: Fetch::new(hallpass_fetch::Settings::default()).unwrap(),
            nodes: Vec::new(),
            clients: Vec::new(),
            people: Vec::new(),
            browsers: Vec::new(),
            sessions: Vec::new(),
            blocked: false,
            played: 0,
        };
        world.start().await;
        for client in 0..AGENT {
            world.register(client).await;
        }
        // Now that they have ids, one may ask about tokens of the first resource, and others may act for them.
        world.stop().await;
        world.start().await;
        let made = MADE.map(|id| Client { id: id.to_owned(), secret: Some(SECRET.to_owned()) });
        world.clients.extend(made);
        world
    }

    async fn start(&mut self) {
        for store in self.place.open().await {
            let parts = Parts {
                settings: settings(&self.clients[..AGENT.min(self.clients.len())]),
                masters: vec![MasterKey { number: 0, bytes: SecretBytes::new([7; 32]) }].into(),
                store,
                clock: Arc::new(self.clock.clone()),
                entropy: Arc::new(SystemEntropy),
                fetch: self.fetch.clone(),
            };
            let app = App::start(parts).await.unwrap();
            let revocations = Arc::new(Revocations::new());
            let keys = Arc::new(KeySource::fixed(app.tokens.current().verifying.clone()));
            let guards = RESOURCES.map(|resource| {
                let settings = Guarded {
                    resource: ResourceUri::parse(resource).unwrap(),
                    metadata_url: String::new(),
                    issuer: ISSUER.to_owned(),
                };
                let guard = ProtectedResource::new(settings, Arc::clone(&keys), Arc::clone(&revocations))
                    .with_clock(Arc::new(self.clock.clone()));
                // The second one cannot read what a token is limited to.
                if resource == RESOURCES[0] { guard.with_authorization_details() } else { guard }
            });
            let router = router(Arc::clone(&app));
            self.nodes.push(Node { app, router, revocations, guards: guards.into(), cursor: None });
        }
    }

    async fn stop(&mut self) {
        for node in self.nodes.drain(..) {
            node.app.store.close().await.unwrap();
        }
    }

    async fn register(&mut self, client: usize) {
        let kind = &CLIENTS[client];
        let mut grants = vec!["authorization_code"];
        grants.extend(kind.refreshes().then_some("refresh_token"));
        grants.extend(kind.devices().then_some(DEVICE));
        let method = if kind.secret { "client_secret_post" } else { "none" };
        let body = serde_json::json!({
            "redirect_uris": [redirect(client)], "client_name": "A client", "grant_types": grants,
            "token_endpoint_auth_method": method,
        });
        let request = Request::post("/register").header("content-type", "application/json");
        let answer = self.send(0, request.body(body.to_string().into()).unwrap()).await.json();
        self.clients.push(Client {
            id: text(&answer, "client_id").to_owned(),
            secret: answer["client_secret"].as_str().map(str::to_owned),
        });
    }

    /// New people, so that nothing of the sequences before plays a part.
    pub async fn begin(&mut self) {
        self.played += 1;
        if std::mem::take(&mut self.blocked) {
            self.block(false).await;
        }
        self.people.clear();
        self.browsers.clear();
        self.sessions = vec![String::new(); PEOPLE];
        for _ in 0..PEOPLE {
            self.people.push(add_person(&self.nodes[0].app, self.clock.now()).await);
            self.browsers.push(encoding::base64url(&entropy::random::<16>(&SystemEntropy)));
        }
    }

    /// Whether it can be done here.
    pub fn can(&self, step: &Step) -> bool {
        self.place.can_copy() || !matches!(step, Step::Copy | Step::Restore)
    }

    /// Does it on this node and says what could be seen.
    pub async fn perform(&mut self, node: usize, step: &Step, model: &Model) -> Outcome {
        let node = node % self.nodes.len();
        match step {
            Step::Wait { seconds } => self.clock.push(Duration::from_secs((*seconds).try_into().unwrap())),
            Step::Sweep => {
                hallpass_server::sweep_once(&self.nodes[node].app, Duration::ZERO).await.unwrap();
            }
            Step::Restart => {
                self.stop().await;
                self.start().await;
            }
            Step::Copy => {
                self.stop().await;
                self.place.copy();
                self.start().await;
            }
            Step::Restore => {
                self.stop().await;
                self.place.restore();
                self.start().await;
            }
            Step::Block { blocked } => {
                self.blocked |= blocked;
                self.block(*blocked).await;
            }
            Step::Twin { device } => {
                let device = &model.seen.devices[*device];
                return self.twin(device, model.now - device.at);
            }
            Step::SignIn { person } => return self.sign_in(node, *person).await,
            Step::Call { access, resource } => {
                return self.call(node, &model.seen.access[*access].text, *resource).await;
            }
            _ => return self.request(node, step, &model.seen).await,
        }
        Outcome::Done
    }

    /// The steps that any number of callers can take at once.
    pub async fn request(&self, node: usize, step: &Step, seen: &Seen) -> Outcome {
        let node = node % self.nodes.len();
        match step {
            Step::Ask(asked) => self.ask(node, *asked, seen.pages.len() % 2).await,
            Step::Answer { page, allow } => self.answer(node, &seen.pages[*page], *allow).await,
            Step::Redeem { code, slip } => {
                let code = &seen.codes[*code];
                self.redeem(node, &seen.pages[code.page], &code.text, *slip).await
            }
            Step::Refresh { page, token, slip } => {
                self.refresh(node, &seen.pages[*page], &seen.refresh[page][*token], *slip).await
            }
            Step::Revoke { page, text, own, .. } => {
                let slip = if *own { Slip::None } else { Slip::Client };
                let page = &seen.pages[*page];
                let mut pairs = self.credentials((page.client, page.resource), slip);
                pairs.push(("token", text.clone()));
                let answer = self.form(node, "/revoke", None, &pairs).await;
                if answer.status == 200 { Outcome::Done } else { Outcome::Refused(answer.text) }
            }
            Step::TakeBack { person, page } => {
                self.account(
                    node,
                    *person,
                    [("action", "revoke".into()), ("grant", seen.names[page].clone())],
                )
                .await
            }
            Step::Everywhere { person } => {
                self.account(node, *person, [("action", "everywhere".into()), ("grant", String::new())]).await
            }
            Step::Able { person, disabled } => {
                let app = &self.nodes[node].app;
                let now = self.clock.now();
                let until = app.settings.tokens_until(now);
                let person = self.people[*person];
                assert!(app.store.person_disable(person, *disabled, until, now).await.unwrap());
                Outcome::Done
            }
            Step::Exchange { access, by, slip } => {
                let token = &seen.access[*access];
                self.exchange(node, (&token.text, seen.pages[token.page].resource), *by, *slip).await
            }
            Step::Device { client, resource, scope } => {
                self.device(node, *client, *resource, SCOPES[*scope]).await
            }
            Step::Type { person, device } => self.types(node, *person, &seen.devices[*device].letters).await,
            Step::Look { person, device } => self.looks(node, *person, &seen.devices[*device].letters).await,
            Step::Decide { shown, allow } => self.decides(node, &seen.shown[*shown], *allow).await,
            Step::Poll { device, slip } => self.polls(node, &seen.devices[*device], *slip).await,
            other => panic!("{other:?} is not a request"),
        }
    }

    async fn sign_in(&mut self, node: usize, person: usize) -> Outcome {
        let session = session_of(&self.nodes[node].app, self.people[person], self.clock.now()).await;
        let opened = session.is_some();
        if let Some(session) = session {
            self.sessions[person] = session;
        }
        Outcome::SignedIn(opened)
    }

    /// As the gateway of this node does, when it has read the feed.
    async fn call(&mut self, at: usize, token: &str, resource: usize) -> Outcome {
        let now = self.clock.now();
        let node = &mut self.nodes[at];
        let (cursor, change) = feed::step(&node.app, node.cursor).await.unwrap();
        node.cursor = Some(cursor);
        match change {
            feed::Change::Loaded(entries, counter) => {
                node.revocations.replace_all(entries.into_iter().filter_map(translate), counter);
            }
            feed::Change::Added(entries, counter) => {
                node.revocations.apply(entries.into_iter().filter_map(translate), counter, now);
            }
            feed::Change::Failing => panic!("the feed fails"),
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        let let_in = node.guards[resource]
            .authenticate(
                hallpass_resource::Head { method: &http::Method::POST, path: "/mcp", headers: &headers },
                now,
            )
            .await
            .is_ok();
        let asks = &self.clients[INTROSPECTOR];
        let pairs = [
            ("client_id", asks.id.clone()),
            ("client_secret", asks.secret.clone().unwrap()),
            ("token", token.to_owned()),
        ];
        let said = self.form(at, "/introspect", None, &pairs).await.json();
        let alive = said["active"].as_bool().unwrap_or_else(|| panic!("{said}"));
        Outcome::Called(let_in, alive.then(|| self.holder(&said)))
    }

    /// What a token, or whoever asked about it, says of it.
    fn holder(&self, claims: &Value) -> Holder {
        let client = |id: &str| self.clients.iter().position(|client| client.id == id);
        let mut chain = Vec::new();
        let mut act = &claims["act"];
        while act.is_object() {
            chain.push(client(text(act, "sub")));
            act = &act["act"];
        }
        let details = &claims["authorization_details"];
        let known = |text: &str| serde_json::from_str::<Value>(text).unwrap() == *details;
        let named = || DETAILS.iter().position(|text| known(text)).unwrap_or(DETAILS.len());
        Holder {
            person: self.people.iter().position(|id| id.to_string() == text(claims, "sub")),
            client: client(text(claims, "client_id")),
            resource: RESOURCES.iter().position(|uri| *uri == text(claims, "aud")),
            details: (!details.is_null()).then(named),
            chain,
        }
    }

    /// The operator stops the helper, or lets it go on, and every node has heard of it.
    async fn block(&self, blocked: bool) {
        let app = &self.nodes[0].app;
        let (now, key) = (self.clock.now(), self.clients[HELPER].id.clone());
        let (until, kind) = (app.settings.tokens_until(now), BlockKind::Client);
        if blocked {
            let block = Block { kind, key, created_at: now, note: String::new() };
            app.store.block_put(block, until).await.unwrap();
        } else {
            app.store.block_remove(kind, key, until).await.unwrap();
        }
        for node in &self.nodes {
            node.app.blocks.reload(&*node.app.store).await.unwrap();
        }
    }

    async fn ask(&self, node: usize, asked: Asked, verifier: usize) -> Outcome {
        let Asked { person, client, resource, scope, way } = asked;
        let redirect = redirect(client);
        let mut request = vec![
            ("response_type", "code"),
            ("redirect_uri", &*redirect),
            ("code_challenge", [CHALLENGE, OTHER_CHALLENGE][verifier]),
            ("code_challenge_method", "S256"),
            ("resource", RESOURCES[resource]),
            ("scope", SCOPES[scope]),
        ];
        if let Way::PushedFor(details) | Way::LinkFor(details) = way {
            request.push(("authorization_details", DETAILS[details]));
        }
        let id = &*self.clients[client].id;
        let query = if matches!(way, Way::Link | Way::LinkFor(_)) {
            request.push(("client_id", id));
            parameters::encode(request)
        } else {
            let mut pairs = self.credentials((client, resource), Slip::None);
            pairs.extend(request.into_iter().map(|(name, value)| (name, value.to_owned())));
            let pushed = self.form(node, "/par", None, &pairs).await;
            if pushed.status != 201 {
                return Outcome::Refused(pushed.error());
            }
            parameters::encode([("client_id", id), ("request_uri", text(&pushed.json(), "request_uri"))])
        };
        let page = self.get(node, &format!("/authorize?{query}"), person).await;
        match (page.hidden("csrf"), page.hidden("page"), page.hidden("waiting")) {
            (Some(csrf), Some(sealed), None) => Outcome::Page { csrf, sealed },
            (Some(_), None, Some(_)) => Outcome::SignInForm,
            _ => {
                let to_the_client = page.target().or_else(|| page.link()).unwrap_or_default();
                let error = to_the_client.split(['?', '&']).find_map(|pair| pair.strip_prefix("error="));
                Outcome::Refused(error.map_or(page.text, str::to_owned))
            }
        }
    }

    async fn answer(&self, node: usize, page: &Page, allow: bool) -> Outcome {
        let decision = if allow { "allow" } else { "deny" };
        let pairs =
            [("csrf", page.csrf.clone()), ("page", page.sealed.clone()), ("decision", decision.to_owned())];
        let moving = self.form(node, "/consent", Some(page.person), &pairs).await;
        if let Some(code) = moving.target().and_then(|_| moving.answered("code")) {
            return Outcome::Code(code);
        }
        match moving.target().and_then(|_| moving.answered("error")).as_deref() {
            Some("access_denied") => Outcome::Denied,
            _ => Outcome::Refused(moving.status.to_string()),
        }
    }

    /// Who presents what was made for this client and this resource, and what it adds.
    fn credentials(&self, (client, resource): (usize, usize), slip: Slip) -> Vec<(&'static str, String)> {
        let client = &self.clients[presenter(slip, client)];
        let secret = match (slip, &client.secret) {
            (Slip::Secret, None) => Some("guessed".to_owned()),
            (Slip::Secret, Some(_)) => None,
            (_, secret) => secret.clone(),
        };
        let mut pairs = vec![("client_id", client.id.clone())];
        pairs.extend(secret.map(|secret| ("client_secret", secret)));
        match slip {
            Slip::Resource => pairs.push(("resource", RESOURCES[1 - resource].to_owned())),
            Slip::RightResource => pairs.push(("resource", RESOURCES[resource].to_owned())),
            Slip::Read => pairs.push(("scope", "read".into())),
            Slip::Everything => pairs.push(("scope", "read write offline_access".into())),
            Slip::Details => pairs.push(("authorization_details", DETAILS[0].to_owned())),
            _ => {}
        }
        pairs
    }

    async fn redeem(&self, node: usize, page: &Page, code: &str, slip: Slip) -> Outcome {
        let mut pairs = self.credentials((page.client, page.resource), slip);
        let verifier = if slip == Slip::Verifier { 1 - page.verifier } else { page.verifier };
        pairs.push(("grant_type", "authorization_code".into()));
        pairs.push(("code", code.to_owned()));
        pairs.push(("code_verifier", [VERIFIER, OTHER_VERIFIER][verifier].into()));
        match slip {
            Slip::NoRedirect => {}
            Slip::Redirect => pairs.push(("redirect_uri", redirect(page.client + 1))),
            _ => pairs.push(("redirect_uri", redirect(page.client))),
        }
        self.token(node, &pairs).await
    }

    async fn refresh(&self, node: usize, page: &Page, token: &str, slip: Slip) -> Outcome {
        let mut pairs = self.credentials((page.client, page.resource), slip);
        pairs.push(("grant_type", "refresh_token".into()));
        pairs.push(("refresh_token", token.to_owned()));
        self.token(node, &pairs).await
    }

    async fn exchange(
        &self,
        node: usize,
        (token, resource): (&str, usize),
        by: usize,
        slip: Slip,
    ) -> Outcome {
        let mut pairs = self.credentials((by, resource), slip);
        pairs.push(("grant_type", TOKEN_EXCHANGE.into()));
        pairs.push(("subject_token", token.to_owned()));
        pairs.push(("subject_token_type", ACCESS_TOKEN.into()));
        self.token(node, &pairs).await
    }

    async fn token(&self, node: usize, pairs: &[(&'static str, String)]) -> Outcome {
        let answer = self.form(node, "/token", None, pairs).await;
        if answer.status != 200 {
            return Outcome::Refused(answer.error());
        }
        let tokens = answer.json();
        let access = text(&tokens, "access_token").to_owned();
        let claims = claims(&access);
        for same in ["scope", "authorization_details"] {
            assert_eq!(claims[same], tokens[same], "the answer and the token differ");
        }
        let [from, to] = ["iat", "exp"].map(|time| claims[time].as_i64().unwrap());
        Outcome::Tokens {
            refresh: tokens["refresh_token"].as_str().map(str::to_owned),
            scope: text(&tokens, "scope").to_owned(),
            grant: text(&claims, "jti").split('.').next().unwrap().to_owned(),
            holder: self.holder(&claims),
            lives: to - from,
            access,
        }
    }

    async fn account(&self, node: usize, person: usize, action: [(&'static str, String); 2]) -> Outcome {
        let page = self.get(node, "/account", person).await;
        let Some(csrf) = page.hidden("csrf").filter(|_| page.status == 200) else {
            return if page.header("location") == "/sign-in" {
                Outcome::Account(None)
            } else {
                Outcome::Refused(page.text)
            };
        };
        let listed: BTreeSet<String> = page
            .text
            .split("name=\"grant\" value=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next().map(str::to_owned))
            .collect();
        let mut pairs = vec![("csrf", csrf)];
        pairs.extend(action);
        let done = self.form(node, "/account", Some(person), &pairs).await;
        if done.status == 303 { Outcome::Account(Some(listed)) } else { Outcome::Refused(done.text) }
    }

    async fn get(&self, node: usize, path: &str, person: usize) -> Answer {
        let request = Request::get(path).header(header::COOKIE, self.cookies(person));
        self.send(node, request.body(Body::empty()).unwrap()).await
    }

    async fn form(
        &self,
        node: usize,
        path: &str,
        person: Option<usize>,
        pairs: &[(&'static str, String)],
    ) -> Answer {
        let body = parameters::encode(pairs.iter().map(|(name, value)| (*name, &**value)));
        let mut request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body))
            .unwrap();
        if let Some(person) = person {
            request.headers_mut().insert(header::COOKIE, self.cookies(person));
            request.headers_mut().insert("sec-fetch-site", HeaderValue::from_static("same-origin"));
        }
        self.send(node, request).await
    }

    fn cookies(&self, person: usize) -> HeaderValue {
        let session = match &*self.sessions[person] {
            "" => String::new(),
            session => format!("; hallpass_session={session}"),
        };
        format!("hallpass_browser={}{session}", self.browsers[person]).parse().unwrap()
    }

    async fn send(&self, node: usize, request: Request<Body>) -> Answer {
        let response = self.nodes[node].router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

fn translate(entry: hallpass_store::Revocation) -> Option<Revocation> {
    let what = match entry.what {
        hallpass_store::Revoked::Grant(id) => Revoked::Grant(id),
        hallpass_store::Revoked::Person { person, epoch } => {
            Revoked::Person { subject: person.to_string().into(), epoch }
        }
        hallpass_store::Revoked::Client(id) => Revoked::Client(id.into()),
        hallpass_store::Revoked::ClientAgain(id) => Revoked::ClientAgain(id.into()),
        hallpass_store::Revoked::Receiver(_) => return None,
    };
    Some(Revocation { what, until: entry.until })
}

/// What an operation means right now; none, where there is nothing that it could mean.
pub fn named(op: Op, model: &Model) -> Option<Step> {
    let seen = &model.seen;
    let back = |from: usize, count: usize| (count > 0).then(|| count - 1 - from % count);
    let (over, _) = seen.over;
    let waiting = |device: usize| Some(over + back(device, seen.devices.len() - over)?);
    Some(match op {
        Op::SignIn { person } => Step::SignIn { person },
        Op::Ask(asked) => Step::Ask(asked),
        Op::Answer { page, allow } => Step::Answer { page: back(page, seen.pages.len())?, allow },
        Op::Redeem { code, slip } => Step::Redeem { code: back(code, seen.codes.len())?, slip },
        Op::Refresh { page, age, slip } => {
            let (page, texts) = seen.refresh.iter().rev().cycle().nth(page)?;
            Step::Refresh { page: *page, token: back(age, texts.len())?, slip }
        }
        Op::Revoke { page, age, access: false, own } => {
            let (page, texts) = seen.refresh.iter().rev().cycle().nth(page)?;
            let text = texts[back(age, texts.len())?].clone();
            Step::Revoke { page: *page, text, access: None, own }
        }
        Op::Revoke { age, access: true, own, .. } => {
            let at = back(age, seen.access.len())?;
            let token = &seen.access[at];
            Step::Revoke { page: token.page, text: token.text.clone(), access: Some(at), own }
        }
        Op::TakeBack { person, page } => {
            let (page, _) = seen.names.iter().rev().cycle().nth(page)?;
            Step::TakeBack { person, page: *page }
        }
        Op::Everywhere { person } => Step::Everywhere { person },
        Op::Disable { person } => Step::Able { person, disabled: true },
        Op::Enable { person } => Step::Able { person, disabled: false },
        Op::Wait { seconds } => Step::Wait { seconds },
        Op::Call { token, resource } => Step::Call { access: back(token, seen.access.len())?, resource },
        Op::Exchange { token, by, slip } => {
            Step::Exchange { access: back(token, seen.access.len())?, by, slip }
        }
        Op::Block { blocked } => Step::Block { blocked },
        Op::Device { client, resource, scope } => Step::Device { client, resource, scope },
        Op::Twin { device } => Step::Twin { device: waiting(device)? },
        Op::Type { person, device } => Step::Type { person, device: waiting(device)? },
        Op::Look { person, device } => Step::Look { person, device: waiting(device)? },
        Op::Decide { ask, allow } => {
            let (_, over) = seen.over;
            Step::Decide { shown: over + back(ask, seen.shown.len() - over)?, allow }
        }
        Op::Poll { device, slip } => Step::Poll { device: waiting(device)?, slip },
        Op::Sweep => Step::Sweep,
        Op::Restart => Step::Restart,
        Op::Copy => Step::Copy,
        Op::Restore => model.has_copy().then_some(Step::Restore)?,
    })
}
