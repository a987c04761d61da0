//! States, tasks and cursors belong to who got them.

use crate::support::{Answer, PING, World, world_with};
use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, header},
    response::IntoResponse,
    routing::any,
};
use hallpass_core::time::Clock;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Gives out handles, and remembers the messages that it got.
async fn world(seen: &Arc<Mutex<Vec<Value>>>) -> World {
    let seen = Arc::clone(seen);
    let answer = move |headers: HeaderMap, body: Bytes| {
        let message: Value = serde_json::from_slice(&body).unwrap_or_default();
        seen.lock().unwrap().push(message);
        async move {
            let result = json!({
                "requestState": "the-state", "task": { "taskId": "the-task", "ttl": 1.50 }, "nextCursor": "the-cursor",
                "tasks": [{ "taskId": "the-task" }], "content": [{ "type": "text", "text": "taskId" }],
            });
            let text = json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
            let status = json!({ "jsonrpc": "2.0", "method": "notifications/tasks/status", "params": { "taskId": "the-task" } });
            let own = json!({ "jsonrpc": "2.0", "id": 9, "method": "tasks/get", "params": { "taskId": "of-the-client" } });
            if headers[header::ACCEPT] == "text/event-stream" {
                let events =
                    format!("data: {status}\n\ndata: {own}\n\ndata: 7\ndata: 8\n\nid: 7\ndata: {text}\n\n");
                return ([(header::CONTENT_TYPE, "text/event-stream")], events).into_response();
            }
            let pieces = match headers.get("mcp-param-pad").map(HeaderValue::as_bytes) {
                None => return ([(header::CONTENT_TYPE, "application/json")], text).into_response(),
                // White space before a message is JSON too.
                Some(b"long") => vec![" ".repeat(5 * 1024 * 1024), text],
                Some(b"longest") => vec![" ".repeat(17 * 1024 * 1024), text],
                Some(b"announced") => {
                    let text = " ".repeat(17 * 1024 * 1024) + &text;
                    return ([(header::CONTENT_TYPE, "application/json")], text).into_response();
                }
                Some(b"folded") => vec![
                    r#"{"jsonrpc":"2.0","id":1,"result":{"requestState":"the-state","REQUESTSTATE":"x"}}"#
                        .into(),
                ],
                Some(b"no-text") => {
                    vec![r#"{"jsonrpc":"2.0","id":1,"result":{"requestState":["the-state"]}}"#.into()]
                }
                Some(b"no-message") => {
                    vec![r#"{"jsonrpc":"2.0","id":1,"id":2,"result":{"requestState":"the-state"}}"#.into()]
                }
                // What a tool says of tasks is its own.
                Some(b"harmless") => {
                    let result =
                        json!({ "structuredContent": { "taskId": "of-a-tool", "nextCursor": "of-a-tool" } });
                    let text = json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
                    vec![" ".repeat(17 * 1024 * 1024), text]
                }
                Some(_) => vec![text[..20].to_owned(), text[20..].to_owned()],
            };
            // In pieces, so that nothing says how long it is.
            let pieces = futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
            ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(pieces)).into_response()
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    world_with("", |config| config.servers[0].upstream = format!("http://{address}/mcp").into()).await
}

async fn ask(
    world: &World,
    (who, client): (&str, &str),
    method: &str,
    params: Value,
    accept: &str,
) -> Answer {
    let now = world.clock.now();
    let token = world.token_of(|token| {
        (token.issued_at, token.expires_at) = (now, now.plus(Duration::from_mins(5)));
        who.clone_into(&mut token.subject);
        client.clone_into(&mut token.client_id);
    });
    let bearer = format!("Bearer {token}");
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    world.post(&body, &[("authorization", &bearer), ("accept", accept)]).await
}

const ANN: (&str, &str) = ("ann", "client");
const JSON: &str = "application/json";

#[tokio::test]
async fn rs_055_t_83_a_handle_of_somebody_else_does_not_exist() {
    let seen = Arc::default();
    let world = world(&seen).await;
    let call = json!({ "name": "t" });
    let answer = ask(&world, ANN, "tools/call", call.clone(), JSON).await;
    assert!(!answer.text.contains("the-"), "{}", answer.text);
    let given = answer.json()["result"].clone();
    assert_eq!((&given["task"]["ttl"], &given["content"][0]["text"]), (&json!(1.5), &json!("taskId")));
    let (task, state) = (given["task"]["taskId"].clone(), given["requestState"].clone());
    let again = json!({ "name": "t", "requestState": state });
    for (who, method, params, good) in [
        (ANN, "tasks/get", json!({ "taskId": task }), true),
        (ANN, "tasks/cancel", json!({ "taskId": given["tasks"][0]["taskId"] }), true),
        (ANN, "tools/call", again.clone(), true),
        (ANN, "subscriptions/listen", json!({ "taskIds": [task] }), true),
        (("bob", "client"), "tasks/get", json!({ "taskId": task }), false),
        (("ann", "other"), "tasks/get", json!({ "taskId": task }), false),
        (("bob", "client"), "tools/call", again.clone(), false),
        (("bob", "client"), "subscriptions/listen", json!({ "taskIds": [task] }), false),
        (
            ("bob", "client"),
            "x",
            json!({ "_meta": { "io.modelcontextprotocol/related-task": { "taskId": task } } }),
            false,
        ),
        // Guessed, changed, of another request, of another kind, and where folding readers look.
        (ANN, "tasks/get", json!({ "taskId": "the-task" }), false),
        (ANN, "tasks/get", json!({ "taskId": 7 }), false),
        (ANN, "tasks/get", json!({ "taskId": task.as_str().unwrap().replacen('A', "B", 1) + "A" }), false),
        (ANN, "tasks/get", json!({ "taskID": "the-task" }), false),
        (ANN, "tasks/get", json!({ "taskId": state }), false),
        (ANN, "tools/call", json!({ "name": "other", "requestState": state }), false),
        (ANN, "prompts/get", again.clone(), false),
        (ANN, "tools/list", json!({ "cursor": task }), false),
        (("bob", "client"), "tools/list", json!({ "cursor": given["nextCursor"] }), false),
    ] {
        let before = seen.lock().unwrap().len();
        let answer = ask(&world, who, method, params.clone(), JSON).await;
        let got = seen.lock().unwrap().get(before).cloned();
        if good {
            assert_eq!(answer.status, 200, "{method} {params}");
            assert!(got.unwrap()["params"].to_string().contains("\"the-"), "{method} {params}");
        } else {
            assert_eq!(
                (answer.status, &answer.json()["error"]["code"]),
                (400, &json!(-32602)),
                "{method} {params}"
            );
            assert_eq!((&answer.json()["id"], got), (&json!(1), None), "{method} {params}");
        }
    }
    let both = json!({ "taskId": task, "taskid": "the-task" });
    assert_eq!(ask(&world, ANN, "tasks/get", both, JSON).await.status, 400);
    world.clock.push(Duration::from_secs(3));
    let later = ask(&world, ANN, "tools/call", again.clone(), JSON).await;
    assert_eq!(later.status, 200);
    // A client compares: in every answer it is the same task.
    assert_eq!(later.json()["result"]["task"]["taskId"], task);
    assert_eq!(later.json()["result"]["tasks"][0]["taskId"], task);
}

#[tokio::test]
async fn rs_055_a_list_goes_on_and_ends_with_its_time() {
    let seen = Arc::default();
    let world = world(&seen).await;
    let list = ask(&world, ANN, "tools/list", json!({}), JSON).await.json();
    let next = json!({ "cursor": list["result"]["nextCursor"] });
    assert_eq!(ask(&world, ANN, "tools/list", next.clone(), JSON).await.status, 200);
    assert_eq!(seen.lock().unwrap().last().unwrap()["params"]["cursor"], "the-cursor");
    assert_eq!(ask(&world, ANN, "tools/list", json!({ "cursor": null }), JSON).await.status, 200);
    world.clock.push(Duration::from_hours(24));
    assert_eq!(ask(&world, ANN, "tools/list", next, JSON).await.status, 400);
    assert_eq!(ask(&world, ANN, "tools/list", json!({}), JSON).await.status, 200);
}

#[tokio::test]
async fn rs_055_t_83_streams_too_and_what_is_the_clients_own_stays() {
    let seen = Arc::default();
    let world = world(&seen).await;
    let answer = ask(&world, ANN, "tools/call", json!({ "name": "t" }), "text/event-stream").await;
    assert!(!answer.text.contains("\"the-") && answer.text.contains("\"of-the-client\""), "{}", answer.text);
    assert!(answer.text.contains("data: 7\ndata: 8\n\nid: 7\n"), "{}", answer.text);
    let status = answer.text.lines().next().unwrap().trim_start_matches("data: ");
    let status: Value = serde_json::from_str(status).unwrap();
    let task = json!({ "taskId": status["params"]["taskId"] });
    assert_eq!(ask(&world, ANN, "tasks/get", task, JSON).await.status, 200);
    assert_eq!(seen.lock().unwrap().last().unwrap()["params"]["taskId"], "the-task");
}

#[tokio::test]
async fn rs_055_t_83_of_answers_that_do_not_say_how_long_they_are_too() {
    let seen = Arc::default();
    let world = world(&seen).await;
    let ask = async |pad: &str| {
        let now = world.clock.now();
        let bearer = format!(
            "Bearer {}",
            world.token_of(|token| {
                (token.issued_at, token.expires_at) = (now, now.plus(Duration::from_mins(5)));
            })
        );
        let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "t", "arguments": { "pad": pad }, "_meta": meta } });
        let headers = [
            ("authorization", &*bearer),
            ("accept", JSON),
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "t"),
            ("mcp-param-pad", pad),
        ];
        let response = world.send(world.request("POST", &call.to_string(), &headers)).await;
        let (status, mut body, mut text) = (response.status().as_u16(), response.into_body(), Vec::new());
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return (status, String::from_utf8(text).unwrap(), false) };
            text.extend_from_slice(&frame.into_data().unwrap());
        }
        (status, String::from_utf8(text).unwrap(), true)
    };
    for pad in ["short", "long"] {
        let (status, text, whole) = ask(pad).await;
        assert!(status == 200 && whole && !text.contains("\"the-"), "{pad}");
        assert!(text.contains("requestState"), "{pad}");
    }
    // Too long to be read whole: what has to be sealed does not pass unsealed.
    for (pad, status) in [("longest", 200), ("announced", 200)] {
        let (got, text, whole) = ask(pad).await;
        assert_eq!((got, whole), (status, false), "{pad}");
        assert!(!text.contains("the-"), "{pad}");
    }
    for pad in ["folded", "no-text", "no-message"] {
        let (status, text, _) = ask(pad).await;
        assert!(status == 502 && !text.contains("the-"), "{pad}: {text}");
    }
    let (status, text, whole) = ask("harmless").await;
    assert!(status == 200 && whole && text.len() > 17 * 1024 * 1024 && text.contains("of-a-tool"));
}

#[tokio::test]
async fn rs_065_an_answer_has_a_longest_length() {
    let mebibytes = 1024 * 1024;
    for (length, announced, status, whole) in [
        (mebibytes, true, 200, true),
        (mebibytes, false, 200, true),
        // Known before anything was passed on.
        (2 * mebibytes, true, 502, true),
        (2 * mebibytes, false, 502, true),
    ] {
        let answer = move || async move {
            let text = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
            let text = text.to_owned() + &" ".repeat(length - text.len());
            let body = if announced {
                Body::from(text)
            } else {
                Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(text)]))
            };
            ([(header::CONTENT_TYPE, "application/json")], body)
        };
        assert_eq!(limited(answer, mebibytes).await, (status, whole), "{length} {announced}");
    }
    // Too long for the limit and for being read whole: cut off, so that nobody takes it for whole.
    let endless = || async {
        let piece = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(" ".repeat(1024 * 1024)));
        ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(piece))
    };
    assert_eq!(limited(endless, 18 * mebibytes).await, (200, false));
    // Of a stream, each event.
    for (length, whole) in [(100_000, true), (2 * mebibytes, false)] {
        let answer = move || async move {
            let event = format!("data: {}\n\n", "7".repeat(length));
            ([(header::CONTENT_TYPE, "text/event-stream")], event.repeat(20))
        };
        assert_eq!(limited(answer, mebibytes).await, (200, whole), "{length}");
    }
}

/// The status of such an answer, and whether it comes whole.
async fn limited<F, A, R>(answer: F, most: usize) -> (u16, bool)
where
    F: Fn() -> A + Clone + Send + Sync + 'static,
    A: Future<Output = R> + Send,
    R: IntoResponse + 'static,
{
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(answer))).await });
    let world = world_with("", |config| {
        config.servers[0].upstream = format!("http://{address}/mcp").into();
        config.limits.answer_length = u64::try_from(most).unwrap();
    })
    .await;
    let response = world.send(world.request("POST", PING, &[])).await;
    let (status, mut body) = (response.status().as_u16(), response.into_body());
    while let Some(frame) = body.frame().await {
        if frame.is_err() {
            return (status, false);
        }
    }
    (status, true)
}
