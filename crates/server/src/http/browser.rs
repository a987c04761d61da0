//! Cookies, tokens against cross-site requests, and the signed-in session of a browser.
//!
//! Two cookies: one for the browser from its first page on, random, to which every form is bound, and one for the
//! session. The session's id is authenticated, so that a forged one costs no lookup and a dump of the database signs
//! nobody in.

use crate::{app::App, router::Incoming, token};
use hallpass_core::{
    encoding, entropy,
    id::{PersonId, SessionId},
    parameters::Parameters,
    seal::Purpose,
};
use hallpass_store::{Person, Session, StoreError};
use http::HeaderValue;
use std::time::Duration;

const BROWSER: &str = "hallpass_browser";
const SESSION: &str = "hallpass_session";
const KNOWN: &str = "hallpass_known";
const MAC: usize = 20;
/// Longest value of a cookie: with the longest of our names 4,096 characters, which every browser keeps.
pub const LONGEST_COOKIE: usize = 4_050;

/// What a request says about its browser.
pub struct Browser {
    /// The value of the browser's cookie: 16 random bytes, made here if the request had none.
    pub id: [u8; 16],
    /// Whether the cookie still has to be set.
    pub is_new: bool,
    /// Who is signed in.
    pub signed_in: Option<SignedIn>,
    /// A session that has not passed each factor that is required now. It opens nothing, and ends with the next sign-in.
    pub half_session: Option<SessionId>,
}

/// A person in a browser.
pub struct SignedIn {
    /// The session.
    pub session: Session,
    /// The person.
    pub person: Person,
}

/// Reads the cookies and looks up the session. Whatever needs a session has it from here: one that has not passed each factor is
/// none (T-17). Of those whose person has a second factor the store finds none without it, whatever the operator's setting.
pub async fn read(app: &App, incoming: &Incoming) -> Result<Browser, StoreError> {
    let known = cookie(app, incoming, BROWSER).and_then(|text| encoding::array_from_base64url(&text));
    let id = known.unwrap_or_else(|| entropy::random(&*app.entropy));
    let found = match session_id(app, incoming) {
        None => None,
        Some(session) => app.store.session_read(session, incoming.cx.now).await?,
    };
    let (signed_in, half_session) = match found {
        Some((session, person)) if app.settings.sign_in.is_enough(&session) => {
            (Some(SignedIn { session, person }), None)
        }
        Some((session, _)) => (None, Some(session.id)),
        None => (None, None),
    };
    Ok(Browser { id, is_new: known.is_none(), signed_in, half_session })
}

impl Browser {
    /// The token that each form of this browser carries. It changes with the session.
    pub fn csrf(&self, app: &App) -> String {
        let mac =
            app.keys.mac(app.keys.current(), Purpose::CrossSiteRequest, &self.bound()).unwrap_or_default();
        encoding::base64url(&mac)
    }

    /// What the token is derived from.
    fn bound(&self) -> Vec<u8> {
        let mut data = self.id.to_vec();
        if let Some(signed_in) = &self.signed_in {
            data.extend(signed_in.session.id.as_bytes());
        }
        data
    }

    /// Whether a form was sent from a page of ours in this very browser.
    pub fn sent_this(&self, app: &App, incoming: &Incoming, token: Option<&str>) -> bool {
        !self.is_new
            && from_own_page(app, incoming)
            // Under any of the keys: the page may have been open while another one came first.
            && token.and_then(encoding::array_from_base64url).is_some_and(|mac| {
                app.keys.check_any(Purpose::CrossSiteRequest, &self.bound(), &mac).is_ok()
            })
    }

    /// The cookie to set with the next page, if it is a new browser.
    pub fn cookie(&self, app: &App) -> Option<HeaderValue> {
        self.is_new.then(|| set_cookie(app, BROWSER, &encoding::base64url(&self.id), None)).flatten()
    }
}

/// `Origin` and `Sec-Fetch-Site` where the browser sends them: the first line against cross-site forms. Our pages say
/// `no-referrer`, which makes browsers write `Origin: null` even for our own forms (Fetch §3.1); so does a sandboxed
/// frame of somebody else, whose `Sec-Fetch-Site` gives it away.
fn from_own_page(app: &App, incoming: &Incoming) -> bool {
    let header = |name: &str| incoming.headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let origin =
        header("origin").is_none_or(|origin| origin == app.settings.issuer.origin() || origin == "null");
    let site = header("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    origin && site
}

/// Reads a form of our own pages: each of its fields once, or a proxy and we could read two different answers.
pub fn form(incoming: &Incoming) -> Option<Parameters> {
    token::form(incoming).ok().filter(|parameters| !parameters.repeat())
}

/// The cookie of a session.
pub fn session_cookie(app: &App, session: SessionId) -> Option<HeaderValue> {
    let number = app.keys.current();
    let mut bytes = vec![number];
    bytes.extend(session.as_bytes());
    let mac = app.keys.mac(number, Purpose::SessionCookie, &bytes).unwrap_or_default();
    bytes.extend(mac.iter().take(MAC));
    set_cookie(app, SESSION, &encoding::base64url(&bytes), Some(app.settings.session_lifetime))
}

/// Takes the session's cookie back.
pub fn clear_session(app: &App) -> Option<HeaderValue> {
    set_cookie(app, SESSION, "", Some(Duration::ZERO))
}

fn session_id(app: &App, incoming: &Incoming) -> Option<SessionId> {
    let bytes: [u8; 17 + MAC] = encoding::array_from_base64url(&cookie(app, incoming, SESSION)?)?;
    let (body, mac) = bytes.split_at(17);
    let (&number, id) = body.split_first()?;
    app.keys.check(number, Purpose::SessionCookie, body, mac).ok()?;
    Some(SessionId::from_bytes(id.try_into().ok()?))
}

/// What a browser is busy with, and remembers for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// To connect a service, at its pages.
    Connecting,
    /// To sign in at a provider.
    SigningIn,
    /// With the second factor, after the first.
    HalfSignedIn,
    /// To give an app the secret of a second factor.
    ProposedFactor,
}

impl Way {
    const fn cookie(self) -> &'static str {
        match self {
            Self::Connecting => "hallpass_connecting",
            Self::SigningIn => "hallpass_signing_in",
            Self::HalfSignedIn => "hallpass_half_signed_in",
            Self::ProposedFactor => "hallpass_proposed_factor",
        }
    }
}

/// What a browser remembers for us, sealed.
pub fn away_cookie(app: &App, way: Way, sealed: &str, lifetime: Duration) -> Option<HeaderValue> {
    set_cookie(app, way.cookie(), sealed, Some(lifetime))
}

/// What it remembers, as it was sealed.
pub fn away(app: &App, incoming: &Incoming, way: Way) -> Option<String> {
    cookie(app, incoming, way.cookie())
}

/// It is done.
pub fn clear_away(app: &App, way: Way) -> Option<HeaderValue> {
    set_cookie(app, way.cookie(), "", Some(Duration::ZERO))
}

/// Marks a browser in which this person signed in before: guesses from elsewhere do not lock them out of it.
pub fn known_cookie(app: &App, person: PersonId) -> Option<HeaderValue> {
    let sealed = app.keys.seal(Purpose::KnownBrowser, b"", person.as_bytes(), &*app.entropy);
    set_cookie(app, KNOWN, &encoding::base64url(&sealed), Some(Duration::from_hours(8760)))
}

/// Whether this person signed in with this browser before.
pub fn is_known(app: &App, incoming: &Incoming, person: PersonId) -> bool {
    let opened = cookie(app, incoming, KNOWN)
        .and_then(|text| encoding::from_base64url(&text))
        .and_then(|sealed| app.keys.open(Purpose::KnownBrowser, b"", &sealed).ok());
    opened.is_some_and(|id| id == person.as_bytes())
}

/// `__Host-` binds a cookie to this host, to https and to the path `/`. A loopback issuer has no https.
fn cookie_name(app: &App, name: &str) -> String {
    if app.settings.is_https() { format!("__Host-{name}") } else { name.to_owned() }
}

fn set_cookie(app: &App, name: &str, value: &str, max_age: Option<Duration>) -> Option<HeaderValue> {
    let secure = if app.settings.is_https() { "; Secure" } else { "" };
    let age = max_age.map_or(String::new(), |age| format!("; Max-Age={}", age.as_secs()));
    let name = cookie_name(app, name);
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax{secure}{age}").parse().ok()
}

fn cookie(app: &App, incoming: &Incoming, name: &str) -> Option<String> {
    let name = cookie_name(app, name);
    let mut found =
        incoming.headers.get_all("cookie").iter().filter_map(|value| value.to_str().ok()).flat_map(|line| {
            line.split(';').filter_map(|pair| pair.trim().split_once('=')).filter(|(have, _)| *have == name)
        });
    let (_, value) = found.next()?;
    // Two cookies of one name: somebody on a sibling host planted one. Neither counts.
    if found.next().is_some() { None } else { Some(value.to_owned()) }
}
