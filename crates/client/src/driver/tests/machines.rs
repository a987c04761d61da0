//! Sign-ins without a person.
use super::world::*;
use crate::{
    assertion::{KeyFile, KeyFileError},
    discovery::DiscoveryError,
    driver::{MachineOptions, Revoked, Settings, SignIn},
    error::ClientError,
    machine::{IdentityProvider, MachineAuth, MachineClient, MachineGrant, SubjectToken},
    storage::{ClientCredentials, TokenAuth},
    token::TokenError,
};
use hallpass_core::{
    encoding::from_base64url,
    jose::{Algorithm, SigningKey},
    mcp::revision::Revision,
    scope::Scope,
    secret::SecretString,
    uri::EndpointUrl,
};
use serde_json::{Value, json};
use std::sync::Arc;

fn options(grant: MachineGrant) -> MachineOptions {
    let client =
        MachineClient { client_id: "robot".into(), auth: MachineAuth::Secret(SecretString::new("s")) };
    MachineOptions { account: "default".into(), client, grant, scope: None, issuer: None }
}

/// An authorization server without people: no authorization endpoint, no PKCE.
async fn machine_world(grant_type: &'static str) -> World {
    let world = World::new().await;
    world.set(|knobs| {
        knobs.metadata = vec![
            ("grant_types_supported", json!([grant_type])),
            ("authorization_endpoint", json!(null)),
            ("code_challenge_methods_supported", json!(null)),
            ("token_endpoint_auth_methods_supported", json!(["client_secret_post"])),
            ("scopes_supported", json!(["read", "offline_access"])),
        ];
    });
    world
}

#[tokio::test]
async fn cl_089_client_credentials_register_nobody_and_open_no_page() {
    let world = machine_world("client_credentials").await;
    let mut caller = world.client.caller(&world.mcp, "default").unwrap();
    let options = options(MachineGrant::ClientCredentials);
    let mut sign_in = SignIn::Machine(&options);
    for _ in 0..2 {
        drop(caller.call_signing_in("tools/list", None, &mut sign_in).await.unwrap());
    }
    assert!(world.asked("/authorize").is_empty() && world.asked("/register").is_empty());
    let requests = world.asked("/token");
    assert_eq!(requests.len(), 1);
    let form = requests[0].form();
    for (name, value) in [
        ("grant_type", "client_credentials"),
        ("client_id", "robot"),
        ("client_secret", "s"),
        ("resource", &world.mcp),
        // Not offline_access: a program asks again.
        ("scope", "read write"),
    ] {
        assert_eq!(form.get(name), Some(value), "{name}");
    }
    assert_eq!(world.kept().entries[0].tokens.refresh_token, None);
}

#[tokio::test]
async fn cl_025_credentials_go_to_no_other_issuer_than_theirs() {
    let world = machine_world("client_credentials").await;
    let issuer = Some("https://as.example".to_owned());
    let options = MachineOptions { issuer, ..options(MachineGrant::ClientCredentials) };
    let end = error(world.client.login_machine(&world.mcp, &options).await);
    assert!(matches!(end, ClientError::Discovery(DiscoveryError::NoIssuer)));
    assert!(world.at_as.lock().unwrap().is_empty());
}

#[tokio::test]
async fn cl_093_a_refused_assertion_is_not_tried_again_and_not_in_another_way() {
    let grant = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let world = machine_world(grant).await;
    let refused = json!({ "error": "invalid_grant" }).to_string();
    world.set(|knobs| knobs.instead = vec![("/token", 400, String::new(), refused)]);
    let mut caller = world.client.caller(&world.mcp, "default").unwrap();
    let options = options(MachineGrant::Workload(SecretString::new("w.l.t")));
    let end = caller.call_signing_in("tools/list", None, &mut SignIn::Machine(&options)).await.map(drop);
    assert!(matches!(error(end), ClientError::Token(TokenError::InvalidGrant)));
    let requests = world.asked("/token");
    assert_eq!(requests.len(), 1);
    assert_eq!(
        (requests[0].form().get("grant_type"), requests[0].form().get("assertion")),
        (Some(grant), Some("w.l.t"))
    );
    assert!(world.asked("/authorize").is_empty());
}

#[tokio::test]
async fn cl_090_cl_091_each_enterprise_sign_in_has_an_assertion_of_its_own() {
    let world = machine_world("urn:ietf:params:oauth:grant-type:jwt-bearer").await;
    let provider = bind().await;
    let endpoint = format!("{}/token", origin(&provider));
    let count = std::sync::atomic::AtomicU32::new(0);
    let log = serve(provider, move |_| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let kind = "urn:ietf:params:oauth:token-type:id-jag";
        Reply::json(
            &json!({ "access_token": format!("jag-{number}"), "issued_token_type": kind, "token_type": "N_A" }),
        )
    });
    let grant = MachineGrant::Enterprise(IdentityProvider {
        token_endpoint: EndpointUrl::parse(&endpoint).unwrap(),
        client: ClientCredentials { client_id: "at-idp".into(), client_secret: None, auth: TokenAuth::None },
        subject: SubjectToken::IdToken(SecretString::new("id-token-canary")),
    });
    let options = MachineOptions { scope: Some(Scope::parse("read").unwrap()), ..options(grant) };
    for _ in 0..2 {
        world.client.login_machine(&world.mcp, &options).await.unwrap();
    }
    let sent: Vec<String> =
        world.asked("/token").iter().map(|seen| seen.form().get("assertion").unwrap().to_owned()).collect();
    assert_eq!(sent, ["jag-0", "jag-1"]);
    let asked = log.lock().unwrap()[0].form();
    let audience = (asked.get("audience"), asked.get("resource"), asked.get("scope"));
    assert_eq!(audience, (Some(world.issuer.as_str()), Some(world.mcp.as_str()), Some("read")));
    // What the person brought goes to the company and to nobody else.
    assert!(world.at_as.lock().unwrap().iter().all(|seen| !seen.body.contains("canary")));
    assert!(world.at_mcp.lock().unwrap().iter().all(|seen| !seen.body.contains("canary")));
}

#[tokio::test]
async fn a_server_without_the_grant_is_not_asked_for_it() {
    let world = World::new().await;
    world.set(|knobs| knobs.metadata = vec![("grant_types_supported", json!(["authorization_code"]))]);
    let end = error(world.client.login_machine(&world.mcp, &options(MachineGrant::ClientCredentials)).await);
    assert!(matches!(end, ClientError::Discovery(DiscoveryError::NoMachineGrant)));
    assert!(world.asked("/token").is_empty());
}

#[tokio::test]
async fn cl_088_what_is_in_use_is_declared_and_grants_that_are_not_listed_are_tried() {
    let world = World::new().await;
    world.set(|knobs| knobs.stateless = true);
    let settings = Settings {
        revision: Some(Revision::V2026_07_28),
        proofs: crate::driver::Proofs::WhereOffered,
        ..Settings::default()
    };
    let client = client(world.folder.path().join("other"), Arc::clone(&world.clock), settings);
    let workload = options(MachineGrant::Workload(SecretString::new("w.l.t")));
    let workload =
        MachineOptions { client: MachineClient { auth: MachineAuth::None, ..workload.client }, ..workload };
    let mut caller = client.caller(&world.mcp, "default").unwrap();
    drop(caller.call_signing_in("tools/list", None, &mut SignIn::Machine(&workload)).await.unwrap());
    let declared = world.called().last().unwrap().json()["params"]["_meta"]
        ["io.modelcontextprotocol/clientCapabilities"]["extensions"]
        .clone();
    assert_eq!(
        declared,
        json!({ "io.modelcontextprotocol/auth/dpop": {}, "io.modelcontextprotocol/auth/wif": {} })
    );
}

#[tokio::test]
async fn cl_078_a_machine_asks_for_more_once_or_stops() {
    let world = machine_world("client_credentials").await;
    let widely = options(MachineGrant::ClientCredentials);
    world.client.login_machine(&world.mcp, &widely).await.unwrap();
    let challenge = "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"admin\"\r\n";
    let refuse = |times| {
        world.set(|knobs| {
            knobs.instead = vec![("/mcp", 403, challenge.into(), String::new())];
            knobs.times.insert("/mcp", times);
        });
    };
    refuse(1);
    let mut caller = world.client.caller(&world.mcp, "default").unwrap();
    drop(caller.call_signing_in("tools/list", None, &mut SignIn::Machine(&widely)).await.unwrap());
    let asked = world.asked("/token");
    assert_eq!((asked.len(), asked[1].form().get("scope")), (2, Some("read write admin")));
    // What is refused all the same is not asked for for ever, and who has fixed scopes asks for no others.
    refuse(9);
    let end = caller.call_signing_in("tools/list", None, &mut SignIn::Machine(&widely)).await.map(drop);
    assert!(matches!(error(end), ClientError::MoreScopeNeeded(_)));
    let before = world.asked("/token").len();
    let fixed = MachineOptions { scope: Some(Scope::parse("read").unwrap()), ..widely };
    let end = caller.call_signing_in("tools/list", None, &mut SignIn::Machine(&fixed)).await.map(drop);
    assert!(matches!(error(end), ClientError::MoreScopeNeeded(_)));
    assert_eq!(world.asked("/token").len(), before);
}

/// The forms that were sent to the token endpoint so far.
fn sent(world: &World) -> Vec<hallpass_core::parameters::Parameters> {
    world.asked("/token").iter().map(Seen::form).collect()
}

fn by_key(path: &std::path::Path) -> MachineOptions {
    let file = KeyFile { path: path.to_str().unwrap().to_owned(), key_id: Some("k1".into()) };
    let client = MachineClient { client_id: "robot".into(), auth: MachineAuth::KeyFile(file) };
    MachineOptions { client, ..options(MachineGrant::ClientCredentials) }
}

#[tokio::test]
async fn cl_089_a_program_signs_in_once_and_renews_without_anybody() {
    let world = machine_world("client_credentials").await;
    world.client.login_machine(&world.mcp, &options(MachineGrant::ClientCredentials)).await.unwrap();
    // Another process, which knows nothing but the folder.
    let other = client(world.folder.path().join("state"), Arc::clone(&world.clock), Settings::default());
    let first = other.token(&world.mcp, "default").await.unwrap().token;
    assert_eq!(sent(&world).len(), 1, "a good one is used");
    world.clock.push(std::time::Duration::from_hours(2));
    let second = other.token(&world.mcp, "default").await.unwrap().token;
    assert_ne!(first, second);
    let forms = sent(&world);
    for name in ["grant_type", "client_id", "client_secret", "resource", "scope"] {
        assert_eq!(forms[1].get(name), forms[0].get(name), "{name}");
    }
    assert_eq!(world.kept().entries[0].tokens.refresh_token, None);
    // One that the server does not take any more is replaced too, and the call goes on.
    world.set(|knobs| knobs.good.clear());
    let mut caller = other.caller(&world.mcp, "default").unwrap();
    drop(caller.call("tools/list", None).await.unwrap());
    assert_eq!(sent(&world).len(), 3);
    // A server that does not know the program any more ends nothing that still works, and registers nobody.
    let unknown = json!({ "error": "invalid_client" }).to_string();
    world.set(|knobs| knobs.instead = vec![("/token", 401, String::new(), unknown)]);
    world.clock.push(std::time::Duration::from_secs(3_590));
    other.token(&world.mcp, "default").await.unwrap();
    world.clock.push(std::time::Duration::from_mins(1));
    let end = error(other.token(&world.mcp, "default").await.map(drop));
    assert!(matches!(end, ClientError::Token(TokenError::InvalidClient)));
    assert!(world.asked("/register").is_empty());
    assert_eq!(world.kept().entries.len(), 1);
}

#[tokio::test]
async fn cl_054_a_key_is_read_from_its_file_each_time_and_kept_nowhere_else() {
    let world = machine_world("client_credentials").await;
    world.set(|knobs| {
        let methods = json!(["private_key_jwt"]);
        knobs.metadata.push(("token_endpoint_auth_methods_supported", methods));
    });
    let path = world.folder.path().join("robot.pem");
    let write = |algorithm| {
        let pem = crate::assertion::tests::pem(&SigningKey::generate(algorithm).unwrap());
        std::fs::write(&path, pem.expose()).unwrap();
        pem.expose().lines().nth(1).unwrap().to_owned()
    };
    let end = error(world.client.login_machine(&world.mcp, &by_key(&path)).await);
    assert!(matches!(end, ClientError::KeyFile(KeyFileError::File { .. })));
    std::fs::write(&path, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    let end = error(world.client.login_machine(&world.mcp, &by_key(&path)).await);
    assert!(matches!(end, ClientError::KeyFile(KeyFileError::Key { .. })));
    assert!(world.asked("/token").is_empty());
    let secret = write(Algorithm::Es256);
    world.client.login_machine(&world.mcp, &by_key(&path)).await.unwrap();
    assert!(!format!("{:?}", world.kept()).contains(&secret));
    // The operator has given it another one.
    write(Algorithm::EdDsa);
    world.clock.push(std::time::Duration::from_hours(2));
    world.client.token(&world.mcp, "default").await.unwrap();
    let algorithms: Vec<Value> = sent(&world)
        .iter()
        .map(|form| {
            assert_eq!((form.get("client_id"), form.get("client_secret")), (Some("robot"), None));
            let head = form.get("client_assertion").unwrap().split('.').next().unwrap().to_owned();
            let head: Value = serde_json::from_slice(&from_base64url(&head).unwrap()).unwrap();
            assert_eq!(head["kid"], json!("k1"));
            head["alg"].clone()
        })
        .collect();
    assert_eq!(algorithms, [json!("ES256"), json!("EdDSA")]);
    // Signing out proves it too.
    let out = world.client.logout(&world.mcp, "default").await.unwrap();
    assert_eq!(out[0].revoked, Revoked::Yes);
    assert!(world.asked("/revoke")[0].form().get("client_assertion").is_some());
}

#[tokio::test]
async fn cl_025_t_50_a_server_does_not_choose_who_gets_a_secret() {
    let world = machine_world("client_credentials").await;
    let elsewhere = world.is_elsewhere();
    let unnamed = options(MachineGrant::ClientCredentials);
    let end = error(world.client.login_machine(&world.mcp, &unnamed).await);
    assert!(matches!(end, ClientError::SecretForWhom(issuer) if issuer == elsewhere));
    assert!(world.asked("/token").is_empty());
    let named = MachineOptions { issuer: Some(elsewhere.clone()), ..unnamed };
    world.client.login_machine(&world.mcp, &named).await.unwrap();
    // A proof that is made out to one issuer is of no use to another.
    let path = world.folder.path().join("robot.pem");
    let pem = crate::assertion::tests::pem(&SigningKey::generate(Algorithm::Es256).unwrap());
    std::fs::write(&path, pem.expose()).unwrap();
    world.client.login_machine(&world.mcp, &by_key(&path)).await.unwrap();
    assert_eq!(sent(&world).len(), 2);
}
