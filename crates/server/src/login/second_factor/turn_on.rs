//! Turning a second factor on. What an app is to be given is in the browser until the app has shown, by a code, that it has it;
//! then it is in force, with ten recovery codes that are shown once.

use super::{
    Right, check,
    check::CodeError,
    kept,
    rules::{self, RECOVERY_CODES},
};
use crate::{
    app::App,
    audit::{Event, Who},
    http::{
        browser::{self, Browser, SignedIn, Way},
        respond::Reply,
    },
    login::password,
    pages::{self, SetUpPage},
    router::Incoming,
};
use hallpass_core::{
    encoding, entropy,
    id::{FactorId, SessionId},
    seal::Purpose,
    secret::SecretString,
    time::Timestamp,
    totp::TotpSecret,
};
use hallpass_store::{NewSecondFactor, Person};
use http::{HeaderValue, StatusCode};
use qrcode::{Color, EcLevel, QrCode};
use serde::{Deserialize, Serialize};
use std::{fmt::Write as _, time::Duration};
use zeroize::Zeroizing;

/// A second factor that is turned on.
pub(crate) struct TurnOn<'a> {
    /// Whose.
    pub person: &'a Person,
    /// What the app was given.
    pub secret: &'a TotpSecret,
    /// Its code.
    pub typed: &'a str,
    /// What it takes the place of.
    pub replaces: Option<FactorId>,
    /// Where there is a session already, that one.
    pub session: Option<SessionId>,
}

/// Turns it on, and answers the recovery codes. A wrong code is no guess at anything: whoever types it has the secret before them.
pub(crate) async fn turn_on(
    app: &App,
    incoming: &Incoming,
    this: &TurnOn<'_>,
) -> Result<(Right, Vec<SecretString>), CodeError> {
    let done = put(app, incoming, this).await;
    if let Err(error) = &done {
        check::record(app, incoming, this.person, error);
    }
    done
}

async fn put(
    app: &App,
    incoming: &Incoming,
    this: &TurnOn<'_>,
) -> Result<(Right, Vec<SecretString>), CodeError> {
    let now = incoming.cx.now;
    password::address_limit(app, incoming.cx).map_err(CodeError::AddressLimit)?;
    let typed: String = this.typed.chars().filter(|c| !c.is_whitespace()).collect();
    let step = this.secret.step_of(&typed, now).ok_or(CodeError::Wrong)?;
    let (id, codes) = (FactorId::new(now, &*app.entropy), fresh_codes(app, this.person));
    let new = NewSecondFactor {
        person: this.person.id,
        epoch: this.person.epoch,
        id,
        sealed: kept::seal(&app.keys, &*app.entropy, (this.person.id, id), this.secret),
        turned_on_at: now,
        step,
        replaces: this.replaces,
        codes: codes.iter().map(|(_, digest)| *digest).collect(),
        session: this.session,
    };
    if !app.store.second_factor_put(new).await? {
        return Err(CodeError::Changed);
    }
    let event = Event::second_factor_on(Who::of(this.person), this.replaces.is_some());
    app.audit.record(incoming.cx, event);
    let right = Right { person: this.person.clone(), at: now, recovery_code: false };
    Ok((right, codes.into_iter().map(|(code, _)| code).collect()))
}

/// New recovery codes, each with what is kept of it.
pub(crate) fn fresh_codes(app: &App, person: &Person) -> Vec<(SecretString, [u8; 32])> {
    let code = |_| {
        let shown = rules::recovery_code(&entropy::random(&*app.entropy));
        let plain = SecretString::new(shown.expose().replace('-', ""));
        (shown, rules::digest(person.id, &plain))
    };
    (0..RECOVERY_CODES).map(code).collect()
}

/// The page with what the app is given, as a picture and as text; its form goes to this path.
pub(crate) fn set_up_page(
    app: &App,
    browser: &Browser,
    (person, secret, action): (&Person, &TotpSecret, &str),
    (status, message): (StatusCode, Option<&str>),
) -> Reply {
    let issuer = &app.settings.issuer;
    let host = issuer.origin().split_once("://").map_or("hallpass", |(_, host)| host);
    let uri = secret.to_uri(host, &person.name);
    let base32 = secret.to_base32();
    let groups: Vec<&str> = (0..base32.len()).step_by(4).filter_map(|at| base32.get(at..at + 4)).collect();
    let picture = Picture::of(&uri);
    let page = SetUpPage {
        base: issuer.path(),
        action: &format!("{}{action}", issuer.path()),
        person: &person.name,
        csrf: &browser.csrf(app),
        message,
        uri: &uri,
        secret: &groups.join(" "),
        picture: picture.as_ref().map(|picture| (picture.size, &*picture.path)),
        signed_in: browser.signed_in.is_some(),
    };
    pages::second_factor_set_up(status, &page)
}

/// A QR code, as the path of a drawing: inline, so that the page loads nothing.
struct Picture {
    size: usize,
    path: String,
}

/// White around it, in modules (ISO/IEC 18004).
const QUIET: usize = 4;

impl Picture {
    fn of(text: &str) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        let mut path = String::new();
        for (y, row) in code.to_colors().chunks(width).enumerate() {
            for (x, _) in row.iter().enumerate().filter(|(_, color)| **color == Color::Dark) {
                let _ = write!(path, "M{} {}h1v1h-1z", x + QUIET, y + QUIET);
            }
        }
        Some(Self { size: width + 2 * QUIET, path })
    }
}

/// What an app is to be given by whoever is signed in: sealed to this browser, session and person.
#[derive(Serialize, Deserialize)]
pub(crate) struct Proposed {
    secret: String,
    /// The second factor whose place it takes, after a code of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
    until: i64,
}

impl Proposed {
    /// A new one.
    pub(crate) fn new(app: &App, replaces: Option<FactorId>, until: Timestamp) -> Self {
        Self {
            secret: encoding::base64url(TotpSecret::new(&*app.entropy).expose()),
            replaces: replaces.map(|id| id.to_string()),
            until: until.millis(),
        }
    }

    /// What the app is given.
    pub(crate) fn secret(&self) -> Option<TotpSecret> {
        TotpSecret::from_bytes(&encoding::from_base64url(&self.secret)?)
    }

    /// Whether it is for somebody whose second factor is this one, or who has none.
    pub(crate) fn replaces(&self, factor: Option<FactorId>) -> bool {
        self.replaces.as_deref().map(FactorId::parse) == factor.map(Some)
    }

    /// The cookie.
    pub(crate) fn cookie(
        &self,
        app: &App,
        (browser, signed_in): (&Browser, &SignedIn),
        lifetime: Duration,
    ) -> Option<HeaderValue> {
        let text = Zeroizing::new(serde_json::to_vec(self).ok()?);
        let context = context(browser, signed_in);
        let sealed = app.keys.seal(Purpose::ProposedFactor, &context, &text, &*app.entropy);
        browser::away_cookie(app, Way::ProposedFactor, &encoding::base64url(&sealed), lifetime)
    }

    /// What this browser, with this session and person, was proposed.
    pub(crate) fn open(
        app: &App,
        incoming: &Incoming,
        (browser, signed_in): (&Browser, &SignedIn),
    ) -> Option<Self> {
        let sealed = encoding::from_base64url(&browser::away(app, incoming, Way::ProposedFactor)?)?;
        let text = app.keys.open(Purpose::ProposedFactor, &context(browser, signed_in), &sealed).ok()?;
        let text = Zeroizing::new(text);
        let proposed: Self = serde_json::from_slice(&text).ok()?;
        (incoming.cx.now.millis() <= proposed.until).then_some(proposed)
    }
}

fn context(browser: &Browser, signed_in: &SignedIn) -> Vec<u8> {
    let mut context = browser.id.to_vec();
    context.extend_from_slice(signed_in.session.id.as_bytes());
    context.extend_from_slice(signed_in.person.id.as_bytes());
    context
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_its_finders_and_white_around_it() {
        let picture = Picture::of("otpauth://totp/x:ada?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap();
        assert!(picture.path.starts_with("M4 4h1v1h-1zM5 4h1v1h-1z"));
        let last = picture.size - QUIET - 1;
        assert!(
            picture.path.contains(&format!("M{last} 4h")) && picture.path.contains(&format!("M4 {last}h"))
        );
        assert!(!picture.path.contains(&format!("M{} ", last + 1)));
        assert!(Picture::of(&"x".repeat(9_000)).is_none());
    }
}
