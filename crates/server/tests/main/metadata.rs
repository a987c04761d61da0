//! Discovery: the three places, the same bytes, everything true.

use crate::support::*;
use axum::body::Body;
use hallpass_core::uri::Issuer;
use hallpass_server::{RefreshPolicy, Settings};
use http::{Request, StatusCode};
use serde_json::json;

#[tokio::test]
async fn as_019_to_as_024_b_25_the_document() {
    let server = Server::start().await;
    let document = server.get("/.well-known/oauth-authorization-server").await;
    assert_eq!((document.status, document.header("content-type")), (StatusCode::OK, "application/json"));
    assert_eq!(server.get("/.well-known/openid-configuration").await.text, document.text);
    let json = document.json();
    assert_eq!(json["issuer"], ISSUER);
    assert_eq!(json["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(json["authorization_response_iss_parameter_supported"], true);
    assert_eq!(json["client_id_metadata_document_supported"], true);
    assert_eq!(
        json["token_endpoint_auth_methods_supported"],
        json!(["none", "client_secret_basic", "client_secret_post", "private_key_jwt"])
    );
    assert_eq!(json["scopes_supported"], json!(["read", "write", "offline_access"]));
    for endpoint in [
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
        "pushed_authorization_request_endpoint",
        "device_authorization_endpoint",
        "jwks_uri",
    ] {
        let path = text(&json, endpoint).strip_prefix(ISSUER).unwrap();
        assert_ne!(server.get(path).await.status, StatusCode::NOT_FOUND, "{endpoint}");
    }
    assert!(json.get("introspection_endpoint").is_none());
}

#[tokio::test]
async fn as_032_the_protected_servers_are_listed() {
    let server = Server::start().await;
    let document = server.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(document["protected_resources"], json!([RESOURCE]));
}

#[tokio::test]
async fn the_description_of_the_surface_is_for_everybody_and_kept() {
    let server = Server::start().await;
    let document = server.get("/openapi.json").await;
    assert_eq!((document.status, document.header("content-type")), (StatusCode::OK, "application/json"));
    assert_eq!(document.header("cache-control"), "public, max-age=300");
    assert_eq!(document.header("access-control-allow-origin"), "*");
    let json = document.json();
    assert_eq!(json["openapi"], "3.1.0");
    let flow = &json["components"]["securitySchemes"]["accessToken"]["flows"]["authorizationCode"];
    assert_eq!(flow["tokenUrl"], format!("{ISSUER}/token"));
    assert_eq!(flow["scopes"]["read"], "May read your things");
}

#[tokio::test]
async fn as_020_an_issuer_with_a_path() {
    let issuer = "https://auth.example/tenant/one";
    let server = Server::with(Settings { issuer: Issuer::parse(issuer).unwrap(), ..settings() }).await;
    let texts: Vec<String> = [
        "/.well-known/oauth-authorization-server/tenant/one",
        "/.well-known/openid-configuration/tenant/one",
        "/tenant/one/.well-known/openid-configuration",
    ]
    .map(ToOwned::to_owned)
    .into();
    for path in &texts {
        let document = server.get(path).await.json();
        assert_eq!(document["issuer"], issuer);
        assert_eq!(document["token_endpoint"], "https://auth.example/tenant/one/token");
    }
    assert_eq!(server.get("/tenant/one/jwks").await.status, StatusCode::OK);
    assert_eq!(server.get("/.well-known/oauth-authorization-server").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn as_018_t_73_b_25_no_header_changes_a_url() {
    let server = Server::start().await;
    let plain = server.get("/.well-known/oauth-authorization-server").await.text;
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("forwarded", "host=evil.example;proto=http"),
        ("x-forwarded-prefix", "/evil"),
    ] {
        let request = Request::get("/.well-known/oauth-authorization-server")
            .header(name, value)
            .body(Body::empty())
            .unwrap();
        assert_eq!(server.send(request).await.text, plain);
    }
}

#[tokio::test]
async fn p11_other_well_known_paths_are_json_404() {
    let server = Server::start().await;
    for path in ["/.well-known/oauth-authorization-server/mcp", "/.well-known/anything", "/.well-known/a/b/c"]
    {
        let answer = server.get(path).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (StatusCode::NOT_FOUND, "application/json"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn as_014_as_015_p07_browsers_may_read_documents_and_never_pages() {
    let server = Server::start().await;
    for path in ["/.well-known/oauth-authorization-server", "/jwks", "/register", "/token", "/revoke"] {
        let request = Request::options(path)
            .header("origin", "http://localhost:6274")
            .header("access-control-request-method", "POST")
            .body(Body::empty())
            .unwrap();
        let answer = server.send(request).await;
        assert_eq!(
            (answer.status, answer.header("access-control-allow-origin")),
            (StatusCode::NO_CONTENT, "*"),
            "{path}"
        );
        assert!(answer.header("access-control-allow-credentials").is_empty());
    }
    for path in ["/authorize", "/sign-in", "/consent", "/account", "/setup", "/", "/nowhere"] {
        let request =
            Request::get(path).header("origin", "https://evil.example").body(Body::empty()).unwrap();
        let answer = server.send(request).await;
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control")), "{path}");
    }
}

#[tokio::test]
async fn as_186_the_key_set_is_public_only() {
    let server = Server::start().await;
    let keys = server.get("/jwks").await.json();
    let key = &keys["keys"][0];
    assert_eq!((text(key, "kty"), text(key, "alg"), text(key, "use")), ("EC", "ES256", "sig"));
    assert!(key.get("d").is_none() && key.get("kid").is_some());
}

#[tokio::test]
async fn as_028_listed_grant_types_and_scopes_are_those_there_are() {
    let server = Server::start().await;
    let document = server.get("/.well-known/oauth-authorization-server").await.json();
    let listed: Vec<&str> = document["grant_types_supported"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one.as_str().unwrap())
        .collect();
    assert!(listed.contains(&"authorization_code") && listed.contains(&"refresh_token"));
    for grant_type in [
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "password",
        "implicit",
        "urn:ietf:params:oauth:grant-type:device_code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:saml2-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "Authorization_Code",
    ] {
        let client = server.register(REDIRECT).await;
        let answer = server.form("/token", &[("grant_type", grant_type), ("client_id", &client)]).await;
        let unknown = answer.error() == "unsupported_grant_type";
        assert_eq!(unknown, !listed.contains(&grant_type), "{grant_type}: {}", answer.text);
    }
    // Each listed scope can be had, each alone.
    let mut browser = server.set_up().await;
    let client = server.register(REDIRECT).await;
    for scope in document["scopes_supported"].as_array().unwrap() {
        let scope = scope.as_str().unwrap();
        let mut request = Server::request(&client);
        request.insert("scope".into(), scope.into());
        let code = browser.allow(&request).await;
        assert_eq!(text(&server.redeem(&client, &code).await.json(), "scope"), scope);
    }
}

#[tokio::test]
async fn as_028_offline_access_is_listed_where_it_changes_what_is_given() {
    for (policy, by_scope) in [(RefreshPolicy::OfflineAccess, true), (RefreshPolicy::Never, false)] {
        let server = Server::with(Settings { refresh_tokens: policy, ..settings() }).await;
        let mut browser = server.set_up().await;
        let client = server.register(REDIRECT).await;
        for (scope, given) in [("read", false), ("read offline_access", by_scope)] {
            let mut request = Server::request(&client);
            request.insert("scope".into(), scope.into());
            let code = browser.allow(&request).await;
            let tokens = server.redeem(&client, &code).await.json();
            assert_eq!(tokens.get("refresh_token").is_some(), given, "{policy:?} {scope}");
        }
    }
}
