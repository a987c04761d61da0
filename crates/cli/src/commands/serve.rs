//! `hallpass serve`.

use super::first_account;
use crate::{
    args::ServeArgs,
    config, node,
    output::{line, note},
};
use anyhow::bail;
use hallpass_server::audit::AuditTo;
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
    // Where standard output is the audit log, it is shipped and verified, and holds no one-time link.
    let tell: fn(&str) = if config.settings.audit.to == AuditTo::Stdout { note } else { line };
    let mut node = node::start(config).await?;
    node.follow(Some(file), !args.no_watch);
    for url in node.mcp_urls() {
        tell(&format!("MCP URL: {url}"));
    }
    if let Some(link) = node.setup_link().await? {
        tell(&format!("Setup link: {}", link.expose()));
    }
    if let Some(how) = without
        && node.is_empty().await?
    {
        tell(&format!("First account: {how}"));
    }
    node.run().await
}
