//! The other authorization servers of a node: one source of keys, or of answers, for each, however often the configuration is
//! read again. What was fetched last is still there when a server is away just then.

use crate::config::{AuthorizationServer, KeyPlace, Protected, VerifiedBy};
use anyhow::Context;
use hallpass_core::jose::KeySet;
use hallpass_fetch::{Fetch, Policy};
use hallpass_resource::{Introspector, KeySource, TrustedIssuer, Verification};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Those that are in use.
pub struct Issuers(Mutex<Known>);

struct Known {
    fetch: Fetch,
    made: Vec<(AuthorizationServer, Verification)>,
}

impl Issuers {
    /// None yet. They are asked with `fetch`.
    pub const fn new(fetch: Fetch) -> Self {
        Self(Mutex::new(Known { fetch, made: Vec::new() }))
    }

    /// Asks all of them in another way from now on.
    pub fn ask_with(&self, fetch: Fetch) {
        *self.known() = Known { fetch, made: Vec::new() };
    }

    /// Those of one server.
    pub fn of(&self, server: &Protected, resource: &str) -> anyhow::Result<Vec<TrustedIssuer>> {
        let one = |trusted: &crate::config::Trusted| {
            let of = &trusted.server;
            let usual = || vec![resource.to_owned()];
            Ok(TrustedIssuer {
                issuer: of.issuer.as_str().into(),
                audiences: if trusted.audiences.is_empty() { usual() } else { trusted.audiences.clone() },
                verification: self.verification(of)?,
                typ: of.typ,
                scope_claims: of.scope_claims.clone(),
                groups_claim: of.groups_claim.clone(),
                scopes: trusted.scopes.clone(),
            })
        };
        server.trust.others.iter().map(one).collect()
    }

    /// Keeps only these.
    pub fn keep(&self, named: &[AuthorizationServer]) {
        self.known().made.retain(|(server, _)| named.contains(server));
    }

    fn verification(&self, server: &AuthorizationServer) -> anyhow::Result<Verification> {
        let mut known = self.known();
        if let Some((_, verification)) = known.made.iter().find(|(same, _)| same == server) {
            return Ok(verification.clone());
        }
        let made = made(server, &known.fetch)?;
        known.made.push((server.clone(), made.clone()));
        Ok(made)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn made(server: &AuthorizationServer, fetch: &Fetch) -> anyhow::Result<Verification> {
    let fetch = fetch.clone();
    Ok(match &server.verified {
        VerifiedBy::Keys { place, algorithms } => {
            let keys = match place {
                KeyPlace::Discovered => KeySource::discovered(&server.issuer, fetch),
                KeyPlace::At(url) => {
                    let policy = Policy::trusted(url.parsed().host_str());
                    KeySource::jwks(url.parsed().clone(), fetch, policy)
                }
                KeyPlace::Inline(text) => {
                    let set = KeySet::parse(text.as_bytes()).context("jwks_file")?;
                    let listed = set.keys().iter().filter(|key| algorithms.contains(&key.algorithm()));
                    KeySource::fixed(KeySet::from_keys(listed.cloned().collect()))
                }
            };
            Verification::Keys(Arc::new(keys.with_algorithms(algorithms)))
        }
        VerifiedBy::Introspection { endpoint, client_id, secret, used_for } => {
            let asks = match endpoint {
                Some(endpoint) => Introspector::at(endpoint, client_id, secret.clone(), fetch),
                None => Introspector::discovered(&server.issuer, client_id, secret.clone(), fetch),
            };
            Verification::Introspection(Arc::new(asks.using_answers_for(*used_for)))
        }
    })
}
