//! Paths, identifiers and upstreams, right and wrong.

use super::*;

fn server(path: &str) -> ProtectedServer {
    ProtectedServer {
        page: None,
        name: "files".into(),
        path: path.into(),
        resource: ResourceUri::parse(&format!("https://h.example{path}")).unwrap(),
        issuer: "https://h.example".into(),
        own_tokens: true,
        issuers: vec![],
        authorization_servers: vec!["https://h.example".into()],
        scopes: Scope::none(),
        required_scope: Scope::none(),
        upstream: "http://10.0.0.7:3001/mcp?key=1".into(),
        title: None,
        policy: Policy::default(),
        bound_tokens: BoundTokens::Offered,
        callers: CallerLimits::default(),
        caller_audience: None,
        upstream_credential: None,
        recorded: RecordedArguments::default(),
    }
}

fn check(server: &ProtectedServer) -> Result<(), ConfigError> {
    server.check("https://h.example", &["/more/here".into()])
}

#[test]
fn paths_of_ours_are_refused_with_a_sentence() {
    for good in ["/mcp", "/a/b-c", "/authorized", "/tokens", "/more/there", "/mcp.v1"] {
        assert_eq!(check(&server(good)), Ok(()), "{good}");
    }
    for taken in [
        "/",
        "/authorize",
        "/authorize/mcp",
        "/token",
        "/register",
        "/revoke",
        "/jwks",
        "/sign-in",
        "/sign-out",
        "/setup",
        "/account",
        "/account/mcp",
        "/assets",
        "/consent",
        "/.well-known",
        "/.well-known/mcp",
        "/more",
        "/more/here/x",
    ] {
        let error = check(&server(taken)).unwrap_err();
        assert!(matches!(error, ConfigError::PathTaken { .. }), "{taken}: {error}");
        assert!(error.to_string().contains("choose another"));
    }
}

#[test]
fn rs_047_only_paths_that_every_reader_takes_for_the_same() {
    for bad in [
        "mcp", "", "/mcp/", "//mcp", "/a//b", "/a/../b", "/./a", "/%6dcp", "/{x}", "/*x", "/a b", "/ü",
        "/a;b",
    ] {
        let server = ProtectedServer { path: bad.into(), ..server("/mcp") };
        assert!(matches!(check(&server), Err(ConfigError::Path { .. })), "{bad}");
    }
}

#[test]
fn rs_002_the_resource_is_the_url_that_is_called() {
    for other in [
        "https://h.example/mcp/",
        "https://h.example/other",
        "https://H.example/mcp",
        "https://i.example/mcp",
    ] {
        let server = ProtectedServer { resource: ResourceUri::parse(other).unwrap(), ..server("/mcp") };
        let expected = "https://h.example/mcp".to_owned();
        assert_eq!(check(&server), Err(ConfigError::Resource { name: "files".into(), expected }), "{other}");
    }
}

#[test]
fn upstreams_are_http_urls() {
    for bad in [
        "",
        "127.0.0.1:3001",
        "https://",
        "https://u:p@x.example/mcp",
        "ftp://x/",
        "http://",
        "http://u@h/",
        "http://h/#x",
        "/mcp",
    ] {
        let server = ProtectedServer { upstream: bad.into(), ..server("/mcp") };
        assert_eq!(check(&server), Err(ConfigError::Upstream("files".into())), "{bad}");
    }
    for good in ["http://10.0.0.7/mcp", "https://x.example/mcp?key=1", "https://[::1]:8443/"] {
        assert_eq!(check(&ProtectedServer { upstream: good.into(), ..server("/mcp") }), Ok(()), "{good}");
    }
    let server = ProtectedServer { authorization_servers: vec![], ..server("/mcp") };
    assert_eq!(check(&server), Err(ConfigError::NoAuthorizationServer("files".into())));
}
