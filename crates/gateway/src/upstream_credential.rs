//! What the server behind wants to see of us, beside the call: written here, after nothing of the client's was passed.

use crate::{
    assertion::CALLER,
    message::{LAST_EVENT_ID, MCP_METHOD, MCP_NAME, PROTOCOL_VERSION, SESSION_ID},
    on_behalf::CallerCredentials,
    person::PersonCredentials,
};
use hallpass_core::secret::SecretString;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::{fmt, sync::Arc};

/// How hallpass is known to the server behind.
#[derive(Clone)]
pub enum UpstreamCredential {
    /// The same header with each request, whoever calls.
    Header(SecretHeader),
    /// That of the person who calls.
    Person(Arc<dyn PersonCredentials>),
    /// One that another authorization server gives for whoever calls.
    Caller(Arc<dyn CallerCredentials>),
}

/// A header whose value is a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretHeader {
    name: HeaderName,
    value: HeaderValue,
}

/// Why a header cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// Not a name.
    #[error("the name is no name of a header")]
    Name,
    /// We write it, or HTTP does: two values of it would be read in two ways.
    #[error("hallpass writes this header itself")]
    Ours,
    /// Not a value.
    #[error("the value is empty, has more than one line, or characters that no header may have")]
    Value,
}

/// Headers that belong to the call or to the connection.
const OURS: [HeaderName; 19] = [
    header::ACCEPT,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::EXPECT,
    header::HOST,
    HeaderName::from_static("keep-alive"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("traceparent"),
    CALLER,
    LAST_EVENT_ID,
    MCP_METHOD,
    MCP_NAME,
    PROTOCOL_VERSION,
    SESSION_ID,
];

impl SecretHeader {
    /// `Authorization: Bearer` and this token.
    ///
    /// # Errors
    /// [`HeaderFault::Value`].
    pub fn bearer(token: &SecretString) -> Result<Self, HeaderFault> {
        Self::new("authorization", &SecretString::new(format!("Bearer {}", token.expose())))
    }

    /// The token of [`Self::bearer`].
    pub fn token(&self) -> Option<SecretString> {
        Some(SecretString::new(self.value.to_str().ok()?.strip_prefix("Bearer ")?))
    }

    /// As the operator wrote it.
    ///
    /// # Errors
    /// [`HeaderFault`].
    pub fn new(name: &str, value: &SecretString) -> Result<Self, HeaderFault> {
        let name: HeaderName = name.parse().map_err(|_| HeaderFault::Name)?;
        if OURS.contains(&name) || name.as_str().starts_with("mcp-") {
            return Err(HeaderFault::Ours);
        }
        let text = value.expose();
        let is_sendable = !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        let value = HeaderValue::from_str(text).ok().filter(|_| is_sendable);
        let mut value = value.ok_or(HeaderFault::Value)?;
        // No log of the HTTP client shows it.
        value.set_sensitive(true);
        Ok(Self { name, value })
    }
}

impl fmt::Debug for UpstreamCredential {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(header) => out.debug_tuple("Header").field(header).finish(),
            Self::Person(people) => out.debug_tuple("Person").field(&people.title()).finish(),
            Self::Caller(_) => out.debug_tuple("Caller").finish(),
        }
    }
}

impl fmt::Debug for SecretHeader {
    /// The value is a secret.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SecretHeader").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is written for the upstream beside what the call says.
#[derive(Debug, Default)]
pub(crate) struct Added {
    /// Who calls, where the server is told so.
    pub caller: Option<HeaderValue>,
    /// How we are known to it.
    pub credential: Option<SecretHeader>,
}

impl Added {
    /// Puts them in, each in the place of whatever has its name.
    pub(crate) fn write(self, headers: &mut HeaderMap) {
        if let Some(caller) = self.caller {
            headers.insert(CALLER, caller);
        }
        if let Some(SecretHeader { name, value }) = self.credential {
            headers.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, value: &str) -> Result<SecretHeader, HeaderFault> {
        SecretHeader::new(name, &SecretString::new(value))
    }

    #[test]
    fn rs_044_what_we_write_ourselves_is_no_credential() {
        for ours in ["Host", "content-length", "Mcp-Session-Id", "MCP-PARAM-X", "Hallpass-Caller", "accept"] {
            assert_eq!(made(ours, "x"), Err(HeaderFault::Ours), "{ours}");
        }
        for bad in ["", "a b", "x:y", "ü"] {
            assert_eq!(made(bad, "x"), Err(HeaderFault::Name), "{bad}");
        }
        for bad in ["", "a\r\nX-Evil: 1", "a\nb", "\t", "ü", "\u{7f}"] {
            assert_eq!(made("x-api-key", bad), Err(HeaderFault::Value), "{bad:?}");
        }
    }

    #[test]
    fn rs_067_the_value_is_in_no_debug() {
        let header = made("Authorization", "Bearer canary").unwrap();
        let shown = format!("{header:?} {:?}", UpstreamCredential::Header(header.clone()));
        assert!(!shown.contains("canary") && shown.contains("authorization"), "{shown}");
        let mut headers = HeaderMap::new();
        Added { caller: None, credential: Some(header) }.write(&mut headers);
        assert!(!format!("{headers:?}").contains("canary"));
        assert_eq!(headers[header::AUTHORIZATION], "Bearer canary");
    }
}
