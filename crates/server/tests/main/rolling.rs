//! Another release on the same database: it upgrades where that can be while others go on, can be taken back, and says so
//! where not.

use crate::{
    places::{Backend, Place},
    support::*,
};
use hallpass_server::Limits;
use hallpass_store::{ErrorKind, Schema};
use hallpass_testkit::{ManualClock, postgres::Cluster};
use http::StatusCode;
use std::{collections::BTreeMap, error::Error as _, sync::Arc};

/// What a next release could add: a column to each table, and a table.
const ADDED: &str = "
    ALTER TABLE person ADD COLUMN more {INT} NOT NULL DEFAULT 7;
    ALTER TABLE session ADD COLUMN more {INT} NOT NULL DEFAULT 7;
    ALTER TABLE grants ADD COLUMN more {INT} NOT NULL DEFAULT 7;
    ALTER TABLE feed ADD COLUMN more {INT} NOT NULL DEFAULT 7;
    ALTER TABLE revocation ADD COLUMN more {TEXT};
    ALTER TABLE signing_key ADD COLUMN more {TEXT};
    ALTER TABLE document ADD COLUMN more {TEXT};
    ALTER TABLE root ADD COLUMN more {TEXT};
    ALTER TABLE setup ADD COLUMN more {TEXT};
    ALTER TABLE invitation ADD COLUMN more {TEXT};
    ALTER TABLE audit_head ADD COLUMN more {TEXT};
    ALTER TABLE client ADD COLUMN more {TEXT};
    ALTER TABLE block ADD COLUMN more {TEXT};
    ALTER TABLE assertion ADD COLUMN more {TEXT};
    CREATE TABLE added (id {INT} NOT NULL PRIMARY KEY, name {TEXT} NOT NULL) {TABLE_OPTIONS}";

const BROKEN: &str = "ALTER TABLE grants RENAME COLUMN redirect_host TO receiver";

/// The next release, which nodes of this one can run beside.
fn adding() -> Schema {
    Schema::made_up(usize::MAX, &[(1, ADDED)])
}

/// A next release with which this one cannot live, and the one after the next.
fn breaking() -> Schema {
    Schema::made_up(usize::MAX, &[(Schema::THIS.newest() + 1, BROKEN)])
}

fn adding_then_breaking() -> Schema {
    Schema::made_up(usize::MAX, &[(1, ADDED), (Schema::THIS.newest() + 2, BROKEN)])
}

async fn start(place: &Place, schema: Schema, clock: &ManualClock) -> Server {
    let store = place.open_as(schema).await.unwrap();
    let fetch = hallpass_fetch::Fetch::new(hallpass_fetch::Settings::default()).unwrap();
    // A clock that stands still makes everything come too often.
    let limits = Limits { refreshes: u32::MAX, ..Limits::usual() };
    let settings = hallpass_server::Settings { limits, ..settings() };
    Server::on(store, settings, tempfile::tempdir().unwrap(), clock.clone(), fetch).await
}

async fn stop(server: Server) {
    server.app.store.close().await.unwrap();
}

/// Why a program that knows this schema does not start.
async fn refusal(place: &Place, schema: Schema) -> (ErrorKind, String) {
    let Err(error) = place.open_as(schema).await else { panic!("it starts") };
    (error.kind(), error.source().unwrap().to_string())
}

/// A grant: what its client holds, the newest last.
struct Family {
    client: String,
    tokens: Vec<String>,
}

impl Family {
    async fn open(browser: &mut Browser<'_>, server: &Server) -> Self {
        let client = server.register(REDIRECT).await;
        let code = browser.allow(&Server::request(&client)).await;
        let tokens = server.redeem(&client, &code).await.json();
        Self { client, tokens: vec![text(&tokens, "refresh_token").to_owned()] }
    }

    async fn present(&self, server: &Server, back: usize) -> Answer {
        server.refresh(&self.client, &self.tokens[self.tokens.len() - 1 - back]).await
    }

    async fn refresh(&mut self, server: &Server) {
        let answer = self.present(server, 0).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        self.tokens.push(text(&answer.json(), "refresh_token").to_owned());
    }

    /// Whose answer was lost gets the same one again.
    async fn repeats(&self, server: &Server) {
        let again = self.present(server, 1).await.json();
        assert_eq!(text(&again, "refresh_token"), self.tokens.last().unwrap());
    }

    async fn is_over(&self, server: &Server) {
        assert_eq!(self.present(server, 0).await.error(), "invalid_grant");
    }
}

async fn is_signed_in<'a>(server: &'a Server, cookies: &BTreeMap<String, String>) -> Browser<'a> {
    let mut browser = Browser::new(server);
    browser.cookies.clone_from(cookies);
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
    browser
}

async fn upgraded_and_taken_back(backend: Backend) {
    let (place, clock) = (backend.place().await, ManualClock::at(NOW));
    let server = start(&place, Schema::THIS, &clock).await;
    let mut browser = server.set_up().await;
    let mut one = Family::open(&mut browser, &server).await;
    let mut two = Family::open(&mut browser, &server).await;
    let cookies = browser.cookies.clone();
    for _ in 0..2 {
        one.refresh(&server).await;
        two.refresh(&server).await;
    }
    stop(server).await;

    let server = start(&place, adding(), &clock).await;
    one.repeats(&server).await;
    one.refresh(&server).await;
    two.refresh(&server).await;
    let mut three = Family::open(&mut is_signed_in(&server, &cookies).await, &server).await;
    stop(server).await;

    // Back to the release before: it goes on with what the newer one has written.
    let server = start(&place, Schema::THIS, &clock).await;
    let mut browser = is_signed_in(&server, &cookies).await;
    one.repeats(&server).await;
    one.refresh(&server).await;
    three.refresh(&server).await;
    assert_eq!(two.present(&server, 3).await.error(), "invalid_grant", "retired before the upgrade");
    two.is_over(&server).await;
    let mut four = Family::open(&mut browser, &server).await;
    stop(server).await;

    // And forward again, to a database that needs no more texts.
    let server = start(&place, adding(), &clock).await;
    two.is_over(&server).await;
    for family in [&mut one, &mut three, &mut four] {
        family.refresh(&server).await;
    }
    is_signed_in(&server, &cookies).await;
    stop(server).await;
}

async fn too_old_is_said(backend: Backend) {
    let (place, clock) = (backend.place().await, ManualClock::at(NOW));
    let server = start(&place, Schema::THIS, &clock).await;
    server.granted().await;
    stop(server).await;
    drop(place.open_as(breaking()).await.unwrap());
    let known = Schema::THIS.newest();
    let said = format!(
        "the database is of schema {}, which releases that know schema {} can use, and this one knows up to {known}: \
         start the newer release, or restore a backup",
        known + 1,
        known + 1
    );
    assert_eq!(refusal(&place, Schema::THIS).await, (ErrorKind::Corrupt, said));
    // Whoever was refused has changed nothing: the release that may use it finds everybody.
    let store = place.open_as(breaking()).await.unwrap();
    assert!(store.person_by_name(NAME.to_owned()).await.unwrap().is_some());
}

fn postgres() -> Backend {
    Backend::Postgres(Arc::new(Cluster::shared()))
}

#[tokio::test]
async fn as_226_t_103_grants_and_sessions_live_through_an_upgrade_and_back_on_sqlite() {
    upgraded_and_taken_back(Backend::Sqlite).await;
}

#[tokio::test]
async fn as_226_t_103_grants_and_sessions_live_through_an_upgrade_and_back_on_postgresql() {
    upgraded_and_taken_back(postgres()).await;
}

#[tokio::test]
async fn t_103_a_release_that_is_too_old_says_what_to_do_on_sqlite() {
    too_old_is_said(Backend::Sqlite).await;
}

#[tokio::test]
async fn t_103_a_release_that_is_too_old_says_what_to_do_on_postgresql() {
    too_old_is_said(postgres()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_226_t_103_a_node_goes_on_while_two_newer_ones_upgrade_the_database() {
    let backend = postgres();
    let (place, clock) = (backend.place().await, ManualClock::at(NOW));
    let older = Arc::new(start(&place, Schema::THIS, &clock).await);
    let mut browser = older.set_up().await;
    let mut running = Vec::new();
    let (begun, mut beginning) = tokio::sync::mpsc::channel(8);
    let upgraded = Arc::new(std::sync::atomic::AtomicBool::new(false));
    for _ in 0..8 {
        let mut family = Family::open(&mut browser, &older).await;
        let (older, begun, upgraded) = (Arc::clone(&older), begun.clone(), Arc::clone(&upgraded));
        running.push(tokio::spawn(async move {
            family.refresh(&older).await;
            begun.send(()).await.unwrap();
            // Before, during and after.
            while !upgraded.load(std::sync::atomic::Ordering::SeqCst) {
                family.refresh(&older).await;
            }
            family.refresh(&older).await;
            family
        }));
    }
    for _ in 0..8 {
        beginning.recv().await.unwrap();
    }
    let (newer, beside) = tokio::join!(start(&place, adding(), &clock), start(&place, adding(), &clock));
    upgraded.store(true, std::sync::atomic::Ordering::SeqCst);
    for family in running {
        let mut family = family.await.unwrap();
        for server in [&newer, &*older, &beside, &*older] {
            family.refresh(server).await;
        }
        family.repeats(&newer).await;
    }
    let mut last = Family::open(&mut is_signed_in(&older, &browser.cookies).await, &older).await;
    last.refresh(&newer).await;
    // A release that takes something away is not let in while this one runs, which goes on.
    stop(newer).await;
    stop(beside).await;
    let (kind, said) = refusal(&place, adding_then_breaking()).await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(said.contains("stop them, then start this release"), "{said}");
    last.refresh(&older).await;
}
