//! `hallpass completion` and `hallpass man`: what a package installs beside the program.

use crate::{args::Args as Whole, output::note};
use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::{io::Write, path::PathBuf, process::ExitCode};

/// `hallpass completion`.
#[derive(Args, Debug)]
#[command(after_help = "\
The script goes to standard output:
  bash   hallpass completion bash > ~/.local/share/bash-completion/completions/hallpass
  zsh    hallpass completion zsh > \"${fpath[1]}/_hallpass\"
  fish   hallpass completion fish > ~/.config/fish/completions/hallpass.fish")]
pub struct CompletionArgs {
    /// Your shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// `hallpass man`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hallpass man | man -l -                                read it
  hallpass man --folder ~/.local/share/man/man1          a page for each command")]
pub struct ManArgs {
    /// Write a page for each command into this folder, which is made where it is missing.
    #[arg(long, value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// Prints the script.
pub fn completion(args: &CompletionArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Whole::command(), "hallpass", &mut script);
    printed(&script)
}

/// Prints the page, or writes all.
pub fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Whole::command()).render(&mut page)?;
        return printed(&page);
    };
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Whole::command(), folder))
        .with_context(|| format!("{} cannot be written to", folder.display()))?;
    note(&format!("Written to {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

/// A closed pipe is no reason to fail: `| head` has seen enough.
fn printed(text: &[u8]) -> anyhow::Result<ExitCode> {
    match std::io::stdout().lock().write_all(text) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("standard output cannot be written to")
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_page_for_each_command() {
        let folder = tempfile::tempdir().unwrap();
        let args = ManArgs { folder: Some(folder.path().join("man1")) };
        man(&args).unwrap();
        for command in Whole::command().get_subcommands() {
            let page = folder.path().join(format!("man1/hallpass-{}.1", command.get_name()));
            assert!(std::fs::read_to_string(&page).unwrap().contains(".SH SYNOPSIS"), "{}", page.display());
        }
        std::fs::write(folder.path().join("file"), "").unwrap();
        let refused = man(&ManArgs { folder: Some(folder.path().join("file/x")) }).unwrap_err();
        assert!(refused.to_string().contains("cannot be written to"));
    }

    #[test]
    fn what_can_be_typed_is_consistent() {
        Whole::command().debug_assert();
    }
}
