//! Identity assertions that we issue (ID-JAG): to whom, for whom, for which server, and until when.

use crate::{
    audit::{audited, lines},
    machines::key_set,
    proofs::{Key, send},
    support::*,
};
use hallpass_core::{
    encoding::from_base64url,
    entropy::SystemEntropy,
    id::{AttemptId, GrantId},
    jose::{Algorithm, KeySet, SigningKey},
    jwt::{
        grant_assertion::{self, Expectations, Kind},
        identity_assertion::TOKEN_TYPE,
    },
    secret::SecretString,
    token::RefreshToken,
};
use hallpass_server::{
    ClientRecord, OperatorClient, Settings, SettingsError, TOKEN_EXCHANGE,
    cross_domain::{CrossDomainAccess, WrittenAccess},
    digest_of_secret,
    issuers::{TrustedIssuer, WrittenKeys, identity_provider::IdentityProvider},
};
use hallpass_store::{Block, BlockKind, GrantOpened, NewGrant, RevocationReason};
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

const SECRET: &str = "a-secret-of-the-assistant-here";
const PARTNER: &str = "https://auth.partner.example";
const CALENDAR: &str = "https://mcp.partner.example/calendar";
const NOTES: &str = "https://mcp.partner.example/notes";
const ELSEWHERE: &str = "https://auth.elsewhere.example";
const BAD: StatusCode = StatusCode::BAD_REQUEST;
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";

fn client(id: &str, change: impl FnOnce(&mut Value)) -> OperatorClient {
    let mut record = json!({
        "name": id, "auth": "client_secret_post", "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code", "refresh_token", TOKEN_EXCHANGE],
        "secrets": [digest_of_secret(&SecretString::new(SECRET)).unwrap()],
    });
    change(&mut record);
    OperatorClient::new(id, &serde_json::from_value::<ClientRecord>(record).unwrap()).unwrap()
}

fn access(client: &str, audience: &str, resources: &[&str], scopes: &[&str]) -> CrossDomainAccess {
    let texts = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
    let (resources, scopes) = (texts(resources), texts(scopes));
    let client_id = "acme-assistant";
    let written = WrittenAccess { client, audience, client_id, resources: &resources, scopes: &scopes };
    CrossDomainAccess::new(&written, None).unwrap()
}

/// An assistant that may go to a partner, one that may go elsewhere, and one that may go nowhere.
fn company() -> Settings {
    let clients = vec![
        client("assistant", |_| {}),
        client("other", |_| {}),
        client("nowhere", |_| {}),
        client("narrow", |r| r["grant_types"] = json!(["authorization_code", "refresh_token"])),
    ];
    let cross_domain = vec![
        access("assistant", PARTNER, &[CALENDAR, NOTES], &["read", "write"]),
        access("other", ELSEWHERE, &["https://elsewhere.example/mcp"], &["read"]),
    ];
    Settings { clients, cross_domain, ..settings() }
}

/// The head of a JWT, unverified.
fn head(compact: &str) -> Value {
    serde_json::from_slice(&from_base64url(compact.split('.').next().unwrap()).unwrap()).unwrap()
}

async fn signed_in(server: &Server) -> Browser<'_> {
    let mut browser = Browser::new(server);
    let page = browser.get("/sign-in").await;
    browser.sign_in(&page).await;
    browser
}

async fn given(server: &Server, browser: &mut Browser<'_>, to: &str) -> String {
    let mut request = Server::request(to);
    request.insert("resource".into(), RESOURCE.into());
    request.insert("scope".into(), "read".into());
    let code = browser.allow(&request).await;
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
        ("client_id", to),
        ("client_secret", SECRET),
    ];
    let answer = server.form("/token", &pairs).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    text(&answer.json(), "refresh_token").to_owned()
}

fn form<'a>(by: &'a str, token: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let base = [
        ("grant_type", TOKEN_EXCHANGE),
        ("requested_token_type", TOKEN_TYPE),
        ("subject_token", token),
        ("subject_token_type", REFRESH_TOKEN),
        ("audience", PARTNER),
        ("client_id", by),
        ("client_secret", SECRET),
    ];
    let kept = base.into_iter().filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
    kept.chain(more.iter().copied().filter(|(_, value)| !value.is_empty())).collect()
}

async fn ask(server: &Server, token: &str, more: &[(&str, &str)]) -> Answer {
    server.form("/token", &form("assistant", token, more)).await
}

fn is(answer: &Answer, status: StatusCode, error: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (status, error), "{answer:?}");
}

fn assertion(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    text(&answer.json(), "access_token").to_owned()
}

#[tokio::test]
async fn as_160_as_161_as_173_as_171_our_word_about_a_person_for_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(Settings { audit: audited(folder.path()).audit, ..company() }).await;
    let mut browser = server.set_up().await;
    let token = given(&server, &mut browser, "assistant").await;
    let asked = [("resource", CALENDAR), ("scope", "read admin")];
    let answer = ask(&server, &token, &asked).await;
    let compact = assertion(&answer);
    let said = answer.json();
    assert_eq!((text(&said, "issued_token_type"), text(&said, "token_type")), (TOKEN_TYPE, "N_A"));
    assert_eq!((text(&said, "scope"), said["expires_in"].as_u64()), ("read", Some(300)), "{said}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(said.get("refresh_token").is_none());
    let person = server.app.store.people_list(None, 1).await.unwrap()[0].id.to_string();
    let (now, is) = (server.now().seconds(), claims(&compact));
    assert_eq!(head(&compact)["typ"], "oauth-id-jag+jwt");
    for (name, value) in [
        ("iss", json!(ISSUER)),
        ("sub", json!(person)),
        ("aud", json!(PARTNER)),
        ("client_id", json!("acme-assistant")),
        ("iat", json!(now)),
        ("exp", json!(now + 300)),
        ("resource", json!(CALENDAR)),
        ("scope", json!("read")),
    ] {
        assert_eq!(is[name], value, "{name} of {is}");
    }
    assert_eq!(is.as_object().unwrap().len(), 9, "and jti, and nothing else: {is}");
    // The server that it is for reads it with the keys that we publish.
    let keys = KeySet::parse(server.get("/jwks").await.text.as_bytes()).unwrap();
    let expected =
        Expectations { kind: Kind::Identity, issuer: ISSUER, audiences: &[PARTNER], now: server.now() };
    assert!(grant_assertion::verify(&compact, &keys, &expected).is_ok());
    // Without more, all that the rule has; each one has a name of its own.
    let all = claims(&assertion(&ask(&server, &token, &[]).await));
    assert_eq!((&all["resource"], &all["scope"]), (&json!([CALENDAR, NOTES]), &json!("read write")));
    assert_ne!(all["jti"], is["jti"]);
    let written = lines(&server, folder.path());
    let line = written.iter().find(|line| text(line, "event") == "identity_assertion_issued").unwrap();
    assert_eq!((text(line, "person"), text(line, "client")), (&*person, "assistant"));
    assert_eq!((text(line, "resource"), text(line, "client_name")), (PARTNER, "acme-assistant"));
    let signature = compact.rsplit('.').next().unwrap();
    assert!(written.iter().all(|line| !line.to_string().contains(signature)));
    let metadata = server.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(metadata.json()["identity_chaining_requested_token_types_supported"], json!([TOKEN_TYPE]));
    assert!(!metadata.text.contains("partner"), "whom is nobody's business");
    let without = Server::start().await.get("/.well-known/oauth-authorization-server").await.json();
    assert!(without.get("identity_chaining_requested_token_types_supported").is_none());
}

#[tokio::test]
async fn as_158_as_140_only_a_client_that_proves_itself_with_its_own_live_refresh_token() {
    let server = Server::with(company()).await;
    let mut browser = server.set_up().await;
    let token = given(&server, &mut browser, "assistant").await;
    let theirs = given(&server, &mut browser, "other").await;
    is(&ask(&server, &theirs, &[]).await, BAD, "invalid_grant");
    is(
        &server.form("/token", &form("other", &token, &[("audience", ELSEWHERE)])).await,
        BAD,
        "invalid_grant",
    );
    is(&ask(&server, &token, &[("client_secret", "")]).await, StatusCode::UNAUTHORIZED, "invalid_client");
    is(
        &ask(&server, &token, &[("client_secret", "wrong-wrong-wrong-wrong")]).await,
        StatusCode::UNAUTHORIZED,
        "invalid_client",
    );
    let narrow = given(&server, &mut browser, "narrow").await;
    is(&server.form("/token", &form("narrow", &narrow, &[])).await, BAD, "unauthorized_client");
    // A public client may not, even where somebody wrote a rule for it.
    let public = server.register(REDIRECT).await;
    let mut open = company();
    open.cross_domain.push(access(&public, PARTNER, &[CALENDAR], &["read"]));
    let server = server.reloaded(open);
    let code = browser.allow(&Server::request(&public)).await;
    let held = text(&server.redeem(&public, &code).await.json(), "refresh_token").to_owned();
    let pairs = form(&public, &held, &[("client_secret", "")]);
    is(&server.form("/token", &pairs).await, BAD, "unauthorized_client");
    for (name, value, error) in [
        ("subject_token", "", "invalid_request"),
        ("subject_token", "rt_nothing", "invalid_grant"),
        ("subject_token_type", "", "invalid_request"),
        ("subject_token_type", ACCESS_TOKEN, "invalid_request"),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token", "invalid_request"),
        ("actor_token", "a", "invalid_request"),
        ("authorization_details", "[]", "invalid_authorization_details"),
        ("audience", "", "invalid_request"),
    ] {
        is(&ask(&server, &token, &[(name, value)]).await, BAD, error);
    }
    let twice = [("audience", PARTNER), ("audience", ELSEWHERE)];
    is(&ask(&server, &token, &twice).await, BAD, "invalid_request");
    assertion(&ask(&server, &token, &[]).await);
    // It is no rotation; the one before is good as long as a refresh would take it, and then it is a theft.
    let renewed = server
        .form(
            "/token",
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", &token),
                ("client_id", "assistant"),
                ("client_secret", SECRET),
            ],
        )
        .await;
    let second = text(&renewed.json(), "refresh_token").to_owned();
    for held in [&token, &second] {
        assertion(&ask(&server, held, &[]).await);
    }
    let third = server
        .form(
            "/token",
            &[
                ("grant_type", "refresh_token"),
                ("refresh_token", &second),
                ("client_id", "assistant"),
                ("client_secret", SECRET),
            ],
        )
        .await;
    is(&ask(&server, &token, &[]).await, BAD, "invalid_grant");
    let third = text(&third.json(), "refresh_token").to_owned();
    is(&ask(&server, &third, &[]).await, BAD, "invalid_grant");
}

#[tokio::test]
async fn as_159_audience_and_resource_are_a_pair_that_the_operator_wrote_down() {
    let mut settings = company();
    settings.cross_domain.push(access("assistant", ELSEWHERE, &["https://elsewhere.example/mcp"], &["read"]));
    settings.cross_domain.push(access(
        "other",
        "https://third.example",
        &["https://third.example/mcp"],
        &["read"],
    ));
    let server = Server::with(settings).await;
    let mut browser = server.set_up().await;
    let token = given(&server, &mut browser, "assistant").await;
    for (more, error) in [
        (vec![("resource", "https://elsewhere.example/mcp")], "invalid_target"),
        (vec![("resource", CALENDAR), ("resource", "https://elsewhere.example/mcp")], "invalid_target"),
        (vec![("audience", ELSEWHERE), ("resource", CALENDAR)], "invalid_target"),
        (vec![("resource", RESOURCE)], "invalid_target"),
        (vec![("audience", "https://auth.partner.example/")], "invalid_target"),
        (vec![("audience", "https://evil.example")], "invalid_target"),
        (vec![("audience", ISSUER)], "invalid_target"),
        (vec![("audience", "https://third.example")], "access_denied"),
        (vec![("scope", "admin")], "invalid_scope"),
        (vec![("scope", "a \"b")], "invalid_scope"),
        (vec![("audience", ELSEWHERE), ("scope", "write")], "invalid_scope"),
    ] {
        is(&ask(&server, &token, &more).await, BAD, error);
    }
    let there = [("audience", ELSEWHERE), ("resource", "https://elsewhere.example/mcp")];
    let said = claims(&assertion(&ask(&server, &token, &there).await));
    assert_eq!(
        (&said["aud"], &said["resource"]),
        (&json!(ELSEWHERE), &json!("https://elsewhere.example/mcp"))
    );
    // Nothing by default.
    let held = given(&server, &mut browser, "nowhere").await;
    is(&server.form("/token", &form("nowhere", &held, &[])).await, BAD, "access_denied");
    let own =
        Settings { cross_domain: vec![access("assistant", ISSUER, &[RESOURCE], &["read"])], ..company() };
    assert_eq!(own.check(), Err(SettingsError::OwnAudience));
}

#[tokio::test]
async fn as_159_as_147_as_120_it_ends_with_the_sign_in_the_grant_and_the_person() {
    let mut settings = company();
    settings.cross_domain[0].max_age = Some(Duration::from_hours(12));
    let server = Server::with(settings).await;
    let mut browser = server.set_up().await;
    let token = given(&server, &mut browser, "assistant").await;
    assertion(&ask(&server, &token, &[]).await);
    server.push(13 * 3_600);
    let old = ask(&server, &token, &[]).await;
    is(&old, BAD, "insufficient_user_authentication");
    assert_eq!(old.json()["max_age"], 43_200);
    let mut browser = signed_in(&server).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(given(&server, &mut browser, "assistant").await);
        server.push(1);
    }
    let [first, second, third] = held.try_into().unwrap();
    let person = server.app.store.people_list(None, 1).await.unwrap()[0].id;
    let grants = server.app.store.grants_of_person(person, None, 9).await.unwrap();
    let until = server.app.settings.tokens_until(server.now());
    let newest = grants[0].id;
    server.app.store.grant_revoke(newest, RevocationReason::Person, until, server.now()).await.unwrap();
    is(&ask(&server, &third, &[]).await, BAD, "invalid_grant");
    assertion(&ask(&server, &second, &[]).await);
    server.app.store.person_epoch_raise(person, until, server.now()).await.unwrap();
    is(&ask(&server, &first, &[]).await, BAD, "invalid_grant");
    let fourth = given(&server, &mut signed_in(&server).await, "assistant").await;
    assertion(&ask(&server, &fourth, &[]).await);
    server.app.store.person_disable(person, true, until, server.now()).await.unwrap();
    is(&ask(&server, &fourth, &[]).await, BAD, "invalid_grant");
    server.app.store.person_disable(person, false, until, server.now()).await.unwrap();
    let fifth = given(&server, &mut signed_in(&server).await, "assistant").await;
    let block = Block {
        kind: BlockKind::Client,
        key: "assistant".into(),
        created_at: server.now(),
        note: String::new(),
    };
    server.app.store.block_put(block, until).await.unwrap();
    server.app.blocks.reload(&*server.app.store).await.unwrap();
    is(&ask(&server, &fifth, &[]).await, StatusCode::UNAUTHORIZED, "invalid_client");
}

#[tokio::test]
async fn as_161_as_162_as_181_it_is_bound_to_the_key_that_was_proven_and_opens_nothing_here() {
    let server = Server::with(company()).await;
    let mut browser = server.set_up().await;
    let token = given(&server, &mut browser, "assistant").await;
    let key = Key::new();
    let answer = send(&server, &[&key.proof(&server)], &form("assistant", &token, &[])).await;
    assert_eq!(text(&answer.json(), "token_type"), "N_A", "also where it is bound");
    let bound = assertion(&answer);
    assert_eq!(claims(&bound)["cnf"], json!({ "jkt": key.thumbprint() }));
    let plain = assertion(&ask(&server, &token, &[]).await);
    assert!(claims(&plain).get("cnf").is_none());
    // Not an access token, not a subject token, and no grant where it was made.
    let traded = [
        ("requested_token_type", ""),
        ("audience", ""),
        ("subject_token", &*plain),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    is(&ask(&server, &token, &traded).await, BAD, "invalid_request");
    is(&ask(&server, &plain, &[]).await, BAD, "invalid_grant");
    let strange = SigningKey::generate(Algorithm::Es256).unwrap();
    let keys = key_set(&[&strange]).to_string();
    let written = WrittenKeys { jwks: Some(keys.as_bytes()), jwks_uri: None };
    let issuer = TrustedIssuer::new("https://idp.example", &[], None, written).unwrap();
    let trusting = IdentityProvider { issuer, tenant: None, accounts: [("x".into(), NAME.into())].into() };
    let server = server.reloaded(Settings { identity_providers: vec![trusting], ..company() });
    let own = [
        ("grant_type", grant_assertion::GRANT_TYPE),
        ("assertion", &*plain),
        ("client_id", "assistant"),
        ("client_secret", SECRET),
    ];
    is(&server.form("/token", &own).await, BAD, "invalid_grant");
}

/// RFC 9396: what the person gave to the client is less than our word about them would say.
#[tokio::test]
async fn as_158_a_sign_in_for_some_tools_only_is_no_word_for_another_server() {
    let server = Server::with(company()).await;
    server.set_up().await;
    let person = server.app.store.people_list(None, 1).await.unwrap()[0].id;
    let opened = async |details: Option<&str>| {
        let (id, now) = (GrantId::new(server.now(), &SystemEntropy), server.now());
        let grant = NewGrant {
            id,
            attempt: AttemptId::new(now, &SystemEntropy),
            person,
            epoch: 0,
            client_id: "assistant".into(),
            client_name: "Assistant".into(),
            redirect_host: "127.0.0.1".into(),
            resource: RESOURCE.into(),
            scope: "read".into(),
            consented_at: now,
            code_digest: [1; 32],
            from: None,
            key_thumbprint: None,
            details: details.map(str::to_owned),
        };
        assert_eq!(server.app.store.grant_open(grant, now).await.unwrap(), GrantOpened::Opened);
        RefreshToken { grant: id, generation: 0 }.mint(&server.app.keys).expose().to_owned()
    };
    let (whole, part) = (opened(None).await, opened(Some(r#"[{"type":"mcp_tool","tool":"pay"}]"#)).await);
    assertion(&ask(&server, &whole, &[]).await);
    is(&ask(&server, &part, &[]).await, BAD, "invalid_grant");
}
