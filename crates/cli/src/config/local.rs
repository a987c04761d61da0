//! The configuration of a command line: one server on this computer, written as a file and checked like one.

use super::{Config, Problem, parse};
use std::path::Path;

/// What `hallpass run` is given.
#[derive(Clone, Copy)]
pub enum Given<'a> {
    /// Nothing.
    Demo,
    /// A URL, and a file with further certificate authorities.
    Url(&'a str, Option<&'a Path>),
    /// Program and arguments, and variables for it, each `NAME=VALUE` or `NAME`.
    Command(&'a [String], &'a [String]),
}

/// One server on this computer: at a URL, or the demo server.
pub fn local(upstream: Option<&str>, port: u16, state: &Path) -> Result<Config, Vec<Problem>> {
    on_this_computer(upstream.map_or(Given::Demo, |url| Given::Url(url, None)), port, state)
}

/// For `hallpass run`: one server on this computer.
pub fn on_this_computer(given: Given<'_>, port: u16, state: &Path) -> Result<Config, Vec<Problem>> {
    let upstream_line = match given {
        Given::Demo => String::new(),
        Given::Url(url, _) => format!("upstream = {}\n", toml::Value::from(url)),
        Given::Command(command, variables) => {
            let (mut env, mut pass) = (toml::Table::new(), Vec::new());
            for variable in variables {
                match variable.split_once('=') {
                    Some((name, value)) => drop(env.insert(name.to_owned(), value.into())),
                    None => pass.push(variable.as_str()),
                }
            }
            let (command, env) = (toml::Value::from(command.to_vec()), toml::Value::from(env));
            format!("command = {command}\nenv = {env}\npass_env = {}\n", toml::Value::from(pass))
        }
    };
    let title = if matches!(given, Given::Demo) { "the demo MCP server" } else { "your MCP server" };
    let ca = match given {
        Given::Url(_, Some(file)) => {
            format!("[fetch]\nextra_ca = {}\n", toml::Value::from(file.to_string_lossy().as_ref()))
        }
        Given::Url(_, None) | Given::Demo | Given::Command(..) => String::new(),
    };
    let text = format!(
        "public_url = \"http://localhost:{port}\"\nlisten = [\"127.0.0.1:{port}\", \"[::1]:{port}\"]\nstate = {}\n\
         {ca}[[server]]\nname = \"mcp\"\npath = \"/mcp\"\ntitle = \"{title}\"\n{upstream_line}",
        toml::Value::from(state.to_string_lossy().as_ref()),
    );
    parse(&text, Path::new(""))
}
