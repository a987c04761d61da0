//! `hallpass audit tail`.

use super::super::place::PlaceArgs;
use crate::{output::note, say};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::{self, BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// `hallpass audit tail`.
#[derive(clap::Args, Debug)]
pub struct TailArgs {
    /// How many lines.
    #[arg(long, short = 'n', default_value_t = 20, value_name = "NUMBER")]
    lines: usize,
    /// Go on with what comes, until Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    /// As they are in the files, one JSON object a line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// How often new lines are looked for.
const INTERVAL: Duration = Duration::from_millis(300);

/// Runs it. It reads the files only: no key is needed, and nothing is checked.
pub async fn run(args: &TailArgs) -> anyhow::Result<ExitCode> {
    let config = args.place.config()?;
    let folder = super::folder(&config.settings, &config.state);
    if super::of_folder(&folder)?.is_empty() {
        return Err(super::none_there(&config.settings, &config.state, args.place.file()));
    }
    let mut seen = Seen::default();
    let mut last: BTreeSet<(String, String)> = BTreeSet::new();
    seen.read(&folder, &mut |line| {
        last.insert((time(&line), line));
        if last.len() > args.lines {
            last.pop_first();
        }
    })?;
    for (_, line) in &last {
        show(line, args.json);
    }
    if !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        seen.read(&folder, &mut |line| show(&line, args.json))?;
    }
}

/// How far each file was read.
#[derive(Default)]
struct Seen(BTreeMap<PathBuf, u64>);

impl Seen {
    fn read(&mut self, folder: &Path, each: &mut dyn FnMut(String)) -> anyhow::Result<()> {
        for found in super::of_folder(folder)? {
            let at = self.0.entry(found.path.clone()).or_default();
            if let Err(error) = rest(&found.path, at, each) {
                note(&format!("{} cannot be read ({error})", found.path.display()));
            }
        }
        Ok(())
    }
}

/// Whole lines behind `at`.
fn rest(path: &Path, at: &mut u64, each: &mut dyn FnMut(String)) -> io::Result<()> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() <= *at {
        return Ok(());
    }
    file.seek(SeekFrom::Start(*at))?;
    let mut reader = BufReader::new(file);
    loop {
        let mut bytes = Vec::new();
        let read = reader.read_until(b'\n', &mut bytes)?;
        if bytes.pop() != Some(b'\n') {
            return Ok(());
        }
        *at += u64::try_from(read).unwrap_or(0);
        each(String::from_utf8_lossy(&bytes).into_owned());
    }
}

fn time(line: &str) -> String {
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    value.get("at").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn show(line: &str, json: bool) {
    if json {
        say!("{line}");
        return;
    }
    let value: Value = serde_json::from_str(line).unwrap_or_default();
    let Some(members) = value.as_object() else { return };
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut out = format!("{}  {}  {}", text("at"), text("node"), text("event"));
    for (name, value) in members {
        if !matches!(
            name.as_str(),
            "at" | "node" | "event" | "sequence" | "previous" | "master" | "mac" | "request"
        ) {
            // As JSON: what a client calls itself stays in its quotes, and escapes stay escapes.
            out.extend(["  ", name, "=", &ascii(value)]);
        }
    }
    say!("{out}");
}

/// Text as in the file: the reader turned its escapes into characters, which a terminal must not see.
fn ascii(value: &Value) -> String {
    let Value::String(text) = value else { return value.to_string() };
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"');
    if plain {
        return text.clone();
    }
    format!("\"{}\"", text.escape_default())
}
