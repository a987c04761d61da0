//! `hallpass audit export`.

use super::super::place::PlaceArgs;
use crate::say;
use hallpass_core::time::Timestamp;
use hallpass_server::audit::Kind;
use serde_json::Value;
use std::{path::PathBuf, process::ExitCode};

/// `hallpass audit export`.
#[derive(clap::Args, Debug)]
pub struct ExportArgs {
    /// Files, oldest first. Without any: all of the folder.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Only lines of this moment and later: 2026-11-27 or 2026-11-27T19:29Z.
    #[arg(long, value_name = "TIME", value_parser = super::moment)]
    since: Option<Timestamp>,
    /// Only lines before this moment.
    #[arg(long, value_name = "TIME", value_parser = super::moment)]
    until: Option<Timestamp>,
    /// Only these events, such as grant_revoked.
    #[arg(long, value_name = "NAME", value_parser = event)]
    event: Vec<String>,
    /// One JSON array, instead of a JSON object on each line.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Comma-separated values with a head line, for spreadsheets.
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    older: super::OlderKeys,
    #[command(flatten)]
    place: PlaceArgs,
}

/// The columns, in order. What a later release adds is in the JSON.
const COLUMNS: [&str; 30] = [
    "at",
    "node",
    "sequence",
    "event",
    "reason",
    "by",
    "person",
    "name",
    "client",
    "client_name",
    "grant",
    "session",
    "link",
    "server",
    "method",
    "target",
    "status",
    "resource",
    "receiver",
    "scope",
    "epoch",
    "presented",
    "generation",
    "until",
    "key",
    "count",
    "address",
    "request",
    "mac",
    "act",
];

fn event(name: &str) -> Result<String, String> {
    let known = Kind::ALL.iter().any(|kind| kind.name() == name);
    known.then(|| name.to_owned()).ok_or_else(|| {
        let all: Vec<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("the events are {}", all.join(", "))
    })
}

/// Runs it.
pub async fn run(args: ExportArgs) -> anyhow::Result<ExitCode> {
    let place = args.place.open().await?;
    let keys = place.keys_with(args.older.master_key.as_deref()).await?;
    let mut lines: Vec<Value> = Vec::new();
    if args.csv {
        say!("{}", COLUMNS.join(","));
    }
    let verified = super::read(&keys, &super::chosen(&place, &args.files)?, |line, text| {
        let Some(at) = line.time() else { return };
        let in_time = args.since.is_none_or(|since| at >= since) && args.until.is_none_or(|until| at < until);
        if !in_time || !(args.event.is_empty() || args.event.contains(&line.event)) {
            return;
        }
        if !args.json && !args.csv {
            say!("{text}");
            return;
        }
        match serde_json::from_str(text) {
            Ok(value) if args.csv => say!("{}", row(&value)),
            Ok(value) => lines.push(value),
            Err(_) => {}
        }
    })?;
    if args.json {
        say!("{}", serde_json::to_string_pretty(&lines)?);
    }
    Ok(super::told(&verified))
}

fn row(line: &Value) -> String {
    let cells = COLUMNS.iter().map(|column| match line.get(column) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => cell(text),
        // Who acts, the client first: ids, which have no spaces.
        Some(Value::Array(names)) => {
            cell(&names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        Some(other) => other.to_string(),
    });
    cells.collect::<Vec<_>>().join(",")
}

/// Quoted, and never a formula: a client chooses its own name, and a spreadsheet would compute it.
fn cell(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    format!("\"{}{}\"", if formula { "'" } else { "" }, text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_98_a_spreadsheet_computes_nothing_of_what_a_client_calls_itself() {
        let line = serde_json::json!({"event": "x", "client_name": "=1+1,\"a\"", "epoch": 3});
        let row = row(&line);
        assert!(row.contains(",\"'=1+1,\"\"a\"\"\","), "{row}");
        assert!(row.contains(",3,"), "{row}");
    }

    #[test]
    fn as_177_t_98_everybody_who_acted_is_one_cell() {
        let line = serde_json::json!({"event": "x", "act": ["=helper", "agent"]});
        assert!(row(&line).ends_with(",\"'=helper agent\""), "{}", row(&line));
        assert_eq!(row(&line).matches(',').count(), COLUMNS.len() - 1);
    }
}
