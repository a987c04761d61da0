//! `hallpass run`: one MCP server behind a sign-in, on this computer.

use crate::{
    args::RunArgs,
    config::{self, Given},
    node, say,
};
use anyhow::{anyhow, bail};
use hallpass_server::StartError;
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
            let mut lines: Vec<String> =
                problems.iter().map(|problem| format!("{}; {}", problem.what, problem.fix)).collect();
            // A program where the URL belongs is the likeliest mistake of somebody whose server speaks stdio.
            if args.upstream.as_ref().is_some_and(|url| !url.contains("://")) {
                lines.push("a command goes behind --: hallpass run -- npx -y some-server".to_owned());
            }
            bail!("{}", lines.join("; "));
        }
    };
    let mut node = node::start(config).await.map_err(|error| of_another_port(error, &args))?;
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

/// The port is the public URL here, so another one on the same folder is what somebody did who has touched no key.
fn of_another_port(error: anyhow::Error, args: &RunArgs) -> anyhow::Error {
    if !matches!(error.downcast_ref(), Some(StartError::WrongMasterKey)) {
        return error;
    }
    anyhow!(
        "what is in {} was made with another --port than {}, or under another master key: start it with its own port, put \
         back its master.key, or name another folder with --state",
        args.state.display(),
        args.port
    )
}
