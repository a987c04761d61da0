//! Reads Rust just well enough to tell code from comments and string literals.

/// One string literal: the line on which it begins, and what stands between its quotes.
#[derive(Debug, PartialEq, Eq)]
pub struct Literal {
    pub line: usize,
    pub text: String,
}

/// A file taken apart. `code` has the lines of the file, comments turned into spaces and literals into `_`.
pub struct Source {
    pub code: String,
    pub literals: Vec<Literal>,
}

impl Source {
    /// Never fails: text that is not Rust gives some code and some literals.
    pub fn read(text: &str) -> Self {
        let mut reader = Reader { rest: text, code: String::with_capacity(text.len()), literals: Vec::new() };
        while let Some(next) = reader.rest.chars().next() {
            reader.step(next);
        }
        Self { code: reader.code, literals: reader.literals }
    }

    /// The lines of code before the tests at the end of the file, each with its number.
    pub fn lines_without_tests(&self) -> Vec<(usize, &str)> {
        let lines: Vec<(usize, &str)> =
            self.code.lines().enumerate().map(|(at, line)| (at + 1, line)).collect();
        let end = lines.iter().position(|(number, _)| opens_tests(&lines, *number)).unwrap_or(lines.len());
        lines.into_iter().take(end).collect()
    }
}

/// `#[cfg(test)]`, then further attributes, then a module with a body. `mod tests;` leaves the rest of the file alone.
fn opens_tests(lines: &[(usize, &str)], number: usize) -> bool {
    let mut from = lines.iter().skip(number - 1).map(|(_, line)| line.trim());
    from.next() == Some("#[cfg(test)]")
        && from
            .find(|line| !line.starts_with("#["))
            .is_some_and(|line| line.contains("mod ") && line.ends_with('{'))
}

struct Reader<'a> {
    rest: &'a str,
    code: String,
    literals: Vec<Literal>,
}

impl Reader<'_> {
    fn step(&mut self, next: char) {
        if self.rest.starts_with("//") {
            let length = self.rest.find('\n').unwrap_or(self.rest.len());
            self.blank(length, ' ');
        } else if self.rest.starts_with("/*") {
            let length = block_comment(self.rest);
            self.blank(length, ' ');
        } else if next == '"' {
            self.literal(1, quoted(self.rest), 1);
        } else if let Some((open, close)) = raw(self.rest).filter(|_| !self.inside_word()) {
            let body = self.rest.get(open..).unwrap_or_default();
            let length = body.find(&close).map_or(self.rest.len(), |at| open + at + close.len());
            self.literal(open, length, close.len());
        } else if next == '\'' {
            let length = character(self.rest);
            if length == 1 { self.keep(1) } else { self.blank(length, '_') }
        } else {
            self.keep(next.len_utf8());
        }
    }

    /// Whether the character before is part of a word, as the `r` of `for"` would be.
    fn inside_word(&self) -> bool {
        let before = self.code.chars().next_back();
        before.is_some_and(|last| last.is_alphanumeric() || last == '_') && !self.code.ends_with(['b', 'c'])
    }

    fn literal(&mut self, open: usize, length: usize, close: usize) {
        let line = self.code.matches('\n').count() + 1;
        let end = length.saturating_sub(close);
        let text = self.rest.get(open..end).unwrap_or_default().to_owned();
        self.literals.push(Literal { line, text });
        self.blank(length, '_');
    }

    fn keep(&mut self, length: usize) {
        let (kept, rest) = self.rest.split_at(length);
        self.code.push_str(kept);
        self.rest = rest;
    }

    fn blank(&mut self, length: usize, with: char) {
        let (blanked, rest) = self.rest.split_at(length);
        self.code.extend(blanked.chars().map(|found| if found == '\n' { '\n' } else { with }));
        self.rest = rest;
    }
}

/// The length of a block comment, comments inside it included.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of a string literal that begins with its quote.
fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (at, found) in text.char_indices().skip(1) {
        match found {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// For a raw string: the length of its opening, and its closing.
fn raw(text: &str) -> Option<(usize, String)> {
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    after.get(hashes..)?.starts_with('"').then(|| (hashes + 2, format!("\"{}", "#".repeat(hashes))))
}

/// The length of a character literal, or 1 for the quote of a lifetime.
fn character(text: &str) -> usize {
    let mut inside = text.char_indices().skip(1);
    match inside.next() {
        Some((_, '\\')) => {
            inside.next();
            inside.find(|(_, found)| *found == '\'').map_or(1, |(at, _)| at + 1)
        }
        Some(_) => inside.next().filter(|(_, found)| *found == '\'').map_or(1, |(at, _)| at + 1),
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        Source::read(text).literals.into_iter().map(|literal| literal.text).collect()
    }

    #[test]
    fn comments_and_literals_leave_the_code() {
        let source = Source::read("let a = \"x // y\"; // async\n/* /* .await */ */ let b = 'c';\n");
        assert!(
            !source.code.contains("async") && !source.code.contains("await") && !source.code.contains("x /")
        );
        assert!(source.code.contains("let a = ") && source.code.contains("let b = "));
        assert_eq!(source.code.lines().count(), 2);
    }

    #[test]
    fn literals_of_every_kind_are_found_with_their_line() {
        assert_eq!(texts(r##"f("a\"b", r"c\", br#"d"e"#, b"f")"##), ["a\\\"b", "c\\", "d\"e", "f"]);
        let source = Source::read("\n\nf(\"\n\n\", \"z\")");
        assert_eq!(source.literals.iter().map(|literal| literal.line).collect::<Vec<_>>(), [3, 5]);
    }

    #[test]
    fn quotes_of_characters_and_lifetimes_open_nothing() {
        assert_eq!(texts("fn f<'a>(x: &'a str) { g('\"', '\\'', '\\u{22}', \"in\") }"), ["in"]);
        assert_eq!(texts("for r in x { \"y\" } // \"z\""), ["y"]);
    }

    #[test]
    fn unfinished_text_ends_quietly() {
        for text in ["\"", "r#\"", "/*", "'", "'\\", "\"\\"] {
            Source::read(text);
        }
    }

    #[test]
    fn tests_at_the_end_are_cut_and_a_declared_test_file_is_not() {
        let cut = Source::read("a\n#[cfg(test)]\n#[path = \"x\"]\nmod tests {\nb\n}\n");
        assert_eq!(cut.lines_without_tests(), [(1, "a")]);
        let whole = Source::read("#[cfg(test)]\nmod tests;\na\n");
        assert_eq!(whole.lines_without_tests().len(), 3);
    }
}
