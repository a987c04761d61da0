//! Which version of HTTP a client speaks, by what it says first (RFC 9113 §3.4).
//!
//! The library could tell too: it reads 24 bytes for it, and on these its next reading makes a buffer of twice the size, which is
//! 5 KiB more for every stream that is open. Nor does it mind who connects and says nothing.

use bytes::{Bytes, BytesMut};
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The heads of most requests are shorter.
const FIRST: usize = 2048;

/// What a client said first.
#[derive(Debug, PartialEq, Eq)]
pub struct First {
    /// To be read again by whoever goes on.
    pub bytes: Bytes,
    /// It is the preface of HTTP/2; everything else is HTTP/1.1, or nothing.
    pub is_http2: bool,
}

/// Reads until that is known.
pub async fn first(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<First> {
    let mut bytes = BytesMut::with_capacity(FIRST);
    loop {
        let ended = stream.read_buf(&mut bytes).await? == 0;
        let so_far = bytes.iter().zip(PREFACE).all(|(one, other)| one == other);
        let whole = bytes.len() >= PREFACE.len();
        if ended || !so_far || whole {
            return Ok(First { bytes: bytes.freeze(), is_http2: so_far && whole });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn told(pieces: &[&str]) -> First {
        let (mut theirs, mut ours) = tokio::io::duplex(64);
        let pieces: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
        let telling = tokio::spawn(async move {
            for piece in pieces {
                if theirs.write_all(piece.as_bytes()).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        });
        let first = first(&mut ours).await.unwrap();
        drop(ours);
        telling.await.unwrap();
        first
    }

    #[tokio::test]
    async fn the_version_is_known_however_it_comes() {
        let preface = std::str::from_utf8(PREFACE).unwrap();
        let (head, tail) = preface.split_at(3);
        let letters: Vec<&str> = preface.split_inclusive(|_| true).collect();
        for pieces in [&[preface][..], &[head, tail], &letters[..]] {
            let first = told(pieces).await;
            assert!(first.is_http2 && first.bytes.starts_with(PREFACE), "{first:?}");
        }
        for pieces in [
            &["POST /mcp HTTP/1.1\r\n"][..],
            &["P", "OST / HTTP/1.1\r\n"],
            &["PRI * HTTP/1.1\r\n"],
            &["PRI * HTTP/2.0\r\n\r\nSM\r\nx"],
            &["P"],
            &[],
        ] {
            let first = told(pieces).await;
            let all = pieces.concat();
            assert!(!first.is_http2 && all.as_bytes().starts_with(&first.bytes), "{first:?}");
            assert_eq!(first.bytes.is_empty(), all.is_empty());
        }
    }
}
