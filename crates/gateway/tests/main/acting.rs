//! Who acts for whom, and which of the programs of a client calls: in the rules, and in what is told of each call.

use crate::support::{World, world_with};
use hallpass_gateway::{CallLog, CallRecord, Callers, Policy, Rule};
use serde_json::json;
use std::sync::{Arc, Mutex};

/// What was told of each call: person, client, and who acts.
#[derive(Default)]
struct Told(Mutex<Vec<Line>>);

/// Person, client, all that act.
type Line = (Option<String>, String, Vec<String>);

impl CallLog for Told {
    fn call(&self, record: &CallRecord<'_>) {
        let client = record.client.unwrap_or_default().to_owned();
        self.0.lock().unwrap().push((record.person.map(str::to_owned), client, record.actors.to_vec()));
    }
}

fn rule(tool: &str, clients: &[&str], deny: bool) -> Rule {
    let clients = Some(clients.iter().map(|name| (*name).to_owned()).collect());
    Rule {
        tools: vec![tool.to_owned()],
        callers: Callers { clients, ..Callers::default() },
        deny,
        ..Rule::default()
    }
}

async fn world(rules: Vec<Rule>) -> (World, Arc<Told>) {
    let told = Arc::new(Told::default());
    let log: Arc<dyn CallLog> = told.clone();
    let world = world_with("echo", |config| {
        config.servers[0].policy = Policy { rules, ..Policy::default() };
        config.calls = Some(log);
    })
    .await;
    (world, told)
}

async fn call(world: &World, (subject, client, actors): (&str, &str, &[&str]), tool: &str) -> u16 {
    let token = world.token_of(|token| {
        subject.clone_into(&mut token.subject);
        client.clone_into(&mut token.client_id);
        token.actors = actors.iter().map(|name| (*name).to_owned()).collect();
    });
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": tool } });
    world.post(&call.to_string(), &[("authorization", &format!("Bearer {token}"))]).await.status
}

#[tokio::test]
async fn as_177_rs_035_whoever_acts_is_in_the_rules_and_in_what_is_told_of_a_call() {
    let rules = vec![rule("read", &["agent", "helper"], false), rule("write", &["agent"], true)];
    let (world, told) = world(rules).await;
    let chain = ["helper", "agent"];
    for (caller, tool, status) in [
        (("ann", "helper", &chain[..]), "read", 200),
        (("ann", "helper", &["helper", "stranger"]), "read", 403),
        (("ann", "other", &[]), "write", 200),
        (("ann", "other", &["other", "agent"]), "write", 403),
    ] {
        assert_eq!(call(&world, caller, tool).await, status, "{caller:?} {tool}");
        let (person, client, actors) = told.0.lock().unwrap().last().cloned().unwrap();
        let actors: Vec<&str> = actors.iter().map(String::as_str).collect();
        assert_eq!(
            (person.as_deref(), &*client, &*actors),
            (Some(caller.0), caller.1, caller.2),
            "also of a refusal"
        );
    }
}

#[tokio::test]
async fn rs_033_rs_035_programs_of_one_client_are_told_apart_and_none_is_a_person() {
    let people = Callers { people: Some(vec!["ci deploy".into(), "ci build".into()]), ..Callers::default() };
    let rules = vec![
        rule("read", &["ci"], false),
        rule("write", &["ci deploy"], false),
        rule("purge", &["ci build"], true),
        Rule { tools: vec!["own".into()], callers: people, ..Rule::default() },
    ];
    let (world, told) = world(rules).await;
    for (subject, client, tool, status) in [
        ("ci deploy", "ci", "read", 200),
        ("ci build", "ci", "read", 200),
        ("ci", "ci", "read", 200),
        ("ci deploy", "ci", "write", 200),
        ("ci build", "ci", "write", 403),
        ("ci", "ci", "write", 403),
        ("ci deploy", "ci", "purge", 200),
        ("ci build", "ci", "purge", 403),
        ("ci deploy", "ci", "own", 403),
        // A person of that name, if there could be one.
        ("ci deploy", "other", "write", 403),
    ] {
        assert_eq!(call(&world, (subject, client, &[]), tool).await, status, "{subject} {client} {tool}");
        let person = (client == "other").then(|| subject.to_owned());
        assert_eq!(told.0.lock().unwrap().last().unwrap().0, person);
    }
}
