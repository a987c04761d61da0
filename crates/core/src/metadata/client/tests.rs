//! Documents of real clients are read; those of attackers are not.

use super::*;
use proptest::prelude::*;
use serde_json::json;

/// Documents shaped like those that the clients of that name publish.
#[test]
fn as_047_documents_of_the_known_clients_are_accepted() {
    for document in [
        json!({
            "client_id": "https://claude.ai/oauth/mcp-oauth-client-metadata",
            "client_name": "Claude",
            "client_uri": "https://claude.ai",
            "redirect_uris": ["https://claude.ai/api/mcp/auth_callback", "https://claude.com/api/mcp/auth_callback"],
            "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:jwt-bearer"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
        }),
        json!({
            "client_id": "https://claude.ai/oauth/claude-code-client-metadata",
            "client_name": "Claude Code",
            "redirect_uris": ["http://localhost/callback", "http://127.0.0.1/callback"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        }),
        json!({
            "client_id": "https://chatgpt.com/oauth/client.json",
            "client_name": "ChatGPT",
            "redirect_uris": ["https://chatgpt.com/connector_platform_oauth_redirect"],
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_methods_supported": ["none", "private_key_jwt"],
            "token_endpoint_auth_signing_alg": "RS256",
            "jwks_uri": "https://chatgpt.com/oauth/jwks.json",
        }),
        json!({
            "client_id": "https://vscode.dev/oauth/client-metadata.json",
            "client_name": "Visual Studio Code",
            "application_type": "native",
            "redirect_uris": ["http://127.0.0.1:33418/", "https://vscode.dev/redirect"],
            "response_types": ["code"],
            "token_endpoint_auth_method": "none",
            "software_id": null,
            "client_name#fr": 7,
        }),
        json!({
            "client_id": "https://goose-docs.ai/oauth/client-metadata.json",
            "client_name": "Goose",
            "redirect_uris": ["http://localhost"],
            "jwks": {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]},
        }),
    ] {
        let id = document["client_id"].as_str().unwrap();
        let read = ClientMetadata::parse_document(document.to_string().as_bytes(), id).expect(id);
        assert_eq!(read.usable_redirect_uris().count(), read.redirect_uris.len(), "{id}");
        let published = ClientMetadataDocument { client_id: id.to_owned(), metadata: read.clone() };
        let written = serde_json::to_vec(&published).unwrap();
        assert_eq!(ClientMetadata::parse_document(&written, id), Ok(read), "{id}");
    }
}

const CLIENT: &str = "https://client.example/oauth.json";

fn document(change: impl FnOnce(&mut Value)) -> Result<ClientMetadata, ClientMetadataError> {
    let mut document = json!({
        "client_id": CLIENT,
        "client_name": "Client",
        "redirect_uris": ["https://client.example/callback"],
    });
    change(&mut document);
    ClientMetadata::parse_document(document.to_string().as_bytes(), CLIENT)
}

#[test]
fn as_045_the_client_id_is_the_url_of_the_document() {
    assert!(document(|_| ()).is_ok());
    for id in [
        "https://CLIENT.example/oauth.json",
        "https://client.example/oauth.json/",
        "https://client.example:443/oauth.json",
        "https://client.example/%6fauth.json",
        "https://client.example/oauth.json#",
        "",
    ] {
        assert_eq!(
            document(|d| d["client_id"] = json!(id)),
            Err(ClientMetadataError::ClientIdMismatch),
            "{id}"
        );
    }
    assert_eq!(document(|d| d["client_id"] = json!(null)), Err(ClientMetadataError::NoClientId));
}

#[test]
fn as_047_what_is_required_is_there_with_its_type() {
    use ClientMetadataError as E;
    let many = vec!["https://client.example/callback"; 17];
    let long = format!("https://client.example/{}", "a".repeat(2048));
    for (name, value, rule) in [
        ("client_name", json!(null), E::NoName),
        ("client_name", json!("  "), E::NoName),
        ("client_name", json!(["Client"]), E::WrongType(WrongType("client_name"))),
        ("client_name", json!("ä".repeat(1025)), E::NameTooLong),
        ("redirect_uris", json!(null), E::NoRedirectUri),
        ("redirect_uris", json!([]), E::NoRedirectUri),
        ("redirect_uris", json!(["javascript:alert(1)"]), E::NoRedirectUri),
        ("redirect_uris", json!("https://client.example/callback"), E::WrongType(WrongType("redirect_uris"))),
        ("redirect_uris", json!([1]), E::WrongType(WrongType("redirect_uris"))),
        ("redirect_uris", json!(many), E::TooManyRedirectUris),
        ("redirect_uris", json!([long]), E::RedirectUriTooLong),
        ("grant_types", json!("authorization_code"), E::WrongType(WrongType("grant_types"))),
        ("jwks", json!([]), E::WrongType(WrongType("jwks"))),
        ("jwks", json!({}), E::KeySet),
        ("jwks", json!({"keys": ["a"]}), E::KeySet),
        ("jwks_uri", json!("http://client.example/jwks"), E::JwksUri),
    ] {
        assert_eq!(document(|d| d[name] = value.clone()), Err(rule), "{name} {value}");
    }
    assert!(document(|d| d["client_name"] = json!("ä".repeat(1024))).is_ok());
    assert_eq!(
        document(|d| {
            d["jwks"] = json!({"keys": []});
            d["jwks_uri"] = json!("https://client.example/jwks");
        }),
        Err(E::BothKeySources)
    );
}

#[test]
fn as_048_a_document_has_no_secrets() {
    use ClientMetadataError as E;
    for method in ["client_secret_basic", "client_secret_post", "client_secret_jwt"] {
        assert_eq!(document(|d| d["token_endpoint_auth_method"] = json!(method)), Err(E::SecretAuthMethod));
    }
    for name in ["client_secret", "client_secret_expires_at"] {
        for value in [json!("x"), json!(0), json!(null)] {
            assert_eq!(document(|d| d[name] = value), Err(E::ClientSecret), "{name}");
        }
    }
    for name in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        let keys = json!({"keys": [{"kty": "EC"}, {"kty": "RSA", name: "AA"}]});
        assert_eq!(document(|d| d["jwks"] = keys), Err(E::PrivateKey), "{name}");
    }
    assert_eq!(document(|d| d["jwks"] = json!({"keys": [{"kty": "oct"}]})), Err(E::PrivateKey));
}

#[test]
fn as_066_links_that_cannot_be_shown_are_left_out() {
    for name in ["client_uri", "logo_uri", "policy_uri", "tos_uri"] {
        for url in
            ["javascript:alert(1)", "data:text/html,x", "http://client.example", "\"><svg onload=x>", ""]
        {
            let read = document(|d| d[name] = json!(url)).unwrap();
            assert_eq!(read, document(|_| ()).unwrap(), "{name} {url}");
        }
        assert_ne!(document(|d| d[name] = json!("https://client.example/a")), document(|_| ()));
    }
}

proptest! {
    #[test]
    fn as_063_nothing_panics(bytes: Vec<u8>) {
        let _ = ClientMetadata::parse_document(&bytes, CLIENT);
    }
}
