//! Documents of real clients and servers are read; those of attackers are not.

use super::*;
use crate::secret::SecretString;
use proptest::prelude::*;
use serde_json::{Value, json};

const ISSUER: &str = "https://as.example/tenant";

fn server(change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut document = json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://as.example/tenant/authorize?tenant=1",
        "token_endpoint": "https://as.example/tenant/token",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "unknown": [{"a": 1}],
    });
    change(&mut document);
    document.to_string().into_bytes()
}

#[test]
fn cl_009_the_issuer_is_identical_or_the_document_is_not_used() {
    let read = AuthorizationServerMetadata::parse(&server(|_| ()), ISSUER).unwrap();
    assert!(read.supports_s256() && read.authorization_response_iss_parameter_supported);
    assert_eq!(read.authorization_endpoint.as_deref(), Some("https://as.example/tenant/authorize?tenant=1"));
    for issuer in [
        "https://as.example/tenant/",
        "https://AS.example/tenant",
        "https://as.example:443/tenant",
        "https://as.example/Tenant",
        "https://as.example",
        "https://evil.example/tenant",
    ] {
        let document = server(|d| d["issuer"] = json!(issuer));
        assert_eq!(
            AuthorizationServerMetadata::parse(&document, ISSUER),
            Err(MetadataError::IssuerMismatch),
            "{issuer}"
        );
    }
    for issuer in [
        "http://as.example",
        "https://as.example/?a",
        "https://as.example/#a",
        "https://a@b.example",
        "as",
        "",
    ] {
        let document = server(|d| d["issuer"] = json!(issuer));
        assert_eq!(
            AuthorizationServerMetadata::parse(&document, issuer),
            Err(MetadataError::Issuer),
            "{issuer}"
        );
    }
    let document = server(|d| drop(d.as_object_mut().unwrap().remove("issuer")));
    assert_eq!(AuthorizationServerMetadata::parse(&document, ISSUER), Err(MetadataError::Missing("issuer")));
}

#[test]
fn cl_010_endpoints_are_https_or_loopback() {
    const ENDPOINTS: [&str; 8] = [
        "authorization_endpoint",
        "token_endpoint",
        "registration_endpoint",
        "revocation_endpoint",
        "introspection_endpoint",
        "device_authorization_endpoint",
        "pushed_authorization_request_endpoint",
        "jwks_uri",
    ];
    for name in ENDPOINTS {
        for url in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "http://as.example/x",
            "https://u:p@as.example/x",
            "https://as.example/x#y",
            "/token",
            "data:,x",
        ] {
            let document = server(|d| d[name] = json!(url));
            assert_eq!(
                AuthorizationServerMetadata::parse(&document, ISSUER),
                Err(MetadataError::Endpoint(name)),
                "{name} {url}"
            );
        }
        for url in ["http://127.0.0.1:8080/x", "http://localhost/x", "https://other.example/x"] {
            assert!(AuthorizationServerMetadata::parse(&server(|d| d[name] = json!(url)), ISSUER).is_ok());
        }
    }
}

#[test]
fn cl_011_s256_has_to_be_listed() {
    for methods in [json!(null), json!([]), json!(["plain"]), json!(["s256"])] {
        let document = server(|d| d["code_challenge_methods_supported"] = methods.clone());
        assert!(!AuthorizationServerMetadata::parse(&document, ISSUER).unwrap().supports_s256(), "{methods}");
    }
    let document = server(|d| d["code_challenge_methods_supported"] = json!(["plain", "S256"]));
    assert!(AuthorizationServerMetadata::parse(&document, ISSUER).unwrap().supports_s256());
}

#[test]
fn cl_017_wrong_types_are_refused_by_name() {
    for (name, value) in [
        ("issuer", json!(1)),
        ("token_endpoint", json!(["https://a.example"])),
        ("scopes_supported", json!("a b")),
        ("grant_types_supported", json!([1])),
        ("authorization_response_iss_parameter_supported", json!("true")),
    ] {
        let document = server(|d| d[name] = value);
        assert_eq!(
            AuthorizationServerMetadata::parse(&document, ISSUER),
            Err(MetadataError::WrongType(WrongType(name)))
        );
    }
    let twice = format!("{{\"issuer\":\"{ISSUER}\",\"issuer\":\"https://evil.example\"}}");
    assert_eq!(
        AuthorizationServerMetadata::parse(twice.as_bytes(), ISSUER),
        Err(MetadataError::Json(JsonError::DuplicateMember))
    );
    assert_eq!(
        AuthorizationServerMetadata::parse(b"[\"https://as.example\"]", ISSUER),
        Err(MetadataError::Json(JsonError::NotAnObject))
    );
}

#[test]
fn as_026_absent_lists_mean_what_the_standard_says() {
    let read = AuthorizationServerMetadata::parse(&server(|_| ()), ISSUER).unwrap();
    assert!(read.supports_auth_method("client_secret_basic") && !read.supports_auth_method("none"));
    assert!(read.supports_grant_type("authorization_code") && !read.supports_grant_type("refresh_token"));
    assert!(!read.lists_scope("offline_access"));
    let document = server(|d| {
        d["token_endpoint_auth_methods_supported"] = json!(["none"]);
        d["grant_types_supported"] = json!(["refresh_token"]);
        d["scopes_supported"] = json!(["offline_access"]);
    });
    let read = AuthorizationServerMetadata::parse(&document, ISSUER).unwrap();
    assert!(!read.supports_auth_method("client_secret_basic") && read.supports_auth_method("none"));
    assert!(!read.supports_grant_type("authorization_code") && read.supports_grant_type("refresh_token"));
    assert!(read.lists_scope("offline_access"));
}

#[test]
fn as_012_what_is_absent_is_not_written() {
    let ours = AuthorizationServerMetadata {
        issuer: ISSUER.into(),
        response_types_supported: Some(vec!["code".into()]),
        client_id_metadata_document_supported: true,
        ..AuthorizationServerMetadata::default()
    };
    assert_eq!(
        serde_json::to_value(&ours).unwrap(),
        json!({"issuer": ISSUER, "response_types_supported": ["code"], "client_id_metadata_document_supported": true})
    );
    let resource = ProtectedResourceMetadata { resource: "https://h/mcp".into(), ..Default::default() };
    assert_eq!(serde_json::to_value(&resource).unwrap(), json!({"resource": "https://h/mcp"}));
    let client = ClientMetadata::default();
    assert_eq!(serde_json::to_value(&client).unwrap(), json!({}));
}

/// Every member that is written is read back: a name that is spelled differently in the two is found here.
#[test]
fn what_is_written_is_read_back() {
    let text = || Some("https://as.example/x".to_owned());
    let list = || Some(vec!["a".to_owned(), "b".to_owned()]);
    let ours = AuthorizationServerMetadata {
        issuer: ISSUER.into(),
        authorization_endpoint: text(),
        token_endpoint: text(),
        registration_endpoint: text(),
        revocation_endpoint: text(),
        introspection_endpoint: text(),
        device_authorization_endpoint: text(),
        pushed_authorization_request_endpoint: text(),
        require_pushed_authorization_requests: true,
        jwks_uri: text(),
        scopes_supported: list(),
        response_types_supported: list(),
        response_modes_supported: list(),
        grant_types_supported: list(),
        token_endpoint_auth_methods_supported: list(),
        token_endpoint_auth_signing_alg_values_supported: list(),
        revocation_endpoint_auth_methods_supported: list(),
        revocation_endpoint_auth_signing_alg_values_supported: list(),
        introspection_endpoint_auth_methods_supported: list(),
        introspection_endpoint_auth_signing_alg_values_supported: list(),
        code_challenge_methods_supported: list(),
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: true,
        dpop_signing_alg_values_supported: list(),
        authorization_grant_profiles_supported: list(),
        identity_chaining_requested_token_types_supported: list(),
        protected_resources: list(),
        authorization_details_types_supported: list(),
        subject_types_supported: list(),
        id_token_signing_alg_values_supported: list(),
        service_documentation: text(),
        ui_locales_supported: list(),
        op_policy_uri: text(),
        op_tos_uri: text(),
    };
    let written = serde_json::to_vec(&ours).unwrap();
    assert_eq!(AuthorizationServerMetadata::parse(&written, ISSUER), Ok(ours));

    let ours = ProtectedResourceMetadata {
        resource: "https://h/mcp".into(),
        authorization_servers: vec![ISSUER.into(), "http://evil.example".into()],
        scopes_supported: list(),
        bearer_methods_supported: list(),
        jwks_uri: text(),
        resource_name: text(),
        resource_documentation: text(),
        authorization_details_types_supported: list(),
        dpop_signing_alg_values_supported: list(),
        dpop_bound_access_tokens_required: true,
    };
    let written = serde_json::to_vec(&ours).unwrap();
    assert_eq!(ProtectedResourceMetadata::parse(&written, "https://h/mcp").as_ref(), Ok(&ours));
    assert_eq!(ours.issuers().map(|issuer| issuer.to_string()).collect::<Vec<_>>(), [ISSUER]);
}

fn accepts(resource: &str, server: &str) -> bool {
    let document = json!({ "resource": resource }).to_string();
    let parsed = ProtectedResourceMetadata::parse(document.as_bytes(), server);
    assert!(matches!(parsed, Ok(_) | Err(MetadataError::ResourceMismatch)));
    parsed.is_ok()
}

#[test]
fn cl_003_a_resource_speaks_for_itself_and_what_is_below() {
    for (resource, server) in [
        ("https://h/mcp", "https://h/mcp"),
        ("https://h/mcp/", "https://h/mcp"),
        ("https://h/mcp", "https://h/mcp/"),
        ("https://h/mcp", "https://h/mcp/v1"),
        ("https://h/mcp/", "https://h/mcp/v1"),
        ("https://h/mcp", "https://h/mcp?a=b"),
        ("https://h/mcp?a=b", "https://h/mcp?a=b"),
        ("https://h", "https://h/mcp"),
        ("https://h/", "https://h"),
        ("https://H.example/mcp", "HTTPS://h.EXAMPLE/mcp"),
        ("http://127.0.0.1:8/mcp", "http://127.0.0.1:8/mcp"),
    ] {
        assert!(accepts(resource, server), "{resource} {server}");
    }
    for (resource, server) in [
        ("https://h/mcp", "https://h/mcpx"),
        ("https://h/mcp/v1", "https://h/mcp"),
        ("https://h/mcp", "https://h/MCP"),
        ("https://h/other", "https://h/mcp"),
        ("https://h/mcp", "https://h:8443/mcp"),
        ("https://h/mcp", "https://h:443/mcp"),
        ("https://h/mcp", "https://h.evil/mcp"),
        ("https://evil/mcp", "https://h/mcp"),
        ("https://h@evil/mcp", "https://evil/mcp"),
        ("https://evil@h/mcp", "https://h/mcp"),
        ("http://localhost/mcp", "https://localhost/mcp"),
        ("http://h/mcp", "http://h/mcp"),
        ("https://h/mcp#x", "https://h/mcp"),
        ("https://h/mcp?a=c", "https://h/mcp?a=b"),
        ("https://h/mcp?a=b", "https://h/mcp/v1?a=b"),
        ("https://h/mcp", "https://h/mcp/../other"),
        ("https://h/mcp", "https://h/mcp/%2E./other"),
        ("https://h\\mcp", "https://h/mcp"),
        ("/mcp", "https://h/mcp"),
        ("", "https://h/mcp"),
    ] {
        assert!(!accepts(resource, server), "{resource} {server}");
    }
}

#[test]
fn cl_023_the_answer_to_a_registration_may_be_short() {
    let read =
        ClientRegistrationResponse::parse(br#"{"client_id":"c","client_uri":7,"contacts":null}"#).unwrap();
    assert_eq!((read.client_id.as_str(), read.client_secret), ("c", None));
    let read = ClientRegistrationResponse::parse(
        br#"{"client_id":"c","client_secret":"s","client_secret_expires_at":0,"scope":"a b","grant_types":["refresh_token"],
            "token_endpoint_auth_method":"client_secret_post","redirect_uris":["http://127.0.0.1/"],"client_id_issued_at":"x"}"#,
    )
    .unwrap();
    assert_eq!(read.client_secret, Some(SecretString::new("s")));
    assert_eq!(read.client_secret_expires_at, Some(0));
    assert_eq!(read.metadata.token_endpoint_auth_method.as_deref(), Some("client_secret_post"));
    assert_eq!(read.metadata.scope.as_deref(), Some("a b"));
    let written = serde_json::to_vec(&read).unwrap();
    assert_eq!(ClientRegistrationResponse::parse(&written), Ok(read.clone()));
    assert!(!format!("{read:?}").contains("\"s\""));
    for bytes in ["{}", "{\"client_id\":\"\"}", "{\"client_id\":null}"] {
        assert_eq!(
            ClientRegistrationResponse::parse(bytes.as_bytes()),
            Err(MetadataError::Missing("client_id"))
        );
    }
}

proptest! {
    #[test]
    fn cl_017_nothing_panics(bytes: Vec<u8>, url: String, other: String) {
        let _ = AuthorizationServerMetadata::parse(&bytes, ISSUER);
        let _ = ClientRegistrationResponse::parse(&bytes);
        let _ = well_known::authorization_server_urls(&url);
        let _ = well_known::protected_resource_urls(&url);
        let _ = ProtectedResourceMetadata { resource: url, ..Default::default() }.accepts(&other);
    }
}
