//! `cargo xtask release`: what is published, so that anybody can see who made it and make it again: the program built from
//! what is committed, the same bytes wherever it is built; what it is made of; checksums, and a signature over them.

mod build;
mod files;

use crate::{packages, steps::output};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

const USAGE: &str = "cargo xtask release [--key FILE] [--twice] [--to FOLDER]\n\n  \
     --key FILE    private SSH key that signs the checksums (ssh-keygen -Y sign); without it they are not signed\n  \
     --twice       builds again in another folder, and fails when the two programs differ\n  \
     --to FOLDER   where it goes (target/release-files); it must not be there yet";

/// What was typed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    key: Option<PathBuf>,
    twice: bool,
    to: Option<PathBuf>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            match name.as_str() {
                "--twice" => options.twice = true,
                "--key" => options.key = Some(rest.next().context(USAGE)?.into()),
                "--to" => options.to = Some(rest.next().context(USAGE)?.into()),
                other => bail!("{other} is not known\n{USAGE}"),
            }
        }
        Ok(options)
    }
}

/// Builds and packs what is committed.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let commit = committed(root)?;
    let to = options.to.unwrap_or_else(|| root.join("target/release-files"));
    if to.exists() {
        bail!("{} is there already: remove it, or name another folder with --to", to.display());
    }
    let program = build::once(root, &commit, "first")?;
    if options.twice {
        let again = build::once(root, &commit, "second")?;
        if fs::read(&program)? != fs::read(&again)? {
            bail!(
                "the same commit gave two different programs: {} and {}",
                program.display(),
                again.display()
            );
        }
        println!("built twice, in two folders: the same bytes");
    }
    let named = format!("hallpass-{}-{}", env!("CARGO_PKG_VERSION"), build::target()?);
    fs::create_dir_all(&to)?;
    files::archive(&program, root, &to.join(format!("{named}.tar.gz")), commit.seconds)?;
    fs::write(to.join(format!("{named}.cdx.json")), packages::bill_of_materials(root)?)?;
    files::sums(&to)?;
    match &options.key {
        Some(key) => files::sign(&to, key)?,
        None => println!("not signed: name a key with --key"),
    }
    println!("{}, of commit {}", to.display(), commit.id);
    Ok(())
}

/// What is built.
struct Commit {
    id: String,
    /// When it was made: the time of everything in the archive.
    seconds: u64,
}

/// The commit that is checked out. What is changed and not committed could not be built again by anybody.
fn committed(root: &Path) -> Result<Commit> {
    let at = root.display().to_string();
    let git = |arguments: &[&str]| output("git", &[&["-C", &at][..], arguments].concat());
    let changed = git(&["status", "--porcelain"]).context("git status does not answer here")?;
    if !changed.is_empty() {
        bail!(
            "something is not committed, and nobody could build it again: commit it, or stash it\n{changed}"
        );
    }
    let id = git(&["rev-parse", "HEAD"]).context("there is no commit")?;
    let seconds = git(&["log", "-1", "--format=%ct"]).and_then(|text| text.parse().ok());
    Ok(Commit { id, seconds: seconds.context("the commit has no time")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_read_or_refused() {
        let parse =
            |text: &str| Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        let all = Options { key: Some("k".into()), twice: true, to: Some("d".into()) };
        assert_eq!(parse("--twice --key k --to d").unwrap(), all);
        assert_eq!(parse("").unwrap(), Options::default());
        assert!(parse("--key").is_err() && parse("--twiec").is_err());
    }
}
