//! The client's own metadata document (draft-ietf-oauth-client-id-metadata-document-01): what to publish, and whether what is
//! published is that. Pure; the driver fetches.

use crate::device::DEVICE_CODE;
use hallpass_core::{json, uri::ClientMetadataUrl};
use http::{HeaderMap, Response, StatusCode, header};
use serde_json::{Value, json};

/// Where this client awaits answers. The port is chosen at each sign-in (RFC 8252 §7.3).
const CALLBACK: &str = "http://127.0.0.1/callback";
/// What many authorization servers read at most.
const LONGEST: usize = 5 * 1024;
/// Members that no public document may have.
const SECRETS: [&str; 3] = ["client_secret", "client_secret_expires_at", "registration_access_token"];

/// What is wrong with a published document, and why that matters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A redirect, an error, an empty answer.
    #[error("it is answered with status {0}; it has to be 200, without a redirect")]
    Status(u16),
    /// Neither JSON nor a kind of it.
    #[error("its Content-Type has to be application/json")]
    ContentType,
    /// Nothing says how long it may be kept.
    #[error("it has no Cache-Control: authorization servers guess how long to keep it")]
    NoCacheControl,
    /// Kept by nobody.
    #[error("its Cache-Control forbids to keep it: authorization servers ask for it again and again")]
    NotKept,
    /// Some read no more than 5 KB.
    #[error("it has more than 5 KB")]
    TooLong,
    /// No JSON object.
    #[error("it is no JSON object")]
    NotJson,
    /// Its own address is not in it, byte by byte.
    #[error("its client_id is not its address: {0}")]
    ClientId(String),
    /// Whoever is asked for a permission wants to know by whom.
    #[error("it has no client_name")]
    NoName,
    /// The client could not be answered.
    #[error("its redirect_uris do not list {CALLBACK}")]
    NoCallback,
    /// The person would have to sign in again and again.
    #[error("its grant_types do not list {0}")]
    NoGrant(&'static str),
    /// A secret that everybody can read is none; and no document may have one (§4.1).
    #[error("it has a member {0}: everybody can read it")]
    Secret(&'static str),
    /// The client has no secret and no key to prove itself with.
    #[error("its token_endpoint_auth_method has to be none")]
    AuthMethod,
}

/// The document to publish at this address.
pub fn document(url: &ClientMetadataUrl, name: &str) -> Value {
    json!({
        "client_id": url.as_str(),
        "client_name": name,
        "redirect_uris": [CALLBACK],
        "grant_types": ["authorization_code", "refresh_token", DEVICE_CODE],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    })
}

/// What is wrong with the answer to a request for the document; empty: nothing.
pub fn flaws<B: AsRef<[u8]>>(url: &ClientMetadataUrl, answer: &Response<B>) -> Vec<Flaw> {
    if answer.status() != StatusCode::OK {
        return vec![Flaw::Status(answer.status().as_u16())];
    }
    let body = answer.body().as_ref();
    let mut flaws = served(answer.headers());
    if body.len() > LONGEST {
        flaws.push(Flaw::TooLong);
    }
    let Ok(members) = json::parse_object(body, json::Limits::default()) else {
        flaws.push(Flaw::NotJson);
        return flaws;
    };
    let text = |name| members.get(name).and_then(Value::as_str).unwrap_or_default();
    let lists = |name, what: &str| {
        let values = members.get(name).and_then(Value::as_array);
        values.is_some_and(|values| values.iter().any(|value| value == what))
    };
    if text("client_id") != url.as_str() {
        flaws.push(Flaw::ClientId(
            text("client_id").chars().filter(|one| !one.is_control()).take(200).collect(),
        ));
    }
    if text("client_name").trim().is_empty() {
        flaws.push(Flaw::NoName);
    }
    if !lists("redirect_uris", CALLBACK) {
        flaws.push(Flaw::NoCallback);
    }
    let grants = ["authorization_code", "refresh_token"];
    flaws.extend(grants.into_iter().filter(|grant| !lists("grant_types", grant)).map(Flaw::NoGrant));
    flaws.extend(SECRETS.into_iter().filter(|name| members.contains_key(*name)).map(Flaw::Secret));
    if text("token_endpoint_auth_method") != "none" {
        flaws.push(Flaw::AuthMethod);
    }
    flaws
}

fn served(headers: &HeaderMap) -> Vec<Flaw> {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_ascii_lowercase);
    let kind = value(header::CONTENT_TYPE).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    let is_json = kind == "application/json" || (kind.starts_with("application/") && kind.ends_with("+json"));
    let kept = match value(header::CACHE_CONTROL) {
        None => Some(Flaw::NoCacheControl),
        Some(text) if text.contains("no-store") || text.contains("private") => Some(Flaw::NotKept),
        Some(_) => None,
    };
    (!is_json).then_some(Flaw::ContentType).into_iter().chain(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://client.example/hallpass.json";

    fn url() -> ClientMetadataUrl {
        ClientMetadataUrl::parse(URL).unwrap()
    }

    fn answer(change: impl FnOnce(&mut Value)) -> Response<Vec<u8>> {
        let mut document = document(&url(), "hallpass");
        change(&mut document);
        let head = Response::builder().header("content-type", "application/json; charset=utf-8");
        head.header("cache-control", "max-age=3600").body(document.to_string().into_bytes()).unwrap()
    }

    #[test]
    fn cl_020_what_we_write_has_no_flaw() {
        assert_eq!(flaws(&url(), &answer(|_| ())), []);
        let text = document(&url(), "hallpass").to_string();
        assert!(!text.contains("secret") && text.len() < 1024, "{text}");
    }

    #[test]
    fn cl_020_each_flaw_is_found() {
        let with = |name: &str, value: Value| flaws(&url(), &answer(|document| document[name] = value));
        let other = "https://client.example/Hallpass.json";
        for (name, value, flaw) in [
            ("client_id", json!(other), Flaw::ClientId(other.into())),
            ("client_id", json!(null), Flaw::ClientId(String::new())),
            ("client_name", json!(" "), Flaw::NoName),
            ("redirect_uris", json!(["http://localhost/callback"]), Flaw::NoCallback),
            ("redirect_uris", json!(CALLBACK), Flaw::NoCallback),
            ("grant_types", json!(["authorization_code"]), Flaw::NoGrant("refresh_token")),
            ("client_secret", json!("s"), Flaw::Secret("client_secret")),
            ("client_secret_expires_at", json!(0), Flaw::Secret("client_secret_expires_at")),
            ("token_endpoint_auth_method", json!("client_secret_basic"), Flaw::AuthMethod),
            ("policy_uri", json!("x".repeat(6_000)), Flaw::TooLong),
        ] {
            assert_eq!(with(name, value.clone()), [flaw], "{name} {value}");
        }
        let served = |name: &'static str, value: &str| {
            let mut answer = answer(|_| ());
            answer.headers_mut().remove(name);
            if !value.is_empty() {
                answer.headers_mut().insert(name, value.parse().unwrap());
            }
            flaws(&url(), &answer)
        };
        assert_eq!(served("content-type", "text/html"), [Flaw::ContentType]);
        assert_eq!(served("content-type", ""), [Flaw::ContentType]);
        assert_eq!(served("content-type", "application/oauth+json"), []);
        assert_eq!(served("cache-control", ""), [Flaw::NoCacheControl]);
        assert_eq!(served("cache-control", "No-Store"), [Flaw::NotKept]);
        for status in [301, 302, 204, 404, 500] {
            let mut moved = answer(|_| ());
            *moved.status_mut() = StatusCode::from_u16(status).unwrap();
            assert_eq!(flaws(&url(), &moved), [Flaw::Status(status)]);
        }
        let garbage = answer(|_| ()).map(|_| b"[]".to_vec());
        assert_eq!(flaws(&url(), &garbage), [Flaw::NotJson]);
    }
}
