//! What a provider's word is worth. Pure.

use super::settings::{Accounts, SignInProvider};
use crate::{
    clients::display,
    issuers::workload,
    login::password::{fold, name_complaint},
};
use hallpass_core::{jwt::id_token::is_subject, time::Timestamp};
use serde_json::{Map, Value};
use std::time::Duration;

/// How far clocks may differ.
const LEEWAY: Duration = Duration::from_mins(1);

/// Who somebody is at a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// What it calls them.
    pub subject: String,
    /// What else it says.
    pub claims: Map<String, Value>,
    /// When they were there, where it says so.
    pub authenticated_at: Option<Timestamp>,
}

/// Why somebody whom a provider vouches for is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotLetIn {
    /// A claim that the operator wants is another one, or missing.
    Claims,
    /// A fresh sign-in was asked for, and this one is older.
    NotFresh,
}

/// A sign-in that has to be fresh: begun at this moment, and then no older than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// When the person was sent there.
    pub begun: Timestamp,
    /// How old it may have been then.
    pub age: Duration,
}

/// Whether the provider has said all that is needed of this person.
pub fn says_enough(provider: &SignInProvider, claims: &Map<String, Value>) -> bool {
    let named = provider.accounts == Accounts::Linked || claims.contains_key(&provider.name_claim);
    named && provider.claims.keys().all(|name| workload::claim(claims, name).is_some())
}

/// Judges what the provider says (all claims that the operator wants, with exactly their values).
pub fn let_in(provider: &SignInProvider, identity: &Identity, fresh: Option<Fresh>) -> Result<(), NotLetIn> {
    if !provider.claims.iter().all(|(name, wanted)| has(&identity.claims, name, wanted)) {
        return Err(NotLetIn::Claims);
    }
    // A provider that does not say when, cannot be held to it: it was asked to ask.
    if let (Some(fresh), Some(at)) = (fresh, identity.authenticated_at)
        && at.plus(fresh.age + LEEWAY) < fresh.begun
    {
        return Err(NotLetIn::NotFresh);
    }
    Ok(())
}

/// The value, or one of the values where it is a list of texts.
fn has(claims: &Map<String, Value>, name: &str, wanted: &str) -> bool {
    match workload::claim(claims, name) {
        Some(Value::Array(values)) => values.iter().any(|value| value.as_str() == Some(wanted)),
        Some(value) => workload::spelled(value).is_some_and(|value| value == wanted),
        None => false,
    }
}

/// What a userinfo endpoint calls somebody: a text, or a whole number, which has one spelling.
pub fn subject(claims: &Map<String, Value>, name: &str) -> Option<String> {
    let subject = match claims.get(name)? {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_u64() => number.to_string(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    is_subject(&subject).then_some(subject)
}

/// The name of a new account, as far as the provider gives one that can be one.
pub fn name(provider: &SignInProvider, claims: &Map<String, Value>) -> Option<String> {
    let name = fold(claims.get(&provider.name_claim)?.as_str().filter(|name| name.len() <= 1024)?);
    (name_complaint(&name).is_none() && display::is_plain(&name)).then_some(name)
}

/// The name for the try of this number: people of one name at two providers are two people here.
pub fn numbered(name: &str, at: u32) -> String {
    if at < 2 {
        return name.to_owned();
    }
    let end = format!("-{at}");
    let room = 64_usize.saturating_sub(end.len());
    name.chars().take(room).chain(end.chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{connections::settings::WrittenConnection, login::providers::settings::WrittenProvider};
    use serde_json::json;

    fn provider(claims: &[(&str, &str)]) -> SignInProvider {
        let claims = claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        SignInProvider::new(&WrittenProvider {
            service: WrittenConnection { name: "idp", client_id: "us", ..WrittenConnection::default() },
            issuer: Some("https://idp.example"),
            accounts: Some("create"),
            claims,
            ..WrittenProvider::default()
        })
        .unwrap()
    }

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(members) = value else { panic!("no object") };
        members
    }

    fn identity(claims: Value, authenticated_at: Option<Timestamp>) -> Identity {
        Identity { subject: "1".into(), claims: object(claims), authenticated_at }
    }

    #[test]
    fn as_214_what_an_operator_wants_of_a_person_is_exact() {
        let company = provider(&[("hd", "example.com"), ("email_verified", "true")]);
        let judge = |claims| let_in(&company, &identity(claims, None), None);
        assert_eq!(judge(json!({"hd": "example.com", "email_verified": true})), Ok(()));
        assert_eq!(judge(json!({"hd": ["x", "example.com"], "email_verified": "true"})), Ok(()));
        for claims in [
            json!({"hd": "example.com"}),
            json!({"email_verified": true}),
            json!({"hd": "EXAMPLE.com", "email_verified": true}),
            json!({"hd": "example.com.evil.example", "email_verified": true}),
            json!({"hd": "", "email_verified": true}),
            json!({"hd": null, "email_verified": true}),
            json!({"hd": {"example.com": 1}, "email_verified": true}),
            json!({"hd": [["example.com"]], "email_verified": true}),
            json!({"hd": "example.com", "email_verified": false}),
        ] {
            assert_eq!(judge(claims.clone()), Err(NotLetIn::Claims), "{claims}");
        }
        assert_eq!(let_in(&provider(&[]), &identity(json!({}), None), None), Ok(()));
        assert!(!says_enough(&company, &object(json!({"hd": "a", "email_verified": true}))), "no name");
        assert!(says_enough(
            &company,
            &object(json!({"hd": [], "email_verified": false, "preferred_username": "x"}))
        ));
    }

    #[test]
    fn as_213_an_old_sign_in_is_not_a_fresh_one() {
        let now = Timestamp::from_seconds(1_790_000_000);
        let judge = |ago: u64, age: u64| {
            let at = Some(now.minus(Duration::from_secs(ago)));
            let fresh = Fresh { begun: now, age: Duration::from_secs(age) };
            let_in(&provider(&[]), &identity(json!({}), at), Some(fresh))
        };
        assert_eq!(judge(0, 0), Ok(()));
        assert_eq!(judge(60, 0), Ok(()), "clocks differ");
        assert_eq!(judge(61, 0), Err(NotLetIn::NotFresh));
        assert_eq!(judge(600, 600), Ok(()));
        assert_eq!(judge(700, 600), Err(NotLetIn::NotFresh));
        let silent = Fresh { begun: now, age: Duration::ZERO };
        assert_eq!(let_in(&provider(&[]), &identity(json!({}), None), Some(silent)), Ok(()));
    }

    #[test]
    fn as_214_a_subject_has_one_spelling() {
        let of = |value: Value| subject(&object(json!({ "id": value })), "id");
        assert_eq!(of(json!(583_231)), Some("583231".into()));
        assert_eq!(of(json!("583231")), Some("583231".into()));
        for odd in [
            json!(null),
            json!(true),
            json!(1.5),
            json!(-1),
            json!(1e3),
            json!(""),
            json!([1]),
            json!({}),
            json!("a\nb"),
        ] {
            assert_eq!(of(odd.clone()), None, "{odd}");
        }
        assert_eq!(of(json!("x".repeat(256))), None);
        assert_eq!(subject(&Map::new(), "id"), None);
    }

    #[test]
    fn as_214_a_name_is_only_a_wish() {
        let of = |value: Value| name(&provider(&[]), &object(json!({ "preferred_username": value })));
        assert_eq!(of(json!(" Ada@Example.com ")), Some("ada@example.com".into()));
        for odd in [json!(""), json!(7), json!("a\u{202e}b"), json!("a\u{0}"), json!("x".repeat(65))] {
            assert_eq!(of(odd.clone()), None, "{odd}");
        }
        assert_eq!((numbered("ada", 1), numbered("ada", 2)), ("ada".into(), "ada-2".into()));
        assert_eq!(numbered(&"x".repeat(64), 10).chars().count(), 64);
    }
}
