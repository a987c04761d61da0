//! `hallpass connect`: lets a client that only knows stdio use a protected server.

use super::{
    explain::explain,
    keyring,
    login::{ClientArgs, chosen_browser, scope},
    person::Person,
};
use crate::{node::asked_to_stop, output::note};
use anyhow::Context;
use clap::Args;
use hallpass_client::{
    driver::{Bridge, LoginOptions},
    storage::Store,
};
use hallpass_core::scope::Scope;
use std::{path::PathBuf, process::ExitCode, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    sync::mpsc,
};

/// Longest line of the client: longest message, and its line end.
const MAX_LINE: u64 = 4 * 1024 * 1024 + 2;
/// Lines on their way to the client. A client that does not read makes the server wait.
const WAITING: usize = 64;
/// For what is under way when the client closes its side.
const PATIENCE: Duration = Duration::from_secs(10);

/// `hallpass connect`.
#[derive(Args, Debug)]
#[command(after_help = "\
Configure it in the client as a server that is started by command. Claude Desktop, Cursor, Windsurf and others:
  { \"mcpServers\": { \"notes\": { \"command\": \"hallpass\", \"args\": [\"connect\", \"https://mcp.example.com/notes\"] } } }
VS Code (.vscode/mcp.json):
  { \"servers\": { \"notes\": { \"type\": \"stdio\", \"command\": \"hallpass\", \"args\": [\"connect\", \"https://mcp.example.com/notes\"] } } }

Standard input and output are the client's; everything for people goes to standard error. The browser opens when a \
sign-in is needed, or more permissions; `hallpass login URL` beforehand spares the client that wait.

Exit codes: 0 the client closed its side, 1 failed, 2 wrong usage.")]
pub struct ConnectArgs {
    /// URL of the MCP server, exactly as its documentation gives it.
    pub url: String,
    /// Only print the URL of the sign-in page, on standard error.
    #[arg(long)]
    pub no_browser: bool,
    /// Open the page with this program. It gets the URL as its only argument.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "no_browser")]
    pub browser: Option<PathBuf>,
    /// Ask for exactly these scopes, separated by spaces, and never for more.
    #[arg(long, value_name = "SCOPES", value_parser = scope)]
    pub scope: Option<Scope>,
    /// Have the tokens bound to a key that stays on this computer (DPoP), where the authorization server does that.
    #[arg(long)]
    pub bound_tokens: bool,
    /// How long to wait for you at a sign-in, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub timeout: u64,
    /// Where and as whom.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Carries messages until the client closes its side, or somebody stops it.
pub async fn run(args: ConnectArgs) -> anyhow::Result<ExitCode> {
    let client = args.client.client(None, args.bound_tokens)?;
    let options = LoginOptions {
        account: args.client.account.clone(),
        scope: args.scope,
        patience: Duration::from_secs(args.timeout),
        ..LoginOptions::default()
    };
    let person = Person::new(chosen_browser(args.no_browser, args.browser), false, false);
    let url = args.url.clone();
    let report = Box::new(move |failed: &hallpass_client::error::Failed| {
        explain(&url, failed);
    });
    let (sender, lines) = mpsc::channel(WAITING);
    let bridge = match client.bridge(&args.url, options, (Box::new(person), report), sender) {
        Ok(bridge) => bridge,
        Err(failed) => return Ok(explain(&args.url, &failed)),
    };
    let writing = tokio::spawn(write(lines));
    let mut key = NewKey { store: client.store().clone(), is_said: false };
    let outcome = tokio::select! {
        outcome = read(&bridge, &mut key) => outcome,
        () = asked_to_stop() => Ok(()),
    };
    bridge.close().await;
    drop(bridge);
    key.say();
    // The last lines are out, or the client is gone.
    let _ = tokio::time::timeout(Duration::from_secs(1), writing).await;
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Where the key of the sign-ins went, if the first of them is made here: said once, as soon as it is known.
struct NewKey {
    store: Store,
    is_said: bool,
}

impl NewKey {
    fn say(&mut self) {
        if !self.is_said && self.store.key_made().is_some() {
            self.is_said = true;
            keyring::say_where(&self.store);
        }
    }
}

async fn read(bridge: &Bridge, key: &mut NewKey) -> anyhow::Result<()> {
    let mut input = BufReader::new(tokio::io::stdin());
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut input).take(MAX_LINE).read_until(b'\n', &mut line).await;
        let length = read.context("standard input cannot be read")?;
        if length == 0 {
            bridge.settle(PATIENCE).await;
            return Ok(());
        }
        if line.last() != Some(&b'\n') && u64::try_from(length).is_ok_and(|length| length == MAX_LINE) {
            anyhow::bail!("the client sent a line of more than 4 MiB: no MCP message is that long");
        }
        let message = line.trim_ascii();
        if !message.is_empty() {
            bridge.take(message).await;
            key.say();
        }
    }
}

async fn write(mut lines: mpsc::Receiver<Vec<u8>>) {
    let mut output = tokio::io::stdout();
    while let Some(mut line) = lines.recv().await {
        line.push(b'\n');
        if output.write_all(&line).await.is_err() || output.flush().await.is_err() {
            note("hallpass: the client does not read any more");
            return;
        }
    }
}
