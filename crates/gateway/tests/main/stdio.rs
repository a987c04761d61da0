//! Servers on stdio: real processes, one for each session, and what happens when they misbehave.

use crate::support::{Answer, World, script, world_with};
use axum::body::Body;
use hallpass_gateway::{Principal, SessionSealer, StdioCommand, StdioLimits, Upstream};
use http_body_util::BodyExt;
use serde_json::json;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{sleep, timeout};

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":"first","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;

/// Reads a line and answers by what is in it. What we write is canonical, so a shell can read it.
const SERVER: &str = r#"
echo "pid $$ is up" >&2
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case $line in
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"'$$'","version":"1"}}}' ;;
    *'"crash"'*) exit 7 ;;
    *'"garbage"'*) echo 'Listening on port 3000' ;;
    *'"long"'*) head -c 8000 /dev/zero | tr '\0' 'x'; echo '{"jsonrpc":"2.0","id":'$id',"result":"the rest of a long line"}' ;;
    *'"never"'*) ;;
    *'"seen"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"seen":"'$cancelled'","pid":'$$'}}' ;;
    *notifications/cancelled*) cancelled=$(printf %s "$line" | tr -d '"') ;;
    *'"progress"'*)
      echo '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"aside"}}'
      echo '{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"token-1","progress":1}}'
      sleep 0.2
      echo '{"jsonrpc":"2.0","id":'$id',"result":{}}' ;;
    *'"asks"'*)
      echo '{"jsonrpc":"2.0","id":1,"method":"roots/list"}'
      IFS= read -r answer; answer=$(printf %s "$answer" | tr -d '"')
      echo '{"jsonrpc":"2.0","id":'$id',"result":{"answer":"'$answer'"}}' ;;
    *'"later"'*) later=$id ;;
    *'"now"'*)
      echo '{"jsonrpc":"2.0","id":'$id',"result":{"to":"now"}}'
      echo '{"jsonrpc":"2.0","id":'$later',"result":{"to":"later"}}' ;;
    *'"id"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"pid":'$$',"name":"'"$NAME"'","folder":"'"$PWD"'","home":"'"$HOME"'"}}' ;;
  esac
done
"#;

async fn world_of(change: impl FnOnce(&mut StdioCommand)) -> World {
    let mut command = script(SERVER);
    change(&mut command);
    world_with("", |config| config.servers[0].upstream = Upstream::Stdio(command)).await
}

fn call(id: &str, name: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{name}","_meta":{{"progressToken":"token-1"}}}}}}"#
    )
}

struct Caller<'w> {
    world: &'w World,
    bearer: String,
    session: String,
}

impl<'w> Caller<'w> {
    async fn initialize(world: &'w World, subject: &str) -> (Caller<'w>, Answer) {
        let token = world.token_of(|token| token.subject = subject.into());
        let mut caller = Caller { world, bearer: format!("Bearer {token}"), session: String::new() };
        let answer = caller.send("POST", INITIALIZE).await;
        answer.header("mcp-session-id").clone_into(&mut caller.session);
        (caller, answer)
    }

    async fn ready(world: &'w World, subject: &str) -> Caller<'w> {
        let (caller, answer) = Self::initialize(world, subject).await;
        assert_eq!((answer.status, &answer.json()["id"]), (200, &json!("first")), "{}", answer.text);
        assert!(!caller.session.is_empty());
        caller
    }

    fn headers(&self) -> Vec<(&str, &str)> {
        let mut headers = vec![("authorization", &*self.bearer)];
        if !self.session.is_empty() {
            headers.push(("mcp-session-id", &self.session));
        }
        headers
    }

    async fn send(&self, method: &str, body: &str) -> Answer {
        let asked = self.world.ask(self.world.request(method, body, &self.headers()));
        timeout(Duration::from_secs(20), asked).await.expect("no answer in time")
    }

    async fn open(&self, method: &str, body: &str) -> Body {
        let response = self.world.send(self.world.request(method, body, &self.headers())).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        response.into_body()
    }

    async fn result(&self, name: &str) -> serde_json::Value {
        let answer = self.send("POST", &call("1", name)).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["result"].clone()
    }
}

async fn event(body: &mut Body) -> serde_json::Value {
    let frame =
        timeout(Duration::from_secs(5), body.frame()).await.expect("no event in time").unwrap().unwrap();
    let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
    let data = text.strip_prefix("event: message\ndata: ").unwrap().strip_suffix("\n\n").unwrap();
    serde_json::from_str(data).unwrap()
}

/// A zombie is dead: only its parent, which may be the container's first process, has not looked.
fn is_alive(pid: &serde_json::Value) -> bool {
    let asked =
        std::process::Command::new("ps").args(["-o", "stat=", "-p"]).arg(pid.to_string()).output().unwrap();
    let state = String::from_utf8(asked.stdout).unwrap();
    !state.trim().is_empty() && !state.trim().starts_with('Z')
}

async fn until_gone(pid: &serde_json::Value) {
    let started = Instant::now();
    while is_alive(pid) {
        assert!(started.elapsed() < Duration::from_secs(5), "{pid} is still there");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn t_81_rs_056_each_session_has_a_process_and_an_owner() {
    let world = world_of(|_| {}).await;
    let (ann, bob) = (Caller::ready(&world, "ann").await, Caller::ready(&world, "bob").await);
    let pids = [ann.result("who").await["pid"].clone(), bob.result("who").await["pid"].clone()];
    assert_ne!(pids[0], pids[1]);
    let again = Caller::ready(&world, "ann").await;
    assert_ne!(again.result("who").await["pid"], pids[0], "nor do two sessions of one person share one");

    let thief = Caller { world: &world, bearer: bob.bearer.clone(), session: ann.session.clone() };
    for method in ["POST", "GET", "DELETE"] {
        assert_eq!(thief.send(method, &call("1", "who")).await.status, 404, "{method}");
    }
    assert_eq!(ann.result("who").await["pid"], pids[0], "and ann's goes on");

    assert_eq!(ann.send("DELETE", "").await.status, 204);
    until_gone(&pids[0]).await;
    assert_eq!(ann.send("POST", &call("1", "who")).await.status, 404);
    assert_eq!(bob.result("who").await["pid"], pids[1]);
}

/// A sealer that does not bind: the second lock has to hold alone.
struct Open;

impl SessionSealer for Open {
    fn seal(&self, _: &Principal<'_>, upstream_id: &str) -> String {
        upstream_id.to_owned()
    }

    fn open(&self, _: &Principal<'_>, sealed: &str) -> Option<String> {
        Some(sealed.to_owned())
    }

    fn seal_handle(&self, _: &Principal<'_>, _: &str, text: &str) -> String {
        text.to_owned()
    }

    fn open_handle(&self, _: &Principal<'_>, _: &str, sealed: &str) -> Option<String> {
        Some(sealed.to_owned())
    }
}

#[tokio::test]
async fn t_81_rs_056_an_owner_is_asked_for_even_if_the_id_is_right() {
    let command = script(SERVER);
    let world = world_with("", |config| {
        config.servers[0].upstream = Upstream::Stdio(command);
        config.sessions = Arc::new(Open);
    })
    .await;
    let (ann, bob) = (Caller::ready(&world, "ann").await, Caller::ready(&world, "bob").await);
    let thief = Caller { world: &world, bearer: bob.bearer.clone(), session: ann.session.clone() };
    for method in ["POST", "GET", "DELETE"] {
        assert_eq!(thief.send(method, &call("1", "who")).await.status, 404, "{method}");
    }
    ann.result("who").await;
}

#[tokio::test]
async fn a_call_without_a_session_is_told_what_to_do() {
    let world = world_of(|_| {}).await;
    let answer = world.post(&call("1", "who"), &[]).await;
    assert_eq!((answer.status, &answer.json()["id"]), (400, &json!(1)));
    assert!(answer.text.contains("Mcp-Session-Id"));
}

#[tokio::test]
async fn rs_069_the_process_has_the_configured_environment_and_folder_and_no_more() {
    let folder = std::env::temp_dir().canonicalize().unwrap();
    let world = world_of(|command| {
        command.environment.push(("NAME".into(), "configured".into()));
        command.folder = Some(folder.clone());
    })
    .await;
    let caller = Caller::ready(&world, "ann").await;
    let seen = caller.result("who").await;
    assert_eq!((&seen["name"], &seen["home"]), (&json!("configured"), &json!("")));
    assert_eq!(seen["folder"], folder.to_str().unwrap());
}

#[tokio::test]
async fn answers_find_their_requests_whatever_ids_and_order() {
    let world = world_of(|_| {}).await;
    let caller = Caller::ready(&world, "ann").await;
    // The same id twice: a careless client, or two behind one session.
    let (later, now) = (call("\"same\"", "later"), call("\"same\"", "now"));
    let later = caller.send("POST", &later);
    let now = async {
        sleep(Duration::from_millis(200)).await;
        caller.send("POST", &now).await
    };
    let (later, now) = tokio::join!(later, now);
    assert_eq!((&later.json()["id"], &later.json()["result"]["to"]), (&json!("same"), &json!("later")));
    assert_eq!((&now.json()["id"], &now.json()["result"]["to"]), (&json!("same"), &json!("now")));
}

#[tokio::test]
async fn progress_comes_with_its_request_and_the_rest_on_the_stream_of_the_session() {
    let world = world_of(|_| {}).await;
    let caller = Caller::ready(&world, "ann").await;
    let mut session = caller.open("GET", "").await;
    let mut request = caller.open("POST", &call("5", "progress")).await;
    assert_eq!(event(&mut request).await["method"], "notifications/progress");
    assert_eq!(event(&mut request).await["id"], 5);
    assert!(request.frame().await.is_none(), "the stream ends with the answer");
    assert_eq!(event(&mut session).await["method"], "notifications/message");

    // A second stream takes over; the first ends.
    let mut second = caller.open("GET", "").await;
    assert!(timeout(Duration::from_secs(5), session.frame()).await.unwrap().is_none());
    drop(session);
    caller.send("POST", &call("6", "progress")).await;
    assert_eq!(event(&mut second).await["method"], "notifications/message");

    // Nobody listens: what came meanwhile waits.
    drop(second);
    caller.send("POST", &call("7", "progress")).await;
    let mut third = caller.open("GET", "").await;
    assert_eq!(event(&mut third).await["method"], "notifications/message");
}

#[tokio::test]
async fn a_server_asks_its_client_on_the_stream_that_is_there() {
    let world = world_of(|_| {}).await;
    let caller = Caller::ready(&world, "ann").await;
    for listens in [false, true] {
        let mut session = if listens { Some(caller.open("GET", "").await) } else { None };
        let body = call("8", "asks");
        let asking = async {
            let mut request = None;
            let asked = match &mut session {
                Some(session) => event(session).await,
                None => event(request.insert(caller.open("POST", &body).await)).await,
            };
            assert_eq!((&asked["method"], &asked["id"]), (&json!("roots/list"), &json!(1)));
            let answer = caller.send("POST", r#"{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#).await;
            assert_eq!(answer.status, 202);
            if let Some(mut request) = request {
                assert!(event(&mut request).await["result"]["answer"].as_str().unwrap().contains("roots:[]"));
            }
        };
        if listens {
            let (answer, ()) = tokio::join!(caller.send("POST", &body), asking);
            assert!(answer.text.contains("roots:[]"));
        } else {
            asking.await;
        }
    }
}

#[tokio::test]
async fn a_cancellation_names_the_request_as_the_process_knows_it() {
    let world = world_of(|_| {}).await;
    let caller = Caller::ready(&world, "ann").await;
    let body = call("\"mine\"", "never");
    let cancel = async {
        sleep(Duration::from_millis(200)).await;
        let body = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"mine","reason":"enough"}}"#;
        assert_eq!(caller.send("POST", body).await.status, 202);
    };
    let (answer, ()) = tokio::join!(caller.send("POST", &body), cancel);
    assert_eq!((&answer.json()["id"], &answer.json()["error"]["code"]), (&json!("mine"), &json!(-32603)));
    let seen = caller.result("seen").await["seen"].to_string();
    assert!(seen.contains("requestId:2") && seen.contains("reason:enough"), "{seen}");

    // Who leaves cancels, and an unknown request is nobody's.
    let left = timeout(Duration::from_millis(200), caller.send("POST", &call("9", "never"))).await;
    assert!(left.is_err());
    let seen = caller.result("seen").await["seen"].to_string();
    assert!(seen.contains("requestId:4"), "{seen}");
    let unknown = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(caller.send("POST", unknown).await.status, 202);
    assert!(caller.result("seen").await["seen"].to_string().contains("requestId:4"));
}

#[tokio::test]
async fn a_process_that_breaks_the_rules_ends_and_its_requests_are_answered() {
    for (name, line) in [("crash", 16_000), ("garbage", 16_000), ("long", 8_000)] {
        let world = world_of(|command| command.limits.line = line).await;
        let caller = Caller::ready(&world, "ann").await;
        let pid = caller.result("who").await["pid"].clone();
        let (other, mine) = (call("1", "never"), call("2", name));
        let mine = async {
            sleep(Duration::from_millis(200)).await;
            caller.send("POST", &mine).await
        };
        let (other, mine) = tokio::join!(caller.send("POST", &other), mine);
        for (id, answer) in [(1, &other), (2, &mine)] {
            let data = answer.text.rsplit("data: ").next().unwrap();
            let json: serde_json::Value = serde_json::from_str(data.trim()).unwrap();
            assert_eq!((&json["id"], &json["error"]["code"]), (&json!(id), &json!(-32603)), "{name}");
            assert!(!answer.text.contains("Listening"), "{name}");
        }
        until_gone(&pid).await;
        assert_eq!(caller.send("POST", &call("3", "who")).await.status, 404, "{name}");
        Caller::ready(&world, "ann").await;
    }
}

#[tokio::test]
async fn a_process_that_crashes_at_each_start_is_started_less_and_less_often() {
    let world = world_of(|command| command.arguments[1] = "exit 1".into()).await;
    let started = Instant::now();
    loop {
        let (_, answer) = Caller::initialize(&world, "ann").await;
        if answer.status == 503 {
            let seconds: u64 = answer.header("retry-after").parse().unwrap();
            assert!((5..=60).contains(&seconds), "{seconds}");
            break;
        }
        assert!(answer.status == 200 && answer.json()["error"]["code"] == -32603, "{}", answer.text);
        assert!(answer.header("mcp-session-id").is_empty());
    }
    assert!(started.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn a_server_that_refuses_to_initialize_is_not_kept() {
    let script =
        r#"IFS= read -r line; echo '{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"'$$'"}}'; cat"#;
    let world = world_of(|command| command.arguments[1] = script.into()).await;
    let (_, answer) = Caller::initialize(&world, "ann").await;
    assert_eq!((answer.status, answer.header("mcp-session-id")), (200, ""));
    let pid = answer.json()["error"]["message"].as_str().unwrap().parse().unwrap();
    until_gone(&pid).await;
}

#[tokio::test]
async fn a_command_that_is_none_is_502_and_its_name_stays_here() {
    let world = world_of(|command| command.program = "/no/such/program".into()).await;
    let (_, answer) = Caller::initialize(&world, "ann").await;
    assert_eq!((answer.status, &answer.json()["id"]), (502, &json!("first")));
    assert!(!answer.text.contains("such"));
}

#[tokio::test]
async fn processes_are_bounded_in_all_and_by_person() {
    let limits = StdioLimits { processes: 3, processes_per_subject: 2, ..script("").limits };
    let world = world_of(|command| command.limits = limits).await;
    let _ann = [Caller::ready(&world, "ann").await, Caller::ready(&world, "ann").await];
    let (_, refused) = Caller::initialize(&world, "ann").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "30"));
    let bob = Caller::ready(&world, "bob").await;
    assert_eq!(Caller::initialize(&world, "eve").await.1.status, 503);
    let pid = bob.result("who").await["pid"].clone();
    bob.send("DELETE", "").await;
    until_gone(&pid).await;
    sleep(Duration::from_millis(200)).await;
    Caller::ready(&world, "eve").await;
}

#[tokio::test]
async fn an_unused_process_ends_and_one_with_a_stream_does_not() {
    let limits = StdioLimits { idle: Duration::from_millis(300), ..script("").limits };
    let world = world_of(|command| command.limits = limits).await;
    let (used, unused) = (Caller::ready(&world, "ann").await, Caller::ready(&world, "ann").await);
    let pid = unused.result("who").await["pid"].clone();
    let stream = used.open("GET", "").await;
    until_gone(&pid).await;
    assert_eq!(unused.send("POST", &call("1", "who")).await.status, 404);
    let pid = used.result("who").await["pid"].clone();
    drop(stream);
    until_gone(&pid).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_its_session_is_made_leaves_no_process() {
    let script = "trap '' TERM; IFS= read -r line; echo $$ > \"$NAME\"; cat > /dev/null; sleep 100 & wait";
    let file = std::env::temp_dir().join(format!("hallpass-stdio-{}", std::process::id()));
    let name = file.clone();
    let world = world_of(|command| {
        command.arguments[1] = script.into();
        command.environment.push(("NAME".into(), name.into()));
    })
    .await;
    assert!(timeout(Duration::from_millis(500), Caller::initialize(&world, "ann")).await.is_err());
    let pid: serde_json::Value = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    until_gone(&pid).await;
    std::fs::remove_file(&file).unwrap();
}

#[tokio::test]
async fn the_end_takes_a_process_that_will_not_and_what_it_started() {
    let script = r#"
trap '' TERM
sleep 1000 & echo $! >&2; child=$!
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  echo '{"jsonrpc":"2.0","id":'$id',"result":{"pid":'$$',"child":'$child'}}'
done
while :; do sleep 1; done
"#;
    let world = world_of(|command| {
        command.arguments[1] = script.into();
        command.limits.stop = Duration::from_millis(100);
    })
    .await;
    let caller = Caller::ready(&world, "ann").await;
    let answer = caller.result("who").await;
    assert!(is_alive(&answer["pid"]) && is_alive(&answer["child"]));
    let started = Instant::now();
    world.processes.stop(Duration::from_secs(5)).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!is_alive(&answer["pid"]));
    until_gone(&answer["child"]).await;
    assert_eq!(Caller::initialize(&world, "ann").await.1.status, 503, "and none is started");
}
