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
            if let Some(program) = args.command.first().filter(|program| !is_there(program)) {
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
    let node = node::start(config).await?;
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

/// Whether a program can be started: a misspelt one would only show when the first client comes.
#[cfg(unix)]
#[allow(clippy::disallowed_methods, reason = "only the cli reads the environment")]
fn is_there(program: &str) -> bool {
    if program.contains('/') {
        return std::path::Path::new(program).exists();
    }
    std::env::var_os("PATH")
        .is_some_and(|folders| std::env::split_paths(&folders).any(|folder| folder.join(program).exists()))
}

/// Elsewhere a name stands for several files.
#[cfg(not(unix))]
const fn is_there(_: &str) -> bool {
    true
}
