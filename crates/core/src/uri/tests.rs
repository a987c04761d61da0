//! Tables of what is and what is not an identifier.
use super::*;

#[test]
fn identifiers_stay_as_written() {
    for text in
        ["https://a.example", "https://a.example/", "https://A.example:443/t", "http://localhost:8080"]
    {
        assert_eq!(Issuer::parse(text).unwrap().as_str(), text);
    }
    assert_eq!(Issuer::parse("https://a.example/t/").unwrap().origin(), "https://a.example");
    assert_eq!(Issuer::parse("https://a.example/t").unwrap().endpoint("/token"), "https://a.example/t/token");
    assert_eq!(Issuer::parse("https://a.example").unwrap().path(), "");
}

#[test]
fn as_001_as_021_what_is_no_issuer() {
    for (text, error) in [
        ("http://a.example", UriError::Scheme),
        ("ftp://a.example", UriError::Scheme),
        ("https://a.example?x=1", UriError::Query),
        ("https://a.example#x", UriError::Fragment),
        ("https://u@a.example", UriError::UserInfo),
        ("https://@a.example", UriError::UserInfo),
        ("https://a.example/../x", UriError::DotSegment),
        ("a.example", UriError::Malformed),
        ("https:/a.example", UriError::Malformed),
        ("HTTPS://a.example", UriError::Malformed),
        ("http://2130706433", UriError::Malformed),
    ] {
        assert_eq!(Issuer::parse(text), Err(error), "{text}");
    }
}

#[test]
fn as_036_b_28_what_is_no_redirect_uri() {
    for text in [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\tscript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://a.example/x",
        "about:blank",
        "view-source:https://a.example",
        "https://good.example@evil.example/",
        "https://good.example\\@evil.example/",
        "https://a.example/cb#f",
        "http://a.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.2/cb",
        "http://0.0.0.0/cb",
        "http://[::ffff:127.0.0.1]/cb",
        "http://2130706433/cb",
        "http://0x7f.1/cb",
        "http://127.1/cb",
        "https://a.example/a/../cb",
        "https://a.example/%2e%2e/cb",
        "//a.example/cb",
        "/cb",
        "cb",
        "",
        " https://a.example/cb",
        "https://a.example/c b",
        "https://a.example/cb\n",
        "https:///cb",
        "https:a.example",
        "https://",
        "https://a.example/cb?code=x",
        "https://a.example/cb?x=1&state=y",
        "ws://a.example/cb",
        "mailto:a@b.example",
        "Cursor://x/y",
    ] {
        assert!(RedirectUri::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn p09_what_real_clients_register() {
    for (text, receiver) in [
        ("cursor://anysphere.cursor-mcp/oauth/callback", "cursor://anysphere.cursor-mcp"),
        ("https://www.cursor.com/agents/mcp/oauth/callback", "www.cursor.com"),
        ("http://localhost:8787/callback", "localhost:8787"),
        ("http://127.0.0.1/", "127.0.0.1"),
        ("http://[::1]:3000/cb", "[::1]:3000"),
        ("com.example.app:/oauth", "com.example.app:"),
        ("https://claude.ai/api/mcp/auth_callback", "claude.ai"),
        ("https://a.example/cb?tenant=1", "a.example"),
    ] {
        assert_eq!(RedirectUri::parse(text).unwrap().receiver(), receiver, "{text}");
    }
}

#[test]
fn as_044_what_is_no_metadata_document_url() {
    for text in [
        "http://a.example/c",
        "https://a.example",
        "https://a.example/",
        "https://a.example/c#f",
        "https://u@a.example/c",
        "https://a.example/./c",
        "https://a.example/%2E%2e/c",
        "https://a.example/c?x",
        "https://a.example/c\t",
        "https://A.example/c",
        "https://a.example:443/c",
        "https://a.example//\\c",
    ] {
        assert!(ClientMetadataUrl::parse(text).is_err(), "{text:?}");
    }
    let url = ClientMetadataUrl::parse("https://claude.ai/oauth/claude-code-client-metadata").unwrap();
    assert_eq!(url.host(), "claude.ai");
    assert!(ClientMetadataUrl::parse("https://localhost:8443/client.json").is_ok());
}

#[test]
fn p02_a_resource_is_meant_by_its_spellings() {
    let resource = ResourceUri::parse("https://a.example/mcp").unwrap();
    for same in ["https://a.example/mcp", "https://a.example/mcp/", "HTTPS://A.Example/mcp"] {
        assert!(resource.is_meant_by(same), "{same}");
    }
    for other in [
        "https://a.example/MCP",
        "https://a.example/mcpx",
        "https://a.example",
        "https://a.example/mcp//",
        "https://a.example:443/mcp",
    ] {
        assert!(!resource.is_meant_by(other), "{other}");
    }
    assert!(ResourceUri::parse("https://a.example").unwrap().is_meant_by("https://a.example/"));
}
