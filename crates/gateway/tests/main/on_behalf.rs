//! Servers that another authorization server guards: each caller's token goes with that caller's calls and no others.

use crate::support::{World, world_with};
use hallpass_core::{id::GrantId, jwt::caller_assertion::Caller, secret::SecretString};
use hallpass_gateway::{
    CallerCredentials, CredentialAnswer, NoCredential, Policy, Rule, SecretHeader, Unlisted,
    UpstreamCredential,
};
use serde_json::json;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a"}}"#;

/// Makes up a token that names the caller.
#[derive(Default)]
struct Elsewhere {
    asked: AtomicUsize,
    fails: Mutex<Option<NoCredential>>,
}

impl CallerCredentials for Elsewhere {
    fn credential<'a>(
        &'a self,
        caller: &'a Caller<'a>,
        refused: Option<&'a SecretHeader>,
    ) -> CredentialAnswer<'a> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            if let Some(fails) = *self.fails.lock().unwrap() {
                return Err(fails);
            }
            let grant = caller.grant.unwrap_or("none");
            let token = format!("canary-of-{}-{}-{grant}", caller.subject, caller.client_id);
            let token = if refused.is_some() { format!("{token}-again") } else { token };
            Ok(SecretHeader::bearer(&SecretString::new(token)).unwrap())
        })
    }
}

async fn world(behaviour: &str) -> (World, Arc<Elsewhere>) {
    let elsewhere = Arc::new(Elsewhere::default());
    let callers = Arc::clone(&elsewhere);
    let world = world_with(behaviour, |config| {
        config.servers[0].upstream_credential = Some(UpstreamCredential::Caller(callers));
        let open = Rule { tools: vec!["open".into()], open: true, ..Rule::default() };
        config.servers[0].policy =
            Policy { rules: vec![open], unlisted: Unlisted::Default, ..Policy::default() };
    })
    .await;
    (world, elsewhere)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rs_061_p12_the_token_for_a_caller_goes_with_the_calls_of_that_caller_alone() {
    let (world, _) = world("echo").await;
    let world = Arc::new(world);
    let mut calls = tokio::task::JoinSet::new();
    for at in 0..600_usize {
        let world = Arc::clone(&world);
        calls.spawn(async move {
            let (person, client) = (["ann", "bob", "cleo"][at % 3], ["one", "two"][at / 3 % 2]);
            let grant = GrantId::from_bytes([u8::try_from(at % 5).unwrap() + 1; 16]);
            let token = world.token_of(|token| {
                (token.subject, token.client_id) = (person.into(), client.into());
                token.grant.grant = grant;
            });
            let bearer = format!("Bearer {token}");
            let answer = world.post(CALL, &[("authorization", &bearer), ("x-token", "canary-of-eve")]).await;
            let theirs = format!("Bearer canary-of-{person}-{client}-{grant}");
            assert_eq!(answer.seen("authorization"), [theirs], "{}", answer.text);
            assert_eq!(answer.text.matches("canary-of").count(), 1, "{}", answer.text);
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn rs_061_a_token_that_is_not_taken_is_replaced_once_and_the_client_learns_nothing_of_it() {
    let (world, elsewhere) = world("unauthorized").await;
    let answer = world.post(CALL, &[]).await;
    assert_eq!((answer.status, world.upstream.asked(), elsewhere.asked.load(Ordering::SeqCst)), (502, 2, 2));
    assert!(!answer.text.contains("canary") && !answer.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn rs_061_rs_064_without_a_token_for_the_caller_the_server_is_not_asked() {
    let (world, elsewhere) = world("echo").await;
    for (fails, status, words) in [
        (NoCredential::Refused, 403, "gives no access for this person"),
        (NoCredential::Unavailable, 503, "try again soon"),
    ] {
        *elsewhere.fails.lock().unwrap() = Some(fails);
        for body in [CALL.to_owned(), json!({"jsonrpc": "2.0", "id": 7, "method": "tools/list"}).to_string()]
        {
            let answer = world.post(&body, &[]).await;
            assert!(answer.status == status && answer.text.contains(words), "{}", answer.text);
            assert!(!answer.headers.contains_key("www-authenticate"), "no other token of ours would help");
        }
    }
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn rs_061_rs_033_nobody_but_a_person_of_ours_is_asserted_to_others() {
    let (world, elsewhere) = world("echo").await;
    let machine = world.token_of(|token| token.subject.clone_from(&token.client_id));
    let answer = world.post(CALL, &[("authorization", &format!("Bearer {machine}"))]).await;
    assert!(
        answer.status == 403 && answer.text.contains("no person with an account here"),
        "{}",
        answer.text
    );
    let open = CALL.replace("\"a\"", "\"open\"");
    let stranger = world.ask(crate::support::bare("POST", "/mcp", &open, &[])).await;
    assert_eq!(stranger.status, 403, "{}", stranger.text);
    let callers: Arc<Elsewhere> = Arc::clone(&elsewhere);
    let (world, key) = crate::trust::both("echo", |config| {
        config.servers[0].upstream_credential = Some(UpstreamCredential::Caller(callers));
    })
    .await;
    let theirs = crate::trust::theirs(&key, |_| {});
    assert_eq!(world.post(CALL, &[("authorization", &theirs)]).await.status, 403);
    assert_eq!(elsewhere.asked.load(Ordering::SeqCst), 0);
}
