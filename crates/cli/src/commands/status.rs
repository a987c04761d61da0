//! `hallpass status`: where you are signed in.

use super::{
    call::json,
    login::{ClientArgs, ends},
};
use crate::{output::note, say};
use clap::Args;
use hallpass_client::storage::{Entry, KeyPlace};
use hallpass_core::time::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};
use std::process::ExitCode;

/// `hallpass status`.
#[derive(Args, Debug)]
#[command(after_help = "Asks nobody: it shows what is kept. Exit codes: 0 done, 1 failed, 2 wrong usage.")]
pub struct StatusArgs {
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Where.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Lists all accounts.
pub async fn run(args: StatusArgs) -> anyhow::Result<ExitCode> {
    let client = args.client.client(None, false)?;
    let entries = client.status().await?;
    let (now, file, place) = (SystemClock.now(), client.store().file(), client.store().key_place()?);
    if args.json {
        let list: Vec<Value> = entries.iter().map(described).collect();
        let command = match &place {
            KeyPlace::File => None,
            KeyPlace::Command(command) => Some(command.to_string()),
        };
        let all = json!({ "file": file.display().to_string(), "key_command": command, "accounts": list });
        say!("{}", json(&all));
        return Ok(ExitCode::SUCCESS);
    }
    for entry in &entries {
        let tokens = &entry.tokens;
        say!("{}", entry.server);
        say!("  account   {}", entry.key.account);
        say!("  issuer    {}", entry.key.issuer);
        say!(
            "  scopes    {}",
            if tokens.scope.is_empty() { "none named".to_owned() } else { tokens.scope.to_string() }
        );
        say!("  token     {}", ends(tokens.expires_at, entry.is_renewable(), now));
        if let Some(platform) = entry.platform() {
            say!("  workload  {}", platform.source);
        }
        if let Some(proof) = entry.machine() {
            let by = proof.key_file().map_or("secret", |file| &file.path);
            say!("  machine   {} ({by})", entry.client.client_id);
        }
        if let Some(through) = entry.through() {
            say!("  through   {} ({})", through.server, through.account);
        }
    }
    if entries.is_empty() {
        note("Not signed in anywhere. Sign in with: hallpass login URL");
    } else {
        let key = match place {
            KeyPlace::File => "the file beside it".to_owned(),
            KeyPlace::Command(command) => command.to_string(),
        };
        note(&format!("Kept encrypted in {}; its key comes from {key}", file.display()));
    }
    Ok(ExitCode::SUCCESS)
}

fn described(entry: &Entry) -> Value {
    json!({
        "server": entry.server,
        "account": entry.key.account,
        "issuer": entry.key.issuer,
        "resource": entry.key.resource,
        "client_id": entry.client.client_id,
        "scope": entry.tokens.scope.to_string(),
        "expires_at": entry.tokens.expires_at.map(Timestamp::seconds),
        "renewable": entry.is_renewable(),
        "through": entry.through().map(|through| &through.server),
        "workload": entry.platform().map(|platform| platform.source.to_string()),
        "machine": entry.machine().is_some(),
        "signed_in_at": entry.signed_in_at.seconds(),
    })
}
