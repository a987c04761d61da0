//! `upstream_token` of a `[[server]]`: the server behind is guarded by another authorization server, which is told who calls.

use super::{Check, file::ServerEntry};
use hallpass_server::upstream_token::{UpstreamTokenError, UpstreamTokenSettings, WrittenUpstreamToken};
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;

/// `upstream_token` of a `[[server]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTokenEntry {
    /// "token_exchange" or "identity_assertion".
    pub by: String,
    /// The other authorization server.
    pub issuer: String,
    /// Where it is asked.
    pub token_endpoint: String,
    /// Ours there.
    #[serde(default)]
    pub client_id: String,
    /// A file with our secret there.
    pub secret_file: Option<Spanned<String>>,
    /// A file with our private key there, in place of a secret.
    pub key_file: Option<Spanned<String>>,
    /// The name of that key there.
    pub key_id: Option<Spanned<String>>,
    /// How we prove who we are.
    pub auth: Option<String>,
    /// What the token is for, by name.
    pub audience: Option<String>,
    /// What the token is for, by its URL. Default: that of the server behind.
    pub resource: Option<String>,
    /// What is asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
}

const GUIDE: &str = "docs/guide/upstream-tokens.md has examples";

impl Check<'_> {
    /// Where tokens for the server behind come from.
    pub(super) fn upstream_token(
        &mut self,
        entry: &ServerEntry,
        folder: &Path,
    ) -> Option<UpstreamTokenSettings> {
        let typed = entry.upstream_token.as_ref()?;
        let written = typed.get_ref();
        let Some(upstream) = &entry.upstream else {
            let what = "upstream_token takes an upstream: a server on stdio gets no headers";
            self.wrong(typed, what, "remove it");
            return None;
        };
        if entry.upstream_header.is_some() || entry.connection.is_some() {
            let what = "there is an upstream_token and an upstream_header or a connection";
            self.wrong(typed, what, "keep one of them: a server is asked with one credential");
            return None;
        }
        let own = |names: &Vec<String>| names.iter().any(|name| name == "self");
        if !entry.authorization_servers.as_ref().is_none_or(|names| own(names.get_ref())) {
            let what =
                "upstream_token is for people with an account here, and this server takes none of our tokens";
            self.wrong(typed, what, "add \"self\" to authorization_servers, or remove it");
            return None;
        }
        let files = [written.secret_file.as_ref(), written.key_file.as_ref(), written.key_id.as_ref()];
        let (secret, key) = self.own_credentials(files, folder)?;
        let made = UpstreamTokenSettings::new(&WrittenUpstreamToken {
            server: &entry.name,
            upstream: upstream.get_ref(),
            by: &written.by,
            issuer: &written.issuer,
            token_endpoint: &written.token_endpoint,
            client_id: &written.client_id,
            secret,
            key,
            auth: written.auth.as_deref(),
            audience: written.audience.as_deref(),
            resource: written.resource.as_deref(),
            scopes: &written.scopes,
        });
        made.map_err(|error: UpstreamTokenError| {
            self.wrong(typed, format!("upstream_token: {error}"), GUIDE);
        })
        .ok()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Problem, parse};
    use super::*;

    const GOOD: &str = r#"public_url = "https://mcp.example.com"
[[authorization_server]]
name = "company"
issuer = "https://login.example/"
[[server]]
name = "files"
path = "/files"
upstream = "https://files.partner.example/mcp"
upstream_token = { by = "token_exchange", issuer = "https://auth.partner.example", token_endpoint = "https://auth.partner.example/token", client_id = "us", scopes = ["read"] }
"#;

    fn problems(text: &str) -> Vec<Problem> {
        parse(text, Path::new("/x")).map_or_else(|problems| problems, |_| Vec::new())
    }

    #[test]
    fn rs_061_t_101_what_is_wrong_with_an_exchange_is_told_with_line_and_fix() {
        let config = parse(GOOD, Path::new("/x")).unwrap();
        let made = config.servers[0].upstream_token.as_ref().unwrap();
        assert_eq!(
            (&*made.server, made.resource.as_deref()),
            ("files", Some("https://files.partner.example/mcp"))
        );
        for (from, to, what) in [
            ("\"token_exchange\"", "\"magic\"", "by must be"),
            ("\"token_exchange\"", "\"identity_assertion\"", "takes a secret_file"),
            ("client_id = \"us\"", "client_id = \"us\", secret_file = \"none\"", "cannot be read"),
            ("client_id = \"us\"", "client = \"us\"", "unknown field"),
            ("upstream = \"https://files.partner.example/mcp\"", "command = [\"x\"]", "takes an upstream"),
            ("\nupstream_token", "\nconnection = \"git\"\nupstream_token", "one credential"),
            (
                "\nupstream_token",
                "\nauthorization_servers = [\"company\"]\nupstream_token",
                "none of our tokens",
            ),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            let found = problems(&text);
            let told = |problem: &Problem| problem.what.contains(what) || problem.fix.contains(what);
            assert!(found.iter().any(told), "{from}: {found:?}");
        }
    }
}
