//! Hostile documents by the thousand: challenges, metadata, registrations, pages, callbacks and tokens, changed at random by
//! a number that a failure prints. Whatever they say, the client asks nobody but whom it may, opens nothing but web pages,
//! keeps nothing of what failed, and comes to an end in time.

mod documents;
mod network;

use super::world::{TestClock, get};
use crate::{
    browser::PageUrl,
    driver::{Client, Interaction, LoginOptions, Settings, WhatFor},
    storage::Store,
};
use documents::Case;
use hallpass_core::{entropy::SystemEntropy, time::Clock};
use hallpass_fetch::Fetch;
use network::Network;
use std::{
    sync::{Arc, Mutex, atomic::AtomicI64},
    time::{Duration, Instant},
};
use tokio::{sync::Semaphore, task::JoinSet};

/// Numbers 0 to this are tried.
const CASES: u64 = 2000;
const AT_ONCE: usize = 12;
/// For the person, who is a robot and comes at once or not at all.
const PATIENCE: Duration = Duration::from_millis(150);
/// For one case: its documents may take 5 s each until they are given up, and few of them do.
const LIMIT: Duration = Duration::from_secs(25);

/// A person who goes to the page where it is the honest one, and comes back with what the case makes of the answer.
struct Person {
    case: Case,
    opened: Arc<Mutex<Vec<String>>>,
}

impl Interaction for Person {
    fn open(&mut self, page: &PageUrl, _: &WhatFor<'_>) {
        self.opened.lock().unwrap().push(page.as_str().to_owned());
        if let Some(callback) = self.case.callback(page.as_str()) {
            tokio::spawn(async move { get(&callback).await });
        }
    }
}

/// How one case ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    SignedIn,
    Refused,
}

async fn run(case: Case, network: &Network, fetch: Fetch, folder: std::path::PathBuf) -> Ended {
    let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000)));
    let time: Arc<dyn Clock> = clock.clone();
    let client = Client::with(fetch, Store::new(folder), Settings::default(), time, Arc::new(SystemEntropy));
    let opened = Arc::new(Mutex::new(Vec::new()));
    let mut person = Person { case, opened: Arc::clone(&opened) };
    let options = LoginOptions { patience: PATIENCE, ..LoginOptions::default() };
    let server = case.server(network.port);
    let done = client.login(&server, &options, &mut person).await;
    for page in opened.lock().unwrap().iter() {
        assert_harmless(page, case);
    }
    let kept = client.store().read().unwrap().entries.len();
    assert_eq!(kept, usize::from(done.is_ok()), "case {case:?}: what failed is not kept");
    if let Err(failed) = &done {
        assert_says_nothing(&failed.to_string(), case);
        if let Some(said) = &failed.said {
            assert_says_nothing(&said.to_string(), case);
        }
        return Ended::Refused;
    }
    // On to a renewal, a call and a sign-out, whose answers are changed too.
    clock.push(Duration::from_hours(2));
    let _ = client.token(&server, "default").await;
    if let Ok(mut caller) = client.caller(&server, "default") {
        let _ = caller.call("tools/list", None).await.map(drop);
    }
    let _ = client.logout(&server, "default").await;
    assert!(client.store().read().unwrap().entries.is_empty(), "case {case:?}: signed out is signed out");
    Ended::SignedIn
}

/// What a browser is given (CL-038): a web page, without anything that a shell or a browser's start script would act on.
fn assert_harmless(page: &str, case: Case) {
    let here = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let web = page.starts_with("https://") || here.iter().any(|start| page.starts_with(start));
    let plain = page.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'`$<>\\^{|}()".contains(&byte));
    assert!(web && plain, "case {case:?} opened {page}");
}

/// What a person reads moves no cursor and hides nothing (T-69).
fn assert_says_nothing(text: &str, case: Case) {
    let hidden = |letter: char| letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter);
    assert!(!text.contains(hidden), "case {case:?} says {text:?}");
    assert!(text.len() < 4096, "case {case:?} says very much");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_51_t_60_t_52_t_62_cl_012_cl_017_cl_038_two_thousand_hostile_servers() {
    let network = Arc::new(Network::start());
    let fetch = network.fetch();
    let folder = tempfile::tempdir().unwrap();
    let (places, mut running) = (Arc::new(Semaphore::new(AT_ONCE)), JoinSet::new());
    let began = Instant::now();
    for number in 0..CASES {
        let place = Arc::clone(&places).acquire_owned().await.unwrap();
        let (network, fetch) = (Arc::clone(&network), fetch.clone());
        let folder = folder.path().join(number.to_string());
        running.spawn(async move {
            let case = Case { number };
            let ended = tokio::time::timeout(LIMIT, run(case, &network, fetch, folder.clone())).await;
            let _ = std::fs::remove_dir_all(folder);
            drop(place);
            ended.unwrap_or_else(|_| panic!("case {case:?} comes to no end"))
        });
    }
    let ends = running.join_all().await;
    let signed_in = ends.iter().filter(|ended| **ended == Ended::SignedIn).count();
    network.assert_nobody_else_was_asked();
    eprintln!("{} cases, {signed_in} signed in, {} ms", ends.len(), began.elapsed().as_millis());
    // Neither all nor none: the documents are neither harmless nor noise.
    assert!((200..1800).contains(&signed_in), "{signed_in} signed in");
}
