//! Whether what somebody typed is a code of their second factor. It counts once, and wrong ones are counted.

use super::{
    Right, kept,
    rules::{self, TRIES, Typed, WINDOW},
};
use crate::{
    app::App,
    audit::{Event, Reason, Who},
    http::browser,
    login::password,
    router::Incoming,
};
use hallpass_core::{id::AttemptId, seal::KeyRing, totp};
use hallpass_store::{Attempt, FactorTry, FactorUse, Person, SecondFactor, StoreError};
use http::StatusCode;
use std::time::Duration;

/// Steps that a clock which stamped a code may have been ahead of this one (two hours, as for tokens): a step above that was
/// stamped by a clock that was wrong, and does not lock its person out.
const CLOCKS_APART: i64 = 240;

/// Why a code is not taken.
#[derive(Debug)]
pub(crate) enum CodeError {
    /// It is none that is good now.
    Wrong,
    /// It was used before, or one after it.
    Used,
    /// No such recovery code, or it was used.
    WrongRecoveryCode,
    /// Too many from this address.
    AddressLimit(Duration),
    /// Too many for this account.
    AccountLimit,
    /// The secret does not open with the master keys that are here.
    Sealed,
    /// The second factor was changed meanwhile.
    Changed,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for CodeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Reason for CodeError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Wrong => "wrong_code",
            Self::Used => "used_code",
            Self::WrongRecoveryCode => "wrong_recovery_code",
            Self::AddressLimit(_) => "address_limit",
            Self::AccountLimit => "account_limit",
            Self::Sealed => "sealed",
            Self::Changed => "changed",
            Self::Store(_) => "store",
        }
    }
}

impl CodeError {
    /// For the person.
    pub(crate) const fn words(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Wrong => (
                StatusCode::UNAUTHORIZED,
                "This code is not right. Take the one that your app shows now. If none is ever right, the clock of your phone is off: set it to automatic time.",
            ),
            Self::Used => (
                StatusCode::UNAUTHORIZED,
                "This code was used already. Wait until your app shows the next one, half a minute at most.",
            ),
            Self::WrongRecoveryCode => (
                StatusCode::UNAUTHORIZED,
                "This is none of your recovery codes, or it was used already. Each is good once.",
            ),
            Self::AddressLimit(_) => {
                (StatusCode::TOO_MANY_REQUESTS, "Too many tries. Please wait a minute and try again.")
            }
            Self::AccountLimit => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many wrong codes. Use a recovery code, or a browser in which you signed in before, or wait for half a day. If these tries were not yours, somebody knows your password: choose another one.",
            ),
            Self::Sealed => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The server cannot check codes at this moment. A recovery code gets you in; if it happens again, tell whoever runs this server.",
            ),
            Self::Changed => (
                StatusCode::CONFLICT,
                "This was changed in another window meanwhile. Nothing was done: go back to your account.",
            ),
            Self::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "Please try again in a few seconds."),
        }
    }

    /// When to try again, where that is known.
    pub(crate) const fn wait(&self) -> Option<Duration> {
        match self {
            Self::AddressLimit(wait) => Some(*wait),
            Self::AccountLimit => Some(WINDOW),
            Self::Wrong
            | Self::Used
            | Self::WrongRecoveryCode
            | Self::Sealed
            | Self::Changed
            | Self::Store(_) => None,
        }
    }
}

/// Checks a code of the app, or a recovery code, and uses it up.
pub(crate) async fn check(
    app: &App,
    incoming: &Incoming,
    (person, factor): (&Person, &SecondFactor),
    typed: &str,
) -> Result<Right, CodeError> {
    let done = match password::address_limit(app, incoming.cx) {
        Err(wait) => Err(CodeError::AddressLimit(wait)),
        Ok(()) => match rules::read(typed) {
            Typed::Code(code) => of_app(app, incoming, (person, factor), code.expose()).await,
            Typed::RecoveryCode(code) => {
                let digest = rules::digest(person.id, &code);
                recovery(app, incoming, (person, factor), digest).await
            }
            Typed::Neither => Err(CodeError::Wrong),
        },
    };
    if let Err(error) = &done {
        record(app, incoming, person, error);
    }
    done
}

/// Says in the audit why a code was not taken.
pub(super) fn record(app: &App, incoming: &Incoming, person: &Person, error: &CodeError) {
    let event = match error {
        CodeError::AddressLimit(_) | CodeError::AccountLimit => Event::second_factor_throttled,
        CodeError::Wrong
        | CodeError::Used
        | CodeError::WrongRecoveryCode
        | CodeError::Sealed
        | CodeError::Changed => Event::second_factor_refused,
        CodeError::Store(_) => return,
    };
    app.audit.record(incoming.cx, event(Who::of(person), error.reason()));
}

/// The try is counted before anything is compared, in one conditional write: no number of nodes gives more guesses.
async fn of_app(
    app: &App,
    incoming: &Incoming,
    (person, factor): (&Person, &SecondFactor),
    code: &str,
) -> Result<Right, CodeError> {
    let now = incoming.cx.now;
    let Ok(secret) = kept::open(&app.keys, factor) else {
        tracing::error!(person = %person.id, "the secret of a second factor does not open: is its master key in master.key?");
        return Err(CodeError::Sealed);
    };
    let known = browser::is_known(app, incoming, person.id);
    let one = FactorTry { person: person.id, known, limit: TRIES, window: WINDOW };
    if let Attempt::Refused { .. } = app.store.second_factor_try(one, now).await? {
        return Err(CodeError::AccountLimit);
    }
    let step = secret.step_of(code, now).ok_or(CodeError::Wrong)?;
    let used = FactorUse {
        person: person.id,
        id: factor.id,
        step,
        latest: totp::step_at(now) + CLOCKS_APART,
        attempt: AttemptId::new(now, &*app.entropy),
        known,
    };
    if !app.store.second_factor_use(used).await? {
        return Err(CodeError::Used);
    }
    if KeyRing::number_of(&factor.sealed).is_some_and(|number| number < app.keys.current())
        && let Err(error) = kept::reseal_one(&*app.store, &app.keys, &*app.entropy, factor).await
    {
        tracing::warn!(?error, "the secret of a second factor was not sealed under the newest master key");
    }
    Ok(Right { person: person.clone(), at: now, recovery_code: false })
}

async fn recovery(
    app: &App,
    incoming: &Incoming,
    (person, factor): (&Person, &SecondFactor),
    digest: [u8; 32],
) -> Result<Right, CodeError> {
    let now = incoming.cx.now;
    let attempt = AttemptId::new(now, &*app.entropy);
    if !app.store.recovery_code_use(person.id, digest, attempt, now).await? {
        return Err(CodeError::WrongRecoveryCode);
    }
    let left = factor.codes_left.saturating_sub(1);
    app.audit.record(incoming.cx, Event::recovery_code_used(Who::of(person), left));
    Ok(Right { person: person.clone(), at: now, recovery_code: true })
}
