//! The answer to the client, through a page of ours that moves on by itself.
//!
//! A redirect behind a form is blocked by `form-action` in real browsers as soon as the target redirects again or has
//! a scheme of its own (P08), so the answer to the form is a page. It can take a [`CheckedRedirect`] only.

use super::{request::AuthorizationRequest, rules::AuthorizeRefusal};
use crate::{
    app::App,
    http::respond::Reply,
    pages::{self, Moving},
};
use hallpass_core::{parameters, redirect::CheckedRedirect, secret::SecretString};

/// With a code.
pub fn code(
    app: &App,
    redirect: &CheckedRedirect,
    request: &AuthorizationRequest,
    code: &SecretString,
) -> Reply {
    move_on(app, redirect, request, &[("code", code.expose())], true)
}

/// With an error.
pub fn refusal(
    app: &App,
    redirect: &CheckedRedirect,
    request: &AuthorizationRequest,
    refusal: AuthorizeRefusal,
) -> Reply {
    let (code, description) = refusal.code();
    move_on(app, redirect, request, &[("error", code.name()), ("error_description", description)], false)
}

fn move_on(
    app: &App,
    redirect: &CheckedRedirect,
    request: &AuthorizationRequest,
    answer: &[(&str, &str)],
    allowed: bool,
) -> Reply {
    let state = request.state.as_deref().map(|state| ("state", state));
    // RFC 9207: who answers, on success and on errors, so that no other server's answer is taken for ours.
    let issuer = ("iss", app.settings.issuer.as_str());
    let all = answer.iter().copied().chain(state).chain([issuer]);
    let target = parameters::append_to(redirect.uri().as_str(), all);
    pages::moving(&Moving { target: &target, receiver: &redirect.uri().receiver(), allowed })
}
