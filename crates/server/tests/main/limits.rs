//! Limits: who guesses is slowed down, who is many is not, and nobody throws credentials away for it.

use crate::support::*;
use http::StatusCode;

fn few() -> hallpass_server::Settings {
    let mut settings = settings();
    settings.limits.failures = 5;
    settings.limits.refreshes = 4;
    settings
}

#[tokio::test]
async fn t_29_as_100_as_135_guesses_are_slowed_down_in_the_shape_of_the_endpoint_before_any_work() {
    let server = Server::with(few()).await;
    let (client, tokens) = server.granted().await;
    for _ in 0..5 {
        assert_eq!(server.refresh(&client, "hpr_guess").await.error(), "invalid_grant");
    }
    let good = text(&tokens, "refresh_token");
    let turned_away = server.refresh(&client, good).await;
    assert_eq!(turned_away.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(turned_away.error(), "temporarily_unavailable", "not invalid_grant: a client keeps its token");
    assert_eq!(turned_away.header("retry-after"), "12");
    let revoke = server.form("/revoke", &[("client_id", &client), ("token", "x")]).await;
    assert_eq!(revoke.status, StatusCode::TOO_MANY_REQUESTS, "one budget for all that can be guessed at");
    server.push(12);
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
