//! Other master keys while the server runs: nobody notices, and what is given up is given up.

use crate::support::*;
use hallpass_core::{
    encoding,
    seal::{KeyRing, MasterKey, MasterKeys},
    secret::SecretBytes,
    token::{REFRESH_PREFIX, RefreshToken},
};
use hallpass_server::{app::MasterKeysError, keys, master_key_of_client};
use http::StatusCode;
use serde_json::json;

/// The key of the test server under number 0, and others.
fn masters(numbers: &[u8]) -> MasterKeys {
    let keys = numbers.iter().map(|&number| MasterKey { number, bytes: SecretBytes::new([number + 7; 32]) });
    keys.collect::<Vec<_>>().into()
}

async fn sealed_under(server: &Server) -> Vec<u8> {
    let keys = server.app.store.keys_read().await.unwrap();
    keys.iter().map(|key| KeyRing::number_of(&key.sealed).unwrap()).collect()
}

/// The same browser at another server of the same name.
fn at<'a>(server: &'a Server, browser: &Browser<'_>) -> Browser<'a> {
    let mut same = Browser::new(server);
    same.cookies.clone_from(&browser.cookies);
    same
}

/// 503 with a time to come again, and no word that would make a client throw something away.
fn later(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert_eq!(answer.error(), "temporarily_unavailable");
    assert!(answer.headers.contains_key("retry-after"), "{answer:?}");
}

#[tokio::test]
async fn t_49_t_99_another_master_key_comes_and_everything_that_is_open_goes_on() {
    let server = Server::start().await;
    let secret = json!({ "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post" });
    let confidential = server.post_json("/register", &secret).await.json();
    let (client, tokens) = server.granted().await;
    let mut browser = Browser::new(&server);
    browser.get("/sign-in").await;
    let sign_in = browser.get("/sign-in").await;
    assert_eq!(browser.sign_in(&sign_in).await.status, StatusCode::SEE_OTHER);
    let code = browser.allow(&Server::request(&client)).await;
    let (account, consent) = (browser.get("/account").await, browser.ask(&Server::request(&client)).await);

    // Accepted, then used: after each step whatever was open is taken.
    let accepted = server.taking(&masters(&[0, 1])).await.unwrap();
    assert_eq!(master_key_of_client(&accepted.register(REDIRECT).await), Some(0));
    let used = accepted.taking(&masters(&[1, 0])).await.unwrap();
    let mut browser = at(&used, &browser);
    let allowed = browser.answer(&consent, "allow").await;
    let second = allowed.answered("code").unwrap_or_else(|| panic!("a page of before: {allowed:?}"));
    for code in [&code, &second] {
        assert_eq!(
            used.redeem(&client, code).await.status,
            StatusCode::OK,
            "a code of before, a code of now"
        );
    }
    let refreshed = used.refresh(&client, text(&tokens, "refresh_token")).await;
    assert_eq!(refreshed.status, StatusCode::OK, "{refreshed:?}");
    let refresh = text(&refreshed.json(), "refresh_token").to_owned();
    assert_eq!(used.refresh(&client, &refresh).await.status, StatusCode::OK);
    let wrong = [("grant_type", "refresh_token"), ("client_id", text(&confidential, "client_id"))];
    let right =
        [wrong[0], wrong[1], ("client_secret", text(&confidential, "client_secret")), ("refresh_token", "x")];
    assert_eq!(used.form("/token", &wrong).await.error(), "invalid_client");
    assert_eq!(used.form("/token", &right).await.error(), "invalid_grant", "the old secret is right");
    let ended = browser.submit(&account, "/account", &["csrf"], &[("action", "everywhere")]).await;
    assert_eq!(ended.status, StatusCode::SEE_OTHER, "a form of before: {}", ended.text);
    let registered = used.register(REDIRECT).await;
    assert_eq!(master_key_of_client(&registered), Some(1));

    // The signing key follows, once.
    assert_eq!(sealed_under(&used).await, [0]);
    keys::step(&used.app).await.unwrap();
    assert_eq!(sealed_under(&used).await, [1]);
    let before = used.app.store.keys_read().await.unwrap();
    keys::step(&used.app).await.unwrap();
    keys::step(&accepted.app).await.unwrap();
    assert_eq!(used.app.store.keys_read().await.unwrap(), before, "nothing is sealed again, nor back");
}

#[tokio::test]
async fn as_227_t_49_what_was_made_with_a_removed_key_is_refused() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let refresh = text(&tokens, "refresh_token");
    let both = server.taking(&masters(&[1, 0])).await.unwrap();
    let refused = both.taking(&masters(&[1])).await;
    assert!(
        matches!(refused, Err(MasterKeysError::StillNeeded { number: 0, .. })),
        "the signing key would be lost: {:?}",
        refused.err()
    );
    keys::step(&both.app).await.unwrap();
    let mine = both.register(REDIRECT).await;
    let only = both.taking(&masters(&[1])).await.unwrap();
    assert_eq!(only.refresh(&client, refresh).await.error(), "invalid_client", "its id was made with it too");
    assert_eq!(only.refresh(&mine, refresh).await.error(), "invalid_grant");
    assert_eq!(only.get(&query(&Server::request(&client))).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(only.get(&query(&Server::request(&mine))).await.status, StatusCode::OK);
    assert_eq!(only.get("/jwks").await.text, both.get("/jwks").await.text);

    // A key that is taken back although it was used: its number is known to be of the past, and never a 503 for ever.
    let back = both.taking(&masters(&[0, 1])).await.unwrap();
    let key = back.app.store.keys_read().await.unwrap().remove(0);
    let entropy = &*back.app.entropy;
    assert_eq!(keys::reseal_one(&*back.app.store, &back.app.keys, entropy, &key).await.unwrap(), Some(true));
    let back = back.taking(&MasterKeys { highest: 1, ..masters(&[0]) }).await.unwrap();
    assert_eq!(back.refresh(&mine, refresh).await.error(), "invalid_client");
    assert_eq!(back.refresh(&client, refresh).await.status, StatusCode::OK);
}

#[tokio::test]
async fn t_97_t_99_a_node_that_is_behind_calls_nothing_wrong_and_learns_nothing_from_a_forged_number() {
    let behind = Server::start().await;
    let mut browser = behind.set_up().await;
    let ahead = behind.beside().await.taking(&masters(&[1, 0])).await.unwrap();
    keys::step(&ahead.app).await.unwrap();
    let client = behind.register(REDIRECT).await;
    let code = at(&ahead, &browser).allow(&Server::request(&client)).await;
    later(&behind.redeem(&client, &code).await);
    let tokens = ahead.redeem(&client, &code).await.json();
    let refresh = text(&tokens, "refresh_token");
    let answer = behind.refresh(&client, refresh).await;
    later(&answer);
    later(&behind.form("/revoke", &[("client_id", &client), ("token", refresh)]).await);
    let registered = ahead.register(REDIRECT).await;
    later(&behind.refresh(&registered, refresh).await);
    assert_eq!(
        browser.get(&query(&Server::request(&registered))).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    // A forged one looks the same, whatever its number, and one of an old number is simply wrong.
    let genuine = RefreshToken::check(&ahead.app.keys, refresh).unwrap();
    let forged = |number: u8| {
        let other = MasterKey { number, bytes: SecretBytes::new([99; 32]) };
        let ring = KeyRing::new(&[other], &SecretBytes::new([9; 32]), ISSUER).unwrap();
        genuine.mint(&ring).expose().to_owned()
    };
    for number in [1, 2, 255] {
        let same = behind.refresh(&client, &forged(number)).await;
        assert_eq!((same.status, &same.text), (answer.status, &answer.text));
    }
    assert_eq!(behind.refresh(&client, &forged(0)).await.error(), "invalid_grant");
    assert_eq!(ahead.refresh(&client, &forged(1)).await.error(), "invalid_grant");
    // It knows by what is in the store that it is behind, and goes on by itself when the key comes.
    let ready = |server: &Server| {
        let reasons = server.app.metrics.not_ready(server.now(), false, None);
        !reasons.iter().any(|reason| reason.name() == "master_key_missing")
    };
    assert!(ready(&behind));
    keys::step(&behind.app).await.unwrap();
    assert!(!ready(&behind));
    let mended = behind.taking(&masters(&[0, 1])).await.unwrap();
    keys::step(&mended.app).await.unwrap();
    assert!(ready(&mended));
    assert_eq!(
        mended.refresh(&client, refresh).await.status,
        StatusCode::OK,
        "nothing was revoked meanwhile"
    );
    assert_eq!(sealed_under(&mended).await, [1], "a node that is behind seals nothing back");
}

#[tokio::test]
async fn t_101_master_keys_that_do_not_belong_here_are_not_taken() {
    let server = Server::start().await;
    let other = MasterKey { number: 0, bytes: SecretBytes::new([66; 32]) };
    let refused = server.taking(&vec![other.clone()].into()).await;
    assert!(matches!(refused, Err(MasterKeysError::OtherKey(0))), "{:?}", refused.err());
    let refused = server.taking(&vec![MasterKey { number: 5, ..other }].into()).await;
    assert!(matches!(refused, Err(MasterKeysError::StillNeeded { number: 0, .. })), "{:?}", refused.err());
    assert!(matches!(server.taking(&MasterKeys::default()).await, Err(MasterKeysError::NoMasterKey)));
    let text = refused.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(text.contains("put it back"), "{text}");
}

#[tokio::test]
async fn t_99_numbers_of_keys_in_hostile_ids_and_tokens_are_only_numbers() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let body = |version: u8, number: u8, length: usize| {
        let mut bytes = vec![0; length];
        (bytes[0], bytes[1]) = (version, number);
        encoding::base64url(&bytes)
    };
    for number in 0..=255 {
        // Guesses are counted by the minute.
        server.push(61);
        let expected = if number > 0 { "temporarily_unavailable" } else { "invalid_client" };
        for length in [3, 40, 186] {
            let id = format!("hpc_{}", body(1, number, length));
            assert_eq!(server.refresh(&id, "x").await.error(), expected, "{id}");
        }
        let short = format!("{REFRESH_PREFIX}{}", body(1, number, 20));
        assert_eq!(server.refresh(&client, &short).await.error(), "invalid_grant");
        let code = body(1, number, 60);
        let expected = if number > 0 { "temporarily_unavailable" } else { "invalid_grant" };
        assert_eq!(server.redeem(&client, &code).await.error(), expected);
    }
    for odd in
        ["hpc_", "hpc_A", "hpc_AQ", "hpc_AQE", "hpc_\u{e9}\u{e9}\u{e9}", &format!("hpc_{}", body(2, 9, 40))]
    {
        assert_eq!(server.refresh(odd, "x").await.error(), "invalid_client", "{odd}");
    }
}
