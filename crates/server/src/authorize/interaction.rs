//! What a person has to do next: sign in, or answer.

use super::request::AuthorizationRequest;
use crate::{
    app::App,
    http::browser::{Browser, SignedIn},
};
use hallpass_core::{encoding, seal::Purpose, time::Timestamp};
use std::time::Duration;

/// The next step.
pub enum Next<'a> {
    /// Sign in; a sign-in after `since` will do.
    SignIn {
        /// When the request was first seen.
        since: Timestamp,
        /// Whether whoever is signed in already may go on without signing in again.
        may_go_on: bool,
    },
    /// Answer the question.
    Ask(&'a SignedIn),
}

/// Decides. `prompt=login` and `max_age` ask for a sign-in of a certain age, `prompt=select_account` for a choice; a
/// sign-in since this request was first seen always satisfies them, or the person would go round in circles.
pub fn next<'a>(app: &App, request: &AuthorizationRequest, browser: &'a Browser, now: Timestamp) -> Next<'a> {
    let since = request.since.as_deref().and_then(|text| open_since(app, text)).unwrap_or(now);
    let Some(signed_in) = &browser.signed_in else {
        return Next::SignIn { since, may_go_on: false };
    };
    let at = signed_in.session.signed_in_at;
    let too_old = request.prompts("login") || max_age(request).is_some_and(|max_age| now.since(at) > max_age);
    if (too_old || request.prompts("select_account")) && at < since {
        Next::SignIn { since, may_go_on: !too_old }
    } else {
        Next::Ask(signed_in)
    }
}

/// How old a sign-in at a provider may be for this request: one that knows the browser would not ask the person.
pub fn fresh(request: &AuthorizationRequest) -> Option<Duration> {
    if request.prompts("login") { Some(Duration::ZERO) } else { max_age(request) }
}

fn max_age(request: &AuthorizationRequest) -> Option<Duration> {
    request.max_age.as_deref().and_then(|text| text.parse().ok()).map(Duration::from_secs)
}

/// Seals the moment for the query.
pub fn seal_since(app: &App, since: Timestamp) -> String {
    let sealed = app.keys.seal(Purpose::SignInForm, b"since", &since.millis().to_be_bytes(), &*app.entropy);
    encoding::base64url(&sealed)
}

fn open_since(app: &App, text: &str) -> Option<Timestamp> {
    let sealed = encoding::from_base64url(text)?;
    let bytes = app.keys.open(Purpose::SignInForm, b"since", &sealed).ok()?;
    Some(Timestamp::from_millis(i64::from_be_bytes(bytes.try_into().ok()?)))
}
