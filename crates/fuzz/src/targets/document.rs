//! JSON of peers: what we accept, `serde_json` reads with the same meaning.

use hallpass_core::{
    authorization_details::{AuthorizationDetails, MAX_LENGTH},
    jose::KeySet,
    json::{self, Limits},
    metadata::{
        AuthorizationServerMetadata, ClientMetadata, ClientRegistrationResponse, ProtectedResourceMetadata,
    },
};
use serde_json::Value;
use url::Url;

const ID: &str = "https://client.example/client.json";

/// One reading only.
pub fn json(bytes: &[u8]) {
    let read = json::parse_value(bytes, Limits::default());
    let theirs = serde_json::from_slice::<Value>(bytes);
    if let Ok(value) = &read {
        assert_eq!(theirs.as_ref().ok(), Some(value));
        if !is_exact(value) {
            return;
        }
        let written = serde_json::to_vec(value).unwrap();
        let again = json::parse_value(&written, Limits { bytes: usize::MAX, ..Limits::default() });
        assert_eq!(again.as_ref(), Ok(value));
    }
    let object = json::parse_object(bytes, Limits::default());
    assert_eq!(object.ok().map(Value::Object), read.ok().filter(Value::is_object));
}

/// A client's document speaks for its own URL and can be answered somewhere.
pub fn client(bytes: &[u8]) {
    let Ok(document) = ClientMetadata::parse_document(bytes, ID) else { return };
    let value = object(bytes);
    assert_eq!(value["client_id"], ID);
    assert!(value.get("client_secret").is_none());
    let listed: Vec<&str> =
        value["redirect_uris"].as_array().unwrap().iter().map(|uri| uri.as_str().unwrap()).collect();
    let mut usable = 0;
    for uri in document.usable_redirect_uris() {
        assert!(listed.contains(&uri.as_str()), "{uri} is not in the document");
        usable += 1;
    }
    assert!(usable > 0);
    assert!(ClientMetadata::parse_document(bytes, "https://client.example/client.json2").is_err());
}

/// The metadata of an authorization server says the issuer that was asked for, and nothing else will do.
pub fn server(bytes: &[u8]) {
    let issuer = "https://auth.example";
    let any = AuthorizationServerMetadata::parse_unverified(bytes);
    let checked = AuthorizationServerMetadata::parse(bytes, issuer);
    if any.is_ok() {
        let value = object(bytes);
        assert_eq!(checked.is_ok(), value["issuer"] == issuer, "{:?}", checked.err());
    } else {
        assert!(checked.is_err());
    }
}

/// The metadata of a resource names the resource that was asked for, or one above it on the same origin.
pub fn resource(bytes: &[u8]) {
    let url = "https://mcp.example/mcp";
    let Ok(metadata) = ProtectedResourceMetadata::parse(bytes, url) else { return };
    assert!(metadata.accepts(url));
    assert!(!metadata.accepts("https://evil.example/mcp"));
    let resource = object(bytes)["resource"].as_str().unwrap().to_owned();
    let (named, asked) = (Url::parse(&resource).expect("a URL for everybody"), Url::parse(url).unwrap());
    assert_eq!(named.origin(), asked.origin(), "{resource}");
    let path = named.path().trim_end_matches('/');
    let rest = asked.path().strip_prefix(path).expect("a path above");
    assert!(rest.is_empty() || rest.starts_with('/'), "{resource}");
    for issuer in metadata.issuers() {
        assert!(issuer.as_str().starts_with("http"), "{issuer}");
    }
}

/// What a registration is answered with.
pub fn registration(bytes: &[u8]) {
    if ClientRegistrationResponse::parse(bytes).is_ok() {
        let id = object(bytes)["client_id"].as_str().unwrap().to_owned();
        assert!(!id.is_empty());
    }
}

/// Keys of a stranger: no private or symmetric ones, and each writes itself so that it is read again.
pub fn key_set(bytes: &[u8]) {
    let Ok(keys) = KeySet::parse(bytes) else { return };
    let value = object(bytes);
    assert!(keys.keys().len() <= value["keys"].as_array().unwrap().len());
    for key in value["keys"].as_array().unwrap() {
        if let Ok(key) = hallpass_core::jose::Jwk::parse(key) {
            let again = hallpass_core::jose::Jwk::parse(&key.to_json()).expect("what we write we read");
            assert_eq!(again.thumbprint(), key.thumbprint());
            assert!(key.to_json().get("d").is_none());
        }
    }
}

/// A fraction is read to the nearest number and not always to the same one again.
fn is_exact(value: &Value) -> bool {
    match value {
        Value::Number(number) => !number.is_f64(),
        Value::Array(values) => values.iter().all(is_exact),
        Value::Object(members) => members.values().all(is_exact),
        Value::Null | Value::Bool(_) | Value::String(_) => true,
    }
}

fn object(bytes: &[u8]) -> Value {
    let value: Value = serde_json::from_slice(bytes).expect("JSON for everybody");
    assert!(value.is_object());
    value
}

/// What is read is written so that it is read the same, within its bound, and its words hide nothing.
pub fn authorization_details(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(details) = AuthorizationDetails::parse(text) else { return };
    let written = details.to_string();
    assert!(written.len() <= MAX_LENGTH, "{written}");
    assert!(
        details.sentences().all(|line| !line.chars().any(|c| c.is_control() || c == '\u{202e}')),
        "{written}"
    );
    // Nothing that another reader does not see.
    let seen: Value = serde_json::from_str(text).expect("JSON for everybody");
    if is_exact(&seen) {
        assert_eq!(AuthorizationDetails::parse(&written).as_ref(), Ok(&details), "{written}");
    }
    for entry in seen.as_array().expect("an array") {
        assert_eq!(entry["type"], "mcp_tool");
        let tool = entry["tool"].as_str().expect("a name");
        assert!(details.name(tool));
        assert!(!details.allow(&format!("{tool}x"), None) || details.name(&format!("{tool}x")));
    }
}
