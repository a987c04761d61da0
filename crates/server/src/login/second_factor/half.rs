//! Somebody who has passed the first factor and not the second: remembered by their browser alone, sealed to it, for ten minutes.
//! It is no session and opens nothing; with a code it becomes one (AS-097).

use super::{First, FirstFactor};
use crate::{
    app::App,
    http::browser::{self, Browser, Way},
    login::Waiting,
    router::Incoming,
};
use hallpass_core::{encoding, id::PersonId, seal::Purpose, time::Timestamp, totp::TotpSecret};
use http::HeaderValue;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a person may look for their phone.
const LIFETIME: Duration = Duration::from_mins(10);

/// What is remembered.
#[derive(Serialize, Deserialize)]
pub(super) struct Half {
    person: String,
    /// The person's then: another password, or "sign out everywhere", ends this too.
    pub epoch: u32,
    at: i64,
    pub first: FirstFactor,
    pub waiting: Waiting,
    /// What an app is to be given, where a second factor has to be set up first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl Half {
    /// Of somebody who has just passed the first factor; with a secret where there is no second one yet.
    pub fn new(first: &First, secret: Option<&TotpSecret>, now: Timestamp) -> Self {
        Self {
            person: first.person.id.to_string(),
            epoch: first.person.epoch,
            at: now.millis(),
            first: first.factor.clone(),
            waiting: first.waiting.away(),
            secret: secret.map(|secret| encoding::base64url(secret.expose())),
        }
    }

    /// Who.
    pub fn person(&self) -> Option<PersonId> {
        PersonId::parse(&self.person)
    }

    /// See [`Half::new`].
    pub fn secret(&self) -> Option<TotpSecret> {
        TotpSecret::from_bytes(&encoding::from_base64url(self.secret.as_deref()?)?)
    }

    /// The cookie; `None` where what waits does not fit into one.
    pub fn cookie(&self, app: &App, browser: &Browser) -> Option<HeaderValue> {
        let text = Zeroizing::new(serde_json::to_vec(self).ok()?);
        let sealed = app.keys.seal(Purpose::HalfSignedIn, &browser.id, &text, &*app.entropy);
        let sealed = encoding::base64url(&sealed);
        (sealed.len() <= browser::LONGEST_COOKIE)
            .then(|| browser::away_cookie(app, Way::HalfSignedIn, &sealed, LIFETIME))
            .flatten()
    }

    /// What this browser has, if it was sealed for it and is not too old.
    pub fn open(app: &App, incoming: &Incoming, browser: &Browser) -> Option<Self> {
        let sealed = encoding::from_base64url(&browser::away(app, incoming, Way::HalfSignedIn)?)?;
        let text = Zeroizing::new(app.keys.open(Purpose::HalfSignedIn, &browser.id, &sealed).ok()?);
        let half: Self = serde_json::from_slice(&text).ok()?;
        let at = Timestamp::from_millis(half.at);
        let now = incoming.cx.now;
        (at >= now.minus(LIFETIME) && at <= now.plus(LIFETIME)).then_some(half)
    }
}
