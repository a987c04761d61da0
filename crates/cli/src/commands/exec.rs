//! `hallpass exec`: runs a program with a fresh token, without a shell and without a trace of it in the process list.

use super::{explain::explain, login::ClientArgs};
use anyhow::{Context, bail};
use clap::Args;
use hallpass_core::secret::SecretString;
use std::{
    io::{PipeReader, Write},
    process::{Command, ExitCode},
};

/// `hallpass exec`.
#[derive(Args, Debug)]
#[command(after_help = "\
The token is good when the program starts and is not renewed for it afterwards. Other programs of the same account can \
read an environment variable; standard input and a descriptor only reach the program itself, and what it starts.

Exit codes: those of the program; 1 failed, 2 wrong usage, 3 a sign-in is needed, 128 + N ended by signal N.

Examples:
  hallpass exec http://localhost:8080/mcp -- python agent.py         # reads MCP_TOKEN
  hallpass exec http://localhost:8080/mcp --stdin -- ./agent         # reads one line of standard input
  hallpass exec http://localhost:8080/mcp --fd -- sh -c 'read -r token <&\"$MCP_TOKEN_FD\"; …'")]
pub struct ExecArgs {
    /// URL of the MCP server, as at the sign-in.
    pub url: String,
    /// Name of the environment variable that holds the token.
    #[arg(long, value_name = "NAME", default_value = "MCP_TOKEN", value_parser = name, conflicts_with_all = ["stdin", "fd"])]
    pub env: String,
    /// Give the token as the one line of standard input, and put it into no variable.
    #[arg(long, conflicts_with = "fd")]
    pub stdin: bool,
    /// Give the token as the one line of a file descriptor of its own, whose number is in the variable MCP_TOKEN_FD. Standard
    /// input stays as it is. Not on Windows.
    #[arg(long)]
    pub fd: bool,
    /// Where and as whom.
    #[command(flatten)]
    pub client: ClientArgs,
    /// The program and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Runs it.
pub async fn run(args: ExecArgs) -> anyhow::Result<ExitCode> {
    let client = args.client.client(None, false)?;
    let token = match client.token(&args.url, &args.client.account).await {
        Ok(token) => token.token,
        Err(failed) => return Ok(explain(&args.url, &failed)),
    };
    let Some((program, arguments)) = args.command.split_first() else { bail!("no program is named") };
    let mut command = Command::new(program);
    command.args(arguments);
    let way = match (args.stdin, args.fd) {
        (true, _) => Way::Input,
        (false, true) => Way::Descriptor,
        (false, false) => Way::Variable(&args.env),
    };
    // Open until the program has taken the place of this one.
    let _open = give(&mut command, way, &token)?;
    become_it(&mut command).with_context(|| format!("{program} cannot be started"))
}

/// How the program gets the token.
#[derive(Clone, Copy)]
enum Way<'a> {
    Input,
    Descriptor,
    Variable(&'a str),
}

/// The name of a variable as somebody types it.
fn name(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.contains(['=', '\0']) {
        return Err("this is no name of a variable; such as MCP_TOKEN");
    }
    Ok(text.to_owned())
}

/// More does not fit into a pipe that nobody reads yet.
const LONGEST: usize = 16 * 1024;

/// Where the number of the descriptor is.
const DESCRIPTOR: &str = "MCP_TOKEN_FD";

/// Puts the token where the program finds it; what has to stay open for that.
fn give(command: &mut Command, way: Way<'_>, token: &SecretString) -> anyhow::Result<Option<PipeReader>> {
    match way {
        Way::Variable(name) => {
            command.env(name, token.expose());
            Ok(None)
        }
        Way::Input => {
            command.stdin(with_line(token)?);
            Ok(None)
        }
        Way::Descriptor => {
            let reader = with_line(token)?;
            command.env(DESCRIPTOR, number_for_programs(&reader)?);
            Ok(Some(reader))
        }
    }
}

/// The end of a pipe that has the token in it, and nothing after it.
fn with_line(token: &SecretString) -> anyhow::Result<PipeReader> {
    if token.expose().len() >= LONGEST {
        bail!("the token is too long for --stdin and --fd: give it in a variable, with --env");
    }
    let (reader, mut writer) = std::io::pipe()?;
    writeln!(writer, "{}", token.expose())?;
    Ok(reader)
}

/// The number of a descriptor, which from now on stays open in a program that this process becomes.
#[cfg(unix)]
fn number_for_programs(reader: &PipeReader) -> anyhow::Result<String> {
    use std::os::fd::AsRawFd as _;
    rustix::io::fcntl_setfd(reader, rustix::io::FdFlags::empty())?;
    Ok(reader.as_raw_fd().to_string())
}

/// Programs get no descriptors there.
#[cfg(not(unix))]
fn number_for_programs(_: &PipeReader) -> anyhow::Result<String> {
    bail!("--fd is not there on this system: give the token by --stdin, or in a variable")
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
        let ran = |mut command: Command, way: Way<'_>| {
            let _open = give(&mut command, way, &token).unwrap();
            command.status().unwrap()
        };
        let by_variable =
            shell("test \"$MY_TOKEN\" = can''ary && ! tr '\\0' ' ' < /proc/$$/cmdline | grep -q canar[y]");
        assert!(ran(by_variable, Way::Variable("MY_TOKEN")).success());
        let by_input = shell("read line; test \"$line\" = canary && ! env | grep -q canary");
        assert!(ran(by_input, Way::Input).success());
        let mut by_descriptor = shell(
            "read -r line < /dev/fd/$MCP_TOKEN_FD; test \"$line\" = canary && ! env | grep -q canary && test \"$(cat)\" = own",
        );
        let (own, mut writer) = std::io::pipe().unwrap();
        write!(writer, "own").unwrap();
        drop(writer);
        by_descriptor.stdin(own);
        assert!(ran(by_descriptor, Way::Descriptor).success());
    }

    #[test]
    fn a_token_that_would_fill_the_pipe_is_refused() {
        let token = SecretString::new("x".repeat(LONGEST));
        for way in [Way::Input, Way::Descriptor] {
            assert!(give(&mut shell("cat"), way, &token).is_err());
        }
        give(&mut shell("cat"), Way::Variable("MY_TOKEN"), &token).unwrap();
    }
}
