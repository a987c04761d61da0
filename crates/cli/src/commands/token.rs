//! `hallpass token`: a fresh access token for a script.

use super::{explain::explain, login::ClientArgs};
use crate::say;
use clap::Args;
use hallpass_core::time::Timestamp;
use serde_json::json;
use std::process::ExitCode;

/// `hallpass token`.
#[derive(Args, Debug)]
#[command(after_help = "\
The token goes to standard output and is renewed first where that is due. Hand it on without writing it anywhere:
  curl --header @<(printf 'Authorization: Bearer %s' \"$(hallpass token URL)\") URL
`hallpass exec` gives it to a program without a shell in between.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a sign-in is needed.")]
pub struct TokenArgs {
    /// URL of the MCP server, as at the sign-in.
    pub url: String,
    /// Print JSON: the token and when it ends.
    #[arg(long)]
    pub json: bool,
    /// Where and as whom.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Prints it.
pub async fn run(args: TokenArgs) -> anyhow::Result<ExitCode> {
    let client = args.client.client(None, false)?;
    let token = match client.token(&args.url, &args.client.account).await {
        Ok(token) => token,
        Err(failed) => return Ok(explain(&args.url, &failed)),
    };
    if args.json {
        let ends = token.expires_at.map(Timestamp::to_rfc3339);
        say!(
            "{}",
            json!({ "access_token": token.token.expose(), "token_type": "Bearer", "expires_at": ends })
        );
    } else {
        say!("{}", token.token.expose());
    }
    Ok(ExitCode::SUCCESS)
}
