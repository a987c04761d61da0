//! Where a person may sign in beside here: linked and unlinked by themselves, shortly after a sign-in. Whoever finds an open
//! browser must not be able to add a way in for themselves.

use super::{RECENTLY, view::ago};
use crate::{
    app::App,
    audit::{Event, Who},
    connections::{provider, vault},
    http::{
        browser::{Browser, SignedIn},
        respond::{Reply, see_other},
    },
    login::{
        self,
        providers::{self, Errand, settings::SignInProvider},
    },
    pages::{self, Problem, ProviderRow, SignInProblem},
    router::Incoming,
};
use hallpass_core::{parameters::Parameters, time::Timestamp};
use hallpass_store::{Link, StoreError};
use http::StatusCode;

/// The providers, with what is linked.
pub(super) async fn rows<'a>(
    app: &'a App,
    signed_in: &SignedIn,
    now: Timestamp,
) -> Result<Vec<ProviderRow<'a>>, StoreError> {
    let providers = &app.settings.sign_in.providers;
    if providers.is_empty() {
        return Ok(Vec::new());
    }
    let links = app.store.links_of_person(signed_in.person.id).await?;
    let row = |provider: &'a SignInProvider| {
        let of = || links.iter().filter(|link| link.issuer == provider.issuer);
        let words = |at: Option<Timestamp>| at.map(|at| ago(now.since(at)));
        ProviderRow {
            name: provider.name(),
            title: provider.title(),
            subjects: of().map(|link| link.subject.clone()).collect(),
            linked: words(of().map(|link| link.linked_at).min()),
            used: words(of().filter_map(|link| link.used_at).max()),
            may_go: gets_in_without(app, signed_in, &links, provider),
        }
    };
    Ok(providers.iter().map(row).collect())
}

/// Whether the person has another way in.
fn gets_in_without(app: &App, signed_in: &SignedIn, links: &[Link], provider: &SignInProvider) -> bool {
    let sign_in = &app.settings.sign_in;
    let others = || sign_in.providers.iter().filter(|other| other.issuer != provider.issuer);
    sign_in.passwords && !signed_in.person.password.is_empty()
        || others().any(|other| links.iter().any(|link| link.issuer == other.issuer))
}

/// The buttons.
pub(super) async fn act(
    app: &App,
    incoming: &Incoming,
    (browser, signed_in): (&Browser, &SignedIn),
    parameters: &Parameters,
) -> Result<Reply, StoreError> {
    let named = parameters.get("provider").and_then(|name| app.settings.sign_in.provider(name));
    let Some(provider) = named else {
        return Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest));
    };
    if incoming.cx.now.since(signed_in.session.signed_in_at) > RECENTLY {
        let message = "Please sign in once more to change where you sign in; then press the button again.";
        return Ok(login::form_once_more(app, browser, message));
    }
    if parameters.get("action") == Some("link") {
        return Ok(providers::begin(app, incoming, browser, provider, Errand::Link(signed_in)).await);
    }
    unlink(app, incoming, signed_in, provider).await
}

/// Here first, then there: what the provider says of it changes nothing here.
async fn unlink(
    app: &App,
    incoming: &Incoming,
    signed_in: &SignedIn,
    provider: &SignInProvider,
) -> Result<Reply, StoreError> {
    let person = &signed_in.person;
    let links = app.store.links_of_person(person.id).await?;
    if !gets_in_without(app, signed_in, &links, provider) {
        return Ok(pages::problem_with_way(
            app,
            StatusCode::FORBIDDEN,
            Problem::SignIn(SignInProblem::OnlyWay),
        ));
    }
    for link in links.iter().filter(|link| link.issuer == provider.issuer) {
        if !app.store.link_remove(link.id, person.id).await? {
            continue;
        }
        let event = Event::account_unlinked(Who::of(person), provider.name(), &link.subject, None);
        app.audit.record(incoming.cx, event);
        let place = vault::Place::link(person.id, link.id);
        if let Some(sealed) = &link.sealed
            && let Ok(tokens) = vault::open_at(app, &place, sealed)
            && let Err(error) = provider::revoke(app, &provider.service, &tokens).await
        {
            tracing::warn!(provider = %provider.name(), %error, "a provider did not take back a token that is gone here");
        }
    }
    Ok(see_other(&format!("{}/account", app.settings.issuer.path())))
}
