//! `hallpass document`: the metadata document by which clients may know this one, and whether it is published as it should be.

use super::{call::json, explain::explain, login::ClientArgs};
use crate::{output::note, say};
use anyhow::Context;
use clap::Args;
use hallpass_client::document::document;
use hallpass_core::uri::ClientMetadataUrl;
use std::process::ExitCode;

/// `hallpass document`.
#[derive(Args, Debug)]
#[command(after_help = "\
Publish it at exactly this URL, as application/json with a Cache-Control, without a redirect; then sign in with \
--client-metadata-url URL, or set HALLPASS_CLIENT_METADATA_URL for all sign-ins.

  hallpass document https://tools.example.com/hallpass.json > hallpass.json
  hallpass document https://tools.example.com/hallpass.json --check      # after it is published

Exit codes: 0 done, with --check nothing is wrong; 1 failed, or something is wrong; 2 wrong usage.")]
pub struct DocumentArgs {
    /// Where it is published: https, with a path. It is the client's id.
    pub url: String,
    /// What people see on consent pages.
    #[arg(long, value_name = "NAME", default_value = "hallpass", conflicts_with = "check")]
    pub name: String,
    /// Fetch what is published there, as an authorization server would, and say what is wrong with it.
    #[arg(long)]
    pub check: bool,
    /// How it is fetched.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Prints or checks it.
pub async fn run(args: DocumentArgs) -> anyhow::Result<ExitCode> {
    let url = ClientMetadataUrl::parse(&args.url)
        .context("the URL of a metadata document is https with a path, without query, fragment and dots")?;
    if !args.check {
        say!("{}", json(&document(&url, &args.name)));
        return Ok(ExitCode::SUCCESS);
    }
    let client = args.client.client(None, false)?;
    let flaws = match client.check_document(&args.url).await {
        Ok(flaws) => flaws,
        Err(failed) => return Ok(explain(&args.url, &failed)),
    };
    for flaw in &flaws {
        say!("{flaw}");
    }
    if flaws.is_empty() {
        note("Nothing is wrong with it.");
        return Ok(ExitCode::SUCCESS);
    }
    Ok(ExitCode::FAILURE)
}
