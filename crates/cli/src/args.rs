//! What can be typed.

use crate::commands;
use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use std::path::PathBuf;

/// OAuth 2.1 for MCP, whole: puts an MCP server behind a sign-in, and signs in to those that have one.
#[derive(Parser, Debug)]
#[command(name = "hallpass", version, about, max_term_width = 100, after_help = AFTER)]
pub struct Args {
    /// Say more on standard error.
    #[arg(long, short, global = true, display_order = 900)]
    pub verbose: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER: &str = "\
Try it:
  hallpass run                                   a demo MCP server behind a sign-in
  hallpass run http://127.0.0.1:3001/mcp         your MCP server instead
  hallpass login http://localhost:8080/mcp       in a second terminal
  hallpass list  http://localhost:8080/mcp
  hallpass connect http://localhost:8080/mcp     for a client that only knows stdio

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a sign-in is needed, 4 the MCP server answered with an error, \
5 nobody is there to sign in.";

impl Args {
    /// What was typed; or the end, with what is wrong with it.
    pub fn typed() -> Self {
        let words: Vec<String> =
            std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
        let wrong = match Self::try_parse() {
            Ok(Self { command: Command::Run(run), .. })
                if run.command.is_empty() && words.iter().any(|word| word == "--") =>
            {
                "no command is behind --: write hallpass run -- npx -y some-server, or hallpass run alone for a demo server".to_owned()
            }
            Ok(args) => return args,
            Err(error) => match misplaced(&words).filter(|_| error.kind() == ErrorKind::UnknownArgument) {
                Some(command) => format!("a command goes behind --: hallpass run -- {command}"),
                None => error.exit(),
            },
        };
        Self::command().error(ErrorKind::ValueValidation, wrong).exit()
    }
}

/// The command in `hallpass run npx -y some-server`, where a URL belongs.
fn misplaced(words: &[String]) -> Option<String> {
    let at = words
        .iter()
        .position(|word| !word.starts_with('-'))
        .filter(|at| words.get(*at).is_some_and(|word| word == "run"))?;
    let mut rest = words.get(at + 1..)?;
    loop {
        let here = rest;
        let (word, others) = here.split_first()?;
        rest = others;
        if !word.starts_with('-') {
            return (!word.contains("://")).then(|| here.join(" "));
        }
        // All options of it but these have a value.
        if !word.contains('=') && !matches!(&**word, "--verbose" | "-v") {
            rest = others.split_first()?.1;
        }
    }
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Put one MCP server behind a sign-in on this computer.
    Run(RunArgs),
    /// Protect the servers of a configuration file.
    Serve(ServeArgs),
    /// Look at a configuration file.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Accounts of a server: list, add, recover, where they are signed in, sign out, disable, remove.
    #[command(subcommand)]
    User(commands::user::UserCommand),
    /// Clients: make, list, remove, block; who may register.
    #[command(subcommand)]
    Client(commands::client::ClientCommand),
    /// Keys that sign access tokens: list, rotate, retire; the master keys.
    #[command(subcommand)]
    Key(commands::key::KeyCommand),
    /// What people allowed: list, revoke.
    #[command(subcommand)]
    Grant(commands::grant::GrantCommand),
    /// The lines of the security decisions: show, verify, export.
    #[command(subcommand)]
    Audit(commands::audit::AuditCommand),
    /// What the rules of a server say about a call, and why.
    #[command(subcommand)]
    Policy(commands::policy::PolicyCommand),
    /// What is kept: back it up, move it between a file and PostgreSQL.
    #[command(subcommand)]
    Store(commands::store::StoreCommand),
    /// When nobody can sign in any more, and after a restore.
    #[command(subcommand)]
    Admin(commands::admin::AdminCommand),
    /// Sign in to an MCP server.
    Login(Box<commands::login::LoginArgs>),
    /// List the tools, prompts or resources of an MCP server that you signed in to.
    List(commands::list::ListArgs),
    /// Call a method of an MCP server that you signed in to.
    Call(commands::call::CallArgs),
    /// Let a client that only knows stdio use a protected MCP server.
    Connect(commands::connect::ConnectArgs),
    /// Print a fresh access token, for scripts.
    Token(commands::token::TokenArgs),
    /// Run a program with a fresh access token.
    Exec(commands::exec::ExecArgs),
    /// Show where you are signed in.
    Status(commands::status::StatusArgs),
    /// Sign out of an MCP server and revoke what it gave.
    Logout(commands::logout::LogoutArgs),
    /// Where the key of your sign-ins is: in a file, or in the system's keyring.
    #[command(subcommand)]
    Keyring(commands::keyring::KeyringCommand),
    /// The metadata document by which authorization servers may know this client: print it, check it.
    Document(commands::document::DocumentArgs),
    /// Print a script that completes these commands in your shell.
    Completion(commands::manual::CompletionArgs),
    /// Print the manual, or write its pages.
    Man(commands::manual::ManArgs),
}

impl Command {
    /// Whether it serves others and logs what happens.
    pub const fn is_server(&self) -> bool {
        matches!(self, Self::Run(_) | Self::Serve(_))
    }
}

/// `hallpass run`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
It ends with Ctrl-C, and when its terminal is closed. For a server that goes on: hallpass serve, started by the \
service manager of the system.")]
pub struct RunArgs {
    /// URL of your MCP server (streamable HTTP). Without it and without a command, a small demo server is built in.
    #[arg(value_name = "URL")]
    pub upstream: Option<String>,
    /// Command that starts your MCP server, when it speaks over stdio. One process is started for each session.
    #[arg(last = true, conflicts_with = "upstream", value_name = "COMMAND")]
    pub command: Vec<String>,
    /// A variable for the command: NAME=VALUE, or NAME to pass on yours. It gets few others (PATH, HOME, LANG, …).
    #[arg(long, value_name = "NAME[=VALUE]", conflicts_with = "upstream", requires = "command")]
    pub env: Vec<String>,
    /// File with the certificate authorities (PEM) that count for an https URL besides those of the system.
    #[arg(long, value_name = "FILE", requires = "upstream")]
    pub ca: Option<PathBuf>,
    /// Port on this computer.
    #[arg(long, default_value_t = 8080)]
    pub port: u16,
    /// Folder for everything that is kept: the database and master.key.
    #[arg(long, value_name = "FOLDER", default_value = ".hallpass")]
    pub state: PathBuf,
}

/// `hallpass serve`.
#[derive(clap::Args, Debug)]
pub struct ServeArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", default_value = "hallpass.toml")]
    pub config: PathBuf,
    /// Take a changed configuration only when told to with SIGHUP, and not when the file changes.
    #[arg(long)]
    pub no_watch: bool,
}

/// `hallpass config`.
#[derive(Subcommand, Debug)]
pub enum ConfigCommand {
    /// Say what is wrong in a file, with line and fix. Exit code 1 if anything is.
    Check {
        /// The configuration file.
        #[arg(default_value = "hallpass.toml")]
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    /// The words of a command as a shell takes them, as far as pages need it: up to a comment, or to another command.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
        for c in line.chars() {
            match quote {
                Some(open) if c == open => quote = None,
                None if matches!(c, '\'' | '"') => {
                    word.get_or_insert_default();
                    quote = Some(c);
                }
                None if c == ' ' => words.extend(word.take()),
                None if matches!(c, '|' | '&' | ';') || (c == '#' && word.is_none()) => break,
                Some(_) | None => word.get_or_insert_default().push(c),
            }
        }
        words.extend(word);
        words
    }

    #[test]
    fn each_command_of_the_guide_can_be_typed() {
        let mut count = 0;
        for page in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/guide")).unwrap() {
            let page = page.unwrap().path();
            let text = fs::read_to_string(&page).unwrap().replace("\\\n", " ");
            for line in text.lines().filter(|line| line.starts_with("    ")) {
                let typed = words(line);
                if typed.first().is_some_and(|word| word == "hallpass") {
                    if let Err(error) = Args::try_parse_from(&typed) {
                        panic!("{}: {line}\n{error}", page.display());
                    }
                    count += 1;
                }
            }
        }
        assert!(count > 50, "{count} commands found");
    }
}
