//! What a request brings to prove who calls: one way of authentication, read and not yet believed.

use super::ClientAuthRefusal;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hallpass_core::{
    jwt::client_assertion::{self, ASSERTION_TYPE},
    parameters::{self, Parameters},
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
    let pair = header.to_str().ok().and_then(basic).ok_or(ClientAuthRefusal::MalformedHeader)?;
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

/// `Basic base64(urlencode(id) ":" urlencode(secret))`. Our ids and secrets are unreserved characters, so that clients
/// which forget the inner encoding mean the same.
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > 8192 {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let plain = |text: &str| {
        let parsed = Parameters::parse(format!("v={text}").as_bytes(), parameters::Limits::default()).ok()?;
        parsed.get("v").map(str::to_owned)
    };
    Some((plain(id)?, plain(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_125_b_20_basic_in_all_its_spellings() {
        let encode = |text: &str| format!("bAsIc {}", STANDARD.encode(text));
        assert_eq!(basic(&encode("id:secret")), Some(("id".into(), "secret".into())));
        assert_eq!(basic(&encode("a%3Ab:%25%26+x")), Some(("a:b".into(), "%& x".into())));
        for bad in [
            "Basic",
            "Basic ",
            "Basic ???",
            "Bearer abc",
            &encode("no colon"),
            &encode("a:%zz"),
            &encode("a:%"),
        ] {
            assert_eq!(basic(bad), None, "{bad}");
        }
    }
}
