//! Services that people connect: each for themselves, in their own browser, and nobody's token is ever another's.

use crate::{
    accounts::{add_person, session_of},
    devices,
    support::*,
    third_party::{Mood, ThirdParty},
};
use hallpass_client::assertion::ClientKey;
use hallpass_core::{
    id::PersonId,
    jose::{Algorithm, SigningKey},
    secret::SecretString,
};
use hallpass_server::{
    Settings,
    audit::Kind,
    connections::{ConnectionSettings, NoToken, WrittenConnection, page_for, token},
};
use http::StatusCode;

const PAGE: &str = "/account/connections";

fn connection(third: &ThirdParty, name: &str) -> ConnectionSettings {
    ConnectionSettings::new(&WrittenConnection {
        name,
        title: Some(if name == "git" { "Git" } else { "Mail" }),
        issuer: Some(&third.issuer),
        client_id: "us",
        secret: Some(SecretString::new("secret of ours")),
        ..WrittenConnection::default()
    })
    .unwrap()
}

async fn world() -> (Server, ThirdParty) {
    let third = ThirdParty::start().await;
    let mut settings = settings();
    settings.connections = vec![connection(&third, "git"), connection(&third, "mail")];
    settings.resources[0].connection = Some("git".into());
    let server = Server::with(settings).await;
    server.set_up().await;
    (server, third)
}

pub async fn signed_in(server: &Server, person: PersonId) -> Browser<'_> {
    let mut browser = Browser::new(server);
    sign_in(server, &mut browser, person).await;
    browser
}

async fn sign_in(server: &Server, browser: &mut Browser<'_>, person: PersonId) {
    let session = session_of(&server.app, person, server.now()).await.unwrap();
    browser.cookies.insert("__Host-hallpass_session".into(), session);
}

/// Presses the button: the page at the service.
async fn begin(browser: &mut Browser<'_>, name: &str) -> String {
    let page = browser.get(PAGE).await;
    let typed = [("connection", name), ("action", "connect")];
    let moving = browser.submit(&page, PAGE, &["csrf"], &typed).await;
    assert_eq!(moving.status, StatusCode::OK, "{}", moving.text);
    moving.target().unwrap()
}

fn path(url: &str) -> &str {
    url.strip_prefix(ISSUER).unwrap()
}

async fn connect(server: &Server, third: &ThirdParty, person: PersonId, account: &str) {
    let mut browser = signed_in(server, person).await;
    let back = third.allows(&begin(&mut browser, "git").await, account);
    let done = browser.get(path(&back)).await;
    assert_eq!(done.header("location"), "/account/connections?connected=git", "{}", done.text);
    let page = browser.get(done.header("location")).await;
    assert!(page.text.contains("Git is connected") && page.text.contains("Things"), "{}", page.text);
    assert!(!page.text.contains("access-of") && !page.text.contains("refresh-of"), "{}", page.text);
}

async fn of(server: &Server, person: PersonId) -> Result<String, NoToken> {
    token(&server.app, person, "git", None).await.map(|token| token.expose().to_owned())
}

fn counted(server: &Server, kind: Kind) -> u64 {
    server.app.audit.counted().into_iter().filter(|(one, ..)| *one == kind).map(|(.., number)| number).sum()
}

async fn nobody_connected(server: &Server, people: &[PersonId]) {
    for person in people {
        assert_eq!(of(server, *person).await, Err(NoToken::NotConnected));
    }
    assert_eq!(counted(server, Kind::Connected), 0);
}

#[tokio::test]
async fn rs_061_p12_each_person_has_the_tokens_of_the_account_that_they_connected() {
    let (server, third) = world().await;
    let now = server.now();
    let (ada, bob) = (add_person(&server.app, now).await, add_person(&server.app, now).await);
    nobody_connected(&server, &[ada, bob]).await;
    connect(&server, &third, ada, "ada").await;
    connect(&server, &third, bob, "bob").await;
    let (hers, his) = (of(&server, ada).await.unwrap(), of(&server, bob).await.unwrap());
    assert!(hers.starts_with("access-of-ada-") && his.starts_with("access-of-bob-"), "{hers} {his}");
    assert_eq!(token(&server.app, ada, "mail", None).await, Err(NoToken::NotConnected));
    // Ahead of its end and after it, each gets their own again.
    for seconds in [3_580, 3_600, 100_000] {
        server.push(seconds);
        assert!(of(&server, ada).await.unwrap().starts_with("access-of-ada-"));
        assert!(of(&server, bob).await.unwrap().starts_with("access-of-bob-"));
    }
    assert_eq!(counted(&server, Kind::ConnectionRenewed), 6);
    // Disconnected by the one, and nothing of the other changes; the service is told.
    let mut browser = signed_in(&server, ada).await;
    let page = browser.get(PAGE).await;
    let typed = [("connection", "git"), ("action", "disconnect")];
    let done = browser.submit(&page, PAGE, &["csrf"], &typed).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    assert_eq!(of(&server, ada).await, Err(NoToken::NotConnected));
    assert!(of(&server, bob).await.is_ok());
    let revoked = third.revoked();
    assert!(revoked.len() == 1 && revoked[0].starts_with("refresh-of-ada-"), "{revoked:?}");
}

#[tokio::test]
async fn rs_061_cl_054_a_service_is_asked_with_assertions_of_our_key_each_good_once() {
    let third = ThirdParty::start().await;
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    third.knows(&key);
    let keyed = ConnectionSettings::new(&WrittenConnection {
        name: "git",
        title: Some("Git"),
        issuer: Some(&third.issuer),
        client_id: "us",
        key: Some(ClientKey::of(key)),
        ..WrittenConnection::default()
    });
    let mut settings = Settings { connections: vec![keyed.unwrap()], ..settings() };
    settings.resources[0].connection = Some("git".into());
    let server = Server::with(settings).await;
    server.set_up().await;
    let ada = add_person(&server.app, server.now()).await;
    third.at(server.now());
    connect(&server, &third, ada, "ada").await;
    for _ in 0..2 {
        server.push(3_600);
        third.at(server.now());
        assert!(of(&server, ada).await.unwrap().starts_with("access-of-ada-"));
    }
    assert_eq!(third.asked(), ["authorization_code", "refresh_token", "refresh_token"]);
    // The key is another: nobody takes our word.
    third.knows(&SigningKey::generate(Algorithm::Es256).unwrap());
    server.push(100_000);
    third.at(server.now());
    assert!(of(&server, ada).await.is_err());
}

#[tokio::test]
async fn rs_061_p12_rows_that_changed_places_open_for_nobody() {
    for swap in ["sealed", "sealed, id", "name"] {
        let (server, third) = world().await;
        let now = server.now();
        let (ada, bob) = (add_person(&server.app, now).await, add_person(&server.app, now).await);
        connect(&server, &third, ada, "ada").await;
        connect(&server, &third, bob, "bob").await;
        let database = rusqlite::Connection::open(server.folder.path().join("hallpass.sqlite")).unwrap();
        let statements = match swap {
            "sealed" => "CREATE TEMP TABLE t AS SELECT person, sealed FROM connection;
                UPDATE connection SET sealed = (SELECT sealed FROM t WHERE t.person <> connection.person);",
            "sealed, id" => "CREATE TEMP TABLE t AS SELECT person, sealed, id FROM connection;
                DELETE FROM connection;
                INSERT INTO connection (id, person, name, sealed, version, connected_at, renewed_at)
                    SELECT a.id, b.person, 'git', a.sealed, 1, 0, 0 FROM t a JOIN t b ON a.person <> b.person;",
            // What is theirs, said to be another service's.
            _ => "UPDATE connection SET name = 'mail';",
        };
        database.execute_batch(statements).unwrap();
        let name = if swap == "name" { "mail" } else { "git" };
        for person in [ada, bob] {
            assert_eq!(token(&server.app, person, name, None).await, Err(NoToken::Ended), "{swap}");
        }
    }
}

#[tokio::test]
async fn t_68_rs_066_a_link_of_one_persons_client_is_refused_to_another() {
    let (server, _third) = world().await;
    let now = server.now();
    let (alice, bob) = (add_person(&server.app, now).await, add_person(&server.app, now).await);
    let link = page_for(&server.app, alice, "git", now);
    assert!(!link.contains(&alice.to_string()) && link.len() < 300, "{link}");
    let mut browser = signed_in(&server, bob).await;
    let refused = browser.get(path(&link)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("another account") && refused.hidden("csrf").is_none(), "{}", refused.text);
    assert_eq!(counted(&server, Kind::ConnectionRefused), 1);
    let mut browser = signed_in(&server, alice).await;
    let page = browser.get(path(&link)).await;
    assert!(
        page.status == StatusCode::OK && page.text.contains("needs your account at <strong>Git"),
        "{}",
        page.text
    );
    // Another one of hers, cut, or over.
    for wrong in [altered(&link), link[..link.len() - 4].to_owned()] {
        assert_eq!(browser.get(path(&wrong)).await.status, StatusCode::BAD_REQUEST, "{wrong}");
    }
    server.push(3_600);
    assert_eq!(browser.get(path(&link)).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn rs_066_a_link_waits_behind_the_sign_in() {
    let (server, _third) = world().await;
    let people = server.app.store.people_list(None, 10).await.unwrap();
    let link = page_for(&server.app, people[0].id, "git", server.now());
    let mut browser = Browser::new(&server);
    let form = browser.get(path(&link)).await;
    assert_eq!(form.status, StatusCode::OK);
    let done = browser.sign_in(&form).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    assert_eq!(done.header("location"), path(&link));
    assert!(browser.get(done.header("location")).await.text.contains("needs your account"));
}

#[tokio::test]
async fn t_68_rs_061_an_answer_counts_in_the_browser_session_and_person_that_asked_and_once() {
    let (server, third) = world().await;
    let now = server.now();
    let (alice, eve) = (add_person(&server.app, now).await, add_person(&server.app, now).await);
    // Eve begins and has Alice finish: Alice's account would be used by Eve.
    let mut of_eve = signed_in(&server, eve).await;
    let page = begin(&mut of_eve, "git").await;
    let back = third.allows(&page, "alice");
    let mut of_alice = signed_in(&server, alice).await;
    of_alice.get(PAGE).await;
    assert_eq!(of_alice.get(path(&back)).await.status, StatusCode::FORBIDDEN);
    // Eve's cookies in Alice's browser: her request, and Alice's session.
    let mut mixed = of_alice.clone();
    let connecting = of_eve.cookies["__Host-hallpass_connecting"].clone();
    mixed.cookies.insert("__Host-hallpass_connecting".into(), connecting);
    assert_eq!(mixed.get(path(&back)).await.status, StatusCode::FORBIDDEN);
    mixed.cookies.insert("__Host-hallpass_browser".into(), of_eve.cookies["__Host-hallpass_browser"].clone());
    assert_eq!(
        mixed.get(path(&back)).await.status,
        StatusCode::FORBIDDEN,
        "the same browser, another person"
    );
    // The same person signed in anew.
    let mut anew = of_eve.clone();
    sign_in(&server, &mut anew, eve).await;
    assert_eq!(anew.get(path(&back)).await.status, StatusCode::FORBIDDEN);
    let mut out = of_eve.clone();
    out.cookies.remove("__Host-hallpass_session");
    assert_eq!(out.get(path(&back)).await.status, StatusCode::FORBIDDEN);
    nobody_connected(&server, &[alice, eve]).await;
    assert!(third.asked().is_empty(), "no code went anywhere");
    // Who asked, once.
    assert_eq!(of_eve.get(path(&back)).await.status, StatusCode::SEE_OTHER);
    assert_eq!(of_eve.get(path(&back)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(third.asked(), ["authorization_code"]);
    // Too late.
    let back = third.allows(&begin(&mut of_alice, "git").await, "alice");
    server.push(15 * 60);
    assert_eq!(of_alice.get(path(&back)).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn rs_061_cl_045_no_code_goes_to_a_service_that_did_not_give_it() {
    let (server, third) = world().await;
    let ada = add_person(&server.app, server.now()).await;
    let answered = async |change: &dyn Fn(&str) -> String| {
        let mut browser = signed_in(&server, ada).await;
        let back = third.allows(&begin(&mut browser, "git").await, "ada");
        browser.get(path(&change(&back))).await.status
    };
    let iss = hallpass_core::parameters::encode([("iss", &*third.issuer)]);
    for (change, status) in [
        (("/callback/git", "/callback/mail"), StatusCode::FORBIDDEN),
        (("/callback/git", "/callback/none"), StatusCode::NOT_FOUND),
        ((&*iss, "iss=https://evil.example"), StatusCode::BAD_GATEWAY),
        ((&*format!("&{iss}"), ""), StatusCode::BAD_GATEWAY),
        (("state=", "state=x&state="), StatusCode::FORBIDDEN),
        (("code=", "code=x&code="), StatusCode::FORBIDDEN),
        (("iss=", "iss=x&iss="), StatusCode::BAD_GATEWAY),
        (("code=", "error=access_denied&x="), StatusCode::BAD_GATEWAY),
    ] {
        let got = answered(&|back| {
            let changed = back.replacen(change.0, change.1, 1);
            assert_ne!(changed, back, "{change:?}");
            changed
        })
        .await;
        assert_eq!(got, status, "{change:?}");
    }
    nobody_connected(&server, &[ada]).await;
    assert!(third.asked().is_empty());
    // The operator changed meanwhile who is asked: a code of the one is not sent to the other.
    let mut browser = signed_in(&server, ada).await;
    let back = third.allows(&begin(&mut browser, "git").await, "ada");
    let mut settings = server.app.settings.clone();
    settings.connections[0].client.client_id = "others".into();
    let reloaded = server.reloaded(settings);
    let mut after = Browser::new(&reloaded);
    after.cookies = browser.cookies.clone();
    assert_eq!(after.get(path(&back)).await.status, StatusCode::FORBIDDEN);
    // A form from elsewhere begins nothing.
    browser.site = Some("cross-site".into());
    let forged = browser.post(PAGE, &[("connection", "git"), ("action", "connect")]).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rs_061_c13_of_calls_on_two_nodes_one_renews() {
    let (server, third) = world().await;
    let other = server.beside().await;
    let ada = add_person(&server.app, server.now()).await;
    connect(&server, &third, ada, "ada").await;
    third.mood(Mood::Slow);
    for _ in 0..3 {
        server.push(4_000);
        let before = third.asked().len();
        let calls: Vec<_> = (0..32)
            .map(|at| {
                let app = std::sync::Arc::clone(if at % 2 == 0 { &server.app } else { &other.app });
                tokio::spawn(async move {
                    token(&app, ada, "git", None).await.map(|token| token.expose().to_owned())
                })
            })
            .collect();
        let mut tokens = std::collections::BTreeSet::new();
        for call in calls {
            tokens.insert(call.await.unwrap().unwrap());
        }
        assert_eq!((tokens.len(), third.asked().len() - before), (1, 1), "{tokens:?}");
    }
    // A caller who goes away takes nothing with it.
    server.push(4_000);
    let cut = tokio::time::timeout(std::time::Duration::from_millis(50), of(&server, ada)).await;
    assert!(cut.is_err());
    let before = third.asked().len();
    assert!(of(&other, ada).await.is_ok());
    assert!(third.asked().len() - before <= 1);
    assert!(of(&server, ada).await.is_ok());
}

#[tokio::test]
async fn rs_061_what_fails_at_the_service_takes_nothing_and_its_word_ends_it() {
    let (server, third) = world().await;
    let ada = add_person(&server.app, server.now()).await;
    connect(&server, &third, ada, "ada").await;
    let first = of(&server, ada).await.unwrap();
    for (mood, seconds) in [(Mood::Down, 3_545), (Mood::Forgetful, 6)] {
        third.mood(mood);
        server.push(seconds);
        let asked = third.asked().len();
        for _ in 0..3 {
            assert_eq!(of(&server, ada).await.as_deref(), Ok(&*first), "it is still good");
        }
        assert_eq!(third.asked().len() - asked, 1, "nobody asks again at once");
    }
    server.push(60);
    let over = tokio::time::timeout(std::time::Duration::from_secs(30), of(&server, ada)).await.unwrap();
    assert_eq!(over, Err(NoToken::Unavailable));
    third.mood(Mood::Good);
    server.push(60);
    let second = of(&server, ada).await.unwrap();
    assert!(second.starts_with("access-of-ada-") && second != first);
    // Refused by the server behind, although it should be good: another one, once.
    let refused = SecretString::new(second.clone());
    let third_one = token(&server.app, ada, "git", Some(&refused)).await.unwrap();
    assert_ne!(third_one.expose(), second);
    let again = token(&server.app, ada, "git", Some(&refused)).await.unwrap();
    assert_eq!(again.expose(), third_one.expose(), "somebody else had it refused before");
    // The service says that it is over: no more questions, and the person is told.
    third.forget();
    server.push(4_000);
    let asked = third.asked().len();
    for _ in 0..3 {
        assert_eq!(of(&server, ada).await, Err(NoToken::Ended));
    }
    assert_eq!((third.asked().len() - asked, counted(&server, Kind::ConnectionDied)), (1, 1));
    let mut browser = signed_in(&server, ada).await;
    assert!(browser.get(PAGE).await.text.contains("no longer accepted by Git"));
    connect(&server, &third, ada, "ada").await;
    assert!(of(&server, ada).await.is_ok());
}

#[tokio::test]
async fn rs_061_a_token_for_ever_is_used_until_it_is_refused_and_moves_to_the_newest_master_key() {
    let (server, third) = world().await;
    let ada = add_person(&server.app, server.now()).await;
    third.mood(Mood::ForEver);
    connect(&server, &third, ada, "ada").await;
    server.push(100_000_000);
    let only = of(&server, ada).await.unwrap();
    let refused = SecretString::new(only.clone());
    assert_eq!(token(&server.app, ada, "git", Some(&refused)).await, Err(NoToken::Ended));
    let key = |number: u8, fill: u8| hallpass_core::seal::MasterKey {
        number,
        bytes: hallpass_core::secret::SecretBytes::new([fill; 32]),
    };
    let both = vec![key(1, 9), key(0, 7)].into();
    let next = server.taking(&both).await.unwrap();
    assert_eq!(of(&server, ada).await.as_deref(), Ok(&*only));
    assert_eq!(of(&next, ada).await.as_deref(), Ok(&*only), "sealed anew under the newest");
    let under = async |number| server.app.store.connections_under(number, None, 10).await.unwrap().len();
    assert_eq!((under(0).await, under(1).await), (0, 1));
    assert_eq!(of(&server, ada).await, Err(NoToken::Unavailable), "a node behind knows nothing of it");
    assert_eq!(of(&next, ada).await.as_deref(), Ok(&*only));
}

/// The link of a page that says what to connect first.
fn link(page: &Answer) -> Option<String> {
    let (_, rest) = page.text.split_once("/account/connections?link=")?;
    Some(format!("/account/connections?link={}", rest.split('"').next()?))
}

#[tokio::test]
async fn rs_061_rs_066_who_lets_a_device_in_is_told_what_to_connect_first() {
    let (server, third) = world().await;
    let ada = add_person(&server.app, server.now()).await;
    let client = devices::register(&server).await;
    let device = devices::asks(&server, &client).await;
    let code = text(&device, "user_code");
    let mut browser = signed_in(&server, ada).await;
    devices::types(&mut browser, code).await;
    for _ in 0..3 {
        server.push(5);
        devices::polls(&server, &client, &device).await;
    }
    let page = browser.get(&devices::looks_for(code)).await;
    assert!(page.text.contains("works with your account at <strong>Git</strong>"), "{}", page.text);
    let there = link(&page).unwrap();
    assert!(browser.get(&there).await.text.contains("Connect Git"));
    // It changes nothing of the question itself.
    connect(&server, &third, ada, "ada").await;
    assert!(link(&browser.get(&devices::looks_for(code)).await).is_none());
    let done = devices::decides(&mut browser, &page, "allow").await;
    assert!(done.text.contains("goes on by itself"), "{}", done.text);
}

#[tokio::test]
async fn rs_061_rs_066_who_is_asked_for_access_is_told_what_to_connect_first() {
    let (server, third) = world().await;
    let ada = add_person(&server.app, server.now()).await;
    let request = Server::request(&server.register(REDIRECT).await);
    let mut browser = signed_in(&server, ada).await;
    let page = browser.ask(&request).await;
    assert!(page.text.contains("works with your account at <strong>Git</strong>"), "{}", page.text);
    // It leads this person there, and nobody else.
    let path_there = link(&page).unwrap();
    assert!(browser.get(&path_there).await.text.contains("Connect Git"));
    let bob = add_person(&server.app, server.now()).await;
    let mut his = signed_in(&server, bob).await;
    assert_eq!(his.get(&path_there).await.status, StatusCode::FORBIDDEN);
    // It changes nothing of the question itself: the page may be answered before or after.
    connect(&server, &third, ada, "ada").await;
    let moving = browser.answer(&page, "allow").await;
    assert!(moving.answered("code").is_some(), "{}", moving.text);
    assert!(link(&browser.ask(&request).await).is_none());
    // Until the service says that it is over.
    third.forget();
    server.push(100_000);
    assert_eq!(of(&server, ada).await, Err(NoToken::Ended));
    sign_in(&server, &mut browser, ada).await;
    assert!(link(&browser.ask(&request).await).is_some());
}
