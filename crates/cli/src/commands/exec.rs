//! `hallpass exec`: runs a program with a fresh token, without a shell and without a trace of it in the process list.

use super::{explain::explain, login::ClientArgs};
use anyhow::{Context, bail};
use clap::Args;
use hallpass_core::secret::SecretString;
use std::{
    io::Write,
    process::{Command, ExitCode},
};

/// `hallpass exec`.
#[derive(Args, Debug)]
#[command(after_help = "\
The token is good when the program starts and is not renewed for it afterwards. Other programs of the same account can \
read an environment variable; standard input only reaches the program itself.

Exit codes: those of the program; 1 failed, 2 wrong usage, 3 a sign-in is needed, 128 + N ended by signal N.

Examples:
  hallpass exec http://localhost:8080/mcp -- python agent.py         # reads MCP_TOKEN
  hallpass exec http://localhost:8080/mcp --stdin -- ./agent         # reads one line of standard input")]
pub struct ExecArgs {
    /// URL of the MCP server, as at the sign-in.
    pub url: String,
    /// Name of the environment variable that holds the token.
    #[arg(long, value_name = "NAME", default_value = "MCP_TOKEN", conflicts_with = "stdin")]
    pub env: String,
    /// Give the token as the one line of standard input, and put it into no variable.
    #[arg(long)]
    pub stdin: bool,
    /// Where and as whom.
    #[command(flatten)]
    pub client: ClientArgs,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Runs it.
pub async fn run(args: ExecArgs) -> anyhow::Result<ExitCode> {
    if args.env.is_empty() || args.env.contains(['=', '\0']) {
        bail!("--env takes the name of a variable, such as MCP_TOKEN");
    }
    let client = args.client.client(None, false)?;
    let token = match client.token(&args.url, &args.client.account).await {
        Ok(token) => token.token,
        Err(failed) => return Ok(explain(&args.url, &failed)),
    };
    let Some((program, arguments)) = args.command.split_first() else { bail!("no program is named") };
    let mut command = Command::new(program);
    command.args(arguments);
    let variable = (!args.stdin).then_some(args.env.as_str());
    give(&mut command, variable, &token)?;
    become_it(&mut command).with_context(|| format!("{program} cannot be started"))
}

/// More does not fit into a pipe that nobody reads yet.
const LONGEST: usize = 16 * 1024;

/// Puts the token where the program finds it.
fn give(command: &mut Command, variable: Option<&str>, token: &SecretString) -> anyhow::Result<()> {
    let Some(name) = variable else {
        if token.expose().len() >= LONGEST {
            bail!("the token is too long for --stdin: give it in a variable, with --env");
        }
        let (reader, mut writer) = std::io::pipe()?;
        writeln!(writer, "{}", token.expose())?;
        command.stdin(reader);
        return Ok(());
    };
    command.env(name, token.expose());
    Ok(())
}

/// The program takes the place of this process: whoever ends that one, ends it, and it does not go on with a token behind
/// the back of who stopped it.
#[cfg(unix)]
fn become_it(command: &mut Command) -> std::io::Result<ExitCode> {
    Err(std::os::unix::process::CommandExt::exec(command))
}

/// Elsewhere it runs beside this one, which waits.
#[cfg(not(unix))]
fn become_it(command: &mut Command) -> std::io::Result<ExitCode> {
    let status = tokio::task::block_in_place(|| command.status())?;
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_token_reaches_the_program_by_the_way_that_was_chosen_and_no_other() {
        let token = SecretString::new("canary");
        let ran = |mut command: Command, variable| {
            give(&mut command, variable, &token).unwrap();
            command.status().unwrap()
        };
        let by_variable =
            shell("test \"$MY_TOKEN\" = can''ary && ! tr '\\0' ' ' < /proc/$$/cmdline | grep -q canar[y]");
        assert!(ran(by_variable, Some("MY_TOKEN")).success());
        let by_input = shell("read line; test \"$line\" = canary && ! env | grep -q canary");
        assert!(ran(by_input, None).success());
    }

    #[test]
    fn a_token_that_would_fill_the_pipe_is_refused() {
        let token = SecretString::new("x".repeat(LONGEST));
        assert!(give(&mut shell("cat"), None, &token).is_err());
        give(&mut shell("cat"), Some("MY_TOKEN"), &token).unwrap();
    }
}
