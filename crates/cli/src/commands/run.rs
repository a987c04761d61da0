//! `hallpass run`: one MCP server behind a sign-in, on this computer.

use crate::{args::RunArgs, config, node, say};
use anyhow::bail;
use std::process::ExitCode;

/// Serves until Ctrl-C.
pub async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let demo = args.upstream.is_none();
    let config = match config::local(args.upstream.as_deref(), args.port, &args.state) {
        Ok(config) => config,
        Err(problems) => {
            let lines: Vec<String> =
                problems.iter().map(|problem| format!("{}; {}", problem.what, problem.fix)).collect();
            bail!("{}", lines.join("; "));
        }
    };
    let node = node::start(config).await?;
    for url in node.mcp_urls() {
        say!("MCP URL: {url}");
    }
    if let Some(link) = node.setup_link().await? {
        say!("Setup link: {}", link.expose());
        say!("            creates the first account; works once and for one hour");
    }
    if demo {
        say!("Behind it is a small demo server; name your own with: hallpass run http://127.0.0.1:3001/mcp");
    }
    if let Some(url) = node.mcp_urls().first() {
        say!("Try in a second terminal: hallpass login {url}");
    }
    node.run().await
}
