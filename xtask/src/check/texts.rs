//! Words that mean "not finished", and lints switched off without a reason.

use super::finding::Finding;
use super::source::Source;

/// Put together here so that this file does not find itself.
const UNFINISHED: [&str; 4] =
    [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimplemented", "!"), concat!("todo", "!(")];

/// Checks one file, comments and tests included.
pub fn check(path: &str, text: &str, source: &Source, findings: &mut Vec<Finding>) {
    for (at, line) in text.lines().enumerate() {
        for word in UNFINISHED.into_iter().filter(|word| line.contains(word)) {
            let what =
                format!("`{word}`: finish it, or open an issue and say in plain words what is not there yet");
            findings.push(Finding::new(path, at + 1, what));
        }
    }
    for (number, attribute) in attributes(&source.code) {
        if !attribute.contains("reason =") {
            let what = "a lint switched off without a reason; add `reason = \"…\"`";
            findings.push(Finding::new(path, number, what));
        }
    }
}

/// Each `#[allow(…)]`, `#![allow(…)]` and the same with `expect`, up to its closing bracket, with its line.
fn attributes(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for opening in ["[allow(", "[expect("] {
        for (at, _) in code.match_indices(opening) {
            let before = code.get(..at).unwrap_or_default();
            let after = code.get(at..).unwrap_or_default();
            if before.ends_with('#') || before.ends_with("#!") {
                let end = after.find(")]").unwrap_or(after.len());
                found.push((before.matches('\n').count() + 1, after.get(..end).unwrap_or_default()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check("a.rs", text, &Source::read(text), &mut findings);
        lines(&findings)
    }

    #[test]
    fn each_sign_of_unfinished_work_is_found_also_in_comments() {
        for word in UNFINISHED {
            assert_eq!(found(&format!("a();\n// {word}\n")).len(), 1, "{word}");
        }
        assert_eq!(found("let todo = method;"), Vec::<String>::new());
    }

    #[test]
    fn an_allowance_needs_its_reason() {
        assert!(found("x\n#[allow(dead_code)]\ny")[0].starts_with("a.rs:2: a lint switched off"));
        assert_eq!(found("#![expect(unused)]").len(), 1);
        assert_eq!(
            found("#[allow(\n    dead_code,\n    reason = \"used by a macro\"\n)]"),
            Vec::<String>::new()
        );
        assert_eq!(found("// #[allow(dead_code)]"), Vec::<String>::new());
    }
}
