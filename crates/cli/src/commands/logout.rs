//! `hallpass logout`: signs out and revokes.

use super::{explain::explain, login::ClientArgs};
use crate::output::note;
use clap::Args;
use hallpass_client::driver::Revoked;
use std::process::ExitCode;

/// `hallpass logout`.
#[derive(Args, Debug)]
#[command(after_help = "\
Forgets the sign-in on this computer in any case.

Exit codes: 0 signed out (or was not signed in), 1 failed, or the authorization server did not confirm, 2 wrong usage.")]
pub struct LogoutArgs {
    /// URL of the MCP server, as at the sign-in.
    pub url: String,
    /// Where and as whom.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Signs out.
pub async fn run(args: LogoutArgs) -> anyhow::Result<ExitCode> {
    let client = args.client.client(None, false)?;
    let done = match client.logout(&args.url, &args.client.account).await {
        Ok(done) => done,
        Err(failed) => return Ok(explain(&args.url, &failed)),
    };
    if done.is_empty() {
        note(&format!("Was not signed in to {} as {}", args.url, args.client.account));
    }
    let mut code = ExitCode::SUCCESS;
    for one in done {
        let issuer = one.issuer;
        note(&format!("Signed out of {}", args.url));
        match one.revoked {
            Revoked::Yes => note(&format!("{issuer} confirmed that the permission is revoked")),
            Revoked::NotOffered => {
                note(&format!("{issuer} offers no revocation: end the permission on its own pages"));
            }
            Revoked::NotConfirmed => {
                note(&format!(
                    "{issuer} did not confirm the revocation: end the permission on its own pages"
                ));
                code = ExitCode::from(1);
            }
        }
    }
    Ok(code)
}
