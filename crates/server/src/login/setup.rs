//! The first account: a one-time link from the terminal, never claimable without it (T-101).

use crate::{
    app::App,
    audit::{Event, Who},
    http::{
        browser::{self, Browser},
        respond::{Reply, see_other, with_cookie},
    },
    login::{
        Waiting, password,
        second_factor::{First, FirstFactor, after_first},
        unavailable,
    },
    pages::{self, Problem, SetupPage},
    router::Incoming,
    settings::Settings,
};
use hallpass_core::{
    encoding,
    entropy::{self, Entropy},
    grant::digest32,
    id::PersonId,
    parameters::{Limits, Parameters},
    secret::SecretString,
    time::Timestamp,
};
use hallpass_store::{FirstPerson, Person, Store, StoreError};
use http::{Method, StatusCode};
use std::time::Duration;

/// How long the link may be used.
const LINK_LIFETIME: Duration = Duration::from_hours(1);

/// A new one-time link, if there is no account yet. An older link dies. Only the digest of the code is kept.
pub async fn setup_link(app: &App) -> Result<Option<SecretString>, StoreError> {
    if !app.settings.sign_in.passwords {
        return Ok(None);
    }
    new_setup_link(&*app.store, &app.settings, &*app.entropy, app.clock.now()).await
}

/// The same beside a server, or where none runs.
pub async fn new_setup_link(
    store: &dyn Store,
    settings: &Settings,
    entropy: &dyn Entropy,
    now: Timestamp,
) -> Result<Option<SecretString>, StoreError> {
    let code = encoding::base64url(&entropy::random::<24>(entropy));
    let open = store.setup_code_put(digest32(&code), now.plus(LINK_LIFETIME)).await?;
    let link = format!("{}?code={code}", settings.issuer.endpoint("/setup"));
    Ok(open.then(|| SecretString::new(link)))
}

/// `GET` and `POST /setup`.
pub async fn setup(app: &App, incoming: &Incoming) -> Reply {
    if !app.settings.sign_in.passwords {
        return see_other(&format!("{}/account", app.settings.issuer.path()));
    }
    match app.store.person_exists().await {
        Ok(true) => return see_other(&format!("{}/account", app.settings.issuer.path())),
        Ok(false) => {}
        Err(error) => return unavailable(&error),
    }
    let browser = match browser::read(app, incoming).await {
        Ok(browser) => browser,
        Err(error) => return unavailable(&error),
    };
    let csrf = browser.csrf(app);
    let page = |code: &str, message, status| {
        let page = SetupPage { base: app.settings.issuer.path(), code, csrf: &csrf, message };
        with_cookie(pages::setup(status, &page), browser.cookie(app))
    };
    if incoming.method != Method::POST {
        let query = Parameters::parse(incoming.query.as_bytes(), Limits::default()).unwrap_or_default();
        return page(query.get("code").unwrap_or_default(), None, StatusCode::OK);
    }
    let Some(parameters) = browser::form(incoming) else {
        return pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest);
    };
    let code = parameters.get("code").unwrap_or_default();
    if !browser.sent_this(app, incoming, parameters.get("csrf")) {
        return page(
            code,
            Some("Please send the form again; if this page keeps coming back, allow cookies for this site."),
            StatusCode::FORBIDDEN,
        );
    }
    let (name, password) =
        (parameters.get("name").unwrap_or_default(), parameters.get("password").unwrap_or_default());
    if let Some(complaint) = password::complaint(name, password) {
        return page(code, Some(complaint), StatusCode::BAD_REQUEST);
    }
    match create(app, incoming, &browser, code, (name, password)).await {
        Ok(Created::Yes(reply)) => reply,
        Ok(Created::WrongCode) => page(
            "",
            Some(
                "This link was used, has expired or is not complete. `hallpass admin recover` prints a new one.",
            ),
            StatusCode::FORBIDDEN,
        ),
        Ok(Created::Busy) => {
            page(code, Some("The server is busy. Please try again."), StatusCode::SERVICE_UNAVAILABLE)
        }
        Err(error) => unavailable(&error),
    }
}

enum Created {
    Yes(Reply),
    WrongCode,
    Busy,
}

async fn create(
    app: &App,
    incoming: &Incoming,
    browser: &Browser,
    code: &str,
    (name, password): (&str, &str),
) -> Result<Created, StoreError> {
    let cx = incoming.cx;
    let Ok(password) = app.passwords.hash(SecretString::new(password), &*app.entropy).await else {
        return Ok(Created::Busy);
    };
    let person = Person {
        id: PersonId::new(cx.now, &*app.entropy),
        name: password::fold(name),
        password,
        epoch: 0,
        disabled_at: None,
        created_at: cx.now,
    };
    let account = format!("{}/account", app.settings.issuer.path());
    let digest = digest32(code);
    match app.store.person_create_first(digest, person.clone(), cx.now).await? {
        FirstPerson::Created => {
            app.audit.record(cx, Event::setup_used(Who::of(&person), &digest));
            let first = First { person, factor: FirstFactor::Link, waiting: Waiting::default() };
            Ok(Created::Yes(after_first(app, incoming, browser, first).await))
        }
        FirstPerson::Closed => Ok(Created::Yes(see_other(&account))),
        FirstPerson::WrongCode => {
            app.audit.record(cx, Event::setup_refused());
            Ok(Created::WrongCode)
        }
    }
}
