//! Signing in at another provider: OpenID Connect, or plain OAuth 2.0 with a userinfo endpoint. A story in two requests.
//!
//! | to read | file |
//! |---|---|
//! | what an operator says of a provider | [`settings`] |
//! | what a provider's word is worth (pure) | [`rules`] |
//! | who it is: the ID token, the userinfo endpoint | `identity` |
//! | whose account that is | `account` |
//! | whether they still may: the provider is asked again | [`watch`] |
//!
//! Nothing is stored for a stranger: what has to be remembered while the person is away is in a cookie, sealed to this browser
//! (AS-213). A page or a callback of somebody else's sign-in, opened here, finds nothing to be an answer to: nobody is signed in
//! as somebody else, and nobody's sign-in ends up in another browser (T-09). What is remembered is answered once, because the
//! cookie goes with the answer and the code is good once; who could keep the cookie has the whole browser. And a sign-in is no
//! consent: it leads back to our own question, whatever the person allowed at the provider (AS-212).

mod account;
mod identity;
pub mod rules;
pub mod settings;
pub mod watch;

use super::{
    Shown, Waiting,
    second_factor::{self, First, FirstFactor},
    sign_in_page, unavailable,
};
use crate::{
    account::connections::host_of,
    app::App,
    audit::{Event, Reason, Who},
    connections::{
        provider::{self, ProviderError},
        renew,
        request::{self, AnswerError, Begun, Bound},
    },
    http::{
        browser::{self, Browser, SignedIn, Way},
        respond::{self, Reply, see_other, with_cookie},
    },
    login::password::address_limit,
    pages::{self, ConnectingPage, Problem, SignInProblem},
    router::Incoming,
};
use hallpass_client::{storage::Tokens, token::TokenError};
use hallpass_core::{
    encoding, entropy::random, id::PersonId, jwt::id_token::IdTokenError, seal::Purpose, time::Timestamp,
};
use hallpass_store::{Link, LinkUse, Person, StoreError};
use http::StatusCode;
use rules::{Fresh, Identity, NotLetIn};
use serde::{Deserialize, Serialize};
use settings::SignInProvider;
use std::time::Duration;

/// How long a person may take at the provider (AS-213).
const LIFETIME: Duration = Duration::from_mins(10);
/// Below the issuer, with the provider's name behind it.
const CALLBACK: &str = "/sign-in/callback/";

/// What is remembered while a person is away.
#[derive(Serialize, Deserialize)]
struct Away {
    nonce: String,
    /// When the person was sent there.
    at: i64,
    /// What waits behind the sign-in; nothing where whoever is signed in links their account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
    /// How old a sign-in may be, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fresh: Option<u64>,
}

/// Why a provider's word let nobody in.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Its answer is none to our request.
    Answer(AnswerError),
    /// It is not there, or said no.
    Provider(ProviderError),
    /// It gave no ID token, although it was asked as an OpenID provider.
    NoIdToken,
    /// The ID token breaks a rule.
    IdToken(IdTokenError),
    /// Its keys are gone or are none.
    NoKeys,
    /// It does not say who it is, or two things about it.
    Subject,
    /// The operator wants other people.
    NotLetIn(NotLetIn),
    /// Nobody here is who it calls so.
    NotLinked(String),
    /// The account here is disabled.
    Disabled(PersonId),
    /// A new account could not be called anything.
    Name,
    /// It is linked to another account.
    OfAnother,
    /// The store failed.
    Store(StoreError),
}

impl From<ProviderError> for Refusal {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Reason for Refusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Answer(error) => error.reason(),
            Self::Provider(error) => renew::reason(*error),
            Self::NoIdToken => "no_id_token",
            Self::IdToken(error) => error.reason(),
            Self::NoKeys => "provider_keys_gone",
            Self::Subject => "provider_subject",
            Self::NotLetIn(NotLetIn::Claims) => "provider_claims",
            Self::NotLetIn(NotLetIn::NotFresh) => "not_fresh",
            Self::NotLinked(_) => "not_linked",
            Self::Disabled(_) => "disabled",
            Self::Name => "no_name",
            Self::OfAnother => "linked_to_another",
            Self::Store(_) => "store",
        }
    }
}

impl Refusal {
    /// For the person; the operator reads the rest in the log. `title` is what people call the provider.
    fn words(&self, title: &str) -> (StatusCode, String) {
        match self {
            Self::Answer(AnswerError::Declined) => {
                (StatusCode::FORBIDDEN, format!("You did not sign in at {title}."))
            }
            Self::Provider(ProviderError::Token(TokenError::InvalidGrant)) => {
                (StatusCode::FORBIDDEN, format!("{title} did not confirm this sign-in. Please try again."))
            }
            Self::Provider(_) => (
                StatusCode::BAD_GATEWAY,
                format!(
                    "{title} cannot be asked at this moment. Please try again in a few minutes; if it happens again, tell whoever runs this server."
                ),
            ),
            Self::Answer(_) | Self::NoIdToken | Self::IdToken(_) | Self::NoKeys | Self::Subject => (
                StatusCode::BAD_GATEWAY,
                format!(
                    "The answer of {title} cannot be used. Please try again; if it happens again, tell whoever runs this server."
                ),
            ),
            Self::NotLetIn(NotLetIn::Claims) => (
                StatusCode::FORBIDDEN,
                format!("This account at {title} may not be used here. Use another one."),
            ),
            Self::NotLetIn(NotLetIn::NotFresh) => (
                StatusCode::FORBIDDEN,
                format!(
                    "You have to sign in anew, and {title} did not ask you to. Sign out there and try again."
                ),
            ),
            Self::NotLinked(subject) => (
                StatusCode::FORBIDDEN,
                format!(
                    "Nobody here is linked to your account at {title}. Whoever runs this server can link it; tell them that you are called {subject} there."
                ),
            ),
            Self::Disabled(_) => (StatusCode::FORBIDDEN, "This account may not sign in here.".to_owned()),
            Self::Name => (
                StatusCode::FORBIDDEN,
                format!("{title} gives no name for a new account here. Tell whoever runs this server."),
            ),
            Self::OfAnother => {
                (StatusCode::FORBIDDEN, format!("Your account at {title} is linked to another account here."))
            }
            Self::Store(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "Please try again in a few seconds.".to_owned())
            }
        }
    }
}

/// For what a person is sent away.
#[derive(Clone, Copy)]
pub(crate) enum Errand<'a> {
    /// To sign in, for what waits behind it.
    SignIn(&'a Waiting),
    /// To link what they have there to the account that is signed in.
    Link(&'a SignedIn),
}

/// One for each provider, so that a code of one is never sent to another (AS-215).
pub(crate) fn redirect_uri(app: &App, provider: &SignInProvider) -> String {
    app.settings.issuer.endpoint(&format!("{CALLBACK}{}", provider.name()))
}

/// Sends the person to the provider, by a page of ours that moves on: a redirect behind a form is blocked by our own policy
/// for pages.
pub(crate) async fn begin(
    app: &App,
    incoming: &Incoming,
    browser: &Browser,
    provider: &SignInProvider,
    errand: Errand<'_>,
) -> Reply {
    let endpoints = match provider::endpoints(app, &provider.service).await {
        Ok(endpoints) => endpoints,
        Err(error) => return refused(app, incoming, (browser, provider), &errand, &error.into()),
    };
    let now = incoming.cx.now;
    let (waiting, fresh, bound) = match &errand {
        Errand::SignIn(waiting) => {
            (Some(waiting.away()), waiting.fresh, Bound::to_browser(Purpose::SignInRequest, browser))
        }
        // Somebody may have signed this browser in there as themselves: linked without a word, they would have a way in here.
        Errand::Link(signed_in) => {
            (None, Some(0), Bound::to_person(Purpose::SignInRequest, browser, signed_in))
        }
    };
    let nonce = encoding::base64url(&random::<24>(&*app.entropy));
    let (age, begun) =
        (fresh.map(|age| age.to_string()), Begun::new(&provider.service, &*app.entropy, (now, LIFETIME)));
    let mut more = vec![("nonce", &*nonce)];
    if let Some(age) = &age {
        more.push(("max_age", age));
    }
    let prompt = prompt(provider);
    if fresh == Some(0) {
        more.push(("prompt", &prompt));
    }
    let target = begun.page(&provider.service, &endpoints, &redirect_uri(app, provider), &more);
    let away = Away { nonce: nonce.clone(), at: now.millis(), waiting, fresh };
    let sealed = begun.seal(app, &bound, &serde_json::to_vec(&away).unwrap_or_default());
    if sealed.len() > browser::LONGEST_COOKIE {
        return pages::problem(StatusCode::URI_TOO_LONG, Problem::SignIn(SignInProblem::TooLong));
    }
    let page = ConnectingPage { target: &target, title: provider.title(), host: &host_of(&endpoints) };
    let cookie = browser::away_cookie(app, Way::SigningIn, &sealed, LIFETIME);
    with_cookie(pages::connecting(&page), cookie)
}

/// To sign in anew, beside what the operator wants the provider to ask.
fn prompt(provider: &SignInProvider) -> String {
    let written = provider.service.parameters.iter().filter(|(name, _)| name == "prompt");
    let words =
        written.flat_map(|(_, value)| value.split(' ')).filter(|word| !["none", "login"].contains(word));
    ["login"].into_iter().chain(words).collect::<Vec<_>>().join(" ")
}

/// `GET /sign-in/callback/{provider}`: the provider answers.
pub async fn callback(app: &App, incoming: &Incoming) -> Reply {
    let browser = match browser::read(app, incoming).await {
        Ok(browser) => browser,
        Err(error) => return unavailable(&error),
    };
    let prefix = format!("{}{CALLBACK}", app.settings.issuer.path());
    let named = incoming.path.strip_prefix(&prefix).and_then(|name| app.settings.sign_in.provider(name));
    let Some(provider) = named else {
        return pages::problem(StatusCode::NOT_FOUND, Problem::NotFound);
    };
    let Some((begun, away)) = asked(app, incoming, &browser, provider) else {
        // Nothing is taken away: the request that this browser made, if it made one, may still be answered.
        let event = Event::sign_in_refused_at(None, provider.name(), None, AnswerError::NotAskedFor.reason());
        app.audit.record(incoming.cx, event);
        return pages::problem(StatusCode::FORBIDDEN, Problem::SignIn(SignInProblem::NotAskedFor));
    };
    // A browser that keeps the cookie could have us ask the provider about any number of codes.
    if let Err(wait) = address_limit(app, incoming.cx) {
        app.audit.record(incoming.cx, Event::sign_in_throttled(None, "address_limit"));
        let page = pages::problem(StatusCode::TOO_MANY_REQUESTS, Problem::TooManyRequests);
        return respond::with_retry_after(page, wait);
    }
    let who = (&browser, provider);
    let done = match (&away.waiting, &browser.signed_in) {
        (Some(waiting), _) => match entered(app, incoming, provider, (&begun, &away)).await {
            Ok((person, subject)) => {
                let factor = FirstFactor::Provider { name: provider.name().to_owned(), subject };
                let first = First { person, factor, waiting: waiting.clone() };
                second_factor::after_first(app, incoming, &browser, first).await
            }
            Err(refusal) => refused(app, incoming, who, &Errand::SignIn(waiting), &refusal),
        },
        (None, Some(signed_in)) => match linked(app, incoming, provider, (&begun, &away, signed_in)).await {
            Ok(()) => see_other(&format!("{}/account", app.settings.issuer.path())),
            Err(refusal) => refused(app, incoming, who, &Errand::Link(signed_in), &refusal),
        },
        (None, None) => pages::problem(StatusCode::FORBIDDEN, Problem::SignedOut),
    };
    // Answered once, in whatever way.
    with_cookie(done, browser::clear_away(app, Way::SigningIn))
}

/// What this browser asked this provider, if this is an answer to it.
fn asked(
    app: &App,
    incoming: &Incoming,
    browser: &Browser,
    provider: &SignInProvider,
) -> Option<(Begun, Away)> {
    let cookie = browser::away(app, incoming, Way::SigningIn)?;
    let to_browser = Bound::to_browser(Purpose::SignInRequest, browser);
    let (begun, more, for_link) = if let Some((begun, more)) = Begun::open(app, &to_browser, &cookie) {
        (begun, more, false)
    } else {
        let bound = Bound::to_person(Purpose::SignInRequest, browser, browser.signed_in.as_ref()?);
        let (begun, more) = Begun::open(app, &bound, &cookie)?;
        (begun, more, true)
    };
    let away: Away = serde_json::from_str(&more).ok()?;
    let fits = away.waiting.is_none() == for_link;
    (fits && begun.is_for(&provider.service, &incoming.query, incoming.cx.now)).then_some((begun, away))
}

/// Redeems the code and judges what came for it, in the order of OpenID Connect Core §3.1.3.
async fn identified(
    app: &App,
    incoming: &Incoming,
    provider: &SignInProvider,
    (begun, away): (&Begun, &Away),
) -> Result<(Identity, Tokens), Refusal> {
    let endpoints = provider::endpoints(app, &provider.service).await?;
    let code = request::code(&incoming.query, &endpoints).map_err(Refusal::Answer)?;
    let redirect_uri = redirect_uri(app, provider);
    let asked = (&provider.service, &endpoints);
    let code = (&code, begun.verifier());
    let redeemed = provider::redeem(app, asked, code, &redirect_uri, incoming.cx.now).await?;
    let now = app.clock.now();
    let identity = identity::of(app, (provider, &endpoints), &redeemed, &away.nonce, now).await?;
    let begun = Timestamp::from_millis(away.at);
    let fresh = away.fresh.map(|age| Fresh { begun, age: Duration::from_secs(age) });
    rules::let_in(provider, &identity, fresh).map_err(Refusal::NotLetIn)?;
    Ok((identity, redeemed.tokens))
}

/// Who it is here, and what the provider calls them.
async fn entered(
    app: &App,
    incoming: &Incoming,
    provider: &SignInProvider,
    asked: (&Begun, &Away),
) -> Result<(Person, String), Refusal> {
    let (identity, tokens) = identified(app, incoming, provider, asked).await?;
    let (link, person) = account::of(app, incoming.cx, provider, &identity).await?;
    keep(app, provider, (&link, person.epoch), tokens).await?;
    Ok((person, identity.subject))
}

async fn linked(
    app: &App,
    incoming: &Incoming,
    provider: &SignInProvider,
    (begun, away, signed_in): (&Begun, &Away, &SignedIn),
) -> Result<(), Refusal> {
    let (identity, tokens) = identified(app, incoming, provider, (begun, away)).await?;
    let person = &signed_in.person;
    let link = account::link(app, incoming.cx, provider, (&identity, person)).await?;
    keep(app, provider, (&link, person.epoch), tokens).await
}

/// Remembers the sign-in, and what the provider gave to be asked again.
async fn keep(
    app: &App,
    provider: &SignInProvider,
    (link, epoch): (&Link, u32),
    tokens: Tokens,
) -> Result<(), Refusal> {
    let asks = tokens.refresh_token.is_some() && provider.check.is_some();
    let sealed = asks.then(|| watch::sealed(app, link, tokens));
    let now = app.clock.now();
    Ok(app.store.link_use(LinkUse { id: link.id, epoch, sealed, now }).await?)
}

/// Nobody is signed in, nothing is linked: the log says why, and the person what to do.
fn refused(
    app: &App,
    incoming: &Incoming,
    (browser, provider): (&Browser, &SignInProvider),
    errand: &Errand<'_>,
    refusal: &Refusal,
) -> Reply {
    let name = provider.name();
    if let Refusal::Store(error) = refusal {
        return unavailable(error);
    } else if let Refusal::Provider(error) = refusal {
        tracing::warn!(provider = %name, %error, "a provider let nobody sign in");
    } else if let Refusal::IdToken(error) = refusal {
        tracing::warn!(provider = %name, %error, "an ID token was refused");
    }
    let (status, words) = refusal.words(provider.title());
    match errand {
        Errand::SignIn(waiting) => {
            let subject =
                if let Refusal::NotLinked(subject) = refusal { Some(subject.as_str()) } else { None };
            let who =
                if let Refusal::Disabled(id) = refusal { Some(Who { id: *id, name: "" }) } else { None };
            let event = Event::sign_in_refused_at(who, name, subject, refusal.reason());
            app.audit.record(incoming.cx, event);
            let shown = Shown { name: "", message: Some(&words) };
            with_cookie(sign_in_page(app, browser, waiting, shown, status), browser.cookie(app))
        }
        Errand::Link(signed_in) => {
            let event = Event::account_not_linked(Who::of(&signed_in.person), name, refusal.reason());
            app.audit.record(incoming.cx, event);
            let is_of_another = matches!(refusal, Refusal::OfAnother);
            let problem = if is_of_another { SignInProblem::OfAnother } else { SignInProblem::NotLinked };
            pages::problem_with_way(app, status, Problem::SignIn(problem))
        }
    }
}
