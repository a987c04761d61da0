//! `[[workload_issuer]]` and `[[identity_provider]]`: whose word about a program or a person counts.

use super::{
    Check,
    clients::{scopes_of_servers, servers_of_machine},
};
use hallpass_server::{
    Resource,
    issuers::{
        TrustedIssuer, WorkloadIssuer, WrittenKeys,
        identity_provider::IdentityProvider,
        workload::{Workload, WrittenWorkload},
    },
};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};
use toml::Spanned;

/// `[[workload_issuer]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadIssuerEntry {
    /// `iss` of its tokens, as written there.
    pub issuer: Spanned<String>,
    /// What it calls us. Default: the public URL and its token endpoint.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// What it signs with. Default: all that there are.
    pub algorithms: Option<Vec<String>>,
    /// A file with its public keys.
    pub jwks_file: Option<Spanned<String>>,
    /// The address of its public keys. Without both, its metadata document says it.
    pub jwks_uri: Option<String>,
    /// Its programs.
    #[serde(default)]
    pub workload: Vec<WorkloadEntry>,
}

/// `[[workload_issuer.workload]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkloadEntry {
    /// Its `client_id`.
    pub id: Spanned<String>,
    /// What `sub` of its tokens says beside the id: a text, or "{sub}".
    pub subject: Option<String>,
    /// What its token says.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// All that it can ever get.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// The only servers that it may use.
    pub resources: Option<Vec<String>>,
}

/// `[[identity_provider]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityProviderEntry {
    /// `iss` of its assertions, as written there.
    pub issuer: Spanned<String>,
    /// Its tenant that is ours, where its assertions name one.
    pub tenant: Option<String>,
    /// What it signs with. Default: all that there are.
    pub algorithms: Option<Vec<String>>,
    /// A file with its public keys.
    pub jwks_file: Option<Spanned<String>>,
    /// The address of its public keys. Without both, its metadata document says it.
    pub jwks_uri: Option<String>,
    /// Names of accounts here by `sub` there. For others `hallpass user link` says who they are.
    #[serde(default)]
    pub accounts: BTreeMap<String, String>,
}

const GUIDE: &str = "docs/guide/workloads.md has examples";

impl Check<'_> {
    pub(super) fn workload_issuers(
        &mut self,
        entries: &[WorkloadIssuerEntry],
        folder: &Path,
        resources: &[Resource],
    ) -> Vec<WorkloadIssuer> {
        entries.iter().filter_map(|entry| self.workload_issuer(entry, folder, resources)).collect()
    }

    fn workload_issuer(
        &mut self,
        entry: &WorkloadIssuerEntry,
        folder: &Path,
        resources: &[Resource],
    ) -> Option<WorkloadIssuer> {
        let before = self.problems.len();
        let jwks = match &entry.jwks_file {
            Some(at) => Some(self.file(at, folder)?),
            None => None,
        };
        let keys =
            WrittenKeys { jwks: jwks.as_ref().map(String::as_bytes), jwks_uri: entry.jwks_uri.as_deref() };
        let name = entry.issuer.get_ref();
        let issuer = TrustedIssuer::new(name, &entry.audiences, entry.algorithms.as_deref(), keys);
        if entry.workload.is_empty() {
            let fix = "add [[workload_issuer.workload]] with id, claims and scopes";
            self.wrong(&entry.issuer, format!("{name} has no workload, so nobody is let in by it"), fix);
        }
        let all = entry.workload.iter().filter_map(|workload| self.workload(workload, resources));
        let workloads: Vec<Workload> = all.collect();
        match issuer.and_then(|issuer| WorkloadIssuer::new(issuer, workloads)) {
            Ok(issuer) => (self.problems.len() == before).then_some(issuer),
            Err(error) => {
                self.wrong(&entry.issuer, format!("the issuer {name:?}: {error}"), GUIDE);
                None
            }
        }
    }

    pub(super) fn identity_providers(
        &mut self,
        entries: &[IdentityProviderEntry],
        folder: &Path,
    ) -> Vec<IdentityProvider> {
        entries.iter().filter_map(|entry| self.identity_provider(entry, folder)).collect()
    }

    fn identity_provider(
        &mut self,
        entry: &IdentityProviderEntry,
        folder: &Path,
    ) -> Option<IdentityProvider> {
        let jwks = match &entry.jwks_file {
            Some(at) => Some(self.file(at, folder)?),
            None => None,
        };
        let keys =
            WrittenKeys { jwks: jwks.as_ref().map(String::as_bytes), jwks_uri: entry.jwks_uri.as_deref() };
        let name = entry.issuer.get_ref();
        match TrustedIssuer::new(name, &[], entry.algorithms.as_deref(), keys) {
            Ok(issuer) => {
                let (tenant, accounts) = (entry.tenant.clone(), entry.accounts.clone());
                Some(IdentityProvider { issuer, tenant, accounts })
            }
            Err(error) => {
                let fix = "docs/guide/enterprise.md has an example";
                self.wrong(&entry.issuer, format!("the issuer {name:?}: {error}"), fix);
                None
            }
        }
    }

    fn workload(&mut self, entry: &WorkloadEntry, resources: &[Resource]) -> Option<Workload> {
        let written = WrittenWorkload {
            id: entry.id.get_ref(),
            subject: entry.subject.as_deref(),
            claims: &entry.claims,
            scopes: &entry.scopes,
            resources: entry.resources.as_deref(),
        };
        let made = Workload::new(&written).map_err(|error| error.to_string()).and_then(|workload| {
            let named = |complaint: String| format!("the workload {:?}: {complaint}", workload.id());
            servers_of_machine(workload.machine(), resources).map_err(named)?;
            Ok(workload)
        });
        match made {
            Ok(workload) => {
                if let Err((complaint, fix)) = scopes_of_servers(&entry.scopes, resources) {
                    self.wrong(&entry.id, format!("the workload {:?}: {complaint}", workload.id()), fix);
                }
                Some(workload)
            }
            Err(complaint) => {
                self.wrong(&entry.id, complaint, GUIDE);
                None
            }
        }
    }
}
