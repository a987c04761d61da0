//! Which redirect URI a request may use, as one function for registration, authorization and token requests.

use crate::uri::RedirectUri;

/// Proof that a redirect URI is one of the client's. Only from here on may an answer be sent to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedRedirect(RedirectUri);

impl CheckedRedirect {
    /// As the request wrote it, with its own port.
    pub const fn uri(&self) -> &RedirectUri {
        &self.0
    }
}

/// Why a redirect URI is refused. None of these may be reported to the redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// None given, and the client has not exactly one readable one.
    #[error("redirect_uri is required")]
    Missing,
    /// Not a redirect URI at all.
    #[error("redirect_uri is not acceptable: {0}")]
    Malformed(#[from] crate::uri::UriError),
    /// Not one of the client's.
    #[error("redirect_uri is not registered for this client")]
    NotRegistered,
}

/// Simple string comparison (RFC 9700 §4.1.3), and for http on a loopback host any port (RFC 8252 §7.3), with or
/// without one registered. `localhost` counts as a loopback host, because Claude Code and others register it.
pub fn matches(registered: &RedirectUri, asked: &RedirectUri) -> bool {
    registered.as_str() == asked.as_str()
        || match (without_port(registered), without_port(asked)) {
            (Some(registered), Some(asked)) => registered == asked,
            _ => false,
        }
}

/// The text that is compared: for http on loopback the port is left out and an absent path is `/`.
pub fn comparable(uri: &RedirectUri) -> String {
    without_port(uri).unwrap_or_else(|| uri.as_str().to_owned())
}

fn without_port(uri: &RedirectUri) -> Option<String> {
    if !uri.is_loopback() || uri.parsed().scheme() != "http" {
        return None;
    }
    let rest = uri.as_str().strip_prefix("http://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at_checked(end)?;
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next()?,
        None => authority.split(':').next()?,
    };
    let slash = if tail.starts_with('/') { "" } else { "/" };
    Some(format!("http://{host}{slash}{tail}"))
}

/// Finds the asked URI among the registered ones. `registered` answers whether a URI is one of the client's;
/// `only` is the single readable one, if there is exactly one.
pub fn check(
    asked: Option<&str>,
    only: Option<&RedirectUri>,
    registered: impl Fn(&RedirectUri) -> bool,
) -> Result<CheckedRedirect, RedirectError> {
    let Some(asked) = asked else {
        return only.cloned().map(CheckedRedirect).ok_or(RedirectError::Missing);
    };
    let asked = RedirectUri::parse(asked)?;
    if registered(&asked) { Ok(CheckedRedirect(asked)) } else { Err(RedirectError::NotRegistered) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(text: &str) -> RedirectUri {
        RedirectUri::parse(text).unwrap()
    }

    #[test]
    fn as_037_b_05_near_misses_do_not_match() {
        let registered = uri("https://client.example/cb?x=1");
        for near in [
            "https://client.example/cb",
            "https://client.example/cb?x=1&y=2",
            "https://client.example/cb?x=2",
            "https://client.example/cb/?x=1",
            "https://client.example/CB?x=1",
            "https://Client.example/cb?x=1",
            "https://client.example:443/cb?x=1",
            "https://client.example:8443/cb?x=1",
            "https://client.example./cb?x=1",
            "https://xclient.example/cb?x=1",
            "https://client.example.evil.example/cb?x=1",
            "https://client.example/%63b?x=1",
            "https://client.example//cb?x=1",
            "https://client.example/cb;a?x=1",
            "https://client.example/cb?x=1&",
        ] {
            assert!(!matches(&registered, &uri(near)), "{near}");
        }
        assert!(matches(&registered, &registered));
    }

    #[test]
    fn as_038_b_06_p04_any_port_on_loopback_and_nothing_else() {
        for (registered, asked) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb"),
            ("http://127.0.0.1:33418/", "http://127.0.0.1:65535/"),
            ("http://127.0.0.1:33418/", "http://127.0.0.1/"),
            ("http://localhost/callback", "http://localhost:3118/callback"),
            ("http://[::1]/cb", "http://[::1]:3000/cb"),
            ("http://localhost", "http://localhost:5000/"),
        ] {
            assert!(matches(&uri(registered), &uri(asked)), "{registered} {asked}");
        }
        for (registered, asked) in [
            ("http://127.0.0.1/cb", "http://localhost/cb"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/cb2"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/cb?x=1"),
            ("http://127.0.0.1/cb", "http://127.0.0.1/cb/"),
            ("https://localhost:1/cb", "https://localhost:2/cb"),
            ("https://client.example:1/cb", "https://client.example:2/cb"),
            ("cursor://a:1/cb", "cursor://a:2/cb"),
        ] {
            assert!(!matches(&uri(registered), &uri(asked)), "{registered} {asked}");
        }
    }

    #[test]
    fn as_040_a_missing_redirect_uri() {
        let only = uri("https://client.example/cb");
        assert_eq!(check(None, Some(&only), |_| false).unwrap().uri(), &only);
        assert_eq!(check(None, None, |_| true), Err(RedirectError::Missing));
        assert_eq!(
            check(Some("https://e.example/cb"), Some(&only), |_| false),
            Err(RedirectError::NotRegistered)
        );
        assert!(matches!(check(Some("javascript:x"), None, |_| true), Err(RedirectError::Malformed(_))));
    }
}
