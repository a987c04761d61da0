//! The SPIFFE Workload API, as much of it as a program needs for a JWT-SVID: one call of gRPC, written and read here without
//! I/O. (SPIFFE Workload API §4, §6.2; the two messages have six fields, for which a library would be large.)

use crate::platform::PlatformError;
use bytes::{BufMut as _, Bytes, BytesMut};
use hallpass_core::secret::SecretString;
use http::{HeaderMap, Request, Response, StatusCode};
use std::path::PathBuf;

/// Says which socket it is.
pub(crate) const SOCKET: &str = "SPIFFE_ENDPOINT_SOCKET";

/// The path in `unix:///run/spire/agent.sock` or `unix:/run/…` (SPIFFE Workload Endpoint §4).
pub(crate) fn socket(endpoint: &str) -> Option<PathBuf> {
    let path = endpoint.strip_prefix("unix:")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    path.starts_with('/').then(|| PathBuf::from(path))
}

/// Asks for a token for this audience, of this identity where one is named.
pub(crate) fn request(audience: &str, id: Option<&str>) -> Result<Request<Bytes>, http::Error> {
    let mut message = BytesMut::new();
    put_text(&mut message, 1, audience);
    if let Some(id) = id {
        put_text(&mut message, 2, id);
    }
    let mut body = BytesMut::from(&[0_u8][..]);
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.extend_from_slice(&message);
    Request::post("http://localhost/SpiffeWorkloadAPI/FetchJWTSVID")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        // Whoever makes a server ask an address for them cannot make it say this (SPIFFE Workload Endpoint §5).
        .header("workload.spiffe.io", "true")
        .body(body.freeze())
}

/// The first token, which is that of the program's first identity.
pub(crate) fn read(response: &Response<Bytes>, trailers: &HeaderMap) -> Result<SecretString, PlatformError> {
    // Without a body the status stands in the head.
    let code = trailers.get("grpc-status").or_else(|| response.headers().get("grpc-status"));
    let code = code.and_then(|code| code.to_str().ok()?.parse::<u32>().ok());
    if response.status() != StatusCode::OK || code != Some(0) {
        return Err(PlatformError::NoIdentity { code });
    }
    token(response.body()).ok_or(PlatformError::NoIdentity { code: None })
}

fn token(body: &[u8]) -> Option<SecretString> {
    let (head, message) = body.split_first_chunk::<5>()?;
    let [compressed, length @ ..] = *head;
    if compressed != 0 || usize::try_from(u32::from_be_bytes(length)).ok()? != message.len() {
        return None;
    }
    let svid = Fields(message).find(|(number, _)| *number == 1)?.1;
    let text = Fields(svid).find(|(number, _)| *number == 2)?.1;
    std::str::from_utf8(text).ok().filter(|text| !text.is_empty()).map(SecretString::new)
}

fn put_text(message: &mut BytesMut, number: u8, text: &str) {
    message.put_u8((number << 3) | 2);
    let mut left = text.len();
    while left > 0x7f {
        message.put_u8(u8::try_from(left & 0x7f).unwrap_or(0) | 0x80);
        left >>= 7;
    }
    message.put_u8(u8::try_from(left).unwrap_or(0));
    message.extend_from_slice(text.as_bytes());
}

/// The fields of a protobuf message that have a length; others are passed over, damage ends it.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..63).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: u64) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(usize::try_from(length).ok()?)?;
        self.0 = rest;
        Some(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let tag = self.number()?;
            match tag & 7 {
                0 => {
                    self.number()?;
                }
                1 => {
                    self.take(8)?;
                }
                2 => {
                    let length = self.number()?;
                    return Some((tag >> 3, self.take(length)?));
                }
                5 => {
                    self.take(4)?;
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An answer with this token, as an agent writes it.
    pub(crate) fn answer(token: &str) -> Vec<u8> {
        let mut svid = BytesMut::new();
        put_text(&mut svid, 1, "spiffe://example.org/billing");
        put_text(&mut svid, 2, token);
        // A field that came later, of another type.
        svid.extend_from_slice(&[0x20, 0x96, 0x01]);
        let mut message = BytesMut::new();
        message.put_u8(0x0a);
        let mut length = svid.len();
        while length > 0x7f {
            message.put_u8(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        message.put_u8(u8::try_from(length).unwrap());
        message.extend_from_slice(&svid);
        let mut body = vec![0];
        body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&message);
        body
    }

    fn read_from(body: Vec<u8>, code: Option<&str>) -> Result<SecretString, PlatformError> {
        let mut trailers = HeaderMap::new();
        if let Some(code) = code {
            trailers.insert("grpc-status", code.parse().unwrap());
        }
        read(&Response::new(Bytes::from(body)), &trailers)
    }

    #[test]
    fn the_call_is_as_the_agent_reads_it() {
        let request = request("https://as.example", Some("spiffe://a/b")).unwrap();
        assert_eq!(request.uri().path(), "/SpiffeWorkloadAPI/FetchJWTSVID");
        assert_eq!(request.headers()["workload.spiffe.io"], "true");
        let expected = b"\x00\x00\x00\x00\x22\x0a\x12https://as.example\x12\x0cspiffe://a/b";
        assert_eq!(&request.body()[..], &expected[..]);
        let long = "x".repeat(300);
        let request = super::request(&long, None).unwrap();
        assert_eq!(request.body()[5..8], [0x0a, 0xac, 0x02]);
    }

    #[test]
    fn the_token_is_read_and_everything_else_is_none() {
        assert_eq!(read_from(answer("h.p.s"), Some("0")).unwrap().expose(), "h.p.s");
        let denied = read_from(Vec::new(), Some("7"));
        assert!(matches!(denied, Err(PlatformError::NoIdentity { code: Some(7) })));
        for body in [Vec::new(), vec![1, 0, 0, 0, 0], vec![0, 0, 0, 0, 9, 1], answer("")] {
            assert!(read_from(body, Some("0")).is_err());
        }
        assert!(read_from(answer("h.p.s"), None).is_err(), "without a status it broke off");
        let mut head = Response::new(Bytes::new());
        head.headers_mut().insert("grpc-status", "7".parse().unwrap());
        assert!(matches!(read(&head, &HeaderMap::new()), Err(PlatformError::NoIdentity { code: Some(7) })));
    }

    #[test]
    fn the_socket_is_a_path_of_this_machine() {
        for endpoint in ["unix:///run/agent.sock", "unix:/run/agent.sock"] {
            assert_eq!(socket(endpoint), Some(PathBuf::from("/run/agent.sock")));
        }
        for endpoint in ["tcp://127.0.0.1:8000", "unix:agent.sock", "unix://host", "/run/agent.sock", ""] {
            assert_eq!(socket(endpoint), None, "{endpoint}");
        }
    }

    proptest! {
        #[test]
        fn cl_017_no_answer_panics(body in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..60) {
            let _ = read_from(body, Some("0"));
            let mut damaged = answer("h.p.s");
            damaged.truncate(cut);
            let _ = token(&damaged);
        }
    }
}
