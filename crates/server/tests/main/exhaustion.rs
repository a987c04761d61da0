//! A flood of anything from strangers leaves nothing behind: not a byte in the database, and no memory that grows.

use crate::support::*;
use axum::body::Body;
use hallpass_core::parameters;
use hallpass_server::Settings;
use http::{Request, StatusCode};
use std::{fs, net::Ipv4Addr};

/// Behind a proxy that says who calls, so that each request can come from elsewhere.
fn behind_a_proxy() -> Settings {
    Settings { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..settings() }
}

fn database(server: &Server) -> Vec<u8> {
    fs::read(server.folder.path().join("hallpass.sqlite")).unwrap()
}

/// What this process holds, in KiB.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn send(
    server: &Server,
    number: u32,
    method: &str,
    path: &str,
    (kind, body): (&str, String),
) -> Answer {
    let address = Ipv4Addr::from(0x0B00_0000 + number);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("x-forwarded-for", address.to_string())
        .header("content-type", kind)
        .body(Body::from(body))
        .unwrap();
    server.send(request).await
}

/// One stranger, who tries everything once.
async fn stranger(server: &Server, number: u32, client: &str) {
    let form = |pairs: &[(&str, &str)]| {
        ("application/x-www-form-urlencoded", parameters::encode(pairs.iter().copied()))
    };
    let redirect = format!("https://client{number}.example/callback");
    let registration =
        serde_json::json!({ "redirect_uris": [redirect], "client_name": format!("Client {number}") });
    let answer =
        send(server, number, "POST", "/register", ("application/json", registration.to_string())).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let pending =
        send(server, number, "GET", &query(&Server::request(client)), ("text/plain", String::new())).await;
    assert_eq!(pending.status, StatusCode::OK, "{pending:?}");
    let guess = format!("{number:0>200}");
    let code = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", &guess),
        ("code_verifier", VERIFIER),
    ];
    assert_eq!(send(server, number, "POST", "/token", form(&code)).await.error(), "invalid_grant");
    let refresh = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", &guess)];
    assert_eq!(send(server, number, "POST", "/token", form(&refresh)).await.error(), "invalid_grant");
    let revoked =
        send(server, number, "POST", "/revoke", form(&[("client_id", client), ("token", &guess)])).await;
    assert_eq!(revoked.status, StatusCode::OK);
}

#[tokio::test]
async fn t_95_a_flood_of_strangers_writes_no_byte_and_memory_does_not_grow_with_it() {
    let server = Server::with(behind_a_proxy()).await;
    let client = server.register(REDIRECT).await;
    drop(server.set_up().await);
    let server = server.restarted().await;
    let before = {
        server.app.store.close().await.unwrap();
        database(&server)
    };
    let server = server.restarted().await;
    for number in 0..2_000 {
        stranger(&server, number, &client).await;
    }
    let warm = resident();
    for number in 2_000..6_000 {
        stranger(&server, number, &client).await;
    }
    let grown = resident().saturating_sub(warm);
    // 4,000 strangers with five requests each.
    assert!(grown < 6 * 1024, "{grown} KiB more");
    server.app.store.close().await.unwrap();
    assert!(database(&server) == before, "something was written");
}

#[tokio::test]
async fn t_95_consents_that_nobody_redeems_leave_nothing() {
    let server = Server::with(behind_a_proxy()).await;
    let client = server.register(REDIRECT).await;
    let cookies = server.set_up().await.cookies;
    let server = server.restarted().await;
    server.app.store.close().await.unwrap();
    let before = database(&server);
    let server = server.restarted().await;
    let mut browser = Browser::new(&server);
    browser.cookies = cookies;
    for _ in 0..150 {
        server.push(1);
        browser.allow(&Server::request(&client)).await;
    }
    server.app.store.close().await.unwrap();
    assert!(database(&server) == before, "something was written");
}
