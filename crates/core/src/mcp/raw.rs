//! A piece of JSON that was read once and is passed on as text, always on one line.

use std::{collections::BTreeMap, fmt};

use serde_json::{Value, value::RawValue};

/// The text of one JSON value, valid, without white space between its tokens, and without characters that any
/// reader takes for the end of a line.
///
/// The last two matter behind a stdio transport, where a line is a message: a line break between two members
/// would put what follows it on a line of its own, as a message that nobody has looked at.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw(Box<str>);

impl Raw {
    /// An integer.
    pub fn integer(value: i64) -> Self {
        Self(value.to_string().into())
    }

    /// Any value, written anew.
    pub fn from_value(value: &Value) -> Self {
        Self(one_line(&value.to_string()).into())
    }

    /// Takes a value that the scanner has accepted. `dirty` is [`Scanned::dirty`](super::scan::Scanned) of its text.
    pub(super) fn scanned(text: &str, dirty: bool) -> Self {
        Self(if dirty { one_line(text).into() } else { text.into() })
    }

    /// Takes a text that was made of one of these.
    pub(super) fn spliced(text: String) -> Self {
        Self(text.into())
    }

    /// The text.
    pub const fn as_str(&self) -> &str {
        &self.0
    }

    /// The members of an object by their names, each value as it is written; nothing for anything else.
    pub fn members(&self) -> Option<BTreeMap<String, Self>> {
        let members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&self.0).ok()?;
        Some(members.into_iter().map(|(name, value)| (name, Self(value.get().into()))).collect())
    }

    /// An object of these members.
    pub fn object(members: &BTreeMap<String, Self>) -> Self {
        let mut out = String::from("{");
        for (at, (name, value)) in members.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write_string(&mut out, name);
            out.push(':');
            out.push_str(value.as_str());
        }
        out.push('}');
        Self(out.into())
    }

    /// The value as strict JSON was read before; nothing for a number that does not fit.
    pub fn to_value(&self) -> Option<Value> {
        serde_json::from_str(&self.0).ok()
    }
}

impl fmt::Debug for Raw {
    /// Arguments of tools are the person's data and do not belong in logs.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Raw({} bytes)", self.0.len())
    }
}

/// Characters that end a line for some readers: Node's `readline` splits at the last two, Python's `splitlines`
/// at all three.
pub(super) const LINE_ENDS: [char; 3] = ['\u{85}', '\u{2028}', '\u{2029}'];

fn one_line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut inside, mut escaped) = (false, false);
    for c in text.chars() {
        if inside {
            inside = escaped || c != '"';
            escaped = !escaped && c == '\\';
        } else if matches!(c, ' ' | '\t' | '\r' | '\n') {
            continue;
        } else {
            inside = c == '"';
        }
        push(&mut out, c);
    }
    out
}

/// Writes a JSON string.
pub(super) fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\0'..='\u{1f}' => push_escape(out, c),
            _ => push(out, c),
        }
    }
    out.push('"');
}

fn push(out: &mut String, c: char) {
    if LINE_ENDS.contains(&c) {
        push_escape(out, c);
    } else {
        out.push(c);
    }
}

fn push_escape(out: &mut String, c: char) {
    let code = u32::from(c);
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(char::from_digit((code >> shift) & 0xf, 16).unwrap_or('0'));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_taken_apart_and_put_together_as_they_are_written() {
        let text = r#"{"b":1.00000000000000000001,"a\u0000\"":{"x":[1e999]}}"#;
        let members = Raw(text.into()).members().unwrap();
        assert_eq!(members["b"].as_str(), "1.00000000000000000001");
        assert_eq!(
            Raw::object(&members).as_str(),
            r#"{"a\u0000\"":{"x":[1e999]},"b":1.00000000000000000001}"#
        );
        assert_eq!(Raw::object(&BTreeMap::new()).as_str(), "{}");
        assert!(Raw::integer(7).members().is_none());
    }
}
