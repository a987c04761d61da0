//! Routes, requests and answers of registration.
use super::*;
use crate::discovery::tests::server;
use serde_json::Value;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const REDIRECT: &str = "http://127.0.0.1:9/callback";

fn kept(issuer: &str) -> Registration {
    Registration {
        issuer: issuer.into(),
        client: ClientCredentials { client_id: "kept".into(), client_secret: None, auth: TokenAuth::None },
        redirect_uri: REDIRECT.into(),
        secret_expires_at: None,
        used_at: NOW,
    }
}

#[test]
fn cl_018_the_order_of_routes() {
    let secret = SecretString::new("s");
    let mine = kept("https://as.example");
    let all = Identity {
        configured: Some(("configured", Some(&secret))),
        metadata_document: Some("https://c.example/client.json"),
        kept: Some(&mine),
    };
    let id = |documents: bool, registers: bool, identity| {
        let mut server = server();
        server.takes_metadata_documents = documents;
        if !registers {
            server.registration_endpoint = None;
        }
        match route(&server, identity) {
            Ok(Route::Known(client)) => client.client_id,
            Ok(Route::Kept(registration)) => registration.client.client_id,
            Ok(Route::Dynamic(endpoint)) => endpoint.to_string(),
            Err(error) => format!("{error:?}"),
        }
    };
    let without = Identity { configured: None, ..all };
    assert_eq!(id(true, true, all), "configured");
    assert_eq!(id(true, true, without), "https://c.example/client.json");
    assert_eq!(id(false, true, without), "kept");
    assert_eq!(id(true, true, Identity { metadata_document: None, ..without }), "kept");
    let nothing = Identity::default();
    assert_eq!(id(true, true, nothing), "https://as.example/register");
    assert_eq!(id(true, false, nothing), "NotOffered");
}

#[test]
fn cl_019_a_url_that_no_server_would_take_is_not_sent() {
    let by = |url: &str| {
        let mut server = server();
        server.takes_metadata_documents = true;
        route(&server, Identity { metadata_document: Some(url), ..Identity::default() })
    };
    assert!(matches!(by("https://c.example/client.json"), Ok(Route::Known(_))));
    let long = format!("https://c.example/{}", "a".repeat(4000));
    for url in [
        "http://c.example/client.json",
        "https://c.example",
        "https://c.example/",
        "https://c.example/a/../b",
        "https://c.example/a#b",
        "https://u@c.example/a",
        "https://C.example/a",
        "c.example/a",
        "",
        &long,
    ] {
        assert!(matches!(by(url), Err(RegistrationError::DocumentUrl)), "{url}");
    }
}

#[test]
fn cl_025_b_41_t_63_a_registration_stays_with_its_issuer() {
    let other = kept("https://other.example");
    let identity = Identity { kept: Some(&other), ..Identity::default() };
    assert!(matches!(route(&server(), identity), Ok(Route::Dynamic(_))));
}

#[test]
fn cl_021_cl_022_cl_053_cl_075_the_request_is_minimal_and_native() {
    let body = |methods: Option<&[&str]>| -> Value {
        let mut server = server();
        server.auth_methods = methods.map(|list| list.iter().map(|name| (*name).to_owned()).collect());
        let endpoint = server.registration_endpoint.clone().unwrap();
        let request = registration_request(&server, &endpoint, "hallpass", REDIRECT).unwrap();
        serde_json::from_slice(request.body()).unwrap()
    };
    assert_eq!(
        body(Some(&["client_secret_post", "none"])),
        serde_json::json!({
            "client_name": "hallpass",
            "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "application_type": "native",
        })
    );
    assert_eq!(body(None)["token_endpoint_auth_method"], "client_secret_basic");
    assert_eq!(
        body(Some(&["private_key_jwt", "client_secret_post"]))["token_endpoint_auth_method"],
        "client_secret_post"
    );
    // The Python SDK lists both in this order, and understands only the first.
    assert_eq!(
        body(Some(&["client_secret_post", "client_secret_basic"]))["token_endpoint_auth_method"],
        "client_secret_post"
    );
    assert_eq!(
        body(Some(&["tls_client_auth", "client_secret_basic", "client_secret_post"]))["token_endpoint_auth_method"],
        "client_secret_basic"
    );
}

fn read(status: u16, body: &str) -> Result<Registration, RegistrationError> {
    let response = Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap();
    read_registration(&response, &server(), REDIRECT, NOW).map_err(|failure| failure.error)
}

#[test]
fn cl_023_p19_what_the_server_registered_counts() {
    let post = r#"{"client_id":"c","client_secret":"s","token_endpoint_auth_method":"client_secret_post","client_secret_expires_at":1800000060}"#;
    let registration = read(201, post).unwrap();
    assert_eq!(
        (registration.client.auth, registration.client.client_secret),
        (TokenAuth::Post, Some(SecretString::new("s")))
    );
    assert_eq!(registration.secret_expires_at, Some(Timestamp::from_seconds(1_800_000_060)));
    assert_eq!(registration.issuer, "https://as.example");
    let plain = read(200, r#"{"client_id":"c"}"#).unwrap();
    assert_eq!((plain.client.auth, plain.secret_expires_at), (TokenAuth::None, None));
    assert_eq!(
        read(201, r#"{"client_id":"c","client_secret":"s","client_secret_expires_at":0}"#)
            .unwrap()
            .client
            .auth,
        TokenAuth::Basic
    );
    assert_eq!(
        read(201, r#"{"client_id":"c","token_endpoint_auth_method":"client_secret_basic"}"#),
        Err(RegistrationError::Malformed)
    );
    assert_eq!(
        read(201, r#"{"client_id":"c","token_endpoint_auth_method":"tls_client_auth"}"#),
        Err(RegistrationError::AuthMethod)
    );
}

#[test]
fn cl_024_refusals_are_told_apart() {
    for (status, body, expected) in [
        (400, r#"{"error":"invalid_redirect_uri"}"#, RegistrationError::InvalidRedirectUri),
        (400, r#"{"error":"invalid_client_metadata"}"#, RegistrationError::Refused),
        (403, "<html>", RegistrationError::Refused),
        (429, "", RegistrationError::Unavailable),
        (502, "", RegistrationError::Unavailable),
        (307, "", RegistrationError::Redirect),
        (201, "{}", RegistrationError::Malformed),
        (201, "", RegistrationError::Malformed),
    ] {
        assert_eq!(read(status, body), Err(expected), "{status} {body}");
    }
}

#[test]
fn cl_023_cl_053_a_secret_that_cannot_be_sent_is_not_sent() {
    let auth = |methods: Option<&[&str]>| {
        let mut server = server();
        server.auth_methods = methods.map(|list| list.iter().map(|name| (*name).to_owned()).collect());
        let body = Bytes::from_static(br#"{"client_id":"c","client_secret":"s"}"#);
        let response = Response::builder().status(201).body(body).unwrap();
        read_registration(&response, &server, REDIRECT, NOW).unwrap().client.auth
    };
    assert_eq!(auth(Some(&["none"])), TokenAuth::None);
    assert_eq!(auth(Some(&["none", "client_secret_post"])), TokenAuth::Post);
    assert_eq!(auth(None), TokenAuth::Basic);
    assert_eq!(auth(Some(&["private_key_jwt"])), TokenAuth::Basic);
}
