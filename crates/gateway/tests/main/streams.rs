//! Streams pass event by event, end with the client, with the token and with the upstream.

use crate::support::{GRANT, PING, START, World, world, world_with};
use axum::body::Body;
use hallpass_resource::{Revocation, Revoked};
use http_body_util::BodyExt;
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout};

async fn next(body: &mut Body) -> Option<String> {
    let frame = timeout(Duration::from_secs(10), body.frame()).await.expect("no event in time")?;
    Some(String::from_utf8(frame.ok()?.into_data().unwrap().to_vec()).unwrap())
}

async fn open(world: &World, method: &str) -> Body {
    let body = if method == "POST" { PING } else { "" };
    let response = world.send(world.request(method, body, &[])).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["x-accel-buffering"], "no");
    response.into_body()
}

async fn until_closed(world: &World) {
    let started = Instant::now();
    while world.upstream.open() > 0 {
        assert!(started.elapsed() < Duration::from_secs(5), "the upstream's stream is still open");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn events_pass_as_they_come_with_retry_untouched() {
    for method in ["POST", "GET"] {
        let world = world("events").await;
        let mut body = open(&world, method).await;
        for number in 0..3 {
            let event = next(&mut body).await.unwrap();
            assert_eq!(event, format!("id: {number}\nretry: 500\ndata: {{\"n\":{number}}}\n\n"));
        }
    }
}

#[tokio::test]
async fn rs_058_when_the_client_leaves_the_upstream_is_left() {
    let world = world("silent-events").await;
    let mut body = open(&world, "GET").await;
    assert!(next(&mut body).await.is_some());
    assert_eq!(world.upstream.open(), 1);
    drop(body);
    until_closed(&world).await;
}

#[tokio::test]
async fn rs_058_t_86_a_stream_ends_with_its_grant() {
    for behaviour in ["silent-events", "events"] {
        let world = world(behaviour).await;
        let mut body = open(&world, "GET").await;
        assert!(next(&mut body).await.is_some());
        let until = START.plus(Duration::from_mins(5));
        world.revocations.apply([Revocation { what: Revoked::Grant(GRANT), until }], 1, START);
        let revoked = Instant::now();
        while next(&mut body).await.is_some() {}
        assert!(revoked.elapsed() < Duration::from_millis(2500), "{behaviour}: {:?}", revoked.elapsed());
        drop(body);
        until_closed(&world).await;
    }
}

#[tokio::test]
async fn rs_058_t_86_a_stream_ends_with_its_token() {
    let world = world("silent-events").await;
    let mut body = open(&world, "GET").await;
    assert!(next(&mut body).await.is_some());
    world.clock.push(Duration::from_mins(6));
    assert_eq!(next(&mut body).await, None);
}

#[tokio::test]
async fn rs_058_t_86_a_call_that_waits_ends_with_its_grant_and_with_its_token() {
    for (method, body) in [("POST", PING), ("GET", "")] {
        for revoked in [true, false] {
            let world = world("slow").await;
            let waiting = world.ask(world.request(method, body, &[]));
            let end = async {
                sleep(Duration::from_millis(100)).await;
                if revoked {
                    let until = START.plus(Duration::from_mins(5));
                    world.revocations.apply([Revocation { what: Revoked::Grant(GRANT), until }], 1, START);
                } else {
                    world.clock.push(Duration::from_mins(6));
                }
            };
            let (answer, ()) = tokio::join!(timeout(Duration::from_secs(5), waiting), end);
            assert_eq!(answer.expect("it waits on").status, 401, "{method} {revoked}");
            assert_eq!(world.upstream.asked(), 1, "{method} {revoked}: it was under way");
        }
    }
}

#[tokio::test]
async fn an_upstream_that_dies_in_the_middle_is_a_broken_answer_not_a_whole_one() {
    let world = world("dying").await;
    let mut body = open(&world, "POST").await;
    assert!(next(&mut body).await.is_some());
    let mut broken = false;
    while let Some(frame) = body.frame().await {
        broken |= frame.is_err();
    }
    assert!(broken);
}

#[tokio::test]
async fn a_slow_upstream_is_504_and_a_silent_one_is_cut_off() {
    let world = world_with("slow", |config| config.limits.answer = Duration::from_millis(100)).await;
    let answer = world.post(PING, &[]).await;
    assert_eq!((answer.status, &answer.json()["id"]), (504, &1.into()));

    let world = world_with("stalling-json", |config| config.limits.silence = Duration::from_secs(1)).await;
    let asked = world.ask(world.request("POST", PING, &[]));
    let answer = timeout(Duration::from_secs(10), asked).await.unwrap();
    assert_eq!((answer.status, &answer.json()["id"]), (502, &1.into()));
    until_closed(&world).await;
}

#[tokio::test]
async fn an_unreachable_upstream_is_502_and_says_nothing_of_where_it_is() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let world =
        world_with("echo", |config| config.servers[0].upstream = format!("http://{free}/secret").into())
            .await;
    let answer = world.post(PING, &[]).await;
    assert_eq!((answer.status, &answer.json()["id"]), (502, &1.into()));
    assert!(!answer.text.contains("secret") && !answer.text.contains(&free.port().to_string()));
}
