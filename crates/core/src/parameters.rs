//! Request parameters in `application/x-www-form-urlencoded`, from a query or a body.
//!
//! A parameter that a standard defines and that occurs twice is refused (RFC 6749 §3.1): two parsers on the way may
//! pick different ones. Empty means absent, unknown names are ignored.

use percent_encoding::percent_decode_str;

/// Bounds that are checked before anything is decoded.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of the whole text.
    pub bytes: usize,
    /// Number of parameters.
    pub count: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 * 1024, count: 100 }
    }
}

/// Broken rules of the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// Over [`Limits::bytes`] or [`Limits::count`].
    #[error("the request is too large")]
    TooLarge,
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8, or a NUL.
    #[error("a parameter is not valid percent-encoded UTF-8")]
    Malformed,
    /// A parameter occurs twice.
    #[error("the parameter {0} occurs more than once")]
    Duplicate(&'static str),
}

/// Names that a standard defines and that may occur once. Others are not ours to judge.
const SINGLE: [&str; 41] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
    "nonce",
    "prompt",
    "max_age",
    "login_hint",
    "display",
    "ui_locales",
    "id_token_hint",
    "acr_values",
    "claims",
    "request",
    "request_uri",
    "registration",
    "response_mode",
    "dpop_jkt",
    "authorization_details",
    "grant_type",
    "code",
    "code_verifier",
    "refresh_token",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "assertion",
    "token",
    "token_type_hint",
    "device_code",
    "user_code",
    "subject_token",
    "subject_token_type",
    "actor_token",
    "actor_token_type",
    "requested_token_type",
    "username",
    "password",
];

/// Decoded parameters in the order given.
#[derive(Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Reads a query or a body.
    pub fn parse(text: &[u8], limits: Limits) -> Result<Self, ParameterError> {
        if text.len() > limits.bytes {
            return Err(ParameterError::TooLarge);
        }
        let text = std::str::from_utf8(text).map_err(|_| ParameterError::Malformed)?;
        let mut pairs = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            if pairs.len() >= limits.count {
                return Err(ParameterError::TooLarge);
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            pairs.push((decode(name)?, decode(value)?));
        }
        for name in SINGLE {
            if pairs.iter().filter(|(have, _)| have == name).count() > 1 {
                return Err(ParameterError::Duplicate(name));
            }
        }
        Ok(Self(pairs))
    }

    /// The value of this name; empty counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Whether any name at all occurs twice. A form of our own has each of its fields once.
    pub fn repeat(&self) -> bool {
        self.0
            .iter()
            .enumerate()
            .any(|(at, (name, _))| self.0.iter().skip(at + 1).any(|(other, _)| other == name))
    }

    /// All values of this name, for the few that may repeat (`resource`, RFC 8707 §2).
    pub fn all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a str> + use<'a, 'n> {
        self.0
            .iter()
            .filter(move |(have, value)| have.as_str() == name && !value.is_empty())
            .map(|(_, value)| &**value)
    }
}

/// One name or value: `+` is a space, then percent-decoded.
pub(crate) fn decode(text: &str) -> Result<String, ParameterError> {
    // Nearly all of them: tokens, codes and ids are made of letters that stand for themselves.
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+' | 0)) {
        return Ok(text.to_owned());
    }
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'%' {
            let digits = rest.get(..2).ok_or(ParameterError::Malformed)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return Err(ParameterError::Malformed);
            }
        }
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8().map_err(|_| ParameterError::Malformed)?;
    if decoded.contains('\0') { Err(ParameterError::Malformed) } else { Ok(decoded.into_owned()) }
}

/// Writes parameters; the inverse of [`Parameters::parse`].
pub fn encode<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Adds parameters to a URL that may have a query already, which is kept as written (RFC 6749 §3.1).
pub fn append_to<'a>(uri: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let query = encode(pairs);
    let joint = match uri.split_once('?') {
        None => "?",
        Some((_, "")) => "",
        Some((_, existing)) if existing.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{joint}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &[u8]) -> Result<Parameters, ParameterError> {
        Parameters::parse(text, Limits::default())
    }

    #[test]
    fn t_16_any_name_that_repeats_is_seen() {
        for (text, repeats) in [("", false), ("a=1&b=2", false), ("a=1&b=2&a=", true), ("a=1&%61=1", true)] {
            let parameters = Parameters::parse(text.as_bytes(), Limits::default()).unwrap();
            assert_eq!(parameters.repeat(), repeats, "{text}");
        }
    }

    #[test]
    fn as_006_the_vector_of_rfc_6749_appendix_b() {
        let parameters = parse(b"v=+%25%26%2B%C2%A3%E2%82%AC").unwrap();
        assert_eq!(parameters.get("v"), Some(" %&+\u{a3}\u{20ac}"));
        assert_eq!(encode([("v", " %&+\u{a3}\u{20ac}")]), "v=+%25%26%2B%C2%A3%E2%82%AC");
    }

    #[test]
    fn as_006_broken_encodings_are_refused() {
        for bad in
            [&b"a=%"[..], b"a=%4", b"a=%zz", b"a=%ff", b"a=%c0%80", b"a=%00", b"a=\xff", b"%=1", b"a=%+1"]
        {
            assert_eq!(parse(bad).unwrap_err(), ParameterError::Malformed, "{bad:?}");
        }
    }

    #[test]
    fn as_007_b_23_t_16_what_a_standard_defines_occurs_once() {
        for name in SINGLE {
            let twice = format!("{name}=1&x=1&{name}=1");
            assert_eq!(parse(twice.as_bytes()).unwrap_err(), ParameterError::Duplicate(name));
        }
        assert!(parse(b"unknown=1&unknown=2").is_ok());
        let resources = parse(b"resource=a&resource=b").unwrap();
        assert_eq!(resources.all("resource").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(parse(b"scope=a&%73cope=b").unwrap_err(), ParameterError::Duplicate("scope"));
    }

    #[test]
    fn as_008_empty_is_absent() {
        assert_eq!(parse(b"scope=&state").unwrap().get("scope"), None);
        assert_eq!(parse(b"scope=&state").unwrap().get("state"), None);
    }

    #[test]
    fn as_017_bounds() {
        assert_eq!(parse("a".repeat(20_000).as_bytes()).unwrap_err(), ParameterError::TooLarge);
        assert_eq!(parse("a=1&".repeat(101).as_bytes()).unwrap_err(), ParameterError::TooLarge);
    }

    #[test]
    fn as_039_as_002_an_existing_query_is_kept() {
        assert_eq!(append_to("https://c/cb", [("code", "x")]), "https://c/cb?code=x");
        assert_eq!(append_to("https://c/cb?a=%7E", [("code", "x")]), "https://c/cb?a=%7E&code=x");
        assert_eq!(append_to("https://c/cb?", [("code", "x")]), "https://c/cb?code=x");
    }

    proptest! {
        #[test]
        fn whatever_is_encoded_is_read_back(value in "[^\0]{1,300}") {
            let text = encode([("state", value.as_str())]);
            let read = Parameters::parse(text.as_bytes(), Limits::default()).unwrap();
            prop_assert_eq!(read.get("state"), Some(value.as_str()));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
