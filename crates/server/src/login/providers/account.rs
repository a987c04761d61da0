//! Which account somebody has whom a provider vouches for: the one that is linked to what the provider calls them, and never
//! one of the same name or address. Whoever chooses their name there would choose an account here.

use super::{
    Refusal,
    rules::{self, Identity},
    settings::{Accounts, SignInProvider},
};
use crate::{
    app::App,
    audit::{Event, Who},
    cx::Cx,
};
use hallpass_core::id::{LinkId, PersonId};
use hallpass_store::{CreatedLinked, Link, Linked, NewLink, Person};

/// So many people of one name get an account each; the next one is told that the operator has to help.
const MOST_OF_ONE_NAME: u32 = 100;

/// Whose account it is.
pub(super) async fn of(
    app: &App,
    cx: Cx,
    provider: &SignInProvider,
    identity: &Identity,
) -> Result<(Link, Person), Refusal> {
    if let Some(found) = read(app, provider, identity).await? {
        return Ok(found);
    }
    match provider.accounts {
        Accounts::Linked => Err(not_linked(identity)),
        Accounts::Create => create(app, cx, provider, identity).await,
    }
}

fn not_linked(identity: &Identity) -> Refusal {
    Refusal::NotLinked(identity.subject.clone())
}

async fn read(
    app: &App,
    provider: &SignInProvider,
    identity: &Identity,
) -> Result<Option<(Link, Person)>, Refusal> {
    let found = app.store.link_read(provider.issuer.clone(), identity.subject.clone()).await?;
    match found {
        Some((_, person)) if person.disabled_at.is_some() => Err(Refusal::Disabled(person.id)),
        found => Ok(found),
    }
}

async fn create(
    app: &App,
    cx: Cx,
    provider: &SignInProvider,
    identity: &Identity,
) -> Result<(Link, Person), Refusal> {
    let wish = rules::name(provider, &identity.claims).ok_or(Refusal::Name)?;
    for at in 1..=MOST_OF_ONE_NAME {
        let name = rules::numbered(&wish, at);
        // A name that the configuration gives to somebody is not free, whether there is an account yet or not.
        if is_promised(app, &name) {
            continue;
        }
        let person = Person {
            id: PersonId::new(cx.now, &*app.entropy),
            name,
            password: String::new(),
            epoch: 0,
            disabled_at: None,
            created_at: cx.now,
        };
        let link = new(app, cx, provider, (identity, person.id));
        match app.store.person_create_linked(person.clone(), link).await? {
            CreatedLinked::NameTaken => {}
            CreatedLinked::Yes => {
                app.audit.record(cx, Event::person_created(Who::of(&person)));
                let (who, name) = (Who::of(&person), provider.name());
                app.audit.record(cx, Event::account_linked(who, name, &identity.subject, None));
                return read(app, provider, identity).await?.ok_or_else(|| not_linked(identity));
            }
            // They came in two windows at once.
            CreatedLinked::LinkTaken => {
                return read(app, provider, identity).await?.ok_or_else(|| not_linked(identity));
            }
        }
    }
    Err(Refusal::Name)
}

fn is_promised(app: &App, name: &str) -> bool {
    let mut named = app.settings.identity_providers.iter().flat_map(|company| company.accounts.values());
    named.any(|account| crate::login::password::fold(account) == *name)
}

fn new(app: &App, cx: Cx, provider: &SignInProvider, (identity, person): (&Identity, PersonId)) -> NewLink {
    NewLink {
        id: LinkId::new(cx.now, &*app.entropy),
        issuer: provider.issuer.clone(),
        subject: identity.subject.clone(),
        person,
        linked_at: cx.now,
    }
}

/// Links the account of whoever is signed in.
pub(super) async fn link(
    app: &App,
    cx: Cx,
    provider: &SignInProvider,
    (identity, person): (&Identity, &Person),
) -> Result<Link, Refusal> {
    match app.store.link_put(new(app, cx, provider, (identity, person.id))).await? {
        Linked::Yes => {}
        Linked::Another(_) => return Err(Refusal::OfAnother),
        Linked::Nobody => return Err(Refusal::Disabled(person.id)),
    }
    let event = Event::account_linked(Who::of(person), provider.name(), &identity.subject, None);
    app.audit.record(cx, event);
    let found = read(app, provider, identity).await?;
    found.map(|(link, _)| link).ok_or(Refusal::OfAnother)
}
