//! What a person sees of their second factor.

use super::rendered;
use crate::http::respond::Reply;
use askama::Template;
use hallpass_core::secret::SecretString;
use http::StatusCode;

/// Where the code is typed, between the first factor and a session.
#[derive(Template)]
#[template(path = "second_factor_code.html")]
pub struct CodePage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Whose.
    pub person: &'a str,
    /// Token against cross-site requests.
    pub csrf: &'a str,
    /// What went wrong.
    pub message: Option<&'a str>,
    /// Whether a recovery code is asked for.
    pub recovery: bool,
    /// Where the sign-in begins.
    pub back: &'a str,
}

/// What an app is given.
#[derive(Template)]
#[template(path = "second_factor_set_up.html")]
pub struct SetUpPage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Where the form goes.
    pub action: &'a str,
    /// Whose.
    pub person: &'a str,
    /// Token against cross-site requests.
    pub csrf: &'a str,
    /// What went wrong.
    pub message: Option<&'a str>,
    /// For an app on this very device.
    pub uri: &'a str,
    /// To be typed.
    pub secret: &'a str,
    /// The QR code: its width, and its path.
    pub picture: Option<(usize, &'a str)>,
    /// Whether the person came from their account, and not from a sign-in.
    pub signed_in: bool,
}

/// The recovery codes, once.
#[derive(Template)]
#[template(path = "recovery_codes.html")]
pub struct RecoveryCodesPage<'a> {
    /// All of them.
    pub codes: &'a [SecretString],
    /// Where it goes on.
    pub go_on: &'a str,
}

/// The second factor of who is signed in.
#[derive(Template)]
#[template(path = "second_factor.html")]
pub struct SecondFactorPage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Whose.
    pub person: &'a str,
    /// Token against cross-site requests.
    pub csrf: &'a str,
    /// What went wrong.
    pub message: Option<&'a str>,
    /// When it was turned on, in words.
    pub since: &'a str,
    /// Recovery codes that are left.
    pub codes_left: u32,
    /// Whether it may be turned off.
    pub may_turn_off: bool,
}

/// What the account page says of it.
pub struct SecondFactorRow {
    /// When it was turned on, in words, if it is.
    pub since: Option<String>,
    /// Recovery codes that are left.
    pub codes_left: u32,
}

/// Where the code is typed.
pub fn second_factor_code(status: StatusCode, page: &CodePage<'_>) -> Reply {
    rendered(status, page)
}

/// What an app is given.
pub fn second_factor_set_up(status: StatusCode, page: &SetUpPage<'_>) -> Reply {
    rendered(status, page)
}

/// The recovery codes.
pub fn recovery_codes(page: &RecoveryCodesPage<'_>) -> Reply {
    rendered(StatusCode::OK, page)
}

/// The second factor of who is signed in.
pub fn second_factor(status: StatusCode, page: &SecondFactorPage<'_>) -> Reply {
    rendered(status, page)
}
