//! Sign-ins that one process begins and another one finishes.
use super::world::*;
use crate::{
    driver::{BegunLogin, Client, LoginOptions, Settings, SignedIn},
    error::{ClientError, Failed},
    loopback::Listener,
    storage::Contents,
};
use hallpass_core::{scope::Scope, time::Clock as _};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// Another process: nothing but the folder in common.
fn another(world: &World) -> Client {
    client(world.folder.path().join("state"), Arc::clone(&world.clock), Settings::default())
}

async fn begin(world: &World) -> BegunLogin {
    world.client.begin_login(&world.mcp, &LoginOptions::default()).await.unwrap()
}

async fn finish(world: &World, patience: Option<u64>) -> Result<SignedIn, Failed> {
    finish_with(world, patience, &mut Robot::default()).await
}

async fn finish_with(world: &World, patience: Option<u64>, robot: &mut Robot) -> Result<SignedIn, Failed> {
    let patience = patience.map(Duration::from_secs);
    another(world).finish_login(&world.mcp, ("default", patience), robot).await
}

/// Opens the page once the port of its answer is open.
fn open_later(begun: &BegunLogin) {
    let (page, redirect_uri) = (begun.page.as_str().to_owned(), begun.redirect_uri.clone());
    tokio::spawn(async move {
        let address = redirect_uri.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
        while tokio::net::TcpStream::connect(&address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        visit(&page).await;
    });
}

async fn location(page: &str) -> String {
    let answered = get(page).await;
    answered.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().to_owned()
}

fn port(begun: &BegunLogin) -> u16 {
    url::Url::parse(&begun.redirect_uri).unwrap().port().unwrap()
}

#[tokio::test]
async fn cl_030_cl_055_a_sign_in_is_begun_here_and_finished_there() {
    let world = World::new().await;
    let begun = begin(&world).await;
    assert!(world.kept().entries.is_empty() && world.asked("/token").is_empty());
    // The server may say what it likes meanwhile: the code goes where it was to go when the person left.
    world.set(|knobs| knobs.metadata = vec![("token_endpoint", json!("https://evil.example/token"))]);
    open_later(&begun);
    let done = finish(&world, None).await.unwrap();
    assert_eq!((done.issuer.as_str(), done.renewable), (world.issuer.as_str(), true));
    let kept = world.kept();
    assert_eq!((kept.entries.len(), kept.begun.len(), world.asked("/token").len()), (1, 0, 1));
    assert!(matches!(error(finish(&world, None).await), ClientError::NothingBegun));
    // What it was begun with is what is renewed later.
    let registered = world.asked("/register");
    assert!(registered[0].body.contains(&begun.redirect_uri));
}

#[tokio::test]
async fn cl_030_nothing_of_it_is_shown_and_the_answers_of_others_change_nothing() {
    let world = World::new().await;
    let begun = begin(&world).await;
    let kept = world.kept().begun[0].clone();
    assert!(!begun.page.as_str().contains(kept.verifier.expose()));
    let shown = format!("{kept:?}");
    assert!(!shown.contains(kept.state.expose()) && !shown.contains(kept.verifier.expose()), "{shown}");
    let (uri, page) = (begun.redirect_uri.clone(), begun.page.as_str().to_owned());
    tokio::spawn(async move {
        let stranger = format!("{uri}?code=code-of-another&state=guess");
        let address = uri.strip_prefix("http://").unwrap().split('/').next().unwrap();
        while tokio::net::TcpStream::connect(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!get(&stranger).await.starts_with("HTTP/1.1 200"));
        visit(&page).await;
    });
    finish(&world, None).await.unwrap();
    assert!(world.asked("/token").iter().all(|seen| !seen.body.contains("code-of-another")));
}

#[tokio::test]
async fn without_a_beginning_and_after_its_end_there_is_nothing_to_wait_for() {
    let world = World::new().await;
    assert!(matches!(error(finish(&world, None).await), ClientError::NothingBegun));
    let begun = begin(&world).await;
    world.clock.push(Duration::from_mins(15));
    assert!(world.clock.now() >= begun.ends_at);
    assert!(matches!(error(finish(&world, None).await), ClientError::NothingBegun));
    // Of another account, and after a sign-out.
    let begun = begin(&world).await;
    let other = another(&world);
    let end = other.finish_login(&world.mcp, ("work", None), &mut Robot::default()).await;
    assert!(matches!(error(end), ClientError::NothingBegun));
    other.logout(&world.mcp, "default").await.unwrap();
    assert!(world.kept().begun.is_empty());
    let late = finish(&world, None).await;
    assert!(matches!(error(late), ClientError::NothingBegun), "{}", begun.redirect_uri);
}

#[tokio::test]
async fn p03_who_stops_waiting_may_come_back_and_a_page_that_nobody_answers_ends() {
    let world = World::new().await;
    world.login().await.unwrap();
    let begun = begin(&world).await;
    assert!(matches!(error(finish(&world, Some(0)).await), ClientError::NobodyAnswered));
    assert_eq!((world.kept().begun.len(), world.kept().registrations.len()), (1, 1));
    open_later(&begun);
    finish(&world, Some(60)).await.unwrap();
    // As at any sign-in: a client that the server has forgotten shows as a page that never answers.
    begin(&world).await;
    let left = |contents: &mut Contents| {
        for begun in &mut contents.begun {
            begun.ends_at = world.clock.now().plus(Duration::from_millis(100));
        }
    };
    world.client.store().update(world.clock.now(), &hallpass_core::entropy::SystemEntropy, left).unwrap();
    assert!(matches!(error(finish(&world, None).await), ClientError::NobodyAnswered));
    let kept = world.kept();
    assert_eq!((kept.begun.len(), kept.registrations.len(), kept.entries.len()), (0, 0, 1));
}

#[tokio::test]
async fn of_two_begun_for_one_account_the_later_one_counts() {
    let world = World::new().await;
    let first = begin(&world).await;
    let mut robot = Robot::default();
    let waiting = finish_with(&world, None, &mut robot);
    let other = async {
        // The first one is awaited by now, and has the port.
        while tokio::net::TcpStream::connect(("127.0.0.1", port(&first))).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let second = begin(&world).await;
        assert_ne!(port(&first), port(&second));
        visit(first.page.as_str()).await;
        second
    };
    let (end, second) = tokio::join!(waiting, other);
    assert!(matches!(error(end), ClientError::NothingBegun));
    assert!(world.asked("/token").is_empty(), "its code is not used");
    open_later(&second);
    finish(&world, None).await.unwrap();
    assert_eq!(world.kept().entries.len(), 1);
}

#[tokio::test]
async fn a_port_that_is_taken_in_between_is_no_end_where_the_answer_is_pasted() {
    let world = World::new().await;
    let begun = begin(&world).await;
    let taken = Listener::bind_exactly(port(&begun)).await.unwrap();
    let end = error(finish(&world, None).await);
    assert!(matches!(end, ClientError::PortTaken(number) if number == port(&begun)));
    let (sender, pasted) = mpsc::channel(2);
    sender.send("what?".into()).await.unwrap();
    sender.send(location(begun.page.as_str()).await).await.unwrap();
    let mut robot = Robot { pasted: Some(pasted), ..Robot::default() };
    finish_with(&world, None, &mut robot).await.unwrap();
    assert_eq!((robot.wrong, world.kept().entries.len()), (1, 1));
    drop(taken);
}

#[tokio::test]
async fn whoever_pastes_nothing_has_ended_nothing_and_a_refusal_ends_it() {
    let world = World::new().await;
    let begun = begin(&world).await;
    let (sender, pasted) = mpsc::channel(1);
    drop(sender);
    let mut gone = Robot { pasted: Some(pasted), ..Robot::default() };
    let end = error(finish_with(&world, None, &mut gone).await);
    assert!(matches!(end, ClientError::NobodyThere));
    assert_eq!(world.kept().begun.len(), 1);
    let answer = location(begun.page.as_str()).await;
    let denied = answer.replace("code=code-1", "error=access_denied");
    let (sender, pasted) = mpsc::channel(1);
    sender.send(denied).await.unwrap();
    let mut no = Robot { pasted: Some(pasted), ..Robot::default() };
    let end = error(finish_with(&world, None, &mut no).await);
    assert!(matches!(end, ClientError::Callback(_)));
    assert!(world.kept().begun.is_empty() && world.asked("/token").is_empty());
}

#[tokio::test]
async fn cl_040_cl_076_what_is_begun_is_pushed_where_that_is_wanted_and_may_be_for_more() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.set(|knobs| {
        knobs.metadata = vec![
            ("require_pushed_authorization_requests", json!(true)),
            ("pushed_authorization_request_endpoint", json!(format!("{}/par", world.issuer))),
        ];
    });
    let more = LoginOptions { more_scope: Some(Scope::parse("admin").unwrap()), ..LoginOptions::default() };
    let begun = world.client.begin_login(&world.mcp, &more).await.unwrap();
    assert!(begun.page.as_str().contains("request_uri=") && !begun.page.as_str().contains("state="));
    assert_eq!(begun.scope.to_string(), "read write admin");
    open_later(&begun);
    let done = finish(&world, None).await.unwrap();
    assert_eq!(done.requested_scope.to_string(), "read write admin");
}

#[tokio::test]
async fn cl_025_a_person_can_name_the_only_issuer() {
    let world = World::new().await;
    let only = LoginOptions { issuer: Some("https://as.example".into()), ..LoginOptions::default() };
    let end = error(world.client.begin_login(&world.mcp, &only).await.map(drop));
    assert!(matches!(end, ClientError::Discovery(_)));
    assert!(world.at_as.lock().unwrap().is_empty());
    let ours = LoginOptions { issuer: Some(world.issuer.clone()), ..LoginOptions::default() };
    world.login_with(&ours).await.unwrap();
}
