//! Two servers are two tenants, even where somebody copied the master key, and the account and the client have the same names:
//! nothing of one is anything at the other.

use crate::support::*;
use hallpass_core::uri::{Issuer, ResourceUri};
use hallpass_fetch::Fetch;
use hallpass_server::{App, Resource, Settings};
use hallpass_testkit::ManualClock;
use http::StatusCode;
use serde_json::json;

const OTHER: &str = "https://other.example";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn other_settings() -> Settings {
    let ours = settings();
    let resource = ResourceUri::parse(&format!("{OTHER}/mcp")).unwrap();
    let resource = Resource::new(resource, "Things".into(), ours.resources[0].scopes.clone()).unwrap();
    Settings::new(Issuer::parse(OTHER).unwrap(), vec![resource])
}

async fn other(folder: tempfile::TempDir) -> Server {
    let fetch = Fetch::new(hallpass_fetch::Settings::default()).unwrap();
    Server::under([7; 32], other_settings(), folder, ManualClock::at(NOW), fetch).await
}

/// The same request, for the other's server.
fn there(client: &str) -> std::collections::BTreeMap<String, String> {
    let mut request = Server::request(client);
    request.insert("resource".into(), format!("{OTHER}/mcp"));
    request
}

#[tokio::test]
async fn as_224_t_102_what_one_tenant_issued_is_nothing_at_another() {
    let here = Server::start().await;
    let there_is = other(tempfile::tempdir().unwrap()).await;
    let (client, mut browser) = (here.register(REDIRECT).await, here.set_up().await);
    let theirs = there_is.register(REDIRECT).await;
    let code = browser.allow(&Server::request(&client)).await;
    let (token, refresh) = {
        let again = browser.allow(&Server::request(&client)).await;
        let tokens = here.redeem(&client, &again).await.json();
        (text(&tokens, "access_token").to_owned(), text(&tokens, "refresh_token").to_owned())
    };

    let mut visitor = Browser::new(&there_is);
    visitor.cookies = browser.cookies.clone();
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
    assert_eq!(visitor.get("/account").await.status, StatusCode::SEE_OTHER, "a cookie of the other");
    assert_eq!(visitor.get(&query(&there(&client))).await.status, StatusCode::BAD_REQUEST, "its client");
    assert!(visitor.get(&query(&there(&theirs))).await.text.contains("name=\"password\""), "and its own");

    assert_eq!(there_is.redeem(&client, &code).await.error(), "invalid_client");
    assert_eq!(there_is.redeem(&theirs, &code).await.error(), "invalid_grant");
    assert_eq!(there_is.refresh(&client, &refresh).await.error(), "invalid_client");
    assert_eq!(there_is.refresh(&theirs, &refresh).await.error(), "invalid_grant");
    for token in [&token, &refresh] {
        let revoked = there_is.form("/revoke", &[("token", token), ("client_id", &theirs)]).await;
        assert_eq!(revoked.status, StatusCode::OK, "{revoked:?}");
    }

    let pushed: Vec<(String, String)> = Server::request(&client).into_iter().collect();
    let pushed: Vec<(&str, &str)> = pushed.iter().map(|(name, value)| (&**name, &**value)).collect();
    let pushed = here.form("/par", &pushed).await.json();
    let request_uri = text(&pushed, "request_uri");
    for id in [&client, &theirs] {
        let asked =
            [("client_id".to_owned(), id.clone()), ("request_uri".to_owned(), request_uri.to_owned())];
        assert_eq!(visitor.get(&query(&asked.into())).await.status, StatusCode::BAD_REQUEST, "{id}");
    }

    let device = json!({
        "redirect_uris": [], "client_name": "A television", "token_endpoint_auth_method": "none", "grant_types": [DEVICE],
    });
    let (television, their_television) =
        (here.post_json("/register", &device).await, there_is.post_json("/register", &device).await);
    let id = |answer: &Answer| text(&answer.json(), "client_id").to_owned();
    let asked = here.form("/device_authorization", &[("client_id", &id(&television))]).await.json();
    let polls = |client: String| {
        let pairs =
            [("grant_type", DEVICE), ("device_code", text(&asked, "device_code")), ("client_id", &client)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let there_is = &there_is;
        async move {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
            there_is.form("/token", &pairs).await.error()
        }
    };
    assert_eq!(polls(id(&television)).await, "invalid_client");
    assert_eq!(polls(id(&their_television)).await, "invalid_grant");

    // None of that did anything where it belongs.
    assert_eq!(here.redeem(&client, &code).await.status, StatusCode::OK);
    assert_eq!(here.refresh(&client, &refresh).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_224_t_102_the_database_of_one_tenant_starts_no_other() {
    let here = Server::start().await;
    let _ = here.granted().await;
    let copy = tempfile::tempdir().unwrap();
    let file = copy.path().join("hallpass.sqlite");
    here.app.store.close().await.unwrap();
    std::fs::copy(here.folder.path().join("hallpass.sqlite"), &file).unwrap();
    let store = hallpass_store::SqliteStore::open(&file, hallpass_store::SqliteSettings::default()).unwrap();
    let started = App::start(hallpass_server::Parts {
        settings: other_settings(),
        masters: vec![hallpass_core::seal::MasterKey {
            number: 0,
            bytes: hallpass_core::secret::SecretBytes::new([7; 32]),
        }]
        .into(),
        store: std::sync::Arc::new(store),
        clock: std::sync::Arc::new(ManualClock::at(NOW)),
        entropy: std::sync::Arc::new(hallpass_core::entropy::SystemEntropy),
        fetch: Fetch::new(hallpass_fetch::Settings::default()).unwrap(),
    })
    .await;
    assert!(started.is_err(), "people and grants of another issuer");
}
