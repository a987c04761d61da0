//! Tokens that are bound to a key (DPoP, RFC 9449): what a request has to bring beside such a token.
//!
//! Nothing here is looked at for a request with a bearer token.

use crate::{head::Head, refuse::Reason};
use hallpass_core::{
    jwt::proof::{self, Expectations, ProofError, SeenProofs, Target, nonce},
    seal::KeyRing,
    secret,
    time::Timestamp,
    uri::ResourceUri,
};
use http::{HeaderMap, HeaderValue};
use std::sync::Arc;

/// Which tokens a resource takes, and what its metadata says of that (RFC 9728 §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BoundTokens {
    /// Its metadata says nothing; a bound token is taken with its proof all the same.
    #[default]
    NotListed,
    /// Its metadata says that it takes them.
    Offered,
    /// It takes no others.
    Required,
}

/// What proofs are checked with, shared by all resources of a program: a proof names the URL that it is for.
#[derive(Clone, Debug, Default)]
pub struct Proofs {
    /// Those that were used.
    pub seen: Arc<SeenProofs>,
    /// Keys for nonces, where each proof has to carry one. All nodes need the same.
    pub nonces: Option<Arc<KeyRing>>,
}

/// The check of one resource.
#[derive(Debug)]
pub(crate) struct ProofCheck {
    proofs: Proofs,
    /// Scheme and host of the resource as configured: what `Host` says is up to whoever sends it.
    origin: Box<str>,
    /// What nonces are bound to.
    place: Box<str>,
}

impl ProofCheck {
    pub fn new(resource: &ResourceUri, proofs: Proofs) -> Self {
        let origin = resource.parsed().origin().ascii_serialization().into();
        Self { proofs, origin, place: resource.as_str().into() }
    }

    /// The proof of a request whose token was verified (RFC 9449 §4.3, §7.1): made for this request and this token, with
    /// the key that the token is bound to, and not used before.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, head: Head<'_>, token: &str, key: &[u8; 32], now: Timestamp) -> Result<(), Reason> {
        let values = head.headers.get_all(proof::HEADER).iter().map(HeaderValue::as_bytes);
        let compact = proof::in_headers(values)?.ok_or(Reason::ProofMissing)?;
        let target = Target::parse(&format!("{}{}", self.origin, head.path));
        let target = target.ok_or(Reason::Proof(ProofError::Target))?;
        let expected =
            Expectations { method: head.method.as_str(), target: &target, access_token: Some(token), now };
        let verified = proof::verify(compact, &expected)?;
        if !secret::equal(&verified.get().thumbprint, key) {
            return Err(Reason::ProofOfAnotherKey);
        }
        if let Some(keys) = &self.proofs.nonces {
            let nonce = verified.get().nonce.as_deref().ok_or(Reason::NonceNeeded)?;
            nonce::check(keys, &self.place, nonce, now).ok_or(Reason::NonceNeeded)?;
        }
        // Last: what is remembered was paid for with a good token.
        if self.proofs.seen.spend(&verified, &target, now) { Ok(()) } else { Err(Reason::ProofReplayed) }
    }

    /// Gives the nonce for the next proof, where nonces are asked for (RFC 9449 §8.2, §9).
    pub fn offer_nonce(&self, headers: &mut HeaderMap, now: Timestamp) {
        let Some(keys) = &self.proofs.nonces else { return };
        if let Ok(nonce) = HeaderValue::try_from(nonce::present(keys, &self.place, now)) {
            headers.insert(proof::NONCE_HEADER, nonce);
        }
    }
}
