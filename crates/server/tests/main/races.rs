//! 64 at once, a thousand times, through the whole server: on SQLite, and on two nodes with PostgreSQL.

use crate::{
    places::{Backend, Place},
    support::*,
};
use hallpass_core::token::RefreshToken;
use hallpass_server::Limits;
use hallpass_testkit::{ManualClock, postgres::Cluster};
use http::StatusCode;
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::Barrier;

const WAYS: usize = 64;
const ROUNDS: usize = 1_000;
/// One round in so many is lost on its way to the clients, who ask again when the first window is over.
const LOST: usize = 8;

/// A server for each store of the place.
struct Nodes {
    servers: Vec<Arc<Server>>,
    client: String,
    clock: ManualClock,
    _place: Place,
}

impl Nodes {
    async fn start(backend: &Backend) -> Self {
        let (place, clock) = (backend.place().await, ManualClock::at(NOW));
        let most = u32::MAX;
        let limits = Limits { authorizations: most, failures: most, refreshes: most, ..Limits::usual() };
        let mut servers = Vec::new();
        for store in place.open().await {
            let settings = hallpass_server::Settings { limits: limits.clone(), ..settings() };
            let fetch = hallpass_fetch::Fetch::new(hallpass_fetch::Settings::default()).unwrap();
            let folder = tempfile::tempdir().unwrap();
            servers.push(Arc::new(Server::on(store, settings, folder, clock.clone(), fetch).await));
        }
        let client = servers[0].register(REDIRECT).await;
        Self { servers, client, clock, _place: place }
    }

    fn node(&self, number: usize) -> Arc<Server> {
        Arc::clone(&self.servers[number % self.servers.len()])
    }

    /// Asks all nodes for tokens at the same moment, each with what `proof` gives it.
    async fn together(&self, proof: impl Fn(usize) -> [(&'static str, String); 2]) -> Vec<Answer> {
        let start = Arc::new(Barrier::new(WAYS));
        let asking: Vec<_> = (0..WAYS)
            .map(|way| {
                let (start, node, client) = (Arc::clone(&start), self.node(way), self.client.clone());
                let [grant_type, proof] = proof(way);
                tokio::spawn(async move {
                    let [grant_type, proof] = [&grant_type, &proof].map(|(name, value)| (*name, &**value));
                    let mut pairs = vec![("client_id", &*client), grant_type, proof];
                    if proof.0 == "code" {
                        pairs.extend([("code_verifier", VERIFIER), ("redirect_uri", REDIRECT)]);
                    }
                    start.wait().await;
                    node.form("/token", &pairs).await
                })
            })
            .collect();
        let mut answers = Vec::new();
        for one in asking {
            answers.push(one.await.unwrap());
        }
        answers
    }

    /// Presents one refresh token everywhere, and answers the successors: each text once.
    async fn successors(&self, token: &str) -> BTreeSet<String> {
        let proof = |_| [("grant_type", "refresh_token".to_owned()), ("refresh_token", token.to_owned())];
        let answers = self.together(proof).await;
        let successor = |answer: &Answer| {
            assert_eq!(answer.status, StatusCode::OK, "somebody was logged out: {answer:?}");
            text(&answer.json(), "refresh_token").to_owned()
        };
        answers.iter().map(successor).collect()
    }

    /// Redeems these codes, a way each, and answers the tokens of those who won.
    async fn redeemed(&self, codes: &[String]) -> Vec<serde_json::Value> {
        let code = |way: usize| codes[way % codes.len()].clone();
        let proof = |way| [("grant_type", "authorization_code".to_owned()), ("code", code(way))];
        let (won, lost): (Vec<_>, Vec<_>) =
            self.together(proof).await.into_iter().partition(|answer| answer.status == StatusCode::OK);
        assert!(lost.iter().all(|answer| answer.error() == "invalid_grant"), "{lost:?}");
        won.iter().map(Answer::json).collect()
    }

    /// How many things were revoked so far.
    async fn revoked(&self) -> usize {
        self.servers[0].app.store.feed_after(0, 1).await.unwrap().counter.try_into().unwrap()
    }
}

async fn codes_have_one_winner_each(backend: Backend) {
    let nodes = Nodes::start(&backend).await;
    let node = nodes.node(0);
    let mut browser = node.set_up().await;
    let request = Server::request(&nodes.client);
    for round in 0..ROUNDS {
        let code = browser.allow(&request).await;
        let won = nodes.redeemed(&[code]).await;
        assert_eq!(won.len(), 1, "round {round}");
        // A code that came twice was in two hands: what the faster one got is over, on every node.
        let token = text(&won[0], "refresh_token");
        assert_eq!(nodes.node(round).refresh(&nodes.client, token).await.error(), "invalid_grant");
    }
    assert_eq!(nodes.revoked().await, ROUNDS, "each grant is revoked once");
}

async fn pages_have_one_grant_each(backend: Backend) {
    let nodes = Nodes::start(&backend).await;
    let node = nodes.node(0);
    let mut browser = node.set_up().await;
    for round in 0..ROUNDS / WAYS {
        let page = browser.ask(&Server::request(&nodes.client)).await;
        let mut codes = Vec::new();
        for _ in 0..WAYS {
            codes.push(browser.answer(&page, "allow").await.answered("code").unwrap());
        }
        let won = nodes.redeemed(&codes).await;
        assert_eq!(won.len(), 1, "round {round}");
        // Pressed 64 times is no theft: the grant lives.
        let token = text(&won[0], "refresh_token");
        assert_eq!(nodes.node(round).refresh(&nodes.client, token).await.status, StatusCode::OK);
    }
    assert_eq!(nodes.revoked().await, 0);
}

async fn generations_have_one_successor_each(backend: Backend) {
    let nodes = Nodes::start(&backend).await;
    let node = nodes.node(0);
    let code = node.set_up().await.allow(&Server::request(&nodes.client)).await;
    let first = text(&node.redeem(&nodes.client, &code).await.json(), "refresh_token").to_owned();
    let mut seen = BTreeSet::from([first.clone()]);
    let mut live = first.clone();
    for round in 0..ROUNDS {
        let mut successors = nodes.successors(&live).await;
        if round % LOST == 0 {
            nodes.clock.push(std::time::Duration::from_secs(31));
            let again = nodes.successors(&live).await;
            assert!(again.is_disjoint(&successors), "round {round}: the unused successor is dead");
            seen.append(&mut successors);
            successors = again;
        }
        assert_eq!(successors.len(), 1, "round {round}");
        live = successors.pop_first().unwrap();
        assert!(seen.insert(live.clone()), "round {round}: no token comes twice");
    }
    assert_eq!(seen.len(), 1 + ROUNDS + ROUNDS / LOST);
    let id = RefreshToken::check(&node.app.keys, &live).unwrap().grant;
    let row = node.app.store.grant_read(id).await.unwrap().unwrap();
    assert_eq!((usize::try_from(row.generation).unwrap(), row.revoked_at), (seen.len() - 1, None));

    // The leaf is the only one that lives, and a thief on all nodes at once ends it with one revocation.
    let proof = |_| [("grant_type", "refresh_token".to_owned()), ("refresh_token", first.clone())];
    let thieves = nodes.together(proof).await;
    assert!(thieves.iter().all(|answer| answer.error() == "invalid_grant"), "{thieves:?}");
    assert_eq!(nodes.revoked().await, 1);
    for number in 0..nodes.servers.len() {
        assert_eq!(nodes.node(number).refresh(&nodes.client, &live).await.error(), "invalid_grant");
    }
}

fn postgres() -> Backend {
    Backend::Postgres(Arc::new(Cluster::shared()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_04_as_110_b_03_sixty_four_ways_a_thousand_codes_on_sqlite() {
    codes_have_one_winner_each(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_04_as_110_b_03_sixty_four_ways_a_thousand_codes_on_two_nodes_and_postgresql() {
    codes_have_one_winner_each(postgres()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_110_sixty_four_codes_of_one_page_open_one_grant_that_lives_on_sqlite() {
    pages_have_one_grant_each(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_110_sixty_four_codes_of_one_page_open_one_grant_that_lives_on_two_nodes_and_postgresql() {
    pages_have_one_grant_each(postgres()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_20_as_141_b_11_sixty_four_ways_a_thousand_generations_on_sqlite() {
    generations_have_one_successor_each(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_20_as_141_b_11_sixty_four_ways_a_thousand_generations_on_two_nodes_and_postgresql() {
    generations_have_one_successor_each(postgres()).await;
}
