//! Keys behind a URL: fetched rarely, once for all, and closed when they cannot be had.

use crate::support::{START, World, claims, sign, world_with};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use hallpass_core::jose::{Algorithm, SigningKey, jwk};
use hallpass_fetch::{Fetch, Policy, Settings};
use hallpass_resource::{KeySource, Reason};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

#[derive(Clone, Default)]
struct Server {
    document: Arc<Mutex<Option<String>>>,
    asked: Arc<AtomicU32>,
}

impl Server {
    fn publish(&self, keys: &[&SigningKey]) {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().clone()).collect();
        *self.document.lock().unwrap() = Some(jwk::set_to_json(&keys).to_string());
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    async fn start(&self) -> World {
        let answer = |State(server): State<Server>| async move {
            server.asked.fetch_add(1, Ordering::SeqCst);
            server.document.lock().unwrap().clone().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap());
        let router = Router::new().route("/jwks", get(answer)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let fetch = Fetch::new(Settings::default()).unwrap();
        let keys = KeySource::jwks(url.parse().unwrap(), fetch, Policy::trusted(["127.0.0.1"]));
        world_with(SigningKey::generate(Algorithm::Es256).unwrap(), Arc::new(keys))
    }
}

#[tokio::test]
async fn rs_028_b_34_one_fetch_for_all_and_closed_without_keys() {
    let server = Server::default();
    let world = server.start().await;
    let token = world.token();
    assert_eq!(world.ask(&token).await.unwrap_err(), Reason::KeysNotAvailable);
    server.publish(&[&world.key]);
    world.clock.push(Duration::from_secs(3));
    let asked = server.asked();
    for _ in 0..20 {
        assert!(world.ask(&token).await.is_ok());
    }
    assert_eq!(server.asked(), asked + 1);
}

#[tokio::test]
async fn rs_028_b_34_a_flood_of_unknown_keys_is_one_fetch() {
    let server = Server::default();
    let world = server.start().await;
    server.publish(&[&world.key]);
    assert!(world.ask(&world.token()).await.is_ok());
    world.clock.push(Duration::from_secs(31));
    for _ in 0..20 {
        let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
        assert!(matches!(world.ask(&sign(&stranger, &claims())).await, Err(Reason::Token(_))));
    }
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn b_34_a_rotated_key_is_found() {
    let server = Server::default();
    let world = server.start().await;
    server.publish(&[&world.key]);
    assert!(world.ask(&world.token()).await.is_ok());
    let next = SigningKey::generate(Algorithm::Es256).unwrap();
    server.publish(&[&world.key, &next]);
    world.clock.push(Duration::from_secs(31));
    assert!(world.ask(&sign(&next, &claims())).await.is_ok());
    assert!(world.ask(&world.token()).await.is_ok());
}

#[tokio::test]
async fn rs_028_old_keys_are_used_for_a_day_when_the_server_is_down() {
    let server = Server::default();
    let world = server.start().await;
    server.publish(&[&world.key]);
    assert!(world.ask(&world.token()).await.is_ok());
    *server.document.lock().unwrap() = None;
    for (later, good) in [(60 * 60, true), (23 * 60 * 60, true), (25 * 60 * 60, false)] {
        let now = START.plus(Duration::from_secs(later));
        world.clock.set(now);
        let mut token = claims();
        token.expires_at = now.plus(Duration::from_mins(5));
        let outcome = world.ask(&sign(&world.key, &token)).await.map(|_| ());
        assert_eq!(outcome, if good { Ok(()) } else { Err(Reason::KeysNotAvailable) }, "{later}");
    }
}
