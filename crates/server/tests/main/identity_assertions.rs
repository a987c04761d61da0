//! Identity assertions (ID-JAG): a company says that a client may act for one of its people.

use crate::{
    audit::{audited, lines},
    machines::{asking, is_active, jwt, key_set},
    proofs::{Key, send},
    support::*,
};
use hallpass_core::{
    encoding::base64url,
    jose::{Algorithm, SigningKey},
    jwt::grant_assertion::{GRANT_TYPE, IDENTITY_PROFILE},
    secret::SecretString,
    uri::ResourceUri,
};
use hallpass_server::{
    ClientRecord, OperatorClient, Resource, ScopeEntry, Settings, SettingsError, digest_of_secret,
    issuers::{TrustedIssuer, WrittenKeys, identity_provider::IdentityProvider},
};
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const COMPANY: &str = "https://acme.idp.example";
const SECRET: &str = "a-secret-of-the-assistant-here";
const TYPE: &str = "oauth-id-jag+jwt";
const OTHER: &str = "https://auth.example/other";
const BAD: StatusCode = StatusCode::BAD_REQUEST;
static MADE: AtomicUsize = AtomicUsize::new(0);

fn client(id: &str, change: impl FnOnce(&mut Value)) -> OperatorClient {
    let mut record = json!({
        "name": "Assistant", "auth": "client_secret_post", "grant_types": [GRANT_TYPE],
        "secrets": [digest_of_secret(&SecretString::new(SECRET)).unwrap()],
    });
    change(&mut record);
    OperatorClient::new(id, &serde_json::from_value::<ClientRecord>(record).unwrap()).unwrap()
}

fn company(issuer: &str, key: &SigningKey) -> IdentityProvider {
    let keys = key_set(&[key]).to_string();
    let written = WrittenKeys { jwks: Some(keys.as_bytes()), jwks_uri: None };
    let issuer = TrustedIssuer::new(issuer, &[], None, written).unwrap();
    IdentityProvider { issuer, tenant: None, accounts: [("00u1".into(), NAME.into())].into() }
}

pub fn trusting(key: &SigningKey) -> Settings {
    let people = client("people", |r| {
        (r["grant_types"], r["redirect_uris"]) = (json!(["authorization_code"]), json!([REDIRECT]));
    });
    let reader = client("reader", |r| r["scopes"] = json!(["read"]));
    let clients =
        vec![client("assistant", |_| {}), client("other", |_| {}), people, reader, asking("things")];
    let mut settings = Settings { clients, identity_providers: vec![company(COMPANY, key)], ..settings() };
    settings.resources[0].introspectors = vec!["things".into()];
    settings
}

fn claims_of(server: &Server) -> Value {
    let (now, number) = (server.now().seconds(), MADE.fetch_add(1, Ordering::SeqCst));
    json!({
        "iss": COMPANY, "sub": "00u1", "aud": ISSUER, "client_id": "assistant", "jti": format!("j{number}"),
        "iat": now, "exp": now + 300, "resource": RESOURCE, "scope": "read write", "email": "ada@acme.example",
    })
}

pub fn made(server: &Server, key: &SigningKey, name: &str, value: Value) -> String {
    let mut claims = claims_of(server);
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    jwt(key, TYPE, &claims)
}

async fn ask_as(server: &Server, id: &str, assertion: &str, more: &[(&str, &str)]) -> Answer {
    let base =
        [("grant_type", GRANT_TYPE), ("assertion", assertion), ("client_id", id), ("client_secret", SECRET)];
    server.form("/token", &[&base, more].concat()).await
}

pub async fn ask(server: &Server, assertion: &str) -> Answer {
    ask_as(server, "assistant", assertion, &[]).await
}

fn is(answer: &Answer, status: StatusCode, error: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (status, error), "{answer:?}");
}

#[tokio::test]
async fn as_163_as_164_as_166_as_157_as_173_a_companys_word_is_a_token_for_its_person() {
    let key = SigningKey::generate(Algorithm::Rs256).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { audit: audited(folder.path()).audit, ..trusting(&key) };
    let server = Server::with(settings).await;
    server.set_up().await;
    let person = server.app.store.people_list(None, 1).await.unwrap()[0].id.to_string();
    for audience in [json!(ISSUER), json!([ISSUER])] {
        let assertion = made(&server, &key, "aud", audience);
        let answer = ask(&server, &assertion).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let said = answer.json();
        assert!(said.get("refresh_token").is_none() && text(&said, "scope") == "read write", "{said}");
        let token = claims(text(&said, "access_token"));
        assert_eq!((text(&token, "sub"), text(&token, "client_id")), (&*person, "assistant"));
        assert_eq!(text(&token, "aud"), RESOURCE);
        let written = lines(&server, folder.path());
        let line = written.last().unwrap();
        assert_eq!((text(line, "event"), text(line, "person")), ("token_issued", &*person));
        assert_eq!((text(line, "client"), text(line, "client_name")), ("assistant", "00u1"));
        let signature = assertion.rsplit('.').next().unwrap();
        assert!(written.iter().all(|line| !line.to_string().contains(signature)));
    }
    for audience in [
        json!(null),
        json!([]),
        json!([ISSUER, ISSUER]),
        json!([ISSUER, "https://other.example"]),
        json!("https://auth.example/token"),
        json!("https://auth.example/"),
    ] {
        is(&ask(&server, &made(&server, &key, "aud", audience)).await, BAD, "invalid_grant");
    }
    for typ in ["JWT", "at+jwt", "id_token+jwt", "dpop+jwt", "client-authentication+jwt", ""] {
        is(&ask(&server, &jwt(&key, typ, &claims_of(&server))).await, BAD, "invalid_grant");
    }
    let prefixed = jwt(&key, "application/oauth-id-jag+jwt", &claims_of(&server));
    assert_eq!(ask(&server, &prefixed).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_165_as_123_only_the_client_that_it_names_and_that_proves_it() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let server = Server::with(trusting(&key)).await;
    server.set_up().await;
    let assertion = made(&server, &key, "scope", json!("read"));
    is(&ask_as(&server, "other", &assertion, &[]).await, BAD, "invalid_grant");
    let base = [("grant_type", GRANT_TYPE), ("assertion", &*assertion)];
    is(&server.form("/token", &base).await, BAD, "invalid_request");
    let unproven = server.form("/token", &[base[0], base[1], ("client_id", "assistant")]).await;
    is(&unproven, StatusCode::UNAUTHORIZED, "invalid_client");
    let public = server.register(REDIRECT).await;
    let named = made(&server, &key, "client_id", json!(public));
    let refused = server
        .form("/token", &[("grant_type", GRANT_TYPE), ("assertion", &named), ("client_id", &public)])
        .await;
    is(&refused, BAD, "unauthorized_client");
    let named = made(&server, &key, "client_id", json!("people"));
    is(&ask_as(&server, "people", &named, &[]).await, BAD, "unauthorized_client");
    for wrong in [json!(null), json!(["assistant"]), json!("Assistant")] {
        is(&ask(&server, &made(&server, &key, "client_id", wrong)).await, BAD, "invalid_grant");
    }
    assert_eq!(ask(&server, &assertion).await.status, StatusCode::OK, "nothing was burnt");
}

#[tokio::test]
async fn as_166_as_167_resource_and_scope_are_what_all_of_them_allow() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let server = Server::with(trusting(&key)).await;
    server.set_up().await;
    for (claim, asked, outcome) in [
        (json!("read write"), None, Ok("read write")),
        (json!("read admin"), None, Ok("read")),
        (json!("read"), Some("read write"), Ok("read")),
        (json!("read write"), Some("write"), Ok("write")),
        (json!(null), Some("write"), Ok("write")),
        (json!("read"), Some("write"), Err("invalid_scope")),
        (json!("admin"), None, Err("invalid_scope")),
        (json!("a \"b"), None, Err("invalid_grant")),
        (json!(["read"]), None, Err("invalid_grant")),
    ] {
        let assertion = made(&server, &key, "scope", claim.clone());
        let asked: Vec<_> = asked.iter().map(|scope| ("scope", *scope)).collect();
        let answer = ask_as(&server, "assistant", &assertion, &asked).await;
        match outcome {
            Ok(scope) => assert_eq!(text(&answer.json(), "scope"), scope, "{claim} {answer:?}"),
            Err(error) => is(&answer, BAD, error),
        }
    }
    let reader = made(&server, &key, "client_id", json!("reader"));
    assert_eq!(text(&ask_as(&server, "reader", &reader, &[]).await.json(), "scope"), "read", "its ceiling");
    for wrong in
        [json!("https://evil.example/mcp"), json!([]), json!([RESOURCE, "https://evil.example"]), json!(7)]
    {
        is(&ask(&server, &made(&server, &key, "resource", wrong)).await, BAD, "invalid_grant");
    }
    let target = [("resource", "https://evil.example/mcp")];
    let assertion = made(&server, &key, "resource", json!(RESOURCE));
    is(&ask_as(&server, "assistant", &assertion, &target).await, BAD, "invalid_target");
    // Without one it is the only server; of several it is none.
    assert_eq!(ask(&server, &made(&server, &key, "resource", json!(null))).await.status, StatusCode::OK);
    let mut several = trusting(&key);
    let scope = vec![ScopeEntry { name: "read".into(), title: String::new() }];
    several.resources.push(Resource::new(ResourceUri::parse(OTHER).unwrap(), "Other".into(), scope).unwrap());
    let server = server.reloaded(several);
    is(&ask(&server, &made(&server, &key, "resource", json!(null))).await, BAD, "invalid_grant");
    let other = ask(&server, &made(&server, &key, "resource", json!(OTHER))).await.json();
    assert_eq!(text(&claims(text(&other, "access_token")), "aud"), OTHER);
    let here = [("resource", RESOURCE)];
    let assertion = made(&server, &key, "resource", json!(OTHER));
    is(&ask_as(&server, "assistant", &assertion, &here).await, BAD, "invalid_target");
}

#[tokio::test]
async fn as_168_t_27_an_identity_assertion_is_used_once_on_all_nodes_and_after_a_restart() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let server = Server::with(trusting(&key)).await;
    server.set_up().await;
    let once = made(&server, &key, "scope", json!("read"));
    is(&ask_as(&server, "assistant", &once, &[("scope", "write")]).await, BAD, "invalid_scope");
    let other = server.beside().await;
    let flood = (0..32).map(|turn| ask(if turn % 2 == 0 { &server } else { &other }, &once));
    let answers = futures_util::future::join_all(flood).await;
    let (good, spent): (Vec<_>, Vec<_>) = answers.iter().partition(|one| one.status == StatusCode::OK);
    assert_eq!((good.len(), spent.len()), (1, 31));
    assert!(spent.iter().all(|one| one.error() == "invalid_grant"), "{spent:?}");
    drop(other);
    let server = server.restarted().await;
    is(&ask(&server, &once).await, BAD, "invalid_grant");
    let unknown = made(&server, &key, "scope", json!("read"));
    server.app.store.close().await.unwrap();
    is(&ask(&server, &unknown).await, StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
}

#[tokio::test]
async fn as_169_as_170_as_172_t_44_keys_constraints_and_who_it_is_about() {
    let (key, strange) =
        (SigningKey::generate(Algorithm::Es256).unwrap(), SigningKey::generate(Algorithm::Es256).unwrap());
    let mut settings = trusting(&key);
    let mut second = company("https://second.idp.example", &strange);
    second.accounts = [("elsewhere".into(), "nobody".into())].into();
    settings.identity_providers.push(second);
    let server = Server::with(settings.clone()).await;
    server.set_up().await;
    for (name, value) in [
        ("cnf", json!({"jkt": "x"})),
        ("cnf", json!({})),
        ("authorization_details", json!([{"type": "mcp_tool"}])),
        ("sub", json!("00u2")),
        ("sub", json!("ada@acme.example")),
        ("sub", json!(NAME)),
        ("tenant", json!("other")),
        ("iss", json!("https://acme.idp.example/")),
        ("iss", json!("https://169.254.169.254")),
        ("jti", json!(null)),
        ("iat", json!(null)),
        ("exp", json!(server.now().seconds() + 3_700)),
    ] {
        let refused = ask(&server, &made(&server, &key, name, value.clone())).await;
        is(&refused, BAD, "invalid_grant");
    }
    is(&ask(&server, &made(&server, &strange, "scope", json!("read"))).await, BAD, "invalid_grant");
    // The same person's address at another company, and the same subject there.
    let there = made(&server, &strange, "iss", json!("https://second.idp.example"));
    is(&ask(&server, &there).await, BAD, "invalid_grant");
    settings.identity_providers[0].tenant = Some("acme".into());
    let server = server.reloaded(settings);
    is(&ask(&server, &made(&server, &key, "tenant", json!(null))).await, BAD, "invalid_grant");
    assert_eq!(ask(&server, &made(&server, &key, "tenant", json!("acme"))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_169_t_45_t_50_a_companys_keys_are_found_kept_and_followed_and_no_header_names_others() {
    let (server, host) = Server::with_documents(settings()).await;
    let generate = || SigningKey::generate(Algorithm::Es256).unwrap();
    let (key, next, issuer) = (generate(), generate(), host.url("/company"));
    let metadata = json!({"issuer": issuer, "jwks_uri": host.url("/keys")});
    host.publish("/company/.well-known/openid-configuration", &metadata.to_string());
    host.publish("/keys", &key_set(&[&key]).to_string());
    let mut settings = trusting(&key);
    settings.identity_providers[0].issuer =
        TrustedIssuer::new(&issuer, &[], None, WrittenKeys::default()).unwrap();
    let server = server.reloaded(settings);
    server.set_up().await;
    let made = |key: &SigningKey| made(&server, key, "iss", json!(issuer));
    for _ in 0..3 {
        assert_eq!(ask(&server, &made(&key)).await.status, StatusCode::OK);
    }
    // Whoever makes up key ids makes us ask nobody, and neither does a header that says where keys are.
    for _ in 0..20 {
        is(&ask(&server, &made(&generate())).await, BAD, "invalid_grant");
    }
    let mut claims = claims_of(&server);
    claims["iss"] = json!(issuer);
    let mut elsewhere = |key: &SigningKey| {
        claims["jti"] = json!(format!("e{}", MADE.fetch_add(1, Ordering::SeqCst)));
        let header = json!({
            "alg": "ES256", "kid": key.key_id(), "typ": TYPE, "jku": host.url("/evil"), "x5u": host.url("/evil"),
            "jwk": key.public_jwk().to_json(),
        });
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(&claims));
        format!("{signed}.{}", base64url(&key.sign_bytes(signed.as_bytes()).unwrap()))
    };
    host.publish("/evil", &key_set(&[&next]).to_string());
    is(&ask(&server, &elsewhere(&next)).await, BAD, "invalid_grant");
    assert_eq!(ask(&server, &elsewhere(&key)).await.status, StatusCode::OK);
    assert_eq!((host.requests("/keys"), host.requests("/evil")), (1, 0));
    // Another key of the company is looked for, once in a while.
    server.push(31);
    host.publish("/keys", &key_set(&[&next, &key]).to_string());
    assert_eq!(ask(&server, &made(&next)).await.status, StatusCode::OK);
    assert_eq!((host.requests("/keys"), host.requests("/evil")), (2, 0));
}

#[tokio::test]
async fn as_171_as_162_as_028_the_metadata_says_that_and_not_whom_and_never_ourselves() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let server = Server::with(trusting(&key)).await;
    let metadata = server.get("/.well-known/oauth-authorization-server").await;
    assert!(!metadata.text.contains("acme"), "{}", metadata.text);
    let said = metadata.json();
    assert_eq!(said["authorization_grant_profiles_supported"], json!([IDENTITY_PROFILE]));
    assert!(said["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT_TYPE)));
    let without = Server::start().await.get("/.well-known/oauth-authorization-server").await.json();
    assert!(without.get("authorization_grant_profiles_supported").is_none());
    is(&ask(&server, &made(&server, &key, "iss", json!(ISSUER))).await, BAD, "invalid_grant");
    let own = Settings { identity_providers: vec![company(ISSUER, &key)], ..settings() };
    assert_eq!(own.check(), Err(SettingsError::OwnIssuer));
}

#[tokio::test]
async fn as_120_as_207_as_136_it_ends_with_the_person_and_by_itself() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let server = Server::with(trusting(&key)).await;
    server.set_up().await;
    let token = async || {
        let answer = ask(&server, &made(&server, &key, "scope", json!("read"))).await.json();
        text(&answer, "access_token").to_owned()
    };
    let (first, second) = (token().await, token().await);
    assert!(is_active(&server, &first).await && is_active(&server, &second).await);
    let pairs = [("client_id", "assistant"), ("client_secret", SECRET), ("token", &*first)];
    assert_eq!(server.form("/revoke", &pairs).await.status, StatusCode::OK);
    assert!(!is_active(&server, &first).await && is_active(&server, &second).await);
    let person = server.app.store.people_list(None, 1).await.unwrap()[0].id;
    let until = server.app.settings.tokens_until(server.now());
    server.app.store.person_epoch_raise(person, until, server.now()).await.unwrap();
    assert!(!is_active(&server, &second).await, "signed out everywhere");
    let third = token().await;
    assert!(is_active(&server, &third).await);
    server.app.store.person_disable(person, true, until, server.now()).await.unwrap();
    assert!(!is_active(&server, &third).await);
    is(&ask(&server, &made(&server, &key, "scope", json!("read"))).await, BAD, "invalid_grant");
}

#[tokio::test]
async fn as_170_an_assertion_for_a_key_takes_the_proof_of_that_key_alone_and_no_other() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let server = Server::with(trusting(&key)).await;
    server.set_up().await;
    let (own, another) = (Key::new(), Key::new());
    let ask = async |confirmation: Value, proofs: &[&str]| {
        let assertion = made(&server, &key, "cnf", confirmation);
        let pairs = [
            ("grant_type", GRANT_TYPE),
            ("assertion", &*assertion),
            ("client_id", "assistant"),
            ("client_secret", SECRET),
        ];
        send(&server, proofs, &pairs).await
    };
    let due = json!({"jkt": own.thumbprint()});
    is(&ask(due.clone(), &[]).await, BAD, "invalid_grant");
    is(&ask(due.clone(), &[&another.proof(&server)]).await, BAD, "invalid_grant");
    let more = json!({"jkt": own.thumbprint(), "x5t#S256": "x"});
    is(&ask(more, &[&own.proof(&server)]).await, BAD, "invalid_grant");
    let answer = ask(due, &[&own.proof(&server)]).await.json();
    assert_eq!(text(&answer, "token_type"), "DPoP", "{answer}");
    assert_eq!(claims(text(&answer, "access_token"))["cnf"]["jkt"], json!(own.thumbprint()));
    assert_eq!(text(&ask(json!(null), &[]).await.json(), "token_type"), "Bearer");
}

#[tokio::test]
async fn as_163_as_214_a_company_speaks_for_whom_the_store_links_too_and_the_file_counts_first() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let mut settings = trusting(&key);
    settings.identity_providers[0].accounts = [("00u2".into(), NAME.into())].into();
    let server = Server::with(settings).await;
    server.set_up().await;
    let bob = crate::accounts::add_person(&server.app, server.now()).await;
    let link = async |issuer: &str, subject: &str| {
        let id = hallpass_core::id::LinkId::new(server.now(), &hallpass_core::entropy::SystemEntropy);
        let (issuer, subject, linked_at) = (issuer.into(), subject.into(), server.now());
        let new = hallpass_store::NewLink { id, issuer, subject, person: bob, linked_at };
        assert_eq!(server.app.store.link_put(new).await.unwrap(), hallpass_store::Linked::Yes);
    };
    let asked = async |subject: &str| ask(&server, &made(&server, &key, "sub", json!(subject))).await;
    is(&asked("00u1").await, BAD, "invalid_grant");
    link("https://other.idp.example", "00u1").await;
    is(&asked("00u1").await, BAD, "invalid_grant");
    link(COMPANY, "00u1").await;
    link(COMPANY, "00u2").await;
    let answer = asked("00u1").await;
    assert_eq!(text(&claims(text(&answer.json(), "access_token")), "sub"), bob.to_string());
    let answer = asked("00u2").await;
    assert_ne!(
        text(&claims(text(&answer.json(), "access_token")), "sub"),
        bob.to_string(),
        "as the file says"
    );
    let until = server.app.settings.tokens_until(server.now());
    assert!(server.app.store.person_disable(bob, true, until, server.now()).await.unwrap());
    is(&asked("00u1").await, BAD, "invalid_grant");
}
