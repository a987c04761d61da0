//! Everything a person sees: rendered here, without script, readable on a phone and by a screen reader.

mod address;
mod connections;
mod device;
mod providers;
mod second_factor;

pub use address::of_server;
pub use connections::{
    ConnectingPage, ConnectionProblem, ConnectionRow, ConnectionsPage, connecting, connections,
};
pub use device::{
    DeviceAskPage, DeviceEnd, DevicePage, DeviceWaitPage, device, device_ask, device_end, device_wait,
};
pub use providers::{ProviderButton, ProviderRow, SignInProblem};
pub use second_factor::{
    CodePage, RecoveryCodesPage, SecondFactorPage, SecondFactorRow, SetUpPage, recovery_codes, second_factor,
    second_factor_code, second_factor_set_up,
};

use crate::{
    app::App,
    http::respond::{self, Reply},
    router::Incoming,
};
use askama::Template;
use http::StatusCode;

/// Plain CSS with light and dark colours, part of each page, so that an error page needs nothing else.
pub const STYLE: &str = include_str!("../../assets/style.css");

/// The sign-in form.
#[derive(Template)]
#[template(path = "sign_in.html")]
pub struct SignInPage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Who waits for the sign-in; empty for nobody.
    pub client_name: &'a str,
    /// Whether the code of a device is to be typed after it.
    pub device: bool,
    /// What went wrong.
    pub message: Option<&'a str>,
    /// Token against cross-site requests.
    pub csrf: &'a str,
    /// What waits behind the form, sealed.
    pub waiting: &'a str,
    /// What stands in the field for the name.
    pub name: &'a str,
    /// Who is signed in at present.
    pub person: Option<&'a str>,
    /// Where that person goes on without signing in again, if that will do.
    pub go_on: Option<&'a str>,
    /// The request that waits, for "switch account".
    pub query: Option<&'a str>,
    /// Whether with name and password.
    pub passwords: bool,
    /// Or where else.
    pub providers: Vec<ProviderButton<'a>>,
}

/// The form that makes the first account.
#[derive(Template)]
#[template(path = "setup.html")]
pub struct SetupPage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// The one-time code; empty when the link had none.
    pub code: &'a str,
    /// Token against cross-site requests.
    pub csrf: &'a str,
    /// What went wrong.
    pub message: Option<&'a str>,
}

/// The form with which a person chooses a password.
#[derive(Template)]
#[template(path = "invitation.html")]
pub struct InvitationPage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Whose password; empty when the link is not in force.
    pub person: &'a str,
    /// The one-time code.
    pub code: &'a str,
    /// Token against cross-site requests.
    pub csrf: &'a str,
    /// What went wrong.
    pub message: Option<&'a str>,
}

/// The question.
#[derive(Template)]
#[template(path = "consent.html")]
#[allow(clippy::struct_excessive_bools, reason = "each is a sentence of its own")]
pub struct ConsentPage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Host that receives the code.
    pub receiver: &'a str,
    /// Whether that is a program on the person's own computer.
    pub on_this_computer: bool,
    /// Whether that is an app's own scheme.
    pub private_use: bool,
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
    /// What the client may do there, in words, as far as it is new.
    pub scopes: Vec<String>,
    /// What it was allowed before, and asks for again.
    pub before: Vec<String>,
    /// The only tools that it may use there, and with what; empty where there is no such limit.
    pub tools: Vec<String>,
    /// Whether it stays signed in.
    pub offline: bool,
    /// The service that the person has to connect before it is of use, and where.
    pub connect: Option<(&'a str, &'a str)>,
    /// Who is asked.
    pub person: &'a str,
    /// Token against cross-site requests.
    pub csrf: &'a str,
    /// The request, for "switch account".
    pub query: &'a str,
    /// What was shown, sealed.
    pub page: &'a str,
}

/// The page that moves on to the client.
#[derive(Template)]
#[template(path = "moving.html")]
pub struct Moving<'a> {
    /// The redirect URI with the answer.
    pub target: &'a str,
    /// Its host.
    pub receiver: &'a str,
    /// What the answer says.
    pub outcome: Outcome,
}

/// What an answer says, and with it what the person knows of where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The person saw where it goes and said yes.
    Allowed,
    /// The person saw where it goes and said no.
    Declined,
    /// An error, before anything was asked. It goes where no harm can be done.
    Refused,
    /// An error, before anything was asked, for a host that nobody vouches for: the person decides whether to go there
    /// (RFC 9700 §4.11.2).
    RefusedAndWaiting,
}

impl Outcome {
    const fn heading(self) -> &'static str {
        match self {
            Self::Allowed => "Allowed",
            Self::Declined => "Not allowed",
            Self::Refused | Self::RefusedAndWaiting => "The application’s request has a fault",
        }
    }

    const fn waits(self) -> bool {
        matches!(self, Self::RefusedAndWaiting)
    }
}

/// What I allowed.
#[derive(Template)]
#[template(path = "account.html")]
pub struct AccountPage<'a> {
    /// Path of the issuer.
    pub base: &'a str,
    /// Who.
    pub person: &'a str,
    /// Token against cross-site requests.
    pub csrf: &'a str,
    /// The grants.
    pub rows: Vec<GrantRow>,
    /// Where the next page begins.
    pub next: Option<&'a str>,
    /// That there are too many to keep an eye on.
    pub crowd: Option<Crowd>,
    /// Whether there are services to connect.
    pub connections: bool,
    /// Where the person may sign in beside here.
    pub providers: Vec<ProviderRow<'a>>,
    /// Their second factor; nothing where there is none and none may be turned on.
    pub second_factor: Option<SecondFactorRow>,
    /// Where the person is signed in.
    pub browsers: Vec<BrowserRow>,
}

/// One grant, in words.
pub struct GrantRow {
    /// Its id.
    pub id: String,
    /// What the client calls itself.
    pub name: String,
    /// Who vouches for that, if anybody does: a host, or the operator.
    pub vouched: Option<String>,
    /// Where the code went.
    pub receiver: String,
    /// Which server.
    pub resource: String,
    /// What it may do there, in words.
    pub scopes: Vec<String>,
    /// When it was allowed.
    pub allowed: String,
    /// When it was last refreshed.
    pub used: String,
    /// The address that this came from.
    pub place: Option<String>,
}

/// More grants than anybody keeps an eye on.
pub struct Crowd {
    /// So many.
    pub live: u32,
    /// The one that was unused longest.
    pub oldest: Option<GrantRow>,
}

/// A browser in which the person is signed in, in words.
pub struct BrowserRow {
    /// Of the session.
    pub id: String,
    /// "Firefox on Linux".
    pub name: String,
    /// When the person signed in.
    pub since: String,
    /// From which address.
    pub place: Option<String>,
    /// Whether it is the one that shows this page.
    pub this: bool,
}

/// What can be wrong, and what the person can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// No such page.
    NotFound,
    /// A method that the page does not take.
    WrongMethod,
    /// Too large or too slow.
    TooLarge,
    /// Over a limit.
    TooManyRequests,
    /// It cannot be read.
    BadRequest,
    /// The page is too old, or was made for another session.
    StartAgain,
    /// A form that did not come from a page of ours.
    NotFromHere,
    /// Nobody is signed in any more.
    SignedOut,
    /// A device whose client or server is gone.
    DeviceGone,
    /// A pushed request that cannot be used.
    PushedRequest,
    /// No `client_id`.
    NoClient,
    /// A `client_id` that we never gave out.
    UnknownClient,
    /// A client that works by itself, for nobody.
    NotForPeople,
    /// A redirect URI that is not the client's.
    Redirect,
    /// The operator does not want this client.
    ClientNotAllowed,
    /// The client's document cannot be reached.
    DocumentUnreachable,
    /// The client's document was taken away.
    DocumentGone,
    /// The client's document is not usable.
    DocumentInvalid,
    /// The client wants to authenticate in a way that is not offered.
    DocumentAuthMethod,
    /// A service of a third party was not connected.
    Connection(ConnectionProblem),
    /// A sign-in at a provider came to nothing.
    SignIn(SignInProblem),
    /// The store failed.
    Unavailable,
}

impl Problem {
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotFound => (
                "There is no such page",
                "Check the address. What you allowed, and where you are signed in, is on your account page.",
            ),
            Self::WrongMethod => {
                ("This page cannot be called like that", "Go back and use the links and buttons of the page.")
            }
            Self::TooLarge => ("This request is too large or too slow", "Start again from your application."),
            Self::TooManyRequests => ("Too many requests", "Please wait a minute and try again."),
            Self::BadRequest => (
                "This request cannot be read",
                "Start again from your application. If it happens again, the application sends a faulty request: tell its makers.",
            ),
            Self::StartAgain => (
                "This page is no longer valid",
                "It was open for too long, or belongs to another sign-in. Start again from your application; nothing was allowed.",
            ),
            Self::NotFromHere => (
                "This form did not come from here",
                "For your safety nothing was done. Go back, reload the page and try again; if it happens again, allow cookies for this site.",
            ),
            Self::SignedOut => {
                ("You are signed out", "Nothing was allowed. Start again from your application.")
            }
            Self::DeviceGone => (
                "This device cannot be let in",
                "Its application or what it asks for is not known here any more. Nothing was allowed. Start again on the device.",
            ),
            Self::PushedRequest => (
                "This request is no longer valid",
                "The application handed it over in advance, which is good once, for a minute and a half, and in one browser. Start again from your application; nothing was allowed.",
            ),
            Self::NoClient => (
                "The application did not say who it is",
                "The request has no client_id. Start again from your application.",
            ),
            Self::UnknownClient => (
                "This application is not known here",
                "It uses a client_id that this server did not give out. In the application, remove the connection and add it again, so that it registers anew.",
            ),
            Self::NotForPeople => (
                "This application does not sign people in",
                "It is set up to work by itself, with a secret or a key of its own, so nobody can be asked about it (unauthorized_client). Nothing was allowed.",
            ),
            Self::Redirect => (
                "This address is not one of the application's",
                "The application asked for the answer to be sent to an address that it did not register. Nothing was sent there. In the application, remove the connection and add it again.",
            ),
            Self::ClientNotAllowed => (
                "This application is not allowed here",
                "Whoever runs this server has decided that this application may not sign people in. Nothing was allowed.",
            ),
            Self::DocumentUnreachable => (
                "The application's description cannot be reached",
                "This server could not load the document that the application's client_id points to. Try again in a few minutes.",
            ),
            Self::DocumentGone => (
                "This application was withdrawn",
                "The document that describes it no longer exists. Ask its makers.",
            ),
            Self::DocumentInvalid => (
                "The application's description is faulty",
                "The document that its client_id points to breaks the rules. Ask its makers.",
            ),
            Self::DocumentAuthMethod => (
                "This application wants to prove itself in a way that is not offered here",
                "Its document must allow token_endpoint_auth_method none. Ask its makers.",
            ),
            Self::Connection(problem) => problem.words(),
            Self::SignIn(problem) => problem.words(),
            Self::Unavailable => (
                "The server cannot answer at this moment",
                "Nothing was lost. Please try again in a few seconds.",
            ),
        }
    }
}

impl Problem {
    /// None from a sign-in that somebody else may have begun: nobody is to go on with it.
    fn way(self) -> Option<(&'static str, &'static str)> {
        if matches!(self, Self::Connection(_)) {
            return Some(("/account/connections", "Connected services"));
        }
        let of_the_account = matches!(
            self,
            Self::NotFound
                | Self::SignIn(SignInProblem::OfAnother | SignInProblem::NotLinked | SignInProblem::OnlyWay)
        );
        of_the_account.then_some(("/account", "Your account"))
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct ProblemPage {
    heading: &'static str,
    words: &'static str,
    /// Where to go on, and what is there.
    way: Option<(String, &'static str)>,
}

fn rendered(status: StatusCode, page: &impl Template) -> Reply {
    match page.render() {
        Ok(html) => respond::page(status, html),
        Err(error) => {
            tracing::error!(?error, "a page could not be rendered");
            respond::empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

/// The sign-in form.
pub fn sign_in(status: StatusCode, page: &SignInPage<'_>) -> Reply {
    rendered(status, page)
}

/// The form that makes the first account.
pub fn setup(status: StatusCode, page: &SetupPage<'_>) -> Reply {
    rendered(status, page)
}

/// The form with which a person chooses a password.
pub fn invitation(status: StatusCode, page: &InvitationPage<'_>) -> Reply {
    rendered(status, page)
}

/// The question.
pub fn consent(page: &ConsentPage<'_>) -> Reply {
    rendered(StatusCode::OK, page)
}

/// The page that moves on to the client.
pub fn moving(page: &Moving<'_>) -> Reply {
    rendered(StatusCode::OK, page)
}

/// What I allowed.
pub fn account(page: &AccountPage<'_>) -> Reply {
    rendered(StatusCode::OK, page)
}

/// What is wrong, in words, with what to do.
pub fn problem(status: StatusCode, problem: Problem) -> Reply {
    let (heading, words) = problem.words();
    rendered(status, &ProblemPage { heading, words, way: None })
}

/// The same, with a link to the page that the words name.
pub fn problem_with_way(app: &App, status: StatusCode, problem: Problem) -> Reply {
    let (heading, words) = problem.words();
    let way = problem.way().map(|(path, name)| (format!("{}{path}", app.settings.issuer.path()), name));
    rendered(status, &ProblemPage { heading, words, way })
}

/// Any path that is not ours.
pub async fn not_found(app: &App, _: &Incoming) -> Reply {
    problem_with_way(app, StatusCode::NOT_FOUND, Problem::NotFound)
}
