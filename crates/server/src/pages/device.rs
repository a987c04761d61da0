//! What a person sees who lets a device in.

use super::rendered;
use crate::http::respond::Reply;
use askama::Template;
use http::StatusCode;

/// Where the letters are typed.
#[derive(Template)]
#[template(path = "device.html")]
pub struct DevicePage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Token against cross-site requests.
    pub csrf: &'a str,
    /// Who is signed in.
    pub person: &'a str,
    /// What a link brought; empty for nothing.
    pub user_code: &'a str,
    /// What went wrong.
    pub message: Option<&'a str>,
}

/// Until the device has polled.
#[derive(Template)]
#[template(path = "device_wait.html")]
pub struct DeviceWaitPage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// What was typed.
    pub user_code: &'a str,
}

/// The question about the device that polls.
#[derive(Template)]
#[template(path = "device_ask.html")]
pub struct DeviceAskPage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// What was typed.
    pub user_code: &'a str,
    /// The address that the device polls from.
    pub place: Option<&'a str>,
    /// Whether that is another address than the person's.
    pub elsewhere: bool,
    /// The person's.
    pub here: &'a str,
    /// What the client calls itself.
    pub client_name: &'a str,
    /// Who vouches for that, if anybody.
    pub client_host: Option<&'a str>,
    /// Whether an operator of this server made it.
    pub known: bool,
    /// Why it could be taken for another, in words.
    pub look_alikes: Vec<&'static str>,
    /// The protected server in words.
    pub resource_title: &'a str,
    /// Its identifier.
    pub resource: &'a str,
    /// What the client may do there, in words.
    pub scopes: Vec<String>,
    /// Whether it stays signed in.
    pub offline: bool,
    /// The service that the person has to connect before it is of use, and where.
    pub connect: Option<(&'a str, &'a str)>,
    /// Who is asked.
    pub person: &'a str,
    /// Token against cross-site requests.
    pub csrf: &'a str,
    /// What was shown, sealed.
    pub page: &'a str,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceEnd {
    /// Yes.
    Allowed,
    /// No.
    Declined,
    /// Two devices or two people had the same letters.
    Spoiled,
}

impl DeviceEnd {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Allowed => (
                "Allowed",
                "The device goes on by itself within a few seconds. You can close this window. What you allowed stands on your account page, where you can take it back.",
            ),
            Self::Declined => ("Not allowed", "The device got nothing. You can close this window."),
            Self::Spoiled => (
                "This code cannot be used",
                "It was used in two places at once, or you entered another one since. Nothing was allowed. Start again on the device: it shows a new code.",
            ),
        }
    }
}

#[derive(Template)]
#[template(path = "device_end.html")]
struct DeviceEndPage<'a> {
    base: &'a str,
    heading: &'static str,
    words: &'static str,
}

/// Where the letters are typed.
pub fn device(page: &DevicePage<'_>) -> Reply {
    rendered(StatusCode::OK, page)
}

/// Until the device has polled.
pub fn device_wait(page: &DeviceWaitPage<'_>) -> Reply {
    rendered(StatusCode::OK, page)
}

/// The question about the device that polls.
pub fn device_ask(page: &DeviceAskPage<'_>) -> Reply {
    rendered(StatusCode::OK, page)
}

/// How it ended.
pub fn device_end(base: &str, end: DeviceEnd) -> Reply {
    let (heading, words) = end.words();
    rendered(StatusCode::OK, &DeviceEndPage { base, heading, words })
}
