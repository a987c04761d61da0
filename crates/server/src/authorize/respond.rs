//! The answer to the client, through a page of ours that moves on by itself.
//!
//! A redirect behind a form is blocked by `form-action` in real browsers as soon as the target redirects again or has
//! a scheme of its own (P08), so the answer to the form is a page. It can take a [`CheckedRedirect`] only.

use super::{request::AuthorizationRequest, rules::AuthorizeRefusal};
use crate::{
    app::App,
    clients::Origin,
    http::respond::Reply,
    pages::{self, Moving, Outcome},
};
use hallpass_core::{parameters, redirect::CheckedRedirect, secret::SecretString};

/// With a code.
pub fn code(
    app: &App,
    redirect: &CheckedRedirect,
    request: &AuthorizationRequest,
    code: &SecretString,
) -> Reply {
    move_on(app, redirect, request, &[("code", code.expose())], Outcome::Allowed)
}

/// With the person's no.
pub fn declined(app: &App, redirect: &CheckedRedirect, request: &AuthorizationRequest) -> Reply {
    error(app, redirect, request, AuthorizeRefusal::Denied, Outcome::Declined)
}

/// With an error that came before any question. Anybody can register a host, so a link through us must not carry a person
/// there unseen: such an answer waits for a click. A program on the person's own computer and a client of an operator's
/// get theirs at once.
pub fn refusal(
    app: &App,
    redirect: &CheckedRedirect,
    request: &AuthorizationRequest,
    refusal: AuthorizeRefusal,
    origin: &Origin,
) -> Reply {
    let outcome = if is_trusted(redirect, origin) { Outcome::Refused } else { Outcome::RefusedAndWaiting };
    error(app, redirect, request, refusal, outcome)
}

/// Whether nobody can be led astray there.
pub fn is_trusted(redirect: &CheckedRedirect, origin: &Origin) -> bool {
    let uri = redirect.uri();
    matches!(origin, Origin::Operator) || uri.is_loopback() || uri.is_private_use()
}

fn error(
    app: &App,
    redirect: &CheckedRedirect,
    request: &AuthorizationRequest,
    refusal: AuthorizeRefusal,
    outcome: Outcome,
) -> Reply {
    let (code, description) = refusal.code();
    move_on(app, redirect, request, &[("error", code.name()), ("error_description", description)], outcome)
}

fn move_on(
    app: &App,
    redirect: &CheckedRedirect,
    request: &AuthorizationRequest,
    answer: &[(&str, &str)],
    outcome: Outcome,
) -> Reply {
    let state = request.state.as_deref().map(|state| ("state", state));
    // RFC 9207: who answers, on success and on errors, so that no other server's answer is taken for ours.
    let issuer = ("iss", app.settings.issuer.as_str());
    let all = answer.iter().copied().chain(state).chain([issuer]);
    let target = parameters::append_to(redirect.uri().as_str(), all);
    pages::moving(&Moving { target: &target, receiver: &redirect.uri().receiver(), outcome })
}
