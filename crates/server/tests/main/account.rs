//! The account page: what was allowed to whom, where it was used last, where one is signed in, and an end for each.

use crate::support::*;
use hallpass_core::{
    entropy::SystemEntropy,
    id::{AttemptId, GrantId},
};
use hallpass_server::audit::Kind;
use hallpass_store::{GrantOpened, NewGrant};
use http::{Request, StatusCode};
use std::{net::SocketAddr, time::Duration};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1";

fn at(text: &str) -> SocketAddr {
    SocketAddr::new(text.parse().unwrap(), 1)
}

fn ended(server: &Server) -> u64 {
    let counted = server.app.audit.counted();
    counted.into_iter().filter(|(kind, ..)| *kind == Kind::SessionEnded).map(|(.., number)| number).sum()
}

async fn refresh_from(server: &Server, client: &str, token: &str, from: &str) -> Answer {
    let pairs = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)];
    let body = hallpass_core::parameters::encode(pairs);
    let mut request = Request::post("/token").header("content-type", "application/x-www-form-urlencoded");
    request.extensions_mut().unwrap().insert(axum::extract::ConnectInfo(at(from)));
    server.send(request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn as_227_a_grant_shows_who_what_when_and_where_it_was_used_last() {
    let (server, host) = Server::with_documents(settings()).await;
    let url = host.url("/client.json");
    let document = serde_json::json!({
        "client_id": url, "client_name": "Documented", "redirect_uris": ["https://client.example/cb"],
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
    });
    host.publish("/client.json", &document.to_string());
    let mut browser = server.set_up().await;
    let mut request = Server::request(&url);
    request.insert("redirect_uri".into(), "https://client.example/cb".into());
    let code = browser.allow(&request).await;
    let redeemed = server.redeem_with(&url, &code, &[("redirect_uri", "https://client.example/cb")]).await;
    let token = text(&redeemed.json(), "refresh_token").to_owned();
    server.push(1);
    let client = server.register(REDIRECT).await;
    let code = browser.allow(&Server::request(&client)).await;
    assert_eq!(server.redeem(&client, &code).await.status, StatusCode::OK);
    server.push(3 * 3600);
    assert_eq!(refresh_from(&server, &url, &token, "198.51.100.7").await.status, StatusCode::OK);
    server.push(120);
    let page = browser.get("/account").await;
    let (own, documented) = page.text.split_once("<h2>Documented").unwrap();
    for part in [
        "client.example</dd>",
        "dev.internal",
        "Things",
        "May read your things",
        "3 hours ago",
        "2 minutes ago",
        "198.51.100.7",
    ] {
        assert!(documented.contains(part), "{part} in {documented}");
    }
    for part in ["<h2>Test client", "127.0.0.1:5000</dd>", "<dd>nobody</dd>", "this computer"] {
        assert!(own.contains(part), "{part} in {own}");
    }
    assert!(!own.contains("dev.internal"));
}

#[tokio::test]
async fn as_227_one_refresh_writes_once_and_a_refused_one_says_nothing_of_where_it_came_from() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let first = text(&tokens, "refresh_token").to_owned();
    let second = refresh_from(&server, &client, &first, "198.51.100.7").await.json();
    let third = refresh_from(&server, &client, text(&second, "refresh_token"), "2001:db8::7").await.json();
    assert!(third.get("access_token").is_some());
    let store = &server.app.store;
    let person = store.person_by_name(NAME.into()).await.unwrap().unwrap();
    let grant = store.grants_of_person(person.id, None, 9).await.unwrap().remove(0);
    // A thief with a token that is over revokes the grant, and does not become the place of its last use.
    assert_eq!(refresh_from(&server, &client, &first, "203.0.113.66").await.error(), "invalid_grant");
    let grant = store.grant_read(grant.id).await.unwrap().unwrap();
    assert!(grant.revoked_at.is_some());
    assert_eq!(grant.used_from, Some("2001:db8::7".parse().unwrap()));
}

#[tokio::test]
async fn as_227_a_grant_that_ended_by_itself_is_not_shown_as_alive() {
    let server = Server::start().await;
    let _ = server.granted().await;
    server.push(31 * 24 * 3600);
    let mut browser = Browser::new(&server);
    let form = browser.get("/sign-in").await;
    browser.sign_in(&form).await;
    let page = browser.get("/account").await;
    assert!(page.text.contains("No application has access") && !page.text.contains("Take access back"));
}

#[tokio::test]
async fn as_227_browsers_are_listed_and_each_other_one_can_be_ended() {
    let server = Server::start().await;
    let mut here = server.set_up().await;
    (here.agent, here.address) = (Some(FIREFOX.into()), Some(at("192.0.2.1")));
    here.cookies.remove("__Host-hallpass_session");
    let form = here.get("/sign-in").await;
    here.sign_in(&form).await;
    server.push(7200);
    let mut phone = Browser::new(&server);
    (phone.agent, phone.address) =
        (Some(format!("{PHONE} <script>alert(1)</script>")), Some(at("192.0.2.2")));
    let form = phone.get("/sign-in").await;
    phone.sign_in(&form).await;
    server.push(60);
    let page = here.get("/account").await;
    let (_, list) = page.text.split_once("Where you are signed in").unwrap();
    for part in [
        "Firefox on Linux <span class=\"hint\">this browser",
        "Safari on iPhone",
        "from 192.0.2.1",
        "from 192.0.2.2",
        "2 hours ago",
        "1 minute ago",
    ] {
        assert!(list.contains(part), "{part} in {list}");
    }
    // Three: the browser of the set-up is not signed out by losing its cookie. This one has no button.
    assert_eq!(list.matches(">Sign out there<").count(), 2);
    let session = page.hidden("session").unwrap();
    let done = here
        .post(
            "/account",
            &[("csrf", &page.hidden("csrf").unwrap()), ("action", "end"), ("session", &session)],
        )
        .await;
    assert_eq!((done.status, done.header("location")), (StatusCode::SEE_OTHER, "/account"));
    assert_eq!(phone.get("/account").await.header("location"), "/sign-in", "the newest was listed first");
    assert!(here.get("/account").await.status.is_success());
    assert_eq!(ended(&server), 1);
    // Not without the token of the form, and nothing of anybody else.
    let refused = here.post("/account", &[("action", "end"), ("session", &session)]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let csrf = here.get("/account").await.hidden("csrf").unwrap();
    for session in ["", "x", "AAAAAAAAAAAAAAAAAAAAAA", &*session] {
        let nothing =
            here.post("/account", &[("csrf", &csrf), ("action", "end"), ("session", session)]).await;
        let known = !["", "x"].contains(&session);
        let expected = if known { StatusCode::SEE_OTHER } else { StatusCode::BAD_REQUEST };
        assert_eq!(nothing.status, expected, "{session}");
    }
    assert_eq!(ended(&server), 1);
}

#[tokio::test]
async fn as_227_more_grants_than_anybody_watches_are_said_and_the_longest_unused_is_offered() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let person = server.app.store.person_by_name(NAME.into()).await.unwrap().unwrap();
    let mut oldest = None;
    for number in 0..201_u64 {
        let now = server.now().plus(Duration::from_secs(number));
        let grant = NewGrant {
            id: GrantId::new(now, &SystemEntropy),
            attempt: AttemptId::new(now, &SystemEntropy),
            person: person.id,
            epoch: person.epoch,
            client_id: "made".into(),
            client_name: format!("Client {number}"),
            redirect_host: "client.example".into(),
            resource: RESOURCE.into(),
            scope: "read".into(),
            consented_at: now,
            code_digest: [1; 32],
            from: None,
            key_thumbprint: None,
            details: None,
        };
        oldest = oldest.or(Some(grant.id));
        if number == 200 {
            let page = browser.get("/account").await;
            assert!(!page.text.contains("Unused for longest"), "200 are not too many");
        }
        assert_eq!(server.app.store.grant_open(grant, now).await.unwrap(), GrantOpened::Opened);
    }
    server.push(3600);
    let page = browser.get("/account").await;
    let (warning, _) = page.text.split_once("<ul class=\"grants\">").unwrap();
    for part in ["201 times", "Nothing is taken back by itself", "<strong>Client 0</strong>"] {
        assert!(warning.contains(part), "{part} in {warning}");
    }
    assert_eq!(page.hidden("grant"), oldest.map(|id| id.to_string()));
    // All of them are there, page by page, and none is gone without being asked.
    let mut shown = page.text.matches("Take access back from").count();
    let mut next = page;
    while let Some((_, rest)) = next.text.split_once("/account?before=") {
        let path = format!("/account?before={}", rest.split('"').next().unwrap());
        next = browser.get(&path).await;
        shown += next.text.matches("Take access back from").count();
    }
    assert_eq!(shown, 201);
    let page = browser.get("/account").await;
    browser.submit(&page, "/account", &["csrf", "grant"], &[("action", "revoke")]).await;
    let page = browser.get("/account").await;
    assert!(!page.text.contains("Unused for longest"), "and so there are 200 again");
}
