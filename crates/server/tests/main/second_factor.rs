//! A second factor at sign-in: no session, and so no code, before it was passed; a code counts once; guesses are counted, and lock
//! nobody out.

use crate::{providers::*, support::*};
use axum::body::Body;
use hallpass_core::{encoding, seal::Purpose, time::Timestamp, totp, totp::TotpSecret};
use hallpass_server::{SecondFactorPolicy, Settings, audit::Kind};
use http::{Request, StatusCode};
use std::collections::BTreeMap;

pub const SESSION: &str = "__Host-hallpass_session";
pub const HALF: &str = "__Host-hallpass_half_signed_in";
pub const PAGE: &str = "/account/second-factor";
pub const CODE: &str = "/sign-in/code";

/// What a set-up page gives an app: as a person would type it.
pub fn secret_on(page: &Answer) -> TotpSecret {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let (_, rest) = page.text.split_once("secret=").unwrap_or_else(|| panic!("{}", page.text));
    let text: String = rest.chars().take(32).collect();
    let grouped: Vec<&str> = (0..8).map(|at| &text[at * 4..at * 4 + 4]).collect();
    assert!(page.text.contains(&grouped.join(" ")), "the same as text: {}", page.text);
    let mut bits: Vec<u8> = Vec::new();
    for letter in text.bytes() {
        let value = ALPHABET.iter().position(|one| *one == letter).unwrap();
        bits.extend((0..5).rev().map(|at| u8::try_from(value >> at & 1).unwrap()));
    }
    let bytes: Vec<u8> = bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect();
    TotpSecret::from_bytes(&bytes).unwrap()
}

/// The code that the app shows at this time.
pub fn code(secret: &TotpSecret, now: Timestamp) -> String {
    secret.code(totp::step_at(now))
}

/// A code that is right at none of the times nearby.
pub fn wrong_code(secret: &TotpSecret, now: Timestamp) -> String {
    let step = totp::step_at(now);
    let near: Vec<String> = (-2..=2).map(|by| secret.code(step + by)).collect();
    (0..9).map(|n| format!("00000{n}")).find(|one| !near.contains(one)).unwrap()
}

/// The recovery codes on a page.
pub fn recovery_codes(page: &Answer) -> Vec<String> {
    let items = page.text.split("<li class=\"code small\">").skip(1);
    items.map(|item| item.split('<').next().unwrap().to_owned()).collect()
}

/// Turns it on at the account page: what the app has, and the recovery codes.
pub async fn turn_on(server: &Server, browser: &mut Browser<'_>) -> (TotpSecret, Vec<String>) {
    let page = browser.get(PAGE).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let secret = secret_on(&page);
    let typed = code(&secret, server.now());
    let done = browser.submit(&page, PAGE, &["csrf"], &[("action", "on"), ("code", &typed)]).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    server.push(30);
    (secret, recovery_codes(&done))
}

/// A server with one account that has a second factor, its browser, and what is known of the factor.
pub async fn with_factor(change: impl FnOnce(&mut Settings)) -> (Server, TotpSecret, Vec<String>) {
    let mut settings = settings();
    change(&mut settings);
    let server = Server::with(settings).await;
    let mut browser = server.set_up().await;
    let (secret, codes) = turn_on(&server, &mut browser).await;
    (server, secret, codes)
}

pub fn requiring(settings: &mut Settings) {
    settings.sign_in.second_factor = SecondFactorPolicy::Required;
}

/// Types name and password: the page for the code.
pub async fn password(browser: &mut Browser<'_>) -> Answer {
    let form = browser.get("/sign-in").await;
    let moved = browser.sign_in(&form).await;
    assert_eq!((moved.status, moved.header("location")), (StatusCode::SEE_OTHER, CODE), "{}", moved.text);
    browser.get(CODE).await
}

pub async fn type_code(browser: &mut Browser<'_>, page: &Answer, code: &str) -> Answer {
    browser.submit(page, CODE, &["csrf"], &[("code", code)]).await
}

/// That nothing which needs a session takes this browser for signed in.
async fn opens_nothing(server: &Server, browser: &mut Browser<'_>, client: &str) {
    let request = Server::request(client);
    for path in ["/account", PAGE] {
        assert_eq!(browser.get(path).await.header("location"), "/sign-in", "{path}");
    }
    for path in [query(&request), "/device".into(), "/account/connections".into()] {
        let page = browser.get(&path).await;
        assert!(page.text.contains("<h1>Sign in</h1>"), "{path}: {}", page.text);
        assert!(page.hidden("page").is_none() && page.answered_any().is_none(), "{path}");
    }
    let mut without = request.clone();
    without.insert("prompt".into(), "none".into());
    let refused = browser.get(&query(&without)).await;
    assert_eq!(refused.answered("error").as_deref(), Some("login_required"), "{}", refused.text);
    let csrf = browser.get("/sign-in").await.hidden("csrf").unwrap();
    for (path, pairs) in [
        ("/consent", vec![("page", "x"), ("decision", "allow")]),
        ("/device", vec![("user_code", "WDJB-MJHT")]),
        ("/account", vec![("action", "everywhere")]),
        ("/account", vec![("action", "link"), ("provider", "idp")]),
        ("/account/connections", vec![("action", "connect"), ("connection", "x")]),
        (PAGE, vec![("action", "off"), ("code", "000000")]),
        (PAGE, vec![("action", "on"), ("code", "000000")]),
    ] {
        let mut pairs = pairs;
        pairs.push(("csrf", &csrf));
        let answer = browser.post(path, &pairs).await;
        let nobody = answer.text.contains("signed out")
            || answer.text.contains("<h1>Sign in</h1>")
            || answer.header("location") == "/sign-in";
        assert!(nobody, "{path}: {} {}", answer.status, answer.text);
    }
    let sessions = server.app.store.person_by_name(NAME.into()).await.unwrap().unwrap();
    let sessions = server.app.store.sessions_of_person(sessions.id, server.now(), 99).await.unwrap();
    assert!(sessions.iter().all(|session| session.second_factor_at.is_some()));
}

impl Answer {
    fn answered_any(&self) -> Option<String> {
        self.target().filter(|target| target.contains("code="))
    }
}

#[tokio::test]
async fn as_097_t_17_a_code_is_given_only_after_both_factors() {
    let (server, secret, _) = with_factor(|_| {}).await;
    let client = server.register(REDIRECT).await;
    let request = Server::request(&client);
    let mut browser = Browser::new(&server);
    let form = browser.get(&query(&request)).await;
    let moved = browser.sign_in(&form).await;
    assert_eq!((moved.status, moved.header("location")), (StatusCode::SEE_OTHER, CODE));
    assert!(!is_signed_in(&browser) && browser.cookies.contains_key(HALF));
    assert_eq!(counted(&server, Kind::SignedIn, None), 0, "nobody is signed in yet");
    assert_eq!(counted(&server, Kind::SecondFactorAsked, None), 1);
    // What this browser has is no session: not as it is, and not in the place of one.
    opens_nothing(&server, &mut browser.clone(), &client).await;
    let mut moved = browser.clone();
    moved.cookies.insert(SESSION.into(), browser.cookies[HALF].clone());
    opens_nothing(&server, &mut moved, &client).await;
    let page = browser.get(CODE).await;
    for part in ["autocomplete=\"one-time-code\"", "inputmode=\"numeric\"", "<strong>ada</strong>"] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    let again = type_code(&mut browser, &page, &wrong_code(&secret, server.now())).await;
    assert_eq!(again.status, StatusCode::UNAUTHORIZED);
    assert!(again.text.contains("the clock of your phone is off"), "{}", again.text);
    assert!(!is_signed_in(&browser));
    let done = type_code(&mut browser, &again, &code(&secret, server.now())).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    assert!(done.header("location").starts_with("/authorize?"));
    assert!(is_signed_in(&browser) && !browser.cookies.contains_key(HALF));
    let consent = browser.get(done.header("location")).await;
    let moving = browser.answer(&consent, "allow").await;
    let redeemed = server.redeem(&client, &moving.answered("code").unwrap()).await;
    assert_eq!(redeemed.status, StatusCode::OK, "{redeemed:?}");
    assert_eq!(counted(&server, Kind::SignedIn, Some("password_and_code")), 1);
    assert_eq!(counted(&server, Kind::SecondFactorRefused, Some("wrong_code")), 1);
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_097_a_code_counts_once_and_for_half_a_minute_around() {
    let (server, secret, _) = with_factor(|_| {}).await;
    let shown = code(&secret, server.now());
    let mut first = Browser::new(&server);
    let page = password(&mut first).await;
    assert_eq!(type_code(&mut first, &page, &shown).await.status, StatusCode::SEE_OTHER);
    // Whoever looked over the shoulder, or kept the request, has nothing.
    let mut second = Browser::new(&server);
    let page = password(&mut second).await;
    let replayed = type_code(&mut second, &page, &shown).await;
    assert_eq!(replayed.status, StatusCode::UNAUTHORIZED);
    assert!(replayed.text.contains("used already") && !is_signed_in(&second), "{}", replayed.text);
    assert_eq!(counted(&server, Kind::SecondFactorRefused, Some("used_code")), 1);
    let before = secret.code(totp::step_at(server.now()) - 1);
    assert!(type_code(&mut second, &page, &before).await.text.contains("used already"), "nor one before it");
    // A phone that is half a minute ahead, typed with spaces.
    let ahead = secret.code(totp::step_at(server.now()) + 1);
    let spaced = format!(" {} {}", &ahead[..3], &ahead[3..]);
    assert_eq!(type_code(&mut second, &page, &spaced).await.status, StatusCode::SEE_OTHER);
    let mut third = Browser::new(&server);
    let page = password(&mut third).await;
    for by in [-2, 2, 3] {
        let far = secret.code(totp::step_at(server.now()) + by);
        assert!(type_code(&mut third, &page, &far).await.text.contains("is not right"), "{by}");
    }
    server.push(60);
    let behind = secret.code(totp::step_at(server.now()) - 1);
    assert!(type_code(&mut third, &page, &behind).await.text.contains("used already"), "it was used ahead");
    assert_eq!(
        type_code(&mut third, &page, &code(&secret, server.now())).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn as_097_a_recovery_code_gets_in_once() {
    let (server, _, codes) = with_factor(|_| {}).await;
    assert_eq!(codes.len(), 10);
    assert_eq!(codes.iter().collect::<std::collections::BTreeSet<_>>().len(), 10);
    let mut browser = Browser::new(&server);
    password(&mut browser).await;
    let page = browser.get(&format!("{CODE}?with=recovery")).await;
    assert!(page.text.contains("recovery codes") && !page.text.contains("numeric"), "{}", page.text);
    let wrong = browser.submit(&page, CODE, &["csrf", "with"], &[("code", "aaaa-bbbb-cccc-dddd")]).await;
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED);
    assert!(wrong.text.contains("none of your recovery codes") && wrong.hidden("with").is_some());
    let typed = codes[0].replace('-', " ").to_uppercase();
    let done = browser.submit(&wrong, CODE, &["csrf", "with"], &[("code", &typed)]).await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/account"), "{}", done.text);
    assert!(browser.get("/account").await.text.contains("Recovery codes left: 9."));
    assert_eq!(counted(&server, Kind::RecoveryCodeUsed, None), 1);
    assert_eq!(counted(&server, Kind::SignedIn, Some("password_and_recovery_code")), 1);
    let mut again = Browser::new(&server);
    let page = password(&mut again).await;
    let refused = type_code(&mut again, &page, &codes[0]).await;
    assert_eq!((refused.status, is_signed_in(&again)), (StatusCode::UNAUTHORIZED, false));
    assert_eq!(type_code(&mut again, &page, &codes[1]).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn as_097_as_100_t_29_guesses_are_counted_and_lock_no_owner_out() {
    let (server, secret, codes) = with_factor(|_| {}).await;
    let mut owner = Browser::new(&server);
    let page = password(&mut owner).await;
    assert_eq!(
        type_code(&mut owner, &page, &code(&secret, server.now())).await.status,
        StatusCode::SEE_OTHER
    );
    owner.cookies.remove(SESSION);
    let mut guesser = Browser::new(&server);
    let page = password(&mut guesser).await;
    for guess in 0..12 {
        let refused = type_code(&mut guesser, &page, &wrong_code(&secret, server.now())).await;
        let expected = if guess < 10 { StatusCode::UNAUTHORIZED } else { StatusCode::TOO_MANY_REQUESTS };
        assert_eq!(refused.status, expected, "{guess}: {}", refused.text);
        assert_eq!(refused.header("retry-after").is_empty(), guess < 10);
    }
    assert_eq!(counted(&server, Kind::SecondFactorThrottled, Some("account_limit")), 2);
    server.push(61);
    // Even the right one, from wherever: the try is counted before it is looked at.
    let right = type_code(&mut guesser, &page, &code(&secret, server.now())).await;
    assert_eq!((right.status, is_signed_in(&guesser)), (StatusCode::TOO_MANY_REQUESTS, false));
    // The owner's own browser has tries of its own, and they can be used up as well: it may be a stolen one.
    let page = password(&mut owner).await;
    assert_eq!(
        type_code(&mut owner, &page, &code(&secret, server.now())).await.status,
        StatusCode::SEE_OTHER
    );
    owner.cookies.remove(SESSION);
    server.push(61);
    let page = password(&mut owner).await;
    for guess in 0..10 {
        server.push(3);
        let refused = type_code(&mut owner, &page, &wrong_code(&secret, server.now())).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{guess}");
    }
    server.push(61);
    let refused = type_code(&mut owner, &page, &code(&secret, server.now())).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    // A recovery code cannot be guessed, so the guesses of others do not count against it.
    assert_eq!(type_code(&mut owner, &page, &codes[0]).await.status, StatusCode::SEE_OTHER);
    server.push(12 * 3_600);
    let mut later = Browser::new(&server);
    let page = password(&mut later).await;
    assert_eq!(
        type_code(&mut later, &page, &code(&secret, server.now())).await.status,
        StatusCode::SEE_OTHER
    );
}

#[tokio::test]
async fn as_097_t_29_an_address_is_limited_and_a_recovery_code_too() {
    let (server, _, _) = with_factor(|_| {}).await;
    server.push(120);
    let mut guesser = Browser::new(&server);
    let page = password(&mut guesser).await;
    let mut seen = Vec::new();
    for _ in 0..25 {
        seen.push(type_code(&mut guesser, &page, "aaaa-bbbb-cccc-dddd").await.status);
    }
    // One try of the twenty was the password's.
    assert_eq!(seen.iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count(), 19);
    assert_eq!(counted(&server, Kind::SecondFactorThrottled, Some("address_limit")), 6);
}

#[tokio::test]
async fn as_097_t_17_what_waits_for_a_code_is_this_browsers_and_ends() {
    let (server, secret, _) = with_factor(|_| {}).await;
    let mut browser = Browser::new(&server);
    let page = password(&mut browser).await;
    let half = browser.cookies[HALF].clone();
    let typed = code(&secret, server.now());
    // In another browser, damaged, sealed for another purpose, or sent by another site.
    let mut other = Browser::new(&server);
    let own = other.get("/sign-in").await.hidden("csrf").unwrap();
    other.cookies.insert(HALF.into(), half.clone());
    let mut damaged = browser.clone();
    damaged.cookies.insert(HALF.into(), altered(&half));
    let mut forged = browser.clone();
    let id = encoding::from_base64url(&browser.cookies["__Host-hallpass_browser"]).unwrap();
    let opened = {
        let sealed = encoding::from_base64url(&half).unwrap();
        server.app.keys.open(Purpose::HalfSignedIn, &id, &sealed).unwrap()
    };
    let sealed =
        server.app.keys.seal(Purpose::SignInRequest, &id, &opened, &hallpass_core::entropy::SystemEntropy);
    forged.cookies.insert(HALF.into(), encoding::base64url(&sealed));
    let csrf = page.hidden("csrf").unwrap();
    for (browser, csrf) in [(&mut other, &own), (&mut damaged, &csrf), (&mut forged, &csrf)] {
        let refused = browser.post(CODE, &[("csrf", csrf), ("code", &typed)]).await;
        assert_eq!((refused.status, is_signed_in(browser)), (StatusCode::FORBIDDEN, false));
        assert!(refused.text.contains("Please sign in again"), "{}", refused.text);
        assert!(!browser.cookies.contains_key(HALF));
    }
    let mut elsewhere = browser.clone();
    elsewhere.site = Some("cross-site".into());
    let refused = elsewhere.post(CODE, &[("csrf", &csrf), ("code", &typed)]).await;
    assert_eq!((refused.status, is_signed_in(&elsewhere)), (StatusCode::FORBIDDEN, false));
    let refused = browser.clone().post(CODE, &[("code", &typed)]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    // Too late.
    let mut late = browser.clone();
    server.push(601);
    let refused = type_code(&mut late, &page, &code(&secret, server.now())).await;
    assert_eq!((refused.status, is_signed_in(&late)), (StatusCode::FORBIDDEN, false));
    // The account was signed out everywhere, or disabled, meanwhile.
    let person = person(&server, NAME).await.unwrap().id;
    let store = &server.app.store;
    for disable in [false, true] {
        let mut browser = Browser::new(&server);
        let page = password(&mut browser).await;
        let until = server.now();
        if disable {
            assert!(store.person_disable(person, true, until, until).await.unwrap());
        } else {
            assert!(store.person_epoch_raise(person, until, until).await.unwrap().is_some());
        }
        server.push(30);
        let refused = type_code(&mut browser, &page, &code(&secret, server.now())).await;
        assert_eq!((refused.status, is_signed_in(&browser)), (StatusCode::FORBIDDEN, false), "{disable}");
    }
}

#[tokio::test]
async fn as_097_who_asks_for_too_much_to_remember_is_told() {
    let (server, ..) = with_factor(|_| {}).await;
    let client = server.register(REDIRECT).await;
    let mut request: BTreeMap<String, String> = Server::request(&client);
    request.insert("state".into(), "x".repeat(4_000));
    let mut browser = Browser::new(&server);
    let form = browser.get(&query(&request)).await;
    let told = browser.sign_in(&form).await;
    assert_eq!((told.status, is_signed_in(&browser)), (StatusCode::URI_TOO_LONG, false), "{}", told.text);
}

#[tokio::test]
async fn as_097_t_17_with_another_master_key_the_factor_is_still_asked() {
    let (server, secret, codes) = with_factor(|_| {}).await;
    let person = person(&server, NAME).await.unwrap().id;
    let sealed = async || server.app.store.second_factor_read(person).await.unwrap().unwrap().sealed;
    let before = sealed().await;
    assert!(!before.windows(20).any(|part| part == secret.expose()), "not in the database as it is");
    let masters = |numbers: &[u8]| {
        let key = |number: &u8| hallpass_core::seal::MasterKey {
            number: *number,
            bytes: hallpass_core::secret::SecretBytes::new([7 + number; 32]),
        };
        hallpass_core::seal::MasterKeys::from(numbers.iter().map(key).collect::<Vec<_>>())
    };
    // It moves to the newest key when it is used.
    let newer = server.taking(&masters(&[1, 0])).await.unwrap();
    let mut browser = Browser::new(&newer);
    let page = password(&mut browser).await;
    assert_eq!(
        type_code(&mut browser, &page, &code(&secret, server.now())).await.status,
        StatusCode::SEE_OTHER
    );
    let after = sealed().await;
    assert_eq!((before[1], after[1]), (0, 1));
    // Where it does not open, nobody gets in without it but with a recovery code.
    server.push(30);
    let mut browser = Browser::new(&server);
    let page = password(&mut browser).await;
    let refused = type_code(&mut browser, &page, &code(&secret, server.now())).await;
    assert_eq!((refused.status, is_signed_in(&browser)), (StatusCode::SERVICE_UNAVAILABLE, false));
    assert_eq!(type_code(&mut browser, &page, &codes[0]).await.status, StatusCode::SEE_OTHER);
    // Nor does it open in the row of somebody else, or of another time.
    let mut moved = server.app.store.second_factor_read(person).await.unwrap().unwrap();
    moved.id = hallpass_core::id::FactorId::new(server.now(), &hallpass_core::entropy::SystemEntropy);
    let ring = &newer.app.keys;
    let system = &hallpass_core::entropy::SystemEntropy;
    let done = hallpass_server::reseal_second_factor(&*server.app.store, ring, system, &moved).await.unwrap();
    assert_eq!(done, None);
}

#[tokio::test]
async fn as_097_guessing_by_get_and_bad_forms_is_refused() {
    let (server, secret, _) = with_factor(|_| {}).await;
    let mut browser = Browser::new(&server);
    let page = password(&mut browser).await;
    let typed = code(&secret, server.now());
    let shown = browser.get(&format!("{CODE}?code={typed}")).await;
    assert!(shown.status == StatusCode::OK && !is_signed_in(&browser));
    let twice = format!("csrf={}&code=1&code={typed}", page.hidden("csrf").unwrap());
    let request = Request::post(CODE).header("content-type", "application/x-www-form-urlencoded");
    let refused = browser.send(request.body(Body::from(twice)).unwrap()).await;
    assert_eq!((refused.status, is_signed_in(&browser)), (StatusCode::BAD_REQUEST, false));
    for nothing in ["", " ", "12345", "1234567", "aaaa-bbbb"] {
        let refused = type_code(&mut browser, &page, nothing).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{nothing:?}");
    }
    assert_eq!(type_code(&mut browser, &page, &typed).await.status, StatusCode::SEE_OTHER);
}
