//! Redirect URIs and identifiers: compared as written, meant as `url` reads them.

use super::lines;
use hallpass_core::{
    redirect,
    uri::{EndpointUrl, Issuer, RedirectUri, ResourceUri},
};
use std::str;
use url::Url;

/// The first line is registered, the second is asked for. What matches goes to the same place in every reading.
pub fn redirect(bytes: &[u8]) {
    let Some([registered, asked]) = lines(bytes).and_then(|lines| <[&str; 2]>::try_from(lines).ok()) else {
        return;
    };
    let (Ok(registered), Ok(asked)) = (RedirectUri::parse(registered), RedirectUri::parse(asked)) else {
        return;
    };
    let matches = redirect::matches(&registered, &asked);
    assert_eq!(matches, redirect::matches(&asked, &registered), "one way only");
    assert_eq!(matches, redirect::comparable(&registered) == redirect::comparable(&asked), "by tag");
    assert!(redirect::matches(&registered, &registered));
    for uri in [&registered, &asked] {
        let parsed = Url::parse(uri.as_str()).expect("a URL for everybody");
        assert!(parsed.username().is_empty() && parsed.password().is_none(), "{uri}");
        assert_eq!(parsed.fragment(), None, "{uri}");
        assert!(!uri.as_str().contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\'), "{uri}");
        assert!(!matches!(parsed.scheme(), "javascript" | "data" | "file" | "blob" | "vbscript"), "{uri}");
    }
    if matches {
        let (one, other) = (registered.parsed(), asked.parsed());
        assert_eq!(one.scheme(), other.scheme());
        assert_eq!(one.host(), other.host());
        assert_eq!(one.path(), other.path());
        assert_eq!(one.query(), other.query());
        let any_port = one.scheme() == "http" && registered.is_loopback();
        assert!(any_port || one.port() == other.port(), "{registered} {asked}");
    }
}

/// An identifier is kept as written, is absolute, and says nothing that a log or a header could trip over.
pub fn identifiers(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(issuer) = Issuer::parse(text) {
        sound(text, issuer.as_str(), issuer.parsed());
        assert!(issuer.endpoint("/token").starts_with(text.trim_end_matches('/')));
        assert!(text.starts_with(issuer.origin()));
    }
    if let Ok(resource) = ResourceUri::parse(text) {
        sound(text, resource.as_str(), resource.parsed());
        assert!(resource.is_meant_by(text));
    }
    if let Ok(url) = EndpointUrl::parse(text) {
        sound(text, url.as_str(), url.parsed());
    }
}

fn sound(text: &str, kept: &str, parsed: &Url) {
    assert_eq!(text, kept);
    assert_eq!(Url::parse(text).as_ref(), Ok(parsed));
    assert!(matches!(parsed.scheme(), "https" | "http"), "{text}");
    assert!(parsed.has_host() && parsed.username().is_empty() && parsed.password().is_none(), "{text}");
    assert!(!text.contains(|c: char| c.is_control() || c.is_whitespace()), "{text:?}");
}
