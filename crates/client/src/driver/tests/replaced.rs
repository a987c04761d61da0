//! A sign-in that takes the place of another one: what becomes of that at the authorization server, and of those who use it.
use super::world::*;
use crate::{
    driver::{LoginOptions, MachineOptions, Next, Replaced, Revoked, SignIn},
    error::ClientError,
    machine::{MachineAuth, MachineClient, MachineGrant},
    storage::{Contents, Entry},
};
use hallpass_core::{entropy::SystemEntropy, secret::SecretString, time::Clock, uri::ResourceUri};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use std::{thread, time::Duration};

const JSON: &str = "content-type: application/json\r\n";

/// What was revoked: token and client.
fn revoked(world: &World) -> Vec<(String, String)> {
    let of = |form: hallpass_core::parameters::Parameters| {
        let get = |name| form.get(name).unwrap().to_owned();
        (get("token"), get("client_id"))
    };
    world.asked("/revoke").iter().map(|seen| of(seen.form())).collect()
}

fn became(replaced: &[Replaced]) -> Vec<Option<Revoked>> {
    replaced.iter().map(|one| one.revoked).collect()
}

fn refresh_token(world: &World) -> String {
    world.kept().entries[0].tokens.refresh_token.as_ref().unwrap().expose().to_owned()
}

#[tokio::test]
async fn cl_081_a_new_sign_in_ends_the_one_before() {
    let world = World::new().await;
    world.set(|knobs| knobs.names_grants = true);
    assert!(world.login().await.unwrap().replaced.is_empty());
    let before = refresh_token(&world);
    let done = world.login().await.unwrap();
    assert_eq!(became(&done.replaced), [Some(Revoked::Yes)]);
    assert_eq!(revoked(&world), [(before, "client-1".to_owned())]);
    assert_ne!(refresh_token(&world), revoked(&world)[0].0);
    // Another account is another sign-in.
    let work = LoginOptions { account: "work".into(), ..LoginOptions::default() };
    assert!(world.login_with(&work).await.unwrap().replaced.is_empty());
    // The server is not able to: a sign-in that is kept is no failure for that.
    world.set(|knobs| knobs.instead = vec![("/revoke", 503, String::new(), String::new())]);
    assert_eq!(became(&world.login().await.unwrap().replaced), [Some(Revoked::NotConfirmed)]);
    assert_eq!((revoked(&world).len(), world.kept().entries.len()), (2, 2));
}

#[tokio::test]
async fn cl_081_what_may_be_the_same_grant_is_left_alone() {
    let world = World::new().await;
    world.login().await.unwrap();
    // Tokens that say nothing, of the same client: many servers have one grant for both.
    assert_eq!(became(&world.login().await.unwrap().replaced), [None]);
    assert!(revoked(&world).is_empty());
    // The very same grant, although it says which: a refresh token that is given again.
    world.set(|knobs| knobs.names_grants = true);
    world.login().await.unwrap();
    let same = refresh_token(&world);
    let answer = |access: &str, refresh: &str| {
        json!({ "access_token": access, "token_type": "Bearer", "refresh_token": refresh }).to_string()
    };
    let next = named_refresh_token(hallpass_core::token::RefreshToken::grant_named_in(&same), 77);
    for (access, refresh) in [("other", same.as_str()), ("third", next.as_str())] {
        world.set(|knobs| knobs.instead = vec![("/token", 200, JSON.into(), answer(access, refresh))]);
        assert_eq!(became(&world.login().await.unwrap().replaced), [None], "{access}");
    }
    assert!(revoked(&world).is_empty());
    // Another client cannot be of the same one.
    world.set(|knobs| (knobs.instead, knobs.names_grants) = (Vec::new(), false));
    let anew = LoginOptions { register_anew: true, ..LoginOptions::default() };
    assert_eq!(became(&world.login_with(&anew).await.unwrap().replaced), [Some(Revoked::Yes)]);
    assert_eq!(revoked(&world), [(next, "client-1".to_owned())]);
}

#[cfg(unix)]
#[tokio::test]
async fn cl_081_cl_070_a_sign_in_that_cannot_be_kept_ends_nothing() {
    let world = World::new().await;
    world.set(|knobs| (knobs.names_grants, knobs.slow) = (true, Duration::from_millis(200)));
    world.login().await.unwrap();
    let file = world.client.store().file();
    let breaker = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        std::fs::remove_file(&file).unwrap();
        std::fs::create_dir(&file).unwrap();
    });
    assert!(matches!(error(world.login().await), ClientError::Storage(_)));
    breaker.join().unwrap();
    assert!(revoked(&world).is_empty());
}

#[tokio::test]
async fn cl_081_b_41_the_old_issuer_is_told_of_its_own_tokens_alone() {
    let world = World::new().await;
    world.login().await.unwrap();
    let old = world.kept().entries[0].clone();
    let (issuer, log) = world.moves().await;
    let done = world.login().await.unwrap();
    assert_eq!((done.issuer.as_str(), done.replaced[0].issuer.as_str()), (&*issuer, &*world.issuer));
    assert_eq!(revoked(&world), [("refresh-2".to_owned(), "client-1".to_owned())]);
    for seen in log.lock().unwrap().iter() {
        assert!(seen.path() != "/revoke" && !seen.body.contains("refresh-2"), "{seen:?}");
    }
    // A process that still has the old one in its hands finds the new one, and asks neither server.
    let asked = world.asked("/token").len();
    let now = world.client.renew(&ResourceUri::parse(&world.mcp).unwrap(), &old).await.unwrap().unwrap();
    assert_eq!((now.key.issuer, world.asked("/token").len()), (issuer, asked));
}

#[tokio::test]
async fn cl_081_cl_068_whoever_uses_the_old_one_finds_the_new_one() {
    let world = World::new().await;
    world.set(|knobs| knobs.names_grants = true);
    world.login().await.unwrap();
    let other = world.client.credentials(&world.mcp, LoginOptions::default(), None).unwrap();
    let seen = other.current().await.unwrap().unwrap();
    world.login().await.unwrap();
    let asked = world.asked("/token").len();
    let mut headers = HeaderMap::new();
    headers.insert("www-authenticate", HeaderValue::from_static("Bearer error=\"invalid_token\""));
    let uri: http::Uri = world.mcp.parse().unwrap();
    let next = other.after((&uri, "x"), Some(&*seen), (StatusCode::UNAUTHORIZED, &headers)).await.unwrap();
    assert_eq!(next, Next::Again);
    assert_ne!(other.current().await.unwrap().unwrap().tokens, seen.tokens);
    assert_eq!(world.asked("/token").len(), asked, "the old refresh token is used by nobody");
}

/// A refresh during which another process keeps another sign-in: what is used afterwards, and what was revoked.
async fn refreshed_meanwhile(change: fn(&mut Entry)) -> (World, String, Vec<(String, String)>) {
    let world = World::new().await;
    world.login().await.unwrap();
    world.clock.push(Duration::from_hours(2));
    world.set(|knobs| knobs.slow = Duration::from_millis(200));
    let (store, now) = (world.client.store().clone(), world.clock.now());
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        let sign_in = |contents: &mut Contents| {
            let mut entry = contents.entries[0].clone();
            entry.tokens.access_token = SecretString::new("access-new");
            entry.tokens.refresh_token = Some(SecretString::new("refresh-new"));
            entry.tokens.expires_at = None;
            change(&mut entry);
            contents.put_entry(entry);
        };
        store.update(now, &SystemEntropy, sign_in).unwrap();
    });
    let server = ResourceUri::parse(&world.mcp).unwrap();
    let used = world.client.access(&server, "default").await.unwrap().unwrap();
    other.join().unwrap();
    let (used, gone) = (used.tokens.access_token.expose().to_owned(), revoked(&world));
    (world, used, gone)
}

#[tokio::test]
async fn cl_069_cl_081_a_refresh_that_lost_against_a_new_sign_in_takes_nothing_from_it() {
    let (_, used, gone) = refreshed_meanwhile(|_| {}).await;
    assert_eq!((used.as_str(), gone), ("access-new", vec![]));
    let another = |entry: &mut Entry| entry.client.client_id = "client-2".into();
    let (_, used, gone) = refreshed_meanwhile(another).await;
    assert_eq!((used.as_str(), gone), ("access-new", vec![("refresh-3".to_owned(), "client-1".to_owned())]));
}

#[tokio::test]
async fn cl_076_cl_081_what_a_step_up_replaces_is_ended_after_it() {
    let world = World::new().await;
    world.set(|knobs| knobs.names_grants = true);
    world.login().await.unwrap();
    let before = refresh_token(&world);
    world.set(|knobs| {
        let challenge = "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"admin\"\r\n";
        knobs.instead = vec![("/mcp", 403, challenge.into(), String::new())];
        knobs.times.insert("/mcp", 1);
    });
    let (options, mut robot) = (LoginOptions::default(), Robot::default());
    let mut sign_in = SignIn::Person { options: &options, interaction: &mut robot };
    let mut caller = world.client.caller(&world.mcp, "default").unwrap();
    drop(caller.call_signing_in("tools/list", None, &mut sign_in).await.unwrap());
    assert_eq!(revoked(&world), [(before, "client-1".to_owned())]);
    let log = world.at_as.lock().unwrap();
    let order: Vec<&str> =
        log.iter().map(Seen::path).filter(|path| ["/token", "/revoke"].contains(path)).collect();
    assert_eq!(order, ["/token", "/token", "/revoke"], "not before the new one is there");
}

#[tokio::test]
async fn cl_081_cl_089_a_program_gives_back_the_token_that_it_replaces_while_it_is_good() {
    let world = World::new().await;
    world.set(|knobs| {
        knobs.metadata = vec![("token_endpoint_auth_methods_supported", json!(["client_secret_post"]))];
    });
    let client =
        MachineClient { client_id: "robot".into(), auth: MachineAuth::Secret(SecretString::new("s")) };
    let options = MachineOptions {
        account: "default".into(),
        client,
        grant: MachineGrant::ClientCredentials,
        scope: None,
        issuer: None,
    };
    let login =
        || async { became(&world.client.login_machine(&world.mcp, &options).await.unwrap().replaced) };
    assert!(login().await.is_empty());
    assert_eq!(login().await, [Some(Revoked::Yes)]);
    let form = world.asked("/revoke")[0].form();
    assert_eq!((form.get("token"), form.get("client_secret")), (Some("access-1"), Some("s")));
    // A server that gives a program the same token again.
    let same = json!({ "access_token": "access-2", "token_type": "Bearer", "expires_in": 60 }).to_string();
    world.set(|knobs| knobs.instead = vec![("/token", 200, JSON.into(), same)]);
    assert_eq!(login().await, [None]);
    // And one that has ended needs no word.
    world.set(|knobs| knobs.instead = Vec::new());
    world.clock.push(Duration::from_mins(2));
    assert!(login().await.is_empty());
    assert_eq!(revoked(&world).len(), 1);
}
