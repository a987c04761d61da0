//! `hallpass key`: the keys that sign access tokens, and the master keys behind all others.

mod master;

use super::place::{OTHER_KEYS, Place, PlaceArgs};
use crate::{output::note, say};
use anyhow::bail;
use clap::Subcommand;
use hallpass_core::{entropy::SystemEntropy, time::Timestamp};
use hallpass_server::{
    audit::Event,
    keys::{
        fresh, in_use, opens, put_after,
        schedule::{PUBLISHED_AHEAD, Stage, stages},
    },
};
use hallpass_store::StoredKey;
use serde_json::{Value, json};
use std::process::ExitCode;

/// `hallpass key`.
#[derive(Subcommand, Debug)]
#[command(after_help = "\
Keys follow each other by themselves ([keys] rotate_every). A key is published for ten minutes before it signs, and verifies \
for 25 hours after another has taken over, so that nobody notices. If a key may have been stolen:
  hallpass key rotate --now          a new key signs at once
  hallpass key retire KID            tokens of the old one are refused within a second; clients refresh and go on
If the database and master.key may both have been stolen: `hallpass key master --help`, and docs/operation.md.")]
pub enum KeyCommand {
    /// List keys, the oldest first, with what each does now.
    List {
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Make the next key.
    Rotate {
        /// Sign with it at once. Whoever keeps the key set refuses its tokens until it reads it again, five minutes at most.
        #[arg(long)]
        now: bool,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// The master keys, from which all others are derived: list, add, use, remove.
    #[command(subcommand)]
    Master(master::MasterCommand),
    /// Take a key out of use at once: what it has signed is refused within a second.
    Retire {
        /// Its id, as listed.
        #[arg(allow_hyphen_values = true)]
        kid: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Runs it.
pub async fn run(command: KeyCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::Master(command) => return master::run(command).await,
        KeyCommand::List { json, place } => list(&place.open().await?, json).await?,
        KeyCommand::Rotate { now, json, place } => rotate(&place.open().await?, now, json).await?,
        KeyCommand::Retire { kid, json, place } => retire(&place.open().await?, &kid, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(place: &Place, json: bool) -> anyhow::Result<()> {
    let keys = place.store.keys_read().await?;
    let described: Vec<_> = keys.iter().zip(stages(&keys, place.now)).collect();
    if json {
        let list: Vec<Value> = described.iter().map(|(key, stage)| as_json(key, *stage)).collect();
        say!("{}", Value::Array(list));
        return Ok(());
    }
    for (key, stage) in described {
        let when = match stage {
            Stage::Published(from) => format!("signs from {}", from.to_rfc3339()),
            Stage::Signing => format!("since {}", key.signs_from.to_rfc3339()),
            Stage::Verifying(until) => format!("until {}", until.to_rfc3339()),
            Stage::Ended => {
                key.retired_at.map_or_else(String::new, |at| format!("retired {}", at.to_rfc3339()))
            }
        };
        say!("{}  {:5}  {:9}  {when}", key.kid, key.algorithm, stage.name());
    }
    Ok(())
}

fn as_json(key: &StoredKey, stage: Stage) -> Value {
    json!({
        "kid": key.kid,
        "algorithm": key.algorithm,
        "stage": stage.name(),
        "created_at": key.created_at.to_rfc3339(),
        "signs_from": key.signs_from.to_rfc3339(),
        "verifies_until": match stage {
            Stage::Verifying(until) => Some(until.to_rfc3339()),
            Stage::Published(_) | Stage::Signing | Stage::Ended => None,
        },
        "retired_at": key.retired_at.map(Timestamp::to_rfc3339),
    })
}

async fn rotate(place: &Place, at_once: bool, json: bool) -> anyhow::Result<()> {
    let known = place.store.keys_read().await?;
    if known.is_empty() {
        bail!("there is no key yet: start the server once, it makes the first one");
    }
    let signs_from = if at_once { place.now } else { place.now.plus(PUBLISHED_AHEAD) };
    let ring = place.keys().await?;
    // Keys are bound to the public URL: one that is sealed for another is of no use, and stops the next start.
    if !in_use(&known, place.now).any(|key| opens(&ring, key)) {
        bail!(OTHER_KEYS);
    }
    let key = fresh(&ring, place.settings.keys.algorithm, &SystemEntropy, (place.now, signs_from))?;
    if !put_after(&*place.store, &key, &known).await? {
        bail!("another key was made at the same moment: `hallpass key list` shows it");
    }
    place.record(&[Event::key_made(&key.kid)]).await?;
    if json {
        let stage = if at_once { Stage::Signing } else { Stage::Published(signs_from) };
        say!("{}", as_json(&key, stage));
    }
    note(&format!("{} signs from {}", key.kid, signs_from.to_rfc3339()));
    Ok(())
}

async fn retire(place: &Place, kid: &str, json: bool) -> anyhow::Result<()> {
    if !place.store.key_retire(kid.to_owned(), place.now).await? {
        let keys = place.store.keys_read().await?;
        match keys.iter().find(|key| key.kid == kid) {
            None => bail!("there is no key {kid:?}: `hallpass key list` shows them"),
            Some(key) if key.retired_at.is_some() => bail!("{kid} is out of use already"),
            Some(_) => bail!("{kid} is the only key that signs: run `hallpass key rotate --now` first"),
        }
    }
    place.record(&[Event::key_retired(kid)]).await?;
    if json {
        say!("{}", json!({ "kid": kid, "retired_at": place.now.to_rfc3339() }));
    }
    note(&format!("{kid} is out of use: what it has signed is refused within a second"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: KeyCommand,
    }

    #[test]
    fn a_key_whose_id_begins_like_an_option_can_be_retired() {
        // Ids are base64url: one in 64 begins with a hyphen.
        for kid in ["-Abc_1", "--bc_1", "4gffmIp4nyKU"] {
            let line = Line::try_parse_from(["key", "retire", kid, "--port", "8081"]).unwrap();
            let KeyCommand::Retire { kid: read, .. } = line.command else { panic!("{kid}") };
            assert_eq!(read, kid);
        }
    }
}
