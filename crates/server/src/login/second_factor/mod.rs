//! A second factor at sign-in: a code of an authenticator app, or a recovery code. The story between the first factor (a password, the
//! word of a provider, a one-time link) and a session.
//!
//! | to read | file |
//! |---|---|
//! | who is asked, what was typed, how many guesses (pure) | [`rules`] |
//! | who has passed the first factor only | `half` |
//! | whether a code is right | `check` |
//! | turning one on | `turn_on` |
//! | its secret at rest | `kept` |
//!
//! No half-authenticated session exists (T-17): a session is opened for a [`Passed`] alone, the store opens and finds none without
//! the factor where there is one, and [`browser::read`] counts none where the operator requires one. Who has a second factor is told to
//! nobody but those with the right first one, who would be signed in without it.

mod check;
mod half;
mod kept;
pub mod rules;
mod turn_on;

pub(crate) use check::{CodeError, check};
pub use kept::reseal_one;
pub(crate) use turn_on::{Proposed, TurnOn, fresh_codes, set_up_page, turn_on};

use super::{Shown, Waiting, session, sign_in_page, unavailable};
use crate::{
    app::App,
    audit::{Event, Who},
    http::{
        browser::{self, Browser, Way},
        respond::{self, Reply, see_other, with_cookie},
    },
    pages::{self, CodePage, Problem, RecoveryCodesPage, SignInProblem},
    router::Incoming,
};
use half::Half;
use hallpass_core::{
    parameters::{Limits, Parameters},
    time::Timestamp,
    totp::TotpSecret,
};
use hallpass_store::{Person, SecondFactor, StoreError};
use http::{Method, StatusCode};
use rules::{Next, NotAsked};
use serde::{Deserialize, Serialize};

/// Below the issuer.
const CODE: &str = "/sign-in/code";

/// How somebody showed first who they are.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) enum FirstFactor {
    /// With a password.
    Password,
    /// At a provider, which calls them so.
    Provider {
        /// The operator's name for it.
        name: String,
        /// What it calls the person.
        subject: String,
    },
    /// With a one-time link, and the password that they chose there.
    Link,
}

/// Somebody who has passed the first factor: no more than that.
pub(crate) struct First {
    /// Who.
    pub person: Person,
    /// How.
    pub factor: FirstFactor,
    /// Where they go on.
    pub waiting: Waiting,
}

/// A code that was right, and is used up. Made by [`check`] and [`turn_on`] alone.
pub(crate) struct Right {
    person: Person,
    at: Timestamp,
    recovery_code: bool,
}

/// Somebody who has passed each factor that is asked of them: the one thing that a session is opened for.
pub(crate) struct Passed {
    /// Who.
    pub person: Person,
    second: Option<(Timestamp, bool)>,
}

impl Passed {
    fn alone(person: Person, _: &NotAsked) -> Self {
        Self { person, second: None }
    }

    fn with(right: Right) -> Self {
        Self { person: right.person, second: Some((right.at, right.recovery_code)) }
    }

    /// When the second factor was passed.
    pub(crate) fn second_factor_at(&self) -> Option<Timestamp> {
        self.second.map(|(at, _)| at)
    }

    /// Whoever used a link without more is in the audit as who used the link.
    pub(crate) fn event<'a>(&'a self, first: &'a FirstFactor) -> Option<Event<'a>> {
        let who = Who::of(&self.person);
        let recovery = self.second.map(|(_, recovery)| recovery);
        match first {
            FirstFactor::Password => Some(Event::signed_in(
                who,
                match recovery {
                    None => "password",
                    Some(false) => "password_and_code",
                    Some(true) => "password_and_recovery_code",
                },
            )),
            FirstFactor::Provider { name, subject } => {
                let reason = match recovery {
                    None => "provider",
                    Some(false) => "provider_and_code",
                    Some(true) => "provider_and_recovery_code",
                };
                Some(Event::signed_in_at(who, (name, subject), reason))
            }
            FirstFactor::Link => recovery.map(|recovery| {
                Event::signed_in(who, if recovery { "link_and_recovery_code" } else { "link_and_code" })
            }),
        }
    }
}

/// The first factor was right: on to the second, or to a session where none is asked.
pub(crate) async fn after_first(app: &App, incoming: &Incoming, browser: &Browser, first: First) -> Reply {
    let done = match app.store.second_factor_read(first.person.id).await {
        Ok(factor) => match rules::next(app.settings.sign_in.second_factor, factor.is_some()) {
            Next::Open(not_asked) => {
                let passed = Passed::alone(first.person, &not_asked);
                finish(app, incoming, browser, (&first.factor, &first.waiting), &passed).await
            }
            Next::Ask => Ok(away(app, incoming, browser, (&first, None))),
            Next::SetUp => Ok(away(app, incoming, browser, (&first, Some(TotpSecret::new(&*app.entropy))))),
        },
        Err(error) => Err(error),
    };
    done.unwrap_or_else(|error| unavailable(&error))
}

/// To the page of the code. Whoever is signed in here stays so until it is right.
fn away(
    app: &App,
    incoming: &Incoming,
    browser: &Browser,
    (first, secret): (&First, Option<TotpSecret>),
) -> Reply {
    let half = Half::new(first, secret.as_ref(), incoming.cx.now);
    let Some(cookie) = half.cookie(app, browser) else {
        return pages::problem(StatusCode::URI_TOO_LONG, Problem::SignIn(SignInProblem::TooLong));
    };
    app.audit.record(incoming.cx, Event::second_factor_asked(Who::of(&first.person)));
    with_cookie(see_other(&format!("{}{CODE}", app.settings.issuer.path())), Some(cookie))
}

/// Opens the session, and goes on to what waits.
async fn finish(
    app: &App,
    incoming: &Incoming,
    browser: &Browser,
    (first, waiting): (&FirstFactor, &Waiting),
    passed: &Passed,
) -> Result<Reply, StoreError> {
    let target = super::goes_on(app, waiting);
    opened(app, incoming, (browser, first), passed, see_other(&target)).await
}

/// Opens the session; the reply is what follows.
async fn opened(
    app: &App,
    incoming: &Incoming,
    (browser, first): (&Browser, &FirstFactor),
    passed: &Passed,
    reply: Reply,
) -> Result<Reply, StoreError> {
    let Some(cookie) = session::open(app, incoming, browser, passed).await? else {
        return Ok(pages::problem(StatusCode::FORBIDDEN, Problem::SignedOut));
    };
    if let Some(event) = passed.event(first) {
        app.audit.record(incoming.cx, event);
    }
    let reply = with_cookie(reply, Some(cookie));
    let reply = with_cookie(reply, browser::known_cookie(app, passed.person.id));
    let was_half = browser::away(app, incoming, Way::HalfSignedIn).is_some();
    Ok(with_cookie(reply, browser::clear_away(app, Way::HalfSignedIn).filter(|_| was_half)))
}

/// `GET` and `POST /sign-in/code`.
pub async fn code(app: &App, incoming: &Incoming) -> Reply {
    answer(app, incoming).await.unwrap_or_else(|error| unavailable(&error))
}

/// Somebody at this page.
#[derive(Clone, Copy)]
struct At<'a> {
    app: &'a App,
    incoming: &'a Incoming,
    browser: &'a Browser,
    half: &'a Half,
    person: &'a Person,
}

async fn answer(app: &App, incoming: &Incoming) -> Result<Reply, StoreError> {
    let browser = browser::read(app, incoming).await?;
    let Some(half) = Half::open(app, incoming, &browser) else { return Ok(start_again(app, &browser)) };
    let person = match half.person() {
        Some(id) => app.store.person_read(id).await?,
        None => None,
    };
    let is_still = |person: &Person| person.epoch == half.epoch && person.disabled_at.is_none();
    let Some(person) = person.filter(is_still) else { return Ok(start_again(app, &browser)) };
    let factor = app.store.second_factor_read(person.id).await?;
    let next = rules::next(app.settings.sign_in.second_factor, factor.is_some());
    let at = At { app, incoming, browser: &browser, half: &half, person: &person };
    let parameters = if incoming.method == Method::POST {
        browser::form(incoming)
    } else {
        Parameters::parse(incoming.query.as_bytes(), Limits::default()).ok()
    };
    let Some(parameters) = parameters else {
        return Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest));
    };
    match (next, factor, half.secret()) {
        (Next::Ask, Some(factor), _) => at.ask(&factor, &parameters).await,
        (Next::SetUp, None, Some(secret)) => at.set_up(&secret, &parameters).await,
        // It was turned on or off since the first factor, or another setting is in force.
        (Next::Ask | Next::SetUp | Next::Open(_), Some(_) | None, _) => Ok(start_again(app, &browser)),
    }
}

/// The sign-in, from its beginning.
fn start_again(app: &App, browser: &Browser) -> Reply {
    let message = Some(
        "Please sign in again. The sign-in that was begun here took longer than ten minutes, is done already, or is no longer good.",
    );
    let shown = Shown { name: "", message };
    let reply = sign_in_page(app, browser, &Waiting::default(), shown, StatusCode::FORBIDDEN);
    let reply = with_cookie(reply, browser::clear_away(app, Way::HalfSignedIn));
    with_cookie(reply, browser.cookie(app))
}

/// What a form says that came too late, or from elsewhere.
const SEND_AGAIN: &str =
    "Please send the form again; if this page keeps coming back, allow cookies for this site.";

impl At<'_> {
    fn is_ours(&self, parameters: &Parameters) -> bool {
        self.browser.sent_this(self.app, self.incoming, parameters.get("csrf"))
    }

    async fn ask(self, factor: &SecondFactor, parameters: &Parameters) -> Result<Reply, StoreError> {
        let Self { app, incoming, browser, half, person } = self;
        let recovery = parameters.get("with") == Some("recovery");
        let page = |status, message| {
            let page = CodePage {
                base: app.settings.issuer.path(),
                person: &person.name,
                csrf: &browser.csrf(app),
                message,
                recovery,
                back: &super::goes_back(app, &half.waiting),
            };
            pages::second_factor_code(status, &page)
        };
        if incoming.method != Method::POST {
            return Ok(page(StatusCode::OK, None));
        }
        if !self.is_ours(parameters) {
            return Ok(page(StatusCode::FORBIDDEN, Some(SEND_AGAIN)));
        }
        let typed = parameters.get("code").unwrap_or_default();
        match check(app, incoming, (person, factor), typed).await {
            Ok(right) => {
                let passed = Passed::with(right);
                finish(app, incoming, browser, (&half.first, &half.waiting), &passed).await
            }
            Err(CodeError::Store(error)) => Err(error),
            Err(error) => {
                let (status, words) = error.words();
                Ok(waiting(page(status, Some(words)), &error))
            }
        }
    }

    async fn set_up(self, secret: &TotpSecret, parameters: &Parameters) -> Result<Reply, StoreError> {
        let Self { app, incoming, browser, half, person } = self;
        let page = |status, message| set_up_page(app, browser, (person, secret, CODE), (status, message));
        if incoming.method != Method::POST {
            return Ok(page(StatusCode::OK, None));
        }
        if !self.is_ours(parameters) {
            return Ok(page(StatusCode::FORBIDDEN, Some(SEND_AGAIN)));
        }
        let typed = parameters.get("code").unwrap_or_default();
        let this = TurnOn { person, secret, typed, replaces: None, session: None };
        match turn_on(app, incoming, &this).await {
            Ok((right, codes)) => {
                let go_on = super::goes_on(app, &half.waiting);
                let page = pages::recovery_codes(&RecoveryCodesPage { codes: &codes, go_on: &go_on });
                opened(app, incoming, (browser, &half.first), &Passed::with(right), page).await
            }
            Err(CodeError::Store(error)) => Err(error),
            Err(error) => {
                let (status, words) = error.words();
                Ok(waiting(page(status, Some(words)), &error))
            }
        }
    }
}

/// With the time to wait, where there is one.
pub(crate) fn waiting(reply: Reply, error: &CodeError) -> Reply {
    match error.wait() {
        Some(wait) => respond::with_retry_after(reply, wait),
        None => reply,
    }
}
