//! `hallpass run`: one MCP server behind a sign-in, on this computer.

use crate::{
    args::RunArgs,
    config::{self, Given},
    node, say,
};
use anyhow::bail;
use std::process::ExitCode;

/// Serves until Ctrl-C.
pub async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    let given = match &args.upstream {
        Some(url) => Given::Url(url, args.ca.as_deref()),
        None if args.command.is_empty() => Given::Demo,
        None => {
            if let Some(program) = args.command.first().filter(|program| !config::is_there(program, None)) {
                bail!("there is no program {program:?}: install it, or name another one after --");
            }
            Given::Command(&args.command, &args.env)
        }
    };
    let config = match config::on_this_computer(given, args.port, &args.state) {
        Ok(config) => config,
        Err(problems) => {
            let lines: Vec<String> =
                problems.iter().map(|problem| format!("{}; {}", problem.what, problem.fix)).collect();
            bail!("{}", lines.join("; "));
        }
    };
    let mut node = node::start(config).await?;
    node.follow(None, true);
    for url in node.mcp_urls() {
        say!("MCP URL: {url}");
    }
    if let Some(link) = node.setup_link().await? {
        say!("Setup link: {}", link.expose());
        say!("            creates the first account; works once and for one hour");
    }
    if matches!(given, Given::Demo) {
        say!(
            "Behind it is a small demo server; name your own with: hallpass run http://127.0.0.1:3001/mcp, or: hallpass run -- npx -y some-server"
        );
    }
    if let Some(url) = node.mcp_urls().first() {
        say!("Try in a second terminal: hallpass login {url}");
    }
    node.run().await
}
