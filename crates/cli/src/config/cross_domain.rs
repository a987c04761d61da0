//! `[[cross_domain_access]]`: which clients may have our word about their people, for which servers of others.

use super::Check;
use hallpass_server::cross_domain::{CrossDomainAccess, WrittenAccess};
use serde::Deserialize;
use std::time::Duration;
use toml::Spanned;

/// `[[cross_domain_access]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrossDomainEntry {
    /// Who may ask, by its id here.
    pub client: Spanned<String>,
    /// The issuer of the authorization server that the assertions are for.
    pub audience: Spanned<String>,
    /// What the client is called there. Default: as here.
    pub client_id: Option<String>,
    /// The servers there.
    #[serde(default)]
    pub resources: Vec<String>,
    /// All that it may ever ask for there.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// "12h": how long ago the person may have said yes to the client.
    pub max_age: Option<Spanned<String>>,
}

impl Check<'_> {
    pub(super) fn cross_domain(&mut self, entries: &[CrossDomainEntry]) -> Vec<CrossDomainAccess> {
        entries.iter().filter_map(|entry| self.cross_domain_access(entry)).collect()
    }

    fn cross_domain_access(&mut self, entry: &CrossDomainEntry) -> Option<CrossDomainAccess> {
        let client = entry.client.get_ref();
        let max_age =
            entry.max_age.as_ref().map(|at| self.duration(Some(at), Duration::ZERO, 60, 365 * 86_400));
        let written = WrittenAccess {
            client,
            audience: entry.audience.get_ref(),
            client_id: entry.client_id.as_ref().unwrap_or(client),
            resources: &entry.resources,
            scopes: &entry.scopes,
        };
        match CrossDomainAccess::new(&written, max_age) {
            Ok(access) => Some(access),
            Err(error) => {
                let fix = "docs/guide/enterprise.md has an example";
                self.wrong(&entry.audience, format!("the access of {client} across domains: {error}"), fix);
                None
            }
        }
    }
}
