//! Finds all tests: Rust functions under a test attribute, the properties of a suite macro, titles of JavaScript tests.

use super::shows::Shows;
use crate::check::{files, source::Source};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// One test.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    /// Its file, from the root.
    pub path: String,
    /// The function's name or the title.
    pub name: String,
    /// Counts from 1.
    pub line: usize,
    /// Whether it is about what goes through, or what does not.
    pub shows: Shows,
}

impl Test {
    /// Whose text is read later, where it stands.
    pub fn at(path: &str, name: &str, line: usize) -> Self {
        Self { path: path.to_owned(), name: name.to_owned(), line, shows: Shows::default() }
    }

    #[cfg(test)]
    pub fn refusing(self) -> Self {
        self.showing("assert!(!x);")
    }

    fn showing(self, body: &str) -> Self {
        Self { shows: Shows::of(&self.name, body), ..self }
    }
}

/// All tests of the repository, in the order of their files and names.
pub fn tests(root: &Path) -> Result<Vec<Test>> {
    let sources = files::sources(root)?;
    let rust: Vec<(&str, &str, Source)> = sources
        .iter()
        .filter(|(path, _)| files::has_extension(path, "rs"))
        .map(|(path, text)| (path.as_str(), text.as_str(), Source::read(text)))
        .collect();
    let mut found = Vec::new();
    for (path, _, source) in &rust {
        found.extend(functions(path, &source.code));
        found.extend(suite(path, &source.code).into_iter().map(|test| defined(test, &rust)));
    }
    for test in &mut found {
        if let Some((_, text, source)) = rust.iter().find(|(path, _, _)| *path == test.path) {
            *test = test.clone().showing(&body(text, &source.code, test.line));
        }
    }
    for (path, text) in scripts(root)? {
        found.extend(titles(&path, &text).into_iter().map(|test| {
            let body = script_body(&text, test.line);
            test.showing(&body)
        }));
    }
    found.sort();
    Ok(found)
}

/// Functions whose attributes make them tests. An ignored one is run by nobody and does not count.
fn functions(path: &str, code: &str) -> Vec<Test> {
    let mut found = Vec::new();
    let (mut is_test, mut ignored) = (false, false);
    for (at, line) in code.lines().enumerate() {
        let mut rest = line.trim();
        while let Some(attribute) = rest.strip_prefix("#[") {
            let name =
                attribute.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap_or("");
            is_test |= name == "test" || name.ends_with("::test");
            ignored |= name == "ignore";
            rest = after_attribute(attribute).trim_start();
        }
        let Some(name) = function(rest) else { continue };
        if is_test && !ignored && !name.is_empty() {
            found.push(Test::at(path, name, at + 1));
        }
        (is_test, ignored) = (false, false);
    }
    found
}

/// The text of the function that begins on this line, to the brace that closes it. The braces are those of the code, the
/// text has its literals too.
fn body(text: &str, code: &str, line: usize) -> String {
    let (mut depth, mut opened) = (0_usize, false);
    let mut lines = Vec::new();
    for (line, code) in text.lines().zip(code.lines()).skip(line - 1) {
        lines.push(line);
        for found in code.chars() {
            match found {
                '{' => (depth, opened) = (depth + 1, true),
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if opened && depth == 0 {
            break;
        }
    }
    lines.join("\n")
}

/// The text of a JavaScript test: to the line that closes it, which stands as far in as the one that opens it.
fn script_body(text: &str, line: usize) -> String {
    let mut lines = text.lines().skip(line - 1);
    let Some(first) = lines.next() else { return String::new() };
    let indent = first.len() - first.trim_start().len();
    let ends =
        |line: &&str| line.len() - line.trim_start().len() == indent && line.trim_start().starts_with('}');
    let mut body = vec![first];
    if !first.trim_end().ends_with("});") {
        body.extend(lines.take_while(|line| !ends(line)));
    }
    body.join("\n")
}

/// What follows the bracket that closes an attribute; nothing when it goes on in the next line.
fn after_attribute(text: &str) -> &str {
    let mut depth = 1_usize;
    for (at, found) in text.char_indices() {
        match found {
            '[' => depth += 1,
            ']' if depth == 1 => return text.get(at + 1..).unwrap_or_default(),
            ']' => depth -= 1,
            _ => {}
        }
    }
    ""
}

/// The name in `fn name(`; empty where a macro puts the name.
fn function(line: &str) -> Option<&str> {
    let after = line.strip_prefix("fn ").or_else(|| line.split_once(" fn ").map(|(_, after)| after))?;
    after.split(|c: char| !c.is_alphanumeric() && c != '_').next()
}

/// The properties that a macro such as `contract_tests!` turns into tests: the lines of its body that are one name.
fn suite(path: &str, code: &str) -> Vec<Test> {
    let mut found = Vec::new();
    let mut depth = None;
    for (at, line) in code.lines().enumerate() {
        let name = line.trim();
        let opens = name
            .strip_prefix("macro_rules! ")
            .is_some_and(|after| after.trim_end_matches(" {").ends_with("_tests"));
        if opens {
            depth = Some(0_usize);
        }
        let Some(before) = depth else { continue };
        let is_name = name.contains('_')
            && name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if is_name {
            found.push(Test::at(path, name, at + 1));
        }
        let now = (before + line.matches('{').count()).saturating_sub(line.matches('}').count());
        depth = (now > 0).then_some(now);
    }
    found
}

/// A property of a suite is shown where its code stands: in the macro's folder.
fn defined(test: Test, sources: &[(&str, &str, Source)]) -> Test {
    let folder = test.path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let begins = format!("fn {}(", test.name);
    for (path, _, source) in sources.iter().filter(|(path, _, _)| path.starts_with(folder)) {
        if let Some(at) = source.code.lines().position(|line| line.contains(&begins)) {
            return Test { path: (*path).to_owned(), line: at + 1, ..test };
        }
    }
    test
}

/// The JavaScript tests, with their text.
fn scripts(root: &Path) -> Result<Vec<files::File>> {
    let folder = "tests/e2e";
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join(folder)).with_context(|| format!("cannot list {folder}/"))? {
        let path = format!("{folder}/{}", entry?.file_name().to_string_lossy());
        if files::has_extension(&path, "mjs") {
            let text = files::read(root, &path)?;
            found.push((path, text));
        }
    }
    found.sort();
    Ok(found)
}

/// The titles in `test('…')`, `t.test("…")` and the same with backticks.
fn titles(path: &str, text: &str) -> Vec<Test> {
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
        for (begin, opening) in line.match_indices("test(") {
            let before = line.get(..begin).and_then(|before| before.chars().next_back());
            if before.is_some_and(|before| before.is_alphanumeric() || before == '_') {
                continue;
            }
            let after = line.get(begin + opening.len()..).unwrap_or_default().trim_start();
            if let Some(name) = quoted(after) {
                found.push(Test::at(path, name, at + 1));
            }
        }
    }
    found
}

fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|first| matches!(first, '\'' | '"' | '`'))?;
    let inside = text.get(1..)?;
    let mut escaped = false;
    for (at, found) in inside.char_indices() {
        match found {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if found == quote => return inside.get(..at),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(found: Vec<Test>) -> Vec<String> {
        found.into_iter().map(|test| test.name).collect()
    }

    fn rust(text: &str) -> Vec<String> {
        names(functions("a.rs", &Source::read(text).code))
    }

    #[test]
    fn functions_under_test_attributes_are_found_and_others_are_not() {
        let text = "
            fn helper() {}
            #[test]
            fn plain() {}
            #[tokio::test(flavor = \"multi_thread\")]
            async fn waits() {}
            #[test]
            #[should_panic]
            pub fn panics() {}
            #[test] fn in_one_line() {}
            #[cfg(test)]
            fn only_built_for_tests() {}
            proptest! {
                #![proptest_config(x)]
                #[test]
                fn property(bytes in any::<u8>()) {}
            }
            // #[test]
            fn commented() {}
            fn text() -> &'static str { \"#[test] fn quoted() {}\" }
        ";
        assert_eq!(rust(text), ["plain", "waits", "panics", "in_one_line", "property"]);
    }

    #[test]
    fn an_ignored_test_does_not_count() {
        assert_eq!(rust("#[test]\n#[ignore = \"by hand\"]\nfn a() {}\n#[test]\nfn b() {}"), ["b"]);
        assert_eq!(rust("#[test]\n#[allow(\n    x[0],\n)]\nfn c() {}"), ["c"]);
    }

    const SUITE: &str = "
        macro_rules! contract_tests {
            ($make:expr) => {
                $crate::contract_tests! { @each $make;
                    t_04_one_winner
                    the_sweep_ends
                }
            };
            (@each $make:expr; $($name:ident)+) => {$(
                #[tokio::test]
                async fn $name() { drop(keep); }
            )+};
        }
        not_in_the_suite
    ";

    #[test]
    fn the_properties_of_a_suite_are_tests_in_the_file_that_has_their_code() {
        let found = suite("store/contract/mod.rs", SUITE);
        assert_eq!(names(found.clone()), ["t_04_one_winner", "the_sweep_ends"]);
        assert_eq!(rust(SUITE), Vec::<String>::new());
        let code = Source::read("\npub async fn t_04_one_winner(store: S) {}");
        let other = Source::read("fn the_sweep_ends() {}");
        let sources = [("store/contract/single.rs", "", code), ("other/lib.rs", "", other)];
        let placed: Vec<Test> = found.into_iter().map(|test| defined(test, &sources)).collect();
        assert_eq!((placed[0].path.as_str(), placed[0].line), ("store/contract/single.rs", 2));
        assert_eq!(placed[1].path, "store/contract/mod.rs");
    }

    #[test]
    fn titles_of_javascript_tests_are_found() {
        let text = "test('one (AS-001)', LIMIT, async (t) => {\n  await t.test(`two ${name}`, x);\n  if (/x/.test(message)) y();\n  // test('three')\n  contest('four');\n  test(\"it's \\\"five\\\"\", z);\n";
        let found = titles("a.test.mjs", text);
        assert_eq!(found.iter().map(|test| test.line).collect::<Vec<_>>(), [1, 2, 6]);
        assert_eq!(names(found), ["one (AS-001)", "two ${name}", "it's \\\"five\\\""]);
    }

    #[test]
    fn the_text_of_a_test_ends_where_it_ends() {
        let text = "#[test]\nfn a() {\n    let x = \"}\"; // }\n    assert!(!y);\n}\nfn z() { w(); }\n";
        let found = body(text, &Source::read(text).code, 2);
        assert!(found.contains("assert!(!y)") && !found.contains("w()"), "{found}");
        let text =
            "test('a', async () => {\n  if (x) {\n    y();\n  }\n  assert.rejects(z);\n});\ntest('b', f);\n";
        let found = script_body(text, 1);
        assert!(found.contains("rejects") && !found.contains("'b'"), "{found}");
        assert_eq!(script_body(text, 7), "test('b', f);");
    }

    #[test]
    fn all_kinds_are_found_in_a_repository() {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("crates/a/src/lib.rs", "#[test]\nfn as_001_a() { assert!(!x); }"),
            ("crates/s/src/mod.rs", SUITE),
            ("xtask/src/main.rs", "#[test]\nfn b() {}"),
            ("tests/e2e/c.test.mjs", "test('c', f);"),
            ("tests/e2e/package.json", "test('d')"),
        ] {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found = tests(root.path()).unwrap();
        assert_eq!(found[0].shows.mark(), "−");
        assert_eq!(names(found), ["as_001_a", "t_04_one_winner", "the_sweep_ends", "c", "b"]);
    }
}
