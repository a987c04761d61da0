//! Limits: who guesses is slowed down, who is many is not, and nobody throws credentials away for it.

use crate::support::*;
use http::StatusCode;
use std::sync::Arc;

fn few() -> hallpass_server::Settings {
    let mut settings = settings();
    settings.limits.failures = 5;
    settings.limits.refreshes = 4;
    settings
}

#[tokio::test]
async fn t_29_as_100_as_135_who_guesses_has_to_wait_and_who_is_right_never_has() {
    let server = Server::with(few()).await;
    let (client, tokens) = server.granted().await;
    for _ in 0..5 {
        assert_eq!(server.refresh(&client, "hpr_guess").await.error(), "invalid_grant");
    }
    let turned_away = server.refresh(&client, "hpr_guess").await;
    assert_eq!(turned_away.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(turned_away.error(), "temporarily_unavailable", "not invalid_grant: a client keeps its token");
    assert_eq!(turned_away.header("retry-after"), "12");
    // The client itself, at the very address of the guesser, and another client there.
    let next = server.refresh(&client, text(&tokens, "refresh_token")).await;
    assert_eq!(next.status, StatusCode::OK);
    let other = server.register("http://127.0.0.1:5000/other").await;
    assert_eq!(server.refresh(&other, "hpr_guess").await.error(), "invalid_grant");
    // One budget for all that can be guessed at.
    let code = server.redeem(&client, "guess").await;
    assert_eq!(code.status, StatusCode::TOO_MANY_REQUESTS);
    server.push(12);
    assert_eq!(server.redeem(&client, "guess").await.error(), "invalid_grant");
}

#[tokio::test]
async fn t_29_as_135_an_address_that_guesses_in_many_names_is_stopped_before_any_work() {
    let server = Server::with(few()).await;
    let (client, tokens) = server.granted().await;
    let good = text(&tokens, "refresh_token");
    for n in 0..50 {
        let guess = server.refresh(&format!("hpc_{n}"), "hpr_guess").await;
        assert_eq!(guess.error(), "invalid_client", "{n}");
    }
    let turned_away = server.refresh(&client, good).await;
    assert_eq!(turned_away.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(turned_away.error(), "temporarily_unavailable", "a client keeps its token");
    server.push(2);
    assert_eq!(server.refresh(&client, good).await.status, StatusCode::OK, "nothing was used up");
}

#[tokio::test]
async fn p27_as_223_who_brings_what_is_right_is_never_counted() {
    let server = Server::with(few()).await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    for _ in 0..40 {
        let code = browser.allow(&Server::request(&client)).await;
        let tokens = server.redeem(&client, &code).await;
        assert_eq!(tokens.status, StatusCode::OK);
        let refreshed = server.refresh(&client, text(&tokens.json(), "refresh_token")).await;
        assert_eq!(refreshed.status, StatusCode::OK, "eighty good requests from one address");
    }
}

#[tokio::test]
async fn as_223_one_grant_is_not_refreshed_in_a_loop() {
    let server = Server::with(few()).await;
    let (client, tokens) = server.granted().await;
    let mut token = text(&tokens, "refresh_token").to_owned();
    for _ in 0..4 {
        token = text(&server.refresh(&client, &token).await.json(), "refresh_token").to_owned();
    }
    let late = server.refresh(&client, &token).await;
    assert_eq!(
        (late.status, late.error().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable")
    );
    assert_eq!(late.header("retry-after"), "15");
    server.push(15);
    assert_eq!(server.refresh(&client, &token).await.status, StatusCode::OK, "and it was not rotated");
}

#[tokio::test]
async fn as_146_a_grant_ends_at_its_age_however_often_it_is_refreshed_and_no_token_outlives_it() {
    for (lifetime, last) in [(60, 59), (3_600, 3_599), (86_400, 86_399)] {
        let mut settings = settings();
        settings.grant_lifetime = std::time::Duration::from_secs(lifetime);
        let server = Server::with(settings).await;
        let (client, tokens) = server.granted().await;
        let expires = tokens["expires_in"].as_u64().unwrap();
        assert_eq!(expires, 600.min(lifetime));
        server.push(last);
        let near = server.refresh(&client, text(&tokens, "refresh_token")).await;
        assert_eq!(near.status, StatusCode::OK, "{lifetime}: {near:?}");
        let near = near.json();
        assert_eq!(near["expires_in"], 1, "never beyond the end, never negative");
        let claims = claims(text(&near, "access_token"));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 1);
        server.push(1);
        // The predecessor's grace does not reach beyond the end either.
        for token in [text(&near, "refresh_token"), text(&tokens, "refresh_token")] {
            let ended = server.refresh(&client, token).await;
            assert_eq!((ended.status, ended.error().as_str()), (StatusCode::BAD_REQUEST, "invalid_grant"));
        }
    }
}

/// As many as they like, so that something else is what bounds them.
fn many() -> hallpass_server::Settings {
    let mut settings = settings();
    settings.limits.sign_ins = 1_000_000;
    settings.limits.refreshes = 1_000_000;
    settings.limits.shared = vec!["0.0.0.0/0".parse().unwrap()];
    settings
}

/// Hashing has threads of its own, few of them, and a short queue. Nobody who only refreshes waits behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b_13_t_30_a_flood_of_sign_ins_is_shed_and_refreshes_go_on() {
    let server = Arc::new(Server::with(many()).await);
    let (client, tokens) = server.granted().await;
    let mut token = text(&tokens, "refresh_token").to_owned();
    let flood: Vec<_> = (0..80)
        .map(|_| {
            let server = Arc::clone(&server);
            tokio::spawn(async move {
                let mut browser = Browser::new(&server);
                let page = browser.get("/sign-in").await;
                let typed = [("name", "nobody"), ("password", "a wrong password")];
                browser.submit(&page, "/sign-in", &["csrf", "waiting"], &typed).await
            })
        })
        .collect();
    let mut during = 0;
    while !flood.iter().all(tokio::task::JoinHandle::is_finished) {
        let next = server.refresh(&client, &token).await;
        assert_eq!(next.status, StatusCode::OK, "{next:?}");
        token = text(&next.json(), "refresh_token").to_owned();
        during += 1;
    }
    let (mut shed, mut wrong) = (0, 0);
    for one in flood {
        let answer = one.await.unwrap();
        match answer.status {
            StatusCode::SERVICE_UNAVAILABLE => {
                assert!(!answer.header("retry-after").is_empty());
                shed += 1;
            }
            StatusCode::UNAUTHORIZED => wrong += 1,
            other => panic!("{other}: {}", answer.text),
        }
    }
    // 80 came at once; two may run and 32 may wait. Each of those takes tens of milliseconds.
    assert!(shed >= 1 && wrong >= 2, "{shed} shed, {wrong} checked");
    assert!(during >= 10, "only {during} refreshes during the flood");
}

/// Time cannot be compared on a busy machine without now and then being wrong. What makes time can be counted: whoever a
/// sign-in is for, it costs one hash with the same parameters and the same answer. Secrets are compared as digests by
/// the one primitive of `core/secret`, which does not stop at the first difference.
#[tokio::test]
async fn t_28_a_sign_in_costs_the_same_whoever_it_is_for() {
    let server = Server::with(many()).await;
    server.set_up().await;
    let mut answers = std::collections::BTreeSet::new();
    for (name, password) in [
        (NAME, "a wrong password"),
        ("nobody", "a wrong password"),
        ("nobody", PASSWORD),
        (NAME, "x"),
        ("nobody", ""),
        (NAME, &"x".repeat(2_000)),
    ] {
        let mut browser = Browser::new(&server);
        let page = browser.get("/sign-in").await;
        let before = server.app.passwords.computed();
        let typed = [("name", name), ("password", password)];
        let answer = browser.submit(&page, "/sign-in", &["csrf", "waiting"], &typed).await;
        assert_eq!(server.app.passwords.computed() - before, 1, "{name} {}", password.len());
        let shown = answer.text.split("name=\"csrf\"").next().unwrap().to_owned();
        answers.insert((answer.status.as_u16(), shown));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

/// The guesser is told to wait, a hundred thousand times. The owner, elsewhere, does not notice.
#[tokio::test]
async fn t_29_as_100_a_hundred_thousand_guesses_are_throttled_and_the_victim_is_unaffected() {
    let server = Server::with(settings()).await;
    let (client, tokens) = server.granted().await;
    let mut token = text(&tokens, "refresh_token").to_owned();
    let forged = altered(&token);
    let from = |last: u8, token: &str| {
        let pairs = [("grant_type", "refresh_token"), ("client_id", &*client), ("refresh_token", token)];
        let mut request = http::Request::post("/token")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(axum::body::Body::from(hallpass_core::parameters::encode(pairs)))
            .unwrap();
        let peer = std::net::SocketAddr::from(([192, 0, 2, last], 4711));
        request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
        server.send(request)
    };
    let mut told = 0;
    for n in 0..100_000 {
        told += u32::from(from(1, &forged).await.status == StatusCode::TOO_MANY_REQUESTS);
        if n % 1_000 == 0 {
            let next = from(2, &token).await;
            assert_eq!(next.status, StatusCode::OK, "{n}: {next:?}");
            token = text(&next.json(), "refresh_token").to_owned();
            server.push(1);
        }
    }
    // 120 at once, and two more in each of the hundred seconds.
    assert!((99_000..99_900).contains(&told), "{told}");
}

/// Method, path, how many come through in a minute, in how many seconds the next one would, and whether people read it.
const LIMITED: [(&str, &str, u32, &str, bool); 13] = [
    ("GET", "/authorize", 3, "20", true),
    ("POST", "/device", 4, "15", true),
    ("POST", "/sign-in", 4, "15", true),
    ("POST", "/sign-in/code", 4, "15", true),
    ("POST", "/setup", 4, "15", true),
    ("POST", "/invitation", 4, "15", true),
    ("POST", "/account/second-factor", 4, "15", true),
    ("POST", "/register", 5, "12", false),
    ("POST", "/par", 2, "30", false),
    ("POST", "/device_authorization", 2, "30", false),
    ("POST", "/token", 2, "30", false),
    ("POST", "/revoke", 2, "30", false),
    ("POST", "/introspect", 2, "30", false),
];

/// A request of this client, which nobody knows, from an address of its own.
fn from(last: usize, (method, path): (&str, &str), client: &str) -> http::Request<axum::body::Body> {
    let kind = if path == "/register" { "application/json" } else { "application/x-www-form-urlencoded" };
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(axum::body::Body::from(if method == "GET" {
            String::new()
        } else {
            format!("client_id={client}")
        }))
        .unwrap();
    let peer = std::net::SocketAddr::from(([192, 0, 2, u8::try_from(last).unwrap()], 4711));
    request.extensions_mut().insert(axum::extract::ConnectInfo(peer));
    request
}

/// That somebody is turned away, and for how long, in the words of this endpoint.
fn assert_turned_away(answer: &Answer, (path, wait, is_page): (&str, &str, bool)) {
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (StatusCode::TOO_MANY_REQUESTS, wait),
        "{path}: {answer:?}"
    );
    assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    if is_page {
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        assert!(
            answer.text.contains("Too many requests") && answer.target().is_none(),
            "{path}: {}",
            answer.text
        );
    } else {
        assert_eq!(answer.header("content-type"), "application/json", "{path}");
        assert_eq!(answer.error(), "temporarily_unavailable", "{path}");
        assert!(!text(&answer.json(), "error_description").is_empty(), "{path}");
    }
}

#[tokio::test]
async fn as_223_each_endpoint_says_429_in_its_own_shape_and_when_to_come_back() {
    let mut settings = settings();
    let limits = &mut settings.limits;
    (limits.authorizations, limits.sign_ins) = (3, 4);
    (limits.registrations, limits.failures) = (5, 2);
    let server = Server::with(settings).await;
    // A limited row that is not in the list above would be tested by nobody.
    for route in hallpass_server::router::table().0.iter().filter(|route| route.limited.is_some()) {
        assert!(LIMITED.iter().any(|(_, path, ..)| *path == route.path), "{}", route.path);
    }
    for (at, (method, path, most, wait, is_page)) in LIMITED.into_iter().enumerate() {
        let ask = |last| server.send(from(last, (method, path), "nobody"));
        for turn in 0..most {
            let answer = ask(at).await;
            assert_ne!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{path} {turn}");
        }
        assert_turned_away(&ask(at).await, (path, wait, is_page));
        assert_ne!(ask(100 + at).await.status, StatusCode::TOO_MANY_REQUESTS, "{path}: another address");
        if is_page && method == "POST" {
            let form = server.send(from(at, ("GET", path), "")).await;
            assert_ne!(form.status, StatusCode::TOO_MANY_REQUESTS, "{path}: looking at a form is no try");
        }
        server.push(wait.parse().unwrap());
        assert_ne!(ask(at).await.status, StatusCode::TOO_MANY_REQUESTS, "{path}: when it was told to");
        if wait != "30" {
            continue;
        }
        // Guesses in many names: the address is stopped whatever name comes next.
        for name in 0..20 {
            let guess = server.send(from(200 + at, (method, path), &format!("nobody{name}"))).await;
            assert_eq!(guess.error(), "invalid_client", "{path} {name}");
        }
        let next = server.send(from(200 + at, (method, path), "another")).await;
        assert_turned_away(&next, (path, "3", false));
    }
}
