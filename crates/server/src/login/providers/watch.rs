//! Whether people still may: a provider that gave a refresh token is asked again, in the background, by one node at a time. Its
//! own word that this is over ends everything that the person opened since (AS-214). Whatever else goes wrong there takes
//! nothing away (AS-151): a provider that is down, turns us away or has forgotten our client says nothing about a person.
//!
//! No request waits for this: a refresh stays one write.

use super::settings::SignInProvider;
use crate::{
    app::{App, Live},
    audit::{By, Event, Who},
    connections::{
        provider::{self, ProviderError},
        renew, vault,
    },
};
use hallpass_client::{storage::Tokens, token::TokenError};
use hallpass_core::{
    id::{AttemptId, LinkId},
    secret::SecretString,
    time::Timestamp,
};
use hallpass_store::{DueLinks, Hold, Link, StoreError};
use std::time::Duration;

const EVERY: Duration = Duration::from_mins(1);
/// How long one node alone may ask: longer than any request to a provider.
const HELD: Duration = Duration::from_mins(1);
/// Of one provider, each time.
const AT_ONCE: u32 = 500;
/// After a failure a person is not asked about again for so long at least.
const SHORTEST_PAUSE: Duration = Duration::from_mins(1);
/// Nor for longer: a provider that is back is asked soon.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// Asks for ever.
pub async fn ask_again_forever(live: Live) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = ask_again(&live.app()).await {
            tracing::warn!(?error, "identity providers could not be asked again");
        }
    }
}

/// What became of those who were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedAgain {
    /// The provider said yes.
    pub good: u32,
    /// It said that it is over.
    pub ended: u32,
    /// It said nothing of use.
    pub failed: u32,
}

/// Asks about everybody who is due.
pub async fn ask_again(app: &App) -> Result<AskedAgain, StoreError> {
    let mut asked = AskedAgain::default();
    for provider in &app.settings.sign_in.providers {
        if let Some(check) = provider.check {
            of_provider(app, provider, check, &mut asked).await?;
        }
    }
    Ok(asked)
}

async fn of_provider(
    app: &App,
    provider: &SignInProvider,
    check: Duration,
    asked: &mut AskedAgain,
) -> Result<(), StoreError> {
    let now = app.clock.now();
    let issuer = provider.issuer.clone();
    let due = DueLinks { issuer, checked_before: now.minus(check), now, limit: AT_ONCE };
    for link in app.store.links_due(due).await? {
        let now = app.clock.now();
        let holder = AttemptId::new(now, &*app.entropy);
        let hold = Hold { id: link.id, version: link.version, holder, until: now.plus(HELD) };
        if !app.store.link_hold(hold, now).await? {
            continue;
        }
        match ask(app, provider, &link).await {
            Ok(tokens) => {
                good(app, provider, &link, tokens).await?;
                asked.good += 1;
            }
            Err(ProviderError::Token(TokenError::InvalidGrant)) => {
                asked.ended += u32::from(over(app, provider, &link).await?);
            }
            Err(error) => {
                later(app, provider, (&link, &hold), error).await?;
                asked.failed += 1;
                // What is wrong is most likely wrong for everybody: the others are asked about the next time.
                return Ok(());
            }
        }
    }
    Ok(())
}

async fn ask(app: &App, provider: &SignInProvider, link: &Link) -> Result<Tokens, ProviderError> {
    let place = vault::Place::link(link.person, link.id);
    let sealed = link.sealed.as_deref().unwrap_or_default();
    let Ok(old) = vault::open_at(app, &place, sealed) else {
        if !vault::is_of_a_later_key(app, sealed) {
            tracing::error!(person = %link.person, "what an identity provider gave does not open");
        }
        return Err(TokenError::Request.into());
    };
    let token = old.refresh_token.as_ref().ok_or(TokenError::Request)?;
    let endpoints = provider::endpoints(app, &provider.service).await?;
    let asked = (&provider.service, &endpoints);
    provider::refresh(app, asked, (token, &old.scope), app.clock.now()).await
}

/// What a provider gave, for the row of its link. Its access token is needed no more.
pub(super) fn sealed(app: &App, link: &Link, tokens: Tokens) -> Vec<u8> {
    let kept = Tokens { access_token: SecretString::new(""), ..tokens };
    vault::seal_at(app, &vault::Place::link(link.person, link.id), &kept)
}

async fn good(app: &App, provider: &SignInProvider, link: &Link, tokens: Tokens) -> Result<(), StoreError> {
    let sealed = sealed(app, link, tokens);
    let now = app.clock.now();
    // Another version means that the person has signed in meanwhile, which says the same.
    if app.store.link_checked(link.id, link.version, sealed, now).await? {
        let who = Who { id: link.person, name: "" };
        app.audit.record_at(now, Event::account_checked(who, provider.name()));
    }
    Ok(())
}

/// The person is signed out everywhere, and all access ends; the feed carries it to every gateway.
async fn over(app: &App, provider: &SignInProvider, link: &Link) -> Result<bool, StoreError> {
    let now = app.clock.now();
    let until = app.settings.tokens_until(now);
    let Some(epoch) = app.store.link_end(link.id, link.version, until, now).await? else {
        return Ok(false);
    };
    let person = app.store.person_read(link.person).await?;
    let name = person.as_ref().map_or("", |person| person.name.as_str());
    let who = Who { id: link.person, name };
    let event = Event::signed_out_everywhere(who, epoch, until, By::Provider).of_provider(provider.name());
    app.audit.record_at(now, event);
    Ok(true)
}

async fn later(
    app: &App,
    provider: &SignInProvider,
    (link, hold): (&Link, &Hold<LinkId>),
    error: ProviderError,
) -> Result<(), StoreError> {
    tracing::warn!(provider = %provider.name(), %error, "an identity provider could not be asked again; nothing ends");
    let now = app.clock.now();
    let who = Who { id: link.person, name: "" };
    let reason = renew::reason(error);
    app.audit.record_at(now, Event::account_not_checked(who, provider.name(), reason));
    app.store.link_release(link.id, hold.holder, now.plus(pause(link, error, now))).await
}

/// The longer it goes wrong, the longer: as long as it has been wrong until now, within bounds.
fn pause(link: &Link, error: ProviderError, now: Timestamp) -> Duration {
    let wanted = match error {
        ProviderError::Token(TokenError::Unavailable { retry_after: Some(wait) }) => wait,
        ProviderError::Token(_)
        | ProviderError::Fetch(_)
        | ProviderError::Metadata(_)
        | ProviderError::UserInfo => now.since(link.checked_at) / 4,
    };
    wanted.clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
}
