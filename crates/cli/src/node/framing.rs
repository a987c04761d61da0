//! Where an HTTP/1 request ends, for every reader the same (RFC 9112 §6 and §11.2, RS-048, T-80).
//!
//! The library reads requests that a proxy before us may read otherwise: with a length beside chunks, with another coding under the
//! chunks, with lines that end with LF alone, with extensions of chunks. It has no switch for any of it, and what it lets stand of
//! the head does not show it: of a length beside chunks nothing is left. So the bytes are looked at on their way to it. This
//! takes less than the library does, never more: what passes has one reading there too, and everything else never becomes a
//! request.
//!
//! It costs one look at each byte of a head, and at none of a body whose length was said.

/// As much of a line as is kept while its end has not come. Nothing that says a length is longer.
const LONGEST: usize = 128;

/// The requests of one connection, as far as they came.
#[derive(Debug, Default)]
pub struct Framing {
    place: Place,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
    /// Whether there was more of it than is kept.
    cut: bool,
    /// Whether a carriage return is the last of it.
    after_return: bool,
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// Before a request, where empty lines mean nothing (RFC 9112 §2.2).
    #[default]
    Start,
    /// Between its fields.
    Fields(Length),
    /// In a body, and so much of it is to come.
    Body(u64),
    /// Where the size of a chunk is due.
    Size,
    /// In a chunk.
    Chunk(u64),
    /// Behind a chunk.
    ChunkEnd,
    /// Behind the last one.
    Trailers,
}

/// What the fields say of the body.
#[derive(Clone, Copy, Debug)]
enum Length {
    Unsaid,
    Bytes(u64),
    Chunks,
}

impl Framing {
    /// Looks at what came. The place of the byte that must not be read, if there is one: the end of a line that can be read in two
    /// ways. Nothing behind it means anything then.
    pub fn take(&mut self, bytes: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if let Place::Body(left) | Place::Chunk(left) = self.place {
                at += self.pass(left, rest.len());
                continue;
            }
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.keep(rest);
                return None;
            };
            if !self.end_line(rest.get(..end).unwrap_or_default()) {
                return Some(at + end);
            }
            at += end + 1;
        }
        None
    }

    /// How much of what came belongs to the body.
    fn pass(&mut self, left: u64, came: usize) -> usize {
        let taken = usize::try_from(left).unwrap_or(usize::MAX).min(came);
        let left = left.saturating_sub(u64::try_from(taken).unwrap_or(u64::MAX));
        self.place = match (matches!(self.place, Place::Chunk(_)), left) {
            (true, 0) => Place::ChunkEnd,
            (true, left) => Place::Chunk(left),
            (false, 0) => Place::Start,
            (false, left) => Place::Body(left),
        };
        taken
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = LONGEST.saturating_sub(self.line.len());
        self.line.extend_from_slice(piece.get(..room.min(piece.len())).unwrap_or_default());
        self.cut |= piece.len() > room;
        self.after_return = piece.last().map_or(self.after_return, |last| *last == b'\r');
    }

    /// Whether a line may end so. `rest` is what came of it last, without its LF.
    fn end_line(&mut self, rest: &[u8]) -> bool {
        if self.line.is_empty() {
            return rest.strip_suffix(b"\r").is_some_and(|line| self.judge(line));
        }
        self.keep(rest);
        let (line, cut) = (std::mem::take(&mut self.line), std::mem::take(&mut self.cut));
        if !std::mem::take(&mut self.after_return) {
            return false;
        }
        // The return itself is not among the bytes that are kept of a line that was cut.
        self.judge(if cut { &line } else { line.strip_suffix(b"\r").unwrap_or(&line) })
    }

    /// A line without its end; the beginning of one that is long.
    fn judge(&mut self, line: &[u8]) -> bool {
        let next = match self.place {
            Place::Start | Place::Trailers if line.is_empty() => Some(Place::Start),
            Place::Start => Some(Place::Fields(Length::Unsaid)),
            Place::Fields(length) if line.is_empty() => Some(match length {
                Length::Unsaid | Length::Bytes(0) => Place::Start,
                Length::Bytes(length) => Place::Body(length),
                Length::Chunks => Place::Size,
            }),
            Place::Fields(length) => field(line, length).map(Place::Fields),
            Place::Size => {
                size(line).map(|size| if size == 0 { Place::Trailers } else { Place::Chunk(size) })
            }
            Place::ChunkEnd => line.is_empty().then_some(Place::Size),
            // There are no lines in a body.
            place @ (Place::Trailers | Place::Body(_) | Place::Chunk(_)) => Some(place),
        };
        let Some(next) = next else { return false };
        self.place = next;
        true
    }
}

/// What is known of the body with one field more. Nothing for a second word on it, and for one that is not plain.
fn field(line: &[u8], so_far: Length) -> Option<Length> {
    // Most names begin otherwise.
    if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T')) {
        return Some(so_far);
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Some(so_far) };
    let (name, value) = line.split_at_checked(colon)?;
    let value = trim(value.strip_prefix(b":")?);
    let said = if name.eq_ignore_ascii_case(b"content-length") {
        Length::Bytes(length(value)?)
    } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
        value.eq_ignore_ascii_case(b"chunked").then_some(Length::Chunks)?
    } else {
        return Some(so_far);
    };
    let alone = matches!(so_far, Length::Unsaid) && line.len() < LONGEST;
    alone.then_some(said)
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Digits and nothing else, of a number that fits.
fn length(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(value).ok()?.parse().ok() } else { None }
}

/// The same with the digits of a chunk's size. What may stand behind them (RFC 9112 §7.1.1) nobody needs, and readers differ.
fn size(line: &[u8]) -> Option<u64> {
    let digits = (1..16).contains(&line.len()) && line.iter().all(u8::is_ascii_hexdigit);
    if digits { u64::from_str_radix(std::str::from_utf8(line).ok()?, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

    /// Where it is refused, however it is cut; and whether it stands before a request at the end.
    fn refused(text: &str) -> (Option<usize>, bool) {
        let read = |size: usize| {
            let mut framing = Framing::default();
            let mut before = 0;
            for piece in text.as_bytes().chunks(size) {
                if let Some(at) = framing.take(piece) {
                    return (Some(before + at), false);
                }
                before += piece.len();
            }
            (None, matches!(framing.place, Place::Start) && framing.line.is_empty())
        };
        let whole = read(text.len());
        for size in 1..text.len() {
            assert_eq!(read(size), whole, "{text:?} in pieces of {size}");
        }
        whole
    }

    #[test]
    fn rs_048_t_80_what_has_one_reading_passes_and_ends_where_it_ends() {
        let long = format!("Authorization: Bearer {}\r\n", "x".repeat(4 * LONGEST));
        for (fields, body) in [
            ("", ""),
            ("Content-Length: 0\r\n", ""),
            ("content-length:\t 7 \r\n", "a\nb\n\nc\n"),
            ("TRANSFER-ENCODING: Chunked\r\n", "3\r\na\nb\r\n0A\r\n0123456789\r\n0\r\n\r\n"),
            ("Transfer-Encoding: chunked\r\n", "0\r\nDigest: x\r\n\r\n"),
            ("Cookie: content-length: 3, transfer-encoding: chunked\r\nTe: trailers\r\n", ""),
            (&*long, ""),
        ] {
            let request = format!("POST /mcp HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
            for text in [request.clone(), format!("\r\n{request}{PLAIN}"), format!("{request}{request}\r\n")]
            {
                assert_eq!(refused(&text), (None, true), "{text:?}");
            }
        }
    }

    #[test]
    fn rs_048_t_80_what_has_two_readings_does_not() {
        let long = format!("Content-Length: 3{}\r\n", " ".repeat(LONGEST));
        for fields in [
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
            "Content-Length: 0\r\ntransfer-encoding: chunked\r\n",
            "Content-Length: 3\r\nContent-Length: 3\r\n",
            "Content-Length: 3, 3\r\n",
            "Content-Length: \r\n",
            "Content-Length: +3\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "X: y\n",
            "X: y\r\n\n",
            "\n",
            &*long,
        ] {
            let head = format!("POST /mcp HTTP/1.1\r\n{fields}");
            let text = format!("{head}\r\n0\r\n\r\n{PLAIN}");
            assert_eq!(refused(&text), (Some(head.len() - 1), false), "{text:?}");
        }
        assert_eq!(refused("GET / HTTP/1.1\nHost: a\n\n"), (Some(14), false));
        for body in [
            "3;a=b\r\nabc\r\n0\r\n\r\n",
            "3 \r\nabc\r\n0\r\n\r\n",
            "3\nabc\r\n0\r\n\r\n",
            "\r\n3\r\nabc\r\n0\r\n\r\n",
            "0x3\r\nabc\r\n0\r\n\r\n",
            "0000000000000003\r\nabc\r\n0\r\n\r\n",
            "3\r\nabcd\r\n0\r\n\r\n",
            "3\r\nabc\n0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\n",
            "3\r\nabc\r\n0\r\nX: y\n\r\n",
        ] {
            let text = format!("POST /mcp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}{PLAIN}");
            assert!(refused(&text).0.is_some(), "{text:?}");
        }
    }

    #[test]
    fn rs_065_no_line_is_kept_whole() {
        let mut framing = Framing::default();
        assert_eq!(framing.take(b"GET / HTTP/1.1\r\nX: "), None);
        for _ in 0..1000 {
            assert_eq!(framing.take(&[b'x'; 1000]), None);
        }
        assert!(framing.line.capacity() <= 2 * LONGEST);
    }
}
