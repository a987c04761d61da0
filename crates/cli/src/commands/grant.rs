//! `hallpass grant`: what people allowed, and taking it back.

use super::place::{Place, PlaceArgs};
use crate::{output::note, say};
use anyhow::bail;
use clap::Subcommand;
use hallpass_core::id::GrantId;
use hallpass_server::audit::{By, Event, Which};
use hallpass_store::{Grant, RevocationReason};
use std::process::ExitCode;

/// `hallpass grant`.
#[derive(Subcommand, Debug)]
pub enum GrantCommand {
    /// List live grants, the newest first.
    List {
        /// Only those of this account.
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Revoke a grant: its tokens end within a second.
    Revoke {
        /// Its id, as listed.
        id: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Runs it.
pub async fn run(command: GrantCommand) -> anyhow::Result<ExitCode> {
    match command {
        GrantCommand::List { user, json, place } => list(&place.open().await?, user.as_deref(), json).await?,
        GrantCommand::Revoke { id, place } => revoke(&place.open().await?, &id).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(place: &Place, user: Option<&str>, json: bool) -> anyhow::Result<()> {
    let person = match user {
        Some(name) => Some(place.person(name).await?.id),
        None => None,
    };
    let mut grants: Vec<Grant> = Vec::new();
    loop {
        let before = grants.last().map(|grant| grant.id);
        let page = match person {
            Some(person) => place.store.grants_of_person(person, before, 500).await?,
            None => place.store.grants_list(before, 500).await?,
        };
        if page.is_empty() {
            break;
        }
        grants.extend(page);
    }
    if json {
        let rows: Vec<_> = grants
            .iter()
            .map(|grant| {
                serde_json::json!({
                    "id": grant.id.to_string(), "person": grant.person.to_string(), "client_id": grant.client_id,
                    "client_name": grant.client_name, "receiver": grant.redirect_host, "resource": grant.resource,
                    "scope": grant.scope, "consented_at": grant.consented_at.seconds(),
                    "refreshed_at": grant.rotated_at.seconds(), "generation": grant.generation,
                })
            })
            .collect();
        say!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for grant in &grants {
        let name = if grant.client_name.is_empty() { &grant.client_id } else { &grant.client_name };
        say!("{}  {}  {}  {}  to {}", grant.id, grant.resource, grant.scope, name, grant.redirect_host);
    }
    Ok(())
}

async fn revoke(place: &Place, id: &str) -> anyhow::Result<()> {
    let Some(id) = GrantId::parse(id) else {
        bail!("{id:?} is not the id of a grant: `hallpass grant list` shows them")
    };
    let Some(grant) = place.store.grant_read(id).await? else {
        bail!("there is no grant {id}: `hallpass grant list` shows those that are live");
    };
    let done = place
        .store
        .grant_revoke(grant.id, RevocationReason::Operator, place.tokens_until(), place.now)
        .await?;
    if done {
        let revoked = Event::grant_revoked(Which::of(&grant), place.tokens_until(), By::Operator);
        place.record(&[revoked]).await?;
    }
    note(if done { "revoked" } else { "it was revoked before" });
    Ok(())
}
