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
        let what = plain(&error.message().trim().replace('\n', " "));
        let fix = if what.starts_with("missing field") {
            "add it"
        } else if unknown(&what).is_some_and(|name| AT_THE_TOP.contains(&name)) {
            "it belongs to the top of the file, above the first line with brackets"
        } else if what.starts_with("unknown field") {
            "correct the spelling or remove the line"
        } else if what.starts_with("duplicate key") {
            "remove one of the two"
        } else {
            "correct the line; texts stand in double quotes"
        };
        let line = error.span().map(|span| line_of(text, span.start));
        Self { line, what, fix: fix.to_owned() }
    }
}

/// Keys that stand above all tables. Whoever writes one at the end of the file gives it to the last table there (TOML).
const AT_THE_TOP: [&str; 4] = ["public_url", "listen", "state", "trusted_proxies"];

fn unknown(what: &str) -> Option<&str> {
    what.strip_prefix("unknown field `")?.split_once('`').map(|(name, _)| name)
}

/// What the parser calls by the names of this program, in those of the file.
fn plain(what: &str) -> String {
    let Some((found, expected)) = what.split_once(", expected ") else { return what.to_owned() };
    let found = found.replace("unknown variant", "unknown value");
    let expected = match expected {
        "a map" => "a table, such as { name = \"value\" }",
        "a sequence" => "a list in brackets, such as [\"one\", \"two\"]",
        "a boolean" => "true or false",
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, at least 0",
        named if named.starts_with("struct ") => "a table, such as { name = \"value\" }",
        other => other,
    };
    format!("{found}, expected {expected}")
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
