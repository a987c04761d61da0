//! What a gateway tells the server behind it about who calls: a JWT of its own type, for that server alone and for a minute.
//!
//! It is no access token: its `typ` says so (RFC 8725 §3.11), its audience is a name that no client can ask a token for, and
//! it is of no use to the gateway itself.

use super::{
    access_token::{is_of_client, text},
    actor,
};
use crate::{
    jose::{ExpectedType, JwsError, KeySet, Signer, SigningFailed, SigningKey, Verified, jws},
    json::{self, Limits},
    secret::SecretString,
    time::Timestamp,
};
use serde::Serialize;
use std::time::Duration;

/// The `typ` of these.
pub const TYPE: &str = "hallpass-caller+jwt";
/// How long one is good.
pub const LIFETIME: Duration = Duration::from_mins(1);
/// Most that clocks may differ.
const LEEWAY: Duration = Duration::from_secs(30);
/// Longest text of a claim that is read, in bytes.
const LONGEST: usize = 2048;

/// Who calls, as the server behind is told.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    /// `sub`: the person, or the client where there is none.
    pub subject: &'a str,
    /// `client_id`.
    pub client_id: &'a str,
    /// `act`: who acts for the subject, the one who acts now first. Empty for most.
    pub actors: &'a [String],
    /// `scope`, tokens separated by single spaces.
    pub scope: &'a str,
    /// `grant`: the installation of the client, where there is one.
    pub grant: Option<&'a str>,
}

impl Caller<'_> {
    /// Everything that is said of the caller, with lengths: no two callers have one key.
    pub fn key(&self) -> String {
        let fixed = [self.subject, self.client_id, self.scope, self.grant.unwrap_or("-")];
        let parts = fixed.into_iter().chain(self.actors.iter().map(String::as_str));
        let mut key = String::with_capacity(256);
        for part in parts {
            key.push_str(&part.len().to_string());
            key.push(':');
            key.push_str(part);
        }
        key
    }
}

/// For whom and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// `iss`: the issuer whose keys sign.
    pub issuer: &'a str,
    /// `aud`: the server behind.
    pub audience: &'a str,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    client_id: &'a str,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    grant: Option<&'a str>,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<actor::Act<'a>>,
}

/// Signs these, and nothing else: its header always says [`TYPE`].
#[derive(Clone, Debug)]
pub struct CallerAssertionSigner(Signer);

impl CallerAssertionSigner {
    /// With this key. The header is encoded once.
    pub fn new(key: &SigningKey) -> Self {
        Self(Signer::new(key, TYPE))
    }

    /// The assertion.
    ///
    /// # Errors
    /// The key does not sign.
    pub fn sign(&self, caller: &Caller<'_>, terms: &Terms<'_>) -> Result<SecretString, SigningFailed> {
        let claims = Claims {
            iss: terms.issuer,
            aud: terms.audience,
            sub: caller.subject,
            client_id: caller.client_id,
            scope: caller.scope,
            grant: caller.grant,
            iat: terms.issued_at.seconds(),
            exp: terms.expires_at.seconds(),
            act: actor::written(caller.actors),
        };
        let payload = serde_json::to_vec(&claims).map_err(|_| SigningFailed)?;
        self.0.sign(&payload).map(SecretString::new)
    }
}

/// What a verified assertion says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedCaller {
    /// `sub`.
    pub subject: String,
    /// `client_id`.
    pub client_id: String,
    /// `scope`.
    pub scope: String,
    /// `grant`.
    pub grant: Option<String>,
    /// `act`.
    pub actors: Vec<String>,
}

impl VerifiedCaller {
    /// The person who calls; `None` for a machine, whose `sub` is its client, or begins with that and a space.
    pub fn person(&self) -> Option<&str> {
        (!is_of_client(&self.subject, &self.client_id)).then_some(&*self.subject)
    }
}

/// Why an assertion is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallerAssertionError {
    /// Its signature, header or type.
    #[error("{0}")]
    Jws(#[from] JwsError),
    /// A claim is missing or malformed.
    #[error("the claims are not those of a caller")]
    Claims,
    /// Another issuer's.
    #[error("the assertion is of another issuer")]
    WrongIssuer,
    /// For another server.
    #[error("the assertion is for another server")]
    WrongAudience,
    /// Over, or not begun.
    #[error("the assertion is not of this minute")]
    Expired,
}

/// Verifies one, for a server behind the gateway that is written in Rust. `keys` are those of `issuer` and of nobody else.
///
/// # Errors
/// The first rule that it breaks.
pub fn verify(
    compact: &str,
    keys: &KeySet,
    (issuer, audience): (&str, &str),
    now: Timestamp,
) -> Result<Verified<VerifiedCaller>, CallerAssertionError> {
    let payload = jws::verify(compact, &ExpectedType::only(TYPE), keys)?;
    let limits = Limits { bytes: jws::MAX_LENGTH, ..Limits::default() };
    let claims = json::parse_object(payload.get(), limits).map_err(|_| CallerAssertionError::Claims)?;
    let required = |name| text(&claims, name, LONGEST).ok_or(CallerAssertionError::Claims);
    if required("iss")? != issuer {
        return Err(CallerAssertionError::WrongIssuer);
    }
    if required("aud")? != audience {
        return Err(CallerAssertionError::WrongAudience);
    }
    let date = |name| {
        let seconds = claims.get(name).and_then(serde_json::Value::as_i64).filter(|seconds| *seconds >= 0);
        seconds.map(Timestamp::from_seconds).ok_or(CallerAssertionError::Claims)
    };
    if now >= date("exp")?.plus(LEEWAY) || date("iat")? > now.plus(LEEWAY) {
        return Err(CallerAssertionError::Expired);
    }
    Ok(Verified::new(VerifiedCaller {
        subject: required("sub")?.to_owned(),
        client_id: required("client_id")?.to_owned(),
        scope: claims.get("scope").and_then(|scope| scope.as_str()).unwrap_or_default().to_owned(),
        grant: claims.get("grant").and_then(|grant| grant.as_str()).map(str::to_owned),
        actors: actor::read(&claims).ok_or(CallerAssertionError::Claims)?,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        jose::Algorithm,
        jwt::access_token::{self, Expectations},
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const ISSUER: &str = "https://as.example";

    #[test]
    fn rs_059_two_callers_never_have_one_key() {
        let actors = ["a".to_owned(), "b".to_owned()];
        let base = Caller { subject: "ann", client_id: "c", actors: &[], scope: "read", grant: None };
        let all = [
            base,
            Caller { subject: "annc", client_id: "", ..base },
            Caller { subject: "an", client_id: "nc", ..base },
            Caller { scope: "read write", ..base },
            Caller { scope: "rea", grant: Some("d"), ..base },
            Caller { grant: Some("g"), ..base },
            Caller { actors: &actors, ..base },
            Caller { actors: &actors[..1], ..base },
        ];
        let keys: std::collections::HashSet<String> = all.iter().map(Caller::key).collect();
        assert_eq!(keys.len(), all.len());
        assert_eq!(base.key(), Caller { ..base }.key());
    }

    #[test]
    fn rs_045_t_43_an_assertion_is_for_one_server_for_a_minute_and_no_access_token() {
        let (key, other) = (
            SigningKey::generate(Algorithm::Es256).unwrap(),
            SigningKey::generate(Algorithm::Es256).unwrap(),
        );
        let keys = |key: &SigningKey| KeySet::from_keys(vec![key.verifying_key()]);
        let actors = vec!["helper".to_owned(), "client".to_owned()];
        let caller = Caller {
            subject: "ann",
            client_id: "helper",
            actors: &actors,
            scope: "read write",
            grant: Some("g"),
        };
        let terms =
            Terms { issuer: ISSUER, audience: "files", issued_at: NOW, expires_at: NOW.plus(LIFETIME) };
        let signed = CallerAssertionSigner::new(&key).sign(&caller, &terms).unwrap();
        let check = |keys: &KeySet, issuer, audience, now| {
            verify(signed.expose(), keys, (issuer, audience), now).map(Verified::into_inner)
        };
        let said = check(&keys(&key), ISSUER, "files", NOW).unwrap();
        assert_eq!((said.person(), &*said.client_id, &*said.scope), (Some("ann"), "helper", "read write"));
        assert_eq!((said.actors, said.grant.as_deref()), (actors.clone(), Some("g")));
        assert_eq!(
            check(&keys(&key), "https://as.example/", "files", NOW),
            Err(CallerAssertionError::WrongIssuer)
        );
        assert_eq!(check(&keys(&key), ISSUER, "mail", NOW), Err(CallerAssertionError::WrongAudience));
        let later = NOW.plus(Duration::from_mins(2));
        assert_eq!(check(&keys(&key), ISSUER, "files", later), Err(CallerAssertionError::Expired));
        let earlier = NOW.minus(Duration::from_mins(2));
        assert_eq!(check(&keys(&key), ISSUER, "files", earlier), Err(CallerAssertionError::Expired));
        assert!(matches!(check(&keys(&other), ISSUER, "files", NOW), Err(CallerAssertionError::Jws(_))));
        let expected =
            Expectations { issuer: ISSUER, audiences: &["files"], now: NOW, leeway: Duration::ZERO };
        assert!(access_token::verify(signed.expose(), &keys(&key), &expected).is_err(), "rs_025");
        for (subject, client, machine) in [
            ("m", "m", true),
            ("m x", "m", true),
            ("mx", "m", false),
            ("m", "m x", false),
            ("x m", "m", false),
            ("https://a.example ann", "https://a.example m", false),
        ] {
            assert_eq!(is_of_client(subject, client), machine, "{subject} {client}");
        }
        let machine = Caller { subject: "m", client_id: "m", actors: &[], scope: "", grant: None };
        let signed = CallerAssertionSigner::new(&key).sign(&machine, &terms).unwrap();
        let said = verify(signed.expose(), &keys(&key), (ISSUER, "files"), NOW).unwrap();
        assert_eq!(said.get().person(), None, "rs_033");
    }
}
