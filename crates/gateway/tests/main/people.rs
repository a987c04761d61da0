//! Servers that are asked with the token of whoever calls: that person's, nobody else's, and never the client's to see.

use crate::support::{Answer, PING, World, world_with};
use hallpass_core::secret::SecretString;
use hallpass_gateway::{CredentialAnswer, NoCredential, PersonCredentials, SecretHeader, UpstreamCredential};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

/// Tokens by person, and what was asked.
#[derive(Default)]
pub struct People {
    tokens: Mutex<HashMap<String, Result<String, NoCredential>>>,
    refused: Mutex<Vec<(String, String)>>,
}

impl PersonCredentials for People {
    fn credential<'a>(&'a self, person: &'a str, refused: Option<&'a SecretHeader>) -> CredentialAnswer<'a> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if let Some(refused) = refused {
                let token = refused.token().unwrap().expose().to_owned();
                self.refused.lock().unwrap().push((person.to_owned(), token));
            }
            let kept = self.tokens.lock().unwrap().get(person).cloned();
            let token = kept.unwrap_or(Err(NoCredential::NotConnected))?;
            let token = if refused.is_some() { format!("{token}-renewed") } else { token };
            Ok(SecretHeader::bearer(&SecretString::new(token)).unwrap())
        })
    }

    fn title(&self) -> &'static str {
        "Git"
    }

    fn page(&self, person: &str) -> String {
        format!("https://mcp.example/account/connections?link=sealed-for-{person}-0123456789")
    }
}

impl People {
    pub fn set(&self, person: &str, token: Result<&str, NoCredential>) {
        self.tokens.lock().unwrap().insert(person.into(), token.map(str::to_owned));
    }
}

async fn world(behaviour: &str) -> (World, Arc<People>) {
    let people = Arc::new(People::default());
    let credentials = Arc::clone(&people);
    let world = world_with(behaviour, |config| {
        config.servers[0].upstream_credential = Some(UpstreamCredential::Person(credentials));
    })
    .await;
    (world, people)
}

fn call(method: &str) -> String {
    let params = match method {
        "tools/call" | "prompts/get" => json!({ "name": "a" }),
        "resources/read" => json!({ "uri": "file:///a" }),
        _ => json!({}),
    };
    json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params }).to_string()
}

async fn asks(world: &World, person: &str, body: &str, more: &[(&str, &str)]) -> Answer {
    let token = world.token_of(|token| person.clone_into(&mut token.subject));
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("authorization", &*bearer)];
    headers.extend(more);
    world.post(body, &headers).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rs_061_p12_the_token_of_a_person_goes_with_that_persons_calls_alone() {
    let (world, people) = world("echo").await;
    for person in ["ann", "bob", "cleo"] {
        people.set(person, Ok(&format!("canary-of-{person}")));
    }
    let world = Arc::new(world);
    let mut calls = tokio::task::JoinSet::new();
    for at in 0..300 {
        let world = Arc::clone(&world);
        calls.spawn(async move {
            let person = ["ann", "bob", "cleo"][at % 3];
            let method = ["tools/call", "tools/list", "ping", "resources/read"][at % 4];
            let answer = asks(&world, person, &call(method), &[("x-other", "Bearer canary-of-eve")]).await;
            assert_eq!(
                answer.seen("authorization"),
                [format!("Bearer canary-of-{person}")],
                "{}",
                answer.text
            );
            assert_eq!(answer.text.matches("canary-of").count(), 1, "{}", answer.text);
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
    let machine = world.token_of(|token| token.subject.clone_from(&token.client_id));
    people.set("client", Ok("canary-of-a-person-with-this-id"));
    let answer = world.post(&call("tools/call"), &[("authorization", &format!("Bearer {machine}"))]).await;
    assert_eq!(answer.status, 403);
    assert!(
        answer.text.contains("no person with an account here") && !answer.text.contains("canary"),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn rs_066_what_comes_back_has_no_token_in_its_headers() {
    let (world, people) = world("cookie").await;
    people.set("ann", Ok("canary"));
    let answer = world.post(PING, &[]).await;
    assert!(!format!("{:?}", answer.headers).contains("canary") && !answer.text.contains("canary"));
    for name in ["set-cookie", "location", "server", "authorization", "www-authenticate"] {
        assert!(!answer.headers.contains_key(name), "{name}");
    }
}

#[tokio::test]
async fn rs_061_a_token_that_the_server_behind_refuses_is_renewed_once_and_then_the_person_is_told() {
    let (world, people) = world("unauthorized").await;
    people.set("ann", Ok("canary"));
    let answer = world.post(&call("tools/call"), &[]).await;
    assert_eq!((answer.status, world.upstream.asked()), (200, 2));
    assert_eq!(*people.refused.lock().unwrap(), [("ann".to_owned(), "canary".to_owned())]);
    let result = &answer.json()["result"];
    assert_eq!(result["isError"], true);
    let text = result["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("is over") && text.contains("link=sealed-for-ann"), "{text}");
    assert!(!answer.text.contains("canary") && !answer.headers.contains_key("www-authenticate"));
}

#[tokio::test]
async fn rs_061_without_a_connection_a_call_is_answered_with_where_to_connect() {
    let (world, people) = world("echo").await;
    for (state, words) in [
        (NoCredential::NotConnected, "Files works with your account at Git"),
        (NoCredential::Ended, "is over"),
    ] {
        people.set("ann", Err(state));
        let tool = world.post(&call("tools/call"), &[]).await;
        let text = tool.json()["result"]["content"][0]["text"].as_str().unwrap().to_owned();
        assert!(tool.status == 200 && text.contains(words) && text.contains("link=sealed-for-ann"), "{text}");
        let read = world.post(&call("resources/read"), &[]).await;
        assert_eq!((read.status, &read.json()["error"]["code"]), (200, &json!(-32000)));
        assert!(read.json()["error"]["message"].as_str().unwrap().contains(words));
        assert_eq!(world.upstream.asked(), 0, "nothing is done in nobody's name");
        // What greets and lists goes through, without a token.
        let list = world.post(&call("tools/list"), &[]).await;
        assert!(list.status == 200 && list.seen("authorization").is_empty(), "{}", list.text);
        world.upstream.asked.store(0, std::sync::atomic::Ordering::SeqCst);
    }
    people.set("ann", Err(NoCredential::Unavailable));
    let later = world.post(&call("tools/list"), &[]).await;
    assert_eq!((later.status, later.header("retry-after"), world.upstream.asked()), (503, "5", 0));
}

#[tokio::test]
async fn rs_066_a_client_that_opens_urls_is_asked_to_and_remembered_with_its_session() {
    let (world, people) = world("session").await;
    people.set("ann", Err(NoCredential::NotConnected));
    let initialize = |capabilities: Value| {
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities, "clientInfo": { "name": "x", "version": "1" } });
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }).to_string()
    };
    for (capabilities, opens) in [
        (json!({ "elicitation": { "url": {} } }), true),
        (json!({ "elicitation": { "form": {} } }), false),
        (json!({ "elicitation": {} }), false),
        (json!({}), false),
    ] {
        let begun = world.post(&initialize(capabilities.clone()), &[]).await;
        let session = begun.header("mcp-session-id").to_owned();
        assert!(begun.status == 200 && !session.is_empty(), "{}", begun.text);
        let headers = [("mcp-session-id", &*session)];
        let told = world.post(&call("tools/call"), &headers).await;
        let json = told.json();
        assert_eq!((told.status, &json["id"]), (200, &json!(7)));
        if opens {
            assert_eq!(json["error"]["code"], -32042, "{}", told.text);
            let asked = &json["error"]["data"]["elicitations"][0];
            assert_eq!(asked["mode"], "url");
            assert!(asked["url"].as_str().unwrap().contains("link=sealed-for-ann"), "{asked}");
            assert!(asked["message"].as_str().unwrap().contains("Git"));
            assert_eq!(asked["elicitationId"].as_str().unwrap().len(), 22);
        } else {
            assert_eq!(json["result"]["isError"], true, "{capabilities}: {}", told.text);
        }
        // The server behind sees its own id, whatever is remembered with it.
        let list = world.post(&call("tools/list"), &headers).await;
        assert_eq!(list.seen("mcp-session-id"), ["upstream-session-1"], "{}", list.text);
    }
}

#[tokio::test]
async fn rs_061_a_server_that_wants_a_token_at_once_is_connected_first() {
    let (world, people) = world("unauthorized").await;
    people.set("ann", Err(NoCredential::NotConnected));
    for (method, body) in [("POST", call("initialize")), ("GET", String::new())] {
        let answer = world
            .ask(world.request(method, &body, &[("accept", "text/event-stream, application/json")]))
            .await;
        assert!(answer.text.contains("link=sealed-for-ann"), "{method}: {}", answer.text);
        assert_eq!(answer.status, if method == "POST" { 200 } else { 403 });
    }
}

#[tokio::test]
async fn rs_061_who_is_called_so_at_another_authorization_server_has_connected_nothing_here() {
    let people = Arc::new(People::default());
    for name in ["ann", "https://login.example/ ann"] {
        people.set(name, Ok("canary"));
    }
    let credentials = Arc::clone(&people);
    let (world, key) = crate::trust::both("echo", |config| {
        config.servers[0].upstream_credential = Some(UpstreamCredential::Person(credentials));
    })
    .await;
    assert_eq!(world.post(&call("tools/call"), &[]).await.seen("authorization"), ["Bearer canary"]);
    let theirs = crate::trust::theirs(&key, |_| {});
    let answer = world.post(&call("tools/call"), &[("authorization", &theirs)]).await;
    assert!(answer.status == 403 && !answer.text.contains("canary"), "{}", answer.text);
}
