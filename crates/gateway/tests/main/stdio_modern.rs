//! A server on stdio that knows revision 2026-07-28 and nothing older, for clients of all revisions.

use crate::support::{Answer, World, script, world_with};
use axum::body::Body;
use hallpass_gateway::Upstream;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;

/// Refuses sessions as the TypeScript SDK does. Of a request that it knows nothing of it says what it was sent.
const SERVER: &str = r#"
meta='"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"modern","version":"3"}}'
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  sent=$(printf %s "$line" | tr -d '"')
  say() { echo '{"jsonrpc":"2.0","id":'$id',"'"$1"'":'"$2"'}'; }
  complete() { say result '{"resultType":"complete","ttlMs":5,"cacheScope":"public","sent":"'"$sent"'","pid":'$$'}'; }
  wants() { say result '{"resultType":"input_required","requestState":"state-of-'$1'","inputRequests":{'"$2"'}}'; }
  elicit='"confirm":{"method":"elicitation/create","params":{"message":"Really?","requestedSchema":{"type":"object","properties":{}}}}'
  case $line in
    *'"initialize"'*) say error '{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28"]}}' ;;
    *'"server/discover"'*) say result '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"logging":{}},"instructions":"Hello",'"$meta"'}' ;;
    *'"subscriptions/listen"'*)
      sub='"_meta":{"io.modelcontextprotocol/subscriptionId":'$id'}'
      echo '{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{'"$sub"',"notifications":{}}}'
      echo '{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{'"$sub"'}}'
      say result '{"resultType":"complete",'"$sub"'}' ;;
    *notifications/cancelled*) cancelled=$sent ;;
    *'"cancelled"'*) sent=$cancelled; complete ;;
    *'"greedy"'*) wants greedy '"roots":{"method":"roots/list"}' ;;
    *'"sampled"'*) wants sampled '"one":{"method":"sampling/createMessage","params":{}}' ;;
    *'"odd"'*) wants odd '"one":{"method":"tools/call","params":{}}' ;;
    *'"inputResponses"'*) complete ;;
    *'"asks"'*) wants asks "$elicit"',"roots":{"method":"roots/list"}' ;;
    *'"resumes"'*) case $line in *state-of-resumes*) complete ;; *) say result '{"resultType":"input_required","requestState":"state-of-resumes"}' ;; esac ;;
    *'"logs"'*)
      echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"said"}}'
      complete ;;
    *'"id"'*) complete ;;
  esac
done
"#;

const VERSION: &str = "2026-07-28";

async fn world() -> World {
    world_with("", |config| config.servers[0].upstream = Upstream::Stdio(script(SERVER))).await
}

fn told(value: &Value) -> String {
    value.to_string()
}

/// A client of revision 2025-11-25 in a session.
struct Old<'w> {
    world: &'w World,
    session: String,
}

impl<'w> Old<'w> {
    async fn begin(world: &'w World, capabilities: Value) -> (Old<'w>, Answer) {
        let params = json!({ "protocolVersion": "2025-06-18", "capabilities": capabilities, "clientInfo": { "name": "old one", "version": "1" } });
        let mut old = Self { world, session: String::new() };
        let answer =
            old.post(json!({ "jsonrpc": "2.0", "id": "i", "method": "initialize", "params": params })).await;
        answer.header("mcp-session-id").clone_into(&mut old.session);
        (old, answer)
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        if self.session.is_empty() { vec![] } else { vec![("mcp-session-id", &self.session)] }
    }

    async fn post(&self, body: Value) -> Answer {
        let mut headers = self.headers();
        headers.push(("accept", "application/json"));
        let asked = self.world.ask(self.world.request("POST", &told(&body), &headers));
        timeout(Duration::from_secs(20), asked).await.expect("no answer in time")
    }

    async fn ask(&self, method: &str, params: Value) -> Value {
        let answer =
            self.post(json!({ "jsonrpc": "2.0", "id": "a", "method": method, "params": params })).await;
        assert_eq!((answer.status, &answer.json()["id"]), (200, &json!("a")), "{}", answer.text);
        answer.json()
    }

    /// A call whose answer may be a stream.
    async fn stream(&self, tool: &str) -> Body {
        let body = json!({ "jsonrpc": "2.0", "id": tool, "method": "tools/call", "params": { "name": tool, "arguments": { "n": 1 } } });
        let response = self.world.send(self.world.request("POST", &told(&body), &self.headers())).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response.into_body()
    }

    async fn reply(&self, asked: &Value, outcome: (&str, Value)) {
        let answer = json!({ "jsonrpc": "2.0", "id": asked["id"], outcome.0: outcome.1 });
        assert_eq!(self.post(answer).await.status, 202);
    }
}

async fn event(body: &mut Body) -> Value {
    let frame =
        timeout(Duration::from_secs(5), body.frame()).await.expect("no event in time").unwrap().unwrap();
    let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
    serde_json::from_str(text.strip_prefix("event: message\ndata: ").unwrap().trim()).unwrap()
}

/// A client of the newest revision.
async fn new(world: &World, method: &str, more: Value, id: i64) -> Answer {
    let mut params = json!({ "_meta": {
        "io.modelcontextprotocol/protocolVersion": VERSION,
        "io.modelcontextprotocol/clientInfo": { "name": "new one", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": { "elicitation": {} },
        "io.modelcontextprotocol/logLevel": "info",
        "progressToken": "mine",
    } });
    let mut headers = vec![("mcp-protocol-version", VERSION), ("mcp-method", method)];
    params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let name = more["name"].as_str();
    headers.extend(name.map(|name| ("mcp-name", name)));
    let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    let asked = world.ask(world.request("POST", &told(&body), &headers));
    timeout(Duration::from_secs(20), asked).await.expect("no answer in time")
}

fn sent(answer: &Value) -> String {
    answer["result"]["sent"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn a_client_with_a_session_is_served_by_a_server_that_knows_none() {
    let world = world().await;
    let (old, begun) = Old::begin(&world, json!({ "elicitation": {}, "tasks": {} })).await;
    let result = begun.json()["result"].clone();
    assert_eq!((&begun.json()["id"], &result["protocolVersion"]), (&json!("i"), &json!("2025-06-18")));
    assert_eq!(result["serverInfo"], json!({ "name": "modern", "version": "3" }));
    assert_eq!(
        (&result["capabilities"], &result["instructions"]),
        (&json!({ "tools": { "listChanged": true }, "logging": {} }), &json!("Hello"))
    );
    assert!(!old.session.is_empty());
    let initialized = old.post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
    assert_eq!(initialized.status, 202);
    assert_eq!(old.ask("ping", json!({})).await["result"], json!({}));
    let first = old.ask("tools/call", json!({ "name": "who", "_meta": { "mine": 1 } })).await;
    // What a client of its revision says of each request, and nothing that only such a client may say.
    let seen = sent(&first);
    for part in [
        "protocolVersion:2026-07-28",
        "clientInfo:{name:old one,version:1}",
        "clientCapabilities:{elicitation:{}}",
        "mine:1",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert!(!seen.contains("requestState") && !seen.contains("logLevel"), "{seen}");
    for newest in ["resultType", "ttlMs", "cacheScope"] {
        assert_eq!(first["result"][newest], Value::Null, "{newest}");
    }
    assert_eq!(old.ask("logging/setLevel", json!({ "level": "debug" })).await["result"], json!({}));
    let second = old.ask("tools/list", json!({})).await;
    assert!(sent(&second).contains("logLevel:debug") && !sent(&second).contains("initialized"));
    assert_eq!(first["result"]["pid"], second["result"]["pid"]);
    for gone in ["resources/subscribe", "tasks/get", "subscriptions/listen"] {
        let refused = old.ask(gone, json!({})).await;
        let text = refused["error"]["message"].as_str().unwrap();
        assert!(refused["error"]["code"] == -32601 && text.contains("2026-07-28"), "{gone}: {refused}");
    }
}

#[tokio::test]
async fn what_a_server_wants_in_a_result_is_asked_of_a_client_with_a_session() {
    let world = world().await;
    let (old, _) = Old::begin(&world, json!({ "elicitation": {}, "roots": { "listChanged": true } })).await;
    let mut stream = old.stream("asks").await;
    let (first, second) = (event(&mut stream).await, event(&mut stream).await);
    assert_eq!(
        (&first["method"], &first["params"]["message"]),
        (&json!("elicitation/create"), &json!("Really?"))
    );
    assert_eq!(second["method"], "roots/list");
    old.reply(&first, ("result", json!({ "action": "accept", "content": { "a": 1 } }))).await;
    // The same answer again is one to nothing, and does not stand for the other.
    old.reply(&first, ("result", json!({ "action": "decline" }))).await;
    old.reply(&second, ("result", json!({ "roots": [] }))).await;
    let last = event(&mut stream).await;
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!("asks"), &Value::Null));
    let seen = sent(&last);
    for part in [
        "inputResponses:{confirm:{action:accept,content:{a:1}},roots:{roots:[]}}",
        "requestState:state-of-asks",
        "arguments:{n:1}",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert!(stream.frame().await.is_none(), "the stream ends with the answer");
    // Where there is only a state, the server goes on by itself.
    assert!(
        sent(&old.ask("tools/call", json!({ "name": "resumes" })).await)
            .contains("requestState:state-of-resumes")
    );
    // An error of the client ends the request, with its reason.
    let mut stream = old.stream("asks").await;
    let first = event(&mut stream).await;
    old.reply(&first, ("error", json!({ "code": -1, "message": "nobody is there" }))).await;
    event(&mut stream).await;
    let failed = event(&mut stream).await;
    assert!(failed["error"]["message"].as_str().unwrap().contains("nobody is there"), "{failed}");
}

#[tokio::test]
async fn what_cannot_be_asked_of_a_client_is_said_and_asked_no_more_than_ten_times() {
    let world = world().await;
    let (old, _) = Old::begin(&world, json!({ "roots": {} })).await;
    let says = async |tool: &str| {
        let answer = old.ask("tools/call", json!({ "name": tool })).await;
        answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    assert!(says("sampled").await.contains("sampling/createMessage, which this client does not offer"));
    assert!(says("asks").await.contains("elicitation/create, which this client does not offer"));
    assert!(says("odd").await.contains("this revision does not have"));
    assert!(says("greedy").await.contains("this client reads no stream"));
    let mut stream = old.stream("greedy").await;
    let mut asked = 0;
    let last = loop {
        let next = event(&mut stream).await;
        if next["method"].is_null() {
            break next;
        }
        asked += 1;
        old.reply(&next, ("result", json!({ "roots": [] }))).await;
    };
    assert!(
        asked == 10 && last["error"]["message"].as_str().unwrap().contains("again and again"),
        "{asked}: {last}"
    );
    // Cancelled while the client thinks: the process and the next request are as before.
    let mut stream = old.stream("greedy").await;
    let question = event(&mut stream).await;
    let cancelled =
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": "greedy" } });
    assert_eq!(old.post(cancelled).await.status, 202);
    assert!(event(&mut stream).await["error"]["message"].as_str().unwrap().contains("cancelled"));
    old.reply(&question, ("result", json!({ "roots": [] }))).await;
    assert!(sent(&old.ask("tools/call", json!({ "name": "who" })).await).contains("name:who"));
}

#[tokio::test]
async fn t_81_rs_055_an_answer_of_somebody_else_is_none() {
    let world = world().await;
    let (ann, _) = Old::begin(&world, json!({ "roots": {}, "elicitation": {} })).await;
    let (other, _) = Old::begin(&world, json!({ "roots": {}, "elicitation": {} })).await;
    let mut stream = ann.stream("asks").await;
    let (first, second) = (event(&mut stream).await, event(&mut stream).await);
    for question in [&first, &second] {
        other.reply(question, ("result", json!({ "action": "accept", "content": { "stolen": 1 } }))).await;
    }
    ann.reply(&first, ("result", json!({ "action": "accept", "content": { "own": 1 } }))).await;
    ann.reply(&second, ("result", json!({ "roots": [] }))).await;
    let seen = sent(&event(&mut stream).await);
    assert!(seen.contains("own:1") && !seen.contains("stolen"), "{seen}");
}

#[tokio::test]
async fn rs_055_a_client_without_sessions_is_passed_on_and_asked_as_its_revision_does() {
    let world = world().await;
    let found = new(&world, "server/discover", json!({}), 1).await.json()["result"].clone();
    assert_eq!(found["capabilities"], json!({ "tools": { "listChanged": true }, "logging": {} }));
    assert_eq!(found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "modern");
    let versions = found["supportedVersions"].as_array().unwrap();
    assert!(versions.contains(&json!(VERSION)) && versions.contains(&json!("2025-11-25")));
    let answer = new(&world, "tools/call", json!({ "name": "who" }), 7).await;
    let result = &answer.json()["result"];
    assert_eq!(
        (&answer.json()["id"], &result["resultType"], &result["ttlMs"]),
        (&json!(7), &json!("complete"), &json!(5))
    );
    let seen = sent(&answer.json());
    for part in
        ["clientInfo:{name:new one,version:1}", "clientCapabilities:{elicitation:{}}", "logLevel:info"]
    {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert!(seen.contains("progressToken:") && !seen.contains("progressToken:mine"), "{seen}");
    // It asks in its result, and gets its own state back with the answers.
    let asked = new(&world, "tools/call", json!({ "name": "asks" }), 8).await.json();
    let result = &asked["result"];
    assert_eq!(
        (&result["resultType"], &result["inputRequests"]["roots"]["method"]),
        (&json!("input_required"), &json!("roots/list"))
    );
    let state = result["requestState"].as_str().unwrap();
    assert!(!state.contains("state-of-asks"), "{state}");
    let again =
        json!({ "name": "asks", "requestState": state, "inputResponses": { "roots": { "roots": [] } } });
    let seen = sent(&new(&world, "tools/call", again, 9).await.json());
    assert!(
        seen.contains("requestState:state-of-asks") && seen.contains("inputResponses:{roots:{roots:[]}}"),
        "{seen}"
    );
    let logged = new(&world, "tools/call", json!({ "name": "logs" }), 10).await;
    assert!(logged.text.contains("notifications/message") && logged.text.contains("said"), "{}", logged.text);
    for gone in ["ping", "resources/subscribe"] {
        assert_eq!(new(&world, gone, json!({}), 11).await.status, 404, "{gone}");
    }
}

#[tokio::test]
async fn a_subscription_has_the_number_that_its_client_gave_it() {
    let world = world().await;
    let answer =
        new(&world, "subscriptions/listen", json!({ "notifications": { "toolsListChanged": true } }), 4711)
            .await;
    assert_eq!(answer.header("content-type"), "text/event-stream", "{}", answer.text);
    let events: Vec<Value> = answer
        .text
        .lines()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect();
    let methods: Vec<_> = events.iter().map(|event| event["method"].as_str().unwrap_or_default()).collect();
    assert_eq!(methods, ["notifications/subscriptions/acknowledged", "notifications/tools/list_changed", ""]);
    for event in &events {
        let meta =
            event["params"]["_meta"].as_object().or_else(|| event["result"]["_meta"].as_object()).unwrap();
        assert_eq!(meta["io.modelcontextprotocol/subscriptionId"], 4711, "{event}");
    }
}

/// Tells of changes, and of what it was told of subscriptions.
const CHANGING: &str = r#"
heard=
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  sent=$(printf %s "$line" | tr -d '"')
  say() { echo '{"jsonrpc":"2.0","id":'$id',"'"$1"'":'"$2"'}'; }
  of() { echo '"_meta":{"io.modelcontextprotocol/subscriptionId":'$1'}'; }
  tell() { echo '{"jsonrpc":"2.0","method":"notifications/'$1'","params":{'"$2"'}}'; }
  case $line in
    *'"initialize"'*) say error '{"code":-32022,"message":"Unsupported protocol version"}' ;;
    *'"server/discover"'*) say result '{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true},"prompts":{},"resources":{"subscribe":true}}}' ;;
    *'"subscriptions/listen"'*)
      sub=$id; heard="$heard $id:${sent#*notifications:}"
      tell subscriptions/acknowledged "$(of $id),"'"notifications":{}' ;;
    *notifications/cancelled*) heard="$heard cancelled:${sent#*requestId:}" ;;
    *'"change"'*)
      tell tools/list_changed "$(of $sub)"
      tell tools/list_changed "$(of 4711)"
      tell resources/updated '"uri":"file:///a",'"$(of $sub)"
      say result '{"resultType":"complete"}' ;;
    *'"heard"'*) say result '{"resultType":"complete","sent":"'"$heard"'"}' ;;
  esac
done
"#;

#[tokio::test]
async fn a_client_with_a_session_hears_of_changes_in_a_server_that_knows_none() {
    let world = world_with("", |config| config.servers[0].upstream = Upstream::Stdio(script(CHANGING))).await;
    let (old, begun) = Old::begin(&world, json!({})).await;
    let offered =
        json!({ "tools": { "listChanged": true }, "prompts": {}, "resources": { "subscribe": true } });
    assert_eq!(begun.json()["result"]["capabilities"], offered);
    let heard = async || sent(&old.ask("tools/call", json!({ "name": "heard" })).await);
    assert_eq!(heard().await, "", "who is not ready hears nothing");
    for _ in 0..2 {
        let ready = old.post(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        assert_eq!(ready.status, 202);
    }
    let first = heard().await;
    assert_eq!(first.matches("toolsListChanged:true").count(), 1, "{first}");
    assert!(!first.contains("promptsListChanged") && !first.contains("cancelled"), "{first}");
    for uri in ["file:///a", "file:///b", "file:///a"] {
        let subscribed = old.ask("resources/subscribe", json!({ "uri": uri })).await;
        assert_eq!(subscribed["result"], json!({}), "{subscribed}");
    }
    assert_eq!(old.ask("resources/unsubscribe", json!({ "uri": "file:///b" })).await["result"], json!({}));
    let told = heard().await;
    let numbers: Vec<_> =
        told.split(' ').filter_map(|part| part.split_once(":{")).map(|(number, _)| number).collect();
    assert_eq!(numbers.len(), 4, "a second time is no change: {told}");
    assert!(told.contains("resourceSubscriptions:[file:///a,file:///b]"), "{told}");
    assert!(
        told.trim_end().rsplit_once(":{").unwrap().1.contains("resourceSubscriptions:[file:///a]"),
        "{told}"
    );
    // Each but the last was cancelled, after the next was there.
    old.ask("tools/call", json!({ "name": "other" , "arguments": { "then": "change" } })).await;
    let told = heard().await;
    for (at, number) in numbers.iter().enumerate() {
        let cancelled = told.contains(&format!("cancelled:{number}}}"));
        assert_eq!(cancelled, at + 1 < numbers.len(), "{number} of {told}");
    }
    // What comes by the subscription that there is, is on the stream of the session, as its revision has it.
    let stream = world.send(world.request("GET", "", &[("mcp-session-id", &old.session)])).await;
    assert_eq!(stream.status(), 200);
    let mut stream = stream.into_body();
    let mut events = Vec::new();
    for _ in 0..2 {
        events.push(event(&mut stream).await);
    }
    let changed = |name: &str, params: Value| json!({ "jsonrpc": "2.0", "method": format!("notifications/{name}"), "params": params });
    assert_eq!(
        events,
        [
            changed("tools/list_changed", json!({})),
            changed("resources/updated", json!({ "uri": "file:///a" }))
        ]
    );
    // Nobody else's, and nothing more.
    assert!(timeout(Duration::from_millis(300), stream.frame()).await.is_err());
}

#[tokio::test]
async fn a_server_that_refuses_both_ways_to_begin_is_an_error_that_says_so() {
    let deaf = r#"
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  echo '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32601,"message":"no such method"}}'
done"#;
    let world = world_with("", |config| config.servers[0].upstream = Upstream::Stdio(script(deaf))).await;
    let (_, answer) = Old::begin(&world, json!({})).await;
    assert_eq!(
        (&answer.json()["error"]["message"], answer.header("mcp-session-id")),
        (&json!("no such method"), "")
    );
    let answer = new(&world, "tools/list", json!({}), 1).await;
    assert!(answer.text.contains("takes no session"), "{}", answer.text);
}
