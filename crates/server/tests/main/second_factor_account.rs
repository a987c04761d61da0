//! Who has a second factor, and who decides: the person at the account page, the operator with a setting. Whoever finds an open browser
//! decides nothing.

use crate::{
    accounts::session_of, providers::*, second_factor::*, support::*, switch::eve, third_party::ThirdParty,
};
use hallpass_server::{SecondFactorPolicy, audit::Kind, invitation_link, setup_link};
use http::StatusCode;

/// Presses a button of the page where it can be changed.
async fn change(browser: &mut Browser<'_>, action: &str, code: &str) -> Answer {
    let page = browser.get(PAGE).await;
    browser.submit(&page, PAGE, &["csrf"], &[("action", action), ("code", code)]).await
}

#[tokio::test]
async fn as_097_it_is_turned_on_with_a_code_and_ends_what_has_not_passed_it() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let given = browser.allow(&Server::request(&client)).await;
    let tokens = server.redeem(&client, &given).await.json();
    let person = person(&server, NAME).await.unwrap().id;
    let mut other = Browser::new(&server);
    let cookie = session_of(&server.app, person, server.now()).await.unwrap();
    other.cookies.insert(SESSION.into(), cookie);
    assert_eq!(other.get("/account").await.status, StatusCode::OK);
    assert!(browser.get("/account").await.text.contains("Turn on a second step"));
    let page = browser.get(PAGE).await;
    for part in ["<svg class=\"qr\"", "otpauth://totp/auth.example:ada?secret=", "one-time-code"] {
        assert!(page.text.contains(part), "{part} in {}", page.text);
    }
    // Loaded again, it is the same: the app may have it already.
    let (secret, again) = (secret_on(&page), browser.get(PAGE).await);
    assert_eq!(secret_on(&again).expose(), secret.expose());
    let wrong = wrong_code(&secret, server.now());
    let refused = browser.submit(&page, PAGE, &["csrf"], &[("action", "on"), ("code", &wrong)]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(secret_on(&refused).expose(), secret.expose(), "and with a wrong code it stays so");
    assert_eq!(server.app.store.second_factor_read(person).await.unwrap(), None, "nothing is in force yet");
    assert_eq!(other.get("/account").await.status, StatusCode::OK);
    // What another browser or session was given is not taken.
    let mut foreign = browser.clone();
    foreign.cookies.insert(SESSION.into(), other.cookies[SESSION].clone());
    let csrf = foreign.get("/account").await.hidden("csrf").unwrap();
    let typed = code(&secret, server.now());
    let refused = foreign.post(PAGE, &[("csrf", &csrf), ("action", "on"), ("code", &typed)]).await;
    assert_eq!((refused.status, refused.header("location")), (StatusCode::SEE_OTHER, PAGE));
    let (_, codes) = turn_on(&server, &mut browser).await;
    assert_eq!(codes.len(), 10);
    assert_eq!(counted(&server, Kind::SecondFactorOn, Some("turned_on")), 1);
    assert_eq!(browser.get("/account").await.status, StatusCode::OK, "this browser has shown both");
    assert_eq!(other.get("/account").await.header("location"), "/sign-in", "that one has not");
    let refreshed = server.refresh(&client, text(&tokens, "refresh_token")).await;
    assert_eq!(refreshed.status, StatusCode::OK, "what was allowed stays");
    assert_eq!(counted(&server, Kind::SignedOutEverywhere, None), 0);
}

#[tokio::test]
async fn as_097_t_17_an_open_browser_is_no_proof_of_a_person() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    server.push(15 * 60 + 1);
    let asked = browser.get(PAGE).await;
    assert!(asked.text.contains("once more") && !asked.text.contains("otpauth"), "{}", asked.text);
    let form = browser.get("/sign-in").await;
    browser.sign_in(&form).await;
    let (secret, _) = turn_on(&server, &mut browser).await;
    // Each change takes a code, that counts once, and a sign-in that is fresh.
    for action in ["codes", "replace", "off"] {
        server.push(3);
        let refused = change(&mut browser, action, &wrong_code(&secret, server.now())).await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{action}");
        let refused = change(&mut browser, action, "").await;
        assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{action}");
    }
    server.push(15 * 60);
    for action in ["codes", "replace", "off"] {
        let asked = change(&mut browser, action, &code(&secret, server.now())).await;
        assert_eq!(asked.status, StatusCode::FORBIDDEN, "{action}");
        assert!(asked.text.contains("once more"), "{}", asked.text);
    }
    let page = browser.get(PAGE).await;
    let mut forged = browser.clone();
    forged.site = Some("cross-site".into());
    let typed = code(&secret, server.now());
    let refused = forged.submit(&page, PAGE, &["csrf"], &[("action", "off"), ("code", &typed)]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let person = person(&server, NAME).await.unwrap().id;
    assert!(server.app.store.second_factor_read(person).await.unwrap().is_some());
    assert_eq!(counted(&server, Kind::SecondFactorOff, None), 0);
    // A second "on" puts nothing in the place of what is there without a code of that.
    let page = browser.get("/account").await;
    let csrf = page.hidden("csrf").unwrap();
    server.push(30);
    let fresh = sign_in_with_code(&server, &secret).await;
    let mut fresh = fresh;
    let csrf_of = fresh.get("/account").await.hidden("csrf").unwrap();
    assert_ne!(csrf, csrf_of);
    let refused = fresh.post(PAGE, &[("csrf", &csrf_of), ("action", "on"), ("code", &typed)]).await;
    assert_eq!(refused.header("location"), PAGE);
    assert_eq!(counted(&server, Kind::SecondFactorOn, None), 1);
}

/// A new browser, signed in with both.
async fn sign_in_with_code<'a>(server: &'a Server, secret: &hallpass_core::totp::TotpSecret) -> Browser<'a> {
    let mut browser = Browser::new(server);
    let page = password(&mut browser).await;
    let done = type_code(&mut browser, &page, &code(secret, server.now())).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    server.push(30);
    browser
}

#[tokio::test]
async fn as_097_another_app_other_recovery_codes_and_off() {
    let (server, secret, codes) = with_factor(|_| {}).await;
    let mut browser = sign_in_with_code(&server, &secret).await;
    let page = change(&mut browser, "codes", &code(&secret, server.now())).await;
    let newer = recovery_codes(&page);
    assert!(newer.len() == 10 && newer.iter().all(|code| !codes.contains(code)), "{}", page.text);
    assert_eq!(counted(&server, Kind::RecoveryCodesMade, None), 1);
    assert_eq!(change(&mut browser, "codes", &codes[0]).await.status, StatusCode::UNAUTHORIZED, "old ones");
    server.push(30);
    // To another phone, with a recovery code: the one before is lost.
    assert_eq!(change(&mut browser, "replace", &newer[0]).await.header("location"), PAGE);
    let (next, newest) = turn_on(&server, &mut browser).await;
    assert_ne!(next.expose(), secret.expose());
    assert_eq!(counted(&server, Kind::SecondFactorOn, Some("replaced")), 1);
    let mut elsewhere = Browser::new(&server);
    let page = password(&mut elsewhere).await;
    assert!(!type_code(&mut elsewhere, &page, &code(&secret, server.now())).await.status.is_redirection());
    assert!(!type_code(&mut elsewhere, &page, &newer[1]).await.status.is_redirection());
    assert!(type_code(&mut elsewhere, &page, &code(&next, server.now())).await.status.is_redirection());
    server.push(30);
    let off = change(&mut browser, "off", &code(&next, server.now())).await;
    assert_eq!(off.header("location"), "/account", "{}", off.text);
    assert_eq!(counted(&server, Kind::SecondFactorOff, None), 1);
    let mut without = Browser::new(&server);
    let form = without.get("/sign-in").await;
    assert_eq!(without.sign_in(&form).await.header("location"), "/account");
    assert!(is_signed_in(&without) && newest.len() == 10);
    assert_eq!(counted(&server, Kind::SignedIn, Some("password")), 1);
}

#[tokio::test]
async fn as_097_t_17_required_is_set_up_before_there_is_a_session() {
    let mut settings = settings();
    requiring(&mut settings);
    let server = Server::with(settings).await;
    let client = server.register(REDIRECT).await;
    // Right after the link that makes the first account.
    let mut browser = Browser::new(&server);
    let link = setup_link(&server.app).await.unwrap().unwrap();
    let page = browser.get(link.expose().strip_prefix(ISSUER).unwrap()).await;
    let typed = [("name", NAME), ("password", PASSWORD)];
    let moved = browser.submit(&page, "/setup", &["csrf", "code"], &typed).await;
    assert_eq!((moved.header("location"), is_signed_in(&browser)), (CODE, false), "{}", moved.text);
    assert_eq!(browser.get("/account").await.header("location"), "/sign-in");
    // And after a password, with what waits behind it.
    let mut browser = Browser::new(&server);
    let form = browser.get(&query(&Server::request(&client))).await;
    assert_eq!(browser.sign_in(&form).await.header("location"), CODE);
    let page = browser.get(CODE).await;
    assert!(page.text.contains("Everybody signs in with a second step here"), "{}", page.text);
    let (secret, again) = (secret_on(&page), browser.get(CODE).await);
    assert_eq!(secret_on(&again).expose(), secret.expose());
    let refused = type_code(&mut browser, &page, &wrong_code(&secret, server.now())).await;
    assert_eq!((refused.status, is_signed_in(&browser)), (StatusCode::UNAUTHORIZED, false));
    let mut second = browser.clone();
    let done = type_code(&mut browser, &page, &code(&secret, server.now())).await;
    assert_eq!((done.status, recovery_codes(&done).len()), (StatusCode::OK, 10), "{}", done.text);
    assert!(is_signed_in(&browser) && !browser.cookies.contains_key(HALF));
    let (_, rest) = done.text.split_once("<a class=\"button\" href=\"").unwrap();
    let target = rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
    let consent = browser.get(&target).await;
    assert!(browser.answer(&consent, "allow").await.answered("code").is_some());
    // Who did the same in another window does not put another in its place.
    let late = type_code(&mut second, &page, &code(&secret, server.now())).await;
    assert_eq!((late.status, is_signed_in(&second)), (StatusCode::UNAUTHORIZED, false), "{}", late.text);
    assert!(
        late.text.contains("used already") && !late.text.contains("otpauth"),
        "it is asked for the one there is"
    );
    server.push(30);
    let refused = change(&mut browser, "off", &code(&secret, server.now())).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(
        refused.text.contains("another app") && !refused.text.contains("Turn it off"),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn as_097_t_17_another_setting_counts_at_once_also_for_who_is_signed_in() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let consent = browser.ask(&Server::request(&client)).await;
    let cookies = browser.cookies.clone();
    let mut settings = settings();
    requiring(&mut settings);
    let required = server.reloaded(settings.clone());
    let mut same = Browser::new(&required);
    same.cookies = cookies.clone();
    let stopped = same.answer(&consent, "allow").await;
    assert!(stopped.answered("code").is_none() && stopped.text.contains("signed out"), "{}", stopped.text);
    assert_eq!(same.get("/account").await.header("location"), "/sign-in");
    assert_eq!(same.get("/device").await.hidden("user_code"), None);
    // A sign-in there ends the session that was too little, whoever has its cookie.
    let page = password(&mut same).await;
    let secret = secret_on(&page);
    let done = type_code(&mut same, &page, &code(&secret, server.now())).await;
    assert_eq!(done.status, StatusCode::OK);
    let mut before = Browser::new(&server);
    before.cookies = cookies;
    assert_eq!(before.get("/account").await.header("location"), "/sign-in");
    // "off" offers none, and takes nobody's away.
    settings.sign_in.second_factor = SecondFactorPolicy::Off;
    let off = server.reloaded(settings);
    server.push(30);
    let mut browser = Browser::new(&off);
    let page = password(&mut browser).await;
    let done = type_code(&mut browser, &page, &code(&secret, server.now())).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    server.push(30);
    assert_eq!(
        change(&mut browser, "off", &code(&secret, server.now())).await.header("location"),
        "/account"
    );
    assert_eq!(browser.get(PAGE).await.status, StatusCode::NOT_FOUND);
    assert!(!browser.get("/account").await.text.contains("Second step"));
}

#[tokio::test]
async fn as_097_t_17_what_was_proposed_before_it_was_on_puts_nothing_in_its_place() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    // Another window of the same session is given another secret, which somebody else may have seen.
    let mut window = browser.clone();
    let page = window.get(PAGE).await;
    let seen = secret_on(&page);
    let (secret, _) = turn_on(&server, &mut browser).await;
    let typed = code(&seen, server.now());
    let refused = window.submit(&page, PAGE, &["csrf"], &[("action", "on"), ("code", &typed)]).await;
    assert_eq!(
        (refused.status, refused.header("location")),
        (StatusCode::SEE_OTHER, PAGE),
        "{}",
        refused.text
    );
    assert_eq!(counted(&server, Kind::SecondFactorOn, None), 1);
    assert!(is_signed_in(&sign_in_with_code(&server, &secret).await), "the first one is in force");
}

#[tokio::test]
async fn as_097_a_session_that_is_too_little_ends_when_somebody_else_signs_in_there() {
    let server = Server::start().await;
    let browser = server.set_up().await;
    eve(&server).await;
    let mut settings = settings();
    requiring(&mut settings);
    let required = server.reloaded(settings);
    let mut same = Browser::new(&required);
    same.cookies = browser.cookies.clone();
    let form = same.get("/sign-in").await;
    let typed = [("name", "eve"), ("password", PASSWORD)];
    let moved = same.submit(&form, "/sign-in", &["csrf", "waiting"], &typed).await;
    assert_eq!(moved.header("location"), CODE, "{}", moved.text);
    let page = same.get(CODE).await;
    let typed = code(&secret_on(&page), server.now());
    assert_eq!(type_code(&mut same, &page, &typed).await.status, StatusCode::OK);
    // Where it would be enough again, whoever has its cookie has nothing.
    let mut kept = browser;
    assert_eq!(kept.get("/account").await.header("location"), "/sign-in");
}

#[tokio::test]
async fn as_097_t_17_another_password_takes_no_second_factor_away() {
    let (server, secret, _) = with_factor(|_| {}).await;
    let person = person(&server, NAME).await.unwrap().id;
    let settings = &server.app.settings;
    let link = invitation_link(&*server.app.store, settings, person, server.now()).await.unwrap().link;
    let mut browser = Browser::new(&server);
    let page = browser.get(link.expose().strip_prefix(ISSUER).unwrap()).await;
    let typed = [("password", "another long password")];
    let moved = browser.submit(&page, "/invitation", &["csrf", "code"], &typed).await;
    assert_eq!((moved.header("location"), is_signed_in(&browser)), (CODE, false), "{}", moved.text);
    assert_eq!(counted(&server, Kind::InvitationUsed, None), 1);
    let page = browser.get(CODE).await;
    let done = type_code(&mut browser, &page, &code(&secret, server.now())).await;
    assert_eq!((done.header("location"), is_signed_in(&browser)), ("/account", true));
    assert_eq!(counted(&server, Kind::SignedIn, Some("link_and_code")), 1);
}

#[tokio::test]
async fn as_097_as_213_t_17_a_providers_word_is_the_first_factor_and_no_more() {
    let third = ThirdParty::start().await;
    let server = server_with(vec![provider(&third, "idp")], |_| {}).await;
    let ada = person(&server, NAME).await.unwrap().id;
    link(&server, &third, "sub-of-ada", ada).await;
    let client = server.register(REDIRECT).await;
    let mut browser = Browser::new(&server);
    browser.cookies.insert(SESSION.into(), session_of(&server.app, ada, server.now()).await.unwrap());
    let (secret, _) = turn_on(&server, &mut browser).await;
    third.at(server.now());
    let mut browser = Browser::new(&server);
    let form = browser.get(&query(&Server::request(&client))).await;
    let back = third.allows(&press(&mut browser, &form, "idp").await, "sub-of-ada");
    let moved = browser.get(path(&back)).await;
    assert_eq!((moved.header("location"), is_signed_in(&browser)), (CODE, false), "{}", moved.text);
    assert_eq!(counted(&server, Kind::SignedIn, None), 0);
    let page = browser.get(CODE).await;
    assert_eq!(page.hidden("page"), None);
    let done = type_code(&mut browser, &page, &code(&secret, server.now())).await;
    assert!(done.header("location").starts_with("/authorize?"), "{}", done.text);
    let consent = browser.get(done.header("location")).await;
    assert!(browser.answer(&consent, "allow").await.answered("code").is_some());
    assert_eq!(counted(&server, Kind::SignedIn, Some("provider_and_code")), 1);
}
