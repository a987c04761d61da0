//! What the first release wrote and handed out is good for this one. `fixtures/first` was made by it and never
//! changes: a database, its master key, and what clients and browsers hold.

use crate::support::*;
use hallpass_core::{
    encoding,
    time::{Clock, Timestamp},
    uri::{Issuer, ResourceUri},
};
use hallpass_resource::{KeySource, ProtectedResource, Revocation, Revocations, Revoked};
use hallpass_server::{Resource, ScopeEntry, Settings, feed};
use hallpass_testkit::ManualClock;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::{fs, path::PathBuf, sync::Arc};

const ISSUER: &str = "http://localhost:18999";
const RESOURCE: &str = "http://localhost:18999/mcp";
const LONG: &str =
    "https://client.example/a/very/long/callback/that/is/kept/as/a/tag/because/there/is/no/room/for/it";

async fn upgraded() -> (Server, Value) {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/first");
    let known: Value = serde_json::from_slice(&fs::read(fixtures.join("known.json")).unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::copy(fixtures.join("hallpass.sqlite"), folder.path().join("hallpass.sqlite")).unwrap();
    let scopes = vec![ScopeEntry { name: "mcp".into(), title: "Use it".into() }];
    let resource = Resource::new(ResourceUri::parse(RESOURCE).unwrap(), "Demo".into(), scopes).unwrap();
    let settings = Settings::new(Issuer::parse(ISSUER).unwrap(), vec![resource]);
    let (number, key) = text(&known, "master_key").split_once(' ').unwrap();
    assert_eq!(number, "0");
    let master = encoding::array_from_base64url(key).unwrap();
    let clock = ManualClock::at(Timestamp::from_seconds(known["made_at"].as_i64().unwrap() + 20));
    let fetch = hallpass_fetch::Fetch::new(hallpass_fetch::Settings::default()).unwrap();
    (Server::under(master, settings, folder, clock, fetch).await, known)
}

/// Refreshes as this client.
async fn refresh(server: &Server, client: &Value, token: &str) -> Answer {
    let mut pairs = vec![
        ("grant_type", "refresh_token"),
        ("client_id", text(client, "client_id")),
        ("refresh_token", text(client, token)),
    ];
    pairs.extend(client["client_secret"].as_str().map(|secret| ("client_secret", secret)));
    server.form("/token", &pairs).await
}

#[tokio::test]
async fn t_103_refresh_tokens_of_the_first_release_mean_what_they_meant() {
    let (server, known) = upgraded().await;
    for client in known["clients"].as_array().unwrap() {
        let again = refresh(&server, client, "predecessor").await.json();
        assert_eq!(again["refresh_token"], client["live"], "the same successor, to the byte");
        assert_eq!(refresh(&server, client, "live").await.status, StatusCode::OK);
        assert_eq!(refresh(&server, client, "revoked").await.error(), "invalid_grant");
        // What was retired before the upgrade is still known for what it is.
        assert_eq!(refresh(&server, client, "retired").await.error(), "invalid_grant");
        assert_eq!(refresh(&server, client, "live").await.error(), "invalid_grant");
    }
    let secret = &known["clients"][1];
    let wrong = [
        ("grant_type", "refresh_token"),
        ("client_id", text(secret, "client_id")),
        ("client_secret", "hps_wrong"),
        ("refresh_token", text(secret, "live")),
    ];
    assert_eq!(server.form("/token", &wrong).await.error(), "invalid_client");
}

#[tokio::test]
async fn t_103_access_tokens_of_the_first_release_are_let_in_and_what_it_revoked_is_not() {
    let (server, known) = upgraded().await;
    let revocations = Arc::new(Revocations::new());
    let (_, change) = feed::step(&server.app, None).await.unwrap();
    let feed::Change::Loaded(entries, counter) = change else { panic!("{change:?}") };
    let grants = entries.into_iter().map(|entry| {
        let hallpass_store::Revoked::Grant(grant) = entry.what else { panic!("{entry:?}") };
        Revocation { what: Revoked::Grant(grant), until: entry.until }
    });
    revocations.replace_all(grants, counter);
    let settings = hallpass_resource::Settings {
        resource: ResourceUri::parse(RESOURCE).unwrap(),
        metadata_url: String::new(),
        issuer: ISSUER.to_owned(),
    };
    let keys = Arc::new(KeySource::fixed(server.app.tokens.current().verifying.clone()));
    let gate = ProtectedResource::new(settings, keys, revocations).with_clock(Arc::new(server.clock.clone()));
    for client in known["clients"].as_array().unwrap() {
        for (token, good) in [("access", true), ("revoked_access", false)] {
            let mut headers = HeaderMap::new();
            headers.insert("authorization", format!("Bearer {}", text(client, token)).parse().unwrap());
            let head =
                hallpass_resource::Head { method: &http::Method::POST, path: "/mcp", headers: &headers };
            assert_eq!(gate.authenticate(head, server.clock.now()).await.is_ok(), good, "{token}");
        }
    }
}

#[tokio::test]
async fn t_103_people_stay_signed_in_and_their_clients_stay_registered() {
    let (server, known) = upgraded().await;
    let mut browser = Browser::new(&server);
    for (name, value) in known["cookies"].as_object().unwrap() {
        browser.cookies.insert(name.clone(), value.as_str().unwrap().to_owned());
    }
    let page = browser.get("/account").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("A client of the first release"), "{}", page.text);
    for client in known["clients"].as_array().unwrap() {
        for redirect in [REDIRECT, LONG] {
            let mut request = Server::request(text(client, "client_id"));
            request.insert("redirect_uri".into(), redirect.into());
            request.insert("resource".into(), RESOURCE.into());
            request.insert("scope".into(), "mcp".into());
            browser.allow(&request).await;
        }
    }
    // The password too, in another browser.
    let mut other = Browser::new(&server);
    let form = other.get("/sign-in").await;
    assert_eq!(other.sign_in(&form).await.header("location"), "/account");
}
