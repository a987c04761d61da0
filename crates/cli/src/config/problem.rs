//! Something wrong in a file: where, what, and how to mend it.

use std::fmt;

/// Something wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1; `None` when it is about the whole file.
    pub line: Option<usize>,
    /// What is wrong.
    pub what: String,
    /// How to mend it.
    pub fix: String,
}

impl Problem {
    /// About the whole file.
    pub const fn whole(what: String, fix: String) -> Self {
        Self { line: None, what, fix }
    }

    /// At a place in the text, in bytes.
    pub fn at(text: &str, offset: usize, what: String, fix: String) -> Self {
        Self { line: Some(line_of(text, offset)), what, fix }
    }

    /// What the parser of TOML says.
    pub fn syntax(text: &str, error: &toml::de::Error) -> Self {
        let what = error.message().trim().replace('\n', " ");
        let fix = if what.starts_with("missing field") {
            "add it".to_owned()
        } else if what.starts_with("unknown field") {
            "correct the spelling or remove the line".to_owned()
        } else {
            "correct the line; texts stand in double quotes".to_owned()
        };
        Self { line: error.span().map(|span| line_of(text, span.start)), what, fix }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        write!(f, "{}; {}", self.what, self.fix)
    }
}
