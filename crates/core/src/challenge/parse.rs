//! Reads `WWW-Authenticate` as servers really send it: strict where a mistake would move a value to another
//! parameter, lenient elsewhere.

use super::Challenge;

/// Header lines, bytes of one line, challenges in all, parameters of one challenge: more is not looked at.
const MAX_LINES: usize = 16;
const MAX_LINE: usize = 8192;
const MAX_CHALLENGES: usize = 32;
const MAX_PARAMETERS: usize = 32;

/// Reads the challenges of all `WWW-Authenticate` header lines, in their order (RFC 9110 §11.6.1).
///
/// Several challenges may share a line, and several lines may carry one each. What cannot be read is skipped up to
/// the next comma; a quoted value without an end is dropped, because half a URL is another URL.
pub fn parse(header_values: &[&str]) -> Vec<Challenge> {
    let mut challenges = Vec::new();
    for line in header_values.iter().take(MAX_LINES).filter(|line| line.len() <= MAX_LINE) {
        read_line(&mut Cursor { rest: line }, &mut challenges);
    }
    challenges
}

fn read_line(cursor: &mut Cursor<'_>, challenges: &mut Vec<Challenge>) {
    // A parameter never belongs to a challenge of an earlier line.
    let mut open = false;
    loop {
        cursor.skip(|c| is_space(c) || c == ',');
        if cursor.rest.is_empty() || challenges.len() > MAX_CHALLENGES {
            challenges.truncate(MAX_CHALLENGES);
            return;
        }
        if let Some(name) = cursor.parameter_name() {
            let current = challenges.last_mut().filter(|_| open);
            read_parameters(cursor, name, current);
        } else if let Some(scheme) = cursor.scheme() {
            let mut challenge =
                Challenge { scheme: scheme.to_owned(), token68: cursor.token68(), parameters: Vec::new() };
            let mut whole = challenge.token68.is_some() || cursor.ends_element();
            if !whole && let Some(name) = cursor.parameter_name() {
                read_parameters(cursor, name, Some(&mut challenge));
                whole = true;
            }
            // Words after a comma that stands in unescaped quotes are prose, not a scheme.
            if whole || !open {
                challenges.push(challenge);
                open = true;
            }
        }
        cursor.skip_element();
    }
}

/// Reads the value after `name=`, and further parameters where only the comma between them was forgotten.
fn read_parameters<'a>(cursor: &mut Cursor<'a>, first: &'a str, mut challenge: Option<&mut Challenge>) {
    let mut name = first;
    loop {
        if let (Some(value), Some(challenge)) = (cursor.value(), challenge.as_deref_mut())
            && challenge.parameters.len() < MAX_PARAMETERS
        {
            challenge.parameters.push((name.to_owned(), value));
        }
        cursor.skip(|c| is_space(c) || c == ';');
        match cursor.parameter_name() {
            Some(next) => name = next,
            None => return,
        }
    }
}

/// What is left of a line. Every method either takes a whole piece or leaves all of it.
#[derive(Clone, Copy)]
struct Cursor<'a> {
    rest: &'a str,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    fn skip(&mut self, unwanted: impl Fn(char) -> bool) {
        self.take(unwanted);
    }

    fn eat(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A name with its `=`, white space around it allowed though nobody may send it (RFC 9110 §11.2, `BWS`).
    fn parameter_name(&mut self) -> Option<&'a str> {
        let mut ahead = *self;
        let name = ahead.take(is_token);
        ahead.skip(is_space);
        if name.is_empty() || !ahead.eat('=') {
            return None;
        }
        ahead.skip(is_space);
        *self = ahead;
        Some(name)
    }

    /// A scheme: a token that a space, a comma or the end follows.
    fn scheme(&mut self) -> Option<&'a str> {
        let mut ahead = *self;
        let scheme = ahead.take(is_token);
        let ends = ahead.rest.starts_with([' ', '\t', ',']) || ahead.rest.is_empty();
        if scheme.is_empty() || !ends {
            return None;
        }
        ahead.skip(is_space);
        *self = ahead;
        Some(scheme)
    }

    fn ends_element(self) -> bool {
        self.rest.is_empty() || self.rest.starts_with(',')
    }

    /// `token68`: told from a parameter by what follows its `=` signs (RFC 9110 §11.3).
    fn token68(&mut self) -> Option<String> {
        let mut ahead = *self;
        let letters = ahead.take(|c| c.is_ascii_alphanumeric() || "-._~+/".contains(c));
        let padding = ahead.take(|c| c == '=');
        ahead.skip(is_space);
        if letters.is_empty() || !ahead.ends_element() {
            return None;
        }
        *self = ahead;
        Some(format!("{letters}{padding}"))
    }

    /// A quoted or a bare value. Bare URLs are no tokens, but servers send them. Nothing for an empty bare value
    /// and for a quoted one that does not end.
    fn value(&mut self) -> Option<String> {
        if self.rest.starts_with('"') {
            return self.quoted();
        }
        let bare = self.take(|c| !is_space(c) && c != ',' && c != '"').trim_end_matches(';');
        (!bare.is_empty()).then(|| bare.to_owned())
    }

    fn quoted(&mut self) -> Option<String> {
        let mut value = String::new();
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or("");
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                _ => value.push(c),
            }
        }
        self.rest = "";
        None
    }

    /// Goes on to the next comma that stands outside quotes.
    fn skip_element(&mut self) {
        loop {
            self.skip(|c| c != ',' && c != '"');
            if !self.rest.starts_with('"') {
                return;
            }
            // A backslash as the very last character leaves the quote unread: nothing more can follow it.
            if self.quoted().is_none() {
                self.rest = "";
            }
        }
    }
}

const fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t')
}

fn is_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c)
}
