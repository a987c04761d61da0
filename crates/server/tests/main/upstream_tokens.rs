//! Tokens for servers behind that another authorization server guards: for each caller their own, by token exchange at a
//! stand-in that checks our word, and by identity assertion at another hallpass.

use crate::{accounts::add_person, support::*};
use axum::{Router, body::Bytes, extract::State, response::IntoResponse, routing::post};
use hallpass_client::assertion::ClientKey;
use hallpass_core::{
    id::PersonId,
    jose::{Algorithm, KeySet, SigningKey},
    jwt::{caller_assertion, caller_assertion::Caller, grant_assertion::GRANT_TYPE},
    parameters::{Limits, Parameters},
    secret::SecretString,
    uri::Issuer,
};
use hallpass_server::{
    ClientRecord, OperatorClient, Settings,
    audit::Kind,
    digest_of_secret,
    issuers::{TrustedIssuer, WrittenKeys, identity_provider::IdentityProvider},
    router,
    upstream_token::{NoUpstreamToken, UpstreamTokenSettings, UpstreamTokens, WrittenUpstreamToken},
};
use hallpass_store::Person;
use hallpass_testkit::ManualClock;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

const OURS: &str = "https://company.example";
const PARTNER: &str = "https://auth.partner.example";
const SECRET: &str = "a-secret-of-the-gateway-there";

/// Another authorization server: takes our word for whom it is about, and is told to fail for some.
#[derive(Clone)]
struct StandIn {
    endpoint: String,
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    keys: Option<KeySet>,
    now: Option<ManualClock>,
    asked: Vec<String>,
    fails: HashMap<String, (u16, &'static str)>,
    lifetime: u64,
}

impl StandIn {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/token", listener.local_addr().unwrap());
        let inner = Inner { lifetime: 600, ..Inner::default() };
        let stand_in = Self { endpoint, inner: Arc::new(Mutex::new(inner)) };
        let served = Router::new().route("/token", post(exchange)).with_state(stand_in.clone());
        tokio::spawn(async move { axum::serve(listener, served).await });
        stand_in
    }

    fn asked(&self) -> usize {
        self.inner.lock().unwrap().asked.len()
    }

    fn fails(&self, subject: &str, status: u16, body: &'static str) {
        self.inner.lock().unwrap().fails.insert(subject.into(), (status, body));
    }
}

async fn exchange(
    State(stand_in): State<StandIn>,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    let form = Parameters::parse(&body, Limits::default()).unwrap();
    let get = |name: &str| form.get(name).unwrap_or_else(|| panic!("{name} is missing"));
    assert_eq!(get("grant_type"), "urn:ietf:params:oauth:grant-type:token-exchange");
    assert_eq!(get("subject_token_type"), "urn:ietf:params:oauth:token-type:jwt");
    assert_eq!((get("audience"), get("scope")), ("files", "read"));
    assert!(form.get("resource").is_none() && form.get("client_secret").is_none());
    assert!(headers["authorization"].to_str().unwrap().starts_with("Basic "));
    let mut inner = stand_in.inner.lock().unwrap();
    let now = hallpass_core::time::Clock::now(inner.now.as_ref().unwrap());
    let keys = inner.keys.as_ref().unwrap();
    let said =
        caller_assertion::verify(get("subject_token"), keys, (OURS, PARTNER), now).unwrap().into_inner();
    inner.asked.push(said.subject.clone());
    let typed = [("content-type", "application/json")];
    if let Some((status, body)) = inner.fails.get(&said.subject) {
        return (StatusCode::from_u16(*status).unwrap(), typed, *body).into_response();
    }
    let (count, grant) = (inner.asked.len(), said.grant.unwrap_or_default());
    let token =
        format!("of-{}-{}-{grant}-{}-{count}", said.subject, said.client_id, said.scope.replace(' ', "+"));
    let answer = json!({
        "access_token": token, "token_type": "Bearer", "expires_in": inner.lifetime,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token", "refresh_token": "never-used",
    });
    (StatusCode::OK, typed, answer.to_string()).into_response()
}

fn company() -> Settings {
    Settings { issuer: Issuer::parse(OURS).unwrap(), ..settings() }
}

async fn world() -> (Server, StandIn, Arc<UpstreamTokens>) {
    let (server, stand_in) = (Server::with(company()).await, StandIn::start().await);
    {
        let mut inner = stand_in.inner.lock().unwrap();
        inner.keys = Some(server.app.tokens.current().verifying.clone());
        inner.now = Some(server.clock.clone());
    }
    let settings = UpstreamTokenSettings::new(&WrittenUpstreamToken {
        server: "files",
        upstream: "https://files.partner.example/mcp",
        by: "token_exchange",
        issuer: PARTNER,
        token_endpoint: &stand_in.endpoint,
        client_id: "gateway",
        secret: Some(SecretString::new(SECRET)),
        audience: Some("files"),
        scopes: &["read".to_owned()],
        ..WrittenUpstreamToken::default()
    });
    (server, stand_in, Arc::new(UpstreamTokens::new(settings.unwrap())))
}

fn caller<'a>(subject: &'a str, client_id: &'a str, grant: &'a str) -> Caller<'a> {
    Caller { subject, client_id, actors: &[], scope: "read", grant: Some(grant) }
}

async fn token(
    server: &Server,
    tokens: &UpstreamTokens,
    caller: &Caller<'_>,
) -> Result<String, NoUpstreamToken> {
    tokens.token(&server.app, caller, None).await.map(|token| token.expose().to_owned())
}

fn counted(server: &Server, kind: Kind) -> u64 {
    server.app.audit.counted().into_iter().filter(|(one, ..)| *one == kind).map(|(.., number)| number).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rs_061_p12_by_exchange_each_caller_has_a_token_of_their_own_and_one_call_asks_for_it() {
    let (server, stand_in, tokens) = world().await;
    let now = server.now();
    let people: Vec<String> = [add_person(&server.app, now).await, add_person(&server.app, now).await]
        .iter()
        .map(PersonId::to_string)
        .collect();
    let server = Arc::new(server);
    let mut calls = tokio::task::JoinSet::new();
    for at in 0..400_usize {
        let (server, tokens, person) = (Arc::clone(&server), Arc::clone(&tokens), people[at % 2].clone());
        calls.spawn(async move {
            let (client, grant) = (["one", "two"][at / 2 % 2], ["g1", "g2", "g3"][at % 3]);
            let got = token(&server, &tokens, &caller(&person, client, grant)).await.unwrap();
            assert!(got.starts_with(&format!("of-{person}-{client}-{grant}-read-")), "{got}");
            got
        });
    }
    let mut seen = std::collections::HashSet::new();
    while let Some(done) = calls.join_next().await {
        seen.insert(done.unwrap());
    }
    assert_eq!((seen.len(), stand_in.asked()), (12, 12), "one for each person, client and grant");
    assert_eq!(counted(&server, Kind::UpstreamTokenIssued), 12);
}

#[tokio::test]
async fn rs_061_an_exchanged_token_is_renewed_before_its_end_and_when_it_is_not_taken() {
    let (server, stand_in, tokens) = world().await;
    let ann = caller("ann", "c", "g");
    let first = token(&server, &tokens, &ann).await.unwrap();
    server.push(539);
    assert_eq!(token(&server, &tokens, &ann).await.unwrap(), first);
    server.push(2);
    let second = token(&server, &tokens, &ann).await.unwrap();
    assert_ne!(first, second);
    // Not taken: another one, but for one that has only just come, where it would be the same again.
    let refused = SecretString::new(&*second);
    let fresh = tokens.token(&server.app, &ann, Some(&refused)).await.unwrap();
    assert_eq!((fresh.expose(), stand_in.asked()), (&*second, 2));
    server.push(11);
    let third = tokens.token(&server.app, &ann, Some(&refused)).await.unwrap();
    assert_ne!(third.expose(), second);
    assert_eq!(
        tokens.token(&server.app, &ann, Some(&refused)).await.unwrap(),
        third,
        "an older one was refused"
    );
    assert_eq!(stand_in.asked(), 3);
    // However long it says that it is good.
    stand_in.inner.lock().unwrap().lifetime = 1_000_000;
    let bob = caller("bob", "c", "g");
    let long = token(&server, &tokens, &bob).await.unwrap();
    server.push(3_601);
    assert_ne!(token(&server, &tokens, &bob).await.unwrap(), long);
}

#[tokio::test]
async fn rs_061_rs_064_a_no_is_a_no_for_a_while_and_for_nobody_else() {
    let (server, stand_in, tokens) = world().await;
    let quoted = r#"{"error":"invalid_grant","error_description":"canary: who is ann?"}"#;
    stand_in.fails("ann", 400, quoted);
    let (ann, bob) = (caller("ann", "c", "g"), caller("bob", "c", "g"));
    for _ in 0..5 {
        let no = token(&server, &tokens, &ann).await.unwrap_err();
        assert_eq!(no, NoUpstreamToken::Refused);
        assert!(!no.to_string().contains("canary"));
    }
    assert!(token(&server, &tokens, &bob).await.unwrap().starts_with("of-bob-"));
    assert_eq!(stand_in.asked(), 2, "nobody's tries are passed on");
    for (status, body, why) in [
        (503, "{}", NoUpstreamToken::Unavailable),
        (400, r#"{"error":"invalid_target"}"#, NoUpstreamToken::Refused),
        (401, r#"{"error":"invalid_client"}"#, NoUpstreamToken::Refused),
        (302, "", NoUpstreamToken::Refused),
        (200, "<html>", NoUpstreamToken::Refused),
        (200, r#"{"access_token":"canary","token_type":"N_A"}"#, NoUpstreamToken::Refused),
        (200, r#"{"access_token":"can\nary","token_type":"Bearer"}"#, NoUpstreamToken::Refused),
    ] {
        server.push(61);
        stand_in.fails("ann", status, body);
        assert_eq!(token(&server, &tokens, &ann).await, Err(why), "{status} {body}");
    }
    server.push(61);
    stand_in.inner.lock().unwrap().fails.clear();
    assert!(token(&server, &tokens, &ann).await.unwrap().starts_with("of-ann-"));
}

/// Another hallpass, on a port, that takes this company's word about two people: their ids here and there.
async fn partner(
    company: &Server,
    people: [&str; 2],
    key: &SigningKey,
) -> ([Server; 2], String, [String; 2]) {
    let keys = company.get("/jwks").await.text;
    let written = WrittenKeys { jwks: Some(keys.as_bytes()), jwks_uri: None };
    let issuer = TrustedIssuer::new(OURS, &[], None, written).unwrap();
    let record: ClientRecord = serde_json::from_value(json!({
        "name": "Gateway of the company", "auth": "client_secret_basic", "grant_types": [GRANT_TYPE],
        "secrets": [digest_of_secret(&SecretString::new(SECRET)).unwrap()],
    }))
    .unwrap();
    let signing: ClientRecord = serde_json::from_value(json!({
        "name": "The same, which signs", "auth": "private_key_jwt", "grant_types": [GRANT_TYPE],
        "jwks": { "keys": [key.public_jwk().to_json()] },
    }))
    .unwrap();
    let server = Server::start().await;
    let mut accounts = [String::new(), String::new()];
    for (account, name) in accounts.iter_mut().zip(["ada", "bob"]) {
        let id = PersonId::new(NOW, &hallpass_core::entropy::SystemEntropy);
        let (name, password) = (name.to_owned(), String::new());
        let person = Person { id, name, password, epoch: 0, disabled_at: None, created_at: NOW };
        assert!(server.app.store.person_create(person).await.unwrap());
        *account = id.to_string();
    }
    let linked =
        people.iter().zip(["ada", "bob"]).map(|(there, here)| ((*there).to_owned(), here.to_owned()));
    let trusting = server.reloaded(Settings {
        clients: vec![
            OperatorClient::new("acme-gateway", &record).unwrap(),
            OperatorClient::new("acme-signing", &signing).unwrap(),
        ],
        identity_providers: vec![IdentityProvider { issuer, tenant: None, accounts: linked.collect() }],
        ..settings()
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/token", listener.local_addr().unwrap());
    let routes = router(Arc::clone(&trusting.app)).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    // The first has the folder of the store.
    ([server, trusting], endpoint, accounts)
}

fn asserting(endpoint: &str, client_id: &str, secret: &str) -> UpstreamTokens {
    asserting_by(endpoint, client_id, (Some(SecretString::new(secret)), None))
}

fn asserting_by(
    endpoint: &str,
    client_id: &str,
    (secret, key): (Option<SecretString>, Option<ClientKey>),
) -> UpstreamTokens {
    let settings = UpstreamTokenSettings::new(&WrittenUpstreamToken {
        server: "things",
        upstream: RESOURCE,
        by: "identity_assertion",
        issuer: ISSUER,
        token_endpoint: endpoint,
        client_id,
        secret,
        key,
        scopes: &["read".to_owned()],
        ..WrittenUpstreamToken::default()
    });
    UpstreamTokens::new(settings.unwrap())
}

#[tokio::test]
async fn rs_061_p12_as_163_by_identity_assertion_another_hallpass_gives_each_person_their_own() {
    let company = Server::with(company()).await;
    let now = company.now();
    let [ada, bob, eve] =
        [(); 3].map(|()| PersonId::new(now, &hallpass_core::entropy::SystemEntropy).to_string());
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let ([_folder, there], endpoint, [ada_there, bob_there]) = partner(&company, [&ada, &bob], &key).await;
    let linked = [(&*ada, &*ada_there), (&*bob, &*bob_there)];
    let tokens = asserting(&endpoint, "acme-gateway", SECRET);
    for _ in 0..2 {
        for (person, account) in linked {
            let got = token(&company, &tokens, &caller(person, "assistant", "g")).await;
            let got = got.unwrap_or_else(|error| panic!("{error}: {:?}", there.app.audit.counted()));
            let said = claims(&got);
            assert_eq!((text(&said, "sub"), text(&said, "client_id")), (account, "acme-gateway"));
            assert_eq!((text(&said, "aud"), text(&said, "scope")), (RESOURCE, "read"));
        }
    }
    assert_eq!(counted(&company, Kind::UpstreamTokenIssued), 2, "each is used again");
    // Nobody whom the other server does not know, and nobody through a client that it does not know.
    assert_eq!(
        token(&company, &tokens, &caller(&eve, "assistant", "g")).await,
        Err(NoUpstreamToken::Refused)
    );
    for (client, secret) in [("acme-gateway", "another-secret-of-the-gateway"), ("somebody", SECRET)] {
        let tokens = asserting(&endpoint, client, secret);
        assert_eq!(
            token(&company, &tokens, &caller(&ada, "assistant", "g")).await,
            Err(NoUpstreamToken::Refused)
        );
    }
    assert_eq!(counted(&company, Kind::UpstreamTokenRefused), 3);
    // The same by a key of ours in place of a secret (RFC 7523), and by no other key.
    let by = |key: SigningKey| asserting_by(&endpoint, "acme-signing", (None, Some(ClientKey::of(key))));
    let got = token(&company, &by(key), &caller(&ada, "assistant", "g")).await.unwrap();
    assert_eq!(text(&claims(&got), "client_id"), "acme-signing");
    let forged = by(SigningKey::generate(Algorithm::Es256).unwrap());
    assert_eq!(
        token(&company, &forged, &caller(&ada, "assistant", "g")).await,
        Err(NoUpstreamToken::Refused)
    );
}
