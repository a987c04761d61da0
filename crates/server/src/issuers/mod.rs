//! Issuers of assertions that an operator trusts (RFC 7523): a platform that says which program runs, a
//! company that says which of its people a client asks for. Nobody else's word
//! counts, and nothing is asked of an address that only a token names.

pub mod identity_provider;
pub mod workload;

use crate::{
    app::App,
    clients::keys::{KeyPlace, KeyRefusal},
};
use hallpass_core::{
    jose::{Algorithm, JwsError, KeySet, Verified},
    jwt::grant_assertion::{self, Expectations, GrantAssertion, GrantAssertionError, Kind},
    time::Timestamp,
    uri::Issuer,
};
use workload::{Workload, WorkloadError};

/// Whose assertions count, and how they are verified.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    /// `iss`, compared character by character.
    pub issuer: String,
    /// What it calls us, each alone; without any, our issuer and our token endpoint.
    pub audiences: Vec<String>,
    /// What it signs with.
    pub algorithms: Vec<Algorithm>,
    /// Where its keys are.
    pub keys: KeyPlace,
}

/// Why an issuer cannot be trusted so. The text names the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Nothing to compare with.
    #[error("issuer is empty or too long: write the iss of its tokens, character by character")]
    Name,
    /// An audience that no token has.
    #[error("an audience is empty: write what aud of its tokens is, or leave audiences out")]
    Audience,
    /// Nothing that it could sign with.
    #[error("algorithms is empty: list some of ES256, EdDSA and RS256, or leave it out")]
    NoAlgorithms,
    /// Not one of ours.
    #[error("there is no algorithm {0:?}: list some of ES256, EdDSA and RS256")]
    Algorithm(String),
    /// Where the keys are is not clear.
    #[error("write one of jwks_file and jwks_uri, or neither, where the issuer has a metadata document")]
    Keys,
    /// Not a set of public keys.
    #[error("jwks_file is not a set of public keys")]
    KeySet,
    /// Not an address that can be asked.
    #[error("{0} is not an https URL, so its keys cannot be fetched: write jwks_file")]
    Address(String),
    /// A rule that is none.
    #[error(transparent)]
    Workload(#[from] WorkloadError),
}

/// Where the keys of an issuer are, as written down.
#[derive(Clone, Copy, Debug, Default)]
pub struct WrittenKeys<'a> {
    /// A set.
    pub jwks: Option<&'a [u8]>,
    /// An address.
    pub jwks_uri: Option<&'a str>,
}

impl TrustedIssuer {
    /// Checks what was written down.
    pub fn new(
        issuer: &str,
        audiences: &[String],
        algorithms: Option<&[String]>,
        keys: WrittenKeys<'_>,
    ) -> Result<Self, IssuerError> {
        if issuer.is_empty() || issuer.len() > 255 || issuer.chars().any(char::is_whitespace) {
            return Err(IssuerError::Name);
        }
        if audiences.iter().any(String::is_empty) {
            return Err(IssuerError::Audience);
        }
        let known =
            |name: &String| Algorithm::from_name(name).ok_or_else(|| IssuerError::Algorithm(name.clone()));
        let algorithms = match algorithms {
            Some([]) => return Err(IssuerError::NoAlgorithms),
            Some(names) => names.iter().map(known).collect::<Result<_, _>>()?,
            None => Algorithm::ALL.to_vec(),
        };
        let keys = place(issuer, keys)?;
        Ok(Self { issuer: issuer.to_owned(), audiences: audiences.to_vec(), algorithms, keys })
    }

    /// Verifies an assertion of this issuer.
    pub async fn verify(
        &self,
        app: &App,
        compact: &str,
        kind: Kind,
        now: Timestamp,
    ) -> Result<GrantAssertion, KeyRefusal<GrantAssertionError>> {
        let (us, endpoint) = (app.settings.issuer.as_str(), app.settings.issuer.endpoint("/token"));
        let audiences: Vec<&str> = match kind {
            // Exactly this issuer, and nothing else (AS-164).
            Kind::Identity => vec![us],
            Kind::Workload if self.audiences.is_empty() => vec![us, &endpoint],
            Kind::Workload => self.audiences.iter().map(String::as_str).collect(),
        };
        let expected = Expectations { kind, issuer: &self.issuer, audiences: &audiences, now };
        let check = |keys: &KeySet| {
            let verified = if self.algorithms.len() == Algorithm::ALL.len() {
                grant_assertion::verify(compact, keys, &expected)
            } else {
                let listed = keys.keys().iter().filter(|key| self.algorithms.contains(&key.algorithm()));
                grant_assertion::verify(compact, &KeySet::from_keys(listed.cloned().collect()), &expected)
            };
            verified.map(Verified::into_inner)
        };
        let unknown = |error: &GrantAssertionError| *error == GrantAssertionError::Jws(JwsError::UnknownKey);
        app.issuer_keys.with_keys(&self.keys, now, check, unknown).await
    }
}

fn place(issuer: &str, keys: WrittenKeys<'_>) -> Result<KeyPlace, IssuerError> {
    match (keys.jwks, keys.jwks_uri) {
        (Some(_), Some(_)) => Err(IssuerError::Keys),
        (Some(set), None) => {
            let set = KeySet::parse(set).map_err(|_| IssuerError::KeySet)?;
            if set.keys().is_empty() { Err(IssuerError::KeySet) } else { Ok(KeyPlace::Inline(set)) }
        }
        (None, Some(url)) => hallpass_core::uri::EndpointUrl::parse(url)
            .map(|url| KeyPlace::Named(url.parsed().clone()))
            .map_err(|_| IssuerError::Address(url.to_owned())),
        (None, None) => Issuer::parse(issuer)
            .map(KeyPlace::Discovered)
            .map_err(|_| IssuerError::Address(issuer.to_owned())),
    }
}

/// A platform, and which of its programs may have what.
#[derive(Clone, Debug)]
pub struct WorkloadIssuer {
    /// Who says so.
    pub issuer: TrustedIssuer,
    /// Its programs; the first that fits counts.
    pub workloads: Vec<Workload>,
}

impl WorkloadIssuer {
    /// Checks that each of its programs is told apart from strangers who have the same issuer.
    pub fn new(issuer: TrustedIssuer, workloads: Vec<Workload>) -> Result<Self, IssuerError> {
        for workload in &workloads {
            workload.is_enough_for(&issuer.issuer)?;
        }
        Ok(Self { issuer, workloads })
    }
}
