//! What well-known clients need beyond the standards. It is data, one file per client in `assets/clients`, and no
//! branch anywhere: a copy of their metadata documents for the day when their host does not answer, and the rules of
//! vendors whose redirect URI differs from what was registered. `docs/clients.md` says it in words.

use bytes::Bytes;
use hallpass_core::uri::RedirectUri;
use serde::Deserialize;
use std::{collections::HashMap, sync::LazyLock};

/// Longest text that `*` stands for in a rule.
const LONGEST_WILD: usize = 128;

const FILES: [&str; 25] = [
    include_str!("../../assets/clients/amp.json"),
    include_str!("../../assets/clients/chatgpt.json"),
    include_str!("../../assets/clients/claude-code.json"),
    include_str!("../../assets/clients/claude.json"),
    include_str!("../../assets/clients/codex.json"),
    include_str!("../../assets/clients/copilot-cli.json"),
    include_str!("../../assets/clients/copilot-jetbrains.json"),
    include_str!("../../assets/clients/copilot-studio.json"),
    include_str!("../../assets/clients/cursor.json"),
    include_str!("../../assets/clients/factory-droid.json"),
    include_str!("../../assets/clients/gemini-cli.json"),
    include_str!("../../assets/clients/goose.json"),
    include_str!("../../assets/clients/grok-bot.json"),
    include_str!("../../assets/clients/grok.json"),
    include_str!("../../assets/clients/hosted.json"),
    include_str!("../../assets/clients/inspector.json"),
    include_str!("../../assets/clients/librechat.json"),
    include_str!("../../assets/clients/m365-copilot.json"),
    include_str!("../../assets/clients/mcp-remote.json"),
    include_str!("../../assets/clients/n8n.json"),
    include_str!("../../assets/clients/open-webui.json"),
    include_str!("../../assets/clients/opencode.json"),
    include_str!("../../assets/clients/vscode.json"),
    include_str!("../../assets/clients/windsurf.json"),
    include_str!("../../assets/clients/zed.json"),
];

/// One file, as far as the server needs it. The requests that the client really sends are read by the tests.
#[derive(Deserialize)]
struct KnownClient {
    name: String,
    #[serde(default)]
    replayed: Vec<Replayed>,
    #[serde(default)]
    documents: Vec<Pinned>,
    #[serde(default)]
    redirect_rules: Vec<RedirectRule>,
    /// Forms of ids whose assertions name the token endpoint as their audience.
    #[serde(default)]
    signs_for_token_endpoint: Vec<String>,
    /// Documents that do not list the grant for refreshing, of programs that refresh.
    #[serde(default)]
    refreshes: Vec<String>,
}

#[derive(Deserialize)]
struct Replayed {
    #[serde(default)]
    registration: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Pinned {
    document: serde_json::Value,
}

/// A vendor's redirect URI that is accepted for another one of the same vendor.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct RedirectRule {
    /// What an operator gives to a client of the configuration.
    pub name: String,
    /// Who registered a URI of this form may ask with `asked`. Without it, only who was given the rule by name.
    registered: Option<String>,
    /// The URI, with at most one `*` for one segment of a path or one label of a host.
    asked: String,
}

impl RedirectRule {
    /// Whether a client with these redirect URIs and rules may ask with `asked`.
    fn lets(&self, named: &[String], registered: &[RedirectUri], asked: &str) -> bool {
        matches(&self.asked, asked)
            && (named.contains(&self.name)
                || self.registered.as_deref().is_some_and(|form| {
                    registered.iter().any(|registered| matches(form, registered.as_str()))
                }))
    }
}

/// `*` never stands for a dot or a slash, so it cannot reach another host or path.
fn matches(form: &str, text: &str) -> bool {
    let Some((before, after)) = form.split_once('*') else { return form == text };
    let wild = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    wild.is_some_and(|wild| {
        (1..=LONGEST_WILD).contains(&wild.len())
            && wild.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

struct Table {
    pinned: HashMap<String, Bytes>,
    rules: Vec<RedirectRule>,
    signs_for_token_endpoint: Vec<String>,
    refreshes: Vec<String>,
    /// Names in plain letters, with the hosts that are known to be theirs.
    names: Vec<(String, Vec<String>)>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table {
        pinned: HashMap::new(),
        rules: Vec::new(),
        signs_for_token_endpoint: Vec::new(),
        refreshes: Vec::new(),
        names: Vec::new(),
    };
    for client in FILES.iter().filter_map(|text| serde_json::from_str::<KnownClient>(text).ok()) {
        let hosts = hosts(&client);
        for name in client.name.split(", ") {
            let plain = name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase);
            table.names.push((plain.collect(), hosts.clone()));
        }
        for pinned in client.documents {
            if let Some(url) = pinned.document.get("client_id").and_then(serde_json::Value::as_str) {
                table.pinned.insert(url.to_owned(), Bytes::from(pinned.document.to_string()));
            }
        }
        table.rules.extend(client.redirect_rules);
        table.signs_for_token_endpoint.extend(client.signs_for_token_endpoint);
        table.refreshes.extend(client.refreshes);
    }
    table
});

/// The hosts of its documents and of the https redirect URIs that it is known to use.
fn hosts(client: &KnownClient) -> Vec<String> {
    let mut urls: Vec<&str> = Vec::new();
    let registrations = client.replayed.iter().filter_map(|replayed| replayed.registration.as_ref());
    for metadata in client.documents.iter().map(|pinned| &pinned.document).chain(registrations) {
        urls.extend(metadata.get("client_id").and_then(serde_json::Value::as_str));
        let redirects = metadata.get("redirect_uris").and_then(serde_json::Value::as_array);
        urls.extend(redirects.into_iter().flatten().filter_map(serde_json::Value::as_str));
    }
    let host = |url: &str| {
        let rest = url.strip_prefix("https://")?;
        rest.split(['/', ':', '?']).next().map(str::to_owned)
    };
    urls.into_iter().filter_map(host).collect()
}

/// Whether a well-known client has this name, written in plain letters without spaces.
pub fn is_name(plain: &str) -> bool {
    TABLE.names.iter().any(|(name, _)| name == plain)
}

/// Whether the host is known to belong to the client of this name.
pub fn is_host_of(plain: &str, host: &str) -> bool {
    let own = |hosts: &Vec<String>| hosts.iter().any(|one| one == host);
    TABLE.names.iter().any(|(name, hosts)| name == plain && own(hosts))
}

/// Our copy of the document at exactly this URL: the last resort when its host does not answer.
pub fn pinned(url: &str) -> Option<Bytes> {
    TABLE.pinned.get(url).cloned()
}

/// Whether there is a rule of this name.
pub fn is_rule(name: &str) -> bool {
    TABLE.rules.iter().any(|rule| rule.name == name)
}

/// Whether a rule of a vendor lets a client with these redirect URIs and rules ask with `asked` (P34).
pub fn lets(named: &[String], registered: &[RedirectUri], asked: &RedirectUri) -> bool {
    TABLE.rules.iter().any(|rule| rule.lets(named, registered, asked.as_str()))
}

/// Whether this client is known to refresh, though its document lists no grant for it: without, its people would sign in anew as
/// often as a token ends (P06).
pub fn refreshes(client_id: &str) -> bool {
    TABLE.refreshes.iter().any(|id| id == client_id)
}

/// Whether this client is known to make its assertions out to the token endpoint, and not to the issuer.
pub fn signs_for_token_endpoint(client_id: &str) -> bool {
    TABLE.signs_for_token_endpoint.iter().any(|form| matches(form, client_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::document;
    use hallpass_core::uri::ClientMetadataUrl;

    #[test]
    fn p28_every_file_is_in_the_table_and_every_copy_passes_our_own_rules() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/clients");
        assert_eq!(std::fs::read_dir(folder).unwrap().count(), FILES.len());
        let parsed: Vec<KnownClient> =
            FILES.iter().map(|text| serde_json::from_str(text).expect(text)).collect();
        assert_eq!(parsed.iter().map(|client| client.documents.len()).sum::<usize>(), TABLE.pinned.len());
        for (url, body) in &TABLE.pinned {
            let url = ClientMetadataUrl::parse(url).unwrap();
            let client = document::read(&url, body).unwrap_or_else(|refusal| panic!("{url}: {refusal:?}"));
            assert!(!client.name.as_str().is_empty() && client.refresh, "{url}");
            let listed: serde_json::Value = serde_json::from_slice(body).unwrap();
            assert_eq!(client.redirects.texts.len(), listed["redirect_uris"].as_array().unwrap().len());
        }
        for url in [
            "https://claude.ai/oauth/mcp-oauth-client-metadata",
            "https://claude.ai/oauth/claude-code-client-metadata",
            "https://chatgpt.com/oauth/client.json",
            "https://chatgpt.com/oauth/codex/client.json",
            "https://vscode.dev/oauth/client-metadata.json",
            "https://insiders.vscode.dev/oauth/client-metadata.json",
            "https://zed.dev/oauth/client-metadata.json",
            "https://goose-docs.ai/oauth/client-metadata.json",
            "https://opencode.ai/oauth/opencode/client.json",
            "https://github.com/copilot/cli/client-metadata.json",
            "https://grok.com/oauth/mcp-client.json",
        ] {
            assert!(pinned(url).is_some(), "{url}");
        }
        assert_eq!(pinned("https://claude.ai/oauth/Claude-code-client-metadata"), None);
    }

    #[test]
    fn t_26_who_may_make_assertions_out_to_the_token_endpoint() {
        for (id, may) in [
            ("https://chatgpt.com/oauth/client.json", true),
            ("https://chatgpt.com/oauth/jKP_NLo_VszT/client.json", true),
            ("https://chatgpt.com/oauth/codex/x/client.json", false),
            ("https://chatgpt.com.evil.example/oauth/client.json", false),
            ("https://claude.ai/oauth/mcp-oauth-client-metadata", false),
        ] {
            assert_eq!(signs_for_token_endpoint(id), may, "{id}");
        }
    }

    #[test]
    fn p34_as_037_a_rule_reaches_its_vendor_and_nobody_else() {
        let uri = |text: &str| RedirectUri::parse(text).unwrap();
        let cloud = [uri("https://visor.app.n8n.cloud/rest/oauth2-credential/callback")];
        assert!(lets(&[], &cloud, &uri("https://oauth.n8n.cloud/oauth2/callback")));
        for (registered, asked) in [
            (
                "https://visor.app.n8n.cloud/rest/oauth2-credential/callback",
                "https://other.app.n8n.cloud/rest/oauth2-credential/callback",
            ),
            ("https://visor.app.n8n.cloud/other", "https://oauth.n8n.cloud/oauth2/callback"),
            (
                "https://a.b.app.n8n.cloud/rest/oauth2-credential/callback",
                "https://oauth.n8n.cloud/oauth2/callback",
            ),
            (
                "https://evil.example/x.app.n8n.cloud/rest/oauth2-credential/callback",
                "https://oauth.n8n.cloud/oauth2/callback",
            ),
            (
                "https://oauth.n8n.cloud/oauth2/callback",
                "https://visor.app.n8n.cloud/rest/oauth2-credential/callback",
            ),
            ("https://chatgpt.com/connector/oauth/a", "https://chatgpt.com/connector/oauth/b"),
        ] {
            assert!(!lets(&[], &[uri(registered)], &uri(asked)), "{registered} {asked}");
        }
        let named = ["chatgpt-connector".to_owned()];
        assert!(lets(&named, &[], &uri("https://chatgpt.com/connector/oauth/AbC-dEf_0")));
        for near in [
            "https://chatgpt.com/connector/oauth/",
            "https://chatgpt.com/connector/oauth/a/b",
            "https://chatgpt.com/connector/oauth/a?x=1",
            "https://chatgpt.com/connector/oauth/a%2fb",
            "https://chatgpt.com.evil.example/connector/oauth/a",
            "https://evil.example/connector/oauth/a",
        ] {
            assert!(!lets(&named, &[], &uri(near)), "{near}");
        }
    }
}
