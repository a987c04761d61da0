//! `cargo xtask test`: everything that can be tested, in one run. No test is left out, none is optional.

mod needs;
mod python;

use crate::{docs, steps::Steps};
use anyhow::{Context, Result, bail};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Installs what is missing, then runs all tests, and stops at the first step that fails.
pub fn run(root: &Path) -> Result<()> {
    let mut steps = Steps::default();
    let e2e = root.join("tests/e2e");
    steps.note("what the tests need", || needs::install(&e2e))?;
    let at_once = at_once().to_string();
    let nextest = ["nextest", "run", "--workspace", "--no-fail-fast", "--test-threads", &at_once];
    steps.run("cargo nextest", cargo(root).args(nextest))?;
    steps.run("documentation tests", cargo(root).args(["test", "--workspace", "--doc"]))?;
    // Tests and harnesses ask for features that the program does not have: it has to compile without them too.
    steps.run("the program as it is released", cargo(root).args(["check", "--package", "hallpass-cli"]))?;
    steps.run("build the programs", cargo(root).args(PROGRAMS))?;
    let node = needs::node(&e2e)?;
    let program = program()?;
    let mut stories = end_to_end(&e2e, (&node, &program), &at_once)?;
    steps.run("official clients, conformance suite, browser", &mut stories)?;
    steps.note("the API reference", || docs::write(root, &program))?;
    print!("\n{}", steps.summary());
    Ok(())
}

/// The programs of the stories. With `--tests` they are built of what the tests are built of, so that nearly nothing is compiled
/// again: packages that are named alone have features of their own.
const PROGRAMS: [&str; 9] = [
    "build",
    "--workspace",
    "--tests",
    "--bin",
    "hallpass",
    "--bin",
    "hallpass-conformance",
    "--bin",
    "tokens",
];

/// How many tests run at the same time: one more than there are cores, because most of them wait more than they compute.
fn at_once() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get) + 1
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

/// Files beside each other. Each has ports, folders and a browser of its own, and the tests of one file go one after another.
fn end_to_end(e2e: &Path, (node, program): (&Path, &Path), at_once: &str) -> Result<Command> {
    let mut command = Command::new(node);
    command.current_dir(e2e).env("HALLPASS_BIN", program);
    command.arg("--test").arg(format!("--test-concurrency={at_once}")).arg("--test-reporter=spec");
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
    fn the_tests_that_begin_first_are_there() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let filters = include_str!("../../../.config/nextest.toml");
        let filters = filters.lines().filter(|line| line.starts_with("filter"));
        let names: Vec<&str> = filters
            .flat_map(|line| line.split("test(").skip(1))
            .filter_map(|rest| rest.split(')').next())
            .collect();
        assert!(names.len() >= 2, "{names:?}");
        let sources = crate::check::files::sources(root).unwrap();
        for name in names {
            let is_it = |line: &str| line.contains("fn ") && line.contains(name);
            assert!(sources.iter().any(|(_, text)| text.lines().any(is_it)), "no test is called {name}");
        }
    }

    #[test]
    fn stories_run_beside_each_other() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.test.mjs"), "").unwrap();
        let at_once = at_once();
        assert!(at_once > 1);
        let command = end_to_end(folder.path(), (Path::new("node"), Path::new("p")), &at_once.to_string());
        let command = command.unwrap();
        let arguments: Vec<_> = command.get_args().map(|one| one.to_string_lossy().into_owned()).collect();
        assert_eq!(arguments[1], format!("--test-concurrency={at_once}"));
        assert_eq!(arguments[3..], ["a.test.mjs"]);
    }

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
