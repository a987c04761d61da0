//! `hallpass grant`: what people allowed, and taking it back.

use super::{
    grants::{self, Pages},
    place::{Place, PlaceArgs},
};
use crate::{
    output::{agreed, note},
    say,
};
use anyhow::bail;
use clap::Subcommand;
use hallpass_core::id::{GrantId, PersonId};
use hallpass_server::is_registration;
use hallpass_store::Grant;
use std::{
    collections::{BTreeMap, btree_map::Entry},
    net::IpAddr,
    process::ExitCode,
};

/// `hallpass grant`.
#[derive(Subcommand, Debug)]
pub enum GrantCommand {
    /// List live grants, the newest first: whose each is, for what, which client has it, and when and from where it was used last.
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
    /// Revoke grants: their tokens end within a second.
    ///
    /// With --user and --client those of both. The account stays signed in here (`hallpass user sign-out` ends that too),
    /// and the client may be allowed again (`hallpass client block` prevents it).
    Revoke(RevokeArgs),
}

/// `hallpass grant revoke`.
#[derive(clap::Args, Debug)]
pub struct RevokeArgs {
    /// Their ids, as listed.
    #[arg(value_name = "ID", conflicts_with_all = ["user", "client", "all"])]
    ids: Vec<String>,
    /// All of this account.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// All of this client, whoever gave them.
    #[arg(long, value_name = "CLIENT_ID")]
    client: Option<String>,
    /// All there are. Asks first.
    #[arg(long, conflicts_with_all = ["user", "client"])]
    all: bool,
    /// Do not ask.
    #[arg(long, requires = "all")]
    yes: bool,
    /// The count as a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs it.
pub async fn run(command: GrantCommand) -> anyhow::Result<ExitCode> {
    match command {
        GrantCommand::List { user, json, place } => list(&place.open().await?, user.as_deref(), json).await?,
        GrantCommand::Revoke(args) => revoke(&args.place.open().await?, &args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn pages<'a>(place: &'a Place, user: Option<&str>) -> anyhow::Result<Pages<'a>> {
    Ok(match user {
        Some(name) => Pages::of_person(place, place.person(name).await?.id),
        None => Pages::of_everybody(place),
    })
}

async fn list(place: &Place, user: Option<&str>, json: bool) -> anyhow::Result<()> {
    let (mut pages, mut grants) = (pages(place, user).await?, Vec::new());
    while let Some(page) = pages.next().await? {
        grants.extend(page);
    }
    let names = names(place, &grants).await?;
    if json {
        let rows: Vec<_> = grants
            .iter()
            .map(|grant| {
                serde_json::json!({
                    "id": grant.id.to_string(), "person": grant.person.to_string(), "name": names.get(&grant.person), "client_id": grant.client_id,
                    "client_name": grant.client_name, "receiver": grant.redirect_host, "resource": grant.resource,
                    "scope": grant.scope, "authorization_details": details(grant), "consented_at": grant.consented_at.to_rfc3339(),
                    "refreshed_at": grant.rotated_at.to_rfc3339(), "used_from": grant.used_from, "generation": grant.generation,
                })
            })
            .collect();
        say!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for grant in &grants {
        let name = if grant.client_name.is_empty() { &grant.client_id } else { &grant.client_name };
        let whose = names.get(&grant.person).map_or("?", String::as_str);
        say!(
            "{}  {whose}  {}  {}  {name}  to {}  used {}{}",
            grant.id,
            grant.resource,
            grant.scope,
            grant.redirect_host,
            grant.rotated_at.to_rfc3339(),
            from(grant.used_from)
        );
    }
    Ok(())
}

/// Whose they are.
async fn names(place: &Place, grants: &[Grant]) -> anyhow::Result<BTreeMap<PersonId, String>> {
    let mut names = BTreeMap::new();
    for grant in grants {
        if let Entry::Vacant(free) = names.entry(grant.person)
            && let Some(person) = place.store.person_read(grant.person).await?
        {
            free.insert(person.name);
        }
    }
    Ok(names)
}

/// From where somebody came, where that is known.
pub fn from(address: Option<IpAddr>) -> String {
    address.map_or_else(String::new, |address| format!(" from {}", address.to_canonical()))
}

/// Which tools it is for, as JSON; nothing where its scopes say all.
fn details(grant: &Grant) -> Option<serde_json::Value> {
    grant.details.as_deref().and_then(|text| serde_json::from_str(text).ok())
}

async fn revoke(place: &Place, args: &RevokeArgs) -> anyhow::Result<()> {
    let (mut found, mut revoked) = (0, 0);
    if args.ids.is_empty() && args.user.is_none() && args.client.is_none() && !args.all {
        bail!("which grants? Name their ids as `hallpass grant list` shows them, or --user, --client, --all");
    }
    if args.ids.is_empty() {
        if args.all && !args.yes && !agreed("Take back all access of everybody?") {
            bail!("nothing was done: say --yes to take back all access of everybody");
        }
        let mut pages = pages(place, args.user.as_deref()).await?;
        while let Some(mut page) = pages.next().await? {
            page.retain(|grant| args.client.as_ref().is_none_or(|client| grant.client_id == *client));
            found += page.len();
            revoked += grants::revoke(place, page).await?;
        }
        // Who mistyped an id while something is being stolen must not believe that it is over.
        if let Some(client) = args.client.as_deref().filter(|_| found == 0)
            && !is_there(place, client).await?
        {
            bail!(
                "there is no client {client:?}: `hallpass grant list` shows those that were allowed, `hallpass client list` those that were made here"
            );
        }
    } else {
        let named = named(place, &args.ids).await?;
        found += named.len();
        revoked += grants::revoke(place, named).await?;
    }
    if args.json {
        say!("{}", serde_json::json!({ "revoked": revoked, "revoked_before": found - revoked }));
        return Ok(());
    }
    note(&match (found, revoked) {
        (0, _) => "0 grants revoked: `hallpass grant list` shows what is live".to_owned(),
        (1, 1) => "revoked".to_owned(),
        (1, 0) => "it was revoked before".to_owned(),
        (_, _) => format!("{revoked} grants revoked"),
    });
    Ok(())
}

/// Whether there is a client of this id, though it has no grants. One that registered itself is known by its id alone, one with
/// a document since somebody allowed it.
async fn is_there(place: &Place, id: &str) -> anyhow::Result<bool> {
    let written = place.settings.clients.iter().any(|client| client.id() == id);
    let keys = place.keys().await?;
    Ok(written
        || place.settings.is_workload(id)
        || place.store.client_read(id.to_owned()).await?.is_some()
        || place.store.document_read(id.to_owned()).await?.is_some()
        || is_registration(&keys, id))
}

/// All of them, or none: a mistyped id revokes nothing.
async fn named(place: &Place, ids: &[String]) -> anyhow::Result<Vec<Grant>> {
    let mut grants = Vec::new();
    for id in ids {
        let Some(id) = GrantId::parse(id) else {
            bail!("{id:?} is not the id of a grant: `hallpass grant list` shows them")
        };
        let Some(grant) = place.store.grant_read(id).await? else {
            bail!("there is no grant {id}: `hallpass grant list` shows those that are live");
        };
        grants.push(grant);
    }
    Ok(grants)
}
