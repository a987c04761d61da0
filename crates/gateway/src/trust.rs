//! What the scopes of a server are called where its callers get their tokens: a challenge in our names would be of no use at an
//! authorization server that has others.

use crate::config::ProtectedServer;
use hallpass_core::scope::Scope;
use hallpass_resource::{Authenticated, ScopeNames};
use std::sync::Arc;

/// The names of one server's scopes.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// At the first of its authorization servers, to which a client without a token goes.
    first: ScopeNames,
    ours: ScopeNames,
    others: Vec<(Arc<str>, ScopeNames)>,
}

impl Asked {
    /// Of this server.
    pub(crate) fn new(protected: &ProtectedServer) -> Self {
        let others = protected.issuers.iter().map(|other| (Arc::clone(&other.issuer), other.scopes.clone()));
        let others: Vec<(Arc<str>, ScopeNames)> = others.collect();
        let first = protected.authorization_servers.first().and_then(|first| named(&others, first));
        Self { first: first.cloned().unwrap_or_default(), ours: ScopeNames::default(), others }
    }

    /// What a client without a token has to ask for.
    pub(crate) fn without_token(&self, needed: &Scope) -> Scope {
        self.first.asked(needed)
    }

    /// What scopes are called for this caller.
    pub(crate) fn names(&self, caller: &Authenticated) -> &ScopeNames {
        let theirs = caller.foreign_issuer().and_then(|issuer| named(&self.others, issuer));
        theirs.unwrap_or(if caller.is_anonymous() { &self.first } else { &self.ours })
    }

    /// What this caller's client has to ask for, where it got its token.
    pub(crate) fn by(&self, caller: &Authenticated, needed: &Scope) -> Scope {
        self.names(caller).asked(needed)
    }
}

fn named<'a>(others: &'a [(Arc<str>, ScopeNames)], issuer: &str) -> Option<&'a ScopeNames> {
    others.iter().find(|(other, _)| **other == *issuer).map(|(_, names)| names)
}
