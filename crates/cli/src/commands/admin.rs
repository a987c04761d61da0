//! `hallpass admin`: what is needed seldom, and then badly.

mod one_time;
mod ties;

use super::{
    audit,
    place::{Place, PlaceArgs},
};
use crate::{
    output::{agreed, note},
    say,
};
use anyhow::bail;
use clap::Subcommand;
use hallpass_core::{entropy::SystemEntropy, id::PersonId, time::Timestamp};
use hallpass_server::audit::{Event, Kind, Line};
use hallpass_store::{Block, BlockKind, RevocationReason};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    process::ExitCode,
};

/// `hallpass admin`.
#[derive(Subcommand, Debug)]
pub enum AdminCommand {
    /// When nobody can sign in any more: print a one-time link. No server has to run.
    ///
    /// While there is no account, the link is that of the set-up. Later it lets the account named choose a new password;
    /// a disabled account is enabled by it.
    Recover(RecoverArgs),
    /// After a database was restored from a backup: end again what was ended since, as the audit log says.
    ///
    /// Revoked grants, browsers that were signed out, disabled accounts, one-time links that were used and accounts elsewhere
    /// that were unlinked come back to life with a backup. This repeats their end.
    /// It may run beside the server, and as often as you like.
    Restored(RestoredArgs),
}

/// `hallpass admin recover`.
#[derive(clap::Args, Debug)]
pub struct RecoverArgs {
    /// Whose account. May be left out while there is one at most.
    name: Option<String>,
    /// The link in a JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// `hallpass admin restored`.
#[derive(clap::Args, Debug)]
pub struct RestoredArgs {
    /// When the backup was made: 2026-11-27T19:29Z. A little earlier does no harm.
    #[arg(long, value_name = "TIME", value_parser = audit::moment)]
    since: Timestamp,
    /// Audit files that reach from then to now, of all nodes and of the operators. Needed: --audit or --everybody.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    audit: Vec<PathBuf>,
    /// Without audit files: sign everybody out everywhere, and take back all access and all one-time links.
    #[arg(long, conflicts_with = "audit")]
    everybody: bool,
    /// The counts as one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs it.
pub async fn run(command: AdminCommand) -> anyhow::Result<ExitCode> {
    match command {
        AdminCommand::Recover(args) => {
            recover(&args.place.open().await?, args.name.as_deref(), args.json).await
        }
        AdminCommand::Restored(args) => restored(args).await,
    }
}

async fn recover(place: &Place, name: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let people = place.store.people_list(None, 2).await?;
    let person = match (name, people.as_slice()) {
        (_, []) if !place.settings.sign_in.passwords => {
            bail!(
                "passwords are off in [sign_in]: `hallpass user add` and `hallpass user link` make an account for who signs in at a provider"
            );
        }
        (Some(name), []) => bail!(
            "there is no account {name:?}, and no other yet: without a name, the link is that of the first account"
        ),
        (None, []) => {
            if let Some(link) =
                hallpass_server::new_setup_link(&*place.store, &place.settings, &SystemEntropy, place.now)
                    .await?
            {
                if json {
                    say!("{}", serde_json::json!({ "name": null, "link": link.expose() }));
                } else {
                    say!("{}", link.expose());
                }
                note(
                    "There is no account yet. This link makes the first one; it works once and for an hour.",
                );
            }
            return Ok(ExitCode::SUCCESS);
        }
        (Some(name), _) => place.person(name).await?,
        (None, [only]) => only.clone(),
        (None, _) => bail!("whose account? `hallpass user list` shows them"),
    };
    if person.disabled_at.is_some() {
        super::user::able(place, &person, false).await?;
    }
    super::user::invite(place, &person, json).await?;
    Ok(ExitCode::SUCCESS)
}

async fn restored(args: RestoredArgs) -> anyhow::Result<ExitCode> {
    let place = args.place.open().await?;
    if args.audit.is_empty() {
        return everybody(&place, &args).await;
    }
    let mut lines: Vec<Line> = Vec::new();
    let keys = place.keys().await?;
    let verified = audit::read(&keys, &audit::chosen(&place, &args.audit)?, |line, _| {
        let since = line.time().is_some_and(|at| at >= args.since);
        if since && line.kind().is_some_and(|kind| kind.ends_access() || makes(kind)) {
            lines.push(line);
        }
    })?;
    lines.sort_by_key(Line::time);
    let mut done = Done::default();
    for line in &lines {
        repeat(&place, line, &mut done).await?;
    }
    settle(&place, &mut done).await?;
    place.record(&[Event::revocations_repeated(done.total())]).await?;
    done.say(args.json)?;
    Ok(audit::told(&verified))
}

/// What may have ended again after it, or is gone.
const fn makes(kind: Kind) -> bool {
    matches!(kind, Kind::PersonCreated | Kind::ClientAdded) || ties::concerns(kind)
}

/// What was done, and what an operator still has to do.
#[derive(Default)]
struct Done {
    lines: u64,
    grants: u64,
    signed_out: u64,
    browsers: u64,
    one_time: u64,
    disabled: u64,
    enabled: u64,
    blocked: u64,
    unblocked: u64,
    clients: u64,
    keys: u64,
    removed: u64,
    unlinked: u64,
    disconnected: u64,
    not_here: u64,
    /// Whether each account was disabled last, by the lines.
    wanted: BTreeMap<PersonId, bool>,
    /// Whether each thing was blocked last, by the lines.
    blocks: BTreeMap<(&'static str, String), (BlockKind, bool)>,
    /// One-time links.
    links: one_time::Links,
    /// What people linked, connected and turned on.
    ties: ties::Ties,
    /// Whose second factor is not what it was.
    factors: ties::Factors,
    /// Clients that have another secret since: the old one is in force again.
    secrets: BTreeSet<String>,
    /// Who chose another password since: the old one is in force again.
    passwords: BTreeSet<String>,
    /// Keys that were given up since and are the only ones here.
    only_keys: BTreeSet<String>,
    /// Accounts that were made since and are gone.
    gone: BTreeSet<String>,
    /// Clients that were made since, and in the end those of them that are gone.
    clients_made: BTreeSet<String>,
}

impl Done {
    const fn total(&self) -> u64 {
        self.grants
            + self.signed_out
            + self.browsers
            + self.one_time
            + self.disabled
            + self.enabled
            + self.blocked
            + self.unblocked
            + self.clients
            + self.keys
            + self.removed
            + self.unlinked
            + self.disconnected
    }

    fn block(&mut self, line: &Line, blocked: bool) {
        let named = line.client.as_deref().and_then(|text| text.split_once(' '));
        let kind = |name: &str| BlockKind::ALL.into_iter().find(|kind| kind.name() == name);
        if let Some((kind, key)) = named.and_then(|(name, key)| Some((kind(name)?, key))) {
            self.blocks.insert((kind.name(), key.to_owned()), (kind, blocked));
        }
    }

    fn say(&self, json: bool) -> anyhow::Result<()> {
        if json {
            let all = serde_json::json!({
                "lines": self.lines, "grants_revoked": self.grants, "signed_out_everywhere": self.signed_out,
                "browsers_signed_out": self.browsers, "one_time_links_ended": self.one_time,
                "disabled": self.disabled, "enabled": self.enabled, "not_in_this_database": self.not_here,
                "blocked": self.blocked, "unblocked": self.unblocked, "clients_removed": self.clients,
                "keys_retired": self.keys, "accounts_removed": self.removed,
                "links_removed": self.unlinked, "connections_removed": self.disconnected,
                "passwords_set_back": self.passwords, "secrets_set_back": self.secrets, "accounts_gone": self.gone,
                "clients_gone": self.clients_made,
                "second_factors_gone": self.factors.gone, "second_factors_back": self.factors.back,
                "recovery_codes_good_again": self.factors.codes,
            });
            say!("{}", serde_json::to_string_pretty(&all)?);
        } else {
            say!(
                "{} line(s) looked at: {} grant(s) revoked again, {} account(s) signed out everywhere again, {} browser(s) signed out again, {} one-time link(s) ended again, {} disabled and {} enabled again, {} client(s) removed, {} block(s) put back and {} lifted again, {} key(s) given up, {} account(s) removed, {} link(s) to accounts elsewhere and {} connection(s) taken back",
                self.lines,
                self.grants,
                self.signed_out,
                self.browsers,
                self.one_time,
                self.disabled,
                self.enabled,
                self.clients,
                self.blocked,
                self.unblocked,
                self.keys,
                self.removed,
                self.unlinked,
                self.disconnected
            );
        }
        if self.not_here > 0 {
            note(&format!(
                "{} line(s) are about what is not in this database: made after the backup",
                self.not_here
            ));
        }
        for name in &self.passwords {
            note(&format!(
                "{name} chose another password since, and the old one is in force again: run `hallpass user recover {name}`"
            ));
        }
        for id in &self.secrets {
            note(&format!(
                "the client {id} has another secret since, and the old one is in force again: run `hallpass client rotate-secret --only-new {id}`"
            ));
        }
        for kid in &self.only_keys {
            note(&format!(
                "the key {kid} was given up since and is the only one here: run `hallpass key rotate --now`, then `hallpass key retire {kid}`"
            ));
        }
        for name in &self.gone {
            note(&format!("the account {name} was made since and is gone: run `hallpass user add {name}`"));
        }
        self.factors.say();
        for id in &self.clients_made {
            note(&format!("the client {id} was made since and is gone: run `hallpass client add`"));
        }
        Ok(())
    }
}

async fn repeat(place: &Place, line: &Line, done: &mut Done) -> anyhow::Result<()> {
    done.lines += 1;
    done.links.take(line);
    match line.kind() {
        Some(Kind::GrantRevoked) => grant(place, line, RevocationReason::Operator, done).await,
        Some(Kind::CodeReplayed) => grant(place, line, RevocationReason::CodeReplay, done).await,
        Some(Kind::RefreshReused) => grant(place, line, RevocationReason::RefreshReuse, done).await,
        Some(Kind::TokenRevoked) => {
            let Some(id) = line.grant_id().filter(|id| !id.has_row()) else { return Ok(()) };
            done.grants += u64::from(place.store.token_revoke(id, place.tokens_until()).await?);
            Ok(())
        }
        Some(Kind::SignedOut | Kind::SessionEnded) => browser(place, line, done).await,
        Some(Kind::SignedOutEverywhere) => person(place, line, done).await.map(|_| ()),
        Some(Kind::InvitationUsed) => {
            if person(place, line, done).await? {
                done.passwords.extend(line.name.clone());
            }
            Ok(())
        }
        Some(Kind::PersonDisabled) => {
            done.wanted.extend(line.person_id().map(|id| (id, true)));
            person(place, line, done).await.map(|_| ())
        }
        Some(Kind::PersonEnabled) => {
            done.wanted.extend(line.person_id().map(|id| (id, false)));
            Ok(())
        }
        Some(Kind::ClientBlocked) => {
            done.block(line, true);
            Ok(())
        }
        Some(Kind::ClientUnblocked) => {
            done.block(line, false);
            Ok(())
        }
        Some(Kind::ClientRemoved) => {
            let id = line.client.clone().unwrap_or_default();
            done.clients_made.remove(&id);
            done.clients += u64::from(place.store.client_remove(id, place.tokens_until()).await?);
            Ok(())
        }
        Some(Kind::PersonRemoved) => {
            let Some(id) = line.person_id() else { return Ok(()) };
            if place.store.person_read(id).await?.is_none() {
                done.not_here += 1;
            } else if place.store.person_remove(id, place.tokens_until()).await?.is_some() {
                done.removed += 1;
            }
            Ok(())
        }
        Some(Kind::KeyRetired) => key(place, line, done).await,
        Some(Kind::ClientSecretChanged) => {
            done.secrets.extend(line.client.clone());
            Ok(())
        }
        Some(Kind::PersonCreated | Kind::SetupUsed) => {
            if let Some(id) = line.person_id()
                && place.store.person_read(id).await?.is_none()
            {
                done.gone.extend(line.name.clone());
            }
            Ok(())
        }
        Some(Kind::ClientAdded) => {
            done.clients_made.extend(line.client.clone());
            Ok(())
        }
        Some(kind) => {
            done.ties.take(place, line, kind);
            Ok(())
        }
        None => Ok(()),
    }
}

async fn grant(place: &Place, line: &Line, reason: RevocationReason, done: &mut Done) -> anyhow::Result<()> {
    let Some(id) = line.grant_id() else { return Ok(()) };
    match place.store.grant_read(id).await? {
        None => done.not_here += 1,
        Some(grant) if grant.revoked_at.is_some() => {}
        Some(_) => {
            let now = place.store.grant_revoke(id, reason, place.tokens_until(), place.now).await?;
            done.grants += u64::from(now);
        }
    }
    Ok(())
}

async fn key(place: &Place, line: &Line, done: &mut Done) -> anyhow::Result<()> {
    let Some(kid) = &line.key else { return Ok(()) };
    let known = place.store.keys_read().await?;
    match known.iter().find(|key| key.kid == *kid) {
        None => done.not_here += 1,
        Some(found) if found.retired_at.is_some() => {}
        Some(_) if place.store.key_retire(kid.clone(), place.now).await? => done.keys += 1,
        Some(_) => drop(done.only_keys.insert(kid.clone())),
    }
    Ok(())
}

/// One that was opened after the backup is not there, and one that this ran for before is not any more.
async fn browser(place: &Place, line: &Line, done: &mut Done) -> anyhow::Result<()> {
    let (Some(person), Some(session)) = (line.person_id(), line.session_id()) else { return Ok(()) };
    done.browsers += u64::from(place.store.session_end(session, person).await?);
    Ok(())
}

/// The epoch is raised until it is what it was: then nothing that was void is good again. Whether there was anything to raise.
async fn person(place: &Place, line: &Line, done: &mut Done) -> anyhow::Result<bool> {
    let (Some(id), Some(epoch)) = (line.person_id(), line.epoch) else { return Ok(false) };
    let Some(found) = place.store.person_read(id).await? else {
        done.not_here += 1;
        return Ok(false);
    };
    let mut at = found.epoch;
    let behind = at < epoch;
    done.signed_out += u64::from(behind);
    while at < epoch {
        match place.store.person_epoch_raise(id, place.tokens_until(), place.now).await? {
            Some(raised) => at = raised,
            None => break,
        }
    }
    Ok(behind)
}

async fn settle(place: &Place, done: &mut Done) -> anyhow::Result<()> {
    let until = place.tokens_until();
    for ((_, key), (kind, blocked)) in std::mem::take(&mut done.blocks) {
        if blocked {
            let note = "put back after a restore".to_owned();
            let block = Block { kind, key, created_at: place.now, note };
            done.blocked += u64::from(place.store.block_put(block, until).await?);
        } else {
            done.unblocked += u64::from(place.store.block_remove(kind, key, until).await?);
        }
    }
    done.one_time = done.links.settle(place).await?;
    (done.unlinked, done.disconnected) = done.ties.settle(place).await?;
    done.factors = done.ties.factors(place).await?;
    for id in std::mem::take(&mut done.clients_made) {
        if place.store.client_read(id.clone()).await?.is_none() {
            done.clients_made.insert(id);
        }
    }
    for (id, disabled) in done.wanted.clone() {
        let Some(person) = place.store.person_read(id).await? else { continue };
        if person.disabled_at.is_some() != disabled {
            place.store.person_disable(id, disabled, place.tokens_until(), place.now).await?;
            if disabled {
                done.disabled += 1;
            } else {
                done.enabled += 1;
            }
        }
    }
    Ok(())
}

/// Without an audit log nobody knows what was ended, so all is.
async fn everybody(place: &Place, args: &RestoredArgs) -> anyhow::Result<ExitCode> {
    let question = "Without audit files nobody knows what was revoked since. Sign all accounts out everywhere, and take back all one-time links?";
    if !args.everybody && !agreed(question) {
        bail!(
            "nothing was done: name the audit files with --audit, or say --everybody to sign all accounts out everywhere"
        );
    }
    let (mut done, mut after) = (Done::default(), None);
    loop {
        let page = place.store.people_list(after, 500).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for person in &page {
            let raised = place.store.person_epoch_raise(person.id, place.tokens_until(), place.now).await?;
            done.signed_out += u64::from(raised.is_some());
            done.one_time += u64::from(place.store.invitation_end(person.id, None, place.now).await?);
        }
    }
    done.one_time += u64::from(place.store.setup_code_end(None, place.now).await?);
    place.record(&[Event::revocations_repeated(done.total())]).await?;
    done.say(args.json)?;
    if done.one_time > 0 {
        note("who still waits to use a one-time link gets another: `hallpass user recover NAME`");
    }
    note("accounts that were disabled since the backup are enabled: `hallpass user list` shows them all");
    Ok(ExitCode::SUCCESS)
}
