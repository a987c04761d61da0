use super::*;

fn message(text: &str) -> Message {
    Message::parse(text.as_bytes(), Message::LIMITS).unwrap()
}

fn outcome(result: &Value) -> Outcome {
    Outcome::Result(Raw::from_value(result))
}

fn client(capabilities: &Value) -> Envelope {
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": capabilities });
    let text = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }).to_string();
    Envelope::of_initialize(&message(&text))
}

#[test]
fn who_does_not_know_the_newest_revision_is_none_of_it() {
    let knows = |versions: Value| discovered(&outcome(&json!({ "supportedVersions": versions }))).is_some();
    assert!(knows(json!(["2026-07-28"])) && knows(json!(["2099-01-01", "2026-07-28"])));
    assert!(!knows(json!(["2025-11-25"])) && !knows(json!([])) && !knows(json!("2026-07-28")));
    assert!(discovered(&Outcome::Error(Raw::integer(1))).is_none());
}

#[test]
fn t_82_a_client_says_nothing_of_itself_but_what_it_began_with() {
    let forged = message(
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/clientCapabilities":{"sampling":{}},"x":1},"inputResponses":{},"name":"a","requestState":"s"}}"#,
    );
    let written = client(&json!({ "roots": {}, "tasks": {} })).around(forged, None).to_canonical();
    let params = serde_json::from_slice::<Value>(&written).unwrap()["params"].clone();
    assert_eq!(params["_meta"]["io.modelcontextprotocol/clientCapabilities"], json!({ "roots": {} }));
    assert_eq!((&params["_meta"]["x"], &params["name"]), (&json!(1), &json!("a")));
    assert_eq!((&params["inputResponses"], &params["requestState"]), (&Value::Null, &Value::Null));
    let long = client(&json!({ "roots": { "x": "y".repeat(5_000) } }));
    assert!(long.may_be_asked("roots/list").is_err(), "it would be in each request");
}

#[test]
fn a_question_is_one_that_the_client_offered_to_answer() {
    let roots = client(&json!({ "roots": {} }));
    let asks = |result: Value| {
        wanted(&outcome(&result), &roots).map(|wanted| wanted.map(|wanted| wanted.questions.len()))
    };
    let with = |questions: Value| json!({ "resultType": "input_required", "inputRequests": questions });
    assert_eq!(asks(json!({ "resultType": "complete", "inputRequests": {} })), None);
    assert_eq!(asks(with(json!({ "a": { "method": "roots/list" } }))), Some(Ok(1)));
    assert_eq!(asks(json!({ "resultType": "input_required", "requestState": "s" })), Some(Ok(0)));
    let many: serde_json::Map<_, _> =
        (0..17).map(|number| (number.to_string(), json!({ "method": "roots/list" }))).collect();
    for bad in [
        with(json!({})),
        with(json!({ "a": 1 })),
        with(json!({ "a": { "method": "ping" } })),
        with(Value::Object(many)),
    ] {
        assert!(asks(bad.clone()).unwrap().is_err(), "{bad}");
    }
    assert!(
        asks(with(json!({ "a": { "method": "elicitation/create" } })))
            .unwrap()
            .unwrap_err()
            .contains("elicitation/create")
    );
}
