//! One protected resource: its names, its keys, and the check that every request goes through.

use crate::{
    authorized::{Authenticated, Authorized},
    cache::{Fingerprint, SeenTokens},
    keys::{KeySource, Keys},
    refuse::{self, Reason},
    revocations::Revocations,
    validate,
};
use bytes::Bytes;
use hallpass_core::{
    jose::JwsError,
    jwt::AccessTokenError,
    scope::Scope,
    time::{Clock, SystemClock, Timestamp},
    uri::ResourceUri,
};
use http::{HeaderMap, Response};
use std::{fmt, sync::Arc};

/// What a resource server knows of itself. Everything is configured; nothing is ever taken from a request (RS-006).
#[derive(Clone, Debug)]
pub struct Settings {
    /// The resource identifier: the URL that people type into their client, and the `aud` of the tokens.
    pub resource: ResourceUri,
    /// Absolute URL of the protected resource metadata. See [`crate::metadata::url`].
    pub metadata_url: String,
    /// The issuer whose tokens are taken, compared character by character.
    pub issuer: String,
}

/// Checks requests for one resource. Shared by all of them.
pub struct ProtectedResource {
    settings: Settings,
    keys: Arc<KeySource>,
    revocations: Arc<Revocations>,
    seen: SeenTokens,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for ProtectedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProtectedResource").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl ProtectedResource {
    /// With the clock of this machine. `keys` must be those of [`Settings::issuer`] and of nobody else (RS-023).
    pub fn new(settings: Settings, keys: Arc<KeySource>, revocations: Arc<Revocations>) -> Self {
        Self { settings, keys, revocations, seen: SeenTokens::new(), clock: Arc::new(SystemClock) }
    }

    /// With another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// What it knows of itself.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The present, as this resource sees it. Read once per request.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Who calls. A token that was seen before costs a hash; its expiry and revocation are looked at all the same.
    ///
    /// # Errors
    /// Every [`Reason`] but `InsufficientScope`.
    pub async fn authenticate(&self, headers: &HeaderMap, now: Timestamp) -> Result<Authenticated, Reason> {
        let token = validate::bearer_token(headers)?;
        if !self.revocations.is_ready() {
            return Err(Reason::RevocationsNotReady);
        }
        let fingerprint = Fingerprint::of(token);
        let known = match self.keys.usable_version(now) {
            Some(version) => self.seen.find(&fingerprint, version),
            None => None,
        };
        let caller = match known {
            Some(caller) => caller,
            None => self.verify(token, &fingerprint, now).await?,
        };
        if let Err(reason) = self.recheck(&caller, now) {
            self.seen.forget(&fingerprint);
            return Err(reason);
        }
        Ok(caller)
    }

    /// Who calls, and that the token has all of `required`: the whole check for a server whose operations all need
    /// the same scope.
    ///
    /// # Errors
    /// Every [`Reason`].
    pub async fn authorize(
        &self,
        headers: &HeaderMap,
        required: &Scope,
        now: Timestamp,
    ) -> Result<Authorized, Reason> {
        self.authenticate(headers, now).await?.authorize((), required)
    }

    /// Whether the caller's token is still good: asked again and again while a stream is open (RS-058).
    ///
    /// # Errors
    /// [`Reason::Expired`] and [`Reason::Revoked`].
    pub fn recheck(&self, caller: &Authenticated, now: Timestamp) -> Result<(), Reason> {
        validate::still_good(&caller.0, &self.revocations, now)
    }

    /// The answer for a request that is refused. `required` are all scopes that the operation needs.
    pub fn refuse(&self, reason: Reason, required: &Scope) -> Response<Bytes> {
        refuse::refuse(reason, &self.settings.metadata_url, required)
    }

    async fn verify(
        &self,
        token: &str,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Result<Authenticated, Reason> {
        let keys = self.keys.keys(now).await.ok_or(Reason::KeysNotAvailable)?;
        match self.verify_with(token, fingerprint, &keys, now) {
            Err(Reason::Token(AccessTokenError::Jws(JwsError::UnknownKey))) => {
                let newer = self.keys.keys_after_unknown(&keys, now).await;
                let newer = newer.ok_or(Reason::Token(AccessTokenError::Jws(JwsError::UnknownKey)))?;
                self.verify_with(token, fingerprint, &newer, now)
            }
            outcome => outcome,
        }
    }

    fn verify_with(
        &self,
        token: &str,
        fingerprint: &Fingerprint,
        keys: &Keys,
        now: Timestamp,
    ) -> Result<Authenticated, Reason> {
        if let Some(caller) = self.seen.find(fingerprint, keys.version()) {
            return Ok(caller);
        }
        let (issuer, resource) = (&self.settings.issuer, self.settings.resource.as_str());
        let identity = validate::verify(token, keys.set(), issuer, resource, now)?;
        let caller = Authenticated(Arc::new(identity));
        self.seen.keep(fingerprint, caller.clone(), keys.version());
        Ok(caller)
    }
}
