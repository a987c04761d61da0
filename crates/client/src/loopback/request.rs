//! The head of an HTTP/1.1 request, as much of it as the callback needs.

use std::io;
use tokio::{io::AsyncReadExt, net::TcpStream};

/// Longest head. The query holds a code and a state, of no fixed size (RFC 6749 §4.1.2).
const MAX_HEAD: usize = 16 * 1024;
/// Longest request target.
const MAX_TARGET: usize = 8 * 1024;

/// What was asked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) hosts: Vec<String>,
}

/// Reads until the empty line. A body is never read.
pub(super) async fn read_head(stream: &mut TcpStream) -> io::Result<Head> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 2048];
    loop {
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(buffer.get(..read).unwrap_or_default());
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let head = bytes.get(..end).unwrap_or_default();
            return parse(head).ok_or_else(|| io::ErrorKind::InvalidData.into());
        }
        if bytes.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

fn parse(head: &[u8]) -> Option<Head> {
    let text = std::str::from_utf8(head).ok()?;
    let mut lines = text.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target, version) = (first.next()?, first.next()?, first.next()?);
    let well_formed = first.next().is_none() && version.starts_with("HTTP/1.") && target.len() <= MAX_TARGET;
    if !well_formed || !target.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let mut hosts = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':')?;
        if name.eq_ignore_ascii_case("host") {
            hosts.push(value.trim_matches([' ', '\t']).to_owned());
        }
    }
    Some(Head { method: method.to_owned(), target: target.to_owned(), hosts })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads() {
        let head = parse(b"GET /callback?a=b HTTP/1.1\r\nHost: 127.0.0.1:1\r\nhOsT:\tx ").unwrap();
        assert_eq!((head.method.as_str(), head.target.as_str()), ("GET", "/callback?a=b"));
        assert_eq!(head.hosts, ["127.0.0.1:1", "x"]);
        for bad in [
            "",
            "GET",
            "GET /",
            "GET / HTTP/2.0",
            "GET / x HTTP/1.1",
            "GET /é HTTP/1.1",
            "GET / HTTP/1.1\r\nno colon",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
