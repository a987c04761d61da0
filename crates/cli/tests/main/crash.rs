//! `kill -9` in the middle of exchanges: what was answered is kept, nothing is accepted twice.

use super::{
    node::{Node, free_port},
    person::{self, Person},
};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use std::time::Duration;

/// A grant, as its client knows it.
#[derive(Clone)]
struct Known {
    code: String,
    /// Every refresh token that was answered, in order.
    answered: Vec<String>,
    /// The last one was presented, and no answer came.
    unanswered: bool,
}

fn token(answer: &super::http::Answer) -> String {
    answer.json()["refresh_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

/// What the workers share.
struct Shared {
    port: u16,
    client: String,
    grants: Mutex<Vec<Known>>,
    exchanges: AtomicU64,
    stop: AtomicBool,
}

/// Consents, redeems and refreshes until the server is gone.
fn work(shared: &Shared, mut person: Person) {
    let (port, client) = (shared.port, shared.client.as_str());
    while !shared.stop.load(Ordering::SeqCst) {
        let Some(code) = person.allow(client) else { return };
        let Some(redeemed) = person::redeem(port, client, &code) else { return };
        assert_eq!(redeemed.status, 200, "{redeemed:?}");
        shared.exchanges.fetch_add(1, Ordering::SeqCst);
        let mut known = Known { code, answered: vec![token(&redeemed)], unanswered: false };
        for _ in 0..4 {
            let Some(answer) = person::refresh(port, client, known.answered.last().unwrap()) else {
                known.unanswered = true;
                break;
            };
            assert_eq!(answer.status, 200, "{answer:?}");
            shared.exchanges.fetch_add(1, Ordering::SeqCst);
            known.answered.push(token(&answer));
        }
        shared.grants.lock().unwrap().push(known);
    }
}

#[test]
fn as_142_as_217_t_96_t_21_kill_minus_nine_loses_nothing_that_was_answered_and_accepts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut node = Node::run(folder.path(), port);
    let person = Person::set_up(port, &node.setup_link.clone().unwrap());
    let client = person::register(port);
    let shared = Arc::new(Shared {
        port,
        client: client.clone(),
        grants: Mutex::default(),
        exchanges: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    for round in 0..4_u64 {
        shared.stop.store(false, Ordering::SeqCst);
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let (shared, person) = (Arc::clone(&shared), person.clone());
                std::thread::spawn(move || work(&shared, person))
            })
            .collect();
        let until = shared.exchanges.load(Ordering::SeqCst) + 260;
        while shared.exchanges.load(Ordering::SeqCst) < until {
            std::thread::sleep(Duration::from_millis(3 + round));
        }
        node.kill();
        shared.stop.store(true, Ordering::SeqCst);
        for worker in workers {
            worker.join().unwrap();
        }
        node = Node::run(folder.path(), port);
    }
    assert!(shared.exchanges.load(Ordering::SeqCst) >= 1_000);
    let grants = shared.grants.lock().unwrap().clone();
    assert!(grants.iter().any(|known| known.unanswered), "no kill hit a request");
    for (at, known) in grants.iter().enumerate() {
        let last = known.answered.last().unwrap();
        let again = person::refresh(port, &client, last).unwrap();
        assert_eq!(again.status, 200, "an answered token was lost: {again:?}");
        if at % 3 == 0 {
            // The code was accepted before the kill: never again.
            assert_eq!(person::redeem(port, &client, &known.code).unwrap().status, 400);
        } else if known.answered.len() >= 3 {
            // A generation two steps back was accepted before the kill: reuse, and the grant dies with it.
            assert_eq!(person::refresh(port, &client, &known.answered[0]).unwrap().status, 400);
            assert_eq!(person::refresh(port, &client, &token(&again)).unwrap().status, 400);
        }
    }
    assert!(node.stop(), "a stop on request is a success");
}

#[test]
fn restarted_on_the_same_folder_tokens_sessions_and_registrations_work() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (mut person, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let first = tokens["refresh_token"].as_str().unwrap().to_owned();
    assert!(node.stop());
    let node = Node::run(folder.path(), port);
    assert!(node.setup_link.is_none());
    assert_eq!(person::refresh(port, &client, &first).unwrap().status, 200);
    assert!(person.allow(&client).is_some());
    person.sign_out_everywhere();
    assert_eq!(person::refresh(port, &client, &first).unwrap().status, 400);
}
