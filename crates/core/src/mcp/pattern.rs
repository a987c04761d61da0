//! Patterns of names: exact, or with `*` for any characters. Linear in the length of the name (T-87).

/// A pattern, taken apart at its stars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
}

impl Pattern {
    /// Any text is a pattern.
    pub fn new(text: &str) -> Self {
        Self { text: text.into() }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it names one thing only.
    pub fn is_exact(&self) -> bool {
        !self.text.contains('*')
    }

    /// Whether it is `name`, code point by code point.
    pub fn is(&self, name: &str) -> bool {
        *self.text == *name
    }

    /// Whether the name fits. Each piece is looked for once, from where the one before it was found: no way back, so
    /// no pattern takes longer than the name is long.
    pub fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.text.split_once('*') else { return self.is(name) };
        let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
        let Some(name) = name.strip_prefix(first) else { return false };
        let Some(mut name) = name.strip_suffix(last) else { return false };
        for piece in middle.split('*').filter(|piece| !piece.is_empty()) {
            let Some((_, after)) = name.split_once(piece) else { return false };
            name = after;
        }
        true
    }

    /// Whether something that begins like this could fit.
    pub fn may_match_from(&self, beginning: &str) -> bool {
        match self.text.split_once('*') {
            None => self.text.starts_with(beginning),
            Some((first, _)) => first.starts_with(beginning) || beginning.starts_with(first),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn rs_053_t_78_names_are_compared_as_they_are() {
        for (pattern, good, bad) in [
            (
                "list",
                &["list"][..],
                &["List", "list ", "list.", "lists", "l\u{131}st", "li\u{200b}st", "ｌist", ""][..],
            ),
            ("read_*", &["read_", "read_file"][..], &["read", "Read_file", "aread_x", "read\u{ff3f}x"][..]),
            ("*_file", &["read_file", "_file"][..], &["file", "read_files"][..]),
            ("a*b*c", &["abc", "axxbyyc", "abbcc"][..], &["ac", "ab", "acb", "xabc"][..]),
            ("aba*aba", &["abaaba", "abaxaba"][..], &["aba", "ababa"][..]),
            ("*", &["", "anything"][..], &[][..]),
            ("a**b", &["ab", "axb"][..], &["a"][..]),
            ("a.c", &["a.c"][..], &["abc"][..]),
            ("[ab]?", &["[ab]?"][..], &["ax"][..]),
        ] {
            for name in good {
                assert!(Pattern::new(pattern).matches(name), "{pattern} {name}");
            }
            for name in bad {
                assert!(!Pattern::new(pattern).matches(name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn t_87_no_pattern_takes_long() {
        let (pattern, name) = (Pattern::new(&format!("{}b", "*a".repeat(2_000))), "a".repeat(100_000));
        let started = Instant::now();
        assert!(!pattern.matches(&name));
        assert!(!Pattern::new("*aaaaaaaaaaaaaaaaaaaaaaab*").matches(&name));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}
