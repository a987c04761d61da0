//! Tokens as other servers write them, and what is not one.

use super::*;
use crate::jose::{Algorithm, SigningKey};
use serde_json::json;
use std::{sync::OnceLock, time::Duration};

const ISSUER: &str = "https://login.example/tenant/";
const AUDIENCE: &str = "https://mcp.example/mcp";
const NOW: i64 = 1_800_000_000;

fn key() -> &'static SigningKey {
    static KEY: OnceLock<SigningKey> = OnceLock::new();
    KEY.get_or_init(|| SigningKey::generate(Algorithm::Rs256).unwrap())
}

fn expected() -> Expectations<'static> {
    let now = Timestamp::from_seconds(NOW);
    Expectations { issuer: ISSUER, audiences: &[AUDIENCE], now, leeway: Duration::from_secs(30) }
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "sub": "ann", "aud": AUDIENCE, "client_id": "app", "iat": NOW, "exp": NOW + 300, "scope": "read" })
}

fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn judge(typ: &str, style: &Style<'_>, claims: &Value) -> Result<ForeignToken, AccessTokenError> {
    let text = jws::sign(key(), typ, claims.to_string().as_bytes()).unwrap();
    let keys = KeySet::from_keys(vec![key().verifying_key()]);
    verify(&text, &keys, &expected(), style).map(Verified::into_inner)
}

fn plain(changes: &Value) -> Result<ForeignToken, AccessTokenError> {
    judge("JWT", &Style { typ: TokenType::Plain, ..Style::default() }, &with(changes))
}

fn marked(changes: &Value) -> Result<ForeignToken, AccessTokenError> {
    judge("at+jwt", &Style::default(), &with(changes))
}

#[test]
fn rs_025_a_plain_jwt_is_taken_where_the_operator_says_so_alone() {
    let (strict, loose) = (Style::default(), Style { typ: TokenType::Plain, ..Style::default() });
    for (typ, style, good) in [
        ("at+jwt", &strict, true),
        ("JWT", &strict, false),
        ("JWT", &loose, true),
        ("at+jwt", &loose, true),
        ("oauth-id-jag+jwt", &loose, false),
        ("logout+jwt", &loose, false),
        ("dpop+jwt", &loose, false),
    ] {
        assert_eq!(judge(typ, style, &claims()).is_ok(), good, "{typ} {style:?}");
    }
}

#[test]
fn rs_025_t_70_an_id_token_is_none_by_any_of_its_marks() {
    assert!(plain(&json!({})).is_ok());
    for mark in [
        json!({ "nonce": "n" }),
        json!({ "nonce": null, "at_hash": "x" }),
        json!({ "c_hash": "x" }),
        json!({ "s_hash": "x" }),
        json!({ "events": { "http://schemas.openid.net/event/backchannel-logout": {} } }),
        json!({ "token_use": "id" }),
        json!({ "token_use": 1 }),
        json!({ "typ": "ID" }),
        json!({ "typ": "Refresh" }),
        // Its audience is its client, whatever else it is for.
        json!({ "aud": ["app", AUDIENCE] }),
        json!({ "aud": AUDIENCE, "client_id": AUDIENCE }),
        json!({ "aud": AUDIENCE, "client_id": null, "azp": AUDIENCE }),
    ] {
        assert_eq!(plain(&mark), Err(AccessTokenError::OtherKind), "{mark}");
    }
    for fine in [json!({ "token_use": "access" }), json!({ "typ": "Bearer" })] {
        assert!(plain(&fine).is_ok(), "{fine}");
    }
}

#[test]
fn rs_023_rs_024_issuer_and_audience_as_they_are_written() {
    for other in ["https://login.example/tenant", "https://login.example", "https://LOGIN.example/tenant/"] {
        assert_eq!(marked(&json!({ "iss": other })), Err(AccessTokenError::WrongIssuer), "{other}");
    }
    assert_eq!(marked(&json!({ "iss": null })), Err(AccessTokenError::IssuerForm));
    assert_eq!(marked(&json!({ "aud": null })), Err(AccessTokenError::AudienceForm));
    for other in ["https://mcp.example/mcp/", "https://mcp.example", "app"] {
        assert_eq!(marked(&json!({ "aud": other })), Err(AccessTokenError::WrongAudience), "{other}");
    }
    assert!(marked(&json!({ "aud": ["other", AUDIENCE] })).is_ok());
    assert_eq!(marked(&json!({ "aud": vec![AUDIENCE; 33] })), Err(AccessTokenError::AudienceForm));
}

#[test]
fn clients_by_the_names_that_servers_have_for_them() {
    for (changes, client) in [
        (json!({}), Some("app")),
        (json!({ "client_id": null, "azp": "keycloak" }), Some("keycloak")),
        (json!({ "client_id": null, "appid": "entra" }), Some("entra")),
        (json!({ "client_id": null, "cid": "okta" }), Some("okta")),
        (json!({ "azp": "other" }), Some("app")),
        (json!({ "client_id": null }), None),
        (json!({ "client_id": "" }), None),
        (json!({ "client_id": 1, "azp": "x" }), None),
    ] {
        let found = marked(&changes);
        assert_eq!(found.as_ref().ok().map(|token| &*token.client_id), client, "{changes}: {found:?}");
    }
}

#[test]
fn rs_033_machines_as_servers_mark_them() {
    for (changes, machine) in [
        (json!({}), false),
        (json!({ "sub": "app" }), true),
        (json!({ "sub": "app@clients" }), true),
        (json!({ "sub": "other@clients" }), false),
        (json!({ "idtyp": "app" }), true),
        (json!({ "idtyp": "user" }), false),
        (json!({ "gty": "client-credentials" }), true),
    ] {
        assert_eq!(marked(&changes).unwrap().is_machine, machine, "{changes}");
    }
    assert_eq!(marked(&json!({ "sub": null })), Err(AccessTokenError::SubjectForm));
    for bad in ["", "a\nb", "a\u{0}", &"a".repeat(2049)] {
        assert_eq!(marked(&json!({ "sub": bad })), Err(AccessTokenError::SubjectForm), "{bad:?}");
    }
}

#[test]
fn rs_034_scopes_in_the_claims_that_were_named_and_in_no_other() {
    let scopes = |claims: &[&str], changes: &Value| {
        let names: Vec<String> = claims.iter().map(|name| (*name).to_owned()).collect();
        let style = Style { scope_claims: &names, ..Style::default() };
        judge("at+jwt", &style, &with(changes)).map(|token| token.scope.to_string())
    };
    let said = json!({ "scope": "a b", "scp": "c d", "permissions": ["e:f", "a"] });
    assert_eq!(scopes(&[], &said).unwrap(), "a b");
    assert_eq!(scopes(&["scp"], &said).unwrap(), "c d");
    assert_eq!(scopes(&["permissions"], &said).unwrap(), "e:f a");
    assert_eq!(scopes(&["scope", "permissions"], &said).unwrap(), "a b e:f");
    assert_eq!(scopes(&["scp"], &json!({ "scp": ["c", "d"] })).unwrap(), "c d");
    assert_eq!(scopes(&["scp"], &json!({})).unwrap(), "", "what is not there grants nothing");
    for bad in [json!(["a"]), json!(1), json!("a  b"), json!({}), json!(true)] {
        assert_eq!(scopes(&[], &json!({ "scope": bad })), Err(AccessTokenError::ScopeForm), "{bad}");
    }
    for bad in [json!(["a b"]), json!([1]), json!([""]), json!([["a"]])] {
        assert_eq!(scopes(&["scp"], &json!({ "scp": bad })), Err(AccessTokenError::ScopeForm), "{bad}");
    }
    assert_eq!(scopes(&["scp"], &json!({ "scp": vec!["abc"; 1100] })), Err(AccessTokenError::ScopeForm));
}

#[test]
fn rs_035_groups_in_the_claim_that_was_named_and_what_is_not_understood_is_refused() {
    let groups = |claim, changes: &Value| {
        let style = Style { groups_claim: claim, ..Style::default() };
        let signed = judge("at+jwt", &style, &with(changes)).map(|token| token.groups);
        let said = introspected(answer(changes).to_string().as_bytes(), &expected(), &style);
        let said = said.and_then(|found| Ok(found.at(&[AUDIENCE.to_owned()])?.groups));
        assert_eq!(said.ok(), signed.clone().ok(), "{changes}");
        signed
    };
    let said = json!({ "groups": ["staff", "a b"], "https://a.example/groups": "one", "roles": ["admin"] });
    assert_eq!(groups(None, &said).unwrap(), [""; 0]);
    assert_eq!(groups(Some("groups"), &said).unwrap(), ["staff", "a b"]);
    assert_eq!(groups(Some("https://a.example/groups"), &said).unwrap(), ["one"]);
    assert_eq!(groups(Some("groups"), &json!({})).unwrap(), [""; 0]);
    assert_eq!(groups(Some("groups"), &json!({ "groups": vec!["a"; 256] })).unwrap().len(), 256);
    for bad in [
        json!({ "groups": vec!["a"; 257] }),
        json!({ "groups": [1] }),
        json!({ "groups": ["staff", ["staff"]] }),
        json!({ "groups": [""] }),
        json!({ "groups": ["a\nb"] }),
        json!({ "groups": { "staff": true } }),
        json!({ "groups": true }),
        json!({ "_claim_names": { "groups": "src1" } }),
        json!({ "groups": ["staff"], "hasgroups": true }),
    ] {
        assert_eq!(groups(Some("groups"), &bad), Err(AccessTokenError::GroupsForm), "{bad}");
        assert_eq!(groups(None, &bad).unwrap(), [""; 0], "nobody asked for it: {bad}");
    }
}

#[test]
fn rs_026_no_secret_is_made_of_a_public_key() {
    let keys = KeySet::from_keys(vec![key().verifying_key()]);
    let kid = key().key_id();
    for header in [
        json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid }),
        json!({ "alg": "none", "typ": "at+jwt" }),
        json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid }),
    ] {
        let [header, payload] =
            [header, claims()].map(|part| encoding::base64url(part.to_string().as_bytes()));
        let text = format!("{header}.{payload}.{}", encoding::base64url(&[7; 64]));
        assert!(verify(&text, &keys, &expected(), &Style::default()).is_err(), "{header}");
    }
}

fn answer(changes: &Value) -> Value {
    let mut claims = with(changes);
    if claims.get("active").is_none() {
        claims["active"] = json!(true);
    }
    claims
}

fn asked(answer: &Value) -> Result<Introspected, IntrospectionError> {
    introspected(answer.to_string().as_bytes(), &expected(), &Style::default())
}

#[test]
fn rs_031_an_answer_is_believed_when_it_says_for_whom_the_token_is() {
    let ours = [AUDIENCE.to_owned()];
    let found = asked(&answer(&json!({ "iss": null, "iat": null }))).unwrap();
    assert_eq!(found.at(&ours).unwrap().subject, "ann");
    assert_eq!(found.at(&["https://mcp.example/other".to_owned()]), Err(AccessTokenError::WrongAudience));
    let other = asked(&answer(&json!({ "aud": "https://other.example" }))).unwrap();
    assert_eq!(other.at(&ours), Err(AccessTokenError::WrongAudience), "alive, and for somebody else");
    for (lie, error) in [
        (json!({ "aud": null }), AccessTokenError::AudienceForm),
        (json!({ "exp": null }), AccessTokenError::ExpiryForm),
        (json!({ "exp": NOW - 31 }), AccessTokenError::Expired),
        (json!({ "iss": "https://login.example/tenant" }), AccessTokenError::WrongIssuer),
        (json!({ "token_type": "refresh_token" }), AccessTokenError::OtherKind),
        (json!({ "token_use": "refresh_token" }), AccessTokenError::OtherKind),
        (json!({ "client_id": null }), AccessTokenError::ClientIdForm),
        (json!({ "scope": ["read"] }), AccessTokenError::ScopeForm),
        (json!({ "token_type": "DPoP" }), AccessTokenError::ConfirmationForm),
        (json!({ "cnf": { "x5t#S256": "x" } }), AccessTokenError::ConfirmationUnsupported),
        (json!({ "active": false }), AccessTokenError::Inactive),
    ] {
        assert_eq!(asked(&answer(&lie)).err(), Some(IntrospectionError::Token(error)), "{lie}");
    }
    let machine = asked(&answer(&json!({ "sub": null, "token_type": "bearer" }))).unwrap().at(&ours).unwrap();
    assert!(machine.is_machine && machine.subject == "app");
}

#[test]
fn rs_031_what_is_no_answer_is_no_verdict() {
    for bad in [json!({}), json!({ "active": "true" }), json!({ "active": 1 }), json!({ "active": null })] {
        assert_eq!(asked(&bad).err(), Some(IntrospectionError::NoVerdict), "{bad}");
    }
    for bad in ["", "true", "[]", r#"{"active":false,"active":true}"#] {
        let found = introspected(bad.as_bytes(), &expected(), &Style::default());
        assert!(matches!(found, Err(IntrospectionError::Json(_))), "{bad}");
    }
}
