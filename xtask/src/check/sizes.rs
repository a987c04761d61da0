//! Sizes of files and functions, tests aside.

use super::files::is_test;
use super::finding::Finding;
use super::source::Source;

const FILE_LIMIT: usize = 500;
const FILE_HINT: usize = 350;
const FUNCTION_LIMIT: usize = 80;

/// Checks one file. What is only large, not too large, becomes a hint.
pub fn check(path: &str, source: &Source, findings: &mut Vec<Finding>, hints: &mut Vec<Finding>) {
    if is_test(path) {
        return;
    }
    let lines = source.lines_without_tests();
    let size = lines.len();
    if size > FILE_LIMIT {
        let what =
            format!("{size} lines without tests, {FILE_LIMIT} at most; split it by what changes together");
        findings.push(Finding::new(path, 1, what));
    } else if size > FILE_HINT {
        hints.push(Finding::new(path, 1, format!("{size} lines without tests, {FILE_HINT} is the aim")));
    }
    for (number, length) in functions(&lines) {
        if length > FUNCTION_LIMIT {
            let what = format!(
                "a function of {length} lines of code, {FUNCTION_LIMIT} at most; give its steps names"
            );
            findings.push(Finding::new(path, number, what));
        }
    }
}

/// Each function with a body: the line of its `fn`, and how many lines of code it has. Blank lines and comments are free.
fn functions(lines: &[(usize, &str)]) -> Vec<(usize, usize)> {
    let starts = lines.iter().enumerate().filter(|(_, (_, line))| begins_function(line));
    starts.filter_map(|(at, (number, _))| Some((*number, length(lines.get(at..)?)?))).collect()
}

fn begins_function(line: &str) -> bool {
    let mut words = line.split_whitespace().skip_while(|word| *word != "fn");
    words.next().is_some()
        && words
            .next()
            .is_some_and(|name| name.starts_with(|first: char| first.is_alphabetic() || first == '_'))
}

/// From the first line to the brace that closes the body; nothing when there is no body.
fn length(lines: &[(usize, &str)]) -> Option<usize> {
    let mut braces = 0_usize;
    let mut brackets = 0_usize;
    let mut code = 0;
    let first = lines.first().and_then(|(_, line)| line.find("fn ")).unwrap_or(0);
    for (at, (_, line)) in lines.iter().enumerate() {
        code += usize::from(!line.trim().is_empty());
        for found in line.chars().skip(if at == 0 { first } else { 0 }) {
            match found {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '{' => braces += 1,
                '}' if braces <= 1 => return Some(code),
                '}' => braces -= 1,
                ';' if braces == 0 && brackets == 0 => return None,
                _ => {}
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn found(path: &str, text: &str) -> (Vec<String>, usize) {
        let (mut findings, mut hints) = (Vec::new(), Vec::new());
        check(path, &Source::read(text), &mut findings, &mut hints);
        (lines(&findings), hints.len())
    }

    #[test]
    fn files_are_hinted_at_then_refused() {
        assert_eq!(found("a.rs", &"x\n".repeat(350)), (vec![], 0));
        assert_eq!(found("a.rs", &"x\n".repeat(500)), (vec![], 1));
        assert_eq!(found("a.rs", &"x\n".repeat(501)).0.len(), 1);
    }

    #[test]
    fn tests_are_not_counted() {
        let text = format!("x\n#[cfg(test)]\nmod tests {{\n{}}}", "x\n".repeat(600));
        assert_eq!(found("a.rs", &text), (vec![], 0));
        assert_eq!(found("crates/core/src/uri/tests.rs", &"x\n".repeat(600)), (vec![], 0));
    }

    #[test]
    fn a_function_may_have_80_lines_of_code_and_any_number_of_comments() {
        let function =
            |body: &str| format!("struct A;\n\npub fn long(\n    a: [u8; 3],\n) -> [u8; 2] {{\n{body}}}\n");
        assert_eq!(found("a.rs", &function(&"x();\n".repeat(76))).0, Vec::<String>::new());
        assert_eq!(
            found("a.rs", &function(&format!("{}{}", "x();\n".repeat(76), "// why\n\n".repeat(40)))).0,
            Vec::<String>::new()
        );
        let long = found("a.rs", &function(&"x();\n".repeat(77))).0;
        assert!(long[0].starts_with("a.rs:3: a function of 81 lines"), "{long:?}");
    }

    #[test]
    fn a_signature_without_a_body_ends_at_its_semicolon() {
        let text =
            format!("trait A {{\n    fn one(a: [u8; 3]) -> u8;\n{}}}\n", "    const B: u8;\n".repeat(90));
        assert_eq!(found("a.rs", &text).0, Vec::<String>::new());
    }

    #[test]
    fn braces_in_text_and_fn_pointers_do_not_confuse() {
        let text =
            format!("fn a() {{ b(\"}}\", '{{'); }}\ntype F = fn (u8);\n{}", "const X: u8 = 1;\n".repeat(90));
        assert_eq!(found("a.rs", &text).0, Vec::<String>::new());
    }
}
