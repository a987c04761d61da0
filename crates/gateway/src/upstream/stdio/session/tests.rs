//! Where messages go, without a process.
use super::*;
use hallpass_core::mcp::Message;
use std::task::{Context, Poll, Waker};

fn session() -> (Session, mpsc::Receiver<Bytes>) {
    let (sender, receiver) = mpsc::channel(8);
    (
        Session::new(
            "p".into(),
            Purpose {
                owner: Owner { subject: "ann".into(), client_id: "client".into() },
                peer: Peer::Client,
                token: None,
            },
            sender,
        ),
        receiver,
    )
}

fn message(text: &str) -> Message {
    Message::parse(text.as_bytes(), Message::LIMITS).unwrap()
}

fn request(id: &str) -> Message {
    message(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list"}}"#))
}

fn next(queue: &Queue) -> Option<String> {
    match queue.poll_next(&Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(text)) => Some(String::from_utf8(text.to_vec()).unwrap()),
        Poll::Ready(None) | Poll::Pending => None,
    }
}

#[test]
fn an_answer_that_comes_too_late_is_not_that_of_the_next_request_with_its_id() {
    let (session, _process) = session();
    let (first, line, _) = session.begin(&request("7"), true).unwrap();
    assert_eq!(line, r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#);
    session.abandon(first);
    let (second, _, queue) = session.begin(&request("7"), true).unwrap();
    assert_ne!(first, second);
    session.deliver(message(r#"{"jsonrpc":"2.0","id":1,"result":"late"}"#));
    session.deliver(message(r#"{"jsonrpc":"2.0","id":"2","result":"not ours: a string"}"#));
    assert_eq!(next(&queue), None);
    session.deliver(message(r#"{"jsonrpc":"2.0","id":2,"result":"right"}"#));
    assert_eq!(next(&queue).unwrap(), r#"{"jsonrpc":"2.0","id":7,"result":"right"}"#);
    session.deliver(message(r#"{"jsonrpc":"2.0","id":2,"result":"twice"}"#));
    assert_eq!(next(&queue), None);
}

#[test]
fn requests_of_one_session_are_bounded() {
    let (session, _process) = session();
    let taken = (0..1000).filter(|id| session.begin(&request(&id.to_string()), true).is_ok()).count();
    assert_eq!(taken, IN_FLIGHT);
    session.abandon(1);
    assert!(session.begin(&request("1"), true).is_ok());
    session.close("gone");
    assert_eq!(session.begin(&request("1"), true).unwrap_err(), NotTaken::Ended);
}

#[test]
fn who_waits_when_the_process_ends_gets_an_error_with_its_id() {
    let (session, _process) = session();
    let (_, _, queue) = session.begin(&request("\"a\""), true).unwrap();
    let (_, listener) = session.listen().unwrap();
    session.close("It has ended");
    let answer: Value = serde_json::from_str(&next(&queue).unwrap()).unwrap();
    assert_eq!((&answer["id"], &answer["error"]["message"]), (&json!("a"), &json!("It has ended")));
    assert_eq!(next(&listener), None);
    assert!(session.listen().is_none());
}

#[test]
fn a_server_that_asks_while_nobody_reads_is_told() {
    let (session, mut process) = session();
    let ask = message(r#"{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}"#);
    for _ in 0..256 {
        session.deliver(ask.clone());
    }
    assert!(process.try_recv().is_err());
    session.deliver(ask);
    let answer: Value = serde_json::from_slice(&process.try_recv().unwrap()).unwrap();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!("q"), &json!(-32603)));
}

#[test]
fn a_stream_is_no_place_for_a_request_that_wants_json() {
    let (session, _process) = session();
    let (_, _, json) = session.begin(&request("1"), false).unwrap();
    session.deliver(message(r#"{"jsonrpc":"2.0","id":1,"method":"roots/list"}"#));
    assert_eq!(next(&json), None);
    let (_, listener) = session.listen().unwrap();
    assert!(next(&listener).unwrap().contains("roots/list"));
}

#[test]
fn initialize_is_not_cancelled_but_ends_the_session() {
    let (session, mut process) = session();
    let initialize = message(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#);
    let (ours, _, _) = session.begin(&initialize, false).unwrap();
    let cancel = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    assert_eq!(session.tell(&message(cancel)), None);
    session.abandon(ours);
    assert!(process.try_recv().is_err());
}
