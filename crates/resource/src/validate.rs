//! The checks of one request, without I/O: where the token is, what it says, whether it is still good.

use crate::{authorized::Identity, head::Scheme, refuse::Reason, revocations::Revocations};
use hallpass_core::{
    encoding,
    jose::KeySet,
    jwt::{AccessTokenError, Expectations, access_token},
    scope::Scope,
    time::Timestamp,
};
use http::{HeaderMap, header};
use std::time::Duration;

/// How far the clocks of the authorization server and ours may differ (RS-022 allows 60 s).
pub const LEEWAY: Duration = Duration::from_secs(30);
/// Longest `Authorization` value that is read. Signed tokens of other servers reach 4 KiB.
const MAX_AUTHORIZATION: usize = 16 * 1024;

/// The one token of a request (OAuth 2.1 §5.1.1, RFC 9449 §7.1) and how it is presented: in one `Authorization` field,
/// the scheme in any case, then spaces, then one `token68`. Neither the query nor the body is ever looked at (RS-020).
///
/// # Errors
/// [`Reason::NoCredentials`], [`Reason::OtherScheme`], [`Reason::SeveralAuthorizations`],
/// [`Reason::MalformedAuthorization`].
pub fn token(headers: &HeaderMap) -> Result<(Scheme, &str), Reason> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Reason::NoCredentials)?;
    // Of two, one proxy reads the first and the next one the last.
    if values.next().is_some() {
        return Err(Reason::SeveralAuthorizations);
    }
    let value = value.to_str().map_err(|_| Reason::MalformedAuthorization)?;
    if value.len() > MAX_AUTHORIZATION {
        return Err(Reason::MalformedAuthorization);
    }
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    let scheme = match scheme {
        bearer if bearer.eq_ignore_ascii_case("Bearer") => Scheme::Bearer,
        dpop if dpop.eq_ignore_ascii_case("DPoP") => Scheme::Dpop,
        other if is_scheme(other) => return Err(Reason::OtherScheme),
        _ => return Err(Reason::MalformedAuthorization),
    };
    let token = rest.trim_start_matches(' ');
    if is_token68(token) { Ok((scheme, token)) } else { Err(Reason::MalformedAuthorization) }
}

/// A `token` of RFC 9110 §5.6.2, as a scheme is.
fn is_scheme(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// RFC 9110 §11.2. No comma and no white space, so two joined fields are not one token.
fn is_token68(text: &str) -> bool {
    let plain = text.trim_end_matches('=').as_bytes();
    // Every call has one, of hundreds of characters: without a branch for each of them they are looked at many at a time.
    let letter = |b: u8| u8::from((b | 0x20).wrapping_sub(b'a') < 26);
    // `.`, `/` and the digits stand together.
    let digit = |b: u8| u8::from(b.wrapping_sub(b'.') < 12);
    let is = |b: u8, other: u8| u8::from(b == other);
    let good = |b: u8| letter(b) | digit(b) | is(b, b'-') | is(b, b'_') | is(b, b'~') | is(b, b'+');
    !plain.is_empty() && plain.iter().fold(1, |all, b| all & good(*b)) == 1
}

/// Verifies a signed access token for this resource. How it may be presented is another question.
///
/// # Errors
/// [`Reason::Token`].
pub(crate) fn verify(
    token: &str,
    keys: &KeySet,
    issuer: &str,
    resource: &str,
    now: Timestamp,
) -> Result<Identity, Reason> {
    let expected = Expectations { issuer, audiences: &[resource], now, leeway: LEEWAY };
    let token = access_token::verify(token, keys, &expected)?.into_inner();
    let key = match token.key_thumbprint.as_deref() {
        None => None,
        Some(text) => {
            let key = encoding::array_from_base64url(text);
            Some(key.ok_or(Reason::Token(AccessTokenError::ConfirmationForm))?)
        }
    };
    let scope = Scope::parse(&token.scope).map_err(|_| Reason::Token(AccessTokenError::ScopeForm))?;
    Ok(Identity {
        issuer: None,
        subject: token.subject.into(),
        client_id: token.client_id.into(),
        scope,
        grant: token.grant,
        expires_at: token.expires_at,
        key,
        actors: token.actors.into(),
        details: token.details,
        groups: Box::default(),
        counted_as: None,
    })
}

/// What may have changed since a token was verified: asked of every request, and of open streams.
///
/// # Errors
/// [`Reason::Expired`] and [`Reason::Revoked`].
pub(crate) fn still_good(
    identity: &Identity,
    revocations: &Revocations,
    now: Timestamp,
) -> Result<(), Reason> {
    if now >= identity.expires_at.plus(LEEWAY) {
        return Err(Reason::Expired);
    }
    // With a client ends what others were given in its place.
    let acted = identity.actors.iter().any(|actor| revocations.client_revoked(actor));
    if acted || revocations.revoked(&identity.subject, &identity.client_id, identity.grant.as_ref()) {
        return Err(Reason::Revoked);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn rs_020_a_token_has_the_characters_of_a_token68_and_no_others() {
        for byte in u8::MIN..=u8::MAX {
            let listed = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            for place in [0, 7, 40] {
                let mut text = [b'a'; 41];
                text[place] = byte;
                let read = std::str::from_utf8(&text).is_ok_and(is_token68);
                assert_eq!(read, listed || (byte == b'=' && place == 40), "{byte} at {place}");
            }
        }
        assert!(!is_token68("") && !is_token68("==") && !is_token68("a=b") && is_token68("a=="));
    }

    fn token_in(values: &[&[u8]]) -> Result<String, Reason> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        token(&headers).map(|(scheme, token)| {
            assert_eq!(scheme, Scheme::of(&headers));
            token.to_owned()
        })
    }

    #[test]
    fn rs_019_one_token_after_the_scheme_in_any_case() {
        for good in
            ["Bearer a.b-c_~+/d==", "bearer a.b-c_~+/d==", "bEaReR a.b-c_~+/d==", "Bearer   a.b-c_~+/d=="]
        {
            assert_eq!(token_in(&[good.as_bytes()]).as_deref(), Ok("a.b-c_~+/d=="), "{good}");
        }
        for bad in [
            "Bearer",
            "Bearer ",
            "Bearer\ta",
            "Bearer a b",
            "Bearer a,b",
            "Bearer a\tb",
            "Bearer =",
            "Bearer a=b",
            "Bearer \"a\"",
            "",
            " Bearer a",
            "Bear,er a",
        ] {
            assert_eq!(token_in(&[bad.as_bytes()]), Err(Reason::MalformedAuthorization), "{bad:?}");
        }
        assert_eq!(token_in(&[b"Bearer \xff"]), Err(Reason::MalformedAuthorization));
        let long = format!("Bearer {}", "a".repeat(MAX_AUTHORIZATION));
        assert_eq!(token_in(&[long.as_bytes()]), Err(Reason::MalformedAuthorization));
    }

    #[test]
    fn rs_038_a_bound_token_has_its_own_scheme_in_any_case() {
        for good in ["DPoP a.b.c", "dpop a.b.c", "DPOP   a.b.c"] {
            assert_eq!(token_in(&[good.as_bytes()]).as_deref(), Ok("a.b.c"), "{good}");
        }
        assert_eq!(token_in(&[b"DPoP"]), Err(Reason::MalformedAuthorization));
        assert_eq!(token_in(&[b"DPoP a, Bearer b"]), Err(Reason::MalformedAuthorization));
        assert_eq!(token_in(&[b"DPoP a", b"Bearer b"]), Err(Reason::SeveralAuthorizations));
    }

    #[test]
    fn rs_011_two_are_not_one() {
        assert_eq!(token_in(&[b"Bearer a", b"Bearer a"]), Err(Reason::SeveralAuthorizations));
        assert_eq!(token_in(&[b"Bearer a, Bearer b"]), Err(Reason::MalformedAuthorization));
        assert_eq!(token_in(&[b"Bearer a", b"Basic b"]), Err(Reason::SeveralAuthorizations));
    }

    #[test]
    fn rs_007_nothing_or_something_else_is_no_credentials() {
        assert_eq!(token_in(&[]), Err(Reason::NoCredentials));
        for other in ["Basic YTpi", "DPoPs a.b.c", "Negotiate"] {
            assert_eq!(token_in(&[other.as_bytes()]), Err(Reason::OtherScheme), "{other}");
        }
    }
}
