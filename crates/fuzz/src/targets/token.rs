//! Tokens and sealed values. Headers and payloads are signed here with a real key, so that a mutation reaches what
//! lies behind the signature.

use hallpass_core::{
    encoding,
    grant::{AuthorizationCode, DeviceCode, PushedRequest, REQUEST_URI},
    jose::{Algorithm, ExpectedType, KeySet, SigningKey, jws as signed},
    jwt::{
        Expectations, GrantReference, access_token as access,
        grant_assertion::{self as assertion, Kind},
        proof as possession,
    },
    seal::{KeyRing, MasterKey, Purpose},
    secret::SecretBytes,
    time::Timestamp,
    token::RefreshToken,
};
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::Value;
use std::{str, sync::LazyLock, time::Duration};

/// A key of the tests; it protects nothing.
static KEY: LazyLock<SigningKey> =
    LazyLock::new(|| SigningKey::from_pkcs8(Algorithm::Es256, include_bytes!("../es256.pk8")).unwrap());
static KEYS: LazyLock<KeySet> = LazyLock::new(|| KeySet::from_keys(vec![KEY.verifying_key()]));
static RING: LazyLock<KeyRing> = LazyLock::new(|| {
    let master = MasterKey { number: 3, bytes: SecretBytes::new([1; 32]) };
    KeyRing::new(&[master], &SecretBytes::new([1; 32]), "https://a.example").unwrap()
});
const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// A line of header, then the payload; `KID` stands for the key's own id. Signed as they are.
pub fn jws(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        // Nobody signed this very text.
        assert!(signed::verify(text, &ExpectedType::only(access::TYPE), &KEYS).is_err());
    }
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (header, payload) = bytes.split_at(at);
    let payload = payload.get(1..).unwrap_or_default();
    let header = String::from_utf8_lossy(header).replace("KID", KEY.key_id());
    let compact = compact(header.as_bytes(), payload);
    let Ok(read) = signed::verify(&compact, &ExpectedType::only(access::TYPE), &KEYS) else { return };
    assert_eq!(read.get(), payload);
    let header: Value = serde_json::from_str(&header).expect("JSON for everybody");
    assert_eq!(header["alg"], "ES256");
    let typ = header["typ"].as_str().unwrap().to_ascii_lowercase();
    assert!(matches!(&*typ, "at+jwt" | "application/at+jwt"), "{typ}");
    for other in ["crit", "b64", "zip"] {
        assert!(header.get(other).is_none(), "{other} was let through");
    }
    assert!(header.get("kid").is_none_or(|kid| kid == KEY.key_id()), "another key");
    // A changed signature is none.
    let last = compact.len() - 2;
    let swapped = if compact.as_bytes()[last] == b'A' { 'B' } else { 'A' };
    let broken = format!("{}{swapped}{}", &compact[..last], &compact[last + 1..]);
    assert!(signed::verify(&broken, &ExpectedType::only(access::TYPE), &KEYS).is_err());
}

/// A payload. What we take as an access token, another library takes too and reads the same.
pub fn access_token(payload: &[u8]) {
    let header = format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{}"}}"#, KEY.key_id());
    let compact = compact(header.as_bytes(), payload);
    let expected = Expectations {
        issuer: "https://auth.example",
        audiences: &["https://mcp.example/mcp"],
        now: NOW,
        leeway: Duration::from_secs(30),
    };
    let Ok(token) = access::verify(&compact, &KEYS, &expected) else { return };
    let token = token.into_inner();
    let jwk = KEY.public_jwk().to_json();
    let key =
        DecodingKey::from_ec_components(jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap()).unwrap();
    let mut validation = Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.validate_exp = false;
    validation.set_audience(&["https://mcp.example/mcp"]);
    validation.set_issuer(&["https://auth.example"]);
    let theirs =
        jsonwebtoken::decode::<Value>(&compact, &key, &validation).expect("another library takes it").claims;
    assert_eq!(theirs["sub"], *token.subject);
    assert_eq!(theirs["client_id"], *token.client_id);
    assert_eq!(theirs["jti"], *token.token_id);
    let expires = theirs["exp"].as_f64().unwrap();
    assert!(expires + 30.0 > 1_790_000_000.0 - 1.0, "expired at {expires}");
    if let Some(grant) = token.grant {
        assert_eq!(grant.to_string(), token.token_id);
    }
}

/// A line of header, then the payload; `KID` stands for the key's own id. What is one kind of assertion is not the other, is
/// for us alone, ends, and another library reads the same in it.
pub fn grant_assertion(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        let _ = assertion::unverified_issuer(text);
    }
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (header, payload) = bytes.split_at(at);
    let payload = payload.get(1..).unwrap_or_default();
    let header = String::from_utf8_lossy(header).replace("KID", KEY.key_id());
    let compact = compact(header.as_bytes(), payload);
    let expected = |kind| assertion::Expectations {
        kind,
        issuer: "https://issuer.example",
        audiences: &["https://auth.example"],
        now: NOW,
    };
    let read = [Kind::Workload, Kind::Identity].map(|kind| {
        assertion::verify(&compact, &KEYS, &expected(kind)).map(hallpass_core::jose::Verified::into_inner)
    });
    let (read, longest) = match read {
        [Ok(_), Ok(_)] => panic!("two kinds in one"),
        [Ok(read), Err(_)] => (read, assertion::LONGEST_WORKLOAD),
        [Err(_), Ok(read)] => (read, assertion::LONGEST_IDENTITY),
        [Err(_), Err(_)] => return,
    };
    assert_eq!(assertion::unverified_issuer(&compact).as_deref(), Some("https://issuer.example"));
    let left = read.remember_until.since(NOW);
    assert!(!left.is_zero() && left <= longest + Duration::from_mins(1), "{left:?}");
    let jwk = KEY.public_jwk().to_json();
    let key =
        DecodingKey::from_ec_components(jwk["x"].as_str().unwrap(), jwk["y"].as_str().unwrap()).unwrap();
    let mut validation = Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.validate_exp = false;
    validation.set_audience(&["https://auth.example"]);
    validation.set_issuer(&["https://issuer.example"]);
    let theirs =
        jsonwebtoken::decode::<Value>(&compact, &key, &validation).expect("another library takes it").claims;
    assert_eq!((&theirs["sub"], &theirs["jti"]), (&Value::from(read.subject), &Value::from(read.token_id)));
    assert_eq!(theirs, Value::Object(read.claims));
}

/// A line of header, then the payload; `JWK` stands for the key. What is taken as a proof is for this request and no other;
/// a URL that is one is one however often it is written in its normal form.
pub fn proof(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Some(target) = possession::Target::parse(text)
    {
        assert_eq!(possession::Target::parse(target.as_str()).as_ref(), Some(&target));
        assert!(target.is_meant_by(text) && !target.as_str().contains(['?', '#']));
    }
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (header, payload) = bytes.split_at(at);
    let payload = payload.get(1..).unwrap_or_default();
    let header = String::from_utf8_lossy(header).replace("JWK", &KEY.public_jwk().to_json().to_string());
    let target = possession::Target::parse("https://auth.example/token").unwrap();
    let expected =
        |method| possession::Expectations { method, target: &target, access_token: None, now: NOW };
    let text = compact(header.as_bytes(), payload);
    let Ok(proof) = possession::verify(&text, &expected("POST")) else { return };
    let proof = proof.into_inner();
    assert_eq!(proof.thumbprint, KEY.public_jwk().thumbprint());
    let claims: Value = serde_json::from_slice(payload).expect("JSON for everybody");
    assert!(claims["jti"] == *proof.token_id && (1..=255).contains(&proof.token_id.len()));
    assert!(claims["htm"] == "POST" && possession::verify(&text, &expected("GET")).is_err());
    assert!((claims["iat"].as_f64().unwrap() - 1_790_000_000.0).abs() < 302.0);
}

fn compact(header: &[u8], payload: &[u8]) -> String {
    let signed = format!("{}.{}", encoding::base64url(header), encoding::base64url(payload));
    let signature = KEY.sign_bytes(signed.as_bytes()).unwrap();
    format!("{signed}.{}", encoding::base64url(&signature))
}

/// Refresh tokens and the ids in tokens have one spelling.
pub fn refresh_token(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(token) = RefreshToken::check(&RING, text) {
        assert_eq!(token.mint(&RING).expose(), text);
    }
    if let Some(reference) = GrantReference::parse(text) {
        assert_eq!(reference.to_string(), text);
    }
}

/// Nothing opens but what was sealed, for what it was sealed for.
pub fn sealed(bytes: &[u8]) {
    for purpose in [Purpose::AuthorizationCode, Purpose::ConsentPage, Purpose::SignInForm] {
        assert!(RING.open(purpose, b"", bytes).is_err());
    }
    if let Ok(text) = str::from_utf8(bytes) {
        assert!(AuthorizationCode::open(&RING, text, NOW).is_err());
    }
    let sealed = RING.seal(Purpose::ConsentPage, b"here", bytes, &Repeating);
    assert_eq!(RING.open(Purpose::ConsentPage, b"here", &sealed).as_deref(), Ok(bytes));
    assert!(RING.open(Purpose::ConsentPage, b"there", &sealed).is_err());
    assert!(RING.open(Purpose::SignInForm, b"here", &sealed).is_err());
    // Sealed by us, and still not a code: what is inside has a form too.
    let code = RING.seal(Purpose::AuthorizationCode, b"", bytes, &Repeating);
    if let Ok(code) = AuthorizationCode::open(&RING, &encoding::base64url(&code), NOW) {
        let again = code.seal(&RING, &Repeating);
        assert_eq!(AuthorizationCode::open(&RING, again.expose(), NOW), Ok(code));
    }
    let device = RING.seal(Purpose::DeviceCode, b"", bytes, &Repeating);
    if let Ok(code) = DeviceCode::open(&RING, &encoding::base64url(&device), NOW) {
        let again = code.seal(&RING, &Repeating);
        assert_eq!(DeviceCode::open(&RING, again.expose(), NOW), Ok(code));
    }
    let pushed = RING.seal(Purpose::PushedRequest, b"", bytes, &Repeating);
    let uri = format!("{REQUEST_URI}{}", encoding::base64url(&pushed));
    if let Ok(request) = PushedRequest::open(&RING, &uri, &[0; 16], NOW) {
        let again = request.seal(&RING, &Repeating).expect("as long as it was");
        assert_eq!(PushedRequest::open(&RING, &again, &[0; 16], NOW), Ok(request));
    }
}

struct Repeating;

impl hallpass_core::entropy::Entropy for Repeating {
    fn fill(&self, out: &mut [u8]) {
        out.fill(7);
    }
}
