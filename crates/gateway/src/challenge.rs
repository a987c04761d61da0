//! How a client is told that more scope is needed: as HTTP says it, or inside the result of the tool.
//!
//! What a client needs beyond the standard is data here, an entry for each, and never a branch anywhere else (P33).

use hallpass_core::mcp::{Pattern, Raw};
use serde_json::json;

/// The two ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChallengeStyle {
    /// 403 with `WWW-Authenticate` (RFC 6750 §3.1), as MCP has it.
    #[default]
    Http,
    /// 200 with a result that is an error and has the challenge in `_meta["mcp/www_authenticate"]`.
    ToolResult,
}

/// The style of some clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StyleFor {
    /// The `client_id`, or a pattern in which `*` stands for any characters.
    pub client: String,
    /// How they want it.
    pub style: ChallengeStyle,
}

/// What is known of clients that can be told by their `client_id`. The first that fits counts.
const KNOWN: [(&str, ChallengeStyle); 2] = [
    // Codex publishes its documents beside those of ChatGPT and understands HTTP.
    ("https://chatgpt.com/oauth/codex/*", ChallengeStyle::Http),
    // Opens its sign-in only for a tool's result that says so.
    ("https://chatgpt.com/oauth/*", ChallengeStyle::ToolResult),
];

/// The styles that are in force.
#[derive(Clone, Debug)]
pub(crate) struct Styles(Vec<(Pattern, ChallengeStyle)>);

impl Styles {
    /// What an operator says, and then what is known.
    pub(crate) fn new(named: &[StyleFor]) -> Self {
        let named = named.iter().map(|one| (&*one.client, one.style));
        Self(named.chain(KNOWN).map(|(client, style)| (Pattern::new(client), style)).collect())
    }

    /// How this client wants it.
    pub(crate) fn of(&self, client: &str) -> ChallengeStyle {
        let found = self.0.iter().find(|(pattern, _)| pattern.matches(client));
        found.map_or(ChallengeStyle::Http, |(_, style)| *style)
    }
}

/// The result of a tool that says which scope is needed.
pub(crate) fn tool_result(id: &Raw, challenge: &str) -> String {
    let result = json!({
        "content": [{ "type": "text", "text": "More access is needed for this tool: allow it, then call it again." }],
        "isError": true,
        "_meta": { "mcp/www_authenticate": [challenge] },
    });
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", id.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p33_each_client_is_told_as_it_understands() {
        let own = StyleFor { client: "own-*".into(), style: ChallengeStyle::ToolResult };
        let styles = Styles::new(&[own]);
        for (client, style) in [
            ("https://chatgpt.com/oauth/client.json", ChallengeStyle::ToolResult),
            ("https://chatgpt.com/oauth/abc/client.json", ChallengeStyle::ToolResult),
            ("https://chatgpt.com/oauth/codex/client.json", ChallengeStyle::Http),
            ("https://claude.ai/oauth/mcp-oauth-client-metadata", ChallengeStyle::Http),
            ("https://chatgpt.com.evil.example/oauth/client.json", ChallengeStyle::Http),
            ("own-client", ChallengeStyle::ToolResult),
            ("", ChallengeStyle::Http),
        ] {
            assert_eq!(styles.of(client), style, "{client}");
        }
    }
}
