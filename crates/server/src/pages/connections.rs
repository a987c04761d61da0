//! What a person sees of the services that can be connected.

use super::rendered;
use crate::http::respond::Reply;
use askama::Template;
use http::StatusCode;

/// The list.
#[derive(Template)]
#[template(path = "connections.html")]
pub struct ConnectionsPage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Who.
    pub person: &'a str,
    /// Token against cross-site requests.
    pub csrf: &'a str,
    /// What a call waits for.
    pub wanted: Option<&'a str>,
    /// What was connected just now.
    pub done: Option<&'a str>,
    /// The services.
    pub rows: Vec<ConnectionRow>,
}

/// One service, in words.
pub struct ConnectionRow {
    /// The operator's name for it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Where one signs in.
    pub host: String,
    /// Which servers use it.
    pub servers: Vec<String>,
    /// What is asked for there.
    pub scopes: Vec<String>,
    /// Since when it is connected.
    pub since: Option<String>,
    /// Whether the service no longer takes it.
    pub dead: bool,
}

impl ConnectionRow {
    /// Whether calls can use it.
    pub const fn is_connected(&self) -> bool {
        self.since.is_some() && !self.dead
    }
}

/// The page that moves on to a service.
#[derive(Template)]
#[template(path = "connecting.html")]
pub struct ConnectingPage<'a> {
    /// The page there.
    pub target: &'a str,
    /// What people call it.
    pub title: &'a str,
    /// Its host.
    pub host: &'a str,
}

/// Why a service was not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionProblem {
    /// The link is over, or was cut.
    Link,
    /// It is for another person.
    OfAnother,
    /// A service answered what this browser with this person did not ask for.
    NotAskedFor,
    /// The person said no there.
    Declined,
    /// The service refused.
    Refused,
    /// The service cannot be asked.
    Unavailable,
}

impl ConnectionProblem {
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Link => (
                "This link is no longer valid",
                "It was good for an hour, or a part of it is missing. Go to your account's connected services, or try again in your application to get a new one.",
            ),
            Self::OfAnother => (
                "This link is for another account",
                "Somebody else's application asked for it, or yours uses another account than this browser. Nothing was connected. Never connect an account of yours because of a link that somebody sent you; if it is your own, sign out and sign in with the account that your application uses.",
            ),
            Self::NotAskedFor => (
                "This browser did not ask for that",
                "The connection was begun in another browser or by another account, or too long ago. Nothing was connected. Begin at your account's connected services.",
            ),
            Self::Declined => (
                "Not connected",
                "You declined there, so nothing was connected. You can begin again at your account's connected services.",
            ),
            Self::Refused => (
                "The service did not give access",
                "Nothing was connected. Begin again at your account's connected services; if it happens again, tell whoever runs this server.",
            ),
            Self::Unavailable => (
                "The service cannot be reached",
                "Nothing was connected, and nothing was lost. Try again in a few minutes; if it happens again, tell whoever runs this server.",
            ),
        }
    }
}

/// The list.
pub fn connections(page: &ConnectionsPage<'_>) -> Reply {
    rendered(StatusCode::OK, page)
}

/// The page that moves on.
pub fn connecting(page: &ConnectingPage<'_>) -> Reply {
    rendered(StatusCode::OK, page)
}
