//! People link and unlink where they sign in, by themselves: shortly after a sign-in, in their own browser, and only what is
//! nobody else's.

use crate::{
    accounts::add_person, connections::signed_in, providers::*, support::*, third_party::ThirdParty,
};
use hallpass_core::id::PersonId;
use hallpass_server::audit::Kind;
use http::StatusCode;

async fn open_world() -> (Server, ThirdParty, PersonId, PersonId) {
    let third = ThirdParty::start().await;
    let server = server_with(vec![provider(&third, "idp")], |_| {}).await;
    let ada = person(&server, NAME).await.unwrap().id;
    let bob = add_person(&server.app, server.now()).await;
    (server, third, ada, bob)
}

/// Presses the button of the account page.
async fn act(browser: &mut Browser<'_>, action: &str) -> Answer {
    let page = browser.get("/account").await;
    browser.submit(&page, "/account", &["csrf"], &[("provider", "idp"), ("action", action)]).await
}

async fn subjects(server: &Server, person: PersonId) -> Vec<String> {
    let links = server.app.store.links_of_person(person).await.unwrap();
    links.into_iter().map(|link| link.subject).collect()
}

#[tokio::test]
async fn as_214_a_person_links_what_they_have_there_and_signs_in_with_it() {
    let (server, third, ada, bob) = open_world().await;
    let mut browser = signed_in(&server, ada).await;
    assert!(browser.get("/account").await.text.contains("Link Company"));
    // Whoever signed this browser in there meanwhile as themselves would be let in here: the provider has to ask.
    let moving = act(&mut browser, "link").await;
    assert!(moving.target().unwrap().contains("&max_age=0&prompt=login"), "{moving:?}");
    let before = server.now().seconds() - 3_600;
    third.lies(move |claims| claims["auth_time"] = before.into());
    let back = third.allows(&moving.target().unwrap(), "sub-of-eve");
    assert_eq!(browser.get(path(&back)).await.status, StatusCode::FORBIDDEN);
    third.honest();
    let moving = act(&mut browser, "link").await;
    let back = third.allows(&moving.target().unwrap(), "sub-of-ada");
    assert_eq!(browser.get(path(&back)).await.header("location"), "/account");
    assert_eq!(subjects(&server, ada).await, ["sub-of-ada"]);
    let page = browser.get("/account").await;
    assert!(page.text.contains("sub-of-ada") && page.text.contains("Unlink Company"), "{}", page.text);
    let mut elsewhere = Browser::new(&server);
    come_back(&server, &mut elsewhere, &third, "sub-of-ada").await;
    assert!(elsewhere.get("/account").await.text.contains("Signed in as <strong>ada</strong>"));
    // It is hers: nobody else gets it.
    let mut of_bob = signed_in(&server, bob).await;
    let moving = act(&mut of_bob, "link").await;
    let back = third.allows(&moving.target().unwrap(), "sub-of-ada");
    let refused = of_bob.get(path(&back)).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("belongs to another account"), "{}", refused.text);
    assert_eq!(subjects(&server, bob).await, Vec::<String>::new());
    assert_eq!(counted(&server, Kind::AccountNotLinked, Some("linked_to_another")), 1);
    // And taken away again; the provider is told.
    assert_eq!(act(&mut browser, "unlink").await.header("location"), "/account");
    assert_eq!(subjects(&server, ada).await, Vec::<String>::new());
    assert_eq!(third.revoked().len(), 1);
    let mut elsewhere = Browser::new(&server);
    come_back(&server, &mut elsewhere, &third, "sub-of-ada").await;
    assert!(!is_signed_in(&elsewhere));
}

#[tokio::test]
async fn as_213_t_09_nobody_adds_a_way_into_the_account_of_another() {
    let (server, third, ada, eve) = open_world().await;
    // Eve begins, and has Ada's browser finish; or the other way round.
    let mut of_eve = signed_in(&server, eve).await;
    let page = act(&mut of_eve, "link").await.target().unwrap();
    let mut of_ada = signed_in(&server, ada).await;
    let own = act(&mut of_ada, "link").await.target().unwrap();
    for (hers, page, account) in
        [(true, &page, "sub-of-eve"), (true, &page, "sub-of-ada"), (false, &own, "sub-of-eve")]
    {
        let browser = if hers { &mut of_ada } else { &mut of_eve };
        let refused = browser.get(path(&third.allows(page, account))).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{account}");
    }
    // The same browser, with another person or session in it meanwhile.
    let mut mixed = of_eve.clone();
    mixed.cookies.insert("__Host-hallpass_session".into(), of_ada.cookies["__Host-hallpass_session"].clone());
    assert_eq!(mixed.get(path(&third.allows(&page, "sub-of-eve"))).await.status, StatusCode::FORBIDDEN);
    mixed.cookies.remove("__Host-hallpass_session");
    assert_eq!(mixed.get(path(&third.allows(&page, "sub-of-eve"))).await.status, StatusCode::FORBIDDEN);
    assert!(!is_signed_in(&mixed), "a link is no sign-in");
    // A sign-in is no link: the request of the one does not do for the other.
    let mut signing_in = signed_in(&server, ada).await;
    let page = begin(&mut signing_in, "idp").await;
    let refused = signing_in.get(path(&third.allows(&page, "sub-of-ada"))).await;
    assert!(refused.text.contains("Nobody here is linked"), "{}", refused.text);
    let forged = {
        of_ada.site = Some("cross-site".into());
        of_ada.post("/account", &[("provider", "idp"), ("action", "link")]).await
    };
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    assert!(subjects(&server, ada).await.is_empty() && subjects(&server, eve).await.is_empty());
}

#[tokio::test]
async fn as_213_an_open_browser_is_no_proof_of_a_person() {
    let (server, third, ada, bob) = open_world().await;
    let mut browser = signed_in(&server, ada).await;
    server.push(15 * 60 + 1);
    for action in ["link", "unlink"] {
        let asked = act(&mut browser, action).await;
        assert_eq!(asked.status, StatusCode::FORBIDDEN);
        assert!(asked.text.contains("once more") && asked.target().is_none(), "{}", asked.text);
    }
    // Whoever has no password here, and no other provider, does not lock themselves out.
    link(&server, &third, "sub-of-bob", bob).await;
    let mut of_bob = signed_in(&server, bob).await;
    assert!(of_bob.get("/account").await.text.contains("your only way to sign in"));
    let refused = act(&mut of_bob, "unlink").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(subjects(&server, bob).await, ["sub-of-bob"]);
}
