//! One keep-alive HTTP/1.1 connection with as little around it as there can be: the load must cost less than what it
//! measures.

use anyhow::{Context, Result, bail};
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Answers are some hundred bytes; pages of the set-up some thousand.
const MOST: usize = 1 << 20;

/// The connection.
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

/// An answer, as long as the connection asks nothing else.
pub struct Answer<'a> {
    /// Status code.
    pub status: u16,
    /// Status line and fields.
    pub head: &'a str,
    /// Exactly `Content-Length` bytes.
    pub body: &'a [u8],
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("nobody answers at {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a whole request and reads the whole answer, which has to say its length.
    pub async fn ask(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.received.clear();
        self.stream.write_all(request).await?;
        let (head, length) = loop {
            self.more().await?;
            if let Some(head) = end_of_head(&self.received) {
                let text = std::str::from_utf8(self.received.get(..head).unwrap_or_default())?;
                break (head, content_length(text)?);
            }
        };
        while self.received.len() < head + length {
            self.more().await?;
        }
        let (head, body) = self.received.split_at(head);
        let head = std::str::from_utf8(head)?;
        let status = head.get(9..12).and_then(|text| text.parse().ok()).context("no status")?;
        Ok(Answer { status, head, body })
    }

    async fn more(&mut self) -> Result<()> {
        let read = self.stream.read_buf(&mut self.received).await?;
        if read == 0 || self.received.len() > MOST {
            bail!("the server closed the connection, or its answer has no end");
        }
        Ok(())
    }
}

impl Answer<'_> {
    /// The first value of a field, by its name in lower case.
    pub fn field(&self, name: &str) -> Option<&str> {
        field(self.head, name)
    }

    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.body).unwrap_or_default()
    }
}

/// A request without a body.
pub fn get(host: &str, path: &str, fields: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n").into_bytes()
}

/// A request with a body.
pub fn post(host: &str, path: &str, fields: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: {host}\r\n{fields}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

fn content_length(head: &str) -> Result<usize> {
    let value = field(head, "content-length").context("an answer without Content-Length")?;
    value.parse().context("Content-Length is no number")
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.split("\r\n").skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read() {
        let bytes = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-LENGTH: 12\r\n\r\nrest";
        let end = end_of_head(bytes).unwrap();
        let head = std::str::from_utf8(&bytes[..end]).unwrap();
        assert_eq!((content_length(head).unwrap(), field(head, "a")), (12, Some("b")));
        assert!(content_length("HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert_eq!(end_of_head(b"HTTP/1.1 200 OK\r\n"), None);
    }
}
