//! A client that asks for more: what it has already is told apart where it is known who asks, and shown in every case.

use crate::support::*;
use hallpass_core::secret::SecretString;
use hallpass_server::{ClientRecord, OperatorClient, digest_of_secret};
use serde_json::json;
use std::collections::BTreeMap;

const FAR: &str = "https://client.example/cb";

fn asks(client: &str, redirect: &str, scope: &str) -> BTreeMap<String, String> {
    let mut request = Server::request(client);
    request.insert("redirect_uri".into(), redirect.into());
    request.insert("scope".into(), scope.into());
    request
}

/// A document's client at a host, and on this computer.
fn published(host: &hallpass_testkit::DocumentHost, path: &str) -> String {
    let url = host.url(path);
    let document = json!({
        "client_id": url, "client_name": "Documented", "redirect_uris": [FAR, "https://other.example/cb", "http://127.0.0.1/callback", "app.example:/cb"],
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
    });
    host.publish(path, &document.to_string());
    url
}

/// What the page lists as new, and what as allowed before.
fn lists(page: &Answer) -> (Vec<&'static str>, Vec<&'static str>) {
    let text = &page.text;
    let (new, before) = text.split_once("You allowed this to it before").unwrap_or((text, ""));
    let found = |part: &str| {
        ["read", "write"]
            .into_iter()
            .filter(|name| part.contains(&format!("May {name} your things")))
            .collect()
    };
    (found(new), found(before))
}

async fn allows(server: &Server, browser: &mut Browser<'_>, request: &BTreeMap<String, String>) -> String {
    let code = browser.allow(request).await;
    let redirect = &request["redirect_uri"];
    let tokens = server.redeem_with(&request["client_id"], &code, &[("redirect_uri", redirect)]).await.json();
    text(&tokens, "refresh_token").to_owned()
}

#[tokio::test]
async fn as_092_t_13_only_what_is_new_stands_first_and_nothing_is_left_out() {
    let (server, host) = Server::with_documents(settings()).await;
    let mut browser = server.set_up().await;
    let client = published(&host, "/client.json");
    let page = browser.ask(&asks(&client, FAR, "read")).await;
    assert_eq!(lists(&page), (vec!["read"], vec![]));
    let old = allows(&server, &mut browser, &asks(&client, FAR, "read")).await;
    server.push(1);
    let page = browser.ask(&asks(&client, FAR, "read write")).await;
    assert_eq!(lists(&page), (vec!["write"], vec!["read"]));
    assert!(page.text.contains("It wants more of") && page.text.contains("Stay signed in"));
    // Only the new one, only the old one.
    assert_eq!(lists(&browser.ask(&asks(&client, FAR, "write")).await), (vec!["write"], vec![]));
    let again = browser.ask(&asks(&client, FAR, "read")).await;
    assert_eq!(lists(&again), (vec![], vec!["read"]));
    assert!(
        again.text.contains("It wants to go on with") && again.target().is_none(),
        "it is asked all the same"
    );
    // The yes is to all that was shown, and the old grant stays as it was.
    let code = browser.answer(&page, "allow").await.answered("code").unwrap();
    let tokens = server.redeem_with(&client, &code, &[("redirect_uri", FAR)]).await.json();
    assert_eq!(text(&tokens, "scope"), "read write");
    assert_eq!(text(&server.refresh(&client, &old).await.json(), "scope"), "read");
    // Taken back, everything is new; ended by itself too.
    let account = browser.get("/account").await;
    browser.submit(&account, "/account", &["csrf", "grant"], &[("action", "revoke")]).await;
    let page = browser.ask(&asks(&client, FAR, "read write")).await;
    assert_eq!(lists(&page), (vec!["write"], vec!["read"]));
    server.push(31 * 24 * 3600);
    let form = browser.get("/sign-in").await;
    browser.sign_in(&form).await;
    assert_eq!(lists(&browser.ask(&asks(&client, FAR, "read write")).await), (vec!["read", "write"], vec![]));
}

#[tokio::test]
async fn as_093_t_13_whoever_could_be_somebody_else_is_shown_as_if_new() {
    let (server, host) = Server::with_documents(settings()).await;
    let mut browser = server.set_up().await;
    let client = published(&host, "/client.json");
    allows(&server, &mut browser, &asks(&client, FAR, "read write")).await;
    // The same client at another host, on this computer, in an app; another client at the same host.
    let twin = published(&host, "/twin.json");
    for (client, redirect) in [
        (&client, "https://other.example/cb"),
        (&client, "http://127.0.0.1:5000/callback"),
        (&client, "app.example:/cb"),
        (&twin, FAR),
    ] {
        let page = browser.ask(&asks(client, redirect, "read write")).await;
        assert_eq!(lists(&page), (vec!["read", "write"], vec![]), "{client} {redirect}");
    }
    // Where anybody can claim the id, it never becomes known: on this computer, and where a client registered itself.
    allows(&server, &mut browser, &asks(&client, "http://127.0.0.1:5000/callback", "read")).await;
    let page = browser.ask(&asks(&client, "http://127.0.0.1:5000/callback", "read write")).await;
    assert_eq!(lists(&page), (vec!["read", "write"], vec![]));
    for redirect in [FAR, REDIRECT] {
        let registered = server.register(redirect).await;
        allows(&server, &mut browser, &asks(&registered, redirect, "read")).await;
        let page = browser.ask(&asks(&registered, redirect, "read write")).await;
        assert_eq!(lists(&page), (vec!["read", "write"], vec![]), "{redirect}");
    }
    // And what another person allowed is nobody's business.
    let ada = server.app.store.person_by_name(NAME.into()).await.unwrap().unwrap();
    let id = hallpass_core::id::PersonId::new(server.now(), &hallpass_core::entropy::SystemEntropy);
    let eve = hallpass_store::Person { id, name: "eve".into(), ..ada };
    assert!(server.app.store.person_create(eve).await.unwrap());
    let mut browser = Browser::new(&server);
    let form = browser.get("/sign-in").await;
    browser.submit(&form, "/sign-in", &["csrf", "waiting"], &[("name", "eve"), ("password", PASSWORD)]).await;
    let page = browser.ask(&asks(&client, FAR, "read write")).await;
    assert_eq!(lists(&page), (vec!["read", "write"], vec![]));
}

#[tokio::test]
async fn as_092_an_operators_client_at_its_own_host_is_known() {
    let record = json!({
        "name": "Made", "auth": "client_secret_post", "redirect_uris": [FAR], "grant_types": ["authorization_code", "refresh_token"],
        "secrets": [digest_of_secret(&SecretString::new("a-secret-that-is-long-enough")).unwrap()],
    });
    let record: ClientRecord = serde_json::from_value(record).unwrap();
    let mut settings = settings();
    settings.clients = vec![OperatorClient::new("made", &record).unwrap()];
    let server = Server::with(settings).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&asks("made", FAR, "read")).await;
    let secret = [("redirect_uri", FAR), ("client_secret", "a-secret-that-is-long-enough")];
    assert!(server.redeem_with("made", &code, &secret).await.status.is_success());
    let page = browser.ask(&asks("made", FAR, "read write")).await;
    assert_eq!(lists(&page), (vec!["write"], vec!["read"]));
}
