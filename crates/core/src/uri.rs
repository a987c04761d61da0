//! Identifiers that are URLs, kept as written beside what they mean.
//!
//! URL libraries add slashes, lower hosts and drop default ports; half of the field's `issuer` and `resource`
//! failures are this. What is written is what is compared, stored and sent; what was parsed is only looked at.

use std::fmt;
use url::{Host, Url};

/// Longest identifier that is read.
pub const MAX_LENGTH: usize = 2048;

/// Why an identifier is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Not an absolute URL, or one that a parser would have to repair.
    #[error("not an absolute URL as written")]
    Malformed,
    /// More than [`MAX_LENGTH`] bytes.
    #[error("longer than 2048 characters")]
    TooLong,
    /// Neither https nor http on a loopback host, nor another scheme that is allowed here.
    #[error("the scheme must be https (http only on localhost, 127.0.0.1 or [::1])")]
    Scheme,
    /// `user:password@` hides where a URL leads.
    #[error("must not contain a user name or password")]
    UserInfo,
    /// A fragment.
    #[error("must not contain a fragment")]
    Fragment,
    /// A query.
    #[error("must not contain a query")]
    Query,
    /// A client ID metadata document needs a path.
    #[error("must have a path")]
    NoPath,
    /// `.` or `..`, also percent-encoded.
    #[error("must not contain dot segments")]
    DotSegment,
    /// The query of a redirect URI holds a parameter of the authorization response.
    #[error("must not contain code, state, iss or error in its query")]
    ResponseParameter,
}

fn parse(text: &str) -> Result<Url, UriError> {
    if text.len() > MAX_LENGTH {
        return Err(UriError::TooLong);
    }
    // The parser strips tabs and newlines, turns `\` into `/` and percent-encodes: a reader downstream may not.
    if !text.bytes().all(|b| {
        b.is_ascii_graphic() && !matches!(b, b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}')
    }) {
        return Err(UriError::Malformed);
    }
    let parsed = Url::parse(text).map_err(|_| UriError::Malformed)?;
    if !parsed.username().is_empty() || parsed.password().is_some() || authority(text).contains('@') {
        return Err(UriError::UserInfo);
    }
    if parsed.fragment().is_some() {
        return Err(UriError::Fragment);
    }
    Ok(parsed)
}

/// The text between `//` and the next `/`, `?` or `#`.
fn authority(text: &str) -> &str {
    let after = text.split_once("://").map_or("", |(_, after)| after);
    after.split(['/', '?', '#']).next().unwrap_or("")
}

fn secure(parsed: &Url, text: &str) -> Result<(), UriError> {
    let written = match parsed.scheme() {
        "https" => text.starts_with("https://"),
        "http" if is_loopback(parsed) => text.starts_with("http://"),
        _ => return Err(UriError::Scheme),
    };
    // `HTTPS:`, `https:/host` and an authority that the parser had to repair are refused.
    if written && host_as_written(parsed, text) { Ok(()) } else { Err(UriError::Malformed) }
}

/// Whether the host stands in the text as parsed, so that no other parser finds another (`0x7f.1`, `ⅼocalhost`).
fn host_as_written(parsed: &Url, text: &str) -> bool {
    let written = authority(text).to_ascii_lowercase();
    parsed.host_str().is_some_and(|host| {
        written.strip_prefix(host).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
    })
}

fn has_dot_segment(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or("");
    path.split('/').skip(3).any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    })
}

/// Whether the host is one of the three names of this very machine: `localhost`, `127.0.0.1`, `[::1]`.
pub fn is_loopback(parsed: &Url) -> bool {
    match parsed.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address == std::net::Ipv4Addr::LOCALHOST,
        Some(Host::Ipv6(address)) => address == std::net::Ipv6Addr::LOCALHOST,
        None => false,
    }
}

macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash)]
        pub struct $name {
            text: Box<str>,
            parsed: Url,
        }

        impl $name {
            /// As written.
            pub fn as_str(&self) -> &str {
                &self.text
            }

            /// What it means. Never written back.
            pub const fn parsed(&self) -> &Url {
                &self.parsed
            }

            /// Whether it names this very machine.
            pub fn is_loopback(&self) -> bool {
                is_loopback(&self.parsed)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.text)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.text)
            }
        }
    )+};
}

identifiers! {
    /// The issuer identifier of an authorization server (RFC 8414 §2): https, no query, no fragment.
    Issuer
    /// The identifier of a protected resource (RFC 8707 §2, RFC 9728 §1.2): https, no fragment.
    ResourceUri
    /// Where an authorization response is sent (RFC 6749 §3.1.2): https, http on loopback, or a private-use scheme.
    RedirectUri
    /// A `client_id` that is the URL of the client's metadata document.
    ClientMetadataUrl
    /// An endpoint named by configuration or metadata: https, or http on loopback.
    EndpointUrl
}

impl Issuer {
    /// Reads an issuer identifier.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let parsed = parse(text)?;
        secure(&parsed, text)?;
        if parsed.query().is_some() {
            return Err(UriError::Query);
        }
        if has_dot_segment(text) {
            return Err(UriError::DotSegment);
        }
        Ok(Self { text: text.into(), parsed })
    }

    /// Its path without a terminating slash: empty, or `/tenant`.
    pub fn path(&self) -> &str {
        self.parsed.path().trim_end_matches('/')
    }

    /// Scheme, host and port as written, without a path.
    pub fn origin(&self) -> &str {
        let scheme = self.text.find("://").map_or(0, |at| at + 3);
        let end =
            self.text.get(scheme..).and_then(|rest| rest.find('/')).map_or(self.text.len(), |at| scheme + at);
        self.text.get(..end).unwrap_or(&self.text)
    }

    /// The URL of an endpoint below it.
    pub fn endpoint(&self, path: &str) -> String {
        format!("{}{path}", self.text.trim_end_matches('/'))
    }
}

impl ResourceUri {
    /// Reads a resource identifier.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let parsed = parse(text)?;
        secure(&parsed, text)?;
        Ok(Self { text: text.into(), parsed })
    }

    /// Whether `asked` means this resource: the same text, but for the case of scheme and host and one terminating
    /// slash. Tokens carry the registered form.
    pub fn is_meant_by(&self, asked: &str) -> bool {
        fn parts(text: &str) -> (&str, &str) {
            let start = text.find("://").map_or(0, |at| at + 3);
            let end =
                text.get(start..).and_then(|rest| rest.find(['/', '?'])).map_or(text.len(), |at| start + at);
            let (origin, rest) = text.split_at_checked(end).unwrap_or((text, ""));
            (origin, rest.strip_suffix('/').unwrap_or(rest))
        }
        let ((own, path), (origin, asked)) = (parts(&self.text), parts(asked));
        own.eq_ignore_ascii_case(origin) && path == asked
    }
}

/// Schemes that run something or show something when "redirected" to: never a redirect URI.
const DANGEROUS_SCHEMES: [&str; 16] = [
    "javascript",
    "data",
    "vbscript",
    "file",
    "blob",
    "about",
    "filesystem",
    "view-source",
    "ftp",
    "ws",
    "wss",
    "mailto",
    "tel",
    "sms",
    "chrome",
    "jar",
];

impl RedirectUri {
    /// Reads a redirect URI. One function for registration and authorization: what is accepted at the one place
    /// is accepted at the other.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let parsed = parse(text)?;
        let scheme = parsed.scheme();
        if matches!(scheme, "http" | "https") {
            secure(&parsed, text)?;
            if has_dot_segment(text) {
                return Err(UriError::DotSegment);
            }
        } else if DANGEROUS_SCHEMES.contains(&scheme) || !text.starts_with(scheme) {
            return Err(UriError::Scheme);
        }
        let response = ["code", "state", "iss", "error"];
        if parsed.query_pairs().any(|(name, _)| response.contains(&&*name)) {
            return Err(UriError::ResponseParameter);
        }
        Ok(Self { text: text.into(), parsed })
    }

    /// Whether it is https.
    pub fn is_https(&self) -> bool {
        self.parsed.scheme() == "https"
    }

    /// Whether it is neither https nor http: an app's own scheme (RFC 8252 §7.1).
    pub fn is_private_use(&self) -> bool {
        !matches!(self.parsed.scheme(), "http" | "https")
    }

    /// What a person is shown as the receiver: host and port, or the whole scheme form of an app's own scheme.
    pub fn receiver(&self) -> String {
        if self.is_private_use() {
            let end = self.text.find("://").map_or_else(
                || self.text.find(':').unwrap_or(0) + 1,
                |at| at + 3 + authority(&self.text).len(),
            );
            return self.text.get(..end).unwrap_or(&self.text).to_owned();
        }
        authority(&self.text).to_ascii_lowercase()
    }
}

impl ClientMetadataUrl {
    /// Reads a `client_id` as a metadata document URL (draft-ietf-oauth-client-id-metadata-document-01 §2).
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let parsed = parse(text)?;
        if parsed.scheme() != "https" {
            return Err(UriError::Scheme);
        }
        secure(&parsed, text)?;
        if parsed.query().is_some() {
            return Err(UriError::Query);
        }
        if has_dot_segment(text) {
            return Err(UriError::DotSegment);
        }
        if text.split('/').nth(3).is_none() || parsed.path() == "/" {
            return Err(UriError::NoPath);
        }
        // The URL that is fetched has to be the one that is compared.
        if parsed.as_str() == text {
            Ok(Self { text: text.into(), parsed })
        } else {
            Err(UriError::Malformed)
        }
    }

    /// Host of the document: who vouches for the client.
    pub fn host(&self) -> &str {
        self.parsed.host_str().unwrap_or_default()
    }
}

impl EndpointUrl {
    /// Reads an endpoint.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let parsed = parse(text)?;
        secure(&parsed, text)?;
        Ok(Self { text: text.into(), parsed })
    }
}

#[cfg(test)]
mod tests;
