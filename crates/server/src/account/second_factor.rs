//! The second factor of who is signed in: turned on, moved to another app, turned off, by themselves and shortly after a sign-in.
//! Whoever finds an open browser must neither take it away nor put their own in its place, so whatever changes one that is there
//! takes a code of it too. Nothing else ends by it but sessions that have not passed it.

use super::{RECENTLY, view::ago};
use crate::{
    app::App,
    audit::{By, Event, Who},
    http::{
        browser::{self, Browser, SignedIn, Way},
        respond::{Reply, see_other, with_cookie},
    },
    login::{
        self,
        second_factor::{
            self, CodeError, Proposed, TurnOn, fresh_codes, rules::SecondFactorPolicy, set_up_page, turn_on,
        },
        unavailable,
    },
    pages::{self, Problem, RecoveryCodesPage, SecondFactorPage, SecondFactorRow},
    router::Incoming,
};
use hallpass_core::{parameters::Parameters, secret::SecretString, time::Timestamp};
use hallpass_store::{SecondFactor, StoreError};
use http::{Method, StatusCode};

/// Below the issuer.
const PAGE: &str = "/account/second-factor";

/// For the account page.
pub(super) async fn row(
    app: &App,
    signed_in: &SignedIn,
    now: Timestamp,
) -> Result<Option<SecondFactorRow>, StoreError> {
    let factor = app.store.second_factor_read(signed_in.person.id).await?;
    let row = SecondFactorRow {
        since: factor.as_ref().map(|factor| ago(now.since(factor.turned_on_at))),
        codes_left: factor.as_ref().map_or(0, |factor| factor.codes_left),
    };
    let offered = app.settings.sign_in.second_factor != SecondFactorPolicy::Off;
    Ok((offered || factor.is_some()).then_some(row))
}

/// `GET` and `POST /account/second-factor`.
pub async fn second_factor(app: &App, incoming: &Incoming) -> Reply {
    answer(app, incoming).await.unwrap_or_else(|error| unavailable(&error))
}

/// Somebody at this page.
#[derive(Clone, Copy)]
struct At<'a> {
    app: &'a App,
    incoming: &'a Incoming,
    browser: &'a Browser,
    signed_in: &'a SignedIn,
    factor: Option<&'a SecondFactor>,
}

async fn answer(app: &App, incoming: &Incoming) -> Result<Reply, StoreError> {
    let browser = browser::read(app, incoming).await?;
    let Some(signed_in) = browser.signed_in.as_ref() else {
        let sign_in = see_other(&format!("{}/sign-in", app.settings.issuer.path()));
        return Ok(with_cookie(sign_in, browser.cookie(app)));
    };
    let factor = app.store.second_factor_read(signed_in.person.id).await?;
    if factor.is_none() && app.settings.sign_in.second_factor == SecondFactorPolicy::Off {
        return Ok(pages::problem(StatusCode::NOT_FOUND, Problem::NotFound));
    }
    let at = At { app, incoming, browser: &browser, signed_in, factor: factor.as_ref() };
    if incoming.method != Method::POST {
        return Ok(with_cookie(at.page(), browser.cookie(app)));
    }
    let Some(parameters) = browser::form(incoming) else {
        return Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest));
    };
    if !browser.sent_this(app, incoming, parameters.get("csrf")) {
        return Ok(pages::problem(StatusCode::FORBIDDEN, Problem::NotFromHere));
    }
    if !at.is_fresh() {
        return Ok(at.once_more());
    }
    at.act(&parameters).await
}

impl At<'_> {
    fn is_fresh(self) -> bool {
        self.incoming.cx.now.since(self.signed_in.session.signed_in_at) <= RECENTLY
    }

    fn once_more(self) -> Reply {
        let message =
            "Please sign in once more to change your second step; then choose it again on your account page.";
        login::form_once_more(self.app, self.browser, message)
    }

    fn proposed(self) -> Option<Proposed> {
        let proposed = Proposed::open(self.app, self.incoming, (self.browser, self.signed_in))?;
        proposed.replaces(self.factor.map(|factor| factor.id)).then_some(proposed)
    }

    /// What an app is given, where it is to be turned on; what can be changed, where it is on.
    fn page(self) -> Reply {
        match (self.proposed(), self.factor) {
            (Some(proposed), _) if self.is_fresh() => self.propose(&proposed, StatusCode::OK, None),
            (Some(_) | None, Some(factor)) => self.manage(factor, StatusCode::OK, None),
            (Some(_) | None, None) if self.is_fresh() => {
                self.propose(&self.new_proposal(), StatusCode::OK, None)
            }
            (Some(_) | None, None) => self.once_more(),
        }
    }

    fn new_proposal(self) -> Proposed {
        let until = self.incoming.cx.now.plus(RECENTLY);
        Proposed::new(self.app, self.factor.map(|factor| factor.id), until)
    }

    fn propose(self, proposed: &Proposed, status: StatusCode, message: Option<&str>) -> Reply {
        let Self { app, browser, signed_in, .. } = self;
        let Some(secret) = proposed.secret() else {
            return pages::problem(StatusCode::BAD_REQUEST, Problem::StartAgain);
        };
        let cookie = proposed.cookie(app, (browser, signed_in), RECENTLY);
        let of = (&signed_in.person, &secret, PAGE);
        with_cookie(set_up_page(app, browser, of, (status, message)), cookie)
    }

    fn manage(self, factor: &SecondFactor, status: StatusCode, message: Option<&str>) -> Reply {
        let Self { app, incoming, browser, signed_in, .. } = self;
        let page = SecondFactorPage {
            base: app.settings.issuer.path(),
            person: &signed_in.person.name,
            csrf: &browser.csrf(app),
            message,
            since: &ago(incoming.cx.now.since(factor.turned_on_at)),
            codes_left: factor.codes_left,
            may_turn_off: app.settings.sign_in.second_factor != SecondFactorPolicy::Required,
        };
        pages::second_factor(status, &page)
    }

    async fn act(self, parameters: &Parameters) -> Result<Reply, StoreError> {
        let typed = parameters.get("code").unwrap_or_default();
        match (parameters.get("action"), self.factor) {
            (Some("on"), _) => self.turn_on(typed).await,
            (Some(action @ ("replace" | "codes" | "off")), Some(factor)) => {
                self.change(action, factor, typed).await
            }
            // It was turned off in another window.
            (Some("replace" | "codes" | "off"), None) => Ok(self.back_here()),
            (Some(_) | None, _) => Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest)),
        }
    }

    fn back_here(self) -> Reply {
        see_other(&format!("{}{PAGE}", self.app.settings.issuer.path()))
    }

    async fn turn_on(self, typed: &str) -> Result<Reply, StoreError> {
        let Self { app, incoming, signed_in, factor, .. } = self;
        let proposed = self.proposed();
        let Some((proposed, secret)) = proposed.and_then(|one| one.secret().map(|secret| (one, secret)))
        else {
            return Ok(self.back_here());
        };
        let this = TurnOn {
            person: &signed_in.person,
            secret: &secret,
            typed,
            replaces: factor.map(|factor| factor.id),
            session: Some(signed_in.session.id),
        };
        match turn_on(app, incoming, &this).await {
            Ok((_, codes)) => {
                Ok(with_cookie(self.codes(&codes), browser::clear_away(app, Way::ProposedFactor)))
            }
            Err(CodeError::Store(error)) => Err(error),
            Err(error) => {
                let (status, words) = error.words();
                Ok(second_factor::waiting(self.propose(&proposed, status, Some(words)), &error))
            }
        }
    }

    fn codes(self, codes: &[SecretString]) -> Reply {
        let account = format!("{}/account", self.app.settings.issuer.path());
        pages::recovery_codes(&RecoveryCodesPage { codes, go_on: &account })
    }

    async fn change(self, action: &str, factor: &SecondFactor, typed: &str) -> Result<Reply, StoreError> {
        let Self { app, incoming, browser, signed_in, .. } = self;
        let person = &signed_in.person;
        if action == "off" && app.settings.sign_in.second_factor == SecondFactorPolicy::Required {
            let words = "Everybody signs in with a second step here. You can use another app instead.";
            return Ok(self.manage(factor, StatusCode::FORBIDDEN, Some(words)));
        }
        match second_factor::check(app, incoming, (person, factor), typed).await {
            Ok(_) => {}
            Err(CodeError::Store(error)) => return Err(error),
            Err(error) => {
                let (status, words) = error.words();
                return Ok(second_factor::waiting(self.manage(factor, status, Some(words)), &error));
            }
        }
        if action == "replace" {
            let cookie = self.new_proposal().cookie(app, (browser, signed_in), RECENTLY);
            return Ok(with_cookie(self.back_here(), cookie));
        }
        if action == "off" {
            if app.store.second_factor_remove(person.id, factor.id).await? {
                app.audit.record(incoming.cx, Event::second_factor_off(Who::of(person), By::Person));
            }
            return Ok(see_other(&format!("{}/account", app.settings.issuer.path())));
        }
        let codes = fresh_codes(app, person);
        let digests = codes.iter().map(|(_, digest)| *digest).collect();
        if !app.store.recovery_codes_put(person.id, factor.id, digests).await? {
            return Ok(self.back_here());
        }
        app.audit.record(incoming.cx, Event::recovery_codes_made(Who::of(person)));
        let shown: Vec<SecretString> = codes.into_iter().map(|(code, _)| code).collect();
        Ok(self.codes(&shown))
    }
}
