//! Signing in, signing out, and where a visitor is sent.
//!
//! A sign-in answers 303 to the authorization request it was for. The request waits in the form itself, sealed and
//! bound to the browser's cookie, so that nobody else's form signs this browser in (login CSRF). Signing in at another provider
//! is in [`providers`]; then whoever has a second factor is asked for it ([`second_factor`]), and from the session on nothing differs.

mod agent;
mod argon2id;
pub mod invitation;
pub mod password;
pub mod providers;
pub mod second_factor;
mod session;
pub mod setup;

use crate::{
    app::App,
    audit::{Event, Who},
    authorize::{SINCE, seal_since},
    clients::{Client, display},
    connections::prompt::LINK,
    http::{
        browser::{self, Browser},
        respond::{self, Reply, see_other, with_cookie},
    },
    pages::{self, Problem, SignInPage},
    router::Incoming,
};
use hallpass_core::{
    encoding,
    grant::UserCode,
    parameters::{Parameters, append_to},
    seal::Purpose,
    time::Timestamp,
};
use http::{Method, StatusCode};
use password::{Checked, SignInError};
use second_factor::{First, FirstFactor};
use std::time::Duration;

/// When to come back while all places for hashing are taken.
const BUSY: Duration = Duration::from_secs(5);

/// What waits behind a sign-in form.
#[derive(Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Waiting {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    since: i64,
    client: String,
    /// The query with which whoever is signed in already goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    go_on: Option<String>,
    /// Back to where the code of a device is typed, with what a link brought of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device: Option<String>,
    /// Back to the services to connect, with the link of a prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    connections: Option<String>,
    /// How old a sign-in at a provider may be, in seconds, where that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fresh: Option<u64>,
}

impl Waiting {
    /// For a cookie, where there is little room: without what is shown only before a sign-in.
    fn away(&self) -> Self {
        Self { go_on: None, ..self.clone() }
    }
}

/// An authorization request that waits for a sign-in.
pub struct Behind<'a> {
    /// As it came.
    pub query: &'a str,
    /// Who asks.
    pub client: &'a Client,
    /// When it was first seen.
    pub since: Timestamp,
    /// The query with which whoever is signed in already may go on without signing in again.
    pub go_on: Option<String>,
    /// `login_hint`.
    pub hint: Option<&'a str>,
    /// How old a sign-in may be.
    pub fresh: Option<Duration>,
}

/// What goes into the form beside what waits behind it.
#[derive(Clone, Copy, Default)]
struct Shown<'a> {
    /// A name to begin with. Whoever is called so, or nobody: it is not looked up.
    name: &'a str,
    message: Option<&'a str>,
}

/// The form, with an authorization request waiting behind it.
pub fn form_page(app: &App, browser: &Browser, behind: &Behind<'_>) -> Reply {
    let waiting = Waiting {
        query: Some(behind.query.to_owned()),
        since: behind.since.millis(),
        client: behind.client.name.as_str().to_owned(),
        go_on: behind.go_on.clone(),
        device: None,
        connections: None,
        fresh: behind.fresh.map(|age| age.as_secs()),
    };
    let shown = Shown { name: behind.hint.unwrap_or_default(), message: None };
    sign_in_page(app, browser, &waiting, shown, StatusCode::OK)
}

/// The form, for whoever wants to let a device in.
pub fn form_for_device(app: &App, browser: &Browser, code: Option<UserCode>) -> Reply {
    let device = Some(code.map(|code| code.to_string()).unwrap_or_default());
    let waiting = Waiting { device, ..Waiting::default() };
    sign_in_page(app, browser, &waiting, Shown::default(), StatusCode::OK)
}

/// The form, for whoever wants to connect a service; `link` is that of a client's prompt.
pub fn form_for_connections(app: &App, browser: &Browser, link: Option<&str>) -> Reply {
    let connections = Some(link.filter(|link| link.len() <= 512).unwrap_or_default().to_owned());
    let waiting = Waiting { connections, ..Waiting::default() };
    sign_in_page(app, browser, &waiting, Shown::default(), StatusCode::OK)
}

/// The form, for whoever is signed in and has to be there once more. It leads back to the account.
pub fn form_once_more(app: &App, browser: &Browser, message: &str) -> Reply {
    let shown = Shown { message: Some(message), ..Shown::default() };
    sign_in_page(app, browser, &once_more(browser), shown, StatusCode::FORBIDDEN)
}

/// Whoever is signed in already and signs in is there once more, or is somebody else: a provider that knows the browser has to ask.
fn once_more(browser: &Browser) -> Waiting {
    Waiting { fresh: browser.signed_in.as_ref().map(|_| 0), ..Waiting::default() }
}

/// The services to connect; with the link of a prompt, where there was one.
fn connections_page(app: &App, link: &str) -> String {
    let page = format!("{}/account/connections", app.settings.issuer.path());
    if link.is_empty() { page } else { append_to(&page, [(LINK, link)]) }
}

/// Where the code of a device is typed; with it, where it was brought by a link.
fn device_page(app: &App, code: &str) -> String {
    let page = format!("{}/device", app.settings.issuer.path());
    match UserCode::parse(code) {
        Some(code) => format!("{page}?user_code={code}"),
        None => page,
    }
}

fn sign_in_page(
    app: &App,
    browser: &Browser,
    waiting: &Waiting,
    shown: Shown<'_>,
    status: StatusCode,
) -> Reply {
    let plaintext = serde_json::to_vec(waiting).unwrap_or_default();
    let sealed = app.keys.seal(Purpose::SignInForm, &browser.id, &plaintext, &*app.entropy);
    let base = app.settings.issuer.path();
    let query = waiting.query.as_deref();
    let person = browser.signed_in.as_ref().map(|signed_in| signed_in.person.name.as_str());
    let go_on = waiting.go_on.as_ref().map(|query| format!("{base}/authorize?{query}"));
    let again = person.filter(|_| go_on.is_none()).unwrap_or_default();
    let name = if is_a_name(shown.name) { shown.name.trim() } else { again };
    pages::sign_in(
        status,
        &SignInPage {
            base,
            client_name: &waiting.client,
            device: waiting.device.is_some(),
            message: shown.message,
            csrf: &browser.csrf(app),
            waiting: &encoding::base64url(&sealed),
            name,
            person,
            go_on: go_on.as_deref(),
            query,
            passwords: app.settings.sign_in.passwords,
            providers: app.settings.sign_in.providers.iter().map(pages::ProviderButton::of).collect(),
        },
    )
}

/// Whether this may stand in the field for the name: what a link brings must not make the page say something else.
fn is_a_name(text: &str) -> bool {
    password::name_complaint(&password::fold(text)).is_none() && display::is_plain(text)
}

/// `GET /` : to set-up while there is nobody, else to the account.
pub async fn start(app: &App, _: &Incoming) -> Reply {
    let base = app.settings.issuer.path();
    match app.store.person_exists().await {
        // Without passwords the first account is made by an operator, or by a provider's word.
        _ if !app.settings.sign_in.passwords => see_other(&format!("{base}/account")),
        Ok(true) => see_other(&format!("{base}/account")),
        Ok(false) => see_other(&format!("{base}/setup")),
        Err(error) => unavailable(&error),
    }
}

/// `GET` and `POST /sign-in`.
pub async fn sign_in(app: &App, incoming: &Incoming) -> Reply {
    let browser = match browser::read(app, incoming).await {
        Ok(browser) => browser,
        Err(error) => return unavailable(&error),
    };
    if incoming.method != Method::POST {
        let reply = sign_in_page(app, &browser, &once_more(&browser), Shown::default(), StatusCode::OK);
        return with_cookie(reply, browser.cookie(app));
    }
    let Some(parameters) = browser::form(incoming) else {
        return pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest);
    };
    let waiting = parameters.get("waiting").and_then(|text| open(app, &browser, text));
    let Some(waiting) = waiting.filter(|_| browser.sent_this(app, incoming, parameters.get("csrf"))) else {
        // The cookie is new, or the form is an old one or somebody else's: a fresh form, never a sign-in.
        let message = Some(
            "This form is no longer valid. Please sign in again; if this page keeps coming back, allow cookies for this site.",
        );
        let shown = Shown { name: "", message };
        let reply = sign_in_page(app, &browser, &Waiting::default(), shown, StatusCode::FORBIDDEN);
        return with_cookie(reply, browser.cookie(app));
    };
    let sign_in = &app.settings.sign_in;
    match parameters.get("provider").map(|name| sign_in.provider(name)) {
        Some(Some(provider)) => {
            let errand = providers::Errand::SignIn(&waiting);
            providers::begin(app, incoming, &browser, provider, errand).await
        }
        Some(None) => pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest),
        None if sign_in.passwords => attempt(app, incoming, &browser, &waiting, &parameters).await,
        None => {
            app.audit.record(incoming.cx, Event::sign_in_refused(None, "passwords_off"));
            let shown = Shown { name: "", message: Some("Passwords are not used here.") };
            sign_in_page(app, &browser, &waiting, shown, StatusCode::FORBIDDEN)
        }
    }
}

async fn attempt(
    app: &App,
    incoming: &Incoming,
    browser: &Browser,
    waiting: &Waiting,
    parameters: &Parameters,
) -> Reply {
    let (name, password) =
        (parameters.get("name").unwrap_or_default(), parameters.get("password").unwrap_or_default());
    let (message, status, wait) = match password::check(app, incoming, name, password).await {
        Ok(Checked { person }) => {
            let first = First { person, factor: FirstFactor::Password, waiting: waiting.clone() };
            return second_factor::after_first(app, incoming, browser, first).await;
        }
        Err(SignInError::Wrong) => ("Name or password is wrong.", StatusCode::UNAUTHORIZED, None),
        Err(SignInError::TooMany(wait)) => (
            "Too many tries. Please wait a quarter of an hour, or use a browser in which you signed in before.",
            StatusCode::TOO_MANY_REQUESTS,
            Some(wait),
        ),
        Err(SignInError::Busy) => (
            "Too many people are signing in at this moment. Please try again.",
            StatusCode::SERVICE_UNAVAILABLE,
            Some(BUSY),
        ),
        Err(SignInError::Store(error)) => return unavailable(&error),
    };
    let shown = Shown { name, message: Some(message) };
    let reply = sign_in_page(app, browser, waiting, shown, status);
    match wait {
        Some(wait) => respond::with_retry_after(reply, wait),
        None => reply,
    }
}

/// Where a sign-in leads to.
pub(crate) fn goes_on(app: &App, waiting: &Waiting) -> String {
    let base = app.settings.issuer.path();
    match (&waiting.query, &waiting.device) {
        (None, Some(code)) => device_page(app, code),
        (None, None) => match &waiting.connections {
            Some(link) => connections_page(app, link),
            None => format!("{base}/account"),
        },
        (Some(query), _) => {
            let without =
                query.split('&').filter(|pair| !pair.starts_with(SINCE)).collect::<Vec<_>>().join("&");
            let since = seal_since(app, Timestamp::from_millis(waiting.since));
            append_to(&format!("{base}/authorize?{without}"), [(SINCE, &*since)])
        }
    }
}

/// Where it began, for whoever wants to sign in as somebody else.
pub(crate) fn goes_back(app: &App, waiting: &Waiting) -> String {
    let base = app.settings.issuer.path();
    match (&waiting.query, &waiting.device, &waiting.connections) {
        (Some(query), ..) => format!("{base}/authorize?{query}"),
        (None, Some(code), _) => device_page(app, code),
        (None, None, Some(link)) => connections_page(app, link),
        (None, None, None) => format!("{base}/sign-in"),
    }
}

/// `POST /sign-out`.
pub async fn sign_out(app: &App, incoming: &Incoming) -> Reply {
    let browser = match browser::read(app, incoming).await {
        Ok(browser) => browser,
        Err(error) => return unavailable(&error),
    };
    let Some(parameters) = browser::form(incoming) else {
        return pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest);
    };
    if !browser.sent_this(app, incoming, parameters.get("csrf")) {
        return pages::problem(StatusCode::FORBIDDEN, Problem::NotFromHere);
    }
    if let Some(signed_in) = &browser.signed_in {
        if let Err(error) = app.store.session_close(signed_in.session.id).await {
            return unavailable(&error);
        }
        app.audit.record(incoming.cx, Event::signed_out(Who::of(&signed_in.person), signed_in.session.id));
    }
    // "Not you? Switch account" comes here with the request to return to.
    let back = parameters.get("query").filter(|query| query.len() < 8192);
    let base = app.settings.issuer.path();
    let target = match (back, parameters.get("from")) {
        (Some(query), _) => format!("{base}/authorize?{query}"),
        (None, Some("device")) => device_page(app, parameters.get("user_code").unwrap_or_default()),
        (None, _) => format!("{base}/sign-in"),
    };
    with_cookie(see_other(&target), browser::clear_session(app))
}

fn open(app: &App, browser: &Browser, text: &str) -> Option<Waiting> {
    let sealed = encoding::from_base64url(text)?;
    let plaintext = app.keys.open(Purpose::SignInForm, &browser.id, &sealed).ok()?;
    serde_json::from_slice(&plaintext).ok()
}

/// The page for a store that failed.
pub fn unavailable(error: &hallpass_store::StoreError) -> Reply {
    tracing::error!(?error, "a page failed in the store");
    pages::problem(StatusCode::SERVICE_UNAVAILABLE, Problem::Unavailable)
}
