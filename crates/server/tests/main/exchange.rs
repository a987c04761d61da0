//! Token exchange: who may trade which token, that nothing becomes wider, and that all of it ends with the first.

use crate::{
    audit::{audited, lines},
    machines::key_set,
    proofs::{Key, send},
    support::*,
};
use hallpass_core::{
    jose::{Algorithm, SigningKey},
    secret::SecretString,
    uri::ResourceUri,
};
use hallpass_server::{
    ClientRecord, OperatorClient, Resource, ScopeEntry, Settings, TOKEN_EXCHANGE, digest_of_secret,
};
use hallpass_store::{Block, BlockKind, RevocationReason};
use http::StatusCode;
use serde_json::{Value, json};

const SECRET: &str = "a-secret-of-everybody-here";
const OTHER: &str = "https://auth.example/other";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

fn client(id: &str, change: impl FnOnce(&mut Value)) -> OperatorClient {
    let mut record = json!({
        "name": id, "auth": "client_secret_post", "grant_types": [TOKEN_EXCHANGE],
        "secrets": [digest_of_secret(&SecretString::new(SECRET)).unwrap()],
    });
    change(&mut record);
    let record: ClientRecord = serde_json::from_value(record).unwrap();
    OperatorClient::new(id, &record).unwrap()
}

fn acting_for(id: &str, from: &[&str]) -> OperatorClient {
    client(id, |record| record["exchange_from"] = json!(from))
}

/// An agent for people, a sub-agent of it, one of that, and some who have nothing to do with any of them.
fn agents() -> Settings {
    let mut settings = settings();
    let scope = |name: &str| ScopeEntry { name: name.into(), title: String::new() };
    let uri = ResourceUri::parse(OTHER).unwrap();
    settings.resources.push(Resource::new(uri, "Other".into(), vec![scope("read")]).unwrap());
    settings.resources[0].introspectors = vec!["things".into()];
    let agent = client("agent", |record| {
        record["grant_types"] = json!(["authorization_code", "refresh_token", TOKEN_EXCHANGE]);
        record["redirect_uris"] = json!([REDIRECT]);
        (record["auth"], record["secrets"]) = (json!("none"), json!([]));
    });
    let machine = client("nightly", |record| {
        record["grant_types"] = json!(["client_credentials", TOKEN_EXCHANGE]);
        (record["scopes"], record["resources"]) = (json!(["read", "write"]), json!([RESOURCE]));
    });
    let things = client("things", |record| record["grant_types"] = json!([]));
    settings.clients = vec![
        agent,
        machine,
        things,
        acting_for("helper", &["agent", "third", "nightly"]),
        acting_for("third", &["helper"]),
        acting_for("stranger", &[]),
    ];
    settings
}

/// What a person gave to the agent: both scopes of the first server.
async fn given(server: &Server) -> Value {
    let mut browser = server.set_up().await;
    let mut request = Server::request("agent");
    request.insert("resource".into(), RESOURCE.into());
    request.insert("scope".into(), "read write".into());
    let code = browser.allow(&request).await;
    server.redeem("agent", &code).await.json()
}

async fn trade(server: &Server, by: &str, token: &str, more: &[(&str, &str)]) -> Answer {
    let mut pairs = vec![("grant_type", TOKEN_EXCHANGE), ("client_id", by)];
    if by != "agent" && !by.starts_with("hpc_") {
        pairs.push(("client_secret", SECRET));
    }
    for pair in [("subject_token", token), ("subject_token_type", ACCESS_TOKEN)] {
        if !more.iter().any(|(name, _)| *name == pair.0) {
            pairs.push(pair);
        }
    }
    pairs.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    server.form("/token", &pairs).await
}

fn access(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    text(&answer.json(), "access_token").to_owned()
}

fn is(answer: &Answer, error: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (StatusCode::BAD_REQUEST, error), "{answer:?}");
}

async fn is_active(server: &Server, token: &str) -> bool {
    let pairs = [("client_id", "things"), ("client_secret", SECRET), ("token", token)];
    server.form("/introspect", &pairs).await.json()["active"] == true
}

#[tokio::test]
async fn as_177_as_134_a_sub_agent_gets_less_of_the_same_grant_and_everybody_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(Settings { audit: audited(folder.path()).audit, ..agents() }).await;
    let tokens = given(&server).await;
    let first = text(&tokens, "access_token").to_owned();
    let answer = trade(&server, "helper", &first, &[("scope", "read"), ("resource", RESOURCE)]).await;
    let second = access(&answer);
    let said = answer.json();
    assert_eq!((text(&said, "issued_token_type"), text(&said, "token_type")), (ACCESS_TOKEN, "Bearer"));
    assert_eq!((text(&said, "scope"), answer.header("cache-control")), ("read", "no-store"));
    assert!(said.get("refresh_token").is_none(), "{said}");
    let third = access(&trade(&server, "third", &second, &[("audience", RESOURCE)]).await);
    let (of, part, small) = (claims(&first), claims(&second), claims(&third));
    assert!(of.get("act").is_none());
    assert_eq!(part["act"], json!({"sub": "helper", "act": {"sub": "agent"}}));
    assert_eq!(small["act"], json!({"sub": "third", "act": {"sub": "helper", "act": {"sub": "agent"}}}));
    assert_eq!((&small["client_id"], &small["scope"]), (&json!("third"), &json!("read")));
    for same in ["iss", "sub", "aud"] {
        assert_eq!(small[same], of[same], "{same}");
    }
    assert_ne!(small["jti"], part["jti"]);
    assert!(is_active(&server, &third).await);
    let pairs = [("client_id", "things"), ("client_secret", SECRET), ("token", &*third)];
    assert_eq!(server.form("/introspect", &pairs).await.json()["act"], small["act"]);
    // The agent hands out less of its own, and is named once.
    let own = access(&trade(&server, "agent", &first, &[("scope", "write")]).await);
    assert_eq!((&claims(&own)["act"], &claims(&own)["scope"]), (&json!({"sub": "agent"}), &json!("write")));
    let written = lines(&server, folder.path());
    let traded: Vec<_> = written.iter().filter(|line| text(line, "event") == "token_exchanged").collect();
    let chains: Vec<_> = traded.iter().map(|line| line["act"].clone()).collect();
    assert_eq!(chains, [json!(["helper", "agent"]), json!(["third", "helper", "agent"]), json!(["agent"])]);
    let opened = written.iter().find(|line| text(line, "event") == "grant_opened").unwrap();
    for line in traded {
        assert_eq!((&line["grant"], &line["person"]), (&opened["grant"], &opened["person"]));
    }
}

#[tokio::test]
async fn as_177_nothing_becomes_wider_or_lives_longer() {
    let server = Server::with(agents()).await;
    let tokens = given(&server).await;
    let first = text(&tokens, "access_token").to_owned();
    let small = access(&trade(&server, "helper", &first, &[("scope", "read")]).await);
    for (by, token) in [("third", &small), ("helper", &first)] {
        is(&trade(&server, by, token, &[("scope", "read write list")]).await, "invalid_scope");
    }
    is(&trade(&server, "third", &small, &[("scope", "write")]).await, "invalid_scope");
    is(&trade(&server, "third", &small, &[("scope", "\u{7f}")]).await, "invalid_scope");
    for elsewhere in [("resource", OTHER), ("audience", OTHER), ("audience", "things"), ("resource", "x")] {
        is(&trade(&server, "helper", &first, &[elsewhere]).await, "invalid_target");
    }
    // A moment before it ends, all that comes of it ends with it.
    server.push(599);
    let late = access(&trade(&server, "helper", &first, &[]).await);
    assert_eq!(claims(&late)["exp"], claims(&first)["exp"]);
    server.push(1);
    is(&trade(&server, "helper", &first, &[]).await, "invalid_request");
}

#[tokio::test]
async fn as_177_as_121_only_whom_the_operator_lets_and_only_live_access_tokens_of_ours() {
    let server = Server::with(agents()).await;
    let tokens = given(&server).await;
    let first = text(&tokens, "access_token").to_owned();
    let unlisted = server.register(REDIRECT).await;
    is(&trade(&server, &unlisted, &first, &[]).await, "unauthorized_client");
    for other in ["stranger", "third"] {
        is(&trade(&server, other, &first, &[]).await, "invalid_request");
    }
    let wrong = server
        .form(
            "/token",
            &[
                ("grant_type", TOKEN_EXCHANGE),
                ("client_id", "helper"),
                ("client_secret", "another-secret-of-the-same"),
                ("subject_token", &first),
                ("subject_token_type", ACCESS_TOKEN),
            ],
        )
        .await;
    assert_eq!((wrong.status, wrong.error().as_str()), (StatusCode::UNAUTHORIZED, "invalid_client"));
    let refresh = text(&tokens, "refresh_token");
    for bad in [
        ("subject_token", ""),
        ("subject_token", refresh),
        ("subject_token", "a.b.c"),
        ("subject_token", &altered(&first)),
        ("subject_token_type", ""),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
        ("actor_token", &first),
        ("actor_token_type", ACCESS_TOKEN),
    ] {
        is(&trade(&server, "helper", &first, &[bad]).await, "invalid_request");
    }
    access(&trade(&server, "helper", &first, &[("requested_token_type", ACCESS_TOKEN)]).await);
}

#[tokio::test]
async fn as_177_b_30_what_was_made_of_it_ends_with_the_grant() {
    let server = Server::with(agents()).await;
    let tokens = given(&server).await;
    let first = text(&tokens, "access_token").to_owned();
    let second = access(&trade(&server, "helper", &first, &[]).await);
    let third = access(&trade(&server, "third", &second, &[]).await);
    let grant = hallpass_core::jwt::GrantReference::parse(text(&claims(&third), "jti")).unwrap().grant;
    let until = server.app.settings.tokens_until(server.now());
    let revoked = server.app.store.grant_revoke(grant, RevocationReason::Operator, until, server.now()).await;
    assert!(revoked.unwrap());
    for token in [&first, &second, &third] {
        assert!(!is_active(&server, token).await);
    }
    is(&trade(&server, "third", &second, &[]).await, "invalid_request");
}

#[tokio::test]
async fn as_177_as_136_it_ends_with_each_client_in_its_chain() {
    let server = Server::with(agents()).await;
    let tokens = given(&server).await;
    let first = text(&tokens, "access_token").to_owned();
    let second = access(&trade(&server, "helper", &first, &[]).await);
    let third = access(&trade(&server, "third", &second, &[]).await);
    for (blocked, dead, alive) in
        [("helper", [&second, &third], vec![&first]), ("agent", [&first, &third], vec![])]
    {
        assert!(is_active(&server, dead[0]).await || blocked == "agent");
        let block = Block {
            kind: BlockKind::Client,
            key: blocked.into(),
            created_at: server.now(),
            note: String::new(),
        };
        let until = server.app.settings.tokens_until(server.now());
        server.app.store.block_put(block, until).await.unwrap();
        server.app.blocks.reload(&*server.app.store).await.unwrap();
        for token in dead {
            assert!(!is_active(&server, token).await, "{blocked}");
        }
        for token in alive {
            assert!(is_active(&server, token).await, "{blocked}");
        }
    }
}

/// Two that act for each other could make the token longer with every turn.
#[tokio::test]
async fn as_177_t_95_a_chain_has_an_end() {
    let server = Server::with(agents()).await;
    let mut token = text(&given(&server).await, "access_token").to_owned();
    for turn in 0..4 {
        token = access(&trade(&server, if turn % 2 == 0 { "helper" } else { "third" }, &token, &[]).await);
    }
    let refused = trade(&server, "helper", &token, &[]).await;
    is(&refused, "invalid_request");
    assert!(refused.text.contains("too many hands"), "{refused:?}");
    access(&trade(&server, "third", &token, &[]).await);
}

/// `sub` would say the machine where a person is expected (RFC 9700 §4.15).
#[tokio::test]
async fn as_177_as_153_a_machine_trades_its_own_token_and_nobody_elses_hands_do() {
    let server = Server::with(agents()).await;
    let pairs = [("grant_type", "client_credentials"), ("client_id", "nightly"), ("client_secret", SECRET)];
    let token = access(&server.form("/token", &pairs).await);
    let less = access(&trade(&server, "nightly", &token, &[("scope", "read")]).await);
    assert_eq!((&claims(&less)["sub"], &claims(&less)["scope"]), (&json!("nightly"), &json!("read")));
    assert!(is_active(&server, &less).await);
    is(&trade(&server, "helper", &token, &[]).await, "invalid_request");
    let gone = [("client_id", "nightly"), ("client_secret", SECRET), ("token", &*token)];
    assert_eq!(server.form("/revoke", &gone).await.status, StatusCode::OK);
    assert!(!is_active(&server, &less).await, "what was made of it ends with it");
}

#[tokio::test]
async fn as_177_t_27_an_assertion_pays_for_one_exchange_and_a_refusal_burns_none() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let mut settings = agents();
    let signing = client("helper", |record| {
        (record["auth"], record["secrets"]) = (json!("private_key_jwt"), json!([]));
        (record["jwks"], record["exchange_from"]) = (key_set(&[&key]), json!(["agent"]));
    });
    settings.clients.retain(|client| client.id() != "helper");
    settings.clients.push(signing);
    let server = Server::with(settings).await;
    let tokens = given(&server).await;
    let assertion = crate::machines::assertion(&server, &key, "helper");
    let ask = async |scope: &str| {
        let pairs = [
            ("grant_type", TOKEN_EXCHANGE),
            ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
            ("client_assertion", &assertion),
            ("subject_token", text(&tokens, "access_token")),
            ("subject_token_type", ACCESS_TOKEN),
            ("scope", scope),
        ];
        server.form("/token", &pairs).await
    };
    is(&ask("list").await, "invalid_scope");
    access(&ask("read").await);
    assert_eq!(ask("read").await.error(), "invalid_client", "spent");
}

/// An exchange must not make a bearer token of what a thief cannot use (RFC 9449 §5).
#[tokio::test]
async fn as_177_as_194_t_23_what_is_bound_is_exchanged_with_its_key_and_stays_bound() {
    let server = Server::with(agents()).await;
    let (key, other) = (Key::new(), Key::new());
    let code = {
        let mut browser = server.set_up().await;
        browser.allow(&Server::request("agent")).await
    };
    let pairs = [
        ("grant_type", "authorization_code"),
        ("client_id", "agent"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
    ];
    let token = access(&send(&server, &[&key.proof(&server)], &pairs).await);
    let pairs = [
        ("grant_type", TOKEN_EXCHANGE),
        ("client_id", "helper"),
        ("client_secret", SECRET),
        ("subject_token", &*token),
        ("subject_token_type", ACCESS_TOKEN),
    ];
    assert_eq!(send(&server, &[], &pairs).await.error(), "invalid_dpop_proof");
    assert_eq!(send(&server, &[&other.proof(&server)], &pairs).await.error(), "invalid_grant");
    let answer = send(&server, &[&key.proof(&server)], &pairs).await;
    assert_eq!(text(&answer.json(), "token_type"), "DPoP");
    assert_eq!(claims(&access(&answer))["cnf"], claims(&token)["cnf"]);
}

#[tokio::test]
async fn as_177_what_an_operator_limits_lives_no_longer_and_never_longer_than_what_it_came_of() {
    let limited = |id: &str, from: &str, seconds: u64| {
        client(id, |record| {
            (record["exchange_from"], record["exchange_lifetime"]) = (json!([from]), json!(seconds));
        })
    };
    let mut settings = agents();
    settings.clients.retain(|client| !["helper", "third"].contains(&client.id()));
    settings.clients.extend([limited("helper", "agent", 120), limited("third", "helper", 3_600)]);
    let server = Server::with(settings).await;
    let first = text(&given(&server).await, "access_token").to_owned();
    let answer = trade(&server, "helper", &first, &[]).await;
    let second = access(&answer);
    let ends = |token: &str| claims(token)["exp"].as_i64().unwrap();
    assert_eq!(
        (answer.json()["expires_in"].as_u64(), ends(&second)),
        (Some(120), server.now().seconds() + 120)
    );
    assert_eq!(ends(&first), server.now().seconds() + 600);
    let third = access(&trade(&server, "third", &second, &[]).await);
    assert_eq!(ends(&third), ends(&second), "an hour is no two minutes");
    let own = access(&trade(&server, "agent", &first, &[]).await);
    assert_eq!(ends(&own), ends(&first), "it has no limit of its own");
    server.push(120);
    assert!(is_active(&server, &first).await && !is_active(&server, &second).await);
    is(&trade(&server, "third", &second, &[]).await, "invalid_request");
    server.push(430);
    assert_eq!(
        ends(&access(&trade(&server, "helper", &first, &[]).await)),
        ends(&first),
        "50 seconds are left"
    );
}
