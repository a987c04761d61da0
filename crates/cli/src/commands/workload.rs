//! `hallpass login --workload`: signs a program in by the token that its platform gives it.

use clap::Args;
use hallpass_client::{
    driver::MachineOptions,
    machine::{MachineAuth, MachineClient, MachineGrant},
    platform::{Platform, TokenSource},
};
use hallpass_core::secret::SecretString;

/// What is added to `hallpass login` for programs.
#[derive(Args, Debug)]
pub struct WorkloadArgs {
    /// Sign in as the program that this is, by a token of the platform that it runs on: no page opens, and nobody is asked. One
    /// of: kubernetes (the file of the guide), github (in a job that may have one), spiffe or spiffe://ID (the agent behind
    /// SPIFFE_ENDPOINT_SOCKET), file:PATH, env:NAME. The token goes to the --issuer that you name, or to the one that the MCP
    /// server names: nothing but a token that was made for it is sent there.
    #[arg(long, value_name = "SOURCE", value_parser = source, conflicts_with_all = [
        "no_browser", "paste", "device", "browser", "more_scope", "through", "login_hint", "register_anew", "print_url", "wait",
        "client_metadata_url",
    ])]
    workload: Option<TokenSource>,
    /// What the authorization server is called in the token, where that is not its issuer.
    #[arg(long, value_name = "NAME", requires_all = ["workload", "issuer"])]
    audience: Option<String>,
}

impl WorkloadArgs {
    /// Where the token is, where a program signs in.
    pub fn source(&self) -> Option<TokenSource> {
        self.workload.clone()
    }

    /// How it signs in. Without a client id the token alone says who it is.
    pub fn options(
        &self,
        source: TokenSource,
        (client_id, secret): (Option<&str>, Option<SecretString>),
        account: &str,
    ) -> MachineOptions {
        MachineOptions {
            account: account.to_owned(),
            client: MachineClient {
                client_id: client_id.unwrap_or_default().to_owned(),
                auth: secret.map_or(MachineAuth::None, MachineAuth::Secret),
            },
            grant: MachineGrant::Platform(Platform { source, audience: self.audience.clone() }),
            scope: None,
            issuer: None,
        }
    }
}

/// The source as somebody types it. It is kept for later, when another folder may be the current one.
fn source(text: &str) -> Result<TokenSource, String> {
    let source = TokenSource::parse(text)
        .ok_or("one of: kubernetes, github, spiffe, spiffe://ID, file:PATH, env:NAME")?;
    let TokenSource::File(path) = &source else { return Ok(source) };
    let absolute = std::path::absolute(path).map_err(|error| error.to_string())?;
    let absolute = absolute.into_os_string().into_string().map_err(|_| "the path is not UTF-8")?;
    Ok(TokenSource::File(absolute))
}
