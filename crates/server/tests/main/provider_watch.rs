//! A provider is asked again whether people still may. Its word ends everything; whatever else goes wrong takes nothing.

use crate::{
    providers::*,
    support::*,
    third_party::{Mood, ThirdParty},
};
use hallpass_core::id::PersonId;
use hallpass_server::{AskedAgain, ask_again, audit::Kind};
use http::StatusCode;
use std::sync::Arc;

/// Somebody signed in at the provider, let a client in, and has its tokens.
async fn granted(server: &Server, third: &ThirdParty) -> (String, String) {
    let client = server.register(REDIRECT).await;
    let mut browser = Browser::new(server);
    let form = browser.get(&query(&Server::request(&client))).await;
    let page = press(&mut browser, &form, "idp").await;
    third.at(server.now());
    let done = browser.get(path(&third.allows(&page, "sub-of-ada"))).await;
    let consent = browser.get(done.header("location")).await;
    let moving = browser.answer(&consent, "allow").await;
    let tokens = server.redeem(&client, &moving.answered("code").unwrap()).await.json();
    (client, text(&tokens, "refresh_token").to_owned())
}

async fn refreshed(server: &Server, (client, token): &(String, String)) -> Result<(String, String), String> {
    let answer = server.refresh(client, token).await;
    if answer.status == StatusCode::OK {
        Ok((client.clone(), text(&answer.json(), "refresh_token").to_owned()))
    } else {
        Err(answer.error())
    }
}

async fn epoch(server: &Server, person: PersonId) -> u32 {
    server.app.store.person_read(person).await.unwrap().unwrap().epoch
}

const GOOD: AskedAgain = AskedAgain { good: 1, ended: 0, failed: 0 };
const ENDED: AskedAgain = AskedAgain { good: 0, ended: 1, failed: 0 };
const FAILED: AskedAgain = AskedAgain { good: 0, ended: 0, failed: 1 };

#[tokio::test]
async fn as_214_as_151_what_a_provider_takes_back_ends_here() {
    let (server, third, ada) = world().await;
    let mut tokens = granted(&server, &third).await;
    let mut browser = Browser::new(&server);
    come_back(&server, &mut browser, &third, "sub-of-ada").await;
    assert_eq!(ask_again(&server.app).await.unwrap(), AskedAgain::default(), "not yet");
    for _ in 0..3 {
        server.push(3_601);
        assert_eq!(ask_again(&server.app).await.unwrap(), GOOD);
        assert_eq!(ask_again(&server.app).await.unwrap(), AskedAgain::default());
        tokens = refreshed(&server, &tokens).await.unwrap();
    }
    third.forget();
    server.push(3_601);
    tokens = refreshed(&server, &tokens).await.unwrap();
    assert_eq!(
        third.asked().iter().filter(|kind| *kind == "refresh_token").count(),
        3,
        "no refresh asks anybody"
    );
    assert_eq!(ask_again(&server.app).await.unwrap(), ENDED);
    assert_eq!(epoch(&server, ada).await, 1);
    assert_eq!(refreshed(&server, &tokens).await.unwrap_err(), "invalid_grant");
    assert_eq!(browser.get("/account").await.status, StatusCode::SEE_OTHER, "signed out");
    assert_eq!(counted(&server, Kind::SignedOutEverywhere, None), 1);
    server.push(3_601);
    assert_eq!(ask_again(&server.app).await.unwrap(), AskedAgain::default(), "once");
    // Who may again signs in again.
    come_back(&server, &mut browser, &third, "sub-of-ada").await;
    assert!(is_signed_in(&browser));
    server.push(3_601);
    assert_eq!(ask_again(&server.app).await.unwrap(), GOOD);
}

#[tokio::test]
async fn as_151_what_goes_wrong_at_a_provider_takes_nothing_away() {
    let (server, third, ada) = world().await;
    let mut tokens = granted(&server, &third).await;
    server.push(3_601);
    for mood in [Mood::Down, Mood::Forgetful, Mood::Busy, Mood::Wall] {
        third.mood(mood);
        assert_eq!(ask_again(&server.app).await.unwrap(), FAILED, "{mood:?}");
        let asked = third.asked().len();
        assert_eq!(ask_again(&server.app).await.unwrap(), AskedAgain::default(), "nobody asks at once again");
        assert_eq!(third.asked().len(), asked);
        tokens = refreshed(&server, &tokens).await.unwrap();
        assert_eq!(epoch(&server, ada).await, 0);
        server.push(3_600);
    }
    assert_eq!(counted(&server, Kind::AccountNotChecked, None), 4);
    third.mood(Mood::Good);
    assert_eq!(ask_again(&server.app).await.unwrap(), GOOD, "and it goes on where it was");
    // Nobody there at all.
    let gone = ThirdParty::start().await;
    let mut settings = server.app.settings.clone();
    let elsewhere = gone.stopped().await;
    settings.sign_in.providers[0].service = {
        let mut service = provider(&elsewhere, "idp").service;
        service.name = "idp".into();
        service
    };
    let away = server.reloaded(settings);
    server.push(3_601);
    assert_eq!(ask_again(&away.app).await.unwrap(), FAILED);
    assert_eq!(epoch(&server, ada).await, 0);
    refreshed(&server, &tokens).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn as_151_c13_of_many_nodes_one_asks() {
    let (server, third, ada) = world().await;
    granted(&server, &third).await;
    let other = server.beside().await;
    third.mood(Mood::Slow);
    server.push(3_601);
    let before = third.asked().len();
    let both: Vec<_> = (0..16)
        .map(|at| {
            let app = Arc::clone(if at % 2 == 0 { &server.app } else { &other.app });
            tokio::spawn(async move { ask_again(&app).await.unwrap() })
        })
        .collect();
    let mut good = 0;
    for one in both {
        good += one.await.unwrap().good;
    }
    assert_eq!((good, third.asked().len() - before, epoch(&server, ada).await), (1, 1, 0));
}

#[tokio::test]
async fn as_214_only_what_was_opened_with_it_ends_with_it() {
    let (server, third, ada) = world().await;
    granted(&server, &third).await;
    // Signed out everywhere, and in again with a password: nothing of the provider's word is left.
    let until = server.app.settings.tokens_until(server.now());
    server.app.store.person_epoch_raise(ada, until, server.now()).await.unwrap();
    third.forget();
    server.push(3_601);
    assert_eq!(ask_again(&server.app).await.unwrap(), AskedAgain::default());
    assert_eq!(epoch(&server, ada).await, 1);
    // A row that somebody put in another's place does not open, and nothing ends.
    let (server, third, ada) = world().await;
    granted(&server, &third).await;
    let bob = crate::accounts::add_person(&server.app, server.now()).await;
    link(&server, &third, "sub-of-bob", bob).await;
    let database = rusqlite::Connection::open(server.folder.path().join("hallpass.sqlite")).unwrap();
    let swap = "UPDATE account_link SET sealed = (SELECT sealed FROM account_link WHERE subject = 'sub-of-ada') WHERE subject = 'sub-of-bob';
        UPDATE account_link SET sealed = NULL WHERE subject = 'sub-of-ada';";
    database.execute_batch(swap).unwrap();
    server.push(3_601);
    let before = third.asked().len();
    assert_eq!(ask_again(&server.app).await.unwrap(), FAILED);
    assert_eq!((third.asked().len(), epoch(&server, ada).await, epoch(&server, bob).await), (before, 0, 0));
}
