//! `hallpass user link` and `unlink`: whom an identity provider means by an account here.

use super::super::place::Place;
use crate::output::note;
use anyhow::bail;
use hallpass_core::{entropy::SystemEntropy, id::LinkId, time::Timestamp};
use hallpass_server::audit::{By, Event, Who};
use hallpass_store::{Link, Linked, NewLink};

/// Somebody at an identity provider.
#[derive(clap::Args, Debug)]
pub struct WhoThere {
    /// The provider: its issuer in the configuration, character by character.
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// What the provider calls the person: `sub` of its tokens, never a name or an e-mail address.
    #[arg(long, value_name = "SUB")]
    subject: String,
}

/// Links.
pub async fn link(place: &Place, name: &str, who: &WhoThere) -> anyhow::Result<()> {
    let person = place.person(name).await?;
    let (issuer, subject) = (who.issuer.clone(), who.subject.clone());
    if !hallpass_core::jwt::id_token::is_subject(&subject) {
        bail!("--subject is not what a provider calls anybody: it has 1 to 255 characters");
    }
    // One that is not there is a typing mistake, and would let in nobody, or later somebody else.
    if !known(place).any(|known| known == issuer) {
        let all: Vec<&str> = known(place).collect();
        bail!(
            "no [[sign_in.provider]] or [[identity_provider]] has the issuer {issuer:?}: write it as it stands there ({})",
            if all.is_empty() { "there is none".to_owned() } else { all.join(", ") }
        );
    }
    let id = LinkId::new(place.now, &SystemEntropy);
    let new = NewLink { id, issuer, subject, person: person.id, linked_at: place.now };
    match place.store.link_put(new).await? {
        Linked::Yes => {}
        Linked::Another(other) => {
            let other =
                place.store.person_read(other).await?.map_or_else(|| other.to_string(), |other| other.name);
            bail!(
                "{} at {} is linked to {other}: `hallpass user unlink {other}` first",
                who.subject,
                who.issuer
            );
        }
        Linked::Nobody => bail!("{} is disabled: `hallpass user enable` first", person.name),
    }
    let event = Event::account_linked(Who::of(&person), &who.issuer, &who.subject, Some(By::Operator));
    place.record(&[event]).await?;
    note(&format!("{} is {} at {}", person.name, who.subject, who.issuer));
    Ok(())
}

fn known(place: &Place) -> impl Iterator<Item = &str> {
    let providers = place.settings.sign_in.providers.iter().map(|provider| provider.issuer.as_str());
    providers.chain(place.settings.identity_providers.iter().map(|company| company.issuer.issuer.as_str()))
}

/// Takes a link away.
pub async fn unlink(place: &Place, name: &str, who: &WhoThere) -> anyhow::Result<()> {
    let person = place.person(name).await?;
    let links = place.store.links_of_person(person.id).await?;
    let found = links.iter().find(|link| link.issuer == who.issuer && link.subject == who.subject);
    let removed = match found {
        Some(link) => place.store.link_remove(link.id, person.id).await?,
        None => false,
    };
    if !removed {
        bail!(
            "{} is not {} at {}: `hallpass user show {name}` shows the links",
            person.name,
            who.subject,
            who.issuer
        );
    }
    let event = Event::account_unlinked(Who::of(&person), &who.issuer, &who.subject, Some(By::Operator));
    place.record(&[event]).await?;
    note(&format!(
        "{} is not linked to it any more. What is signed in stays: `hallpass user sign-out {}` ends it",
        person.name, person.name
    ));
    Ok(())
}

/// For `--json`.
pub fn described(link: &Link) -> serde_json::Value {
    serde_json::json!({
        "issuer": link.issuer, "subject": link.subject, "linked_at": link.linked_at.to_rfc3339(),
        "used_at": link.used_at.map(Timestamp::to_rfc3339),
        "checked_at": link.sealed.is_some().then(|| link.checked_at.to_rfc3339()),
    })
}

/// For people.
pub fn words(link: &Link) -> String {
    match link.used_at {
        Some(at) if link.sealed.is_some() => {
            format!("last used {}, asked again {}", at.to_rfc3339(), link.checked_at.to_rfc3339())
        }
        // An operator who counts on its word about who left has to see that none comes.
        Some(at) => format!("last used {}, not asked again: it gave no refresh token", at.to_rfc3339()),
        None => "never used".to_owned(),
    }
}
