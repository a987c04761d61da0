//! `WWW-Authenticate`: one challenge, how it is written, and how those of others are read.
//!
//! ```
//! use hallpass_core::challenge::{self, Challenge};
//!
//! let written = Challenge::bearer()
//!     .error("insufficient_scope")
//!     .scope("files:read files:write")
//!     .resource_metadata("https://mcp.example/.well-known/oauth-protected-resource/mcp")
//!     .to_string();
//! let read = challenge::parse(&[&written]);
//! assert_eq!(read[0].parameter("scope"), Some("files:read files:write"));
//! ```

mod parse;

use std::fmt;

pub use parse::parse;

/// Longest `error_description` that is written, in characters.
const MAX_DESCRIPTION: usize = 256;

/// One challenge (RFC 9110 §11.6.1).
///
/// Written, it is one line of printable ASCII whatever was put in, because tool names and scopes of strangers end
/// up in it. Read, its texts are the peer's: show them as text, never follow them unchecked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    scheme: String,
    token68: Option<String>,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// A `Bearer` challenge (RFC 6750 §3).
    pub fn bearer() -> Self {
        Self::new("Bearer")
    }

    /// A challenge of another scheme, such as `DPoP` (RFC 9449 §7.1) or `Basic` (RFC 7617 §2).
    pub fn new(scheme: &'static str) -> Self {
        Self { scheme: scheme.to_owned(), token68: None, parameters: Vec::new() }
    }

    /// Sets `realm` (RFC 9110 §11.5).
    #[must_use]
    pub fn realm(self, realm: &str) -> Self {
        self.with("realm", realm)
    }

    /// Sets `error`, a registered code (RFC 6750 §3.1). Not for a request that carried no credentials.
    #[must_use]
    pub fn error(self, code: &str) -> Self {
        self.set("error", described(code))
    }

    /// Sets `error_description`. Quotes and backslashes are not in its alphabet (RFC 6750 §3) and are replaced.
    #[must_use]
    pub fn error_description(self, text: &str) -> Self {
        self.set("error_description", described(text))
    }

    /// Sets `scope`: scope tokens with spaces between them. A token outside the alphabet of RFC 6749 §3.3 is left
    /// out as a whole: half of it would name another scope.
    #[must_use]
    pub fn scope(self, scopes: &str) -> Self {
        let tokens: Vec<&str> =
            scopes.split(' ').filter(|token| !token.is_empty() && token.bytes().all(is_nqchar)).collect();
        self.set("scope", tokens.join(" "))
    }

    /// Sets `resource_metadata`, the absolute URL of the protected resource metadata (RFC 9728 §5.1).
    #[must_use]
    pub fn resource_metadata(self, url: &str) -> Self {
        let written =
            |byte| if is_nqchar(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
        self.set("resource_metadata", url.bytes().map(written).collect())
    }

    /// Sets any other parameter, such as `algs` (RFC 9449 §7.1).
    #[must_use]
    pub fn with(self, name: &'static str, value: &str) -> Self {
        self.set(name, value.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect())
    }

    /// Each parameter occurs at most once (RFC 9110 §11.2), so a second value replaces the first, and an empty one
    /// removes it.
    fn set(mut self, name: &'static str, value: String) -> Self {
        self.parameters.retain(|(other, _)| other != name);
        if !value.is_empty() {
            self.parameters.push((name.to_owned(), value));
        }
        self
    }

    /// The scheme as it was written.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Whether it is of this scheme, whatever its case (RFC 9110 §11.1).
    pub fn is(&self, scheme: &str) -> bool {
        self.scheme.eq_ignore_ascii_case(scheme)
    }

    /// The `token68` of schemes such as `Negotiate` (RFC 9110 §11.2).
    pub fn token68(&self) -> Option<&str> {
        self.token68.as_deref()
    }

    /// The value of a parameter, whatever the case of its name.
    ///
    /// Two different values are no value: whoever breaks out of a quoted `error_description` adds a second
    /// `resource_metadata` and hopes that his is taken.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut values = self
            .parameters
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value);
        let first = values.next()?;
        values.all(|other| other == first).then_some(first)
    }

    /// All parameters as they were read, in their order.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.scheme)?;
        if let Some(token68) = &self.token68 {
            write!(out, " {token68}")?;
        }
        let follows_token68 = self.token68.is_some();
        for (at, (name, value)) in self.parameters.iter().enumerate() {
            out.write_str(if at == 0 && !follows_token68 { " " } else { ", " })?;
            write!(out, "{name}=\"")?;
            for c in value.chars() {
                match c {
                    '"' | '\\' => write!(out, "\\{c}")?,
                    ' '..='~' => write!(out, "{c}")?,
                    // Only what was read from a peer can get here.
                    _ => out.write_str("?")?,
                }
            }
            out.write_str("\"")?;
        }
        Ok(())
    }
}

/// `NQCHAR` of RFC 6749 appendix A.
const fn is_nqchar(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)
}

/// The alphabet of `error` and `error_description` (RFC 6750 §3).
fn described(text: &str) -> String {
    text.chars()
        .take(MAX_DESCRIPTION)
        .map(|c| match c {
            '"' => '\'',
            '\\' => '/',
            ' '..='~' => c,
            '\r' | '\n' | '\t' => ' ',
            _ => '?',
        })
        .collect()
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;
