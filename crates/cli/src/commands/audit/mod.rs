//! `hallpass audit`: reading the lines of the security decisions, and whether they are as they were written.

mod export;
mod tail;

use super::place::{Place, PlaceArgs};
use crate::{config, output::note, say};
use anyhow::{Context, anyhow};
use clap::Subcommand;
use hallpass_core::{seal::KeyRing, time::Timestamp};
use hallpass_server::{
    Settings,
    audit::{AuditTo, Broken, Finding, Found, Line, Verified, files, verify},
};
use hallpass_store::AuditHead;
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// `hallpass audit`.
#[derive(Subcommand, Debug)]
pub enum AuditCommand {
    /// Show the last lines, of all nodes whose files are in the folder.
    Tail(tail::TailArgs),
    /// Say which lines were changed, taken out, moved or cut off. Exit code 1 if any was.
    Verify {
        /// Files, oldest first. Without any: all of the folder.
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Take the log of another node for taken away when none of its files is in the folder, where all nodes write to one.
        #[arg(long, conflicts_with = "files")]
        all: bool,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        older: OlderKeys,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Write the lines of a time to standard output, each of them checked.
    Export(export::ExportArgs),
}

/// Keys that are gone, for lines of before.
#[derive(clap::Args, Debug)]
pub struct OlderKeys {
    /// A copy of an older master.key, for lines that were made under a key which was removed since.
    #[arg(long, value_name = "FILE")]
    master_key: Option<PathBuf>,
}

/// Runs it.
pub async fn run(command: AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Tail(args) => tail::run(&args).await,
        AuditCommand::Verify { files, all, json, older, place } => {
            check(&place.open().await?, &older, (&files, all), json).await
        }
        AuditCommand::Export(args) => export::run(args).await,
    }
}

async fn check(
    place: &Place,
    older: &OlderKeys,
    (named, all): (&[PathBuf], bool),
    json: bool,
) -> anyhow::Result<ExitCode> {
    let keys = place.keys_with(older.master_key.as_deref()).await?;
    // Before the files: a running node goes on meanwhile.
    let heads = if named.is_empty() { place.store.audit_heads().await? } else { Vec::new() };
    let mut verified = read(&keys, &chosen(place, named)?, |_, _| {})?;
    taken_off(place, (&heads, all), &mut verified);
    if json {
        let findings: Vec<_> = verified
            .findings
            .iter()
            .map(|finding| {
                serde_json::json!({"file": finding.path, "line": finding.line, "what": finding.broken.to_string()})
            })
            .collect();
        let last: serde_json::Map<_, _> = verified
            .heads
            .iter()
            .map(|(node, (sequence, mac))| {
                (node.clone(), serde_json::json!({"sequence": sequence, "mac": mac}))
            })
            .collect();
        let all = serde_json::json!({
            "lines": verified.lines, "findings": findings, "notes": verified.notes, "last": last,
        });
        say!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        for (node, (sequence, mac)) in &verified.heads {
            say!("{node}: ends with line {sequence}, {mac}");
        }
        say!("{} line(s) read, {} not as written", verified.lines, verified.findings.len());
    }
    Ok(told(&verified))
}

/// Where a log ends before the line that the database remembers as its last. Nodes share a database and, mostly, no folder:
/// of a node that is not this one, and of which nothing is here, nothing is known.
fn taken_off(place: &Place, (heads, all): (&[AuditHead], bool), verified: &mut Verified) {
    let here = &*place.settings.audit.node;
    let ours = [here.to_owned(), config::operator_of(here)];
    for head in heads {
        if !all && !ours.contains(&head.node) && !verified.heads.contains_key(&head.node) {
            let node = &head.node;
            verified.notes.push(format!("the log of {node} is not here: verify it on its node"));
            continue;
        }
        let (sequence, mac) = verified.heads.get(&head.node).cloned().unwrap_or_default();
        let remembered = u64::try_from(head.sequence).unwrap_or(0);
        let broken = if sequence < remembered {
            Broken::TakenOff { last: sequence, remembered }
        } else if sequence == remembered && mac != head.mac {
            Broken::OtherPredecessor
        } else {
            continue;
        };
        let path = place.audit_folder().join(format!("{}-*.jsonl", head.node));
        verified.findings.push(Finding { path, line: sequence, broken });
    }
}

/// Says what is wrong on standard error, and whether anything is by the exit code.
pub fn told(verified: &Verified) -> ExitCode {
    for finding in &verified.findings {
        note(&format!("{}, line {}: {}", finding.path.display(), finding.line, finding.broken));
    }
    for text in &verified.notes {
        note(&format!("note: {text}"));
    }
    if verified.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// Checks files and hands the good lines to `each`.
pub fn read(keys: &KeyRing, files: &[Found], each: impl FnMut(Line, &str)) -> anyhow::Result<Verified> {
    verify(keys, files, each).context("an audit file cannot be read")
}

/// The files that were named, or all of the folder.
pub fn chosen(place: &Place, named: &[PathBuf]) -> anyhow::Result<Vec<Found>> {
    if !named.is_empty() {
        return Ok(named.iter().map(|path| of(path)).collect());
    }
    let found = of_folder(&place.audit_folder())?;
    if found.is_empty() {
        return Err(none_there(&place.settings, place.state.path(), place.file.as_deref()));
    }
    Ok(found)
}

/// A file by its name: that of its node and its number, or any other for what was collected from standard output.
fn of(path: &Path) -> Found {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let parts = stem.rsplit_once('-').and_then(|(node, number)| Some((node, number.parse().ok()?)));
    let (node, number) = parts.unwrap_or((stem, 0));
    Found { node: node.to_owned(), number, path: path.to_owned() }
}

/// None where the folder is not there.
fn of_folder(folder: &Path) -> anyhow::Result<Vec<Found>> {
    match files(folder, None) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        found => found.with_context(|| format!("the audit log in {} cannot be read", folder.display())),
    }
}

/// What is missing where there are no files, and what brings them. Who named the configuration is not told to name it.
fn none_there(settings: &Settings, state: &Path, file: Option<&Path>) -> anyhow::Error {
    let what = if state.exists() {
        format!("there is no audit log in {}", folder(settings, state).display())
    } else {
        format!("there is no state folder {} yet, and so no audit log", state.display())
    };
    let fix = match (file, &settings.audit.to) {
        (None, _) => "name the folder with --state, or the configuration with --config".to_owned(),
        (Some(file), AuditTo::Stdout) => format!(
            "the server writes it to its standard output ([audit] to = \"stdout\" in {}), and only commands write files; \
             `hallpass audit verify` and `export` take files that were collected",
            file.display()
        ),
        (Some(file), AuditTo::Folder(_) | AuditTo::Nothing) => {
            format!("start the server once, which begins it: hallpass serve --config {}", file.display())
        }
    };
    anyhow!("{what}: {fix}")
}

/// The folder of a configuration's audit log.
pub fn folder(settings: &Settings, state: &Path) -> PathBuf {
    match &settings.audit.to {
        AuditTo::Folder(folder) => folder.clone(),
        AuditTo::Nothing | AuditTo::Stdout => state.join("audit"),
    }
}

/// A moment as it is typed.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_rfc3339(text)
        .ok_or_else(|| "write it in UTC, such as 2026-11-27 or 2026-11-27T19:29Z".to_owned())
}
