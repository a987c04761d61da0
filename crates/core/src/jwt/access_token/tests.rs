//! Access tokens: what is written, each claim mutated, and the same judgement as another library.

use super::*;
use crate::{id::GrantId, jose::Algorithm};
use proptest::prelude::*;
use serde_json::json;
use std::sync::OnceLock;

const ISSUER: &str = "https://auth.example.com/tenant";
const AUDIENCE: &str = "https://mcp.example.com/mcp";
const NOW: i64 = 1_800_000_000;
const LEEWAY: Duration = Duration::from_secs(30);

fn keys() -> &'static [SigningKey; 3] {
    static KEYS: OnceLock<[SigningKey; 3]> = OnceLock::new();
    KEYS.get_or_init(|| {
        [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256].map(|each| SigningKey::generate(each).unwrap())
    })
}

fn set() -> KeySet {
    KeySet::from_keys(keys().iter().map(SigningKey::verifying_key).collect())
}

fn token() -> AccessToken {
    AccessToken {
        issuer: ISSUER.into(),
        subject: "BQUFBQUFBQUFBQUFBQUFBQ".into(),
        audience: AUDIENCE.into(),
        client_id: "client".into(),
        issued_at: Timestamp::from_seconds(NOW),
        expires_at: Timestamp::from_seconds(NOW + 300),
        scope: Some("tools:read tools:call".into()),
        grant: GrantReference { grant: GrantId::from_bytes([9; 16]), generation: 3, epoch: 1, salt: [8; 6] },
        key_thumbprint: None,
        actors: Vec::new(),
        details: None,
    }
}

fn claims() -> Value {
    json!({
        "iss": ISSUER, "sub": "someone", "aud": AUDIENCE, "client_id": "client", "iat": NOW, "exp": NOW + 300,
        "jti": "foreign", "scope": "tools:read",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn expectations() -> Expectations<'static> {
    Expectations { issuer: ISSUER, audiences: &[AUDIENCE], now: Timestamp::from_seconds(NOW), leeway: LEEWAY }
}

fn judge_text(payload: &str) -> Result<VerifiedAccessToken, AccessTokenError> {
    let text = jws::sign(&keys()[1], TYPE, payload.as_bytes()).unwrap();
    verify(&text, &set(), &expectations()).map(Verified::into_inner)
}

fn judge(claims: &Value) -> Result<VerifiedAccessToken, AccessTokenError> {
    judge_text(&claims.to_string())
}

#[test]
fn as_180_what_we_sign_is_what_is_read() {
    for key in keys() {
        let text = AccessTokenSigner::new(key).sign(&token()).unwrap();
        let read = verify(text.expose(), &set(), &expectations()).unwrap().into_inner();
        let expected = VerifiedAccessToken {
            issuer: ISSUER.into(),
            subject: token().subject,
            audiences: vec![AUDIENCE.into()],
            client_id: "client".into(),
            token_id: token().grant.to_string(),
            grant: Some(token().grant),
            issued_at: Some(token().issued_at),
            expires_at: token().expires_at,
            scope: "tools:read tools:call".into(),
            key_thumbprint: None,
            actors: Vec::new(),
            details: None,
        };
        assert_eq!(read, expected);
        assert_eq!(unverified_issuer(text.expose()).unwrap(), ISSUER);
        let header = encoding::from_base64url(text.expose().split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header, json!({ "alg": key.algorithm().name(), "typ": "at+jwt", "kid": key.key_id() }));
    }
}

#[test]
fn as_180_the_claims_that_are_written() {
    let payload = |token: &AccessToken| {
        let text = AccessTokenSigner::new(&keys()[0]).sign(token).unwrap();
        let claims = jws::unverified_payload(text.expose()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()
    };
    let mut expected = json!({
        "iss": ISSUER, "sub": "BQUFBQUFBQUFBQUFBQUFBQ", "aud": AUDIENCE, "client_id": "client", "iat": NOW,
        "exp": NOW + 300, "scope": "tools:read tools:call", "jti": "CQkJCQkJCQkJCQkJCQkJCQ.3.1.CAgICAgI",
    });
    assert_eq!(payload(&token()), expected);
    expected.as_object_mut().unwrap().remove("scope");
    assert_eq!(payload(&AccessToken { scope: None, ..token() }), expected);
}

#[test]
fn a_token_has_at_most_750_characters() {
    let long = |length: usize| "x".repeat(length);
    let token = AccessToken {
        issuer: long(40),
        audience: long(45),
        client_id: long(160),
        scope: Some(long(40)),
        grant: GrantReference { generation: 99_999, epoch: 999, ..token().grant },
        ..token()
    };
    for key in &keys()[..2] {
        let text = AccessTokenSigner::new(key).sign(&token).unwrap();
        assert!(text.expose().len() <= 750, "{:?}: {}", key.algorithm(), text.expose().len());
        let bound = AccessToken { key_thumbprint: Some([0xFF; 32]), ..token.clone() };
        let text = AccessTokenSigner::new(key).sign(&bound).unwrap();
        assert!(text.expose().len() <= 830, "{:?}: {}", key.algorithm(), text.expose().len());
        let limited = AccessToken { details: Some(longest_details()), ..bound };
        let text = AccessTokenSigner::new(key).sign(&limited).unwrap();
        assert!(text.expose().len() <= 1_400, "{:?}: {}", key.algorithm(), text.expose().len());
    }
}

fn longest_details() -> AuthorizationDetails {
    let of_length = |length: usize| {
        let asked = json!([{"type": "mcp_tool", "tool": "pay", "arguments": {"to": "x".repeat(length)}}]);
        AuthorizationDetails::parse(&asked.to_string())
    };
    (0..400).rev().find_map(|length| of_length(length).ok()).unwrap()
}

#[test]
fn as_089_t_24_a_token_for_some_tools_says_so_and_what_is_not_understood_is_refused() {
    let details =
        AuthorizationDetails::parse(r#"[{"type":"mcp_tool","tool":"pay","arguments":{"amount":{"max":7}}}]"#);
    let details = details.unwrap();
    let limited = AccessToken { details: Some(details.clone()), ..token() };
    let text = AccessTokenSigner::new(&keys()[0]).sign(&limited).unwrap();
    let read = verify(text.expose(), &set(), &expectations()).unwrap().into_inner();
    assert_eq!(read.details, Some(details));
    for foreign in [
        json!(null),
        json!([]),
        json!({}),
        json!([{"type": "payment_initiation"}]),
        json!([{"type": "mcp_tool", "tool": "pay", "privileges": ["admin"]}]),
        json!([{"type": "mcp_tool", "tool": "pay", "arguments": {"amount": {"below": 7}}}]),
    ] {
        assert_eq!(judge(&with("authorization_details", foreign)), Err(AccessTokenError::Details));
    }
}

#[test]
fn as_194_a_bound_token_says_so_after_everything_else() {
    let key = &keys()[0];
    let bound = AccessToken { key_thumbprint: Some([7; 32]), ..token() };
    let text = AccessTokenSigner::new(key).sign(&bound).unwrap();
    let payload = encoding::from_base64url(text.expose().split('.').nth(1).unwrap()).unwrap();
    let payload = String::from_utf8(payload).unwrap();
    // Gateways of other releases read it: the form does not change.
    assert!(
        payload.ends_with(r#","cnf":{"jkt":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"}}"#),
        "{payload}"
    );
}

#[test]
fn rs_025_the_shape_of_rfc_9068_is_accepted_and_other_types_are_not() {
    // RFC 9068 §2.2, with its spelling of the type.
    let claims = json!({
        "iss": "https://authorization-server.example.com/", "sub": "5ba552d67", "aud": "https://rs.example.com/",
        "exp": 1_639_528_912, "iat": 1_618_354_090, "jti": "dbe39bf3a3ba4238a513f51d6e1691c4",
        "client_id": "s6BhdRkqt3", "scope": "openid profile reademail",
    });
    let expected = Expectations {
        issuer: "https://authorization-server.example.com/",
        audiences: &["https://other.example.com/", "https://rs.example.com/"],
        now: Timestamp::from_seconds(1_618_354_100),
        leeway: LEEWAY,
    };
    let judge = |typ: &str| {
        let text = jws::sign(&keys()[2], typ, claims.to_string().as_bytes()).unwrap();
        verify(&text, &set(), &expected).map(Verified::into_inner)
    };
    let read = judge("at+JWT").unwrap();
    assert_eq!((read.subject.as_str(), read.grant), ("5ba552d67", None));
    assert_eq!(read.token_id, "dbe39bf3a3ba4238a513f51d6e1691c4");
    assert_eq!(read.scope, "openid profile reademail");
    assert!(judge("application/at+jwt").is_ok());
    for other in ["JWT", "dpop+jwt", "oauth-id-jag+jwt", "logout+jwt", "client-authentication+jwt"] {
        assert_eq!(judge(other), Err(JwsError::WrongType.into()), "{other}");
    }
}

#[test]
fn rs_022_t_48_times_are_enforced() {
    let far = NOW + 1_000_000;
    for (name, at, expected) in [
        ("exp", NOW - 30, Err(AccessTokenError::Expired)),
        ("exp", NOW - 29, Ok(())),
        ("exp", 0, Err(AccessTokenError::Expired)),
        ("exp", i64::MAX, Ok(())),
        ("nbf", NOW + 30, Ok(())),
        ("nbf", NOW + 31, Err(AccessTokenError::NotYetValid)),
        ("nbf", far, Err(AccessTokenError::NotYetValid)),
        ("nbf", i64::MAX, Err(AccessTokenError::NotYetValid)),
        ("iat", NOW + 30, Ok(())),
        ("iat", NOW + 31, Err(AccessTokenError::IssuedInTheFuture)),
        ("iat", 0, Ok(())),
    ] {
        assert_eq!(judge(&with(name, json!(at))).map(|_| ()), expected, "{name} {at}");
    }
    assert_eq!(judge(&without("exp")), Err(AccessTokenError::ExpiryForm));
    assert!(judge(&without("iat")).is_ok_and(|read| read.issued_at.is_none()));
}

#[test]
fn rs_022_the_leeway_is_at_most_a_minute() {
    let text = jws::sign(&keys()[0], TYPE, with("exp", json!(NOW - 60)).to_string().as_bytes()).unwrap();
    let generous = Expectations { leeway: Duration::from_hours(1), ..expectations() };
    assert_eq!(verify(&text, &set(), &generous).err(), Some(AccessTokenError::Expired));
    let earlier = Expectations { now: Timestamp::from_millis(NOW * 1000 - 1), ..generous };
    assert!(verify(&text, &set(), &earlier).is_ok());
    let none = Expectations { leeway: Duration::ZERO, now: Timestamp::from_seconds(NOW - 60), ..generous };
    assert_eq!(verify(&text, &set(), &none).err(), Some(AccessTokenError::Expired));
}

#[test]
fn rs_029_t_48_times_are_whole_numbers() {
    for bad in [
        "\"1800000300\"",
        "1800000300.0",
        "1.8e10",
        "-1",
        "-0",
        "true",
        "null",
        "[1800000300]",
        "{}",
        "18446744073709551615",
        "9223372036854775808",
        "1e300",
    ] {
        for (name, expected) in [
            ("exp", AccessTokenError::ExpiryForm),
            ("nbf", AccessTokenError::NotBeforeForm),
            ("iat", AccessTokenError::IssuedAtForm),
        ] {
            let payload = with(name, json!("@")).to_string().replace("\"@\"", bad);
            assert_eq!(judge_text(&payload), Err(expected), "{name} {bad}");
        }
    }
    for bad in ["NaN", "Infinity", "1e400", "0x1", "01", "+1", "1_000"] {
        let payload = with("exp", json!("@")).to_string().replace("\"@\"", bad);
        assert_eq!(judge_text(&payload), Err(AccessTokenError::ClaimsJson(JsonError::Syntax)), "{bad}");
    }
}

#[test]
fn rs_023_t_44_the_issuer_is_exact() {
    for bad in [
        "https://auth.example.com",
        "https://auth.example.com/",
        "https://auth.example.com/tenant/",
        "https://auth.example.com/tenant2",
        "https://auth.example.com/Tenant",
        "https://AUTH.example.com/tenant",
        "http://auth.example.com/tenant",
        "https://auth.example.com:443/tenant",
        "https://auth.example.com/%74enant",
        "https://auth.example.com/tenant#",
        " https://auth.example.com/tenant",
        "https://evil.example",
        "{tenantid}",
    ] {
        assert_eq!(judge(&with("iss", json!(bad))), Err(AccessTokenError::WrongIssuer), "{bad}");
    }
    for bad in [json!(null), json!([ISSUER]), json!(""), json!(1), json!({}), json!("x".repeat(2049))] {
        assert_eq!(judge(&with("iss", bad)), Err(AccessTokenError::IssuerForm));
    }
    assert_eq!(judge(&without("iss")), Err(AccessTokenError::IssuerForm));
    // RS-023: the keys of one issuer do not vouch for another.
    let text = AccessTokenSigner::new(&keys()[0]).sign(&token()).unwrap();
    let theirs = KeySet::from_keys(vec![keys()[1].verifying_key()]);
    assert_eq!(verify(text.expose(), &theirs, &expectations()).err(), Some(JwsError::UnknownKey.into()));
}

#[test]
fn rs_024_b_15_the_audience_is_exact() {
    for bad in [
        "https://mcp.example.com",
        "https://mcp.example.com/",
        "https://mcp.example.com/mcp/",
        "https://mcp.example.com/mcpx",
        "https://mcp.example.com/mcp-other",
        "https://mcp.example.com/mc",
        "https://mcp.example.com/mcp/tools",
        "https://mcp.example.com/MCP",
        "https://mcp.example.com:443/mcp",
        "https://mcp.example.com:8443/mcp",
        "https://user@mcp.example.com/mcp",
        "https://mcp.example.com/mcp?x",
        "http://mcp.example.com/mcp",
        "https://mcp.example.com.evil.example/mcp",
        "not a url",
        "*",
        "",
        "https://mcp.example.com/mcp https://evil.example",
    ] {
        assert_eq!(judge(&with("aud", json!(bad))), Err(AccessTokenError::WrongAudience), "{bad}");
        assert_eq!(judge(&with("aud", json!([bad]))), Err(AccessTokenError::WrongAudience), "{bad}");
        assert!(judge(&with("aud", json!([bad, AUDIENCE]))).is_ok());
    }
    assert_eq!(judge(&with("aud", json!([]))), Err(AccessTokenError::WrongAudience));
    for bad in
        [json!(null), json!(1), json!({}), json!([[AUDIENCE]]), json!([AUDIENCE, 1]), json!("x".repeat(2049))]
    {
        assert_eq!(judge(&with("aud", bad.clone())), Err(AccessTokenError::AudienceForm), "{bad}");
    }
    assert_eq!(judge(&without("aud")), Err(AccessTokenError::AudienceForm));
    let nobody = Expectations { audiences: &[], ..expectations() };
    let text = AccessTokenSigner::new(&keys()[0]).sign(&token()).unwrap();
    assert_eq!(verify(text.expose(), &set(), &nobody).err(), Some(AccessTokenError::WrongAudience));
}

#[test]
fn who_and_which_are_required_strings() {
    for (name, expected) in [
        ("sub", AccessTokenError::SubjectForm),
        ("client_id", AccessTokenError::ClientIdForm),
        ("jti", AccessTokenError::TokenIdForm),
    ] {
        assert_eq!(judge(&without(name)), Err(expected));
        for bad in [json!(null), json!(""), json!(1), json!(["a"]), json!({}), json!("x".repeat(2049))] {
            assert_eq!(judge(&with(name, bad)), Err(expected), "{name}");
        }
        assert!(judge(&with(name, json!("x".repeat(2048)))).is_ok());
    }
}

#[test]
fn rs_034_the_scope_is_a_string_or_absent() {
    assert_eq!(judge(&without("scope")).unwrap().scope, "");
    assert_eq!(judge(&with("scope", json!("a  b"))).unwrap().scope, "a  b");
    for bad in [json!(["tools:read"]), json!(null), json!(1), json!("x".repeat(4097))] {
        assert_eq!(judge(&with("scope", bad)), Err(AccessTokenError::ScopeForm));
    }
}

#[test]
fn rs_037_a_bound_token_says_so() {
    let jkt = encoding::base64url(&[7; 32]);
    let bound = judge(&with("cnf", json!({ "jkt": jkt, "x": 1 }))).unwrap();
    assert_eq!(bound.key_thumbprint.as_deref(), Some(jkt.as_str()));
    for bad in
        [json!(null), json!([]), json!("x"), json!({"jkt": 1}), json!({"jkt": null}), json!({"jkt": "AA"})]
    {
        assert_eq!(judge(&with("cnf", bad.clone())), Err(AccessTokenError::ConfirmationForm), "{bad}");
    }
    for other in [json!({}), json!({"x5t#S256": "AA"})] {
        assert_eq!(judge(&with("cnf", other)), Err(AccessTokenError::ConfirmationUnsupported));
    }
}

#[test]
fn rs_029_t_47_the_claims_are_one_strict_object() {
    let good = claims().to_string();
    let inside = good.strip_prefix('{').unwrap();
    for (payload, expected) in [
        (format!(r#"{{"sub":"admin",{inside}"#), JsonError::DuplicateMember),
        (format!(r#"{{"\u0073ub":"admin",{inside}"#), JsonError::DuplicateMember),
        (format!(r#"{{"a":{{"b":1,"b":1}},{inside}"#), JsonError::DuplicateMember),
        (format!("[{good}]"), JsonError::NotAnObject),
        (format!("\"{}\"", "a".repeat(10)), JsonError::NotAnObject),
        (format!("{good}{good}"), JsonError::TrailingData),
        (String::new(), JsonError::Syntax),
        (format!(r#"{{"a":{}{},{inside}"#, "[".repeat(20), "]".repeat(20)), JsonError::TooDeep),
    ] {
        assert_eq!(judge_text(&payload), Err(AccessTokenError::ClaimsJson(expected)), "{payload}");
    }
    let text = jws::sign(&keys()[0], TYPE, b"{\"iss\":\"\xff\"}").unwrap();
    let outcome = verify(&text, &set(), &expectations());
    assert_eq!(outcome.err(), Some(AccessTokenError::ClaimsJson(JsonError::NotUtf8)));
    assert_eq!(unverified_issuer(&text).err(), Some(AccessTokenError::ClaimsJson(JsonError::NotUtf8)));
    assert!(judge(&with("iss2", json!({"unknown": ["claims", "are", "fine"]}))).is_ok());
}

#[test]
fn no_changed_byte_of_an_access_token_is_accepted() {
    let good = AccessTokenSigner::new(&keys()[0]).sign(&token()).unwrap().expose().to_owned();
    let set = set();
    for at in 0..good.len() {
        for to in [b'A', b'_', b'.', b'='] {
            let mut bytes = good.clone().into_bytes();
            if bytes[at] == to {
                continue;
            }
            bytes[at] = to;
            let bad = String::from_utf8(bytes).unwrap();
            assert!(verify(&bad, &set, &expectations()).is_err(), "{at} {bad}");
        }
    }
}

/// The same judgement as jsonwebtoken, an unrelated reading of the same standards.
mod differential {
    use super::*;
    use crate::time::{Clock, SystemClock};
    use jsonwebtoken as other;

    fn other_algorithm(algorithm: Algorithm) -> other::Algorithm {
        match algorithm {
            Algorithm::Es256 => other::Algorithm::ES256,
            Algorithm::EdDsa => other::Algorithm::EdDSA,
            Algorithm::Rs256 => other::Algorithm::RS256,
        }
    }

    fn decoding_key(key: &SigningKey) -> other::DecodingKey {
        let jwk: other::jwk::Jwk = serde_json::from_value(key.public_jwk().to_json()).unwrap();
        other::DecodingKey::from_jwk(&jwk).unwrap()
    }

    fn accepts(text: &str, key: &SigningKey) -> bool {
        let mut validation = other::Validation::new(other_algorithm(key.algorithm()));
        validation.set_audience(&[AUDIENCE]);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.leeway = LEEWAY.as_secs();
        validation.validate_nbf = true;
        other::decode::<Value>(text, &decoding_key(key), &validation).is_ok()
    }

    /// Changes of a good token that both have a rule for. Seconds are relative to the present, and stay 10 s away
    /// from each edge because the other library reads the clock itself.
    fn shared_change() -> impl Strategy<Value = (&'static str, Option<Value>, i64)> {
        let texts =
            ["", "x", ISSUER, AUDIENCE, "https://auth.example.com/tenant/", "https://mcp.example.com/"];
        let value = prop_oneof![
            proptest::sample::select(texts.to_vec()).prop_map(|text| Some(json!(text))),
            proptest::sample::select(texts.to_vec()).prop_map(|text| Some(json!([text, "y"]))),
            Just(Some(json!([]))),
            Just(None),
        ];
        prop_oneof![
            (proptest::sample::select(vec!["iss", "aud"]), value).prop_map(|(name, value)| (name, value, 0)),
            (
                proptest::sample::select(vec!["exp", "nbf"]),
                proptest::sample::select(vec![-900, -40, -20, 20, 40, 900])
            )
                .prop_map(|(name, by)| (name, Some(json!("time")), by)),
            Just(("sub", None, 0)),
            Just(("exp", None, 0)),
            Just(("more", Some(json!({"deep": [1]})), 0)),
        ]
    }

    /// What is done to the text after signing: nothing, a changed character, or a lost part.
    fn damage(text: &str, kind: u8, at: proptest::sample::Index) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let at = at.index(bytes.len());
        match kind {
            0 => bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' },
            1 => drop(bytes.remove(at)),
            2 => bytes.truncate(at),
            _ => {}
        }
        String::from_utf8(bytes).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(600))]

        #[test]
        fn rs_029_both_libraries_agree(
            which in 0_usize..3,
            (name, value, by) in shared_change(),
            kind in 0_u8..12,
            at: proptest::sample::Index,
        ) {
            let now = SystemClock.now();
            let mut claims = with("exp", json!(now.seconds() + 300));
            claims["iat"] = json!(now.seconds());
            match value {
                Some(value) if value == json!("time") => claims[name] = json!(now.seconds() + by),
                Some(value) => claims[name] = value,
                None => drop(claims.as_object_mut().unwrap().remove(name)),
            }
            let key = &keys()[which];
            let text = damage(&jws::sign(key, TYPE, claims.to_string().as_bytes()).unwrap(), kind, at);
            let ours = verify(&text, &set(), &Expectations { now, ..expectations() });
            // An issuer that is one of several in an array is refused by us alone (RFC 7519 §4.1.1: one string).
            let only_we_refuse = ours == Err(AccessTokenError::IssuerForm);
            if only_we_refuse {
                prop_assert!(name == "iss" || kind < 3);
            } else {
                prop_assert_eq!(ours.is_ok(), accepts(&text, key), "{:?} {}", ours, claims);
            }
        }
    }

    #[test]
    fn tokens_of_each_library_are_read_by_the_other() {
        let now = SystemClock.now();
        let mut claims = with("exp", json!(now.seconds() + 300));
        claims["iat"] = json!(now.seconds());
        let expected = Expectations { now, ..expectations() };
        for key in keys() {
            let ours =
                AccessToken { issued_at: now, expires_at: now.plus(Duration::from_mins(5)), ..token() };
            assert!(accepts(AccessTokenSigner::new(key).sign(&ours).unwrap().expose(), key));
            let document = key.to_pkcs8().unwrap();
            let encoding_key = match key.algorithm() {
                Algorithm::Es256 => other::EncodingKey::from_ec_der(&document),
                Algorithm::EdDsa => other::EncodingKey::from_ed_der(&document),
                // It wants the inner document of PKCS#8, which starts after a header of 26 bytes.
                Algorithm::Rs256 => other::EncodingKey::from_rsa_der(&document[26..]),
            };
            let mut header = other::Header::new(other_algorithm(key.algorithm()));
            header.typ = Some("at+jwt".into());
            header.kid = Some(key.key_id().into());
            let theirs = other::encode(&header, &claims, &encoding_key).unwrap();
            assert!(verify(&theirs, &set(), &expected).is_ok(), "{key:?}");
            header.typ = Some("JWT".into());
            let untyped = other::encode(&header, &claims, &encoding_key).unwrap();
            assert_eq!(verify(&untyped, &set(), &expected).err(), Some(JwsError::WrongType.into()));
            header.kid = None;
            header.typ = Some("at+jwt".into());
            let unnamed = other::encode(&header, &claims, &encoding_key).unwrap();
            assert!(verify(&unnamed, &set(), &expected).is_ok(), "{key:?}");
        }
        let secret = other::EncodingKey::from_secret(keys()[0].public_jwk().to_json().to_string().as_bytes());
        let mut header = other::Header::new(other::Algorithm::HS256);
        header.typ = Some("at+jwt".into());
        let confused = other::encode(&header, &claims, &secret).unwrap();
        assert_eq!(verify(&confused, &set(), &expected).err(), Some(JwsError::SymmetricAlgorithm.into()));
    }
}
