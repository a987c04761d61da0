//! People sign in at another provider: in their own browser, to the account that is linked, and never past our own question.

use crate::{support::*, third_party::ThirdParty};
use hallpass_core::{
    entropy::SystemEntropy,
    id::{LinkId, PersonId},
    parameters::{Limits, Parameters},
    secret::SecretString,
    uri::ResourceUri,
};
use hallpass_server::{
    Resource, ScopeEntry, Settings, SignInProvider, WrittenProvider, audit::Kind,
    connections::WrittenConnection,
};
use hallpass_store::{Linked, NewLink, Person};
use http::StatusCode;
use std::collections::BTreeMap;

pub const CALLBACK: &str = "/sign-in/callback/";
const OTHER: &str = "https://auth.example/other";

/// What an operator writes of this one.
pub fn provider(third: &ThirdParty, name: &str) -> SignInProvider {
    SignInProvider::new(&WrittenProvider {
        service: WrittenConnection {
            name,
            title: Some(if name == "idp" { "Company" } else { "Other" }),
            client_id: "us",
            secret: Some(SecretString::new("secret of ours")),
            ..WrittenConnection::default()
        },
        issuer: Some(&third.issuer),
        check: Some(std::time::Duration::from_hours(1)),
        ..WrittenProvider::default()
    })
    .unwrap()
}

/// A server with one account with a password, and these providers.
pub async fn server_with(providers: Vec<SignInProvider>, change: impl FnOnce(&mut Settings)) -> Server {
    let mut settings = settings();
    settings.sign_in.providers = providers;
    change(&mut settings);
    let server = Server::with(settings).await;
    if server.app.settings.sign_in.passwords {
        server.set_up().await;
    }
    server
}

/// One provider, at which `sub-of-ada` is the account that there is.
pub async fn world() -> (Server, ThirdParty, PersonId) {
    let third = ThirdParty::start().await;
    let server = server_with(vec![provider(&third, "idp")], |_| {}).await;
    let ada = person(&server, NAME).await.unwrap().id;
    link(&server, &third, "sub-of-ada", ada).await;
    (server, third, ada)
}

pub async fn person(server: &Server, name: &str) -> Option<Person> {
    server.app.store.person_by_name(name.to_owned()).await.unwrap()
}

pub async fn link(server: &Server, third: &ThirdParty, subject: &str, person: PersonId) {
    let id = LinkId::new(server.now(), &SystemEntropy);
    let (issuer, linked_at) = (third.issuer.clone(), server.now());
    let new = NewLink { id, issuer, subject: subject.into(), person, linked_at };
    assert_eq!(server.app.store.link_put(new).await.unwrap(), Linked::Yes);
}

/// Presses the button of a sign-in page: the page at the provider.
pub async fn press(browser: &mut Browser<'_>, page: &Answer, name: &str) -> String {
    let moving = browser.submit(page, "/sign-in", &["csrf", "waiting"], &[("provider", name)]).await;
    assert_eq!(moving.status, StatusCode::OK, "{}", moving.text);
    moving.target().unwrap_or_else(|| panic!("{}", moving.text))
}

/// The same from the sign-in itself.
pub async fn begin(browser: &mut Browser<'_>, name: &str) -> String {
    let page = browser.get("/sign-in").await;
    press(browser, &page, name).await
}

pub fn path(url: &str) -> &str {
    url.strip_prefix(ISSUER).unwrap_or_else(|| panic!("{url}"))
}

/// Signs in there as this account, and comes back.
pub async fn come_back(
    server: &Server,
    browser: &mut Browser<'_>,
    third: &ThirdParty,
    account: &str,
) -> Answer {
    third.at(server.now());
    let back = third.allows(&begin(browser, "idp").await, account);
    browser.get(path(&back)).await
}

pub fn is_signed_in(browser: &Browser<'_>) -> bool {
    browser.cookies.contains_key("__Host-hallpass_session")
}

pub fn counted(server: &Server, kind: Kind, reason: Option<&str>) -> u64 {
    let all = server.app.audit.counted().into_iter();
    all.filter(|(one, why, _)| *one == kind && (reason.is_none() || *why == reason))
        .map(|(.., number)| number)
        .sum()
}

fn asked(page: &str) -> Parameters {
    Parameters::parse(page.split_once('?').unwrap().1.as_bytes(), Limits::default()).unwrap()
}

fn request(client: &str, change: &[(&str, &str)]) -> BTreeMap<String, String> {
    let mut request = Server::request(client);
    for (name, value) in change {
        request.insert((*name).to_owned(), (*value).to_owned());
    }
    request
}

#[tokio::test]
async fn as_212_as_213_as_216_a_sign_in_elsewhere_leads_to_our_question_and_a_token_for_the_server_that_was_asked_for()
 {
    let third = ThirdParty::start().await;
    let server = server_with(vec![provider(&third, "idp")], |settings| {
        let scopes = vec![ScopeEntry { name: "read".into(), title: "Read".into() }];
        let uri = ResourceUri::parse(OTHER).unwrap();
        settings.resources.push(Resource::new(uri, "Other things".into(), scopes).unwrap());
    })
    .await;
    let ada = person(&server, NAME).await.unwrap().id;
    link(&server, &third, "sub-of-ada", ada).await;
    let client = server.register(REDIRECT).await;
    for resource in [RESOURCE, OTHER] {
        let request = request(&client, &[("resource", resource)]);
        let mut browser = Browser::new(&server);
        let form = browser.get(&query(&request)).await;
        assert!(
            form.text.contains("Test client") && form.text.contains("Sign in with Company"),
            "{}",
            form.text
        );
        let page = press(&mut browser, &form, "idp").await;
        let sent = asked(&page);
        for (name, value) in [("response_type", "code"), ("client_id", "us"), ("scope", "openid")] {
            assert_eq!(sent.all(name).collect::<Vec<_>>(), [value], "{name}");
        }
        assert_eq!(sent.get("redirect_uri"), Some("https://auth.example/sign-in/callback/idp"));
        let (state, nonce) = (sent.get("state").unwrap(), sent.get("nonce").unwrap());
        assert!(state.len() == 32 && nonce.len() == 32 && state != nonce);
        for ours in [&*client, CHALLENGE, "st%2Fa%2Bte", "prompt", "max_age"] {
            assert!(!page.contains(ours), "{ours} in {page}");
        }
        let back = third.allows(&page, "sub-of-ada");
        let done = browser.get(path(&back)).await;
        assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
        assert!(done.header("location").starts_with("/authorize?"), "{done:?}");
        // Our own question, always.
        let consent = browser.get(done.header("location")).await;
        assert!(consent.hidden("page").is_some() && consent.answered("code").is_none(), "{}", consent.text);
        let moving = browser.answer(&consent, "allow").await;
        let tokens = server.redeem(&client, &moving.answered("code").unwrap()).await.json();
        let token = claims(text(&tokens, "access_token"));
        assert_eq!((text(&token, "aud"), text(&token, "sub")), (resource, &*ada.to_string()));
    }
    assert_eq!(counted(&server, Kind::SignedIn, Some("provider")), 2);
}

#[tokio::test]
async fn t_09_as_212_an_attackers_client_gets_nothing_of_what_the_victim_allowed_at_the_provider() {
    let (server, third, _) = world().await;
    let (good, evil) = (server.register(REDIRECT).await, server.register("https://evil.example/back").await);
    let mut victim = Browser::new(&server);
    come_back(&server, &mut victim, &third, "sub-of-ada").await;
    victim.allow(&request(&good, &[])).await;
    // The provider lets the victim through without a word, here and there.
    let theirs = request(&evil, &[("redirect_uri", "https://evil.example/back")]);
    for fresh in [false, true] {
        let mut browser = if fresh { Browser::new(&server) } else { victim.clone() };
        let mut page = browser.get(&query(&theirs)).await;
        if fresh {
            let at = press(&mut browser, &page, "idp").await;
            let done = browser.get(path(&third.allows(&at, "sub-of-ada"))).await;
            page = browser.get(done.header("location")).await;
        }
        assert!(page.text.contains("evil.example") && page.hidden("page").is_some(), "{}", page.text);
        assert!(page.target().is_none() && page.header("location").is_empty(), "{}", page.text);
        let no = browser.answer(&page, "deny").await;
        assert_eq!((no.answered("error").as_deref(), no.answered("code")), (Some("access_denied"), None));
    }
}

#[tokio::test]
async fn t_09_as_213_a_captured_page_or_callback_signs_nobody_in_in_another_browser() {
    let (server, third, _) = world().await;
    let client = server.register(REDIRECT).await;
    let mut attacker = Browser::new(&server);
    let form = attacker.get(&query(&request(&client, &[]))).await;
    let page = press(&mut attacker, &form, "idp").await;
    // The attacker's page, opened by the victim, who is signed in at the provider: the victim's code, the attacker's state.
    let of_victim = third.allows(&page, "sub-of-ada");
    // The attacker's own code: the victim would be signed in as the attacker (login CSRF).
    let of_attacker = third.allows(&page, "sub-of-eve");
    let plain = Browser::new(&server);
    let mut visited = Browser::new(&server);
    visited.get("/sign-in").await;
    let mut busy = Browser::new(&server);
    begin(&mut busy, "idp").await;
    for mut victim in [plain, visited, busy.clone()] {
        for back in [&of_victim, &of_attacker] {
            let refused = victim.get(path(back)).await;
            assert_eq!(refused.status, StatusCode::FORBIDDEN);
            assert!(refused.text.contains("did not ask for that"), "{}", refused.text);
            assert!(!is_signed_in(&victim) && refused.answered("code").is_none());
        }
    }
    // Not even with the attacker's cookie, which somebody may have planted: it is of another browser.
    let mut planted = busy.clone();
    planted
        .cookies
        .insert("__Host-hallpass_signing_in".into(), attacker.cookies["__Host-hallpass_signing_in"].clone());
    assert_eq!(planted.get(path(&of_attacker)).await.status, StatusCode::FORBIDDEN);
    assert!(third.asked().is_empty(), "no code went anywhere");
    assert_eq!(counted(&server, Kind::SignInRefused, Some("not_asked_for")), 7);
    assert_eq!(counted(&server, Kind::SignedIn, None), 0);
    // Nothing was taken away from whoever was busy.
    let own = third.allows(&begin(&mut busy, "idp").await, "sub-of-ada");
    assert_eq!(busy.get(path(&own)).await.header("location"), "/account");
}

#[tokio::test]
async fn as_213_an_answer_counts_once_and_for_ten_minutes() {
    let (server, third, _) = world().await;
    let mut browser = Browser::new(&server);
    let kept = {
        let page = begin(&mut browser, "idp").await;
        let back = third.allows(&page, "sub-of-ada");
        let before = browser.clone();
        assert_eq!(browser.get(path(&back)).await.status, StatusCode::SEE_OTHER);
        assert!(!browser.cookies.contains_key("__Host-hallpass_signing_in"));
        let again = browser.get(path(&back)).await;
        assert_eq!(again.status, StatusCode::FORBIDDEN);
        assert!(is_signed_in(&browser), "and takes nothing away");
        (before, back)
    };
    // Whoever kept the cookie, which nobody but this browser could: the code is good once at the provider.
    let (mut before, back) = kept;
    let again = before.get(path(&back)).await;
    assert_eq!(again.status, StatusCode::FORBIDDEN, "{}", again.text);
    assert!(!is_signed_in(&before));
    for (seconds, status) in [(599, StatusCode::SEE_OTHER), (600, StatusCode::FORBIDDEN)] {
        let mut browser = Browser::new(&server);
        let back = third.allows(&begin(&mut browser, "idp").await, "sub-of-ada");
        server.push(seconds);
        third.at(server.now());
        assert_eq!(browser.get(path(&back)).await.status, status, "{seconds}");
    }
    // What begins it is a form of this browser.
    let mut browser = Browser::new(&server);
    let page = browser.get("/sign-in").await;
    browser.site = Some("cross-site".into());
    let forged = browser.submit(&page, "/sign-in", &["csrf", "waiting"], &[("provider", "idp")]).await;
    assert_eq!((forged.status, forged.target()), (StatusCode::FORBIDDEN, None));
    browser.site = Some("same-origin".into());
    let unknown = browser.submit(&page, "/sign-in", &["csrf", "waiting"], &[("provider", "none")]).await;
    assert_eq!(unknown.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn as_215_what_one_provider_gave_is_never_taken_to_another() {
    let (one, two) = (ThirdParty::start().await, ThirdParty::start().await);
    let server = server_with(vec![provider(&one, "idp"), provider(&two, "two")], |_| {}).await;
    let ada = person(&server, NAME).await.unwrap().id;
    link(&server, &one, "sub-of-ada", ada).await;
    link(&server, &two, "sub-of-ada", ada).await;
    let swapped = |back: &str| back.replacen("/callback/idp", "/callback/two", 1);
    let mut browser = Browser::new(&server);
    let back = one.allows(&begin(&mut browser, "idp").await, "sub-of-ada");
    assert_eq!(browser.get(path(&swapped(&back))).await.status, StatusCode::FORBIDDEN);
    let unknown = back.replacen("/callback/idp", "/callback/three", 1);
    assert_eq!(browser.get(path(&unknown)).await.status, StatusCode::NOT_FOUND);
    // The state of a request to the one beside a code of the other: who answers says so, and the redirect URIs differ.
    let mut crossed = Browser::new(&server);
    let page = begin(&mut crossed, "idp").await;
    let state = asked(&page).get("state").unwrap().to_owned();
    let mut elsewhere = Browser::new(&server);
    let other = two.allows(&begin(&mut elsewhere, "two").await, "sub-of-ada");
    let code = asked(&other).get("code").unwrap().to_owned();
    let iss = |third: &ThirdParty| hallpass_core::parameters::encode([("iss", &*third.issuer)]);
    for end in [iss(&two), iss(&one), String::new()] {
        let mut browser = crossed.clone();
        let refused = browser.get(&format!("{CALLBACK}idp?code={code}&state={state}&{end}")).await;
        assert!(
            !is_signed_in(&browser) && refused.status.is_client_error() || refused.status.is_server_error()
        );
    }
    assert!(two.asked().is_empty(), "a code of the one is not sent to the other");
    assert_eq!(one.asked(), ["authorization_code"], "only with the right iss, and then it was not its own");
    // The operator changed meanwhile who is asked.
    let mut browser = Browser::new(&server);
    let back = one.allows(&begin(&mut browser, "idp").await, "sub-of-ada");
    let mut settings = server.app.settings.clone();
    settings.sign_in.providers[0].service.client.client_id = "others".into();
    let reloaded = server.reloaded(settings);
    let mut after = Browser::new(&reloaded);
    after.cookies = browser.cookies.clone();
    assert_eq!(after.get(path(&back)).await.status, StatusCode::FORBIDDEN);
    assert_eq!(counted(&server, Kind::SignedIn, None), 0);
}

#[tokio::test]
async fn as_213_who_asks_for_a_fresh_sign_in_gets_one() {
    let (server, third, _) = world().await;
    let client = server.register(REDIRECT).await;
    let mut browser = Browser::new(&server);
    for (change, prompt, age) in
        [(("prompt", "login"), Some("login"), "0"), (("max_age", "300"), None, "300")]
    {
        for (ago, lets_in) in [(10, true), (400, false)] {
            let mut anew = browser.clone();
            anew.cookies.remove("__Host-hallpass_session");
            let form = anew.get(&query(&request(&client, &[change]))).await;
            let page = press(&mut anew, &form, "idp").await;
            assert_eq!((asked(&page).get("prompt"), asked(&page).get("max_age")), (prompt, Some(age)));
            let at = server.now().seconds() - ago;
            third.lies(move |claims| claims["auth_time"] = at.into());
            let done = anew.get(path(&third.allows(&page, "sub-of-ada"))).await;
            assert_eq!(is_signed_in(&anew), lets_in, "{change:?} {ago} {}", done.text);
            if lets_in {
                let consent = anew.get(done.header("location")).await;
                assert!(consent.hidden("page").is_some(), "no circle: {}", consent.text);
            } else {
                assert!(
                    done.text.contains("sign in anew") && done.text.contains("Test client"),
                    "{}",
                    done.text
                );
            }
        }
    }
    // Whoever is signed in and signs in again is asked too.
    third.honest();
    come_back(&server, &mut browser, &third, "sub-of-ada").await;
    assert_eq!(asked(&begin(&mut browser, "idp").await).get("prompt"), Some("login"));
}

#[tokio::test]
async fn as_096_t_09_a_sign_in_elsewhere_ends_the_session_before_and_a_disabled_account_has_none() {
    let (server, third, ada) = world().await;
    let mut browser = Browser::new(&server);
    come_back(&server, &mut browser, &third, "sub-of-ada").await;
    let first = browser.cookies["__Host-hallpass_session"].clone();
    come_back(&server, &mut browser, &third, "sub-of-ada").await;
    assert_ne!(browser.cookies["__Host-hallpass_session"], first);
    let mut old = Browser::new(&server);
    old.cookies.insert("__Host-hallpass_session".into(), first);
    assert_eq!(old.get("/account").await.status, StatusCode::SEE_OTHER, "its session is over");
    let until = server.app.settings.tokens_until(server.now());
    assert!(server.app.store.person_disable(ada, true, until, server.now()).await.unwrap());
    let mut browser = Browser::new(&server);
    let refused = come_back(&server, &mut browser, &third, "sub-of-ada").await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(refused.text.contains("may not sign in here") && !is_signed_in(&browser));
    assert_eq!(counted(&server, Kind::SignInRefused, Some("disabled")), 1);
    assert!(server.app.store.person_remove(ada, until).await.unwrap().is_some());
    let refused = come_back(&server, &mut browser, &third, "sub-of-ada").await;
    assert!(refused.text.contains("Nobody here is linked") && refused.text.contains("sub-of-ada"));
    assert!(!is_signed_in(&browser));
}

#[tokio::test]
async fn t_30_sign_ins_elsewhere_are_limited_like_passwords() {
    let (server, third, _) = world().await;
    let mut browser = Browser::new(&server);
    let back = third.allows(&begin(&mut browser, "idp").await, "sub-of-ada");
    let state = asked(&back).get("state").unwrap().to_owned();
    let iss = hallpass_core::parameters::encode([("iss", &*third.issuer)]);
    let mut refused = 0;
    for n in 0..30 {
        // A browser that keeps its cookie, to have us ask about codes that it makes up.
        let mut kept = browser.clone();
        let answer = kept.get(&format!("{CALLBACK}idp?code=made-up-{n}&state={state}&{iss}")).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(!answer.header("retry-after").is_empty());
            refused += 1;
        }
    }
    assert!(refused >= 9 && third.asked().len() <= 21, "{refused}");
    server.push(60);
    assert_eq!(browser.get(path(&back)).await.status, StatusCode::SEE_OTHER, "and whoever waits gets in");
}

#[tokio::test]
async fn as_213_a_request_that_no_cookie_holds_is_refused_with_words() {
    let (server, _third, _) = world().await;
    let client = server.register(REDIRECT).await;
    let mut browser = Browser::new(&server);
    let long = "s".repeat(3_000);
    let form = browser.get(&query(&request(&client, &[("state", &long)]))).await;
    let refused = browser.submit(&form, "/sign-in", &["csrf", "waiting"], &[("provider", "idp")]).await;
    assert_eq!(refused.status, StatusCode::URI_TOO_LONG);
    assert!(refused.text.contains("too long"), "{}", refused.text);
    let usual = "s".repeat(1_500);
    let form = browser.get(&query(&request(&client, &[("state", &usual)]))).await;
    press(&mut browser, &form, "idp").await;
    let cookie = &browser.cookies["__Host-hallpass_signing_in"];
    assert!(cookie.len() <= 4_050, "{}", cookie.len());
}
