//! Servers that want the person to open a page, in the middle of a call.
use super::world::*;
use crate::{
    elicitation::{Decision, PageWanted, Pages},
    wire::Incoming,
};
use hallpass_core::uri::ResourceUri;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

struct Answering(Decision, Arc<Mutex<Vec<String>>>);

impl Pages for Answering {
    fn wanted(&mut self, _: &ResourceUri, wanted: &PageWanted) -> Decision {
        self.1.lock().unwrap().push(wanted.page().as_str().to_owned());
        self.0
    }
}

/// The server asks for this page and then answers. What it heard, and what the person was asked.
async fn heard(url: &str, decision: Option<Decision>) -> (Value, Vec<String>) {
    let world = World::new().await;
    world.login().await.unwrap();
    let mut caller = world.client.caller(&world.mcp, "default").unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    if let Some(decision) = decision {
        caller = caller.with_pages(Box::new(Answering(decision, Arc::clone(&asked))));
    }
    drop(caller.call("tools/list", None).await.unwrap());
    let opening =
        world.called().into_iter().map(|seen| seen.json()).rfind(|seen| seen["method"] == "initialize");
    let offered = if decision.is_some() { json!({ "elicitation": { "url": {} } }) } else { json!({}) };
    assert_eq!(opening.unwrap()["params"]["capabilities"], offered);

    let params = json!({ "mode": "url", "url": url, "message": "Connect", "elicitationId": "e" });
    let question = json!({ "jsonrpc": "2.0", "id": "q", "method": "elicitation/create", "params": params });
    let answer = json!({ "jsonrpc": "2.0", "id": 3, "result": {} });
    let stream = format!("data: {question}\n\ndata: {answer}\n\n");
    world.set(|knobs| {
        knobs.instead = vec![("/mcp", 200, "content-type: text/event-stream\r\n".into(), stream)];
        knobs.times.insert("/mcp", 1);
    });
    let params = json!({ "name": "t" });
    let mut messages = caller.call("tools/call", params.as_object()).await.unwrap();
    while let Some(message) = messages.next().await.unwrap() {
        assert!(!matches!(message, Incoming::Error(_)));
    }
    let said = world.called().into_iter().map(|seen| seen.json()).find(|seen| seen["id"] == "q").unwrap();
    let asked = asked.lock().unwrap().clone();
    (said, asked)
}

#[tokio::test]
async fn cl_097_a_page_is_a_question_to_the_person_who_made_the_call() {
    let url = "https://pay.example/confirm?id=1";
    for (decision, action) in
        [(Decision::Accept, "accept"), (Decision::Decline, "decline"), (Decision::Cancel, "cancel")]
    {
        let (said, asked) = heard(url, Some(decision)).await;
        assert_eq!(said["result"], json!({ "action": action }));
        assert_eq!(asked, [url]);
    }
}

#[tokio::test]
async fn cl_097_what_is_no_web_page_is_not_even_asked_about_and_without_a_person_nothing_is() {
    for url in ["javascript:alert(1)", "http://pay.example/", "file:///etc/passwd"] {
        let (said, asked) = heard(url, Some(Decision::Accept)).await;
        assert_eq!((said["error"]["code"].as_i64(), asked.len()), (Some(-32602), 0), "{url}");
    }
    let (said, _) = heard("https://pay.example/", None).await;
    assert_eq!(said["error"]["code"], -32601);
}
