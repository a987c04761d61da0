//! The real server, driven by steps: its router, a real store, browsers that keep cookies, gateways that read the
//! feed.

use super::{
    operation::{Op, Slip},
    rules::{CLIENTS, Model, Outcome, PEOPLE, Page, SCOPES, Seen, Step, presenter},
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
    secret::SecretBytes,
    time::Clock,
    uri::{Issuer, ResourceUri},
};
use hallpass_fetch::Fetch;
use hallpass_resource::{
    KeySource, ProtectedResource, Revocation, Revocations, Revoked, Settings as Guarded,
};
use hallpass_server::{App, Parts, Resource, ScopeEntry, Settings, feed, router};
use hallpass_testkit::ManualClock;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body_util::BodyExt;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tower::ServiceExt;

/// A loopback issuer counts no requests by address: all of a test come from one.
const ISSUER: &str = "http://localhost:8080";
const RESOURCES: [&str; 2] = ["http://localhost:8080/one", "http://localhost:8080/two"];
const OTHER_VERIFIER: &str = "M25iVXpKU3puUjFaYWg3T1NDTDQtcW1ROUY5YXlwalNoc0hhakxifmZHag";
const OTHER_CHALLENGE: &str = "qjrzSW9gMiUgpUvqgEPE4_-8swvyCtfOVvg55o5S_es";

/// The client with a secret is also what asks about tokens.
const INTROSPECTOR: usize = 1;

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
    /// Sequences so far.
    pub played: usize,
}

fn settings(introspector: Option<&Client>) -> Settings {
    let mut resources = RESOURCES.map(|uri| {
        let scopes = ["read", "write"].map(|name| ScopeEntry { name: name.into(), title: name.into() });
        Resource::new(ResourceUri::parse(uri).unwrap(), "Things".into(), scopes.into()).unwrap()
    });
    resources[0].introspectors.extend(introspector.map(|client| client.id.clone()));
    Settings {
        grant_lifetime: Duration::from_hours(40 * 24),
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
            played: 0,
        };
        world.start().await;
        for (client, (secret, refreshes)) in CLIENTS.into_iter().enumerate() {
            world.register(client, secret, refreshes).await;
        }
        // Now that the client has an id, it may ask about tokens of the first resource.
        world.stop().await;
        world.start().await;
        world
    }

    async fn start(&mut self) {
        for store in self.place.open().await {
            let parts = Parts {
                settings: settings(self.clients.get(INTROSPECTOR)),
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
                ProtectedResource::new(settings, Arc::clone(&keys), Arc::clone(&revocations))
                    .with_clock(Arc::new(self.clock.clone()))
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

    async fn register(&mut self, client: usize, secret: bool, refreshes: bool) {
        let mut grants = vec!["authorization_code"];
        grants.extend(refreshes.then_some("refresh_token"));
        let method = if secret { "client_secret_post" } else { "none" };
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
            Step::Ask { person, client, resource, scope } => {
                let verifier = seen.pages.len() % 2;
                self.ask(node, *person, (*client, *resource, SCOPES[*scope]), verifier).await
            }
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
                let mut pairs = self.credentials(&seen.pages[*page], slip);
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
        Outcome::Called(let_in, said["active"].as_bool().unwrap_or_else(|| panic!("{said}")))
    }

    async fn ask(
        &self,
        node: usize,
        person: usize,
        (client, resource, scope): (usize, usize, &str),
        verifier: usize,
    ) -> Outcome {
        let redirect = redirect(client);
        let query = parameters::encode([
            ("response_type", "code"),
            ("client_id", &*self.clients[client].id),
            ("redirect_uri", &*redirect),
            ("code_challenge", [CHALLENGE, OTHER_CHALLENGE][verifier]),
            ("code_challenge_method", "S256"),
            ("resource", RESOURCES[resource]),
            ("scope", scope),
        ]);
        let page = self.get(node, &format!("/authorize?{query}"), person).await;
        match (page.hidden("csrf"), page.hidden("page"), page.hidden("waiting")) {
            (Some(csrf), Some(sealed), None) => Outcome::Page { csrf, sealed },
            (Some(_), None, Some(_)) => Outcome::SignInForm,
            _ => Outcome::Refused(page.text),
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

    fn credentials(&self, page: &Page, slip: Slip) -> Vec<(&'static str, String)> {
        let client = &self.clients[presenter(slip, page.client)];
        let secret = match (slip, &client.secret) {
            (Slip::Secret, None) => Some("guessed".to_owned()),
            (Slip::Secret, Some(_)) => None,
            (_, secret) => secret.clone(),
        };
        let mut pairs = vec![("client_id", client.id.clone())];
        pairs.extend(secret.map(|secret| ("client_secret", secret)));
        match slip {
            Slip::Resource => pairs.push(("resource", RESOURCES[1 - page.resource].to_owned())),
            Slip::RightResource => pairs.push(("resource", RESOURCES[page.resource].to_owned())),
            _ => {}
        }
        pairs
    }

    async fn redeem(&self, node: usize, page: &Page, code: &str, slip: Slip) -> Outcome {
        let mut pairs = self.credentials(page, slip);
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
        let mut pairs = self.credentials(page, slip);
        pairs.push(("grant_type", "refresh_token".into()));
        pairs.push(("refresh_token", token.to_owned()));
        match slip {
            Slip::Read => pairs.push(("scope", "read".into())),
            Slip::Everything => pairs.push(("scope", "read write offline_access".into())),
            _ => {}
        }
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
        let at = |known: Option<usize>| known.map_or("nobody".to_owned(), |at| at.to_string());
        let person = self.people.iter().position(|id| id.to_string() == text(&claims, "sub"));
        let client = self.clients.iter().position(|client| client.id == text(&claims, "client_id"));
        let resource = RESOURCES.iter().position(|uri| *uri == text(&claims, "aud"));
        assert_eq!(claims["scope"], tokens["scope"], "the answer and the token differ");
        Outcome::Tokens {
            refresh: tokens["refresh_token"].as_str().map(str::to_owned),
            scope: text(&tokens, "scope").to_owned(),
            grant: text(&claims, "jti").split('.').next().unwrap().to_owned(),
            holder: format!("{} {} {}", at(person), at(client), at(resource)),
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
    Some(match op {
        Op::SignIn { person } => Step::SignIn { person },
        Op::Ask { person, client, resource, scope } => Step::Ask { person, client, resource, scope },
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
        Op::Sweep => Step::Sweep,
        Op::Restart => Step::Restart,
        Op::Copy => Step::Copy,
        Op::Restore => model.has_copy().then_some(Step::Restore)?,
    })
}
