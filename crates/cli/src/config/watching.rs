//! `[audit]` and `[admin]`: where the lines of the security decisions go, and where numbers and health are served.

use super::{Check, Protected};
use hallpass_gateway::RecordedArguments;
use hallpass_server::audit::{AuditSettings, AuditTo, OnFailure};
use serde::Deserialize;
use std::{collections::BTreeMap, net::SocketAddr, path::Path};
use toml::Spanned;

/// `[audit]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// "files" or "stdout".
    pub to: Option<To>,
    /// The folder of the files. Default: `audit` in the state folder.
    pub folder: Option<String>,
    /// The name of this node.
    pub node: Option<Spanned<String>>,
    /// A file is followed by the next one above this size.
    pub file_megabytes: Option<Spanned<u64>>,
    /// Lines per minute of each kind of event that strangers can cause.
    pub strangers_per_minute: Option<u32>,
    /// Whether each call through the gateway is a line.
    #[serde(default)]
    pub calls: bool,
    /// `[audit.arguments.SERVER]`: tools, each with the arguments that such a line has.
    pub arguments: Option<Spanned<BTreeMap<String, ArgumentsOfTools>>>,
    /// "continue" or "refuse".
    pub on_failure: Option<Failure>,
}

/// Names of arguments by tool.
type ArgumentsOfTools = BTreeMap<String, Vec<String>>;

/// Where lines go.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum To {
    /// Files.
    Files,
    /// Standard output.
    Stdout,
}

/// What happens while lines cannot be written.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// The server goes on.
    Continue,
    /// Nobody gets a token.
    Refuse,
}

/// `[admin]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct AdminEntry {
    /// Where numbers and health are served. Nowhere without it.
    pub listen: Option<Spanned<String>>,
}

/// Arguments of one tool in a line, so that a line is short.
const MOST_ARGUMENTS: usize = 16;

/// Begins the node's name of the commands that change something beside a running server.
const OPERATOR: &str = "operator";

/// The name that the commands of this node have in the audit log: each node's own, as their folders are. Two logs of one
/// name would each look as if its end had been taken off.
pub fn operator_of(node: &str) -> String {
    if node == ONLY_NODE { OPERATOR.to_owned() } else { format!("{OPERATOR}-{node}") }
}

/// The name of a node that was given none.
const ONLY_NODE: &str = "main";

impl Check<'_> {
    /// A listener of its own: what is on it must not be on the one that everybody reaches.
    pub(super) fn admin(&mut self, entry: &AdminEntry, public: &[SocketAddr]) -> Option<SocketAddr> {
        let at = entry.listen.as_ref()?;
        match at.get_ref().parse() {
            Ok(address) if public.contains(&address) => {
                self.wrong(
                    at,
                    "[admin] listen is the address of the public listener",
                    "choose another port, such as \"127.0.0.1:9090\"",
                );
                None
            }
            Ok(address) => Some(address),
            Err(_) => {
                self.wrong(at, "listen is not an address with a port", "write \"127.0.0.1:9090\"");
                None
            }
        }
    }

    /// The arguments that lines of calls have, which are those that stand here and no others.
    pub(super) fn recorded(&mut self, entry: &AuditEntry, servers: &mut [Protected]) {
        let Some(at) = &entry.arguments else { return };
        if !entry.calls {
            self.wrong(
                at,
                "arguments are written into the lines of calls, and there are none",
                "add calls = true to [audit], or remove the arguments",
            );
        }
        for (name, tools) in at.get_ref() {
            let Some(server) = servers.iter_mut().find(|server| server.name == *name) else {
                let what = format!("[audit.arguments] names {name:?}, and no [[server]] has this name");
                self.wrong(at, what, "write [audit.arguments.NAME] with the name of a server");
                continue;
            };
            server.recorded = RecordedArguments(tools.clone().into_iter().collect());
            let unusable = |names: &Vec<String>| {
                !(1..=MOST_ARGUMENTS).contains(&names.len())
                    || names.iter().any(|name| name.is_empty() || name.len() > 64 || name.contains('*'))
            };
            for (tool, _) in
                tools.iter().filter(|(tool, names)| tool.is_empty() || tool.contains('*') || unusable(names))
            {
                let what = format!("the arguments of {tool:?} that the audit log is to have");
                self.wrong(at, what, "write the name of a tool and 1 to 16 names of its arguments, without patterns: read_file = [\"path\"]");
            }
        }
    }

    pub(super) fn audit(&mut self, entry: &AuditEntry, folder: &Path, state: &Path) -> AuditSettings {
        let mut settings = AuditSettings::nothing();
        settings.to = match entry.to {
            Some(To::Stdout) => AuditTo::Stdout,
            Some(To::Files) | None => AuditTo::Folder(
                entry.folder.as_ref().map_or_else(|| state.join("audit"), |named| folder.join(named)),
            ),
        };
        if let Some(node) = &entry.node {
            settings.node = node.get_ref().clone().into();
            if !settings.has_node_name() || settings.node.starts_with(OPERATOR) {
                self.wrong(
                    node,
                    "node is not usable as a name of files",
                    "write 1 to 32 lower case letters, digits and hyphens, such as \"a\", that do not begin with operator",
                );
                settings.node = ONLY_NODE.into();
            }
        }
        if let Some(size) = &entry.file_megabytes {
            if (1..=4_096).contains(size.get_ref()) {
                settings.file_bytes = size.get_ref() * 1024 * 1024;
            } else {
                self.wrong(size, "must be between 1 and 4096", "choose a size within these bounds");
            }
        }
        settings.strangers_per_minute = entry.strangers_per_minute.unwrap_or(settings.strangers_per_minute);
        settings.calls = entry.calls;
        if let Some(Failure::Refuse) = entry.on_failure {
            settings.on_failure = OnFailure::Refuse;
        }
        settings
    }
}
