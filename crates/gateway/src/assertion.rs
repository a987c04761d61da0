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
        let grant = caller.grant().filter(|reference| reference.grant.has_row());
        let grant = grant.map(|reference| reference.grant.to_string());
        let scope = caller.scope().to_string();
        let key = key(caller, grant.as_deref(), &scope);
        if let Some(kept) = self.kept.get(&key)
            && now < kept.until
            && now.plus(AGAIN) >= kept.until
        {
            return Some(kept.header);
        }
        let expires_at = now.plus(LIFETIME).min(caller.expires_at());
        let terms = Terms { issuer: &self.issuer, audience: &self.audience, issued_at: now, expires_at };
        let said = Caller {
            subject: caller.subject(),
            client_id: caller.client_id(),
            actors: caller.actors(),
            scope: &scope,
            grant: grant.as_deref(),
        };
        let mut header = HeaderValue::try_from(self.signer.sign(&said, &terms)?).ok()?;
        header.set_sensitive(true);
        let until = now.plus(AGAIN).min(expires_at);
        self.kept.insert(key, Kept { header: header.clone(), until });
        Some(header)
    }
}

/// Everything that the assertion says, with lengths: no two callers have one key.
fn key(caller: &Authenticated, grant: Option<&str>, scope: &str) -> Box<str> {
    let expires_at = caller.expires_at().seconds().to_string();
    let fixed = [caller.subject(), caller.client_id(), scope, grant.unwrap_or("-"), &expires_at];
    let parts = fixed.into_iter().chain(caller.actors().iter().map(String::as_str));
    let mut key = String::with_capacity(256);
    for part in parts {
        key.push_str(&part.len().to_string());
        key.push(':');
        key.push_str(part);
    }
    key.into()
}
