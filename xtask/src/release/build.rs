//! The program, built from a commit in a folder of its own, so that nothing of the machine is in it: not the folder, not the
//! time, not what was built there before.

use super::Commit;
use crate::steps::{output, pass};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Exports the commit into a fresh folder below `target`, builds there, and answers where the program is.
pub fn once(root: &Path, commit: &Commit, name: &str) -> Result<PathBuf> {
    let folder = root.join("target/release-build").join(name);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    let source = folder.join("source");
    fs::create_dir_all(&source)?;
    let tar = folder.join("source.tar");
    let mut export = Command::new("git");
    export.arg("-C").arg(root).args(["archive", "--format=tar", "-o"]).arg(&tar).arg(&commit.id);
    pass("git archive", &mut export)?;
    pass("tar", Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&source))?;
    let mut build = Command::new("cargo");
    build.args(["build", "--release", "--locked", "--bin", "hallpass"]).current_dir(&source);
    for (name, value) in environment(&source, commit.seconds)? {
        build.env(name, value);
    }
    pass("cargo build", build.env("CARGO_TARGET_DIR", folder.join("target")))?;
    Ok(folder.join("target/release/hallpass"))
}

/// What makes two builds the same: paths and times that look alike everywhere, no debug information.
fn environment(source: &Path, seconds: u64) -> Result<[(&'static str, String); 7]> {
    let home = cargo_home().context("neither CARGO_HOME nor HOME is set")?;
    let (source, home) = (source.display(), home.display());
    Ok([
        ("SOURCE_DATE_EPOCH", seconds.to_string()),
        ("RUSTFLAGS", format!("--remap-path-prefix={source}=/hallpass --remap-path-prefix={home}=/cargo")),
        ("CFLAGS", format!("-ffile-prefix-map={source}=/hallpass -ffile-prefix-map={home}=/cargo -g0")),
        ("CARGO_PROFILE_RELEASE_DEBUG", "0".into()),
        ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo".into()),
        ("CARGO_INCREMENTAL", "0".into()),
        ("LC_ALL", "C".into()),
    ])
}

#[allow(
    clippy::disallowed_methods,
    reason = "a tool of the repository, which finds cargo's folder as cargo does"
)]
fn cargo_home() -> Option<PathBuf> {
    let named = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    named.or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
}

/// Of this machine, as `x86_64-unknown-linux-gnu`.
pub fn target() -> Result<String> {
    let said = output("rustc", &["-vV"]).context("rustc does not answer")?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc does not say its host")
}
