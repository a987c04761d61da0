//! `cargo xtask check`: every rule that a machine can hold, one line for each finding.

pub mod files;
pub mod finding;
mod floors;
mod harness;
mod lock;
mod packages;
mod purity;
mod sizes;
pub mod source;
mod sql;
mod texts;

use crate::steps::Steps;
use anyhow::{Result, bail};
use source::Source;
use std::path::Path;
use std::process::Command;

/// Runs all checks. The cheap ones all report before the first slow one starts.
pub fn run(root: &Path) -> Result<()> {
    let mut steps = Steps::default();
    steps.note("rules of the house", || rules(root))?;
    steps.run("formatting", cargo(root).args(["fmt", "--all", "--check"]))?;
    steps.run(
        "clippy",
        cargo(root).args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    )?;
    print!("\n{}", steps.summary());
    Ok(())
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root);
    command
}

fn rules(root: &Path) -> Result<()> {
    let mut findings = Vec::new();
    let mut hints = Vec::new();
    let manifests = files::manifests(root)?;
    floors::check(&manifests, &mut findings);
    harness::manifests(&manifests, &mut findings);
    lock::cargo(&lock::tree(root)?, &mut findings);
    packages::check(&crate::packages::of_program(root)?, &mut findings);
    lock::npm(&files::read(root, "tests/e2e/package-lock.json")?, &mut findings);
    for (path, text) in files::sources(root)? {
        if files::has_extension(&path, "rs") {
            let source = Source::read(&text);
            purity::check(&path, &source, &mut findings);
            harness::check(&path, &source, &mut findings);
            sizes::check(&path, &source, &mut findings, &mut hints);
            texts::check(&path, &text, &source, &mut findings);
            sql::literals(&path, &source, &mut findings);
        } else {
            sql::file(&path, &text, &mut findings);
        }
    }
    crate::matrix::check(root, &mut findings)?;
    for hint in &hints {
        println!("hint: {hint}");
    }
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!("{} finding(s)", findings.len())
}

/// Shorthand for the tests of the checks.
#[cfg(test)]
fn lines(findings: &[finding::Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}
