//! Who calls, told to the server behind in a way that it can check: a signed assertion for it alone (RS-045).
//!
//! The client's own headers of that kind do not pass, in whatever spelling: `credentials` writes from a list.

use hallpass_core::{
    jwt::caller_assertion::{Caller, LIFETIME, Terms},
    time::Timestamp,
};
use hallpass_resource::Authenticated;
use http::{HeaderName, HeaderValue};
use quick_cache::sync::Cache;
use std::{sync::Arc, time::Duration};

/// The header that has it.
pub const CALLER: HeaderName = HeaderName::from_static("hallpass-caller");

/// One is used again for so long: a signature costs more than all other checks of a call.
const AGAIN: Duration = Duration::from_secs(20);
/// Callers whose assertion is kept.
const KEPT: usize = 4096;

/// Signs assertions with a key of the issuer.
pub trait SignsCallers: Send + Sync + 'static {
    /// The assertion, as it is sent; nothing where the key does not sign.
    fn sign(&self, caller: &Caller<'_>, terms: &Terms<'_>) -> Option<String>;
}

/// The assertions for one server.
pub(crate) struct Assertions {
    signer: Arc<dyn SignsCallers>,
    issuer: Box<str>,
    audience: Box<str>,
    kept: Cache<Box<str>, Kept>,
}

#[derive(Clone)]
struct Kept {
    header: HeaderValue,
    until: Timestamp,
}

impl Assertions {
    /// For the server of this name.
    pub(crate) fn new(signer: Arc<dyn SignsCallers>, issuer: &str, audience: &str) -> Self {
        Self { signer, issuer: issuer.into(), audience: audience.into(), kept: Cache::new(KEPT) }
    }

    /// The header for a call of this caller. Nothing is sent without one.
    pub(crate) fn header(&self, caller: &Authenticated, now: Timestamp) -> Option<HeaderValue> {
        let said = Said::of(caller);
        let who = said.caller(caller);
        let key: Box<str> = format!("{}@{}", who.key(), caller.expires_at().seconds()).into();
        if let Some(kept) = self.kept.get(&key)
            && now < kept.until
            && now.plus(AGAIN) >= kept.until
        {
            return Some(kept.header);
        }
        let expires_at = now.plus(LIFETIME).min(caller.expires_at());
        let terms = Terms { issuer: &self.issuer, audience: &self.audience, issued_at: now, expires_at };
        let mut header = HeaderValue::try_from(self.signer.sign(&who, &terms)?).ok()?;
        header.set_sensitive(true);
        let until = now.plus(AGAIN).min(expires_at);
        self.kept.insert(key, Kept { header: header.clone(), until });
        Some(header)
    }
}

/// What is said of a caller, as text.
pub(crate) struct Said {
    scope: String,
    grant: Option<String>,
}

impl Said {
    /// Writes it down.
    pub(crate) fn of(caller: &Authenticated) -> Self {
        let grant = caller.grant().filter(|reference| reference.grant.has_row());
        let grant = grant.map(|reference| reference.grant.to_string());
        Self { scope: caller.scope().to_string(), grant }
    }

    /// The caller that it is said of.
    pub(crate) fn caller<'a>(&'a self, caller: &'a Authenticated) -> Caller<'a> {
        Caller {
            subject: caller.subject(),
            client_id: caller.client_id(),
            actors: caller.actors(),
            scope: &self.scope,
            grant: self.grant.as_deref(),
        }
    }
}
