//! `hallpass login`: signs in to an MCP server. Also what the client's commands have in common.

use super::{
    device::Screen,
    explain::explain,
    keyring,
    machine::MachineArgs,
    person::Person,
    steps::{self, StepArgs},
    waiting::Countdown,
    workload::WorkloadArgs,
};
use crate::output::note;
use anyhow::{Context, bail};
use clap::Args;
use hallpass_client::{
    browser::Browser,
    driver::{Client, LoginOptions, MachineOptions, Proofs, Replaced, Revoked, Settings, SignedIn},
    platform::Variables,
    storage::{Store, Through},
};
use hallpass_core::{
    scope::Scope,
    secret::SecretString,
    time::{Clock, SystemClock, Timestamp},
};
use hallpass_fetch::Fetch;
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// Seconds until a browser has come back.
const WAIT: u64 = 300;

/// `hallpass login`.
#[derive(Args, Debug)]
#[command(after_help = "\
The URL of the sign-in page goes to standard output, with --device the code after it; everything else goes to standard error.

In two steps, for a script or an agent that hands the URL to a person: --print-url prints it and ends, --wait takes the answer, \
within 15 minutes. Have --wait running before the page is opened, or take the answer with --wait --paste.

Exit codes: 0 signed in, with --print-url begun; 1 failed, 2 wrong usage, 3 nothing was begun for --wait, 5 nobody is there to \
sign in (no browser, and no terminal to show the page on).

Examples:
  hallpass login https://mcp.example.com/notes
  hallpass login https://mcp.example.com/notes --print-url && hallpass login https://mcp.example.com/notes --wait
  hallpass login https://mcp.example.com/notes --machine --client-id robot --client-secret-file secret.txt")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct LoginArgs {
    /// URL of the MCP server, exactly as its documentation gives it.
    pub url: String,
    /// Only print the URL of the sign-in page, and wait. The browser has to run on this computer, or reach its callback port.
    #[arg(long)]
    pub no_browser: bool,
    /// Sign in with a browser on another computer: it ends at an address that it cannot open, and you paste that here.
    #[arg(long, conflicts_with_all = ["no_browser", "browser", "device"])]
    pub paste: bool,
    /// Show a code to type on another device: for a computer without a browser, or far away.
    #[arg(long, conflicts_with_all = ["no_browser", "browser", "login_hint"])]
    pub device: bool,
    /// Open the page with this program. It gets the URL as its only argument.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "no_browser")]
    pub browser: Option<PathBuf>,
    /// Ask for exactly these scopes, separated by spaces.
    #[arg(long, value_name = "SCOPES", value_parser = scope, conflicts_with = "more_scope")]
    pub scope: Option<Scope>,
    /// Ask for these scopes beside those of the last sign-in.
    #[arg(long, value_name = "SCOPES", value_parser = scope)]
    pub more_scope: Option<Scope>,
    /// Client id that the operator of the authorization server gave you.
    #[arg(long, value_name = "ID")]
    pub client_id: Option<String>,
    /// File with the secret that belongs to it; `-` reads standard input.
    #[arg(long, value_name = "FILE", requires = "client_id", group = "proof")]
    pub client_secret_file: Option<PathBuf>,
    /// Variable of the environment with that secret.
    #[arg(long, value_name = "NAME", requires = "client_id", group = "proof")]
    pub client_secret_env: Option<String>,
    /// The only authorization server to sign in at, exactly as its metadata writes its issuer. Without, the one that the MCP
    /// server names.
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// URL of a client metadata document to be known by, where the authorization server supports that. Without it and without
    /// --client-id, HALLPASS_CLIENT_METADATA_URL.
    #[arg(long, value_name = "URL", conflicts_with = "client_id")]
    pub client_metadata_url: Option<String>,
    /// Have the tokens bound to a key that stays on this computer (DPoP), where the authorization server does that. A
    /// server that takes no others gets them anyway.
    #[arg(long)]
    pub bound_tokens: bool,
    /// Sign in by the word of a company, for which you are signed in at this URL already: no page opens. The authorization
    /// server has to know this client, by --client-id and --client-secret-file. Where it does not take a company's word, the
    /// page opens as usual.
    #[arg(long, value_name = "URL", conflicts_with = "device")]
    pub through: Option<String>,
    /// Your own name for the account there.
    #[arg(long, value_name = "NAME", default_value = "default", requires = "through")]
    pub through_account: String,
    /// Account name to suggest on the sign-in page.
    #[arg(long, value_name = "NAME")]
    pub login_hint: Option<String>,
    /// Register this client anew, even if it is registered already.
    #[arg(long)]
    pub register_anew: bool,
    /// How long to wait for you, in seconds: 300, unless you say otherwise. With --device as long as the code lives, with
    /// --wait as long as what was begun.
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// In two steps.
    #[command(flatten)]
    pub steps: StepArgs,
    /// As a program.
    #[command(flatten)]
    pub machine: MachineArgs,
    /// As a program of a platform.
    #[command(flatten)]
    pub workload: WorkloadArgs,
    /// Where and as whom.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What all commands of the client understand.
#[derive(Args, Debug)]
pub struct ClientArgs {
    /// Your own name for the account, to use several on one server.
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub account: String,
    /// Folder for credentials. Default: hallpass in $XDG_DATA_HOME or ~/.local/share.
    #[arg(long, value_name = "FOLDER", env = "HALLPASS_CLIENT_STATE")]
    pub state: Option<PathBuf>,
    /// File with additional certificate authorities (PEM).
    #[arg(long, value_name = "FILE", env = "HALLPASS_CLIENT_CA")]
    pub ca: Option<PathBuf>,
    /// Host of an authorization server inside your network. Others are only reached at public addresses.
    #[arg(long, value_name = "HOST", env = "HALLPASS_CLIENT_PRIVATE_HOSTS", value_delimiter = ',')]
    pub private_host: Vec<String>,
}

impl ClientArgs {
    /// The client with its credentials. Without a metadata document it is the one of HALLPASS_CLIENT_METADATA_URL: a setting
    /// for all sign-ins, which an id for one of them goes before.
    pub fn client(&self, metadata_document: Option<String>, bound: bool) -> anyhow::Result<Client> {
        self.client_with(keyring::offered(self.folder()?)?, metadata_document, bound)
    }

    /// The same for a program that signs in by itself. Where such programs run nobody unlocks a keyring: a new key stays in
    /// its file.
    fn client_of_program(&self, bound: bool) -> anyhow::Result<Client> {
        self.client_with(Store::new(self.folder()?), None, bound)
    }

    fn folder(&self) -> anyhow::Result<PathBuf> {
        self.state.clone().map_or_else(default_folder, Ok)
    }

    fn client_with(
        &self,
        store: Store,
        metadata_document: Option<String>,
        bound: bool,
    ) -> anyhow::Result<Client> {
        let mut extra_ca = Vec::new();
        if let Some(path) = &self.ca {
            extra_ca.push(fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?);
        }
        let settings = hallpass_fetch::Settings {
            extra_ca,
            private_hosts: self.private_host.clone(),
            ..Default::default()
        };
        let fetch = Fetch::new(settings).context("--ca")?;
        let proofs = if bound { Proofs::WhereOffered } else { Proofs::WhereRequired };
        let variables = Variables::read_by(variable);
        let everywhere = || variable("HALLPASS_CLIENT_METADATA_URL").map(|url| url.expose().to_owned());
        let metadata_document = metadata_document.or_else(everywhere).filter(|url| !url.is_empty());
        let settings = Settings { metadata_document, proofs, variables, ..Settings::default() };
        Ok(Client::new(fetch, store, settings))
    }
}

/// Signs in.
pub async fn run(args: LoginArgs) -> anyhow::Result<ExitCode> {
    let secret = match (&args.client_secret_file, &args.client_secret_env) {
        (Some(file), _) => Some(read_secret(file)?),
        (None, Some(name)) => Some(secret_of(name)?),
        (None, None) => None,
    };
    let id = args.client_id.as_deref();
    if let Some(source) = args.workload.source() {
        let options = args.workload.options(source, (id, secret), &args.client.account);
        return as_program(&args, options).await;
    }
    if args.machine.is_meant() {
        let options = args.machine.options((id, secret), &args.client.account)?;
        return as_program(&args, options).await;
    }
    let client = args.client.client(args.client_metadata_url.clone(), args.bound_tokens)?;
    if args.steps.wait {
        return Ok(steps::finish(&client, &args).await);
    }
    let options = LoginOptions {
        account: args.client.account.clone(),
        scope: args.scope.clone(),
        more_scope: args.more_scope.clone(),
        client: args.client_id.clone().map(|id| (id, secret)),
        login_hint: args.login_hint.clone(),
        issuer: args.issuer.clone(),
        register_anew: args.register_anew,
        patience: Duration::from_secs(args.timeout.unwrap_or(WAIT)),
        ..LoginOptions::default()
    };
    if args.steps.print_url {
        return Ok(steps::begin(&client, &args, &options).await);
    }
    let done = if args.device {
        // A code is typed somewhere else: that takes longer than a click, and the server says how long it may.
        let patience = args.timeout.map_or(Duration::from_hours(1), Duration::from_secs);
        let options = LoginOptions { patience, ..options };
        client.login_on_device(&args.url, &options, &mut Screen::default()).await
    } else {
        let browser = chosen_browser(args.no_browser || args.paste, args.browser.clone());
        let mut person = Person::new(browser, true, args.paste);
        let _countdown = Countdown::of(options.patience);
        match args.through.clone() {
            None => client.login(&args.url, &options, &mut person).await,
            Some(server) => {
                let through = Through { server, account: args.through_account.clone() };
                client.login_through(&args.url, &options, &through, &mut person).await
            }
        }
    };
    Ok(match done {
        Ok(done) => {
            signed_in(&args.url, &done);
            keyring::say_where(client.store());
            ExitCode::SUCCESS
        }
        Err(failed) => explain(&args.url, &failed),
    })
}

async fn as_program(args: &LoginArgs, options: MachineOptions) -> anyhow::Result<ExitCode> {
    let options = MachineOptions { scope: args.scope.clone(), issuer: args.issuer.clone(), ..options };
    let client = args.client.client_of_program(args.bound_tokens)?;
    Ok(match client.login_machine(&args.url, &options).await {
        Ok(done) => {
            signed_in(&args.url, &done);
            keyring::say_where(client.store());
            ExitCode::SUCCESS
        }
        Err(failed) => explain(&args.url, &failed),
    })
}

/// What opens pages: nothing, the program that was named, or what the system would use.
pub fn chosen_browser(none: bool, program: Option<PathBuf>) -> Option<Browser> {
    match (none, program) {
        (true, _) => None,
        (false, Some(program)) => Some(Browser::Program(program)),
        (false, None) => Some(Browser::System),
    }
}

/// Says what was done.
pub fn signed_in(url: &str, done: &SignedIn) {
    note(&format!("Signed in to {url} by {}", done.issuer));
    let missing = done.not_granted();
    if !missing.is_empty() {
        note(&format!("Not granted: {missing}"));
    }
    let end = ends(done.expires_at, done.renewable, SystemClock.now());
    note(&format!("Kept encrypted in {}, {end}", done.kept_in.display()));
    for before in &done.replaced {
        note(&replaced(before));
    }
    note(&format!("Try: hallpass list {url}"));
}

/// What became of the sign-in before. None of it is a failure: the new one is there.
fn replaced(before: &Replaced) -> String {
    let issuer = &before.issuer;
    match before.revoked {
        Some(Revoked::Yes) => "The sign-in before this one is revoked".to_owned(),
        Some(Revoked::NotOffered | Revoked::NotConfirmed) => {
            format!(
                "{issuer} did not confirm that the sign-in before this one is revoked: end it on its own pages"
            )
        }
        None => format!(
            "The sign-in before this one was not revoked: for {issuer} both may be one permission. It may still be listed on its \
             pages"
        ),
    }
}

/// Until when, in words.
pub fn ends(expires_at: Option<Timestamp>, renewable: bool, now: Timestamp) -> String {
    if renewable {
        return "renewed when needed".to_owned();
    }
    match expires_at.map(|end| end.since(now)) {
        None => "until the server refuses it".to_owned(),
        Some(left) if left.as_secs() == 0 => "ended".to_owned(),
        Some(left) => format!("for {}", time(left)),
    }
}

/// How long, in words.
pub fn time(left: Duration) -> String {
    match left.as_secs() {
        seconds @ ..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

fn read_secret(path: &Path) -> anyhow::Result<SecretString> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("standard input cannot be read")?;
    } else {
        text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    }
    let secret = SecretString::new(text.trim_end_matches(['\r', '\n']));
    if secret.expose().is_empty() {
        bail!("{} holds no secret", path.display());
    }
    Ok(secret)
}

fn secret_of(name: &str) -> anyhow::Result<SecretString> {
    variable(name)
        .filter(|secret| !secret.expose().is_empty())
        .with_context(|| format!("the variable {name} is not set"))
}

#[allow(clippy::disallowed_methods, reason = "only the cli reads the environment")]
fn default_folder() -> anyhow::Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .or_else(|| absolute("LOCALAPPDATA"))
        .map(|data| data.join("hallpass"))
        .context(
            "no home folder is known; name a folder for credentials with --state or HALLPASS_CLIENT_STATE",
        )
}

#[allow(clippy::disallowed_methods, reason = "only the cli reads the environment")]
fn variable(name: &str) -> Option<SecretString> {
    std::env::var(name).ok().map(SecretString::new)
}

/// Scopes as somebody types them.
pub fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_in_words() {
        let now = Timestamp::from_seconds(1_000);
        let after = |seconds: i64| ends(Some(Timestamp::from_seconds(1_000 + seconds)), false, now);
        assert_eq!(
            (after(-5), after(59), after(3_599)),
            ("ended".into(), "for 59 s".into(), "for 59 min".into())
        );
        assert_eq!(after(86_400), "for 24 h");
        assert_eq!(ends(None, false, now), "until the server refuses it");
        assert_eq!(ends(Some(now), true, now), "renewed when needed");
    }
}
