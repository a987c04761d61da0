//! `hallpass login --machine`: signs a program in by what the operator of the authorization server gave it.

use anyhow::Context;
use clap::Args;
use hallpass_client::{
    assertion::KeyFile,
    driver::MachineOptions,
    machine::{MachineAuth, MachineClient, MachineGrant},
};
use hallpass_core::secret::SecretString;
use std::path::PathBuf;

/// What is added to `hallpass login` for programs with credentials of their own.
#[derive(Args, Debug)]
pub struct MachineArgs {
    /// Sign in as a program of its own (client_credentials): by --client-id, and a secret or key that belongs to it. No page
    /// opens, nobody is asked, and new tokens come by themselves. A secret is kept, encrypted; a key stays in its file. A secret
    /// goes to the server's own host, or to the --issuer that you name.
    #[arg(long, visible_alias = "client-credentials", requires_all = ["client_id", "proof"], conflicts_with_all = [
        "no_browser", "paste", "device", "browser", "more_scope", "through", "login_hint", "register_anew", "workload",
        "print_url", "wait", "client_metadata_url",
    ])]
    machine: bool,
    /// File with the program's private key, in place of a secret (private_key_jwt): PKCS#8 in PEM, for ES256, EdDSA or RS256, as
    /// `openssl genpkey -algorithm ed25519` writes it. It is read again for each token.
    #[arg(long, value_name = "FILE", requires = "machine", group = "proof")]
    client_key_file: Option<PathBuf>,
    /// What that key is called at the authorization server (kid), where it has to be named.
    #[arg(long, value_name = "ID", requires = "client_key_file")]
    client_key_id: Option<String>,
}

impl MachineArgs {
    /// Whether this is how to sign in.
    pub const fn is_meant(&self) -> bool {
        self.machine
    }

    /// How it signs in.
    pub fn options(
        &self,
        (client_id, secret): (Option<&str>, Option<SecretString>),
        account: &str,
    ) -> anyhow::Result<MachineOptions> {
        let auth = match (&self.client_key_file, secret) {
            (Some(file), _) => {
                // Kept for later, when another folder may be the current one.
                let path = std::path::absolute(file).context("--client-key-file")?;
                let path = path.into_os_string().into_string();
                let path = path.map_err(|_| anyhow::anyhow!("--client-key-file: the path is not UTF-8"))?;
                MachineAuth::KeyFile(KeyFile { path, key_id: self.client_key_id.clone() })
            }
            (None, Some(secret)) => MachineAuth::Secret(secret),
            (None, None) => MachineAuth::None,
        };
        Ok(MachineOptions {
            account: account.to_owned(),
            client: MachineClient { client_id: client_id.unwrap_or_default().to_owned(), auth },
            grant: MachineGrant::ClientCredentials,
            scope: None,
            issuer: None,
        })
    }
}
