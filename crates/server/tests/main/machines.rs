//! Machines: who gets a token for itself, what is in it, and how it ends.

use crate::{
    assertions::signed,
    audit::{audited, lines},
    support::*,
};
use hallpass_core::{
    encoding::base64url,
    id::GrantId,
    jose::{Algorithm, SigningKey},
    secret::SecretString,
    uri::ResourceUri,
};
use hallpass_server::{
    ClientRecord, OperatorClient, Resource, ScopeEntry, Settings, digest_of_secret, feed::Change,
};
use hallpass_store::{Revoked, StoredClient};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

pub const SECRET: &str = "a-secret-of-the-nightly-report";
const OTHER: &str = "https://auth.example/other";
pub const MACHINE: (&str, &str) = ("grant_type", "client_credentials");
static MADE: AtomicUsize = AtomicUsize::new(0);

/// A JWT with whatever is in it.
pub fn jwt(key: &SigningKey, typ: &str, claims: &Value) -> String {
    let header = json!({"alg": key.algorithm().name(), "kid": key.key_id(), "typ": typ});
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let text = format!("{}.{}", part(&header), part(claims));
    format!("{text}.{}", base64url(&key.sign_bytes(text.as_bytes()).unwrap()))
}

pub fn key_set(keys: &[&SigningKey]) -> Value {
    json!({"keys": keys.iter().map(|key| key.public_jwk().to_json()).collect::<Vec<_>>()})
}

fn record(change: impl FnOnce(&mut Value)) -> Value {
    let mut record = json!({
        "name": "Nightly", "auth": "client_secret_basic", "grant_types": ["client_credentials"],
        "secrets": [digest_of_secret(&SecretString::new(SECRET)).unwrap()],
        "scopes": ["read"], "resources": [RESOURCE],
    });
    change(&mut record);
    record
}

fn machine(id: &str, change: impl FnOnce(&mut Value)) -> OperatorClient {
    let record: ClientRecord = serde_json::from_value(record(change)).unwrap();
    OperatorClient::new(id, &record).unwrap()
}

fn signing(keys: &Value) -> impl FnOnce(&mut Value) {
    |record| {
        record["auth"] = json!("private_key_jwt");
        record["secrets"] = json!([]);
        record[if keys.is_string() { "jwks_uri" } else { "jwks" }] = keys.clone();
    }
}

pub fn assertion(server: &Server, key: &SigningKey, id: &str) -> String {
    let (now, number) = (server.now().seconds(), MADE.fetch_add(1, Ordering::SeqCst));
    let claims = json!({"iss": id, "sub": id, "aud": ISSUER, "jti": format!("m{number}"), "iat": now, "exp": now + 60});
    jwt(key, "JWT", &claims)
}

/// Two servers, and these machines.
fn with(clients: Vec<OperatorClient>) -> Settings {
    let mut settings = Settings { clients, ..settings() };
    let scope = |name: &str| ScopeEntry { name: name.into(), title: String::new() };
    let uri = ResourceUri::parse(OTHER).unwrap();
    settings.resources.push(Resource::new(uri, "Other".into(), vec![scope("read"), scope("list")]).unwrap());
    settings
}

/// A server with one machine of this id.
pub fn with_one(id: &str) -> Settings {
    with(vec![machine(id, |_| {})])
}

/// A machine that signs with this key.
pub fn that_signs(id: &str, key: &SigningKey) -> OperatorClient {
    machine(id, signing(&key_set(&[key])))
}

async fn ask(server: &Server, id: &str, more: &[(&str, &str)]) -> Answer {
    let pairs = [&[MACHINE, ("client_id", id), ("client_secret", SECRET)], more].concat();
    server.form("/token", &pairs).await
}

fn is(answer: &Answer, status: StatusCode, error: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (status, error), "{answer:?}");
}

#[tokio::test]
async fn as_152_as_134_only_a_machine_that_proves_itself_and_never_a_refresh_token() {
    let people = machine("people", |r| {
        r["grant_types"] = json!(["authorization_code", "refresh_token"]);
        (r["redirect_uris"], r["resources"]) = (json!([REDIRECT]), json!(null));
    });
    let server = Server::with(with(vec![machine("nightly", |_| {}), people])).await;
    let answer = ask(&server, "nightly", &[]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let said = answer.json();
    assert_eq!((text(&said, "token_type"), text(&said, "scope")), ("Bearer", "read"));
    assert_eq!((&said["expires_in"], answer.header("cache-control")), (&json!(600), "no-store"));
    assert!(said.get("refresh_token").is_none() && said.as_object().unwrap().len() == 4);
    // Nobody: no proof, a wrong one, another way, two ways.
    let unauthorized = StatusCode::UNAUTHORIZED;
    is(&server.form("/token", &[MACHINE, ("client_id", "nightly")]).await, unauthorized, "invalid_client");
    is(&ask(&server, "unknown", &[]).await, unauthorized, "invalid_client");
    let wrong = [MACHINE, ("client_id", "nightly"), ("client_secret", "another-secret-of-the-same-length")];
    is(&server.form("/token", &wrong).await, unauthorized, "invalid_client");
    let pairs = signed("a.b.c", &[MACHINE, ("client_id", "nightly")]);
    is(&server.form("/token", &pairs).await, unauthorized, "invalid_client");
    let both = signed("a.b.c", &[MACHINE, ("client_id", "nightly"), ("client_secret", SECRET)]);
    is(&server.form("/token", &both).await, StatusCode::BAD_REQUEST, "invalid_request");
    // Somebody, and no machine: a public client, one with a secret that registered itself, one for people.
    let bad = StatusCode::BAD_REQUEST;
    let public = server.register(REDIRECT).await;
    let refused = server.form("/token", &[MACHINE, ("client_id", &public)]).await;
    is(&refused, bad, "unauthorized_client");
    let body = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post", "grant_types": ["authorization_code", "client_credentials"]});
    let registered = server.post_json("/register", &body).await.json();
    let given: Vec<&str> =
        registered["grant_types"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(!given.contains(&"client_credentials"), "{registered}");
    let (id, secret) = (text(&registered, "client_id"), text(&registered, "client_secret"));
    let refused = server.form("/token", &[MACHINE, ("client_id", id), ("client_secret", secret)]).await;
    is(&refused, bad, "unauthorized_client");
    is(&ask(&server, "people", &[]).await, bad, "unauthorized_client");
}

#[tokio::test]
async fn as_152_as_125_a_secret_in_the_header_is_as_good() {
    let server = Server::with(with(vec![machine("nightly", |_| {})])).await;
    let ask = async |secret: &str| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let basic = STANDARD.encode(format!("nightly:{secret}"));
        let request = Request::post("/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", format!("Basic {basic}"));
        server.send(request.body("grant_type=client_credentials".into()).unwrap()).await
    };
    assert_eq!(ask(SECRET).await.status, StatusCode::OK);
    let wrong = ask("x").await;
    is(&wrong, StatusCode::UNAUTHORIZED, "invalid_client");
    assert!(wrong.header("www-authenticate").starts_with("Basic "), "{wrong:?}");
}

#[tokio::test]
async fn as_153_resource_and_scope_are_honoured_and_the_ceiling_is_never_passed() {
    let both = machine("both", |r| {
        (r["resources"], r["scopes"]) = (json!([RESOURCE, OTHER]), json!(["read", "list", "offline_access"]));
    });
    let guessed = machine("guessed", |r| r["resources"] = json!(null));
    let nothing = machine("nothing", |r| r["scopes"] = json!(["admin"]));
    let server = Server::with(with(vec![machine("nightly", |_| {}), both, guessed, nothing])).await;
    let slash = format!("{OTHER}/");
    for (id, resource, scope, outcome) in [
        ("nightly", None, None, Ok((RESOURCE, "read"))),
        ("nightly", Some(RESOURCE), Some("read write admin"), Ok((RESOURCE, "read"))),
        ("nightly", None, Some("write"), Err("invalid_scope")),
        ("nightly", None, Some("offline_access"), Err("invalid_scope")),
        ("nightly", None, Some("a  \"b"), Err("invalid_scope")),
        ("nightly", Some(OTHER), None, Err("invalid_target")),
        ("nightly", Some("https://evil.example/mcp"), None, Err("invalid_target")),
        ("both", None, None, Err("invalid_target")),
        ("both", Some(OTHER), None, Ok((OTHER, "read list"))),
        ("both", Some(slash.as_str()), Some("list"), Ok((OTHER, "list"))),
        ("both", Some(RESOURCE), Some("list"), Err("invalid_scope")),
        ("both", Some(OTHER), Some("read offline_access"), Ok((OTHER, "read"))),
        ("guessed", None, None, Err("invalid_target")),
        ("guessed", Some(RESOURCE), None, Err("invalid_target")),
        ("nothing", None, None, Err("invalid_scope")),
    ] {
        let asked = [("resource", resource), ("scope", scope)];
        let asked: Vec<_> = asked.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
        let answer = ask(&server, id, &asked).await;
        match outcome {
            Err(error) => is(&answer, StatusCode::BAD_REQUEST, error),
            Ok((resource, scope)) => {
                let (said, claims) = (answer.json(), claims(text(&answer.json(), "access_token")));
                assert_eq!((text(&claims, "aud"), text(&claims, "scope")), (resource, scope), "{id}");
                assert_eq!(text(&said, "scope"), scope);
            }
        }
    }
    let two = ask(&server, "both", &[("resource", RESOURCE), ("resource", OTHER)]).await;
    is(&two, StatusCode::BAD_REQUEST, "invalid_target");
    let same = ask(&server, "both", &[("resource", OTHER), ("resource", &slash)]).await;
    assert_eq!(same.status, StatusCode::OK, "{same:?}");
}

#[tokio::test]
async fn as_153_rs_033_t_33_sub_is_the_client_and_no_persons() {
    let server = Server::with(with(vec![machine("nightly", |_| {})])).await;
    server.set_up().await;
    let person = server.app.store.people_list(None, 1).await.unwrap()[0].id.to_string();
    let record: ClientRecord = serde_json::from_value(record(|_| {})).unwrap();
    assert!(OperatorClient::new(&person, &record).is_err(), "a client with the id of a person");
    let tokens = [ask(&server, "nightly", &[]).await.json(), ask(&server, "nightly", &[]).await.json()];
    let said: Vec<Value> = tokens.iter().map(|one| claims(text(one, "access_token"))).collect();
    for claims in &said {
        assert_eq!((text(claims, "sub"), text(claims, "client_id")), ("nightly", "nightly"));
        let id = GrantId::parse(text(claims, "jti").split('.').next().unwrap()).unwrap();
        assert!(!id.has_row(), "nobody gave a grant");
        assert_eq!(server.app.store.grant_read(id).await.unwrap(), None);
    }
    assert_ne!(said[0]["jti"], said[1]["jti"]);
}

#[tokio::test]
async fn c9_as_153_a_configured_machine_with_a_secret_costs_neither_a_read_nor_a_write() {
    let server = Server::with(with(vec![machine("nightly", |_| {})])).await;
    server.app.store.close().await.unwrap();
    assert_eq!(ask(&server, "nightly", &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_082_as_121_a_machine_has_no_code_and_nobody_is_asked_about_it() {
    let server = Server::with(with(vec![machine("nightly", |_| {})])).await;
    let mut browser = server.set_up().await;
    for redirect in [REDIRECT, "https://evil.example/cb"] {
        let mut request = Server::request("nightly");
        request.insert("redirect_uri".into(), redirect.into());
        let page = browser.get(&query(&request)).await;
        assert_eq!((page.status, page.target()), (StatusCode::BAD_REQUEST, None), "{}", page.text);
        assert!(page.text.contains("unauthorized_client"), "{}", page.text);
    }
    let (id, secret) = (("client_id", "nightly"), ("client_secret", SECRET));
    for pairs in [
        [("grant_type", "authorization_code"), ("code", "x"), id, secret],
        [("grant_type", "refresh_token"), ("refresh_token", "x"), id, secret],
    ] {
        is(&server.form("/token", &pairs).await, StatusCode::BAD_REQUEST, "unauthorized_client");
    }
}

#[tokio::test]
async fn as_154_as_028_the_metadata_says_what_machines_need() {
    let server = Server::start().await;
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    let lists = |name: &str, value: &str| metadata[name].as_array().unwrap().contains(&json!(value));
    assert!(lists("grant_types_supported", "client_credentials"));
    for method in ["private_key_jwt", "client_secret_basic", "client_secret_post"] {
        assert!(lists("token_endpoint_auth_methods_supported", method), "{method}");
    }
}

#[tokio::test]
async fn as_127_as_128_as_133_a_machine_with_a_key_signs_and_changes_over_without_a_pause() {
    let (old, new, strange) = (
        SigningKey::generate(Algorithm::Es256).unwrap(),
        SigningKey::generate(Algorithm::EdDsa).unwrap(),
        SigningKey::generate(Algorithm::Es256).unwrap(),
    );
    let server = Server::with(with(vec![
        machine("nightly", signing(&key_set(&[&old, &new]))),
        machine("plain", |_| {}),
    ]))
    .await;
    let ask = async |server: &Server, assertion: &str, more: &[(&str, &str)]| {
        server.form("/token", &signed(assertion, &[&[MACHINE], more].concat())).await
    };
    for key in [&old, &new] {
        assert_eq!(ask(&server, &assertion(&server, key, "nightly"), &[]).await.status, StatusCode::OK);
    }
    let refused = StatusCode::UNAUTHORIZED;
    is(&ask(&server, &assertion(&server, &strange, "nightly"), &[]).await, refused, "invalid_client");
    is(&ask(&server, &assertion(&server, &old, "plain"), &[]).await, refused, "invalid_client");
    let other = ask(&server, &assertion(&server, &old, "nightly"), &[("client_id", "plain")]).await;
    is(&other, refused, "invalid_client");
    // Its method is the only one, whatever it knows beside it.
    let secret = [MACHINE, ("client_id", "nightly"), ("client_secret", SECRET)];
    is(&server.form("/token", &secret).await, refused, "invalid_client");
    is(&server.form("/token", &[MACHINE, ("client_id", "nightly")]).await, refused, "invalid_client");
    for endpoint in ["/revoke", "/introspect"] {
        let pairs = [("token", "x"), ("client_id", "nightly"), ("client_secret", SECRET)];
        is(&server.form(endpoint, &pairs).await, refused, "invalid_client");
    }
    // Changed over: the old key is out, at once and for what it signed before.
    let late = assertion(&server, &old, "nightly");
    let settings = with(vec![machine("nightly", signing(&key_set(&[&new])))]);
    let server = server.reloaded(settings);
    is(&ask(&server, &late, &[]).await, refused, "invalid_client");
    assert_eq!(ask(&server, &assertion(&server, &new, "nightly"), &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_133_as_054_t_50_keys_behind_an_address_are_followed_with_one_request() {
    let (first, second) =
        (SigningKey::generate(Algorithm::Es256).unwrap(), SigningKey::generate(Algorithm::Es256).unwrap());
    let (server, host) = Server::with_documents(settings()).await;
    host.publish("/jwks", &key_set(&[&first]).to_string());
    let private = json!("https://169.254.169.254/jwks");
    let clients =
        vec![machine("nightly", signing(&json!(host.url("/jwks")))), machine("inside", signing(&private))];
    let server = server.reloaded(with(clients));
    let ask = async |key: &SigningKey, id: &str| {
        server.form("/token", &signed(&assertion(&server, key, id), &[MACHINE])).await
    };
    assert_eq!(ask(&first, "nightly").await.status, StatusCode::OK);
    server.push(60);
    host.publish("/jwks", &key_set(&[&second, &first]).to_string());
    assert_eq!(ask(&second, "nightly").await.status, StatusCode::OK, "a new kid is looked for");
    assert_eq!(ask(&first, "nightly").await.status, StatusCode::OK);
    for _ in 0..20 {
        let strange = SigningKey::generate(Algorithm::Es256).unwrap();
        is(&ask(&strange, "nightly").await, StatusCode::UNAUTHORIZED, "invalid_client");
    }
    assert_eq!(host.requests("/jwks"), 2);
    let before = host.lookups();
    is(&ask(&first, "inside").await, StatusCode::UNAUTHORIZED, "invalid_client");
    assert_eq!(host.lookups(), before);
}

#[tokio::test]
async fn t_27_as_128_as_119_an_assertion_is_one_token_on_all_nodes_and_a_mistake_burns_none() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let server = Server::with(with(vec![machine("nightly", signing(&key_set(&[&key])))])).await;
    let ask = async |server: &Server, assertion: &str, more: &[(&str, &str)]| {
        server.form("/token", &signed(assertion, &[&[MACHINE], more].concat())).await
    };
    let once = assertion(&server, &key, "nightly");
    is(&ask(&server, &once, &[("scope", "write")]).await, StatusCode::BAD_REQUEST, "invalid_scope");
    is(&ask(&server, &once, &[("resource", OTHER)]).await, StatusCode::BAD_REQUEST, "invalid_target");
    let (other, servers) = (server.beside().await, AtomicUsize::new(0));
    let flood = (0..64).map(|_| {
        let turn = servers.fetch_add(1, Ordering::SeqCst);
        ask(if turn.is_multiple_of(2) { &server } else { &other }, &once, &[])
    });
    let answers = futures_util::future::join_all(flood).await;
    let (good, spent): (Vec<_>, Vec<_>) = answers.iter().partition(|one| one.status == StatusCode::OK);
    assert_eq!((good.len(), spent.len()), (1, 63));
    assert!(spent.iter().all(|one| one.error() == "invalid_client"));
    drop(other);
    let server = server.restarted().await;
    is(&ask(&server, &once, &[]).await, StatusCode::UNAUTHORIZED, "invalid_client");
}

/// A server that may introspect, with the secret of all machines here.
pub fn asking(id: &str) -> OperatorClient {
    machine(id, |r| {
        (r["grant_types"], r["resources"], r["scopes"]) = (json!([]), json!(null), json!(null));
    })
}

fn asked() -> Settings {
    let asks = asking("things");
    let mut settings = with(vec![machine("nightly", |_| {}), machine("daily", |_| {}), asks]);
    settings.resources[0].introspectors = vec!["things".into()];
    settings
}

pub async fn is_active(server: &Server, token: &str) -> bool {
    let pairs = [("client_id", "things"), ("client_secret", SECRET), ("token", token)];
    server.form("/introspect", &pairs).await.json()["active"] == json!(true)
}

#[tokio::test]
async fn as_153_as_136_as_207_a_machines_token_is_alive_until_it_or_its_client_ends() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(Settings { audit: audited(folder.path()).audit, ..asked() }).await;
    let (one, two) = (ask(&server, "nightly", &[]).await.json(), ask(&server, "nightly", &[]).await.json());
    let (one, two) = (text(&one, "access_token"), text(&two, "access_token"));
    assert!(is_active(&server, one).await && is_active(&server, two).await);
    let revoke = async |id: &str, token: &str| {
        server.form("/revoke", &[("client_id", id), ("client_secret", SECRET), ("token", token)]).await
    };
    assert_eq!(revoke("daily", one).await.status, StatusCode::OK);
    assert!(is_active(&server, one).await, "somebody else's");
    for _ in 0..2 {
        assert_eq!(revoke("nightly", one).await.status, StatusCode::OK);
    }
    assert!(!is_active(&server, one).await && is_active(&server, two).await, "that one alone");
    // The gateways hear of it as of a grant: by the id in the token, once.
    let id = GrantId::parse(text(&claims(one), "jti").split('.').next().unwrap()).unwrap();
    let (_, change) = hallpass_server::feed::step(&server.app, None).await.unwrap();
    let Change::Loaded(entries, 1) = change else { panic!("{change:?}") };
    assert_eq!(entries[0].what, Revoked::Grant(id));
    // The client goes: by a configuration without it, and when it is no machine any more.
    let mut people = asked();
    people.clients[0] = machine("nightly", |r| {
        r["grant_types"] = json!(["authorization_code"]);
        (r["redirect_uris"], r["resources"]) = (json!([REDIRECT]), json!(null));
    });
    let mut gone = asked();
    gone.clients.remove(0);
    for other in [people, gone] {
        assert!(!is_active(&server.reloaded(other), two).await);
    }
    assert!(is_active(&server, two).await);
    let written = lines(&server, folder.path());
    let of = |event: &str| written.iter().filter(|line| text(line, "event") == event).collect::<Vec<_>>();
    let (issued, revoked) = (of("token_issued"), of("token_revoked"));
    assert_eq!((issued.len(), revoked.len()), (2, 1));
    for (member, value) in [("client", "nightly"), ("resource", RESOURCE), ("scope", "read")] {
        assert_eq!(text(issued[0], member), value);
    }
    assert_eq!((text(revoked[0], "client"), &revoked[0]["grant"]), ("nightly", &issued[0]["grant"]));
    assert!(issued[0].get("person").is_none());
}

#[tokio::test]
async fn as_136_as_043_a_machine_of_the_store_gets_tokens_until_it_is_removed() {
    let server = Server::with(asked()).await;
    let until = server.app.settings.tokens_until(server.now());
    let body = record(|_| {}).to_string();
    let stored = StoredClient { id: "stored".into(), version: 1, created_at: server.now(), body };
    assert!(server.app.store.client_create(stored, until).await.unwrap());
    let answer = ask(&server, "stored", &[]).await.json();
    let token = text(&answer, "access_token");
    assert!(is_active(&server, token).await);
    assert!(server.app.store.client_remove("stored".into(), until).await.unwrap());
    assert!(!is_active(&server, token).await);
    is(&ask(&server, "stored", &[]).await, StatusCode::UNAUTHORIZED, "invalid_client");
    let entries = server.app.store.feed_after(0, 10).await.unwrap().entries;
    assert_eq!(entries.last().unwrap().what, Revoked::Client("stored".into()));
}
