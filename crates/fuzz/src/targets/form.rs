//! Parameters, the Basic header, scopes.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hallpass_core::{
    basic,
    parameters::{self, Limits, Parameters},
    scope::Scope,
};
use std::str;
use url::form_urlencoded;

/// What we accept, `url` reads the same, and what we write comes back.
pub fn parameters(bytes: &[u8]) {
    let Ok(read) = Parameters::parse(bytes, Limits::default()) else { return };
    let others: Vec<(String, String)> = form_urlencoded::parse(bytes).into_owned().collect();
    for (name, _) in &others {
        let theirs: Vec<&str> = others
            .iter()
            .filter(|(other, value)| other == name && !value.is_empty())
            .map(|(_, value)| &**value)
            .collect();
        let ours: Vec<&str> = read.all(name).collect();
        assert_eq!(ours, theirs, "{name:?}");
    }
    for name in ["client_id", "redirect_uri", "code", "state"] {
        assert!(others.iter().filter(|(other, _)| other == name).count() < 2, "{name} twice");
    }
    let written = parameters::encode(others.iter().map(|(name, value)| (&**name, &**value)));
    let again = Parameters::parse(written.as_bytes(), Limits { bytes: usize::MAX, ..Limits::default() });
    let again = again.expect("what we write we read");
    for (name, _) in &others {
        assert!(read.all(name).eq(again.all(name)), "{name:?}");
    }
    let joined = parameters::append_to("https://a.example/cb?x=1", others.iter().map(|(n, v)| (&**n, &**v)));
    assert!(joined.starts_with("https://a.example/cb?x=1"));
    assert!(!joined.contains(['\r', '\n', '#', ' ']), "{joined}");
}

/// Whatever id and secret there are, written as a client writes them they are read back.
pub fn basic(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes)
        && let Some((id, secret)) = basic::credentials(text)
    {
        assert_eq!(basic::credentials(&written(&id, &secret)), Some((id, secret)));
    }
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let (Some(id), Some(secret)) = (parts.next(), parts.next()) else { return };
    let (Ok(id), Ok(secret)) = (str::from_utf8(id), str::from_utf8(secret)) else { return };
    let read = basic::credentials(&written(id, secret));
    // Nothing is no credential, and NUL is refused everywhere.
    if id.is_empty() || secret.is_empty() || id.contains('\0') || secret.contains('\0') {
        assert_eq!(read, None);
    } else {
        assert_eq!(read, Some((id.to_owned(), secret.to_owned())));
    }
}

fn written(id: &str, secret: &str) -> String {
    let part = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", part(id), part(secret))))
}

/// A scope is a set of words; written and read it is the same, and narrowing never widens.
pub fn scope(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(scope) = Scope::parse(text) else { return };
    let again = Scope::parse(&scope.to_string());
    if !scope.is_empty() {
        assert_eq!(again.as_ref(), Ok(&scope));
    }
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        assert!(scope.contains(word), "{word:?}");
    }
    let allowed = Scope::of(["read", "write"]);
    let narrowed = scope.narrowed_to(&allowed);
    assert!(allowed.covers(&narrowed) && scope.covers(&narrowed));
    assert!(scope.united_with(&allowed).covers(&scope));
}
