//! Renewing tokens: alone, together, and while everything fails.
use super::{processes, world::*};
use crate::{
    driver::{Client, Settings},
    error::ClientError,
    storage::Store,
    token::TokenError,
};
use hallpass_core::{entropy::SystemEntropy, time::Clock, uri::ResourceUri};
use serde_json::json;
use std::{
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

async fn token(world: &World) -> Result<Option<String>, ClientError> {
    token_of(&world.client, &world.mcp).await
}

async fn token_of(client: &Client, server: &str) -> Result<Option<String>, ClientError> {
    let entry = client
        .access(&ResourceUri::parse(server).unwrap(), "default")
        .await
        .map_err(|failed| failed.error)?;
    Ok(entry.map(|entry| entry.tokens.access_token.expose().to_owned()))
}

const HOUR: Duration = Duration::from_hours(1);
const ALMOST: Duration = Duration::from_secs(3580);

#[tokio::test]
async fn cl_067_cl_073_renewed_ahead_of_its_end() {
    let world = World::new().await;
    world.login().await.unwrap();
    assert_eq!(token(&world).await.unwrap().unwrap(), "access-2");
    world.clock.push(ALMOST);
    assert_eq!(token(&world).await.unwrap().unwrap(), "access-3");
    let form = world.asked("/token")[1].form();
    assert_eq!(
        (form.get("refresh_token"), form.get("resource"), form.get("scope")),
        (Some("refresh-2"), Some(world.mcp.as_str()), None)
    );
    assert_eq!(token(&world).await.unwrap().unwrap(), "access-3");
    assert_eq!(world.asked("/token").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cl_068_b_39_t_22_eight_at_once_make_one_refresh() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.clock.push(2 * HOUR);
    world.set(|knobs| knobs.slow = Duration::from_millis(100));
    let barrier = Arc::new(Barrier::new(8));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            // Each with its own client, connections and file handles, as processes have.
            let client =
                client(world.folder.path().join("state"), Arc::clone(&world.clock), Settings::default());
            let (barrier, server) = (Arc::clone(&barrier), world.mcp.clone());
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                barrier.wait();
                runtime.block_on(token_of(&client, &server)).unwrap().unwrap()
            })
        })
        .collect();
    let tokens: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(tokens.iter().all(|token| token == "access-3"), "{tokens:?}");
    assert_eq!(world.asked("/token").len(), 2);
    assert_eq!(world.knobs.lock().unwrap().reused, 0);
}

/// Not a test of its own: one of the processes of the next one. Reads folder and server from standard input.
#[test]
#[ignore = "started by cl_068_eight_processes_make_one_refresh"]
fn one_of_eight_processes() {
    let [folder, server] = processes::lines();
    let fetch = hallpass_fetch::Fetch::new(hallpass_fetch::Settings::default()).unwrap();
    let client = Client::new(fetch, Store::new(folder.into()), Settings::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("token={}", runtime.block_on(token_of(&client, &server)).unwrap().unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cl_068_eight_processes_make_one_refresh() {
    let world = World::new().await;
    world.login().await.unwrap();
    // The test's clock is not the processes': mark the token as ended for theirs.
    let end = |contents: &mut crate::storage::Contents| {
        for entry in &mut contents.entries {
            entry.tokens.issued_at = hallpass_core::time::Timestamp::from_seconds(0);
            entry.tokens.expires_at = Some(hallpass_core::time::Timestamp::from_seconds(1));
        }
    };
    world.client.store().update(world.clock.now(), &SystemEntropy, end).unwrap();
    world.set(|knobs| knobs.slow = Duration::from_millis(200));
    let name = concat!(module_path!(), "::one_of_eight_processes");
    let state = world.folder.path().join("state");
    let told = [state.to_str().unwrap(), &world.mcp];
    let outputs = processes::outputs((0..8).map(|_| processes::start(name, told)).collect()).await;
    assert!(outputs.iter().all(|output| output.contains("token=access-3")), "{outputs:?}");
    assert_eq!(world.asked("/token").len(), 2);
    assert_eq!(world.knobs.lock().unwrap().reused, 0);
}

#[tokio::test]
async fn cl_070_the_new_tokens_are_on_disk_before_first_use() {
    let world = World::new().await;
    world.login().await.unwrap();
    let (store, checked) = (world.client.store().clone(), bind().await);
    let mcp = format!("{}/mcp", origin(&checked));
    let log = serve(checked, move |seen| {
        let kept = store.read().unwrap().entries[0].tokens.access_token.expose().to_owned();
        assert_eq!(seen.headers["authorization"], format!("Bearer {kept}"));
        Reply::status(500)
    });
    let server = mcp.clone();
    let moved = move |contents: &mut crate::storage::Contents| contents.entries[0].server.clone_from(&server);
    world.client.store().update(world.clock.now(), &SystemEntropy, moved).unwrap();
    world.clock.push(2 * HOUR);
    let mut caller = world.client.caller(&mcp, "default").unwrap();
    assert!(matches!(error(caller.call("tools/list", None).await), ClientError::Status { status: 500, .. }));
    assert_eq!(log.lock().unwrap()[0].headers["authorization"], "Bearer access-3");
}

#[cfg(unix)]
#[tokio::test]
async fn cl_070_a_token_that_cannot_be_kept_is_not_used() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.clock.push(2 * HOUR);
    // A folder in place of the file: it can be read by nobody and replaced by nobody.
    let file = world.client.store().file();
    let kept = std::fs::read(&file).unwrap();
    world.set(|knobs| knobs.slow = Duration::from_millis(200));
    let breaker = thread::spawn({
        let file = file.clone();
        move || {
            thread::sleep(Duration::from_millis(100));
            std::fs::remove_file(&file).unwrap();
            std::fs::create_dir(&file).unwrap();
        }
    });
    assert!(matches!(token(&world).await.unwrap_err(), ClientError::Storage(_)));
    breaker.join().unwrap();
    std::fs::remove_dir(&file).unwrap();
    std::fs::write(&file, kept).unwrap();
}

#[tokio::test]
async fn cl_071_a_lost_answer_is_asked_for_once_more() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.clock.push(2 * HOUR);
    world.set(|knobs| {
        knobs.instead = vec![("/token", 0, String::new(), String::new())];
        knobs.times.insert("/token", 1);
    });
    assert_eq!(token(&world).await.unwrap().unwrap(), "access-3");
    let sent: Vec<_> = world.asked("/token")[1..]
        .iter()
        .map(|seen| seen.form().get("refresh_token").unwrap().to_owned())
        .collect();
    assert_eq!(sent, ["refresh-2", "refresh-2"]);
    // Lost for good: an error, and nothing is deleted.
    world.clock.push(2 * HOUR);
    world.set(|knobs| knobs.times.clear());
    assert!(matches!(token(&world).await.unwrap_err(), ClientError::Fetch { .. }));
    assert_eq!(world.kept().entries.len(), 1);
}

#[tokio::test]
async fn cl_072_b_39_an_outage_deletes_nothing_and_stops_nothing_that_still_works() {
    for (status, body) in [
        (503, ""),
        (500, r#"{"error":"invalid_grant"}"#),
        (429, ""),
        (400, r#"{"error":"temporarily_unavailable"}"#),
    ] {
        let world = World::new().await;
        world.login().await.unwrap();
        world.set(|knobs| knobs.instead = vec![("/token", status, String::new(), body.into())]);
        world.clock.push(ALMOST);
        assert_eq!(token(&world).await.unwrap().unwrap(), "access-2");
        world.clock.push(HOUR);
        let end = token(&world).await.unwrap_err();
        assert!(matches!(end, ClientError::Token(TokenError::Unavailable { .. })), "{status} {end:?}");
        assert_eq!(world.kept().entries[0].tokens.refresh_token.as_ref().unwrap().expose(), "refresh-2");
        world.set(|knobs| knobs.instead.clear());
        assert_eq!(token(&world).await.unwrap().unwrap(), "access-3");
    }
}

#[tokio::test]
async fn cl_069_b_39_invalid_grant_deletes_the_refused_sign_in_and_no_newer_one() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.clock.push(2 * HOUR);
    // Another program of the same person refreshed without our lock while our request was on its way.
    world.set(|knobs| {
        knobs.refresh = Some("refresh-of-the-other".into());
        knobs.slow = Duration::from_millis(200);
    });
    let (store, now) = (world.client.store().clone(), world.clock.now());
    let other = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        let newer = |contents: &mut crate::storage::Contents| {
            let tokens = &mut contents.entries[0].tokens;
            tokens.refresh_token = Some(hallpass_core::secret::SecretString::new("refresh-of-the-other"));
            tokens.access_token = hallpass_core::secret::SecretString::new("access-of-the-other");
        };
        store.update(now, &SystemEntropy, newer).unwrap();
    });
    assert_eq!(token(&world).await.unwrap().unwrap(), "access-of-the-other");
    other.join().unwrap();
    assert_eq!(world.kept().entries.len(), 1);
    // Now it really is the current one that is refused.
    world.set(|knobs| knobs.refresh = Some("gone".into()));
    assert_eq!(token(&world).await.unwrap(), None);
    assert!(world.kept().entries.is_empty());
    assert_eq!(world.kept().registrations.len(), 1);
}

#[tokio::test]
async fn a_sign_out_during_a_refresh_stays_signed_out() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.clock.push(2 * HOUR);
    world.set(|knobs| knobs.slow = Duration::from_millis(200));
    let (store, now) = (world.client.store().clone(), world.clock.now());
    let out = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        store.update(now, &SystemEntropy, |contents| contents.entries.clear()).unwrap();
    });
    assert_eq!(token(&world).await.unwrap(), None);
    out.join().unwrap();
    assert!(world.kept().entries.is_empty());
    assert_eq!(world.asked("/revoke")[0].form().get("token"), Some("refresh-3"));
}

#[tokio::test]
async fn cl_074_without_a_refresh_token_the_access_token_is_used_until_refused() {
    let world = World::new().await;
    let body = json!({ "access_token": "only", "token_type": "Bearer", "expires_in": 60 }).to_string();
    world.set(|knobs| knobs.instead = vec![("/token", 200, String::new(), body)]);
    world.login().await.unwrap();
    world.clock.push(HOUR);
    assert_eq!(token(&world).await.unwrap().unwrap(), "only");
    let mut caller = world.client.caller(&world.mcp, "default").unwrap();
    assert!(matches!(error(caller.call("tools/list", None).await), ClientError::SignInNeeded));
    assert_eq!(world.asked("/token").len(), 1);
}

#[tokio::test]
async fn cl_026_a_client_that_the_server_forgot_costs_the_registration_not_more() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.clock.push(2 * HOUR);
    world.set(|knobs| {
        knobs.instead = vec![("/token", 401, String::new(), r#"{"error":"invalid_client"}"#.into())];
    });
    assert!(matches!(token(&world).await.unwrap_err(), ClientError::Token(TokenError::InvalidClient)));
    assert!(world.kept().registrations.is_empty());
    assert_eq!(world.kept().entries.len(), 1);
}

/// How often the metadata of the authorization server was read.
fn read(world: &World) -> usize {
    world.asked("/.well-known/oauth-authorization-server").len()
}

/// The token endpoint is somewhere else from now on.
fn move_endpoint(world: &World) {
    world.set(|knobs| {
        knobs.metadata = vec![("token_endpoint", serde_json::json!(format!("{}/token/2", world.issuer)))];
        knobs.moved_to = Some("/token/2");
    });
}

#[tokio::test]
async fn cl_014_metadata_serves_for_a_day_and_is_read_again_then() {
    let world = World::new().await;
    world.login().await.unwrap();
    for _ in 0..11 {
        world.clock.push(Duration::from_hours(2));
        world.client.token(&world.mcp, "default").await.unwrap();
    }
    assert_eq!(read(&world), 1, "22 hours");
    world.clock.push(Duration::from_hours(3));
    world.client.token(&world.mcp, "default").await.unwrap();
    assert_eq!(read(&world), 2);
    // A look that fails changes nothing, and is made again with the next token.
    world.set(|knobs| {
        let failing = |path| (path, 503, String::new(), String::new());
        knobs.instead = vec![failing("/.well-known/oauth-authorization-server")];
    });
    for looks in [3, 4] {
        world.clock.push(Duration::from_hours(25));
        world.client.token(&world.mcp, "default").await.unwrap();
        assert_eq!(read(&world), looks);
    }
    // Somebody else's metadata is none.
    world.set(|knobs| {
        knobs.instead.clear();
        knobs.metadata = vec![("issuer", serde_json::json!("https://as.example"))];
    });
    world.clock.push(Duration::from_hours(2));
    world.client.token(&world.mcp, "default").await.unwrap();
    assert_eq!(world.kept().entries[0].token_endpoint, format!("{}/token", world.issuer));
}

#[tokio::test]
async fn cl_014_an_endpoint_that_is_gone_is_looked_for_once() {
    let world = World::new().await;
    world.login().await.unwrap();
    move_endpoint(&world);
    world.clock.push(Duration::from_hours(2));
    world.client.token(&world.mcp, "default").await.unwrap();
    assert_eq!((read(&world), world.asked("/token").len(), world.asked("/token/2").len()), (2, 2, 1));
    world.clock.push(Duration::from_hours(2));
    world.client.token(&world.mcp, "default").await.unwrap();
    assert_eq!((read(&world), world.asked("/token").len(), world.asked("/token/2").len()), (2, 2, 2), "kept");
    // Where there is no other one, the refusal stands, and so does the sign-in.
    world.set(|knobs| knobs.instead = vec![("/token/2", 404, String::new(), String::new())]);
    world.clock.push(Duration::from_hours(2));
    assert!(world.client.token(&world.mcp, "default").await.is_err());
    assert_eq!((world.asked("/token/2").len(), world.kept().entries.len()), (3, 1));
}
