//! `hallpass login`: signs in to an MCP server. Also what the client's commands have in common.

use super::{device::Screen, person::Person, workload::WorkloadArgs};
use crate::output::note;
use anyhow::{Context, bail};
use clap::Args;
use hallpass_client::{
    browser::Browser,
    device::DeviceError,
    driver::{Client, LoginOptions, Proofs, Settings, SignedIn},
    error::{ClientError, Failed},
    platform::{PlatformError, Variables},
    storage::{Store, Through},
};
use hallpass_core::{
    scope::Scope,
    secret::SecretString,
    time::{Clock, SystemClock, Timestamp},
};
use hallpass_fetch::{Fetch, FetchError};
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

Exit codes: 0 signed in, 1 failed, 2 wrong usage, 5 nobody is there to sign in (no browser, and no terminal to show
the page on).")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct LoginArgs {
    /// URL of the MCP server, exactly as its documentation gives it.
    pub url: String,
    /// Only print the URL of the sign-in page. The browser has to run on this computer, or reach its callback port.
    #[arg(long, visible_alias = "print-url")]
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
    #[arg(long, value_name = "FILE", requires = "client_id")]
    pub client_secret_file: Option<PathBuf>,
    /// URL of a client metadata document to be known by, where the authorization server supports that.
    #[arg(long, value_name = "URL", env = "HALLPASS_CLIENT_METADATA_URL", conflicts_with = "client_id")]
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
    /// How long to wait for you, in seconds. With --device, as long as the code lives unless you say less.
    #[arg(long, value_name = "SECONDS", default_value_t = WAIT)]
    pub wait: u64,
    /// As a program.
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
    /// The client with its credentials.
    pub fn client(&self, metadata_document: Option<String>, bound: bool) -> anyhow::Result<Client> {
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
        let folder = match &self.state {
            Some(folder) => folder.clone(),
            None => default_folder()?,
        };
        let proofs = if bound { Proofs::WhereOffered } else { Proofs::WhereRequired };
        let variables = Variables::read_by(variable);
        let settings = Settings { metadata_document, proofs, variables, ..Settings::default() };
        Ok(Client::new(fetch, Store::new(folder), settings))
    }
}

/// Signs in.
pub async fn run(args: LoginArgs) -> anyhow::Result<ExitCode> {
    let secret = args.client_secret_file.as_deref().map(read_secret).transpose()?;
    if let Some(source) = args.workload.source() {
        let client = args.client.client(None, args.bound_tokens)?;
        let as_whom = (args.client_id.as_deref(), secret);
        let options = args.workload.options(source, as_whom, &args.client.account, args.scope);
        return Ok(match client.login_machine(&args.url, &options).await {
            Ok(done) => {
                signed_in(&args.url, &done);
                ExitCode::SUCCESS
            }
            Err(failed) => explain(&args.url, &failed),
        });
    }
    let options = LoginOptions {
        account: args.client.account.clone(),
        scope: args.scope,
        more_scope: args.more_scope,
        client: args.client_id.map(|id| (id, secret)),
        login_hint: args.login_hint,
        register_anew: args.register_anew,
        patience: Duration::from_secs(args.wait),
        ..LoginOptions::default()
    };
    let browser = chosen_browser(args.no_browser || args.paste, args.browser);
    let client = args.client.client(args.client_metadata_url, args.bound_tokens)?;
    let done = if args.device {
        // A code is typed somewhere else: that takes longer than a click, and the server says how long it may.
        let patience = if args.wait == WAIT { Duration::from_hours(1) } else { options.patience };
        let options = LoginOptions { patience, ..options };
        client.login_on_device(&args.url, &options, &mut Screen::default()).await
    } else {
        let mut person = Person::new(browser, true, args.paste);
        match args.through {
            None => client.login(&args.url, &options, &mut person).await,
            Some(server) => {
                let through = Through { server, account: args.through_account };
                client.login_through(&args.url, &options, &through, &mut person).await
            }
        }
    };
    match done {
        Ok(done) => {
            signed_in(&args.url, &done);
            Ok(ExitCode::SUCCESS)
        }
        Err(failed) => Ok(explain(&args.url, &failed)),
    }
}

/// What opens pages: nothing, the program that was named, or what the system would use.
pub fn chosen_browser(none: bool, program: Option<PathBuf>) -> Option<Browser> {
    match (none, program) {
        (true, _) => None,
        (false, Some(program)) => Some(Browser::Program(program)),
        (false, None) => Some(Browser::System),
    }
}

fn signed_in(url: &str, done: &SignedIn) {
    note(&format!("Signed in to {url} by {}", done.issuer));
    let missing = Scope::of(done.requested_scope.iter().filter(|scope| !done.scope.contains(scope)));
    if !missing.is_empty() {
        note(&format!("Not granted: {missing}"));
    }
    let end = ends(done.expires_at, done.renewable, SystemClock.now());
    note(&format!("Kept encrypted in {}, {end}", done.kept_in.display()));
    note(&format!("Try: hallpass list {url}"));
}

/// Until when, in words.
pub fn ends(expires_at: Option<Timestamp>, renewable: bool, now: Timestamp) -> String {
    if renewable {
        return "renewed when needed".to_owned();
    }
    match expires_at.map(|end| end.since(now).as_secs()) {
        None => "until the server refuses it".to_owned(),
        Some(0) => "ended".to_owned(),
        Some(seconds @ 1..120) => format!("for {seconds} s"),
        Some(seconds @ 120..7_200) => format!("for {} min", seconds / 60),
        Some(seconds) => format!("for {} h", seconds / 3_600),
    }
}

/// One sentence that says what failed, what the peer said, and what to do. Exit code 3 where a sign-in helps, 5 where
/// nobody is there to do it.
pub fn explain(url: &str, failed: &Failed) -> ExitCode {
    note(&format!("hallpass: {failed}"));
    if let Some(said) = &failed.said {
        note(&format!("The authorization server says: \"{said}\""));
    }
    if let Some(fix) = fix(url, &failed.error) {
        note(&fix);
    }
    let needs_sign_in = matches!(
        failed.error,
        ClientError::SignInNeeded
            | ClientError::MoreScopeNeeded(_)
            | ClientError::ThroughEnded(_)
            | ClientError::SignInDemanded(_)
    );
    let nobody = matches!(failed.error, ClientError::NobodyThere);
    ExitCode::from(if needs_sign_in {
        3
    } else if nobody {
        5
    } else {
        1
    })
}

fn fix(url: &str, error: &ClientError) -> Option<String> {
    if let ClientError::MoreScopeNeeded(scope) = error {
        let scope = scope.to_string();
        // The server chose these texts: a command to copy must not hold what a shell would run.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b" :._/-+@".contains(&byte);
        return scope
            .bytes()
            .all(plain)
            .then(|| format!("Sign in for more: hallpass login {url} --scope \"{scope}\""));
    }
    if let ClientError::Fetch { source, .. } = error {
        return fetch_fix(url, *source);
    }
    if matches!(error, ClientError::SignInNeeded) {
        return Some(format!("Sign in: hallpass login {url}"));
    }
    if let ClientError::ThroughEnded(there) = error {
        return Some(format!(
            "Sign in there, with the client id that its operator gave you: hallpass login {there}"
        ));
    }
    if matches!(error, ClientError::ThroughUnknownClient) {
        return Some("Name it with --client-id and --client-secret-file".to_owned());
    }
    if let ClientError::SignInDemanded(_) = error {
        return Some(format!("Sign in again: hallpass login {url} --through, as before"));
    }
    if matches!(error, ClientError::BoundToken) {
        return Some(format!("Use it from here: hallpass list {url}, or hallpass connect {url}"));
    }
    if matches!(error, ClientError::Platform(PlatformError::AudienceAlone)) {
        return Some("Name it with --issuer".to_owned());
    }
    if let ClientError::Device(error) = error {
        if *error == DeviceError::NotOffered {
            return Some(format!("Sign in with a browser here: hallpass login {url}"));
        }
        return (*error == DeviceError::Expired)
            .then(|| format!("For a new code: hallpass login {url} --device"));
    }
    if matches!(error, ClientError::NobodyThere) {
        return Some(format!("With a browser elsewhere: hallpass login {url} --device, or --paste"));
    }
    if matches!(error, ClientError::NotProtected) {
        return Some(format!("Use it as it is: hallpass list {url}"));
    }
    let again = "If the page showed an error, just try again: this client will register anew";
    matches!(error, ClientError::NobodyAnswered).then(|| again.to_owned())
}

fn fetch_fix(url: &str, error: FetchError) -> Option<String> {
    if matches!(error, FetchError::ForbiddenHost | FetchError::ForbiddenAddress) {
        return Some("If this is a host of your own network, name it with --private-host HOST".to_owned());
    }
    if error == FetchError::Connect {
        return Some(format!("Nothing answers at {url}: is the server running, and is the port right?"));
    }
    if error == FetchError::Dns {
        return Some(format!("Check the name in {url}, and whether this computer is online"));
    }
    let certificate =
        "If its certificate comes from an authority of your own network, name that with --ca FILE";
    (error == FetchError::Tls).then(|| certificate.to_owned())
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
    fn a_server_that_is_not_there_gets_a_way_on() {
        let said = |error| fetch_fix("http://localhost:9/mcp", error).unwrap_or_default();
        assert!(said(FetchError::Connect).contains("is the server running"));
        assert!(said(FetchError::Dns).contains("Check the name"));
        assert!(said(FetchError::Tls).contains("--ca"));
        assert!(said(FetchError::ForbiddenAddress).contains("--private-host"));
        assert_eq!(said(FetchError::Timeout), "");
    }

    #[test]
    fn t_60_a_command_to_copy_holds_no_shell_characters() {
        let more = |scope: &str| {
            fix("https://mcp.example/mcp", &ClientError::MoreScopeNeeded(Scope::parse(scope).unwrap()))
        };
        let command = more("files:read a.b/c").unwrap();
        assert_eq!(
            command,
            "Sign in for more: hallpass login https://mcp.example/mcp --scope \"files:read a.b/c\""
        );
        for hostile in ["$(reboot)", "`x`", "a;b", "a|b", "a&b", "!x", "'", "a>b"] {
            assert_eq!(more(hostile), None, "{hostile}");
        }
    }

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
