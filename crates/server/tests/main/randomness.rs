//! What nobody may guess: how many bits of each value change from one to the next, and that none comes twice.

use crate::support::*;
use hallpass_core::{encoding, entropy::SystemEntropy, id::GrantId};
use hallpass_server::{invitation_link, setup_link};
use std::collections::{BTreeMap, HashSet};

/// So many values that a bit which is drawn stays the same in all of them once in 2^47 runs.
const SAMPLES: usize = 48;

/// Bits that are not the same in all values.
fn changing(values: &[String]) -> usize {
    let decoded: Vec<Vec<u8>> = values
        .iter()
        .map(|text| {
            let plain = ["hpr_", "hpc_", "hps_"].iter().find_map(|prefix| text.strip_prefix(prefix));
            encoding::from_base64url(plain.unwrap_or(text)).unwrap_or_else(|| panic!("{text}"))
        })
        .collect();
    let length = decoded.iter().map(Vec::len).min().unwrap();
    (0..length * 8)
        .filter(|bit| {
            let at = |value: &Vec<u8>| value[bit / 8] >> (bit % 8) & 1;
            decoded.iter().any(|value| at(value) != at(&decoded[0]))
        })
        .count()
}

#[tokio::test]
async fn as_108_codes_tokens_secrets_and_links_have_at_least_128_random_or_keyed_bits() {
    let server = Server::start().await;
    let mut values: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for _ in 0..SAMPLES {
        let link = setup_link(&server.app).await.unwrap().unwrap();
        let code = link.expose().split("code=").nth(1).unwrap().to_owned();
        values.entry("set-up link").or_default().push(code);
    }
    let mut browser = server.set_up().await;
    let person = server.app.store.person_by_name(NAME.into()).await.unwrap().unwrap();
    for _ in 0..SAMPLES {
        server.push(3);
        let secret = serde_json::json!({
            "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": ["authorization_code", "refresh_token"],
        });
        let registered = server.post_json("/register", &secret).await.json();
        values.entry("client secret").or_default().push(text(&registered, "client_secret").to_owned());
        let client = server.register(REDIRECT).await;
        values.entry("client id").or_default().push(client.clone());
        let code = browser.allow(&Server::request(&client)).await;
        let tokens = server.redeem(&client, &code).await.json();
        values.entry("code").or_default().push(code);
        values.entry("refresh token").or_default().push(text(&tokens, "refresh_token").to_owned());
        let signature = text(&tokens, "access_token").rsplit('.').next().unwrap().to_owned();
        values.entry("access token's signature").or_default().push(signature);
        let now = server.now();
        let link = invitation_link(&*server.app.store, &server.app.settings, person.id, now).await.unwrap();
        let code = link.link.expose().split("code=").nth(1).unwrap().to_owned();
        values.entry("one-time link").or_default().push(code);
        let push: Vec<(String, String)> = Server::request(&client).into_iter().collect();
        let push: Vec<(&str, &str)> = push.iter().map(|(name, value)| (&**name, &**value)).collect();
        let uri = text(&server.form("/par", &push).await.json(), "request_uri").to_owned();
        values.entry("request_uri").or_default().push(uri.rsplit(':').next().unwrap().to_owned());
        let television = serde_json::json!({
            "token_endpoint_auth_method": "none", "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"],
        });
        let television = server.post_json("/register", &television).await.json();
        let asks = [("client_id", text(&television, "client_id"))];
        let device = server.form("/device_authorization", &asks).await.json();
        values.entry("device code").or_default().push(text(&device, "device_code").to_owned());
        let page = Browser::new(&server).get("/sign-in").await;
        values.entry("form token").or_default().push(page.hidden("csrf").unwrap());
        values.entry("waiting request").or_default().push(page.hidden("waiting").unwrap());
    }
    for _ in 0..4 {
        let mut other = Browser::new(&server);
        let form = other.get("/sign-in").await;
        other.sign_in(&form).await;
        let session = other.cookies.iter().find(|(name, _)| name.ends_with("hallpass_session")).unwrap();
        values.entry("session").or_default().push(session.1.clone());
    }
    for (name, values) in &values {
        // Of four values, a drawn bit is the same in all of them one time in eight.
        let due = if values.len() < SAMPLES { 160 } else { 128 };
        assert!(changing(values) >= due, "{name}: {} bits change", changing(values));
        assert_eq!(values.iter().collect::<HashSet<_>>().len(), values.len(), "{name} comes twice");
    }
    assert_eq!(values.len(), 12);
}

#[test]
fn as_108_a_million_ids_of_one_millisecond_are_all_different() {
    const MILLION: usize = 1_000_000;
    let ids: HashSet<GrantId> = (0..MILLION).map(|_| GrantId::new(NOW, &SystemEntropy)).collect();
    assert_eq!(ids.len(), MILLION);
}
