//! `hallpass config check`.

use super::first_account;
use crate::{
    config::{self, Problem},
    output::note,
    say,
};
use std::{path::Path, process::ExitCode};

/// Says what is wrong, a line each.
pub fn run(file: &Path) -> ExitCode {
    match config::read(file) {
        Ok(read) if !read.absent.is_empty() => wrong(file, &read.absent),
        Ok(read) => {
            say!(
                "{}: good, {} protected server(s) at {}",
                file.display(),
                read.settings.resources.len(),
                read.settings.issuer
            );
            for weak in &read.dangerous {
                note(&format!("note: {weak}"));
            }
            if let Some(how) = first_account::without_passwords(&read.settings.sign_in, file) {
                note(&format!("note: passwords are off. The first account: {how}"));
            }
            ExitCode::SUCCESS
        }
        Err(problems) => wrong(file, &problems),
    }
}

fn wrong(file: &Path, problems: &[Problem]) -> ExitCode {
    for problem in problems {
        say!("{}: {problem}", file.display());
    }
    ExitCode::from(1)
}
