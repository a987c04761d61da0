//! Dynamic registration: what real clients send gets through, what is harmful does not, and nothing is stored.

use crate::support::*;
use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::json;

#[tokio::test]
async fn p09_p19_p34_what_real_clients_register_gets_through_and_can_be_used() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    for (body, redirect) in [
        (
            json!({"client_name": "Claude", "redirect_uris": ["https://claude.ai/api/mcp/auth_callback"], "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"], "token_endpoint_auth_method": "none", "scope": "claudeai"}),
            "https://claude.ai/api/mcp/auth_callback",
        ),
        (
            json!({"client_name": "Visual Studio Code", "redirect_uris": ["https://insiders.vscode.dev/redirect", "https://vscode.dev/redirect", "http://127.0.0.1/", "http://127.0.0.1:33418/"], "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"], "response_types": ["code"], "token_endpoint_auth_method": "none", "application_type": "native"}),
            "http://127.0.0.1:40123/",
        ),
        (
            json!({"client_name": "Cursor", "redirect_uris": ["cursor://anysphere.cursor-mcp/oauth/callback", "https://www.cursor.com/agents/mcp/oauth/callback", "http://localhost:8787/callback"], "token_endpoint_auth_method": "none"}),
            "cursor://anysphere.cursor-mcp/oauth/callback",
        ),
        (
            json!({"client_name": "Codex", "redirect_uris": ["http://127.0.0.1:1455/callback", "http://localhost:1455/callback"], "token_endpoint_auth_method": "none"}),
            "http://localhost:2000/callback",
        ),
        (
            json!({"client_name": "Gemini CLI MCP Client", "redirect_uris": ["http://localhost:7777/oauth/callback"], "grant_types": ["authorization_code", "refresh_token"]}),
            "http://localhost:39213/oauth/callback",
        ),
        (
            json!({"client_name": "MCP CLI Proxy", "redirect_uris": ["http://localhost:3334/oauth/callback"], "software_id": "2e6dc280-f3c3-4e01-99a7-8181dbd1d23d", "scope": "openid email profile", "token_endpoint_auth_method": "client_secret_post"}),
            "http://localhost:3334/oauth/callback",
        ),
    ] {
        let answer = server.post_json("/register", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let registered = answer.json();
        let method = body["token_endpoint_auth_method"].as_str().unwrap_or("client_secret_basic");
        assert_eq!(text(&registered, "token_endpoint_auth_method"), method);
        assert_eq!(registered.get("client_secret").is_some(), method != "none");
        assert_eq!(registered.get("client_secret_expires_at").is_some(), method != "none");
        let mut request = Server::request(text(&registered, "client_id"));
        request.insert("redirect_uri".into(), redirect.into());
        let page = browser.ask(&request).await;
        assert!(browser.answer(&page, "allow").await.target().unwrap().starts_with(redirect));
    }
}

#[tokio::test]
async fn as_063_as_064_as_074_b_28_what_is_refused_says_why() {
    let server = Server::start().await;
    for (body, error) in [
        (json!({}), "invalid_redirect_uri"),
        (json!({"redirect_uris": []}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["javascript:alert(1)"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["https://a.example/cb#x"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["http://a.example/cb"]}), "invalid_redirect_uri"),
        (json!({"redirect_uris": ["https://a.example/cb?code=x"]}), "invalid_redirect_uri"),
        (
            json!({"redirect_uris": (0..16).map(|n| format!("https://a.example/{n}")).collect::<Vec<_>>()}),
            "invalid_redirect_uri",
        ),
        (json!({"redirect_uris": "https://a.example/cb"}), "invalid_client_metadata"),
        (json!({"redirect_uris": [7]}), "invalid_client_metadata"),
        (
            json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "tls_client_auth"}),
            "invalid_client_metadata",
        ),
        (json!({"redirect_uris": [REDIRECT], "grant_types": ["implicit"]}), "invalid_client_metadata"),
        (json!({"redirect_uris": [REDIRECT], "response_types": ["token"]}), "invalid_client_metadata"),
        (
            json!({"redirect_uris": [REDIRECT], "jwks": {"keys": []}, "jwks_uri": "https://a.example/j"}),
            "invalid_client_metadata",
        ),
        (
            json!({"redirect_uris": [REDIRECT], "software_statement": "e30.e30."}),
            "invalid_software_statement",
        ),
        (json!([REDIRECT]), "invalid_client_metadata"),
    ] {
        let answer = server.post_json("/register", &body).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::BAD_REQUEST, error), "{body}");
        assert_eq!(answer.header("cache-control"), "no-store");
    }
    for raw in [
        "",
        "{",
        "null",
        "\"x\"",
        "{\"redirect_uris\":[\"https://a/\"],\"redirect_uris\":[\"https://b/\"]}",
        &"[".repeat(5000),
    ] {
        let request = Request::post("/register")
            .header("content-type", "application/json")
            .body(Body::from(raw.to_owned()))
            .unwrap();
        assert_eq!(server.send(request).await.error(), "invalid_client_metadata", "{raw:.40}");
    }
}

#[tokio::test]
async fn as_068_what_the_caller_chooses_is_ignored() {
    let server = Server::start().await;
    let body = json!({"redirect_uris": [REDIRECT], "client_id": "admin", "client_secret": "s", "registration_access_token": "t"});
    let registered = server.post_json("/register", &body).await.json();
    assert!(
        text(&registered, "client_id").starts_with("hpc_")
            && text(&registered, "client_secret").starts_with("hps_")
    );
    assert!(
        registered.get("registration_access_token").is_none()
            && registered.get("registration_client_uri").is_none()
    );
}

#[tokio::test]
async fn p09_unusable_uris_are_left_out_and_the_answer_says_so() {
    let server = Server::start().await;
    let body = json!({"redirect_uris": ["http://evil.example/cb", "https://good.example/cb"], "token_endpoint_auth_method": "none"});
    let registered = server.post_json("/register", &body).await.json();
    assert_eq!(registered["redirect_uris"], json!(["https://good.example/cb"]));
}

#[tokio::test]
async fn as_070_t_95_p17_a_flood_of_registrations_leaves_the_database_as_it_was_and_is_limited() {
    let server = Server::start().await;
    let database = server.folder.path().join("hallpass.sqlite");
    let before =
        (std::fs::metadata(&database).unwrap().len(), server.app.store.feed_after(0, 10).await.unwrap());
    let mut limited = 0;
    for _ in 0..200 {
        let answer = server.post_json("/register", &json!({"redirect_uris": [REDIRECT]})).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(!answer.header("retry-after").is_empty());
            assert_eq!(answer.error(), "temporarily_unavailable");
            limited += 1;
        }
    }
    assert_eq!(limited, 140);
    let after =
        (std::fs::metadata(&database).unwrap().len(), server.app.store.feed_after(0, 10).await.unwrap());
    assert_eq!(before, after);
}

#[tokio::test]
async fn as_066_t_12_markup_in_every_field_is_inert_on_the_page() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let polyglot = "\"><svg onload=alert(1)>'</title><script>";
    let body = json!({"redirect_uris": [REDIRECT], "client_name": polyglot, "client_uri": polyglot, "logo_uri": "javascript:alert(1)", "policy_uri": polyglot, "token_endpoint_auth_method": "none"});
    let answer = server.post_json("/register", &body).await;
    if answer.status == StatusCode::CREATED {
        let page = browser.ask(&Server::request(text(&answer.json(), "client_id"))).await;
        assert!(
            !page.text.contains("<svg")
                && !page.text.contains("<script")
                && !page.text.contains("javascript:")
        );
        assert!(page.header("content-security-policy").contains("default-src 'none'"));
    } else {
        assert_eq!(answer.error(), "invalid_client_metadata");
    }
}
