//! A year of a server with a few hundred people, by a clock that is pushed: nothing grows for ever, nothing that is alive
//! is swept, and what was retired is known for as long as the policy says.

use crate::{
    accounts::{add_person, session_of},
    assertions::{SigningClient, signed},
    model::operation::Dice,
    support::*,
};
use hallpass_core::{id::GrantId, jose::Algorithm, time::Timestamp, token::RefreshToken};
use hallpass_server::{keys, sweep_once};
use hallpass_testkit::DocumentHost;
use http::StatusCode;
use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    time::Duration,
};

const PEOPLE: usize = 200;
const DAYS: usize = 365;
/// The clock goes on by this.
const STEP: Duration = Duration::from_hours(4);
/// People who do something in that time.
const VISITS: usize = 4;
/// Clients of a person that go on being used; the oldest are forgotten.
const KEPT: usize = 4;
const DAY: Duration = Duration::from_hours(24);
/// A grant ends, and what is known of a client that nobody uses any more is forgotten two days later.
const LIFETIME: Duration = Duration::from_hours(24 * 60);
/// An unused refresh token ends; its row is swept two days later.
const IDLE: Duration = Duration::from_hours(24 * 30);
const SWEPT: Duration = Duration::from_hours(24 * 32);

/// What a client holds.
struct Held {
    person: usize,
    client: String,
    grant: GrantId,
    live: String,
    predecessor: Option<String>,
    /// Two generations back: whoever presents it stole it.
    retired: Option<String>,
    given: Timestamp,
    used: Timestamp,
}

impl Held {
    fn is_over(&self, now: Timestamp) -> bool {
        now.since(self.used) >= IDLE || now.since(self.given) >= LIFETIME
    }

    /// Its row is due when either of its lives is over.
    fn over(&self) -> (GrantId, Timestamp) {
        (self.grant, self.used.min(self.given.plus(LIFETIME).minus(IDLE)))
    }
}

struct Somebody<'a> {
    browser: Browser<'a>,
    id: hallpass_core::id::PersonId,
    signed_in_until: Timestamp,
    held: Vec<Held>,
}

struct Year<'a> {
    server: &'a Server,
    host: &'a DocumentHost,
    dice: Dice,
    people: Vec<Somebody<'a>>,
    registered: Vec<String>,
    signing: SigningClient,
    published: usize,
    /// Held by clients that nobody uses any more, the oldest first.
    forgotten: VecDeque<Held>,
    /// Revoked, and when each was used last, or would have been thirty days before its end.
    ended: Vec<(GrantId, Timestamp)>,
}

impl<'a> Year<'a> {
    async fn begin(server: &'a Server, host: &'a DocumentHost) -> Self {
        let mut people = Vec::new();
        for _ in 0..PEOPLE {
            let id = add_person(&server.app, server.now()).await;
            let (browser, signed_in_until) = (Browser::new(server), server.now());
            people.push(Somebody { browser, id, signed_in_until, held: Vec::new() });
        }
        let mut registered = Vec::new();
        for _ in 0..3 {
            registered.push(server.register(REDIRECT).await);
        }
        let signing = SigningClient::publish(host, Algorithm::Es256, &["private_key_jwt"]);
        let (forgotten, ended, dice) = (VecDeque::new(), Vec::new(), Dice(0x0DD5));
        Self { server, host, dice, people, registered, signing, published: 0, forgotten, ended }
    }

    async fn step(&mut self) {
        for _ in 0..VISITS {
            let person = self.dice.below(PEOPLE);
            self.visit(person).await;
        }
        self.look_back().await;
        // More seldom than the server does both, so that less is gone in time, not more.
        sweep_once(&self.server.app, Duration::ZERO).await.unwrap();
        keys::step(&self.server.app).await.unwrap();
        self.server.clock.push(STEP);
    }

    /// Somebody comes, signs in where that is over, and the clients refresh what they have.
    async fn visit(&mut self, at: usize) {
        let (server, now) = (self.server, self.server.now());
        let person = &mut self.people[at];
        if now >= person.signed_in_until {
            let cookie = session_of(&server.app, person.id, now).await.unwrap();
            person.browser.cookies.insert("__Host-hallpass_session".to_owned(), cookie);
            person.signed_in_until = now.plus(server.app.settings.session_lifetime);
        }
        if self.dice.below(4) == 0 {
            let page = person.browser.get("/account").await;
            assert_eq!(page.status, StatusCode::OK, "a session that lives was swept");
        }
        for place in (0..person.held.len()).rev() {
            if self.dice.below(3) > 0 {
                self.refresh(at, place).await;
            }
        }
        if self.dice.below(5) == 0 {
            self.open(at).await;
        }
        self.misfortune(at).await;
        while self.people[at].held.len() > KEPT {
            self.forgotten.push_back(self.people[at].held.remove(0));
        }
    }

    async fn open(&mut self, at: usize) {
        let client = match self.dice.below(8) {
            0..=3 => self.registered[self.dice.below(3)].clone(),
            4 | 5 => {
                let number = self.dice.below(3);
                self.document(&format!("/popular{number}.json"))
            }
            6 => self.signing.url.clone(),
            _ => {
                self.published += 1;
                self.document(&format!("/client{}.json", self.published))
            }
        };
        let code = self.people[at].browser.allow(&Server::request(&client)).await;
        let tokens = self.redeem(&client, &code).await;
        assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
        let live = text(&tokens.json(), "refresh_token").to_owned();
        let grant = RefreshToken::check(&self.server.app.keys, &live).unwrap().grant;
        let used = self.server.now();
        if self.dice.below(16) == 0 {
            assert_eq!(self.redeem(&client, &code).await.error(), "invalid_grant", "a code twice");
            self.ended.push((grant, used));
            return;
        }
        let held =
            Held { person: at, client, grant, live, predecessor: None, retired: None, given: used, used };
        self.people[at].held.push(held);
    }

    fn document(&self, path: &str) -> String {
        let url = self.host.url(path);
        let document = serde_json::json!({
            "client_id": url, "client_name": "Client", "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none",
        });
        // Kept for a day: a year of fetches is not what is tested here.
        let headers = "content-type: application/json\r\ncache-control: max-age=86400\r\n";
        self.host.answer(path, 200, headers, &document.to_string());
        url
    }

    async fn redeem(&self, client: &str, code: &str) -> Answer {
        if client == self.signing.url {
            let assertion = self.signing.assertion(self.server);
            return self.server.redeem_with(client, code, &signed(&assertion, &[])).await;
        }
        self.server.redeem(client, code).await
    }

    async fn present(&self, client: &str, token: &str) -> Answer {
        if client == self.signing.url {
            let assertion = self.signing.assertion(self.server);
            let pairs = signed(&assertion, &[("grant_type", "refresh_token"), ("refresh_token", token)]);
            return self.server.form("/token", &pairs).await;
        }
        self.server.refresh(client, token).await
    }

    /// What was not used for too long has ended; everything else must go on.
    async fn refresh(&mut self, at: usize, place: usize) {
        let (now, held) = (self.server.now(), &self.people[at].held[place]);
        let answer = self.present(&held.client, &held.live).await;
        if held.is_over(now) && answer.status != StatusCode::OK {
            // Until a grant would have ended anyway, whoever comes back hears of the grant, not that nobody knows him.
            let is_forgotten = now.since(held.used) > LIFETIME + 2 * DAY;
            assert!(answer.error() == "invalid_grant" || is_forgotten, "{answer:?}");
            self.people[at].held.remove(place);
            return;
        }
        assert_eq!(answer.status, StatusCode::OK, "somebody was logged out: {answer:?}");
        let held = &mut self.people[at].held[place];
        let next = text(&answer.json(), "refresh_token").to_owned();
        held.retired = held.predecessor.replace(std::mem::replace(&mut held.live, next));
        held.used = now;
    }

    /// What does not happen every day.
    async fn misfortune(&mut self, at: usize) {
        let (server, now, chance) = (self.server, self.server.now(), self.dice.below(64));
        let person = &mut self.people[at];
        if chance == 0 {
            let page = person.browser.get("/account").await;
            let pairs = [("action", "everywhere"), ("grant", "")];
            let done = person.browser.submit(&page, "/account", &["csrf"], &pairs).await;
            assert_eq!(done.status, StatusCode::SEE_OTHER, "{done:?}");
            (person.held, person.signed_in_until) = (Vec::new(), now);
            self.forgotten.retain(|held| held.person != at);
            return;
        }
        let Some(newest) = person.held.pop().filter(|held| !held.is_over(now)) else { return };
        match chance {
            1..=3 if newest.client != self.signing.url => {
                let pairs = [("client_id", &*newest.client), ("token", &*newest.live)];
                assert_eq!(server.form("/revoke", &pairs).await.status, StatusCode::OK);
            }
            4 | 5 => {
                let page = person.browser.get("/account").await;
                let grant = newest.grant.to_string();
                assert!(page.text.contains(&grant), "a grant that lives is on the page");
                let pairs = [("action", "revoke"), ("grant", &*grant)];
                let done = person.browser.submit(&page, "/account", &["csrf"], &pairs).await;
                assert_eq!(done.status, StatusCode::SEE_OTHER, "{done:?}");
            }
            6..=9 if newest.retired.is_some() && newest.client != self.signing.url => {
                self.steal(&newest).await;
            }
            _ => {
                person.held.push(newest);
                return;
            }
        }
        let answer = self.present(&newest.client, &newest.live).await;
        assert_eq!(answer.error(), "invalid_grant", "what was ended is over: {answer:?}");
        self.ended.push(newest.over());
    }

    /// A retired token is presented, and is known for what it is.
    async fn steal(&self, held: &Held) {
        let retired = held.retired.as_deref().unwrap();
        let answer = self.present(&held.client, retired).await;
        assert_eq!(answer.error(), "invalid_grant", "{answer:?}");
        let row = self.server.app.store.grant_read(held.grant).await.unwrap();
        assert_eq!(row.unwrap().revoked_at, Some(self.server.now()), "reuse ends the grant");
    }

    /// What is over stays known until nothing of it can be presented, and is gone then.
    async fn look_back(&mut self) {
        let now = self.server.now();
        while self.forgotten.front().is_some_and(|held| now.since(held.used) + DAY >= IDLE) {
            let held = self.forgotten.pop_front().unwrap();
            if held.retired.is_some() && held.client != self.signing.url && !held.is_over(now) {
                self.steal(&held).await;
                self.ended.push(held.over());
            }
        }
        let store = &self.server.app.store;
        if let Some((grant, used)) = self.ended.get(self.dice.below(self.ended.len().max(1)))
            && now.since(*used) < SWEPT
        {
            assert!(store.grant_read(*grant).await.unwrap().is_some(), "swept too early");
        }
        let late = |used: Timestamp| now.since(used) > SWEPT + 2 * STEP;
        for (grant, _) in self.ended.extract_if(.., |(_, used)| late(*used)) {
            assert_eq!(store.grant_read(grant).await.unwrap(), None, "not swept");
        }
    }
}

/// Rows of each table, and pages that are in use.
fn sizes(file: &Path) -> BTreeMap<String, i64> {
    let database = rusqlite::Connection::open(file).unwrap();
    let one = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let mut tables = database.prepare("SELECT name FROM sqlite_schema WHERE type = 'table'").unwrap();
    let names = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let mut sizes: BTreeMap<_, _> = names
        .map(|name| name.unwrap())
        .map(|name| (name.clone(), one(&format!("SELECT count(*) FROM {name}"))))
        .collect();
    let pages = one("PRAGMA page_count") - one("PRAGMA freelist_count");
    sizes.insert("pages".to_owned(), pages);
    sizes
}

#[tokio::test]
async fn as_220_t_95_b_08_in_a_year_no_table_grows_for_ever_and_nothing_alive_is_swept() {
    let settings = hallpass_server::Settings { grant_lifetime: LIFETIME, ..settings() };
    let (server, host) = Server::with_documents(settings).await;
    let mut year = Year::begin(&server, &host).await;
    let mut days = Vec::new();
    for _ in 0..DAYS {
        for _ in 0..6 {
            year.step().await;
        }
        days.push(sizes(&server.folder.path().join("hallpass.sqlite")));
    }
    let most = |from: usize, to: usize, what: &str| days[from..to].iter().map(|day| day[what]).max().unwrap();
    for what in days[0].keys() {
        let second = most(DAYS / 3, 2 * DAYS / 3, what);
        let last = most(2 * DAYS / 3, DAYS, what);
        assert!(last <= second + second / 4 + 5, "{what} grows: {second} rows, then {last}");
    }
    // All of it happened, or nothing was shown.
    for what in ["grants", "session", "document", "revocation", "assertion", "signing_key", "person"] {
        assert!(most(DAYS / 3, DAYS, what) > 0, "{what} was never used");
    }
    assert!(year.published > 150 && most(0, DAYS, "document") < 120, "{} documents", year.published);
}
