//! Which URL a proof is for: `htu`, compared after what no two readers disagree about is written in one way (RFC 9449
//! §4.3: the normalization of RFC 3986 §6.2.2 and §6.2.3, without query and fragment).

use std::fmt::Write as _;
use url::Url;

/// Longest URL that is read, in bytes.
const MAX_LENGTH: usize = 2048;

/// The URL of an endpoint, as proofs for it have to name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target(Box<str>);

impl Target {
    /// Of a configured URL; `None` where it is none that a request can be sent to.
    pub fn parse(url: &str) -> Option<Self> {
        normalized(url).map(|text| Self(text.into()))
    }

    /// Whether `htu` means this URL.
    pub fn is_meant_by(&self, htu: &str) -> bool {
        *self.0 == *htu || normalized(htu).is_some_and(|text| *self.0 == *text)
    }

    /// In normal form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Scheme and host in lower case, no default port, no dot segments, no escape that is not needed, the others in upper
/// case. The path is otherwise as it was, and its last slash counts.
fn normalized(text: &str) -> Option<String> {
    // What a parser would repair or leave out is no URL that was sent.
    if text.len() > MAX_LENGTH || !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return None;
    }
    let parsed = Url::parse(text).ok()?;
    let plain = parsed.username().is_empty() && parsed.password().is_none();
    if !matches!(parsed.scheme(), "https" | "http") || !plain {
        return None;
    }
    let mut out = format!("{}://{}", parsed.scheme(), parsed.host_str()?);
    if let Some(port) = parsed.port() {
        write!(out, ":{port}").ok()?;
    }
    let mut rest = parsed.path();
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let (digits, after) = after.split_at_checked(2)?;
        let byte = u8::from_str_radix(digits, 16).ok()?;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").ok()?;
        }
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_191_what_means_the_same_url() {
        let target = Target::parse("https://as.example/tenant~1/token").unwrap();
        for same in [
            "https://as.example/tenant~1/token",
            "HTTPS://AS.Example/tenant~1/token",
            "https://as.example:443/tenant~1/token",
            "https://as.example/tenant%7E1/token",
            "https://as.example/tenant%7e1/%74oken",
            "https://as.example/x/../tenant~1/./token",
            // RFC 9449 §4.3, 9: "ignoring any query and fragment parts".
            "https://as.example/tenant~1/token?a=b",
            "https://as.example/tenant~1/token#f",
        ] {
            assert!(target.is_meant_by(same), "{same}");
        }
        for other in [
            "http://as.example/tenant~1/token",
            "https://as.example:8443/tenant~1/token",
            "https://as.example/tenant~1/Token",
            "https://as.example/tenant~1/token/",
            "https://as.example/tenant~1",
            "https://as.example.evil.example/tenant~1/token",
            "https://evil.example/https://as.example/tenant~1/token",
            "https://user@as.example/tenant~1/token",
            "https:\\\\as.example\\tenant~1\\token",
            "https://as.example/tenant~1/tok en",
            "https://as.example/tenant~1/token%2F",
            "https://as.example/tenant~1%2Ftoken",
            "https://as.example/tenant~1/token%",
            "/tenant~1/token",
            "as.example/tenant~1/token",
            "urn:as.example",
            "",
        ] {
            assert!(!target.is_meant_by(other), "{other}");
        }
        assert!(!target.is_meant_by(&format!("https://as.example/{}", "a".repeat(MAX_LENGTH))));
    }

    #[test]
    fn an_escape_that_is_needed_stays() {
        let target = Target::parse("https://as.example/a%2fb").unwrap();
        assert_eq!(target.as_str(), "https://as.example/a%2Fb");
        assert!(
            target.is_meant_by("https://as.example/a%2Fb") && !target.is_meant_by("https://as.example/a/b")
        );
        assert_eq!(Target::parse("http://localhost:8080").unwrap().as_str(), "http://localhost:8080/");
        assert_eq!(Target::parse("https://as.example/%zz"), None);
        assert_eq!(Target::parse("ftp://as.example/"), None);
    }
}
