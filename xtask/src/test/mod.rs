//! `cargo xtask test`: everything that can be tested, in one run. No test is left out, none is optional.

mod needs;
mod python;

use crate::{docs, steps::Steps};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Installs what is missing, then runs all tests, and stops at the first step that fails.
pub fn run(root: &Path) -> Result<()> {
    let mut steps = Steps::default();
    let e2e = root.join("tests/e2e");
    steps.note("what the tests need", || needs::install(&e2e))?;
    steps.run("cargo nextest", cargo(root).args(["nextest", "run", "--workspace", "--no-fail-fast"]))?;
    steps.run("documentation tests", cargo(root).args(["test", "--workspace", "--doc"]))?;
    steps.run(
        "build the programs",
        cargo(root).args([
            "build",
            "-p",
            "hallpass-cli",
            "-p",
            "hallpass-conformance",
            "-p",
            "hallpass-fuzz",
        ]),
    )?;
    let node = needs::node(&e2e)?;
    let program = program()?;
    steps.run("official clients, conformance suite, browser", &mut end_to_end(&e2e, &node, &program)?)?;
    steps.note("the API reference", || docs::write(root, &program))?;
    print!("\n{}", steps.summary());
    Ok(())
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root);
    command
}

/// The program that was just built: cargo puts it beside this one, whatever the target folder is.
fn program() -> Result<PathBuf> {
    let path =
        std::env::current_exe().context("cannot tell where xtask runs from")?.with_file_name("hallpass");
    if !path.is_file() {
        bail!("{} was not built; run `cargo xtask test` without --release", path.display());
    }
    Ok(path)
}

/// One file after another: they share two cores with a browser.
fn end_to_end(e2e: &Path, node: &Path, program: &Path) -> Result<Command> {
    let mut command = Command::new(node);
    command.current_dir(e2e).env("HALLPASS_BIN", program);
    command.args(["--test", "--test-concurrency=1", "--test-reporter=spec"]);
    command.args(stories(e2e)?);
    Ok(command)
}

fn stories(e2e: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(e2e).context("cannot list tests/e2e")? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.mjs") {
            names.push(name);
        }
    }
    names.sort();
    if names.is_empty() {
        bail!("no *.test.mjs in tests/e2e");
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn all_stories_are_found_and_none_at_all_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(stories(folder.path()).is_err());
        for name in ["b.test.mjs", "a.test.mjs", "lib.mjs"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(stories(folder.path()).unwrap(), ["a.test.mjs", "b.test.mjs"]);
    }
}
