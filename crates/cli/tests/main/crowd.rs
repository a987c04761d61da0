//! People and clients who go on while something breaks under the server, and remember what they were answered.

use super::{
    http::Answer,
    person::{self, Person},
};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// A grant, as its client knows it.
#[derive(Clone)]
struct Known {
    code: String,
    /// Every refresh token that was answered, in order.
    answered: Vec<String>,
}

/// Threads that consent, redeem and refresh.
pub struct Crowd {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
}

struct Shared {
    ports: Vec<u16>,
    turn: AtomicUsize,
    client: String,
    grants: Mutex<Vec<Known>>,
    /// Answers of 200, and of 503.
    counts: [AtomicU64; 2],
    stop: AtomicBool,
}

/// What [`Crowd::more`] waits for.
#[derive(Clone, Copy)]
pub enum Answers {
    Good,
    Away,
}

impl Crowd {
    /// Six of them, over all of these nodes in turn.
    pub fn over(ports: &[u16], client: &str, person: &Person) -> Self {
        let shared = Arc::new(Shared {
            ports: ports.to_vec(),
            turn: AtomicUsize::new(0),
            client: client.to_owned(),
            grants: Mutex::default(),
            counts: Default::default(),
            stop: AtomicBool::new(false),
        });
        let worker = |_| {
            let (shared, person) = (Arc::clone(&shared), person.clone());
            std::thread::spawn(move || shared.work(person))
        };
        let workers = (0..6).map(worker).collect();
        Self { shared, workers }
    }

    /// Waits until so many more answers came.
    pub fn more(&self, answers: Answers, count: u64) {
        let counter = self.shared.counter(answers);
        let until = counter.load(Ordering::SeqCst) + count;
        let deadline = Instant::now() + Duration::from_mins(2);
        while counter.load(Ordering::SeqCst) < until {
            assert!(Instant::now() < deadline, "it does not go on");
            assert!(self.workers.iter().all(|worker| !worker.is_finished()), "a worker has failed");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends them. Every token that was answered is good, and nothing that was accepted is accepted again.
    pub fn nothing_lost_nothing_twice(self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.workers {
            worker.join().unwrap();
        }
        let grants = self.shared.grants.lock().unwrap();
        let client = &self.shared.client;
        assert!(grants.len() > 20, "{}", grants.len());
        for (at, known) in grants.iter().enumerate() {
            let port = self.shared.port();
            let last = known.answered.last().unwrap();
            let again = person::refresh(port, client, last).unwrap();
            assert_eq!(again.status, 200, "an answered token was lost: {again:?}");
            if at % 3 == 0 {
                assert_eq!(person::redeem(port, client, &known.code).unwrap().status, 400);
            } else if known.answered.len() >= 3 {
                let first = person::refresh(port, client, &known.answered[0]).unwrap();
                assert_eq!(first.status, 400, "a retired token");
                let last = person::refresh(port, client, &token(&again)).unwrap();
                assert_eq!(last.status, 400, "the grant ended with it");
            }
        }
    }
}

impl Shared {
    fn counter(&self, answers: Answers) -> &AtomicU64 {
        match answers {
            Answers::Good => &self.counts[0],
            Answers::Away => &self.counts[1],
        }
    }

    fn count(&self, answers: Answers) {
        self.counter(answers).fetch_add(1, Ordering::SeqCst);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn port(&self) -> u16 {
        self.ports[self.turn.fetch_add(1, Ordering::SeqCst) % self.ports.len()]
    }

    /// Asks one node after the other until one answers with 200; what comes before is 503 in the shape of the token
    /// endpoint. `None` when it is over; or, for what is good `once`, when it was done though nobody could say so: the
    /// commit was not answered before the deadline.
    fn insist(&self, once: bool, ask: impl Fn(u16) -> Option<Answer>) -> Option<Answer> {
        let mut was_away = false;
        loop {
            let answer = ask(self.port()).expect("the server stays up");
            if answer.status == 200 {
                self.count(Answers::Good);
                return Some(answer);
            }
            if was_away && once && answer.status == 400 {
                return None;
            }
            is_away(&answer);
            was_away = true;
            self.count(Answers::Away);
            if self.stopped() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn code(&self, person: &mut Person) -> Option<String> {
        while !self.stopped() {
            match person.try_allow(&self.client, [self.port(), self.port()]).expect("the server stays up") {
                Ok(code) => return Some(code),
                Err(page) => is_away_page(&page),
            }
            self.count(Answers::Away);
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Consents, redeems and refreshes until told to stop.
    fn work(&self, mut person: Person) {
        while let Some(code) = self.code(&mut person) {
            let redeemed = self.insist(true, |port| person::redeem(port, &self.client, &code));
            let Some(redeemed) = redeemed else { continue };
            let mut known = Known { code, answered: vec![token(&redeemed)] };
            for _ in 0..4 {
                let last = known.answered.last().unwrap();
                let next = self.insist(false, |port| person::refresh(port, &self.client, last));
                let Some(next) = next else { break };
                known.answered.push(token(&next));
            }
            self.grants.lock().unwrap().push(known);
        }
    }
}

fn token(answer: &Answer) -> String {
    answer.json()["refresh_token"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

/// 503 as the token endpoint says it.
pub fn is_away(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert_eq!(answer.json()["error"], "temporarily_unavailable", "{answer:?}");
    assert!(answer.header("retry-after").parse::<u64>().unwrap() >= 1, "{answer:?}");
}

/// 503 as a page says it.
pub fn is_away_page(answer: &Answer) {
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.header("content-type").starts_with("text/html"), "{answer:?}");
    assert!(answer.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1), "{answer:?}");
}
