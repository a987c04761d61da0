//! The rules of a refresh that hold whatever the policy is, with a clock that is moved.

use crate::support::*;
use hallpass_core::time::{Clock, Timestamp};
use hallpass_server::{Settings, SteadyClock};
use hallpass_testkit::ManualClock;
use http::StatusCode;
use std::{sync::Arc, time::Duration};

const DAY: u64 = 86_400;

fn successor(answer: &Answer) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    text(&answer.json(), "refresh_token").to_owned()
}

#[tokio::test]
async fn as_146_a_grant_ends_however_it_is_used_and_no_token_outlives_it() {
    let server = Server::with(Settings { grant_lifetime: Duration::from_secs(DAY), ..settings() }).await;
    let (client, tokens) = server.granted().await;
    let end = server.now().plus(Duration::from_secs(DAY));
    let mut token = text(&tokens, "refresh_token").to_owned();
    for left in [86_000, 3_600, 601, 600, 60, 59, 2, 1] {
        server.clock.set(end.minus(Duration::from_secs(left)));
        let answer = server.refresh(&client, &token).await;
        token = successor(&answer);
        let answer = answer.json();
        let claims = claims(text(&answer, "access_token"));
        let lives = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
        assert_eq!((lives, answer["expires_in"].as_u64()), (left.min(600), Some(left.min(600))), "{left}");
    }
    // Less than a second is no life for a token.
    for over in [end.minus(Duration::from_millis(999)), end, end.plus(Duration::from_secs(1000 * 365 * DAY))]
    {
        server.clock.set(over);
        let answer = server.refresh(&client, &token).await;
        assert_eq!(
            (answer.status, answer.error()),
            (StatusCode::BAD_REQUEST, "invalid_grant".into()),
            "{over:?}"
        );
    }
    // Neither a refusal nor a clock that jumps spends anything.
    server.clock.set(end.minus(Duration::from_hours(2)));
    assert_eq!(server.refresh(&client, &token).await.json()["expires_in"].as_u64(), Some(600));
}

#[tokio::test]
async fn as_146_a_repetition_makes_neither_the_idle_nor_the_absolute_lifetime_longer() {
    let settings = Settings { grant_lifetime: Duration::from_secs(40 * DAY), ..settings() };
    let server = Server::with(settings).await;
    let (client, tokens) = server.granted().await;
    let (first, begin) = (text(&tokens, "refresh_token").to_owned(), server.now());
    let second = successor(&server.refresh(&client, &first).await);
    server.push(29);
    assert_eq!(successor(&server.refresh(&client, &first).await), second);
    // Idle since the rotation, not since its repetition.
    server.clock.set(begin.plus(Duration::from_secs(30 * DAY + 1)));
    assert_eq!(server.refresh(&client, &second).await.error(), "invalid_grant");
    server.clock.set(begin.plus(Duration::from_secs(30 * DAY)));
    // The answer to this one is lost; the second stage heals it, and the end stays where it was.
    let lost = successor(&server.refresh(&client, &second).await);
    server.push(3_600);
    let third = successor(&server.refresh(&client, &second).await);
    assert_ne!(lost, third);
    server.clock.set(begin.plus(Duration::from_secs(40 * DAY)));
    for token in [&second, &third] {
        assert_eq!(server.refresh(&client, token).await.error(), "invalid_grant");
    }
}

#[tokio::test]
async fn as_143_t_23_t_24_a_repetition_is_for_the_same_client_with_no_more_than_before() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let other = server.register("http://127.0.0.1:5000/other").await;
    let first = text(&tokens, "refresh_token").to_owned();
    let second = successor(&server.refresh(&client, &first).await);
    assert_eq!(server.refresh(&other, &first).await.error(), "invalid_grant");
    let wider = [
        ("grant_type", "refresh_token"),
        ("client_id", &*client),
        ("refresh_token", &*first),
        ("scope", "read write"),
    ];
    assert_eq!(server.form("/token", &wider).await.error(), "invalid_scope");
    let again = server.refresh(&client, &first).await;
    assert_eq!(successor(&again), second, "nothing was rotated by either");
    assert_eq!(text(&again.json(), "scope"), "read");
    let grants = server.app.store.grants_list(None, 10).await.unwrap();
    assert_eq!(grants[0].generation, 1, "exactly one live token at rest");
}

#[tokio::test]
async fn as_143_every_use_of_the_grace_is_counted() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let first = text(&tokens, "refresh_token").to_owned();
    let second = successor(&server.refresh(&client, &first).await);
    server.refresh(&client, &first).await;
    server.refresh(&client, &first).await;
    server.push(31);
    server.refresh(&client, &first).await;
    server.refresh(&client, &second).await;
    let counted = |name: &str| {
        let all = server.app.audit.counted();
        all.iter().filter(|(kind, ..)| kind.name() == name).map(|(.., count)| count).sum::<u64>()
    };
    assert_eq!(counted("refresh_repeated"), 2);
    assert_eq!(counted("refresh_replaced"), 1);
    assert_eq!(counted("refresh_reused"), 1, "the unused successor that was replaced");
}

#[tokio::test]
async fn as_142_t_21_a_replay_after_a_restart_is_caught() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let first = text(&tokens, "refresh_token").to_owned();
    let second = successor(&server.refresh(&client, &first).await);
    let third = successor(&server.refresh(&client, &second).await);
    let server = server.restarted().await;
    assert_eq!(server.refresh(&client, &first).await.error(), "invalid_grant");
    let server = server.restarted().await;
    assert_eq!(server.refresh(&client, &third).await.error(), "invalid_grant", "the whole grant has ended");
}

/// Eight processes share one file with one token. Each begins to refresh from what the file says at that moment; some
/// answers are lost; the last one to finish writes the file. Nobody has to sign in again in a hundred rounds, and a
/// thief is noticed at the next refresh.
#[tokio::test]
async fn p01_t_22_eight_processes_that_share_a_token_lose_nothing_and_a_thief_is_still_caught() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let mut file = text(&tokens, "refresh_token").to_owned();
    for round in 0..100_u64 {
        server.push(600);
        let seen = file.clone();
        for process in 0..8_u64 {
            // A few seconds apart: some read before the first one wrote, some after.
            server.push((round * 7 + process * 3) % 4);
            let late = (round + process) % 3 == 0;
            let answer = server.refresh(&client, if late { &file } else { &seen }).await;
            let next = successor(&answer);
            let lost = (round * 8 + process) % 11 == 0;
            if !lost {
                file = next;
            }
            if late {
                // Who came later moved on: the others read the file again before they try.
                break;
            }
        }
    }
    // The file is copied. An hour later the thief uses the token; the owner has refreshed once since.
    let stolen = file.clone();
    server.push(600);
    file = successor(&server.refresh(&client, &file).await);
    server.push(3_600);
    let thiefs = successor(&server.refresh(&client, &stolen).await);
    server.push(60);
    for token in [&file, &thiefs, &stolen] {
        assert_eq!(server.refresh(&client, token).await.error(), "invalid_grant");
    }
    assert!(server.app.store.grants_list(None, 10).await.unwrap().is_empty(), "revoked");
}

/// Rule 9: whatever a refresh that raced a revocation was given, it is worth nothing afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_147_a_revocation_wins_over_refreshes_at_the_same_time() {
    for _ in 0..10 {
        let server = Arc::new(Server::start().await);
        let (client, tokens) = server.granted().await;
        let token = text(&tokens, "refresh_token").to_owned();
        let refreshes: Vec<_> = (0..16)
            .map(|_| {
                let (server, client, token) = (server.clone(), client.clone(), token.clone());
                tokio::spawn(async move { server.refresh(&client, &token).await })
            })
            .collect();
        let revoked = server.form("/revoke", &[("client_id", &client), ("token", &token)]).await;
        assert_eq!(revoked.status, StatusCode::OK);
        let mut given = vec![token];
        for one in refreshes {
            let answer = one.await.unwrap();
            match answer.status {
                StatusCode::OK => given.push(successor(&answer)),
                _ => assert_eq!(answer.error(), "invalid_grant"),
            }
        }
        for token in given {
            assert_eq!(server.refresh(&client, &token).await.error(), "invalid_grant");
        }
    }
}

/// By a clock of the machine that can be set, and time that passes whatever it says.
async fn on_a_machine() -> (Server, ManualClock) {
    let server = Server::start().await;
    let passed = ManualClock::at(Timestamp::from_millis(0));
    let elapsed = {
        let passed = passed.clone();
        move || Duration::from_millis(passed.now().millis().unsigned_abs())
    };
    let steady = SteadyClock::measured(Arc::new(server.clock.clone()), Box::new(elapsed));
    (server.by_clock(Arc::new(steady)).await, passed)
}

#[tokio::test]
async fn as_219_a_clock_that_is_set_back_revives_no_code_and_no_token() {
    let (server, passed) = on_a_machine().await;
    let begin = server.now();
    let pass = |seconds: u64, off: i64| {
        passed.push(Duration::from_secs(seconds));
        let wall = begin.millis() + passed.now().millis() + off * 1_000;
        server.clock.set(Timestamp::from_millis(wall));
    };
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let (stale, fresh) =
        (browser.allow(&Server::request(&client)).await, browser.allow(&Server::request(&client)).await);
    pass(30, -3_600);
    // An hour back: what was good is good, and a minute is a minute.
    let tokens = server.redeem(&client, &fresh).await;
    assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
    pass(31, -3_600);
    assert_eq!(server.redeem(&client, &stale).await.error(), "invalid_grant");
    // When the clock comes by the time of the consent again, it is as expired as before.
    pass(3_549, -3_600);
    assert_eq!(server.redeem(&client, &stale).await.error(), "invalid_grant");
    let next = server.refresh(&client, text(&tokens.json(), "refresh_token")).await;
    assert_eq!(next.status, StatusCode::OK);
    let issued = claims(text(&next.json(), "access_token"))["iat"].as_i64().unwrap();
    assert_eq!(issued - begin.seconds(), 3_610, "stamps go on too");
}

#[tokio::test]
async fn as_219_a_clock_that_jumps_ahead_and_back_ends_nothing() {
    let settings = Settings { refresh_idle_lifetime: Duration::from_mins(30), ..settings() };
    let server = Server::with(settings).await;
    let (client, tokens) = server.granted().await;
    let passed = ManualClock::at(Timestamp::from_millis(0));
    let elapsed = {
        let passed = passed.clone();
        move || Duration::from_millis(passed.now().millis().unsigned_abs())
    };
    let steady = SteadyClock::measured(Arc::new(server.clock.clone()), Box::new(elapsed));
    let server = server.by_clock(Arc::new(steady)).await;
    let token = text(&tokens, "refresh_token").to_owned();
    server.push(3_600);
    assert_eq!(
        server.refresh(&client, &token).await.error(),
        "invalid_grant",
        "idle, as far as one can tell"
    );
    server.clock.set(server.now().minus(Duration::from_hours(1)));
    assert_eq!(
        server.refresh(&client, &token).await.status,
        StatusCode::OK,
        "it was not, and nothing was burnt"
    );
}

#[tokio::test]
async fn as_219_a_consent_page_from_the_future_is_asked_again() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let page = browser.ask(&Server::request(&client)).await;
    let shown = server.now();
    // A little ahead is another node's clock; an hour is a clock that was set back.
    for (back, asked_again) in [(3_600, true), (31, true), (30, false)] {
        server.clock.set(shown.minus(Duration::from_secs(back)));
        let answer = browser.answer(&page, "allow").await;
        assert_eq!(answer.status == StatusCode::SEE_OTHER, asked_again, "{back}: {}", answer.text);
        assert_eq!(answer.answered("code").is_none(), asked_again, "{back}");
    }
}

#[tokio::test]
async fn as_219_a_revocation_outlives_the_tokens_of_a_clock_that_was_an_hour_ahead() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    server.push(3_600);
    let ahead = server.refresh(&client, text(&tokens, "refresh_token")).await.json();
    let expires = claims(text(&ahead, "access_token"))["exp"].as_i64().unwrap();
    server.clock.set(server.now().minus(Duration::from_hours(1)));
    server.form("/revoke", &[("client_id", &client), ("token", text(&ahead, "refresh_token"))]).await;
    let entries = server.app.store.feed_after(0, 10).await.unwrap().entries;
    assert_eq!(entries.len(), 1);
    assert!(entries[0].until.seconds() > expires, "{:?} {expires}", entries[0].until);
}
