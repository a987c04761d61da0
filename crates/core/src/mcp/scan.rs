//! One pass over the bytes of a message: is it JSON with exactly one reading, and where are its members?
//!
//! No tree is built, so the work is proportional to the length and the memory to the widest object.

use std::borrow::Cow;

use super::{
    error::MessageError,
    names::{check_distinct, check_folded},
    raw::LINE_ENDS,
};

/// The member of `_meta` that carries the protocol version (revision 2026-07-28).
const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// Longest number. Longer ones are exact in one parser, rounded in the next, and infinite in a third.
const MAX_NUMBER: usize = 128;

/// The members that matter, as they stand in the text.
#[derive(Default)]
pub(super) struct Scanned<'a> {
    pub jsonrpc: Option<&'a str>,
    pub id: Option<&'a str>,
    pub method: Option<&'a str>,
    pub params: Option<&'a str>,
    pub result: Option<&'a str>,
    pub error: Option<&'a str>,
    /// `params.name`.
    pub name: Option<&'a str>,
    /// `params.uri`.
    pub uri: Option<&'a str>,
    /// The protocol version in `params._meta`.
    pub protocol_version: Option<&'a str>,
    /// Whether white space stands between tokens, or something that some reader takes for the end of a line.
    pub dirty: bool,
}

/// Scans a message. `depth` counts the message itself.
pub(super) fn scan(text: &str, depth: usize) -> Result<Scanned<'_>, MessageError> {
    let mut scanner = Scanner {
        text,
        bytes: text.as_bytes(),
        at: 0,
        names: Vec::with_capacity(32),
        found: Scanned::default(),
    };
    scanner.skip_space();
    match scanner.peek() {
        Some(b'{') => {}
        Some(b'[') => return Err(MessageError::Batch),
        Some(b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => return Err(MessageError::NotAnObject),
        _ => return Err(MessageError::Syntax),
    }
    scanner.value(Place::Envelope, depth)?;
    scanner.skip_space();
    if scanner.peek().is_some() {
        return Err(MessageError::TrailingData);
    }
    scanner.found.dirty |= !text.is_ascii() && text.contains(LINE_ENDS);
    Ok(scanner.found)
}

/// The text of a string value, escapes read; nothing for another value.
pub(super) fn decode(raw: &str) -> Option<Cow<'_, str>> {
    let content = raw.strip_prefix('"')?.strip_suffix('"')?;
    if content.contains('\\') {
        serde_json::from_str(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(content))
    }
}

/// How many bytes come before the first quote, backslash or control character: all of them where there is none. Most of a message
/// is in strings, so eight bytes are looked at in one step.
pub(super) fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([0x01; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    // Of the bytes that are less than `than`, the high bit: exact for the first of them, which is the one that counts.
    let less = |word: u64, than: u64| word.wrapping_sub(ONES * than) & !word & HIGHS;
    let is = |word: u64, byte: u8| less(word ^ (ONES * u64::from(byte)), 1);
    let (mut at, mut rest) = (0, bytes);
    while let Some((word, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let found = is(word, b'"') | is(word, b'\\') | less(word, 0x20);
        if found != 0 {
            return at + usize::try_from(found.trailing_zeros() / 8).unwrap_or_default();
        }
        (at, rest) = (at + 8, after);
    }
    let last = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    at + last.unwrap_or(rest.len())
}

/// Which object is being read. In the first three, names matter to somebody who decides.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Envelope,
    Params,
    Meta,
    Elsewhere,
}

impl Place {
    fn inside(self, name: &str) -> Self {
        match (self, name) {
            (Self::Envelope, "params") => Self::Params,
            (Self::Params, "_meta") => Self::Meta,
            _ => Self::Elsewhere,
        }
    }

    /// Names that nothing else may be mistaken for here.
    const fn known_names(self) -> &'static [&'static str] {
        match self {
            Self::Envelope => &["jsonrpc", "id", "method", "params", "result", "error"],
            Self::Params => &["name", "uri", "arguments", "_meta"],
            Self::Meta => &[PROTOCOL_VERSION],
            Self::Elsewhere => &[],
        }
    }
}

struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// The names of all objects that are open, the innermost last.
    names: Vec<Cow<'a, str>>,
    found: Scanned<'a>,
}

impl<'a> Scanner<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
            self.found.dirty = true;
        }
    }

    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn value(&mut self, place: Place, depth: usize) -> Result<(), MessageError> {
        match self.peek() {
            Some(b'{') => self.object(place, depth.checked_sub(1).ok_or(MessageError::TooDeep)?),
            Some(b'[') => self.array(depth.checked_sub(1).ok_or(MessageError::TooDeep)?),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(MessageError::Syntax),
        }
    }

    fn object(&mut self, place: Place, depth: usize) -> Result<(), MessageError> {
        self.at += 1;
        let first = self.names.len();
        self.skip_space();
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            let name = self.name()?;
            self.skip_space();
            if !self.eat(b':') {
                return Err(MessageError::Syntax);
            }
            self.skip_space();
            let start = self.at;
            let inside = if place == Place::Elsewhere { place } else { place.inside(&name) };
            self.value(inside, depth)?;
            let value = self.since(start);
            if place != Place::Elsewhere {
                self.found.keep(place, &name, value);
            }
            self.names.push(name);
            self.skip_space();
            match self.next() {
                Some(b',') => self.skip_space(),
                Some(b'}') => break,
                _ => return Err(MessageError::Syntax),
            }
        }
        let names = self.names.get_mut(first..).unwrap_or_default();
        if place != Place::Elsewhere {
            check_folded(names, place.known_names())?;
        }
        check_distinct(names)?;
        self.names.truncate(first);
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), MessageError> {
        self.at += 1;
        self.skip_space();
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            self.value(Place::Elsewhere, depth)?;
            self.skip_space();
            match self.next() {
                Some(b',') => self.skip_space(),
                Some(b']') => return Ok(()),
                _ => return Err(MessageError::Syntax),
            }
        }
    }

    fn name(&mut self) -> Result<Cow<'a, str>, MessageError> {
        let (raw, escaped) = self.string()?;
        let content = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        if escaped { decode(raw).ok_or(MessageError::Syntax) } else { Ok(Cow::Borrowed(content)) }
    }

    /// A string with its quotes, and whether it has escapes.
    fn string(&mut self) -> Result<(&'a str, bool), MessageError> {
        let start = self.at;
        if !self.eat(b'"') {
            return Err(MessageError::Syntax);
        }
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            self.at += plain(rest);
            match self.next() {
                Some(b'"') => return Ok((self.since(start), escaped)),
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                _ => return Err(MessageError::Syntax),
            }
        }
    }

    fn escape(&mut self) -> Result<(), MessageError> {
        match self.next() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(()),
            Some(b'u') => match self.four_digits()? {
                // Alone, the halves of a pair become U+FFFD, `?` or nothing, depending on who reads.
                0xd800..=0xdbff => {
                    let paired = self.eat(b'\\') && self.eat(b'u');
                    if paired && matches!(self.four_digits()?, 0xdc00..=0xdfff) {
                        Ok(())
                    } else {
                        Err(MessageError::Syntax)
                    }
                }
                0xdc00..=0xdfff => Err(MessageError::Syntax),
                _ => Ok(()),
            },
            _ => Err(MessageError::Syntax),
        }
    }

    fn four_digits(&mut self) -> Result<u16, MessageError> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(MessageError::Syntax)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(MessageError::Syntax);
        }
        self.at += 4;
        u16::from_str_radix(digits, 16).map_err(|_| MessageError::Syntax)
    }

    fn number(&mut self) -> Result<(), MessageError> {
        let start = self.at;
        self.eat(b'-');
        if !self.eat(b'0') {
            self.digits()?;
        }
        if self.eat(b'.') {
            self.digits()?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits()?;
        }
        if self.at - start > MAX_NUMBER { Err(MessageError::NumberTooLong) } else { Ok(()) }
    }

    fn digits(&mut self) -> Result<(), MessageError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(MessageError::Syntax) } else { Ok(()) }
    }

    fn word(&mut self, word: &str) -> Result<(), MessageError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(MessageError::Syntax);
        }
        self.at += word.len();
        Ok(())
    }
}

impl<'a> Scanned<'a> {
    fn keep(&mut self, place: Place, name: &str, value: &'a str) {
        let slot = match (place, name) {
            (Place::Envelope, "jsonrpc") => &mut self.jsonrpc,
            (Place::Envelope, "id") => &mut self.id,
            (Place::Envelope, "method") => &mut self.method,
            (Place::Envelope, "params") => &mut self.params,
            (Place::Envelope, "result") => &mut self.result,
            (Place::Envelope, "error") => &mut self.error,
            (Place::Params, "name") => &mut self.name,
            (Place::Params, "uri") => &mut self.uri,
            (Place::Meta, PROTOCOL_VERSION) => &mut self.protocol_version,
            _ => return,
        };
        *slot = Some(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rs_049_a_string_ends_where_it_ends_wherever_that_is() {
        for byte in u8::MIN..=u8::MAX {
            for filling in [b'a', 0x7f, 0x80, 0xff, b' ', b'#', b'!', b'[', b']'] {
                for length in 0..20 {
                    for place in 0..=length {
                        let mut text = vec![filling; length];
                        if let Some(at) = text.get_mut(place) {
                            *at = byte;
                        }
                        let naive = text.iter().position(|byte| *byte < 0x20 || b"\"\\".contains(byte));
                        assert_eq!(plain(&text), naive.unwrap_or(length), "{byte} in {filling} at {place}");
                    }
                }
            }
        }
        assert_eq!((plain(b""), plain(b"\"\""), plain(b"01234567\x1f\"")), (0, 0, 8));
    }
}
