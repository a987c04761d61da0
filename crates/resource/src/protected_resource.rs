//! One protected resource: its names, its keys, and the check that every request goes through.

use crate::{
    authorized::{ANONYMOUS, Authenticated, Authorized, Identity},
    cache::{Fingerprint, Proof, SeenTokens},
    head::{Head, Scheme},
    introspection::Introspector,
    issuer::{self, TrustedIssuer, Verification, Whose},
    keys::KeySource,
    proof::{BoundTokens, ProofCheck, Proofs},
    refuse::{self, Reason},
    revocations::Revocations,
    validate,
};
use bytes::Bytes;
use hallpass_core::{
    jose::{JwsError, KeySet},
    jwt::{AccessTokenError, foreign_token},
    scope::Scope,
    time::{Clock, SystemClock, Timestamp},
    uri::ResourceUri,
};
use http::{HeaderMap, Response};
use std::{fmt, sync::Arc, time::Duration};

/// How long what a caller without a token opened may stay open.
const ANONYMOUS_FOR: Duration = Duration::from_hours(1);

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
    introspector: Option<Arc<Introspector>>,
    revocations: Arc<Revocations>,
    seen: SeenTokens,
    proofs: ProofCheck,
    bound_tokens: BoundTokens,
    reads_details: bool,
    takes_own: bool,
    others: Vec<TrustedIssuer>,
    clock: Arc<dyn Clock>,
}

/// A token with its name in the cache.
#[derive(Clone, Copy)]
struct Presented<'t> {
    token: &'t str,
    fingerprint: &'t Fingerprint,
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
        let (clock, others) = (Arc::new(SystemClock), Vec::new());
        let (takes_own, reads_details) = (true, false);
        Self {
            settings,
            keys,
            introspector: None,
            revocations,
            seen,
            proofs,
            bound_tokens,
            reads_details,
            takes_own,
            others,
            clock,
        }
    }

    /// Takes the tokens of these servers too. Their callers have names of their own, see [`Authenticated::subject`]. None of
    /// them may be called as [`Settings::issuer`]; of one that is, no token is taken.
    #[must_use]
    pub fn with_issuers(self, others: Vec<TrustedIssuer>) -> Self {
        Self { others, ..self }
    }

    /// Asks [`Settings::issuer`] about each of its tokens too, once its keys say that it is genuine (RFC 7662): one that was
    /// taken back is good for as long as an answer is used and no longer, wherever this program runs. For a server that
    /// follows no feed of revocations. While it does not answer, nobody is let in that it was not asked about just now. What
    /// is open already, such as a stream, is not asked about again.
    #[must_use]
    pub fn with_introspection(self, introspector: Arc<Introspector>) -> Self {
        Self { introspector: Some(introspector), ..self }
    }

    /// Takes no tokens of [`Settings::issuer`]: those of other servers alone.
    #[must_use]
    pub fn without_own_tokens(self) -> Self {
        Self { takes_own: false, ..self }
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
        let caller = match self.seen.find(&fingerprint, |proof| self.holds(proof, now)) {
            Some(caller) => caller,
            None => self.verify(Presented { token, fingerprint: &fingerprint }, now).await?,
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

    /// Nobody, for a server that has something for anybody: the caller of a request without any credentials. It has no scope and
    /// no person, its calls are counted by `counted_as`, and what it opened ends after an hour. Credentials of any kind, good
    /// ones too, are no such request: a bad token is never taken for none.
    ///
    /// # Errors
    /// [`Reason::OtherScheme`] and what else is wrong with the credentials; [`Reason::RevocationsNotReady`] as for everybody.
    pub fn anonymous(
        &self,
        headers: &HeaderMap,
        counted_as: String,
        now: Timestamp,
    ) -> Result<Authenticated, Reason> {
        match validate::token(headers) {
            Err(Reason::NoCredentials) => {}
            Ok(_) => return Err(Reason::MalformedAuthorization),
            Err(reason) => return Err(reason),
        }
        if !self.revocations.is_ready() {
            return Err(Reason::RevocationsNotReady);
        }
        Ok(Authenticated(Arc::new(Identity {
            issuer: None,
            subject: ANONYMOUS.into(),
            client_id: ANONYMOUS.into(),
            scope: Scope::none(),
            grant: None,
            expires_at: now.plus(ANONYMOUS_FOR),
            key: None,
            actors: Box::default(),
            details: None,
            groups: Box::default(),
            counted_as: Some(counted_as.into()),
        })))
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

    /// Whether what a token was verified by can be relied on still, without asking anybody.
    fn holds(&self, proof: Proof, now: Timestamp) -> bool {
        match proof {
            Proof::Own(version) => self.keys.usable_version(now) == Some(version),
            Proof::Answer(until) => now < until,
            Proof::Keys(at, version) => {
                let usable = self.others.get(at).and_then(|other| match &other.verification {
                    Verification::Keys(keys) => keys.usable_version(now),
                    Verification::Introspection(_) => None,
                });
                usable == Some(version)
            }
        }
    }

    async fn verify(&self, presented: Presented<'_>, now: Timestamp) -> Result<Authenticated, Reason> {
        let whose = if self.others.is_empty() {
            Whose::Own
        } else {
            let own = self.takes_own.then_some(self.settings.issuer.as_str());
            issuer::whose(presented.token, own, &self.others)?
        };
        let other = match whose {
            Whose::Own if !self.takes_own => return Err(Reason::Token(AccessTokenError::WrongIssuer)),
            Whose::Own => {
                let (issuer, resource) = (&self.settings.issuer, self.settings.resource.as_str());
                let check = |set: &KeySet| validate::verify(presented.token, set, issuer, resource, now);
                let Some(introspector) = &self.introspector else {
                    return self.verify_by_keys(presented, (&self.keys, &Proof::Own), check, now).await;
                };
                // Good by its keys alone it is good for nobody: an answer that is over.
                let unasked = |_| Proof::Answer(now);
                let caller = self.verify_by_keys(presented, (&self.keys, &unasked), check, now).await?;
                return self.ask(introspector, presented, caller, now).await;
            }
            Whose::Of(at) => (at, self.others.get(at)),
        };
        match other {
            (at, Some(other)) => match &other.verification {
                Verification::Keys(keys) => {
                    let check = |set: &KeySet| other.verify(presented.token, set, now);
                    let proof = |version| Proof::Keys(at, version);
                    self.verify_by_keys(presented, (keys, &proof), check, now).await
                }
                Verification::Introspection(introspector) => {
                    let (identity, until) = other.ask(introspector, presented.token, now).await?;
                    self.keep(presented, identity, Proof::Answer(until))
                }
            },
            (_, None) => Err(Reason::Token(AccessTokenError::WrongIssuer)),
        }
    }

    async fn verify_by_keys(
        &self,
        presented: Presented<'_>,
        (source, proof): (&KeySource, &(dyn Fn(u64) -> Proof + Sync)),
        check: impl Fn(&KeySet) -> Result<Identity, Reason> + Sync,
        now: Timestamp,
    ) -> Result<Authenticated, Reason> {
        let keys = source.keys(now).await.ok_or(Reason::KeysNotAvailable)?;
        if let Some(caller) = self.seen.find(presented.fingerprint, |seen| seen == proof(keys.version())) {
            return Ok(caller);
        }
        match check(keys.set()) {
            Err(unknown @ Reason::Token(AccessTokenError::Jws(JwsError::UnknownKey))) => {
                let newer = source.keys_after_unknown(&keys, now).await.ok_or(unknown)?;
                self.keep(presented, check(newer.set())?, proof(newer.version()))
            }
            outcome => self.keep(presented, outcome?, proof(keys.version())),
        }
    }

    /// The caller, whose token is genuine, once its server says that it is alive.
    async fn ask(
        &self,
        introspector: &Introspector,
        presented: Presented<'_>,
        caller: Authenticated,
        now: Timestamp,
    ) -> Result<Authenticated, Reason> {
        let style = foreign_token::Style::default();
        let until = match introspector.ask(&self.settings.issuer, presented.token, &style, now).await {
            Ok((_, until)) => until,
            Err(reason) => {
                self.seen.forget(presented.fingerprint);
                return Err(reason);
            }
        };
        self.seen.keep(presented.fingerprint, caller.clone(), Proof::Answer(until));
        Ok(caller)
    }

    fn keep(
        &self,
        presented: Presented<'_>,
        identity: Identity,
        proof: Proof,
    ) -> Result<Authenticated, Reason> {
        if identity.details.is_some() && !self.reads_details {
            return Err(Reason::Token(AccessTokenError::Details));
        }
        let caller = Authenticated(Arc::new(identity));
        self.seen.keep(presented.fingerprint, caller.clone(), proof);
        Ok(caller)
    }
}
