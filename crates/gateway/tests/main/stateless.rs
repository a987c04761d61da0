//! Servers on stdio for clients of revision 2026-07-28, which know no sessions.

use crate::support::{Answer, World, script, world_with};
use axum::body::Body;
use hallpass_gateway::{StdioCommand, Upstream};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Knows sessions only, and answers anything with its number and what it was sent. A progress token comes back as it was
/// given.
const SERVER: &str = r#"
ready=no
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case $line in
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"logging":{}},"serverInfo":{"name":"old","version":"1"},"instructions":"Hello"}}' ;;
    *notifications/initialized*) ready=yes ;;
    *notifications/cancelled*) cancelled=yes ;;
    *'"crash"'*) exit 7 ;;
    *'"never"'*) ;;
    *'"unknown"'*) echo '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32601,"message":"none"}}' ;;
    *'"progress"'*)
      token=${line#*\"progressToken\":}; token=${token%%[,\}]*}
      echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"aside"}}'
      echo '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":'$token',"progress":1}}'
      sleep 0.3
      echo '{"jsonrpc":"2.0","id":'$id',"result":{}}' ;;
    *'"asks"'*)
      echo '{"jsonrpc":"2.0","id":1,"method":"roots/list"}'
      IFS= read -r answer
      case $answer in *-32601*) answer=refused ;; esac
      echo '{"jsonrpc":"2.0","id":'$id',"result":{"answer":"'$answer'"}}' ;;
    *) sent=$(printf %s "$line" | tr -d '"')
       echo '{"jsonrpc":"2.0","id":'$id',"result":{"pid":'$$',"ready":"'$ready'","cancelled":"'$cancelled'","sent":"'$sent'"}}' ;;
  esac
done
"#;

const VERSION: &str = "2026-07-28";

async fn world_of(change: impl FnOnce(&mut StdioCommand)) -> World {
    let mut command = script(SERVER);
    change(&mut command);
    world_with("", |config| config.servers[0].upstream = Upstream::Stdio(command)).await
}

struct Caller<'w> {
    world: &'w World,
    bearer: String,
    /// What its client offers.
    offers: Value,
}

impl<'w> Caller<'w> {
    fn new(world: &'w World, subject: &str, client: &str) -> Self {
        let token = world.token_of(|token| {
            token.subject = subject.into();
            token.client_id = client.into();
        });
        Self { world, bearer: format!("Bearer {token}"), offers: json!({}) }
    }

    fn offering(self, offers: Value) -> Self {
        Self { offers, ..self }
    }

    fn request(&self, method: &str, name: Option<&str>, id: i64) -> http::Request<Body> {
        self.request_with(method, name, id, &json!({}))
    }

    fn request_with(&self, method: &str, name: Option<&str>, id: i64, more: &Value) -> http::Request<Body> {
        let mut params = json!({ "_meta": {
            "io.modelcontextprotocol/protocolVersion": VERSION,
            "io.modelcontextprotocol/clientCapabilities": self.offers,
            "progressToken": "token-1",
        } });
        let mut headers =
            vec![("authorization", &*self.bearer), ("mcp-protocol-version", VERSION), ("mcp-method", method)];
        if let Some(name) = name {
            params["name"] = json!(name);
            headers.push(("mcp-name", name));
        }
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
        self.world.request("POST", &body, &headers)
    }

    async fn ask(&self, method: &str) -> Answer {
        self.answer(self.request(method, None, 7)).await
    }

    async fn tool(&self, name: &str) -> Answer {
        self.answer(self.request("tools/call", Some(name), 7)).await
    }

    async fn answer(&self, request: http::Request<Body>) -> Answer {
        timeout(Duration::from_secs(20), self.world.ask(request)).await.expect("no answer in time")
    }

    async fn pid(&self) -> Value {
        let answer = self.tool("who").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["result"]["pid"].clone()
    }

    async fn events(&self, name: &str, id: i64) -> String {
        let response = self.world.send(self.request("tools/call", Some(name), id)).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let body = timeout(Duration::from_secs(20), response.into_body().collect()).await.unwrap().unwrap();
        String::from_utf8(body.to_bytes().to_vec()).unwrap()
    }
}

#[tokio::test]
async fn a_client_without_sessions_is_served_by_a_server_that_knows_nothing_else() {
    let world = world_of(|_| {}).await;
    let ann = Caller::new(&world, "ann", "one");
    let answer = ann.tool("who").await;
    let result = answer.json()["result"].clone();
    assert_eq!((answer.status, &answer.json()["id"]), (200, &json!(7)), "{}", answer.text);
    assert_eq!((&result["resultType"], &result["ready"]), (&json!("complete"), &json!("yes")));
    let sent = result["sent"].as_str().unwrap();
    assert!(sent.contains("progressToken:") && !sent.contains("token-1"), "{sent}");
    assert!(!sent.contains("modelcontextprotocol"), "{sent}");
    assert!(answer.headers.get("mcp-session-id").is_none());

    let list = ann.ask("tools/list").await.json()["result"].clone();
    assert_eq!((&list["ttlMs"], &list["cacheScope"]), (&json!(0), &json!("private")));

    let found = ann.ask("server/discover").await.json()["result"].clone();
    assert_eq!(found["capabilities"], json!({ "tools": {} }));
    assert_eq!((&found["instructions"], &found["resultType"]), (&json!("Hello"), &json!("complete")));
    assert!(found["supportedVersions"].as_array().unwrap().contains(&json!(VERSION)));
}

#[tokio::test]
async fn t_81_rs_056_without_sessions_too_no_two_people_or_clients_share_a_process() {
    let world = world_of(|_| {}).await;
    let callers = [("ann", "one"), ("bob", "one"), ("ann", "two")];
    let mut pids = Vec::new();
    for (subject, client) in callers {
        let caller = Caller::new(&world, subject, client);
        let pid = caller.pid().await;
        assert_eq!(caller.pid().await, pid, "the next request goes to the same one");
        assert!(!pids.contains(&pid), "{subject} {client}");
        pids.push(pid);
    }
}

#[tokio::test]
async fn those_who_come_at_once_wait_for_one_process() {
    let world = world_of(|_| {}).await;
    let ann = Caller::new(&world, "ann", "one");
    let (a, b, c, d) = tokio::join!(ann.pid(), ann.pid(), ann.pid(), ann.pid());
    assert!(a == b && b == c && c == d, "{a} {b} {c} {d}");
}

#[tokio::test]
async fn t_82_progress_in_a_shared_process_goes_to_whose_it_is() {
    let world = world_of(|command| command.shared_processes = 1).await;
    let (ann, bob) = (Caller::new(&world, "ann", "one"), Caller::new(&world, "bob", "one"));
    assert_eq!(ann.pid().await, bob.pid().await);
    // Both chose the same token, and the same id.
    let (to_ann, to_bob) = tokio::join!(ann.events("progress", 5), bob.events("progress", 5));
    for events in [&to_ann, &to_bob] {
        assert_eq!(events.matches("notifications/progress").count(), 1, "{events}");
        assert!(events.contains(r#""progressToken":"token-1""#), "{events}");
        assert!(!events.contains("aside"), "what belongs to no request is nobody's: {events}");
    }
}

#[tokio::test]
async fn rs_057_what_the_revision_does_not_have_is_not_there() {
    let world = world_of(|_| {}).await;
    let ann = Caller::new(&world, "ann", "one");
    for method in ["ping", "logging/setLevel", "subscriptions/listen", "tasks/list", "unknown"] {
        let answer = ann.ask(method).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!(-32601)), "{method}");
    }
    for method in ["GET", "DELETE"] {
        let headers = [("authorization", &*ann.bearer), ("mcp-protocol-version", VERSION)];
        assert_eq!(ann.answer(world.request(method, "", &headers)).await.status, 405, "{method}");
    }
    let headers = [("authorization", &*ann.bearer), ("mcp-protocol-version", "2027-01-01")];
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let answer = ann.answer(world.request("POST", body, &headers)).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!(-32022)));
    assert_eq!(answer.json()["error"]["data"]["requested"], "2027-01-01");
    // What each request of the revision has to say.
    let headers =
        [("authorization", &*ann.bearer), ("mcp-protocol-version", VERSION), ("mcp-method", "tools/list")];
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": VERSION });
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": { "_meta": meta } }).to_string();
    let answer = ann.answer(world.request("POST", &body, &headers)).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (400, &json!(-32602)));
}

#[tokio::test]
async fn a_server_that_asks_is_refused_and_goes_on() {
    let world = world_of(|_| {}).await;
    let answer = Caller::new(&world, "ann", "one").tool("asks").await;
    assert_eq!(answer.json()["result"]["answer"], "refused", "{}", answer.text);
}

#[tokio::test]
async fn a_crash_costs_the_request_and_not_the_next_one() {
    let world = world_of(|_| {}).await;
    let ann = Caller::new(&world, "ann", "one");
    let before = ann.pid().await;
    let answer = ann.tool("crash").await;
    assert_eq!(answer.json()["error"]["code"], -32603, "{}", answer.text);
    assert_ne!(ann.pid().await, before);
}

#[tokio::test]
async fn a_client_that_leaves_cancels_and_leaves_the_process() {
    let world = world_of(|_| {}).await;
    let ann = Caller::new(&world, "ann", "one");
    let before = ann.pid().await;
    let left =
        timeout(Duration::from_millis(300), world.ask(ann.request("tools/call", Some("never"), 3))).await;
    assert!(left.is_err());
    sleep(Duration::from_millis(100)).await;
    let result = ann.tool("who").await.json()["result"].clone();
    assert_eq!((&result["pid"], &result["cancelled"]), (&before, &json!("yes")));
}

#[tokio::test]
async fn one_that_is_not_used_ends_and_is_started_again() {
    let world = world_of(|command| command.limits.idle = Duration::from_millis(300)).await;
    let ann = Caller::new(&world, "ann", "one");
    let before = ann.pid().await;
    sleep(Duration::from_millis(900)).await;
    assert_ne!(ann.pid().await, before);
}

#[tokio::test]
async fn a_server_that_takes_no_session_is_an_error_with_an_id() {
    let command = script(
        r#"while IFS= read -r line; do id=${line#*\"id\":}; id=${id%%,*}; echo '{"jsonrpc":"2.0","id":'$id',"error":{"code":-32601,"message":"none"}}'; done"#,
    );
    let world = world_with("", |config| config.servers[0].upstream = Upstream::Stdio(command)).await;
    let answer = Caller::new(&world, "ann", "one").tool("who").await;
    let read = answer.json();
    assert_eq!((&read["id"], &read["error"]["code"]), (&json!(7), &json!(-32603)), "{}", answer.text);
}

/// Asks twice at once, and says what it was told; `tools` of the word in the name of the tool.
const ASKING: &str = r#"
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case $line in
    *'"initialize"'*) offered=$(printf %s "$line" | tr -d '"')
      echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"asking","version":"1"}}}' ;;
    *'"asks"'*)
      echo '{"jsonrpc":"2.0","id":"q1","method":"elicitation/create","params":{"message":"Really?"}}'
      echo '{"jsonrpc":"2.0","id":"q2","method":"roots/list"}'
      IFS= read -r one; IFS= read -r two
      told=$(printf %s "$one $two" | tr -d '"')
      echo '{"jsonrpc":"2.0","id":'$id',"result":{"told":"'$told'","pid":'$$'}}' ;;
    *'"hurries"'*)
      echo '{"jsonrpc":"2.0","id":"q1","method":"roots/list"}'
      echo '{"jsonrpc":"2.0","id":'$id',"result":{"told":"nothing"}}' ;;
    *'"id"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"pid":'$$',"offered":"'$offered'"}}' ;;
  esac
done
"#;

async fn asking() -> World {
    world_with("", |config| config.servers[0].upstream = Upstream::Stdio(script(ASKING))).await
}

fn answering(state: &Value, answer: &Value) -> Value {
    json!({ "requestState": state, "inputResponses": { "question": answer } })
}

#[tokio::test]
async fn rs_055_a_process_that_asks_in_the_middle_of_a_request_asks_a_client_without_sessions_in_results() {
    let world = asking().await;
    let offers = json!({ "elicitation": {}, "roots": { "listChanged": true }, "tasks": {} });
    let ann = Caller::new(&world, "ann", "one").offering(offers);
    let ask = async |id, more: Value| {
        ann.answer(ann.request_with("tools/call", Some("asks"), id, &more)).await.json()
    };
    let who = ann.tool("who").await.json()["result"].clone();
    assert!(who["offered"].as_str().unwrap().contains("capabilities:{elicitation:{},roots:{}}"), "{who}");
    let first = ask(7, json!({})).await;
    let result = &first["result"];
    assert_eq!((&first["id"], &result["resultType"]), (&json!(7), &json!("input_required")), "{first}");
    assert_eq!(
        result["inputRequests"]["question"],
        json!({ "method": "elicitation/create", "params": { "message": "Really?" } })
    );
    let state = result["requestState"].clone();
    let missing = ask(8, json!({ "requestState": state })).await;
    assert!(missing["error"]["message"].as_str().unwrap().contains("no answer"), "{missing}");
    let second = ask(9, answering(&state, &json!({ "action": "accept" }))).await;
    assert_eq!(second["result"]["inputRequests"]["question"]["method"], "roots/list", "{second}");
    // An answer to the question before is none to this one.
    let before = ask(10, answering(&state, &json!({ "roots": ["stale"] }))).await;
    assert!(before["error"]["message"].as_str().unwrap().contains("any more"), "{before}");
    let last = ask(11, answering(&second["result"]["requestState"], &json!({ "roots": [] }))).await;
    assert_eq!((&last["id"], &last["result"]["resultType"]), (&json!(11), &json!("complete")));
    let told = last["result"]["told"].as_str().unwrap();
    assert!(
        told.contains("id:q1,result:{action:accept}") && told.contains("id:q2,result:{roots:[]}"),
        "{told}"
    );
    assert_eq!(last["result"]["pid"], who["pid"]);
    // One that does not wait for the answer has its own when the client comes back.
    let hurries = async |more: Value| {
        ann.answer(ann.request_with("tools/call", Some("hurries"), 1, &more)).await.json()
    };
    let asked = hurries(json!({})).await;
    let last = hurries(answering(&asked["result"]["requestState"], &json!({ "roots": [] }))).await;
    assert_eq!(last["result"]["told"], "nothing", "{last}");
}

#[tokio::test]
async fn rs_055_t_83_the_state_of_a_question_is_of_use_to_nobody_else_and_for_nothing_else() {
    let world = asking().await;
    let offers = json!({ "elicitation": {}, "roots": {} });
    let ann = Caller::new(&world, "ann", "one").offering(offers.clone());
    let asked = ann.answer(ann.request_with("tools/call", Some("asks"), 7, &json!({}))).await.json();
    let state = asked["result"]["requestState"].clone();
    let thief = json!({ "action": "accept", "content": { "stolen": 1 } });
    for (subject, client, tool) in [("bob", "one", "asks"), ("ann", "two", "asks"), ("ann", "one", "hurries")]
    {
        let other = Caller::new(&world, subject, client).offering(offers.clone());
        let request = other.request_with("tools/call", Some(tool), 7, &answering(&state, &thief));
        let refused = other.answer(request).await;
        assert!(refused.json()["error"].is_object(), "{subject} {client} {tool}: {}", refused.text);
    }
    let own =
        ann.request_with("tools/call", Some("asks"), 8, &answering(&state, &json!({ "action": "decline" })));
    assert_eq!(ann.answer(own).await.json()["result"]["resultType"], "input_required");
}

#[tokio::test]
async fn a_client_that_offers_nothing_is_not_asked_and_neither_are_people_who_share_a_process() {
    let world = asking().await;
    let offers = json!({ "elicitation": {}, "roots": {} });
    let ann = Caller::new(&world, "ann", "one");
    let told = ann.tool("asks").await.json()["result"]["told"].as_str().unwrap().to_owned();
    assert!(told.matches("-32601").count() == 2, "{told}");
    // What is offered later is for another process: one is told once what it may ask.
    let offering = Caller::new(&world, "ann", "one").offering(offers.clone());
    assert_ne!(ann.pid().await, offering.pid().await);
    let mut command = script(ASKING);
    command.shared_processes = 1;
    let shared = world_with("", |config| config.servers[0].upstream = Upstream::Stdio(command)).await;
    let ann = Caller::new(&shared, "ann", "one").offering(offers);
    let told = ann.tool("asks").await.json()["result"]["told"].as_str().unwrap().to_owned();
    assert!(told.matches("-32601").count() == 2, "{told}");
}
