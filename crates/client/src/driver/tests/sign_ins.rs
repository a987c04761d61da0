//! Calls that sign in by themselves, and where they stop.
use super::world::*;
use crate::{
    driver::{Client, LoginOptions, Registered, Settings, SignIn},
    error::ClientError,
    wire::Incoming,
};
use hallpass_core::{
    mcp::revision::Revision,
    parameters::{Limits, Parameters},
    scope::Scope,
    secret::SecretString,
};
use serde_json::{Value, json};
use std::sync::Arc;

/// One call of a new conversation, by a person who agrees to everything.
async fn call(client: &Client, server: &str, options: &LoginOptions) -> Result<Value, ClientError> {
    let mut caller = client.caller(server, "default").unwrap();
    let mut robot = Robot::default();
    let mut sign_in = SignIn::Person { options, interaction: &mut robot };
    let messages = caller.call_signing_in("tools/list", None, &mut sign_in).await;
    match messages.map_err(|failed| failed.error)?.next().await {
        Ok(Some(Incoming::Result(result))) => Ok(result),
        other => panic!("{other:?}"),
    }
}

fn scopes(world: &World) -> Vec<String> {
    let scope = |seen: &Seen| seen.query().get("scope").unwrap_or_default().to_owned();
    world.asked("/authorize").iter().map(scope).collect()
}

#[tokio::test]
async fn cl_033_the_challenge_of_the_refused_call_counts() {
    let world = World::new().await;
    world.set(|knobs| knobs.challenge_scope = Some("just-this"));
    call(&world.client, &world.mcp, &LoginOptions::default()).await.unwrap();
    assert_eq!(scopes(&world), ["just-this"]);
    // Refused once, and not asked again what it wants.
    let without = world.called().iter().filter(|seen| !seen.headers.contains_key("authorization")).count();
    assert_eq!(without, 1);
    call(&world.client, &world.mcp, &LoginOptions::default()).await.unwrap();
    assert_eq!(world.asked("/authorize").len(), 1);
}

const MORE: &str = "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"admin read\"\r\n";

#[tokio::test]
async fn cl_076_more_scopes_are_asked_for_in_union_and_the_call_is_sent_again() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.set(|knobs| {
        knobs.instead = vec![("/mcp", 403, MORE.into(), String::new())];
        knobs.times.insert("/mcp", 1);
    });
    call(&world.client, &world.mcp, &LoginOptions::default()).await.unwrap();
    assert_eq!(scopes(&world), ["read write", "read write admin"]);
}

#[tokio::test]
async fn cl_077_t_66_a_server_that_is_never_content_is_asked_once_for_each_set() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.set(|knobs| knobs.instead = vec![("/mcp", 403, MORE.into(), String::new())]);
    let mut caller = world.client.caller(&world.mcp, "default").unwrap();
    let (options, mut robot) = (LoginOptions::default(), Robot::default());
    let mut sign_in = SignIn::Person { options: &options, interaction: &mut robot };
    for _ in 0..3 {
        let end = error(caller.call_signing_in("tools/list", None, &mut sign_in).await.map(drop));
        assert!(matches!(end, ClientError::MoreScopeNeeded(_)));
        assert_eq!(world.asked("/authorize").len(), 2);
    }
}

#[tokio::test]
async fn cl_077_t_66_a_server_that_refuses_every_token_is_signed_in_to_three_times() {
    let world = World::new().await;
    world.set(|knobs| {
        knobs.instead = vec![("/mcp", 401, "www-authenticate: Bearer\r\n".into(), String::new())];
    });
    let end = call(&world.client, &world.mcp, &LoginOptions::default()).await.unwrap_err();
    assert!(matches!(end, ClientError::SignInNeeded));
    assert_eq!(world.asked("/authorize").len(), 3);
}

#[tokio::test]
async fn cl_036_whoever_chose_the_scopes_is_not_asked_for_others() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.set(|knobs| knobs.instead = vec![("/mcp", 403, MORE.into(), String::new())]);
    let options = LoginOptions { scope: Some(Scope::parse("read").unwrap()), ..LoginOptions::default() };
    let end = call(&world.client, &world.mcp, &options).await.unwrap_err();
    assert!(matches!(end, ClientError::MoreScopeNeeded(_)));
    assert_eq!(world.asked("/authorize").len(), 1);
}

#[tokio::test]
async fn cl_080_a_refusal_by_the_person_is_not_asked_again() {
    let world = World::new().await;
    let mut caller = world.client.caller(&world.mcp, "default").unwrap();
    let deny = |url: &str| {
        let query = Parameters::parse(url.split_once('?').unwrap().1.as_bytes(), Limits::default()).unwrap();
        let get = |name| query.get(name).unwrap();
        let iss = url.split("/authorize").next().unwrap();
        let back = format!("{}?error=access_denied&state={}&iss={iss}", get("redirect_uri"), get("state"));
        tokio::spawn(async move { super::world::get(&back).await });
    };
    let mut robot = Robot { instead: Some(Box::new(deny)), ..Robot::default() };
    let options = LoginOptions::default();
    let mut sign_in = SignIn::Person { options: &options, interaction: &mut robot };
    let end = error(caller.call_signing_in("tools/list", None, &mut sign_in).await.map(drop));
    assert!(matches!(end, ClientError::Callback(crate::callback::CallbackError::Denied)), "{end:?}");
    assert_eq!(robot.pages.len(), 1);
}

#[tokio::test]
async fn cl_014_cl_025_b_41_a_new_authorization_server_sees_nothing_of_the_old_one() {
    let world = World::new().await;
    world.login().await.unwrap();
    let (issuer, log) = world.moves().await;
    world.set(|knobs| {
        knobs.good.clear();
        // The old one is gone for this grant.
        knobs.refresh = None;
    });
    call(&world.client, &world.mcp, &LoginOptions::default()).await.unwrap();
    let seen: Vec<Seen> = log.lock().unwrap().clone();
    let paths: Vec<&str> = seen.iter().map(Seen::path).collect();
    let expected = ["/.well-known/oauth-authorization-server", "/register", "/authorize", "/token"];
    assert_eq!(paths, expected);
    for request in &seen {
        let text = format!("{} {:?} {}", request.target, request.headers, request.body);
        assert!(
            !text.contains("client-1") && !text.contains("refresh-") && !text.contains("access-"),
            "{text}"
        );
    }
    assert_eq!(world.kept().entries.len(), 1);
    assert_eq!(world.kept().entries[0].key.issuer, issuer);
}

#[tokio::test]
async fn cl_025_a_registration_made_beforehand_is_used_at_its_issuer_only() {
    for at_this_one in [true, false] {
        let world = World::new().await;
        let issuer = if at_this_one { world.issuer.clone() } else { format!("{}/", world.issuer) };
        world.set(|knobs| {
            let methods = json!(["client_secret_post", "none"]);
            knobs.metadata = vec![("token_endpoint_auth_methods_supported", methods)];
        });
        let client_secret = Some(SecretString::new("secret-canary"));
        let registered = vec![Registered { issuer, client_id: "beforehand".into(), client_secret }];
        let settings = Settings { registered, ..Settings::default() };
        let client = client(world.folder.path().join("other"), Arc::clone(&world.clock), settings);
        call(&client, &world.mcp, &LoginOptions::default()).await.unwrap();
        let form = world.asked("/token")[0].form();
        let expected =
            if at_this_one { (Some("beforehand"), Some("secret-canary")) } else { (Some("client-1"), None) };
        assert_eq!((form.get("client_id"), form.get("client_secret")), expected);
        assert_eq!(world.asked("/register").len(), usize::from(!at_this_one));
    }
}

#[tokio::test]
async fn a_server_that_is_known_to_be_stateless_is_never_asked_to_initialize() {
    let world = World::new().await;
    world.set(|knobs| knobs.stateless = true);
    let settings = Settings { revision: Some(Revision::V2026_07_28), ..Settings::default() };
    let client = client(world.folder.path().join("other"), Arc::clone(&world.clock), settings);
    client.login(&world.mcp, &LoginOptions::default(), &mut Robot::default()).await.unwrap();
    call(&client, &world.mcp, &LoginOptions::default()).await.unwrap();
    let methods: Vec<Value> = world.called().iter().map(|seen| seen.json()["method"].clone()).collect();
    assert_eq!(methods, ["server/discover", "tools/list"]);
}

#[tokio::test]
async fn cl_059_what_was_granted_is_kept_beside_what_was_asked_for() {
    let world = World::new().await;
    let less =
        json!({ "access_token": "access-less", "token_type": "Bearer", "scope": "read other" }).to_string();
    world.set(|knobs| {
        knobs.instead = vec![("/token", 200, String::new(), less)];
        knobs.good.insert("access-less".into());
    });
    let done = world.login().await.unwrap();
    assert_eq!(
        (done.requested_scope.to_string(), done.scope.to_string()),
        ("read write".into(), "read other".into())
    );
    assert_eq!(done.not_granted().to_string(), "write");
    let kept = world.kept().entries[0].clone();
    assert_eq!((kept.tokens.scope, kept.requested_scope), (done.scope, done.requested_scope));
    // It is used for what it is good for, and a call that it is not good for asks for what is missing, as ever.
    world.set(|knobs| {
        knobs.instead = vec![("/mcp", 403, MORE.into(), String::new())];
        knobs.times.insert("/mcp", 1);
    });
    call(&world.client, &world.mcp, &LoginOptions::default()).await.unwrap();
    assert_eq!(scopes(&world), ["read write", "read write admin"]);
}

#[tokio::test]
async fn cl_027_cl_025_an_id_that_was_brought_once_serves_again_at_its_issuer_alone() {
    let world = World::new().await;
    world.set(|knobs| knobs.metadata = vec![("registration_endpoint", json!(null))]);
    let client = Some(("given".to_owned(), None));
    world.login_with(&LoginOptions { client, ..LoginOptions::default() }).await.unwrap();
    // A bridge, say: the server asks for more, and nobody can name the id again.
    world
        .login_with(&LoginOptions { more_scope: Scope::parse("admin").ok(), ..LoginOptions::default() })
        .await
        .unwrap();
    let ids: Vec<String> = world
        .asked("/authorize")
        .iter()
        .map(|seen| seen.query().get("client_id").unwrap().to_owned())
        .collect();
    assert_eq!(ids, ["given", "given"]);
    // Another account has not brought it.
    let other = LoginOptions { account: "other".into(), ..LoginOptions::default() };
    assert!(matches!(error(world.login_with(&other).await), ClientError::Registration(_)));
    // And at another issuer it is nobody.
    world.set(|knobs| knobs.metadata.clear());
    let (_, log) = world.moves().await;
    world.login().await.unwrap();
    assert!(
        log.lock().unwrap().iter().all(|seen| !format!("{} {}", seen.target, seen.body).contains("given"))
    );
    // What was registered by itself is no such id: it is registered anew where the server has forgotten it.
    assert!(!world.kept().entries.iter().any(|entry| entry.client_is_given));
}
