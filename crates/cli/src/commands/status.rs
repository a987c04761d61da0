//! `hallpass status`: where you are signed in.

use super::{
    call::json,
    login::{ClientArgs, ends, time},
};
use crate::{output::note, say};
use clap::Args;
use hallpass_client::storage::{Begun, Entry, KeyPlace};
use hallpass_core::time::{Clock, SystemClock, Timestamp};
use serde_json::{Value, json};
use std::process::ExitCode;

/// `hallpass status`.
#[derive(Args, Debug)]
#[command(after_help = "\
Asks nobody: it shows what is kept, of all accounts, and the sign-ins that were begun with --print-url and wait for their answer.

Exit codes: 0 done, 1 failed, 2 wrong usage.")]
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
    let (entries, begun) = (client.status().await?, client.begun().await?);
    let (now, file, place) = (SystemClock.now(), client.store().file(), client.store().key_place()?);
    if args.json {
        let list: Vec<Value> = entries.iter().map(described).collect();
        let command = match &place {
            KeyPlace::File => None,
            KeyPlace::Command(command) => Some(command.to_string()),
        };
        let waiting: Vec<Value> = begun.iter().map(described_begun).collect();
        let all = json!({
            "file": file.display().to_string(), "key_command": command, "accounts": list, "begun": waiting,
        });
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
        say!("  token     {}", until(entry, now));
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
    for begun in &begun {
        let account = match begun.account.as_str() {
            "default" => String::new(),
            name => format!(" --account {name}"),
        };
        let left = time(begun.ends_at.since(now));
        say!("{}", begun.server);
        say!("  account   {}", begun.account);
        say!("  begun     for {left} more: hallpass login {}{account} --wait", begun.server);
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

/// Until when: of the sign-in, and of the token that is kept.
fn until(entry: &Entry, now: Timestamp) -> String {
    let end = ends(entry.tokens.expires_at, entry.is_renewable(), now);
    match entry.tokens.expires_at.map(|end| end.since(now)) {
        Some(left) if entry.is_renewable() && !left.is_zero() => {
            format!("{end}; this one is good for {}", time(left))
        }
        Some(_) | None => end,
    }
}

/// Nothing of it lets anybody answer in the person's place.
fn described_begun(begun: &Begun) -> Value {
    json!({
        "server": begun.server,
        "account": begun.account,
        "issuer": begun.issuer,
        "scope": begun.scope.to_string(),
        "redirect_uri": begun.redirect_uri,
        "ends_at": begun.ends_at.to_rfc3339(),
    })
}

fn described(entry: &Entry) -> Value {
    json!({
        "server": entry.server,
        "account": entry.key.account,
        "issuer": entry.key.issuer,
        "resource": entry.key.resource,
        "client_id": entry.client.client_id,
        "scope": entry.tokens.scope.to_string(),
        "expires_at": entry.tokens.expires_at.map(Timestamp::to_rfc3339),
        "renewable": entry.is_renewable(),
        "through": entry.through().map(|through| &through.server),
        "workload": entry.platform().map(|platform| platform.source.to_string()),
        "machine": entry.machine().is_some(),
        "signed_in_at": entry.signed_in_at.to_rfc3339(),
    })
}
