//! What a request brings to prove who calls: one way of authentication, read and not yet believed.

use super::ClientAuthRefusal;
use hallpass_core::{
    basic,
    jwt::client_assertion::{self, ASSERTION_TYPE},
    parameters::Parameters,
    secret::SecretString,
};
use http::HeaderMap;

/// Who says to call, and with what proof.
pub struct Credentials {
    /// `client_id`.
    pub id: String,
    /// The proof.
    pub presented: Presented,
}

/// What was presented.
pub enum Presented {
    /// Only the `client_id`.
    Nothing,
    /// A secret, in the header or the body.
    Secret(SecretString),
    /// A client assertion.
    Assertion(String),
}

/// Reads them (RFC 6749 §2.3.1, RFC 7521 §4.2). Two ways at once are refused: which one counts would be a guess.
pub fn read(headers: &HeaderMap, parameters: &Parameters) -> Result<Credentials, ClientAuthRefusal> {
    let id = parameters.get("client_id");
    let secret = parameters.get("client_secret");
    let headers: Vec<_> = headers.get_all("authorization").iter().collect();
    if let Some(assertion) = assertion(parameters)? {
        if !headers.is_empty() || secret.is_some() {
            return Err(ClientAuthRefusal::TwoMethods);
        }
        // It may be left out; the verification holds `sub` against the client that the keys belong to.
        let id = id.map(str::to_owned).or_else(|| client_assertion::unverified_subject(assertion));
        let id = id.ok_or(ClientAuthRefusal::Missing)?;
        return Ok(Credentials { id, presented: Presented::Assertion(assertion.to_owned()) });
    }
    let header = match headers.as_slice() {
        [] => {
            let id = id.ok_or(ClientAuthRefusal::Missing)?.to_owned();
            let presented =
                secret.map_or(Presented::Nothing, |text| Presented::Secret(SecretString::new(text)));
            return Ok(Credentials { id, presented });
        }
        [header] if secret.is_none() => header,
        _ => return Err(ClientAuthRefusal::TwoMethods),
    };
    let pair = header.to_str().ok().and_then(basic::credentials).ok_or(ClientAuthRefusal::MalformedHeader)?;
    if id.is_some_and(|id| id != pair.0) {
        return Err(ClientAuthRefusal::TwoMethods);
    }
    Ok(Credentials { id: pair.0, presented: Presented::Secret(SecretString::new(pair.1)) })
}

fn assertion(parameters: &Parameters) -> Result<Option<&str>, ClientAuthRefusal> {
    match (parameters.get("client_assertion_type"), parameters.get("client_assertion")) {
        (None, None) => Ok(None),
        (Some(ASSERTION_TYPE), Some(assertion)) => Ok(Some(assertion)),
        (_, _) => Err(ClientAuthRefusal::MethodNotOffered),
    }
}
