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

/// Consents, redeems and refreshes until the server is gone.
fn work(
    port: u16,
    client: &str,
    mut person: Person,
    grants: &Mutex<Vec<Known>>,
    exchanges: &AtomicU64,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::SeqCst) {
        let Some(code) = person.allow(client) else { return };
        let Some(redeemed) = person::redeem(port, client, &code) else { return };
        assert_eq!(redeemed.status, 200, "{redeemed:?}");
        exchanges.fetch_add(1, Ordering::SeqCst);
        let mut known = Known { code, answered: vec![token(&redeemed)], unanswered: false };
        for _ in 0..4 {
            match person::refresh(port, client, known.answered.last().unwrap()) {
                Some(answer) => {
                    assert_eq!(answer.status, 200, "{answer:?}");
                    exchanges.fetch_add(1, Ordering::SeqCst);
                    known.answered.push(token(&answer));
                }
                None => {
                    known.unanswered = true;
                    break;
                }
            }
        }
        let gone = known.unanswered;
        grants.lock().unwrap().push(known);
        if gone {
            return;
        }
    }
}

#[test]
fn as_142_as_217_t_96_t_21_kill_minus_nine_loses_nothing_that_was_answered_and_accepts_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut node = Node::run(folder.path(), port);
    let person = Person::set_up(port, &node.setup_link.clone().unwrap());
    let client = person::register(port);
    let (grants, exchanges) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicU64::new(0)));
    for round in 0..4_u64 {
        let stop = Arc::new(AtomicBool::new(false));
        let workers: Vec<_> = (0..8)
            .map(|_| {
                let (client, person, grants) = (client.clone(), person.clone(), Arc::clone(&grants));
                let (exchanges, stop) = (Arc::clone(&exchanges), Arc::clone(&stop));
                std::thread::spawn(move || work(port, &client, person, &grants, &exchanges, &stop))
            })
            .collect();
        let until = exchanges.load(Ordering::SeqCst) + 260;
        while exchanges.load(Ordering::SeqCst) < until {
            std::thread::sleep(Duration::from_millis(3 + round));
        }
        node.kill();
        stop.store(true, Ordering::SeqCst);
        for worker in workers {
            worker.join().unwrap();
        }
        node = Node::run(folder.path(), port);
    }
    assert!(exchanges.load(Ordering::SeqCst) >= 1_000);
    let grants = grants.lock().unwrap().clone();
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
    let mut person = Person::set_up(port, &node.setup_link.clone().unwrap());
    let client = person::register(port);
    let code = person.allow(&client).unwrap();
    let first = token(&person::redeem(port, &client, &code).unwrap());
    assert!(node.stop());
    let node = Node::run(folder.path(), port);
    assert!(node.setup_link.is_none());
    assert_eq!(person::refresh(port, &client, &first).unwrap().status, 200);
    assert!(person.allow(&client).is_some());
    person.sign_out_everywhere();
    assert_eq!(person::refresh(port, &client, &first).unwrap().status, 400);
}
