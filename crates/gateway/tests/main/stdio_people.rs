//! Servers on stdio that work with accounts of people: each process has the token of its person, and of nobody else.

use crate::{
    people::People,
    support::{Answer, World, script, world_with},
};
use hallpass_gateway::{GatewayConfig, NoCredential, Upstream, UpstreamCredential};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;

/// Says which token it has, in each answer.
const SERVER: &str = r#"
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case $line in
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}' ;;
    *'"slow"'*) sleep 1; echo '{"jsonrpc":"2.0","id":'$id',"result":{"token":"'$TOKEN'","pid":'$$'}}' ;;
    *'"id"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"token":"'$TOKEN'","pid":'$$'}}' ;;
  esac
done
"#;

async fn world(change: impl FnOnce(&mut GatewayConfig)) -> (World, Arc<People>) {
    let people = Arc::new(People::default());
    let credentials = Arc::clone(&people);
    let world = world_with("", |config| {
        let mut command = script(SERVER);
        command.token_variable = Some("TOKEN".into());
        config.servers[0].upstream = Upstream::Stdio(command);
        config.servers[0].upstream_credential = Some(UpstreamCredential::Person(credentials));
        change(config);
    })
    .await;
    (world, people)
}

/// A session of one person.
struct Caller<'w> {
    world: &'w World,
    bearer: String,
    session: String,
}

impl<'w> Caller<'w> {
    async fn begin(world: &'w World, person: &str) -> Result<Caller<'w>, Answer> {
        let token = world.token_of(|token| person.clone_into(&mut token.subject));
        let mut caller = Caller { world, bearer: format!("Bearer {token}"), session: String::new() };
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
        let answer = caller
            .post(&json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }))
            .await;
        answer.header("mcp-session-id").clone_into(&mut caller.session);
        if caller.session.is_empty() { Err(answer) } else { Ok(caller) }
    }

    async fn post(&self, body: &Value) -> Answer {
        let mut headers = vec![("authorization", &*self.bearer)];
        if !self.session.is_empty() {
            headers.push(("mcp-session-id", &self.session));
        }
        self.world.post(&body.to_string(), &headers).await
    }

    async fn call(&self, tool: &str) -> Answer {
        self.post(&json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": tool } }))
            .await
    }
}

fn is_alive(pid: &Value) -> bool {
    let asked =
        std::process::Command::new("ps").args(["-o", "stat=", "-p"]).arg(pid.to_string()).output().unwrap();
    let state = String::from_utf8(asked.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

async fn ends(pid: &Value) {
    for _ in 0..100 {
        if !is_alive(pid) {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
    panic!("the process {pid} is still there");
}

/// As clients of the newest revision ask.
async fn stateless(world: &World, person: &str) -> Answer {
    let token = world.token_of(|token| person.clone_into(&mut token.subject));
    let bearer = format!("Bearer {token}");
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} });
    let body = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "a", "_meta": meta } });
    let headers = [
        ("authorization", &*bearer),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "a"),
    ];
    world.post(&body.to_string(), &headers).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rs_061_p12_rs_069_each_process_has_the_token_of_its_person_alone() {
    let (world, people) = world(|_| {}).await;
    for person in ["ann", "bob", "cleo"] {
        people.set(person, Ok(&format!("canary-of-{person}")));
    }
    let world = Arc::new(world);
    let mut calls = tokio::task::JoinSet::new();
    for at in 0..24_usize {
        let world = Arc::clone(&world);
        calls.spawn(async move {
            let person = ["ann", "bob", "cleo"][at % 3];
            let answer = if at % 2 == 0 {
                stateless(&world, person).await
            } else {
                Caller::begin(&world, person)
                    .await
                    .unwrap_or_else(|answer| panic!("{}", answer.text))
                    .call("a")
                    .await
            };
            assert_eq!(answer.json()["result"]["token"], format!("canary-of-{person}"), "{}", answer.text);
        });
    }
    while let Some(done) = calls.join_next().await {
        done.unwrap();
    }
}

#[tokio::test]
async fn rs_061_without_a_connection_no_process_is_started_and_the_person_is_told() {
    let (world, people) = world(|_| {}).await;
    people.set("ann", Err(NoCredential::NotConnected));
    let refused = Caller::begin(&world, "ann").await.map(|_| ()).unwrap_err();
    assert!(
        refused.json()["error"]["message"].as_str().unwrap().contains("link=sealed-for-ann"),
        "{}",
        refused.text
    );
    let refused = stateless(&world, "ann").await;
    assert!(refused.json()["result"]["isError"] == true && refused.text.contains("link=sealed-for-ann"));
    let machine = world.token_of(|token| token.subject.clone_from(&token.client_id));
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert_eq!(world.post(body, &[("authorization", &format!("Bearer {machine}"))]).await.status, 403);
}

#[tokio::test]
async fn rs_061_a_renewed_token_means_another_process_and_the_old_one_answers_what_it_was_asked() {
    let (world, people) = world(|_| {}).await;
    people.set("ann", Ok("first"));
    let caller = Caller::begin(&world, "ann").await.unwrap_or_else(|answer| panic!("{}", answer.text));
    let first = caller.call("a").await.json()["result"].clone();
    assert_eq!(first["token"], "first");
    let standing = stateless(&world, "ann").await.json()["result"].clone();
    let (slow, ()) = tokio::join!(caller.call("slow"), async {
        sleep(Duration::from_millis(300)).await;
        people.set("ann", Ok("second"));
        let over = caller.call("a").await;
        assert_eq!(over.status, 404, "the client begins anew: {}", over.text);
        assert!(is_alive(&first["pid"]), "it has something to answer");
    });
    assert!(slow.text.contains(r#""token":"first""#), "{}", slow.text);
    ends(&first["pid"]).await;
    let again = Caller::begin(&world, "ann").await.unwrap_or_else(|answer| panic!("{}", answer.text));
    assert_eq!(again.call("a").await.json()["result"]["token"], "second");
    // Clients without sessions notice nothing.
    assert_eq!(stateless(&world, "ann").await.json()["result"]["token"], "second");
    ends(&standing["pid"]).await;
}

#[tokio::test]
async fn rs_061_who_takes_a_connection_back_ends_the_processes_that_have_its_token() {
    let (world, people) = world(|_| {}).await;
    for person in ["ann", "bob"] {
        people.set(person, Ok("canary"));
    }
    let (ann, bob) = (Caller::begin(&world, "ann").await, Caller::begin(&world, "bob").await);
    let (Ok(ann), Ok(bob)) = (ann, bob) else { panic!("no session") };
    let pid_of = |answer: &Answer| answer.json()["result"]["pid"].clone();
    let (hers, standing, his) =
        (pid_of(&ann.call("a").await), pid_of(&stateless(&world, "ann").await), pid_of(&bob.call("a").await));
    people.set("ann", Err(NoCredential::NotConnected));
    let told = ann.call("a").await;
    assert!(told.text.contains("link=sealed-for-ann"), "{}", told.text);
    ends(&hers).await;
    ends(&standing).await;
    assert!(is_alive(&his), "another person's stays");
}

#[tokio::test]
#[should_panic(expected = "Credential(\"mcp\")")]
async fn rs_061_a_process_that_people_share_gets_no_persons_token() {
    world(|config| {
        let mut command = script(SERVER);
        (command.shared_processes, command.token_variable) = (1, Some("TOKEN".into()));
        config.servers[0].upstream = Upstream::Stdio(command);
    })
    .await;
}
