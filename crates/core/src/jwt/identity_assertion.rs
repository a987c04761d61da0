//! Identity assertions that we make (ID-JAG, draft-ietf-oauth-identity-assertion-authz-grant §3.1): our word to the
//! authorization server of somebody else, about one of our people and one client.

use super::grant_assertion::IDENTITY_TYPE;
use crate::{
    encoding,
    jose::{SigningFailed, SigningKey, jws},
    secret::SecretString,
    time::Timestamp,
};
use serde::Serialize;
use std::time::Duration;

/// What the exchange for one asks for, and answers (§4.3).
pub const TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:id-jag";
/// Longest life: it serves one request, and nothing ends it sooner.
pub const LIFETIME: Duration = Duration::from_mins(5);

/// What one says.
#[derive(Clone, Debug)]
pub struct IdentityAssertion<'a> {
    /// `iss`: our issuer identifier as written.
    pub issuer: &'a str,
    /// `sub`: the person.
    pub subject: &'a str,
    /// `aud`: the issuer identifier of the one server that it is for.
    pub audience: &'a str,
    /// `client_id`: what the client is called there.
    pub client_id: &'a str,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `jti`.
    pub token_id: [u8; 16],
    /// `resource`: at least one.
    pub resources: Vec<&'a str>,
    /// `scope`.
    pub scope: &'a str,
    /// `cnf.jkt`: of use only to who proves this key.
    pub key_thumbprint: Option<[u8; 32]>,
}

/// The claims in the order written.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    iat: i64,
    exp: i64,
    jti: String,
    resource: OneOrMany<'a>,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum OneOrMany<'a> {
    One(&'a str),
    Many(&'a [&'a str]),
}

#[derive(Serialize)]
struct Confirmation {
    jkt: String,
}

impl IdentityAssertion<'_> {
    /// Signs it, with the one type that such an assertion has.
    pub fn sign(&self, key: &SigningKey) -> Result<SecretString, SigningFailed> {
        let resource = match self.resources.as_slice() {
            [only] => OneOrMany::One(only),
            several => OneOrMany::Many(several),
        };
        let claims = Claims {
            iss: self.issuer,
            sub: self.subject,
            aud: self.audience,
            client_id: self.client_id,
            iat: self.issued_at.seconds(),
            exp: self.expires_at.seconds(),
            jti: encoding::base64url(&self.token_id),
            resource,
            scope: self.scope,
            cnf: self.key_thumbprint.map(|key| Confirmation { jkt: encoding::base64url(&key) }),
        };
        let payload = serde_json::to_vec(&claims).map_err(|_| SigningFailed)?;
        jws::sign(key, IDENTITY_TYPE, &payload).map(SecretString::new)
    }
}
