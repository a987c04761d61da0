//! A service behind the layer that knows what each tool takes: what reaches it, and what is answered in its place.

use crate::support::{METADATA, START, World, bearer, claims, sign, world};
use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    http::{HeaderMap, HeaderValue, Method, Request, Response},
    routing::any,
};
use hallpass_core::{authorization_details::AuthorizationDetails, challenge, jwt::AccessToken, scope::Scope};
use hallpass_resource::{
    Authorized, KeySource, ProtectLayer, ProtectedResource, Revocations, ToolScopes, message::Limits,
};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tower::ServiceExt;

fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap()
}

/// Answers what it got.
async fn service(
    method: Method,
    headers: HeaderMap,
    Extension(authorized): Extension<Authorized>,
    body: bytes::Bytes,
) -> String {
    if let Some(length) = headers.get("content-length") {
        assert_eq!(length.to_str().unwrap(), body.len().to_string());
    }
    assert!(!headers.contains_key("authorization"));
    format!("{method} {} {}", authorized.subject(), String::from_utf8(body.to_vec()).unwrap())
}

fn guarded(resource: &Arc<ProtectedResource>) -> Router {
    let tools = ToolScopes::new().tool("read", Scope::none()).tool("write", scope("files:write"));
    let limits = Limits { body: 1000, receive: Duration::from_millis(200) };
    let layer = ProtectLayer::new(Arc::clone(resource), scope("files:read"));
    Router::new().fallback(any(service)).layer(layer.with_tools(tools).with_limits(limits))
}

fn token(world: &World, changes: impl FnOnce(&mut AccessToken)) -> String {
    let mut token = AccessToken { scope: Some("files:read".into()), ..claims() };
    changes(&mut token);
    sign(&world.key, &token)
}

fn request(token: &str, body: impl Into<Body>) -> Request<Body> {
    let mut request = Request::post("/mcp").body(body.into()).unwrap();
    *request.headers_mut() = bearer(token);
    request.headers_mut().insert("content-type", HeaderValue::from_static("application/json"));
    request
}

fn call(name: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}","arguments":{{}}}}}}"#
    )
}

/// A body that never comes.
struct Silent;

impl http_body::Body for Silent {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<bytes::Bytes>, Self::Error>>> {
        Poll::Pending
    }
}

async fn through(router: Router, request: Request<Body>) -> (Response<Body>, String) {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let text = String::from_utf8(to_bytes(body, 100_000).await.unwrap().to_vec()).unwrap();
    (Response::from_parts(parts, Body::empty()), text)
}

#[tokio::test]
async fn rs_010_b_18_a_tool_that_takes_more_is_a_challenge_with_all_that_it_takes() {
    let world = world();
    let router = || guarded(&world.resource);
    let reads = token(&world, |_| {});
    let (answer, text) = through(router(), request(&reads, call("read"))).await;
    assert_eq!((answer.status().as_u16(), text), (200, format!("POST ann {}", call("read"))));

    // Without an id it would be acted on too.
    let notification = call("write").replace(r#""id":7,"#, "");
    for body in [call("write"), notification, call("write").replace("write", "wr\\u0069te")] {
        let (answer, text) = through(router(), request(&reads, body)).await;
        let challenges = challenge::parse(&[answer.headers()["www-authenticate"].to_str().unwrap()]);
        assert_eq!(answer.status(), 403, "{text}");
        let said = |name| challenges[0].parameter(name);
        assert_eq!(said("error"), Some("insufficient_scope"));
        assert_eq!(
            (said("scope"), said("resource_metadata")),
            (Some("files:read files:write"), Some(METADATA))
        );
        assert_eq!(answer.headers()["access-control-allow-origin"], "*", "rs_014");
    }
    let writes = token(&world, |token| token.scope = Some("files:read files:write".into()));
    assert_eq!(through(router(), request(&writes, call("write"))).await.0.status(), 200);
    // More is no way around what everything takes.
    let only = token(&world, |token| token.scope = Some("files:write".into()));
    assert_eq!(through(router(), request(&only, call("write"))).await.0.status(), 403);
    assert_eq!(through(router(), request("x", call("read"))).await.0.status(), 401);
}

#[tokio::test]
async fn rs_053_t_78_a_tool_that_is_not_named_is_for_nobody_and_no_challenge_says_otherwise() {
    let world = world();
    let all = token(&world, |token| token.scope = Some("files:read files:write".into()));
    for name in ["delete", "Read", "read ", "re\u{200b}ad", "r\u{435}ad", "*"] {
        let (answer, text) = through(guarded(&world.resource), request(&all, call(name))).await;
        assert_eq!(answer.status(), 403, "{name}");
        assert!(!answer.headers().contains_key("www-authenticate"));
        assert!(text.starts_with(r#"{"jsonrpc":"2.0","id":7,"error":"#), "{text}");
    }
    // What is no call of a tool takes what everything takes.
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(through(guarded(&world.resource), request(&all, list)).await.0.status(), 200);
}

#[tokio::test]
async fn rs_049_rs_065_t_76_t_77_what_can_be_read_in_two_ways_is_refused_and_the_rest_written_anew() {
    let world = world();
    let reads = token(&world, |_| {});
    let router = || guarded(&world.resource);
    for (body, status, code) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#.to_owned(), 400, "-32600"),
        (call("read").replace(r#""name""#, r#""name":"read","Name""#), 400, "-32600"),
        (format!("[{}]", call("read")), 400, "-32600"),
        (format!("{} {}", call("read"), call("write")), 400, "-32700"),
        (String::new(), 400, "-32700"),
        (call(&"x".repeat(1000)), 413, "-32600"),
    ] {
        let (answer, text) = through(router(), request(&reads, body.clone())).await;
        assert_eq!(answer.status(), status, "{body} {text}");
        assert!(text.contains(code) && text.contains("\"error\""), "{body} {text}");
        assert_eq!(answer.headers().contains_key("connection"), status == 413);
    }
    let odd = r#" { "\u006dethod": "tools/call", "params": {"name": "read"}, "extra": 1, "id": 7, "jsonrpc": "2.0" } "#;
    let mut asks = request(&reads, odd);
    asks.headers_mut().insert("content-length", HeaderValue::from(odd.len()));
    let (_, text) = through(router(), asks).await;
    assert_eq!(text, r#"POST ann {"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read"}}"#);
    let mut other = request(&reads, call("read"));
    other.headers_mut().insert("content-type", HeaderValue::from_static("text/plain"));
    assert_eq!(through(router(), other).await.0.status(), 415);
    assert_eq!(through(router(), request(&reads, Body::new(Silent))).await.0.status(), 408);
}

#[tokio::test]
async fn rs_051_t_75_headers_that_say_another_tool_are_refused() {
    let world = world();
    let reads = token(&world, |_| {});
    let body = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    for (name, status) in [("read", 200), ("write", 400)] {
        let mut asks = request(&reads, body);
        for (header, value) in
            [("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/call"), ("mcp-name", name)]
        {
            asks.headers_mut().insert(header, HeaderValue::from_static(value));
        }
        let (answer, text) = through(guarded(&world.resource), asks).await;
        assert_eq!(answer.status(), status, "{text}");
        assert!(
            status == 200 || text.starts_with(r#"{"jsonrpc":"2.0","id":7,"error":{"code":-32020,"#),
            "{text}"
        );
    }
}

#[tokio::test]
async fn only_requests_without_a_message_pass_without_one() {
    let world = world();
    let reads = token(&world, |_| {});
    for (method, status) in [("GET", 200), ("DELETE", 200), ("PUT", 405), ("PATCH", 405), ("HEAD", 405)] {
        let mut asks = request(&reads, call("write"));
        *asks.method_mut() = method.parse().unwrap();
        let (answer, text) = through(guarded(&world.resource), asks).await;
        assert_eq!(answer.status(), status, "{method} {text}");
        assert_eq!(answer.headers().contains_key("allow"), status == 405);
    }
}

#[tokio::test]
async fn as_089_t_24_a_token_for_some_tools_is_for_no_others() {
    let world = world();
    let keys =
        Arc::new(KeySource::fixed(hallpass_core::jose::KeySet::from_keys(vec![world.key.verifying_key()])));
    let settings = world.resource.settings().clone();
    let resource = ProtectedResource::new(settings, keys, Arc::new(Revocations::without_feed()))
        .with_clock(Arc::new(world.clock.clone()))
        .with_authorization_details();
    assert_eq!(resource.now(), START);
    let resource = Arc::new(resource);
    let details = AuthorizationDetails::parse(r#"[{"type":"mcp_tool","tool":"write"}]"#).unwrap();
    let limited = token(&world, |token| {
        token.scope = Some("files:read files:write".into());
        token.details = Some(details);
    });
    for (name, status) in [("write", 200), ("read", 403)] {
        let (answer, _) = through(guarded(&resource), request(&limited, call(name))).await;
        assert_eq!(answer.status(), status, "{name}");
        assert!(!answer.headers().contains_key("www-authenticate"));
    }
}
