//! `hallpass serve`.

use super::first_account;
use crate::{args::ServeArgs, config, node, say};
use anyhow::bail;
use std::process::ExitCode;

/// Serves until it is told to stop.
pub async fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let file = node::Followed::look(args.config.clone());
    let config = match config::read(&args.config) {
        Ok(config) => config,
        Err(problems) => {
            let lines: Vec<String> = problems.iter().map(|problem| format!("  {problem}")).collect();
            bail!("{} cannot be used:\n{}", args.config.display(), lines.join("\n"));
        }
    };
    let without = first_account::without_passwords(&config.settings.sign_in, &args.config);
    let mut node = node::start(config).await?;
    node.follow(Some(file), !args.no_watch);
    for url in node.mcp_urls() {
        say!("MCP URL: {url}");
    }
    if let Some(link) = node.setup_link().await? {
        say!("Setup link: {}", link.expose());
    }
    if let Some(how) = without
        && node.is_empty().await?
    {
        say!("First account: {how}");
    }
    node.run().await
}
