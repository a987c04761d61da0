//! Running named commands one after another, and saying how long each took.

use anyhow::{Context, Result, bail};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The steps that have passed so far, in order.
#[derive(Default)]
pub struct Steps {
    passed: Vec<(String, Duration)>,
}

impl Steps {
    /// Runs one command with its output going straight through. A failure stops everything.
    pub fn run(&mut self, name: &str, command: &mut Command) -> Result<()> {
        self.note(name, || pass(name, command))
    }

    /// Runs `work` as one step.
    pub fn note(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("\n== {name}");
        let start = Instant::now();
        let outcome = work();
        if outcome.is_err() {
            print!("\n{}", self.summary());
        }
        outcome?;
        self.passed.push((name.to_owned(), start.elapsed()));
        Ok(())
    }

    /// One line for each step that passed.
    pub fn summary(&self) -> String {
        let line =
            |(name, took): &(String, Duration)| format!("passed {:>7.1} s  {name}\n", took.as_secs_f64());
        self.passed.iter().map(line).collect()
    }
}

/// Runs one command and turns its exit status into a result.
pub fn pass(name: &str, command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("{name}: cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// What a command prints, or nothing when it is not installed or fails.
pub fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_an_error_and_is_not_among_the_passed() {
        let mut steps = Steps::default();
        steps.run("first", &mut Command::new("true")).unwrap();
        let error = steps.run("second", &mut Command::new("false")).unwrap_err();
        assert!(error.to_string().starts_with("second failed"));
        assert!(steps.summary().contains("first"));
        assert!(!steps.summary().contains("second"));
    }

    #[test]
    fn a_missing_program_has_no_output() {
        assert_eq!(output("hallpass-no-such-program", &[]), None);
        assert_eq!(output("echo", &["here"]).as_deref(), Some("here"));
    }
}
