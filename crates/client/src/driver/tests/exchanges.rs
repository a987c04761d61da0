//! A narrower token for a sub-agent.
use super::world::*;
use crate::{
    driver::{ExchangeOptions, LoginOptions, Proofs, Settings},
    error::ClientError,
    exchange::TOKEN_EXCHANGE,
    machine::{MachineAuth, MachineClient},
    token::TokenError,
};
use hallpass_core::{scope::Scope, secret::SecretString};
use serde_json::json;
use std::sync::Arc;

fn options() -> ExchangeOptions {
    ExchangeOptions {
        client: MachineClient {
            client_id: "researcher".into(),
            auth: MachineAuth::Secret(SecretString::new("s")),
        },
        subject_token: SecretString::new("agents"),
        scope: Scope::parse("read").unwrap(),
        issuer: None,
    }
}

async fn exchange_world() -> World {
    let world = World::new().await;
    world.set(|knobs| {
        knobs.metadata = vec![
            ("grant_types_supported", json!(["authorization_code", TOKEN_EXCHANGE])),
            ("token_endpoint_auth_methods_supported", json!(["client_secret_post"])),
        ];
    });
    world
}

#[tokio::test]
async fn a_sub_agent_gets_a_part_of_what_its_agent_may_do_and_keeps_nothing() {
    let world = exchange_world().await;
    let token = world.client.exchange(&world.mcp, &options()).await.unwrap();
    assert_eq!((token.token.expose(), token.scope.to_string().as_str()), ("access-1", "read"));
    assert!(token.expires_at.is_some());
    let asked = world.asked("/token");
    let form = asked[0].form();
    for (name, value) in [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", "agents"),
        ("resource", world.mcp.as_str()),
        ("scope", "read"),
        ("client_id", "researcher"),
        ("client_secret", "s"),
    ] {
        assert_eq!(form.all(name).collect::<Vec<_>>(), [value], "{name}");
    }
    assert_eq!(world.kept(), crate::storage::Contents::default());
    assert!(world.asked("/register").is_empty() && world.asked("/authorize").is_empty());
    // What is refused is not tried in another way.
    world.set(|knobs| {
        knobs.instead =
            vec![("/token", 400, String::new(), json!({ "error": "invalid_request" }).to_string())];
    });
    let end = error(world.client.exchange(&world.mcp, &options()).await);
    assert!(matches!(end, ClientError::Token(TokenError::Refused)), "{end:?}");
    assert_eq!(world.asked("/token").len(), 2);
}

#[tokio::test]
async fn cl_025_t_50_a_server_does_not_choose_who_gets_an_agents_token() {
    let world = exchange_world().await;
    let elsewhere = world.is_elsewhere();
    // Also where no secret goes with it.
    let without = ExchangeOptions {
        client: MachineClient { client_id: "researcher".into(), auth: MachineAuth::None },
        ..options()
    };
    for options in [options(), without] {
        let end = error(world.client.exchange(&world.mcp, &options).await);
        assert!(matches!(end, ClientError::SecretForWhom(issuer) if issuer == elsewhere));
    }
    assert!(world.asked("/token").is_empty());
    let named = ExchangeOptions { issuer: Some(elsewhere), ..options() };
    world.client.exchange(&world.mcp, &named).await.unwrap();
}

#[tokio::test]
async fn an_agent_hands_on_a_part_of_its_own_sign_in() {
    let world = exchange_world().await;
    let (scope, metadata) =
        (Scope::parse("read").unwrap(), vec![("grant_types_supported", json!(["authorization_code"]))]);
    world.set(|knobs| knobs.metadata = metadata);
    let end = error(world.client.narrowed(&world.mcp, "default", &scope).await);
    assert!(matches!(end, ClientError::SignInNeeded));
    world.login().await.unwrap();
    let kept = world.kept();
    let token = world.client.narrowed(&world.mcp, "default", &scope).await.unwrap();
    assert_eq!(token.token.expose(), "access-3");
    let form = world.asked("/token")[1].form();
    let sent = ["subject_token", "client_id", "scope"].map(|name| form.get(name).unwrap().to_owned());
    assert_eq!(sent, ["access-2", "client-1", "read"]);
    assert_eq!(world.kept(), kept, "its own sign-in is as it was");
}

#[tokio::test]
async fn what_is_bound_to_a_key_is_not_handed_on() {
    let world = World::new().await;
    world.set(|knobs| {
        knobs.bound = true;
        knobs.metadata = vec![("dpop_signing_alg_values_supported", json!(["ES256"]))];
    });
    let settings = Settings { proofs: Proofs::WhereOffered, ..Settings::default() };
    let client = client(world.folder.path().join("state"), Arc::clone(&world.clock), settings);
    client.login(&world.mcp, &LoginOptions::default(), &mut Robot::default()).await.unwrap();
    let asked = world.asked("/token").len();
    let end = error(client.narrowed(&world.mcp, "default", &Scope::parse("read").unwrap()).await);
    assert!(matches!(end, ClientError::BoundToken));
    assert_eq!(world.asked("/token").len(), asked);
}
