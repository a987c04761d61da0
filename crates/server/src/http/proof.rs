//! The proof of possession that comes with a request to one of our own endpoints (DPoP, RFC 9449 §5): which key its
//! sender holds. What that key is good for is decided where a token is issued.
//!
//! A request for a nonce (§8) burns nothing: it is answered before anything is looked up or written.

use super::respond::{Refusal, Reply};
use crate::{app::App, audit::Reason, router::Incoming};
use hallpass_core::{
    error::ErrorCode,
    jwt::proof::{self, Expectations, ProofError, Target, nonce},
    uri::Issuer,
};
use http::HeaderValue;

/// A key whose holder sent this request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProvenKey([u8; 32]);

impl ProvenKey {
    /// Its thumbprint (RFC 7638).
    pub const fn thumbprint(self) -> [u8; 32] {
        self.0
    }
}

/// Broken rules of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofRefusal {
    /// The proof itself.
    Proof(ProofError),
    /// The operator asks for a nonce, and there is none.
    NonceMissing,
    /// A nonce that is not ours, not for here, or too old.
    NonceOld,
    /// It was used before.
    Replayed,
    /// A proof is due, and none was sent.
    Missing,
}

impl Reason for ProofRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Proof(error) => error.reason(),
            Self::NonceMissing => "proof_nonce_missing",
            Self::NonceOld => "proof_nonce_old",
            Self::Replayed => "proof_replayed",
            Self::Missing => "proof_missing",
        }
    }
}

impl ProofRefusal {
    /// What the client learns.
    pub const fn refusal(self) -> Refusal {
        let (code, description) = match self {
            Self::NonceMissing | Self::NonceOld => {
                (ErrorCode::UseDpopNonce, "put the nonce of the DPoP-Nonce header into a new proof")
            }
            Self::Missing => (
                ErrorCode::InvalidDpopProof,
                "tokens of this client, grant or server are bound to a key: send a DPoP proof",
            ),
            Self::Replayed => (
                ErrorCode::InvalidDpopProof,
                "this DPoP proof was used before: make a new one for each request",
            ),
            Self::Proof(ProofError::Several) => {
                (ErrorCode::InvalidDpopProof, "send one DPoP header with one proof")
            }
            Self::Proof(ProofError::NotNow) => (
                ErrorCode::InvalidDpopProof,
                "iat of the DPoP proof is more than five minutes from now: set the clock",
            ),
            Self::Proof(ProofError::Target | ProofError::Method) => (
                ErrorCode::InvalidDpopProof,
                "htm and htu of the DPoP proof must be POST and the URL of this endpoint as the metadata writes it",
            ),
            Self::Proof(_) => (
                ErrorCode::InvalidDpopProof,
                "the DPoP proof is not accepted: a JWT of typ dpop+jwt with jwk, jti, htm, htu and iat, signed by that jwk",
            ),
        };
        Refusal::new(code, description)
    }

    /// Whether it only asks for a nonce, so that nobody has guessed anything.
    pub const fn is_challenge(self) -> bool {
        matches!(self, Self::NonceMissing | Self::NonceOld)
    }
}

/// Our own endpoints that take proofs, as proofs have to name them: the URLs that the metadata has, because what `Host` says is up
/// to whoever sends it. Nothing where it is no URL that a request can be sent to.
pub struct Targets {
    /// The token endpoint.
    pub token: Option<Target>,
    /// The endpoint of pushed requests.
    pub par: Option<Target>,
}

impl Targets {
    /// Those of this issuer.
    pub fn new(issuer: &Issuer) -> Self {
        let at = |path| Target::parse(&issuer.endpoint(path));
        Self { token: at("/token"), par: at("/par") }
    }
}

/// The key that the request proves, if any. `target` is that of the endpoint.
pub fn read(
    app: &App,
    incoming: &Incoming,
    target: Option<&Target>,
) -> Result<Option<ProvenKey>, ProofRefusal> {
    let values = incoming.headers.get_all(proof::HEADER).iter().map(HeaderValue::as_bytes);
    let Some(compact) = proof::in_headers(values).map_err(ProofRefusal::Proof)? else { return Ok(None) };
    let now = incoming.cx.now;
    let target = target.ok_or(ProofRefusal::Proof(ProofError::Target))?;
    let expected = Expectations { method: incoming.method.as_str(), target, access_token: None, now };
    let verified = proof::verify(compact, &expected).map_err(ProofRefusal::Proof)?;
    if app.settings.proofs.nonces {
        let nonce = verified.get().nonce.as_deref().ok_or(ProofRefusal::NonceMissing)?;
        nonce::check(&app.keys, app.settings.issuer.as_str(), nonce, now).ok_or(ProofRefusal::NonceOld)?;
    }
    if !app.proofs.spend(&verified, target, now) {
        return Err(ProofRefusal::Replayed);
    }
    Ok(Some(ProvenKey(verified.get().thumbprint)))
}

/// Gives the nonce for the next proof to whoever sends proofs, where nonces are asked for (RFC 9449 §8.2).
pub fn offer_nonce(app: &App, incoming: &Incoming, mut reply: Reply) -> Reply {
    if app.settings.proofs.nonces && incoming.headers.contains_key(proof::HEADER) {
        let nonce = nonce::present(&app.keys, app.settings.issuer.as_str(), incoming.cx.now);
        if let Ok(nonce) = HeaderValue::try_from(nonce) {
            reply.headers_mut().insert(proof::NONCE_HEADER, nonce);
        }
    }
    reply
}
