//! `rules.rs`, the fetch policy and all of core are pure: no `async`, no store, no clock, no I/O.

use super::files::is_test;
use super::finding::Finding;
use super::source::Source;

const IMPURE: [&str; 11] = [
    "async",
    ".await",
    "hallpass_store",
    "SystemClock",
    "SystemTime",
    "Instant",
    "std::fs",
    "std::net::Tcp",
    "std::env",
    "std::thread",
    "tokio::",
];

/// The one file of core that names the clock, and what it may name.
const CLOCK: (&str, [&str; 2]) = ("crates/core/src/time.rs", ["SystemClock", "SystemTime"]);

/// Checks one file, its tests aside.
pub fn check(path: &str, source: &Source, findings: &mut Vec<Finding>) {
    if !is_pure(path) {
        return;
    }
    for (number, line) in source.lines_without_tests() {
        for word in IMPURE {
            if contains_word(line, word) && !(path == CLOCK.0 && CLOCK.1.contains(&word)) {
                let what =
                    format!("`{word}` in a pure file; pass the value in, or move the step to its caller");
                findings.push(Finding::new(path, number, what));
            }
        }
    }
}

fn is_pure(path: &str) -> bool {
    let rules = path.ends_with("/rules.rs") || path == "crates/fetch/src/policy.rs";
    (rules || path.starts_with("crates/core/src/")) && !is_test(path)
}

/// Whether `word` stands in `line` and is not only a part of a longer name.
fn contains_word(line: &str, word: &str) -> bool {
    let in_word = |found: char| found.is_alphanumeric() || found == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let after = line.get(at + word.len()..).and_then(|text| text.chars().next());
        let open_before = !word.starts_with(in_word) || !before.is_some_and(in_word);
        // `std::net::Tcp` stands for TcpStream and TcpListener.
        let open_after = word.ends_with("Tcp") || !word.ends_with(in_word) || !after.is_some_and(in_word);
        open_before && open_after
    })
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(path, &Source::read(text), &mut findings);
        lines(&findings)
    }

    #[test]
    fn each_impure_word_is_found() {
        for text in [
            "async fn f() {}",
            "x().await",
            "use hallpass_store::Grants;",
            "SystemClock.now()",
            "std::fs::read(p)",
            "std::net::TcpStream::connect(a)",
            "tokio::spawn(f)",
            "std::env::var(k)",
            "let start = Instant::now();",
        ] {
            assert_eq!(found("crates/server/src/token/rules.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn words_in_comments_tests_and_longer_names_are_fine() {
        let text = "// async\nlet asynchronous = \"x.await\"; let a: std::net::IpAddr;\n#[cfg(test)]\nmod tests {\nasync fn f() {}\n}";
        assert_eq!(found("crates/server/src/token/rules.rs", text), Vec::<String>::new());
    }

    #[test]
    fn core_is_pure_as_a_whole_and_only_its_time_file_knows_the_clock() {
        assert_eq!(found("crates/core/src/pkce.rs", "async fn f() {}").len(), 1);
        assert_eq!(found("crates/core/src/pkce.rs", "SystemTime::now()").len(), 1);
        assert_eq!(found("crates/core/src/time.rs", "SystemTime::now()"), Vec::<String>::new());
        assert_eq!(found("crates/core/src/time.rs", "std::fs::read(p)").len(), 1);
    }

    #[test]
    fn other_files_may_do_what_they_are_for() {
        assert_eq!(found("crates/fetch/src/client.rs", "async fn f() { x.await }"), Vec::<String>::new());
        assert_eq!(found("crates/fetch/src/policy.rs", "async fn f() {}").len(), 1);
    }
}
