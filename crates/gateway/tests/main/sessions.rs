//! Sessions of the older revisions belong to one person with one client, and prove nothing.

use crate::support::{Answer, PING, World, world};

async fn with(world: &World, method: &str, session: &str, subject: &str, client: &str) -> Answer {
    let token = world.token_of(|token| {
        token.subject = subject.into();
        token.client_id = client.into();
    });
    let bearer = format!("Bearer {token}");
    let body = if method == "POST" { PING } else { "" };
    world.ask(world.request(method, body, &[("authorization", &bearer), ("mcp-session-id", session)])).await
}

#[tokio::test]
async fn rs_056_b_35_t_81_a_session_of_somebody_else_does_not_exist() {
    let world = world("session").await;
    let session = world.post(PING, &[]).await.header("mcp-session-id").to_owned();
    assert!(!session.is_empty() && session != "upstream-session-1");
    let asked = world.upstream.asked();
    for method in ["POST", "GET", "DELETE"] {
        for (subject, client) in [("bob", "client"), ("ann", "other")] {
            let answer = with(&world, method, &session, subject, client).await;
            assert_eq!(answer.status, 404, "{method} {subject} {client}");
        }
        assert_eq!(with(&world, method, "upstream-session-1", "ann", "client").await.status, 404);
    }
    assert_eq!(world.upstream.asked(), asked, "nothing of it reaches the upstream");

    for method in ["POST", "GET", "DELETE"] {
        let answer = with(&world, method, &session, "ann", "client").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.seen("mcp-session-id"), ["upstream-session-1"]);
        assert_eq!(answer.json()["method"], method);
        assert_eq!(answer.header("mcp-session-id"), session, "the same session keeps its id");
    }
}

#[tokio::test]
async fn rs_056_a_new_token_of_the_same_grant_keeps_the_session() {
    let world = world("session").await;
    let session = world.post(PING, &[]).await.header("mcp-session-id").to_owned();
    let token = world.token_of(|token| token.grant.generation = 1);
    let more = [("authorization", &*format!("Bearer {token}")), ("mcp-session-id", &*session)];
    assert_eq!(world.post(PING, &more).await.status, 200);
}

#[tokio::test]
async fn rs_056_events_are_resumed_within_a_session_only() {
    let world = world("session").await;
    let session = world.post(PING, &[]).await.header("mcp-session-id").to_owned();
    let answer =
        world.ask(world.request("GET", "", &[("mcp-session-id", &session), ("last-event-id", "7")])).await;
    assert_eq!(answer.seen("last-event-id"), ["7"]);
    let answer = world.ask(world.request("GET", "", &[("last-event-id", "7")])).await;
    assert!(answer.seen("last-event-id").is_empty());
    let twice = [("mcp-session-id", &*session), ("mcp-session-id", &*session)];
    assert_eq!(world.post(PING, &twice).await.status, 400);
}

#[tokio::test]
async fn rs_057_the_newest_revision_has_no_sessions() {
    let world = world("session").await;
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    let more = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/list"),
        ("mcp-session-id", "anything"),
        ("last-event-id", "7"),
    ];
    let answer = world.post(body, &more).await;
    assert_eq!(answer.status, 200);
    assert!(answer.seen("mcp-session-id").is_empty() && answer.seen("last-event-id").is_empty());
}

#[tokio::test]
async fn rs_057_what_a_server_of_the_newest_revision_says_to_get_and_delete_is_passed_on() {
    let world = world("html-error").await;
    for method in ["GET", "DELETE"] {
        let more = [("mcp-protocol-version", "2026-07-28"), ("mcp-session-id", "anything")];
        let answer = world.ask(world.request(method, "", &more)).await;
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"), "{method}");
    }
    assert_eq!(world.upstream.asked(), 2);
}
