//! The official Python client, installed beside the stories that run it, exactly as pinned.

use crate::steps::{output, pass};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::Command;

/// The copy of the list that was last installed. It lies in the environment, so it vanishes with it.
const INSTALLED: &str = ".venv/hallpass-installed.txt";
const REQUIREMENTS: &str = "python/requirements.txt";

/// Debian's package, where the machine's Python cannot make an environment of its own.
pub fn missing_package() -> Option<&'static str> {
    output("python3", &["-c", "import ensurepip, venv"]).is_none().then_some("python3-venv")
}

/// Makes `.venv` in `e2e` from the pinned list, unless it was made from this very list before.
pub fn install(e2e: &Path) -> Result<()> {
    let list = fs::read_to_string(e2e.join(REQUIREMENTS))
        .context("cannot read tests/e2e/python/requirements.txt")?;
    if is_installed(e2e, &list) {
        println!("Python packages: as pinned");
        return Ok(());
    }
    println!("Python packages: installing what tests/e2e/{REQUIREMENTS} pins");
    pass(
        "python3 -m venv",
        Command::new("python3").args(["-m", "venv", "--clear", ".venv"]).current_dir(e2e),
    )?;
    // Only wheels whose hash is in the list: nothing of a package runs while it is installed.
    let arguments = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
        "--only-binary=:all:",
        "-r",
        REQUIREMENTS,
    ];
    pass("pip install", Command::new(e2e.join(".venv/bin/pip")).args(arguments).current_dir(e2e))?;
    fs::write(e2e.join(INSTALLED), list).context("cannot note what was installed")
}

/// Whether exactly this list was installed the last time.
fn is_installed(e2e: &Path, list: &str) -> bool {
    fs::read_to_string(e2e.join(INSTALLED)).is_ok_and(|installed| installed == list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_list_is_installed_again() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_installed(folder.path(), "a"));
        fs::create_dir(folder.path().join(".venv")).unwrap();
        fs::write(folder.path().join(INSTALLED), "a").unwrap();
        assert!(is_installed(folder.path(), "a"));
        assert!(!is_installed(folder.path(), "b"));
    }

    #[test]
    fn every_package_is_pinned_with_a_hash() {
        let list = include_str!("../../../tests/e2e/python/requirements.txt");
        let packages = list.lines().filter(|line| line.contains("==")).count();
        let hashed = list.lines().filter(|line| line.contains("==") && line.ends_with('\\')).count();
        assert!(packages > 20 && packages == hashed, "{packages} packages, {hashed} with hashes");
    }
}
