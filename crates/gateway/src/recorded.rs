//! Which arguments of a call the operator wants to see written down: those that were named, and nothing else. Pure.

use serde_json::{Map, Value};

/// Longest text of an argument that is written, in bytes.
const LONGEST: usize = 200;
/// What stands in the place of what may open something.
const REDACTED: &str = "[redacted]";

/// Tools by their exact names, each with the names of the arguments that are written. Nothing of any other tool is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedArguments(pub Vec<(String, Vec<String>)>);

impl RecordedArguments {
    /// What is written of a call of this tool. Nothing where none of its arguments was named; they are not even read then.
    pub(crate) fn of(
        &self,
        tool: &str,
        arguments: impl FnOnce() -> Option<Value>,
    ) -> Option<Map<String, Value>> {
        let (_, names) = self.0.iter().find(|(name, _)| name == tool)?;
        let arguments = arguments()?;
        let there = names.iter().filter_map(|name| Some((name.clone(), written(name, arguments.get(name)?))));
        let there: Map<String, Value> = there.collect();
        (!there.is_empty()).then_some(there)
    }
}

/// Short texts, numbers and truth values. What is inside of lists and objects was not named, so it is not written.
fn written(name: &str, value: &Value) -> Value {
    match value {
        _ if names_a_secret(name) => REDACTED.into(),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        Value::String(text) if looks_like_a_secret(text) => REDACTED.into(),
        Value::String(text) => text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default().into(),
        Value::Array(_) => "[list]".into(),
        Value::Object(_) => "[object]".into(),
    }
}

/// Whether an argument is called so that it may open something: whoever wrote it into the list may not have thought of it, and a
/// log is read by more people than a service has users.
fn names_a_secret(name: &str) -> bool {
    const ANYWHERE: [&str; 10] = [
        "password",
        "passwd",
        "passphrase",
        "passcode",
        "secret",
        "token",
        "credential",
        "authorization",
        "cookie",
        "apikey",
    ];
    const WORDS: [&str; 10] = ["key", "keys", "auth", "pin", "otp", "totp", "pwd", "pass", "jwt", "bearer"];
    let folded: String = name.chars().filter(char::is_ascii_alphanumeric).collect();
    let folded = folded.to_ascii_lowercase();
    ANYWHERE.iter().any(|part| folded.contains(part))
        || words(name).iter().any(|word| WORDS.contains(&&**word))
}

/// `accessKey`, `access_key` and `access-key` are two words each.
fn words(name: &str) -> Vec<String> {
    let (mut words, mut word, mut small) = (Vec::new(), String::new(), false);
    for letter in name.chars() {
        if !letter.is_alphanumeric() || (letter.is_uppercase() && small) {
            words.push(std::mem::take(&mut word));
        }
        word.extend(letter.to_lowercase().filter(|letter| letter.is_alphanumeric()));
        small = letter.is_lowercase();
    }
    words.push(word);
    words
}

/// A header of HTTP, a JWT, a PEM: whatever the argument is called.
fn looks_like_a_secret(text: &str) -> bool {
    let text = text.trim_start();
    let begins = |with: &str| text.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    ["bearer ", "basic ", "dpop ", "eyj", "-----begin "].iter().any(|with| begins(with))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn recorded(tool: &str, arguments: &Value) -> Option<String> {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let named = vec![
            ("read".to_owned(), list(&["path", "n", "token", "absent", "where", "all"])),
            ("sign".to_owned(), list(&["apiKey"])),
        ];
        let found = RecordedArguments(named).of(tool, || Some(arguments.clone()));
        found.map(|map| Value::Object(map).to_string())
    }

    #[test]
    fn rs_067_t_98_what_was_not_named_is_never_written() {
        let canary = "canary-canary";
        let arguments = json!({
            "path": "/a", "n": 3, "token": canary, "other": canary, "Path": canary, canary: "x",
            "where": { "path": canary }, "all": [canary],
        });
        let said = recorded("read", &arguments).unwrap();
        assert_eq!(said, r#"{"all":"[list]","n":3,"path":"/a","token":"[redacted]","where":"[object]"}"#);
        for tool in ["write", "Read", "read ", "", "re"] {
            assert_eq!(recorded(tool, &arguments), None, "{tool}");
        }
        assert_eq!(recorded("sign", &json!({ "apikey": canary })), None);
        assert_eq!(recorded("sign", &json!({ "apiKey": 7 })).unwrap(), r#"{"apiKey":"[redacted]"}"#);
        assert_eq!(recorded("read", &json!([canary])), None);
        assert_eq!(recorded("read", &json!(canary)), None);
        let unread = RecordedArguments::default().of("read", || panic!("it is not read"));
        assert_eq!(unread, None);
    }

    #[test]
    fn rs_067_t_98_a_text_is_short_and_a_secret_is_none_by_any_name() {
        let of = |text: &str| recorded("read", &json!({ "path": text })).unwrap();
        assert_eq!(of(&"é".repeat(500)), format!(r#"{{"path":"{}"}}"#, "é".repeat(100)));
        for secret in
            ["Bearer x", "bearer x", " Basic x", "DPoP x", "eyJhbGciOi", "-----BEGIN PRIVATE KEY-----"]
        {
            assert_eq!(of(secret), r#"{"path":"[redacted]"}"#, "{secret}");
        }
        for text in ["bear", "/ey", "basics", ""] {
            assert!(!of(text).contains("redacted"), "{text}");
        }
        for name in [
            "password",
            "user_password",
            "PASSWORD",
            "clientSecret",
            "access-token",
            "accessKey",
            "key",
            "private_key",
            "Authorization",
            "X-API-Key",
            "apikey",
            "pin",
            "otp",
            "credentials",
            "set-cookie",
            "pass.word",
            "authCode",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in ["path", "keyword", "monkey", "author", "spinner", "compass", "encoder", "query"] {
            assert!(!names_a_secret(name), "{name}");
        }
    }
}
