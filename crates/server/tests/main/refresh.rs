//! Refreshing loses nobody and catches thieves: the policy as stories.

use crate::support::*;
use http::StatusCode;

#[tokio::test]
async fn as_139_b_09_each_refresh_gives_a_new_token_and_many_are_normal_use() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let mut token = text(&tokens, "refresh_token").to_owned();
    for _ in 0..50 {
        server.push(600);
        let next = server.refresh(&client, &token).await;
        assert_eq!(next.status, StatusCode::OK, "{next:?}");
        let next = text(&next.json(), "refresh_token").to_owned();
        assert_ne!(next, token);
        token = next;
    }
}

#[tokio::test]
async fn p01_as_143_b_12_concurrent_refreshes_converge_on_one_successor() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let token = text(&tokens, "refresh_token");
    let first = server.refresh(&client, token).await.json();
    server.push(29);
    let second = server.refresh(&client, token).await.json();
    assert_eq!(first["refresh_token"], second["refresh_token"]);
    assert_ne!(first["access_token"], second["access_token"]);
}

#[tokio::test]
async fn m1_a_lost_answer_retried_after_a_second_five_minutes_and_eight_hours_logs_nobody_out() {
    for wait in [1, 300, 8 * 3600] {
        let server = Server::start().await;
        let (client, tokens) = server.granted().await;
        let first = text(&tokens, "refresh_token").to_owned();
        let lost = text(&server.refresh(&client, &first).await.json(), "refresh_token").to_owned();
        server.push(wait);
        let retried = server.refresh(&client, &first).await;
        assert_eq!(retried.status, StatusCode::OK, "{wait}: {retried:?}");
        let retried = text(&retried.json(), "refresh_token").to_owned();
        assert_eq!(retried == lost, wait <= 30, "{wait}");
        server.push(600);
        assert_eq!(server.refresh(&client, &retried).await.status, StatusCode::OK, "{wait}");
    }
}

#[tokio::test]
async fn as_140_b_09_b_10_t_21_a_stolen_predecessor_is_caught_at_the_owners_next_refresh() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let stolen = text(&tokens, "refresh_token").to_owned();
    let owners = text(&server.refresh(&client, &stolen).await.json(), "refresh_token").to_owned();
    server.push(3600);
    // The thief presents the predecessor: a new successor, the owner's unused one is dead.
    let thiefs = server.refresh(&client, &stolen).await;
    assert_eq!(thiefs.status, StatusCode::OK);
    let thiefs = text(&thiefs.json(), "refresh_token").to_owned();
    server.push(60);
    // The owner's next refresh rings the alarm, and ends the thief's branch.
    assert_eq!(server.refresh(&client, &owners).await.error(), "invalid_grant");
    assert_eq!(server.refresh(&client, &thiefs).await.error(), "invalid_grant");
}

#[tokio::test]
async fn as_140_a_grand_predecessor_is_always_reuse() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let first = text(&tokens, "refresh_token").to_owned();
    let second = text(&server.refresh(&client, &first).await.json(), "refresh_token").to_owned();
    let third = text(&server.refresh(&client, &second).await.json(), "refresh_token").to_owned();
    assert_eq!(server.refresh(&client, &first).await.error(), "invalid_grant");
    assert_eq!(server.refresh(&client, &third).await.error(), "invalid_grant");
}

#[tokio::test]
async fn as_137_t_23_b_21_a_refresh_token_of_another_client_is_refused_and_stays_good() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let other = server.register(REDIRECT).await;
    let token = text(&tokens, "refresh_token");
    assert_eq!(server.refresh(&other, token).await.error(), "invalid_grant");
    assert_eq!(server.refresh(&client, token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_144_as_145_b_32_t_24_widening_is_refused_and_rotates_nothing() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let token = text(&tokens, "refresh_token").to_owned();
    let with = |name: &'static str, value: &'static str| {
        let (client, token, server) = (client.clone(), token.clone(), &server);
        async move {
            server
                .form(
                    "/token",
                    &[
                        ("grant_type", "refresh_token"),
                        ("client_id", &client),
                        ("refresh_token", &token),
                        (name, value),
                    ],
                )
                .await
        }
    };
    assert_eq!(with("scope", "read write").await.error(), "invalid_scope");
    assert_eq!(with("scope", "\"").await.error(), "invalid_scope");
    assert_eq!(with("resource", "https://other.example/").await.error(), "invalid_target");
    server.push(31);
    let narrowed = with("scope", "read").await.json();
    assert_eq!(text(&narrowed, "scope"), "read");
    let back = server.refresh(&client, text(&narrowed, "refresh_token")).await.json();
    assert_eq!(text(&back, "scope"), "read");
}

#[tokio::test]
async fn as_146_an_idle_grant_ends() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    server.push(30 * 86_400 + 1);
    assert_eq!(server.refresh(&client, text(&tokens, "refresh_token")).await.error(), "invalid_grant");
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_refused() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let token = text(&tokens, "refresh_token").to_owned();
    for bad in ["x", &token[..63], &format!("{token}A"), text(&tokens, "access_token"), &"hpr_".repeat(16)] {
        assert_eq!(server.refresh(&client, bad).await.error(), "invalid_grant");
    }
    assert_eq!(server.refresh(&client, "").await.error(), "invalid_request");
    assert_eq!(server.refresh(&client, &token).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_141_b_11_t_20_sixty_four_at_once_leave_one_live_token() {
    let server = std::sync::Arc::new(Server::start().await);
    let (client, tokens) = server.granted().await;
    let token = text(&tokens, "refresh_token").to_owned();
    let tries: Vec<_> = (0..64)
        .map(|_| {
            let (server, client, token) = (server.clone(), client.clone(), token.clone());
            tokio::spawn(async move { server.refresh(&client, &token).await })
        })
        .collect();
    let mut successors = std::collections::BTreeSet::new();
    for one in tries {
        let answer = one.await.unwrap();
        assert_eq!(answer.status, StatusCode::OK);
        successors.insert(text(&answer.json(), "refresh_token").to_owned());
    }
    assert_eq!(successors.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn as_110_t_04_sixty_four_redemptions_at_once_have_one_winner() {
    let server = std::sync::Arc::new(Server::start().await);
    let client = server.register(REDIRECT).await;
    let code = {
        let mut browser = server.set_up().await;
        browser.allow(&Server::request(&client)).await
    };
    let tries: Vec<_> = (0..64)
        .map(|_| {
            let (server, client, code) = (server.clone(), client.clone(), code.clone());
            tokio::spawn(async move { server.redeem(&client, &code).await.status })
        })
        .collect();
    let mut winners = 0;
    for one in tries {
        winners += usize::from(one.await.unwrap() == StatusCode::OK);
    }
    assert_eq!(winners, 1);
}
