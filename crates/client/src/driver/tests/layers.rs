//! The layer around an HTTP client, with real requests.
use super::world::*;
use crate::{
    driver::{Credentials, Interaction, LoginOptions},
    error::{ClientError, Failed},
    layer::{SignIn, SignInLayer},
};
use http::StatusCode;
use serde_json::json;
use std::time::Duration;
use tower::{Service, ServiceBuilder, ServiceExt};

type Http = SignIn<reqwest::Client>;

#[allow(clippy::disallowed_methods, reason = "it stands for the HTTP client of somebody else")]
fn http(credentials: Credentials) -> Http {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let plain = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    ServiceBuilder::new().layer(SignInLayer::new(credentials)).service(plain.build().unwrap())
}

fn alone(world: &World) -> Http {
    http(world.client.credentials(&world.mcp, LoginOptions::default(), None).unwrap())
}

fn accompanied(world: &World) -> Http {
    let robot: Box<dyn Interaction> = Box::new(Robot::default());
    http(world.client.credentials(&world.mcp, LoginOptions::default(), Some(robot)).unwrap())
}

fn list(url: &str) -> reqwest::Request {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} }).to_string();
    let mut request = reqwest::Request::new(http::Method::POST, url.parse().unwrap());
    *request.body_mut() = Some(message.into());
    for (name, value) in [
        ("content-type", "application/json"),
        ("accept", "application/json, text/event-stream"),
        ("mcp-session-id", "s1"),
    ] {
        request.headers_mut().insert(name, http::HeaderValue::from_static(value));
    }
    request
}

async fn status(http: &mut Http, request: reqwest::Request) -> StatusCode {
    http.ready().await.unwrap().call(request).await.unwrap().status()
}

fn authorizations(world: &World) -> Vec<Option<String>> {
    let seen = world.at_mcp.lock().unwrap();
    let calls = seen.iter().filter(|seen| seen.body.contains("tools/list"));
    calls.map(|seen| seen.headers.get("authorization").cloned()).collect()
}

#[tokio::test]
async fn a_request_carries_the_token_and_a_refused_one_is_renewed_once() {
    let world = World::new().await;
    world.login().await.unwrap();
    let mut http = alone(&world);
    assert_eq!(status(&mut http, list(&world.mcp)).await, 200);
    world.set(|knobs| knobs.good.clear());
    assert_eq!(status(&mut http, list(&world.mcp)).await, 200);
    let sent: Vec<String> = authorizations(&world).into_iter().flatten().collect();
    assert!(sent.len() == 3 && sent[0] == sent[1] && sent[1] != sent[2], "{sent:?}");
    assert_eq!(world.asked("/token").len(), 2);
}

#[tokio::test]
async fn cl_067_a_token_is_renewed_ahead_of_its_end_without_a_refusal() {
    let world = World::new().await;
    world.login().await.unwrap();
    let mut http = alone(&world);
    assert_eq!(status(&mut http, list(&world.mcp)).await, 200);
    world.clock.push(Duration::from_secs(3_590));
    assert_eq!(status(&mut http, list(&world.mcp)).await, 200);
    let sent: Vec<String> = authorizations(&world).into_iter().flatten().collect();
    assert!(sent.len() == 2 && sent[0] != sent[1], "{sent:?}");
}

#[tokio::test]
async fn t_62_cl_062_no_other_address_gets_the_token() {
    let (world, other) = (World::new().await, World::new().await);
    world.login().await.unwrap();
    let mut http = alone(&world);
    for url in [other.mcp.clone(), format!("{}/x", world.mcp), world.mcp.replace("127.0.0.1", "localhost")] {
        let _ = http.ready().await.unwrap().call(list(&url)).await;
    }
    assert_eq!(authorizations(&other), [None]);
    assert!(authorizations(&world).iter().all(Option::is_none));
    assert_eq!(status(&mut http, list(&format!("{}?a=b", world.mcp))).await, 200);
}

#[tokio::test]
async fn without_a_person_the_servers_refusal_stands() {
    let world = World::new().await;
    let mut http = alone(&world);
    assert_eq!(status(&mut http, list(&world.mcp)).await, 401);
    assert!(world.asked("/authorize").is_empty());
}

#[tokio::test]
async fn cl_076_with_a_person_a_refusal_is_a_sign_in_and_more_scopes_are_asked_for_once() {
    let world = World::new().await;
    let mut http = accompanied(&world);
    assert_eq!(status(&mut http, list(&world.mcp)).await, 200);
    let challenge = "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"extra\"\r\n";
    let refusal = ("/mcp", 403, challenge.to_owned(), String::new());
    world.set(|knobs| {
        knobs.instead = vec![refusal.clone()];
        knobs.times.insert("/mcp", 1);
    });
    assert_eq!(status(&mut http, list(&world.mcp)).await, 200);
    assert_eq!(world.asked("/authorize")[1].query().get("scope"), Some("read write extra"));
    // A server that is never content: its answer stands, and nobody is asked again.
    world.set(|knobs| {
        knobs.instead = vec![refusal];
        knobs.times.clear();
    });
    assert_eq!(status(&mut http, list(&world.mcp)).await, 403);
    assert_eq!(world.asked("/authorize").len(), 2);
}

#[tokio::test]
async fn what_the_person_refuses_is_an_error_of_ours() {
    let world = World::new().await;
    world.set(|knobs| knobs.iss = Some("https://honest.example"));
    let mut http = accompanied(&world);
    let failed = http.ready().await.unwrap().call(list(&world.mcp)).await.unwrap_err();
    let failed = failed.downcast::<Failed>().unwrap();
    assert!(matches!(failed.error, ClientError::Callback(_)));
}

#[tokio::test]
async fn p01_a_dead_token_is_not_sent_again_by_requests_that_cannot_be_repeated() {
    let world = World::new().await;
    world.login().await.unwrap();
    let mut http = alone(&world);
    let stream = || {
        let mut request = list(&world.mcp);
        let body = request.body().and_then(reqwest::Body::as_bytes).unwrap().to_vec();
        let length = http::HeaderValue::from(body.len());
        request.headers_mut().insert("content-length", length);
        *request.body_mut() =
            Some(reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(body)])));
        request
    };
    assert_eq!(status(&mut http, stream()).await, 200);
    world.set(|knobs| knobs.good.clear());
    assert_eq!(status(&mut http, stream()).await, 401, "its body is gone");
    assert_eq!(status(&mut http, stream()).await, 200);
    let sent: Vec<String> = authorizations(&world).into_iter().flatten().collect();
    assert!(sent.len() == 3 && sent[0] == sent[1] && sent[1] != sent[2], "{sent:?}");
    assert_eq!((world.asked("/token").len(), world.asked("/authorize").len()), (2, 1));
}
