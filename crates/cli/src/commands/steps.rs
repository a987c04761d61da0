//! `hallpass login --print-url` and `--wait`: a sign-in in two steps, for whoever hands the page to a person.

use super::{
    explain::explain,
    keyring,
    login::{LoginArgs, signed_in},
    person::{Person, announce},
    waiting::Countdown,
};
use crate::{output::note, say};
use clap::Args;
use hallpass_client::{
    driver::{BegunLogin, Client, LoginOptions, SignedIn},
    error::ClientError,
};
use hallpass_core::time::{Clock, SystemClock};
use serde_json::json;
use std::{process::ExitCode, time::Duration};

/// What is added to `hallpass login` for sign-ins in two steps.
#[derive(Args, Debug)]
pub struct StepArgs {
    /// Print the URL of the sign-in page and end. What is begun is kept encrypted, for 15 minutes, one for each account.
    #[arg(long, group = "step", conflicts_with_all = ["no_browser", "paste", "browser", "device", "through", "timeout"])]
    pub print_url: bool,
    /// Wait for the answer to what --print-url began, at the port of this computer where the browser ends up; with --paste also
    /// for its address on standard input.
    #[arg(long, group = "step", conflicts_with_all = [
        "no_browser", "browser", "device", "through", "print_url", "scope", "more_scope", "client_id", "client_metadata_url",
        "bound_tokens", "login_hint", "register_anew", "issuer",
    ])]
    pub wait: bool,
    /// With --print-url or --wait: print JSON.
    #[arg(long, requires = "step")]
    json: bool,
}

/// Prints the page.
pub async fn begin(client: &Client, args: &LoginArgs, options: &LoginOptions) -> ExitCode {
    let begun = match client.begin_login(&args.url, options).await {
        Ok(begun) => begun,
        Err(failed) => return explain(&args.url, &failed),
    };
    announce(&args.url, begun.server_name.as_ref(), &begun.scope);
    let port = port_of(&begun);
    if args.steps.json {
        say!("{}", described(&begun, args));
    } else {
        note(&format!(
            "Sign in at {} and check that this is the host in the address bar:",
            begun.page.host()
        ));
        say!("{}", begun.page.as_str());
    }
    let account = match args.client.account.as_str() {
        "default" => String::new(),
        name => format!(" --account {name}"),
    };
    note(&format!("Then, within 15 minutes: hallpass login {}{account} --wait", args.url));
    note(&format!(
        "The browser ends at port {port} of this computer. From another one: ssh -L {port}:127.0.0.1:{port} THIS-COMPUTER, or \
         copy the address where it ends, and: hallpass login {}{account} --wait --paste",
        args.url
    ));
    keyring::say_where(client.store());
    ExitCode::SUCCESS
}

/// Waits for its answer.
pub async fn finish(client: &Client, args: &LoginArgs) -> ExitCode {
    let mut person = Person::new(None, false, args.paste);
    if args.paste {
        note(
            "Paste the address where the browser ended (http://127.0.0.1:…), and press Enter. Ctrl-C stops.",
        );
    } else {
        note("Waiting for the browser; Ctrl-C stops, and you can come back.");
    }
    let patience = args.timeout.map(Duration::from_secs);
    let left = time_left(client, args).await;
    let _countdown = left.map(|left| Countdown::of(patience.map_or(left, |patience| patience.min(left))));
    match client.finish_login(&args.url, (&args.client.account, patience), &mut person).await {
        Ok(done) => {
            if args.steps.json {
                say!("{}", result(&done, args));
            }
            signed_in(&args.url, &done);
            keyring::say_where(client.store());
            ExitCode::SUCCESS
        }
        Err(failed) if args.timeout.is_some() && matches!(failed.error, ClientError::NobodyAnswered) => {
            note("hallpass: no answer came in this time; the same command waits on.");
            ExitCode::FAILURE
        }
        Err(failed) => explain(&args.url, &failed),
    }
}

/// How long what was begun still lives.
async fn time_left(client: &Client, args: &LoginArgs) -> Option<Duration> {
    let begun = client.begun().await.ok()?;
    let mine = begun.iter().find(|one| one.server == args.url && one.account == args.client.account)?;
    Some(mine.ends_at.since(SystemClock.now()))
}

fn port_of(begun: &BegunLogin) -> String {
    let port = url::Url::parse(&begun.redirect_uri).ok().and_then(|uri| uri.port());
    port.map_or_else(String::new, |port| port.to_string())
}

fn described(begun: &BegunLogin, args: &LoginArgs) -> serde_json::Value {
    json!({
        "url": begun.page.as_str(),
        "host": begun.page.host(),
        "server": args.url,
        "account": args.client.account,
        "scope": begun.scope.to_string(),
        "redirect_uri": begun.redirect_uri,
        "ends_at": begun.ends_at.to_rfc3339(),
    })
}

fn result(done: &SignedIn, args: &LoginArgs) -> serde_json::Value {
    json!({
        "server": args.url,
        "account": args.client.account,
        "issuer": done.issuer,
        "resource": done.resource,
        "scope": done.scope.to_string(),
        "not_granted": done.not_granted().to_string(),
        "expires_at": done.expires_at.map(hallpass_core::time::Timestamp::to_rfc3339),
        "renewable": done.renewable,
    })
}
