//! Going through a value that was read once, in place: no tree is built, and each byte is looked at once.
//!
//! Only for the text of a [`Raw`]: the scanner has accepted it, and no white space stands between its tokens. In any other text
//! a walk gets lost, and then ends early; it never panics and never goes on for ever.

use super::{
    raw::Raw,
    scan::{decode, plain},
};
use std::borrow::Cow;

/// A place in the text of a value.
#[derive(Clone, Debug)]
pub struct Walk<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Walk<'a> {
    /// At its beginning.
    pub const fn new(raw: &'a Raw) -> Self {
        Self { text: raw.as_str(), bytes: raw.as_str().as_bytes(), at: 0 }
    }

    /// Where it stands, in bytes from the beginning of the text.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Whether nothing is left: the whole value was gone through.
    pub const fn is_done(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Goes into the object that begins here. Where something else does, it stays.
    pub fn enter_object(&mut self) -> bool {
        self.eat(b'{')
    }

    /// The same for an array.
    pub fn enter_array(&mut self) -> bool {
        self.eat(b'[')
    }

    /// The name of the next member of the object that it is in, escapes read: then it stands at the value, which has to be gone
    /// through before the next one. Nothing where there is none: then it stands behind the object.
    pub fn member(&mut self) -> Option<Cow<'a, str>> {
        if !self.next(b'}') {
            return None;
        }
        let name = self.text();
        if name.is_none() || !self.eat(b':') {
            self.at = self.bytes.len();
            return None;
        }
        name
    }

    /// Whether there is another item in the array that it is in: then it stands there, and the item has to be gone through before
    /// the next one. Otherwise it stands behind the array.
    pub fn item(&mut self) -> bool {
        self.next(b']')
    }

    /// Goes behind the value that begins here: its text.
    pub fn value(&mut self) -> &'a str {
        let start = self.at;
        match self.peek() {
            Some(b'"') => {
                self.string();
            }
            Some(b'{' | b'[') => self.leave(0),
            _ => {
                let rest = self.bytes.get(self.at..).unwrap_or_default();
                self.at += rest.iter().take_while(|byte| !matches!(byte, b',' | b'}' | b']')).count();
            }
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The text of the string that begins here, escapes read; nothing for any other value. Goes behind it.
    pub fn text(&mut self) -> Option<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            self.value();
            return None;
        }
        let start = self.at;
        let escaped = self.string();
        let text = self.text.get(start..self.at)?;
        if escaped { decode(text) } else { text.get(1..text.len().checked_sub(1)?).map(Cow::Borrowed) }
    }

    /// Goes behind the object or array that it is in, whatever is left of it.
    pub fn rest(&mut self) {
        self.leave(1);
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn eat(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// Whether something comes before this bracket. If not, it stands behind the bracket.
    fn next(&mut self, closing: u8) -> bool {
        if self.eat(closing) || self.is_done() {
            return false;
        }
        self.eat(b',');
        true
    }

    /// Goes on until as many brackets have closed as have opened, and `depth` more.
    fn leave(&mut self, mut depth: usize) {
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return;
            }
        }
    }

    /// Goes behind the string that begins here: whether it has escapes.
    fn string(&mut self) -> bool {
        self.at += 1;
        let mut escaped = false;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            self.at += plain(rest);
            match self.peek() {
                Some(b'\\') => {
                    escaped = true;
                    self.at = self.bytes.len().min(self.at + 2);
                }
                // A quote: nothing else is left in a text that was accepted.
                Some(_) => {
                    self.at += 1;
                    return escaped;
                }
                None => return escaped,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn raw(text: &str) -> Raw {
        Raw::from_value(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_walk_goes_where_it_is_told_and_no_further() {
        let raw =
            raw(r#"{"a":{"n\u0061me":"x\"y","z":[1,{"]":"}"}]},"b":[[],{},"",-1.5e3,true,null],"c":7}"#);
        let mut walk = Walk::new(&raw);
        assert!(!walk.enter_array() && walk.enter_object());
        assert_eq!(walk.member().as_deref(), Some("a"));
        assert!(walk.enter_object());
        assert_eq!((walk.member().as_deref(), walk.text().as_deref()), (Some("name"), Some("x\"y")));
        walk.rest();
        assert_eq!(walk.member().as_deref(), Some("b"));
        assert!(walk.enter_array());
        let mut items = Vec::new();
        while walk.item() {
            items.push(walk.value());
        }
        assert_eq!(items, ["[]", "{}", "\"\"", "-1500.0", "true", "null"]);
        assert_eq!((walk.member().as_deref(), walk.text()), (Some("c"), None), "a number is no text");
        assert!(!walk.is_done());
        assert_eq!((walk.member(), walk.is_done()), (None, true));
        assert_eq!((walk.member(), walk.item(), walk.value(), walk.is_done()), (None, false, "", true));
    }

    #[test]
    fn in_a_text_that_is_none_a_walk_ends() {
        for text in
            ["", "{", "{\"a", "{\"a\\", "{1:2}", "{a}", "[", "[[", "{\"a\":", "{\"a\" :1}", "]", ",", "{,}"]
        {
            let mut walk = Walk { text, bytes: text.as_bytes(), at: 0 };
            walk.enter_object();
            for _ in 0..20 {
                drop(walk.member());
                walk.value();
            }
            walk.enter_array();
            for _ in 0..20 {
                walk.item();
                walk.value();
            }
        }
    }

    proptest::proptest! {
        /// What is at each place, compared with another reader.
        #[test]
        fn a_walk_agrees_with_serde_json(value in super::super::properties::any_json()) {
            let raw = Raw::from_value(&value);
            let mut walk = Walk::new(&raw);
            check(&value, &mut walk);
            proptest::prop_assert!(walk.is_done());
            let mut over = Walk::new(&raw);
            proptest::prop_assert_eq!(over.value(), raw.as_str());
        }
    }

    fn check(value: &Value, walk: &mut Walk<'_>) {
        match value {
            Value::Object(members) => {
                assert!(walk.enter_object());
                let mut seen = BTreeSet::new();
                while let Some(name) = walk.member() {
                    let before = walk.clone();
                    check(&members[&*name], walk);
                    let mut over = before;
                    over.value();
                    assert_eq!(over.at(), walk.at());
                    seen.insert(name);
                }
                assert_eq!(seen.len(), members.len());
            }
            Value::Array(items) => {
                assert!(walk.enter_array());
                for item in items {
                    assert!(walk.item());
                    check(item, walk);
                }
                assert!(!walk.item());
            }
            Value::String(text) => assert_eq!(walk.text().as_deref(), Some(&**text)),
            Value::Null | Value::Bool(_) | Value::Number(_) => assert_eq!(walk.value(), value.to_string()),
        }
    }
}
