//! `hallpass key master`: the keys of `master.key`, from which every other key of the program is derived.

use super::super::place::{Place, PlaceArgs};
use crate::{
    output::note,
    say,
    state::{Happened, KeyFile},
};
use anyhow::bail;
use clap::Subcommand;
use depends::Depends;
use hallpass_core::{entropy::SystemEntropy, time::Timestamp};
use hallpass_server::audit::Event;
use serde_json::{Value, json};
use std::process::ExitCode;

mod depends;

/// `hallpass key master`.
#[derive(Subcommand, Debug)]
#[command(after_help = "\
A running server takes what these commands write within two seconds (with --no-watch: on SIGHUP). Another master key, in \
this order, and nobody notices:
  hallpass key master add            it is accepted; several nodes: copy master.key to each of them now
  hallpass key master use N          what is new is made with it; several nodes: copy master.key again
  hallpass key master remove OLD     when nothing hangs on the old one any more; `list` says what does
Ids of clients hang on their key for years. Keep an old key as long as you like: it costs nothing.")]
pub enum MasterCommand {
    /// List the master keys, that for what is new first, with what hangs on each. The keys themselves are never shown.
    List {
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Make a key that is accepted, and used for nothing yet.
    Add {
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Make everything new with this key from now on. The others are still accepted.
    Use {
        /// Its number, as listed.
        number: u8,
        /// It is in the master.key of every node that uses this database. Needed with PostgreSQL.
        #[arg(long)]
        on_every_node: bool,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Take a key out. Refused while something hangs on it.
    Remove {
        /// Its number, as listed.
        number: u8,
        /// Refuse from now on whatever was made with it, as when it was stolen.
        #[arg(long)]
        end_what_it_made: bool,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Runs it.
pub async fn run(command: MasterCommand) -> anyhow::Result<ExitCode> {
    match command {
        MasterCommand::List { json, place } => list(&place.open().await?, json).await?,
        MasterCommand::Add { json, place } => add(&place.open().await?, json).await?,
        MasterCommand::Use { number, on_every_node, json, place } => {
            use_for_new(&place.open().await?, number, on_every_node, json).await?;
        }
        MasterCommand::Remove { number, end_what_it_made, json, place } => {
            remove(&place.open().await?, number, end_what_it_made, json).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(place: &Place, json: bool) -> anyhow::Result<()> {
    let file = place.state.key_file()?;
    let mut rows = Vec::new();
    for number in file.numbers() {
        let depends = Depends::find(place, &file, number).await?;
        if json {
            rows.push(as_json(&file, number, &depends));
        } else {
            say!("{number:3}  {}", role(&file, number));
            for sentence in depends.sentences() {
                say!("     {sentence}");
            }
        }
    }
    if json {
        say!("{}", serde_json::to_string_pretty(&rows)?);
    }
    Ok(())
}

fn role(file: &KeyFile, number: u8) -> String {
    let since =
        |at: Option<Timestamp>| at.map_or_else(String::new, |at| format!(" since {}", at.to_rfc3339()));
    if file.current() == number {
        format!("for what is new{}", since(file.last(number, Happened::Used)))
    } else if file.was_never_used(number) {
        format!("accepted{}, never used", since(file.last(number, Happened::Added)))
    } else {
        format!("only read{}", since(file.only_read_since(number)))
    }
}

fn as_json(file: &KeyFile, number: u8, depends: &Depends) -> Value {
    let time = |at: Option<Timestamp>| at.map(Timestamp::to_rfc3339);
    json!({
        "number": number,
        "for_new": file.current() == number,
        "never_used": file.was_never_used(number),
        "added_at": time(file.last(number, Happened::Added)),
        "used_at": time(file.last(number, Happened::Used)),
        "only_read_since": time(file.only_read_since(number)),
        "signing_keys": depends.signing_keys,
        "connections": depends.connections,
        "second_factors": depends.second_factors,
        "tokens_until": time(depends.tokens_until),
        "grants_of_its_clients": depends.grants,
        "its_clients_with_grants": depends.clients.len(),
        "removable": file.current() != number && depends.is_nothing(),
    })
}

async fn add(place: &Place, json: bool) -> anyhow::Result<()> {
    let number = place.state.change_key_file(|file| file.add(&SystemEntropy, place.now))?;
    place.record(&[Event::master_key_added(&number.to_string())]).await?;
    if json {
        say!("{}", json!({ "number": number }));
    }
    note(&format!("master key {number} is accepted, and used for nothing yet"));
    if place.several_nodes {
        note(&format!("next: copy {} to every node, each says that it has taken it", place.state.key_path()));
        note(&format!("then: hallpass key master use {number} --on-every-node, and copy it again"));
    } else {
        note(&format!("next: hallpass key master use {number}"));
    }
    Ok(())
}

async fn use_for_new(place: &Place, number: u8, on_every_node: bool, json: bool) -> anyhow::Result<()> {
    if place.several_nodes && !on_every_node {
        bail!(
            "a node that lacks master key {number} answers 503 to whoever comes with something that was made with it: copy \
             {} to every node first, and then say --on-every-node",
            place.state.key_path()
        );
    }
    let changed = place.state.change_key_file(|file| file.use_for_new(number, place.now))?;
    if !changed {
        bail!("master key {number} is the one for what is new already");
    }
    place.record(&[Event::master_key_used(&number.to_string())]).await?;
    if json {
        say!("{}", json!({ "number": number }));
    }
    note(&format!("what is new is made with master key {number}; the others are still accepted"));
    if place.several_nodes {
        note(&format!("next: copy {} to every node", place.state.key_path()));
    }
    Ok(())
}

async fn remove(place: &Place, number: u8, end_what_it_made: bool, json: bool) -> anyhow::Result<()> {
    let file = place.state.key_file()?;
    // Before anything is done: the number and that it is not in use.
    file.clone().remove(number, place.now)?;
    depends::reseal(place, &file, number).await?;
    let depends = Depends::find(place, &file, number).await?;
    if depends.signing_keys > 0 {
        bail!(
            "{} signing key(s) are sealed under master key {number} and cannot be opened with it: the line in master.key is \
             not the one that belongs to them",
            depends.signing_keys
        );
    }
    if !depends.is_nothing() && !end_what_it_made {
        let sentences = depends.sentences().join("; ");
        bail!(
            "something hangs on master key {number}: {sentences}. Keep it, or say --end-what-it-made: then all of this is \
             refused from now on"
        );
    }
    place.state.change_key_file(|file| file.remove(number, place.now))?;
    place.record(&[Event::master_key_removed(&number.to_string())]).await?;
    if json {
        let clients = depends.clients.len();
        say!(
            "{}",
            json!({
                "number": number, "grants_ended": depends.grants, "clients_ended": clients,
                "connections_ended": depends.connections, "second_factors_ended": depends.second_factors,
            })
        );
    }
    note(&format!(
        "master key {number} is gone: a running server refuses what was made with it within two seconds"
    ));
    if place.several_nodes {
        note(&format!("next: copy {} to every node", place.state.key_path()));
    }
    note("older backups and audit logs need it still: keep a copy of the old master.key with them");
    Ok(())
}
