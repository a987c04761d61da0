//! One protected resource: its names, its keys, and the check that every request goes through.

use crate::{
    authorized::{Authenticated, Authorized},
    cache::{Fingerprint, SeenTokens},
    head::{Head, Scheme},
    keys::{KeySource, Keys},
    proof::{BoundTokens, ProofCheck, Proofs},
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
    proofs: ProofCheck,
    bound_tokens: BoundTokens,
    reads_details: bool,
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
        let proofs = ProofCheck::new(&settings.resource, Proofs::default());
        let (seen, bound_tokens) = (SeenTokens::new(), BoundTokens::default());
        let clock = Arc::new(SystemClock);
        Self { settings, keys, revocations, seen, proofs, bound_tokens, reads_details: false, clock }
    }

    /// With this to say about tokens that are bound to a key, and this to check their proofs with. Without it such tokens
    /// are taken with a proof, which is remembered here.
    #[must_use]
    pub fn with_bound_tokens(self, bound_tokens: BoundTokens, proofs: Proofs) -> Self {
        let proofs = ProofCheck::new(&self.settings.resource, proofs);
        Self { proofs, bound_tokens, ..self }
    }

    /// Takes tokens that are limited to some tools (`authorization_details`, RFC 9396) too. Only for a server that asks
    /// [`Authenticated::details`] before it calls one: without this such tokens are refused, because who looks at the scope
    /// alone would allow what the person did not.
    #[must_use]
    pub fn with_authorization_details(self) -> Self {
        Self { reads_details: true, ..self }
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
    pub async fn authenticate(
        &self,
        head: impl Into<Head<'_>>,
        now: Timestamp,
    ) -> Result<Authenticated, Reason> {
        let head = head.into();
        let (scheme, token) = validate::token(head.headers)?;
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
        match (scheme, &caller.0.key) {
            (Scheme::Bearer, None) if self.bound_tokens != BoundTokens::Required => Ok(caller),
            (Scheme::Bearer, None) => Err(Reason::BearerToken),
            // RFC 9449 §7.2: a token that is bound to a key, sent as a bearer token, was stolen or downgraded.
            (Scheme::Bearer, Some(_)) => Err(Reason::BoundToken),
            (Scheme::Dpop, None) => Err(Reason::UnboundToken),
            (Scheme::Dpop, Some(key)) => self.proofs.check(head, token, key, now).map(|()| caller),
        }
    }

    /// Who calls, and that the token has all of `required`: the whole check for a server whose operations all need
    /// the same scope.
    ///
    /// # Errors
    /// Every [`Reason`].
    pub async fn authorize(
        &self,
        head: impl Into<Head<'_>>,
        required: &Scope,
        now: Timestamp,
    ) -> Result<Authorized, Reason> {
        self.authenticate(head, now).await?.authorize((), required)
    }

    /// Whether the caller's token is still good: asked again and again while a stream is open (RS-058).
    ///
    /// # Errors
    /// [`Reason::Expired`] and [`Reason::Revoked`].
    pub fn recheck(&self, caller: &Authenticated, now: Timestamp) -> Result<(), Reason> {
        validate::still_good(&caller.0, &self.revocations, now)
    }

    /// The answer for a request that is refused. `required` are all scopes that the operation needs, `scheme` is how the
    /// request presents its token.
    pub fn refuse(&self, reason: Reason, required: &Scope, scheme: Scheme) -> Response<Bytes> {
        let only_bound = self.bound_tokens == BoundTokens::Required;
        let scheme = if only_bound { Scheme::Dpop } else { scheme };
        let mut response = refuse::refuse(reason, &self.settings.metadata_url, required, scheme);
        if scheme == Scheme::Dpop {
            self.offer_nonce(scheme, response.headers_mut());
        }
        response
    }

    /// Puts the nonce for the next proof into an answer, where proofs have to carry one (RFC 9449 §8.2). Nothing for who
    /// sends no proofs.
    pub fn offer_nonce(&self, scheme: Scheme, headers: &mut HeaderMap) {
        if scheme == Scheme::Dpop {
            self.proofs.offer_nonce(headers, self.now());
        }
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
        if identity.details.is_some() && !self.reads_details {
            return Err(Reason::Token(AccessTokenError::Details));
        }
        let caller = Authenticated(Arc::new(identity));
        self.seen.keep(fingerprint, caller.clone(), keys.version());
        Ok(caller)
    }
}
