//! Servers that check our tokens themselves, wherever they run. People sign in here for them; their calls do not pass through us.

use super::{
    Check,
    file::{ConfigFile, ScopeLine},
};
use hallpass_core::uri::ResourceUri;
use hallpass_server::{Resource, ScopeEntry, Settings};
use serde::Deserialize;
use toml::Spanned;

/// `[[resource]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResourceEntry {
    /// The URL that clients use, which is the `aud` of its tokens.
    pub url: Spanned<String>,
    /// For people.
    pub title: Option<String>,
    /// What can be granted.
    #[serde(default)]
    pub scopes: Vec<ScopeLine>,
    /// Clients that may introspect its tokens: the server itself.
    pub introspection_clients: Option<Spanned<Vec<String>>>,
    /// Whether it takes tokens only that are bound to a key.
    pub bound_tokens_only: Option<Spanned<bool>>,
}

/// What is said of tokens for a server, whether it is behind us or elsewhere.
pub(super) struct ForTokens<'f> {
    /// Its identifier.
    pub uri: String,
    pub introspection_clients: Option<&'f Spanned<Vec<String>>>,
    pub bound_tokens_only: Option<&'f Spanned<bool>>,
}

impl ConfigFile {
    /// Of all servers, those behind us first.
    pub(super) fn for_tokens(&self, settings: &Settings) -> Vec<ForTokens<'_>> {
        let behind = self.server.iter().map(|entry| ForTokens {
            uri: format!("{}{}", settings.issuer.origin(), entry.path.get_ref()),
            introspection_clients: entry.introspection_clients.as_ref(),
            bound_tokens_only: entry.bound_tokens_only.as_ref(),
        });
        let elsewhere = self.resource.iter().map(|entry| ForTokens {
            uri: entry.url.get_ref().clone(),
            introspection_clients: entry.introspection_clients.as_ref(),
            bound_tokens_only: entry.bound_tokens_only.as_ref(),
        });
        behind.chain(elsewhere).collect()
    }
}

/// What can be granted, in words.
pub(super) fn scope_entries(title: &str, lines: &[ScopeLine]) -> Vec<ScopeEntry> {
    if lines.is_empty() {
        return vec![ScopeEntry { name: "mcp".to_owned(), title: format!("Use all tools of {title}") }];
    }
    let entry = |line: &ScopeLine| ScopeEntry {
        name: line.name.clone(),
        title: line.title.clone().unwrap_or_else(|| line.name.clone()),
    };
    lines.iter().map(entry).collect()
}

impl Check<'_> {
    pub(super) fn resources(&mut self, entries: &[ResourceEntry]) -> Vec<Resource> {
        entries.iter().filter_map(|entry| self.resource(entry)).collect()
    }

    fn resource(&mut self, entry: &ResourceEntry) -> Option<Resource> {
        let text = entry.url.get_ref();
        let uri = match ResourceUri::parse(text) {
            Ok(uri) => uri,
            Err(error) => {
                let fix = "write the URL that clients use, such as \"https://notes.example.com/mcp\"; http is only for localhost";
                self.wrong(&entry.url, format!("url is not usable: {error}"), fix);
                return None;
            }
        };
        for implies in entry.scopes.iter().filter_map(|scope| scope.implies.as_ref()) {
            self.wrong(
                implies,
                "what a scope includes is decided by the server that checks it, and this one is not behind hallpass",
                "remove implies, and let the server see to it",
            );
        }
        let title = entry.title.clone().unwrap_or_else(|| text.clone());
        let scopes = scope_entries(&title, &entry.scopes);
        match Resource::new(uri, title, scopes) {
            Ok(resource) => Some(resource),
            Err(error) => {
                self.wrong(&entry.url, error.to_string(), "correct the scopes of this resource");
                None
            }
        }
    }
}

/// The resource that has this identifier.
pub(super) fn resource_of<'a>(settings: &'a mut Settings, uri: &str) -> Option<&'a mut Resource> {
    settings.resources.iter_mut().find(|resource| resource.uri.as_str() == uri)
}
