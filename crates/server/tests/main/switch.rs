//! Who is signed in, and who should be: "not you?", `prompt`, `login_hint`.

use crate::support::*;
use http::StatusCode;
use std::collections::BTreeMap;

const FAR: &str = "https://client.example/cb";

fn with(client: &str, pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut request = Server::request(client);
    for (name, value) in pairs {
        request.insert((*name).into(), (*value).into());
    }
    request
}

pub async fn eve(server: &Server) {
    let ada = server.app.store.person_by_name(NAME.into()).await.unwrap().unwrap();
    let id = hallpass_core::id::PersonId::new(server.now(), &hallpass_core::entropy::SystemEntropy);
    let eve = hallpass_store::Person { id, name: "eve".into(), ..ada };
    assert!(server.app.store.person_create(eve).await.unwrap());
}

#[tokio::test]
async fn t_09_not_you_signs_out_here_and_returns_to_the_very_request() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    eve(&server).await;
    let client = server.register(REDIRECT).await;
    // The longest that a client may send: the form carries it on.
    let state = "%é+".repeat(500);
    let page = browser.ask(&with(&client, &[("state", &state)])).await;
    assert!(page.text.contains("Signed in as <strong>ada</strong>"));
    let before = browser.clone();
    let on = browser.submit(&page, "/sign-out", &["csrf", "query"], &[]).await;
    assert_eq!(on.status, StatusCode::SEE_OTHER);
    let form = browser.get(on.header("location")).await;
    // What is sealed may have any letters in it.
    let named = [">ada<", "\"ada\"", "as ada"].iter().any(|name| form.text.contains(name));
    assert!(form.hidden("waiting").is_some() && !named, "{}", form.text);
    let mut before = before;
    assert_eq!(before.get("/account").await.header("location"), "/sign-in", "signed out, not only forgotten");
    let typed = [("name", "eve"), ("password", PASSWORD)];
    let on = browser.submit(&form, "/sign-in", &["csrf", "waiting"], &typed).await;
    let page = browser.get(on.header("location")).await;
    assert!(page.text.contains("Signed in as <strong>eve</strong>"), "{}", page.text);
    let answer = browser.answer(&page, "allow").await;
    assert_eq!(answer.answered("state").as_deref(), Some(&*state));
}

#[tokio::test]
async fn select_account_offers_to_go_on_or_to_change_and_asks_once() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    eve(&server).await;
    server.push(5);
    let client = server.register(REDIRECT).await;
    let request = with(&client, &[("prompt", "select_account")]);
    let page = browser.get(&query(&request)).await;
    assert!(page.hidden("waiting").is_some() && page.text.contains("Go on as ada"), "{}", page.text);
    assert!(
        page.text.contains("Not ada? Switch account") && page.text.contains("value=\"\" required autofocus")
    );
    // To go on.
    let start = page.text.find("class=\"button\" href=\"").unwrap() + 21;
    let link = page.text[start..].split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let consent = browser.get(&link).await;
    assert!(consent.text.contains("Signed in as <strong>ada</strong>") && consent.hidden("page").is_some());
    // To change; it is not asked again after that.
    server.push(5);
    let typed = [("name", "eve"), ("password", PASSWORD)];
    let on = browser.submit(&page, "/sign-in", &["csrf", "waiting"], &typed).await;
    let consent = browser.get(on.header("location")).await;
    assert!(consent.text.contains("Signed in as <strong>eve</strong>") && consent.hidden("page").is_some());
    // `login` asks for more: nobody goes on without signing in again.
    server.push(5);
    let page = browser.get(&query(&with(&client, &[("prompt", "login select_account")]))).await;
    assert!(!page.text.contains("Go on as") && page.text.contains("Please sign in once more"));
    assert!(page.text.contains("value=\"eve\" required>"), "{}", page.text);
}

#[tokio::test]
async fn t_28_a_login_hint_fills_the_field_is_bounded_and_tells_nothing_of_who_there_is() {
    let server = Server::start().await;
    let _ = server.set_up().await;
    let client = server.register(REDIRECT).await;
    let mut shown = Vec::new();
    for hint in [NAME, "nobody", "eve@elsewhere.example"] {
        let page = Browser::new(&server).get(&query(&with(&client, &[("login_hint", hint)]))).await;
        assert!(page.text.contains(&format!("maxlength=\"64\" value=\"{hint}\" required>")), "{}", page.text);
        // But for the name and what is random, the same page.
        let mut text = page.text.replace(hint, "HINT");
        for field in ["csrf", "waiting"] {
            text = text.replace(&page.hidden(field).unwrap(), "");
        }
        shown.push(text);
    }
    assert!(shown.windows(2).all(|two| two[0] == two[1]));
    for hint in ["", " ", &"x".repeat(65), "a\u{202e}b", "a\nb", "a\u{200b}"] {
        let page = Browser::new(&server).get(&query(&with(&client, &[("login_hint", hint)]))).await;
        assert!(page.text.contains("maxlength=\"64\" value=\"\" required autofocus>"), "{hint:?}");
    }
    let page = Browser::new(&server)
        .get(&query(&with(&client, &[("login_hint", "\" onfocus=alert(1) x=\"")])))
        .await;
    assert!(!page.text.contains("\" onfocus"), "{}", page.text);
    // A wrong password leaves what was typed.
    let mut browser = Browser::new(&server);
    let form = browser.get("/sign-in").await;
    let typed = [("name", "Ada "), ("password", "wrong")];
    let again = browser.submit(&form, "/sign-in", &["csrf", "waiting"], &typed).await;
    assert!(again.text.contains("value=\"Ada\" required>"), "{}", again.text);
}

#[tokio::test]
async fn as_090_as_093_a_request_that_nobody_may_be_asked_about_gets_an_error_and_bounces_nobody() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let near = server.register(REDIRECT).await;
    let far = server.register(FAR).await;
    let silent = [("prompt", "none")];
    // To a program on this computer: at once, without a word to anybody.
    let request = with(&near, &silent);
    let stranger = Browser::new(&server).get(&query(&request)).await;
    assert_eq!(stranger.answered("error").as_deref(), Some("login_required"));
    assert_eq!((stranger.answered("iss").as_deref(), stranger.answered("code")), (Some(ISSUER), None));
    let person = browser.get(&query(&request)).await;
    assert_eq!(person.answered("error").as_deref(), Some("consent_required"), "also after an earlier yes");
    browser.allow(&Server::request(&near)).await;
    assert_eq!(browser.get(&query(&request)).await.answered("error").as_deref(), Some("consent_required"));
    server.push(60);
    let old = with(&near, &[("prompt", "none"), ("max_age", "10")]);
    assert_eq!(browser.get(&query(&old)).await.answered("error").as_deref(), Some("login_required"));
    let faulty = with(&near, &[("prompt", "none"), ("scope", "unknown")]);
    assert_eq!(browser.get(&query(&faulty)).await.answered("error").as_deref(), Some("invalid_scope"));
    // To a host that anybody can have registered: a stranger stays here, and a person decides whether to go.
    let request = with(&far, &[("prompt", "none"), ("redirect_uri", FAR)]);
    let stranger = Browser::new(&server).get(&query(&request)).await;
    assert!(stranger.hidden("waiting").is_some() && stranger.target().is_none() && stranger.link().is_none());
    let person = browser.get(&query(&request)).await;
    assert_eq!(person.target(), None);
    assert!(person.link().unwrap().contains("error=consent_required"));
}
