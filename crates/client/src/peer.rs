//! Text of a peer that a person may want to read: cut, stripped of everything that acts, and marked as theirs.

use hallpass_core::json;
use serde_json::{Map, Value};
use std::fmt;

const MAX: usize = 300;
/// Where a person is told what to do, with an address to open: a link to connect an account is cut nowhere.
const MAX_WITH_LINK: usize = 2_000;

/// What an authorization server or MCP server said about an error. For people only: it is never parsed, never
/// followed and never part of an error type. Control characters, line breaks and characters that change the
/// direction of text are gone, so it cannot pretend to be a message of ours (T-69).
#[derive(Clone, PartialEq, Eq)]
pub struct PeerText(String);

impl PeerText {
    /// Cleans a text; nothing readable in it is `None`.
    pub fn of(text: &str) -> Option<Self> {
        Self::cut(text, MAX)
    }

    /// The same with room for an address that a person is to open.
    pub(crate) fn with_link(text: &str) -> Option<Self> {
        Self::cut(text, MAX_WITH_LINK)
    }

    fn cut(text: &str, most: usize) -> Option<Self> {
        let readable = |c: &char| !c.is_control() && !is_invisible(*c);
        let line: String = text
            .chars()
            .map(|c| if c.is_whitespace() { ' ' } else { c })
            .filter(readable)
            .take(most)
            .collect();
        let line = line.trim();
        (!line.is_empty()).then(|| Self(line.to_owned()))
    }

    /// `error` and `error_description` of an OAuth error, as one line.
    pub(crate) fn of_error(error: Option<&str>, description: Option<&str>) -> Option<Self> {
        match (error, description) {
            (Some(error), Some(description)) => Self::of(&format!("{error}: {description}")),
            (one, other) => Self::of(one.or(other)?),
        }
    }

    /// The same from a JSON body.
    pub(crate) fn of_members(members: &Map<String, Value>) -> Option<Self> {
        let text = |name| json::string(members, name).ok().flatten();
        Self::of_error(text("error"), text("error_description"))
    }

    /// The cleaned line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Bidirectional controls, zero-width and other format characters, tags, private use.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

impl fmt::Display for PeerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PeerText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerText({:?})", self.0)
    }
}

/// An error of ours, and what the peer said beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure<E> {
    /// The broken rule.
    pub error: E,
    /// For people.
    pub said: Option<PeerText>,
}

impl<E> Failure<E> {
    /// The same under a wider error.
    pub fn widen<W: From<E>>(self) -> Failure<W> {
        Failure { error: self.error.into(), said: self.said }
    }
}

impl<E> From<E> for Failure<E> {
    fn from(error: E) -> Self {
        Self { error, said: None }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<E: std::error::Error> std::error::Error for Failure<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_69_cl_046_peers_cannot_draw_on_the_terminal() {
        let hostile = "\u{1b}[2J\u{1b}]8;;http://evil\u{7}no\r\nhallpass: signed in\u{202e}\u{200b}x\0";
        assert_eq!(PeerText::of(hostile).unwrap().as_str(), "[2J]8;;http://evilno  hallpass: signed inx");
        assert_eq!(PeerText::of(&"x".repeat(10_000)).unwrap().as_str().len(), 300);
        assert_eq!(PeerText::with_link(&"x".repeat(10_000)).unwrap().as_str().len(), 2_000);
        assert_eq!(PeerText::with_link(hostile), PeerText::of(hostile));
        assert_eq!(PeerText::of("\u{200b}\n \t"), None);
        assert_eq!(PeerText::of_error(Some("a"), Some("b")).unwrap().as_str(), "a: b");
    }
}
