//! Replacing texts at known places of a JSON object, and nothing else of it: not a number is written anew.

use super::{
    names::is_mistaken_for,
    raw::{Raw, write_string},
};
use serde_json::value::RawValue;
use std::{collections::BTreeMap, ops::Range};

/// A way into an object: names of members, and `*` for each item of an array.
pub type Path = [&'static str];

/// Why nothing was replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpliceError {
    /// There is something else than a text where one belongs, a member that could be mistaken for one of the path, or a text
    /// that was refused.
    #[error("a value that belongs to somebody is not one of this caller")]
    Refused,
}

impl Raw {
    /// The same with the texts at these places replaced by what `change` makes of them, with the number of the path. Nothing
    /// where there is none of them.
    ///
    /// # Errors
    /// `change` refused one, or something is there that is no text. `null` counts as absent.
    pub fn with_texts(
        &self,
        paths: &[&Path],
        change: &mut dyn FnMut(usize, &str) -> Option<String>,
    ) -> Result<Option<Self>, SpliceError> {
        let mut found = Vec::new();
        for (number, path) in paths.iter().enumerate() {
            let mut change = |text: &str| change(number, text);
            walk(self.as_str(), (path, 0), &mut change, &mut found)?;
        }
        if found.is_empty() {
            return Ok(None);
        }
        found.sort_by_key(|(range, _)| range.start);
        let (mut out, mut from) = (String::with_capacity(self.as_str().len() + 256), 0);
        for (range, text) in found {
            out.push_str(self.as_str().get(from..range.start).unwrap_or_default());
            write_string(&mut out, &text);
            from = range.end;
        }
        out.push_str(self.as_str().get(from..).unwrap_or_default());
        Ok(Some(Self::spliced(out)))
    }
}

type Found = Vec<(Range<usize>, String)>;

/// `base` is where `text` begins.
fn walk(
    text: &str,
    (path, base): (&Path, usize),
    change: &mut dyn FnMut(&str) -> Option<String>,
    found: &mut Found,
) -> Result<(), SpliceError> {
    let Some((step, rest)) = path.split_first() else {
        if text == "null" {
            return Ok(());
        }
        let read: String = serde_json::from_str(text).map_err(|_| SpliceError::Refused)?;
        let new = change(&read).ok_or(SpliceError::Refused)?;
        found.push((base..base + text.len(), new));
        return Ok(());
    };
    let mut inside = |value: &RawValue, found: &mut Found| {
        let at = value.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
        walk(value.get(), (rest, base + at), change, found)
    };
    if *step == "*" {
        let items: Vec<&RawValue> = if text.starts_with('[') {
            serde_json::from_str(text).map_err(|_| SpliceError::Refused)?
        } else {
            Vec::new()
        };
        return items.into_iter().try_for_each(|item| inside(item, found));
    }
    if !text.starts_with('{') {
        return Ok(());
    }
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(text).map_err(|_| SpliceError::Refused)?;
    // What a server that folds names would take for it (CVE-2026-27896) goes nowhere.
    if members.keys().any(|name| is_mistaken_for(name, step)) {
        return Err(SpliceError::Refused);
    }
    members.get(*step).map_or(Ok(()), |value| inside(value, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::{Message, Outcome};

    fn raw(text: &str) -> Raw {
        let whole = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{text}}}"#);
        let message = Message::parse(whole.as_bytes(), Message::LIMITS).unwrap();
        let Message::Response { outcome: Outcome::Result(raw), .. } = message else { panic!("{message:?}") };
        raw
    }

    #[test]
    fn rs_055_only_the_texts_at_these_places_change() {
        let paths: &[&Path] = &[&["task", "taskId"], &["tasks", "*", "taskId"], &["nextCursor"]];
        let mut change = |number: usize, text: &str| Some(format!("{number}<{text}\"\u{2028}>"));
        let text = r#"{"z":1.0,"task":{"taskId":"\u0061","n":1e5},"nextCursor":null,"tasks":[{"taskId":"b"},{"x":"taskId"}],"other":{"taskId":"c"}}"#;
        let changed = raw(text).with_texts(paths, &mut change).unwrap().unwrap();
        assert_eq!(
            changed.as_str(),
            r#"{"z":1.0,"task":{"taskId":"0<a\"\u2028>","n":1e5},"nextCursor":null,"tasks":[{"taskId":"1<b\"\u2028>"},{"x":"taskId"}],"other":{"taskId":"c"}}"#
        );
        assert_eq!(raw(r#"{"taskId":"a"}"#).with_texts(paths, &mut change), Ok(None));
        for bad in [
            r#"{"nextCursor":7}"#,
            r#"{"nextcursor":"x"}"#,
            r#"{"task":{"taskid":"x"}}"#,
            r#"{"task":{"taskId":["a"]}}"#,
        ] {
            assert_eq!(raw(bad).with_texts(paths, &mut change), Err(SpliceError::Refused), "{bad}");
        }
        let mut never = |_: usize, _: &str| None;
        assert_eq!(raw(text).with_texts(paths, &mut never), Err(SpliceError::Refused));
    }
}
