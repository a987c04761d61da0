//! `$1..$n` must first appear in ascending order: out of order, SQLite swaps the values and says nothing. And no statement
//! may leave something behind in its connection: a pooler gives that to somebody else, or it is gone with a failover.

use super::finding::Finding;
use super::source::Source;

/// How statements begin that outlive their transaction in the connection.
const SESSION_BOUND: [&str; 8] =
    ["LISTEN ", "UNLISTEN ", "NOTIFY ", "SET ", "RESET ", "DISCARD ", "PREPARE ", "DEALLOCATE "];
/// What does so wherever it stands.
const SESSION_BOUND_WITHIN: [&str; 8] = [
    "PG_ADVISORY_",
    "PG_TRY_ADVISORY_",
    "PG_NOTIFY",
    "SET_CONFIG(",
    "WITH HOLD",
    " TEMP ",
    " TEMPORARY ",
    "SESSION CHARACTERISTICS",
];

/// Checks the string literals of the store, its tests aside.
pub fn literals(path: &str, source: &Source, findings: &mut Vec<Finding>) {
    if path.starts_with("crates/store/") {
        let end = source.lines_without_tests().len();
        for literal in source.literals.iter().filter(|literal| literal.line <= end) {
            statement(path, literal.line, &literal.text, findings);
        }
    }
}

/// Checks a file of SQL, statement by statement.
pub fn file(path: &str, text: &str, findings: &mut Vec<Finding>) {
    let mut line = 1;
    for part in text.split_inclusive(';') {
        statement(path, line, part, findings);
        line += part.matches('\n').count();
    }
}

fn statement(path: &str, line: usize, text: &str, findings: &mut Vec<Finding>) {
    if let Some(found) = session_bound(text) {
        let what = format!(
            "`{found}` stays in the connection behind its statement: poolers and failovers lose it or give it to others; use SET LOCAL, or a row"
        );
        findings.push(Finding::new(path, line, what));
    }
    let mut known = 0;
    for number in placeholders(text) {
        if number > known + 1 {
            let what = format!(
                "${number} is used before ${}; number the placeholders in the order in which they first appear, in one literal",
                known + 1
            );
            findings.push(Finding::new(path, line, what));
            return;
        }
        known = known.max(number);
    }
}

/// The word with which one of these statements binds itself to its session. Advisory locks are refused whole: whether one ends
/// with its transaction hangs on a few letters.
fn session_bound(text: &str) -> Option<&'static str> {
    let begins = |part: &str| {
        let part = part.trim_start();
        let local = part.starts_with("SET LOCAL ") || part.starts_with("SET TRANSACTION ");
        SESSION_BOUND.into_iter().find(|word| !local && part.starts_with(word))
    };
    let upper = format!(" {} ", text.split_whitespace().collect::<Vec<_>>().join(" ").to_uppercase());
    let within = || SESSION_BOUND_WITHIN.into_iter().find(|word| upper.contains(word));
    text.split(';').find_map(begins).or_else(|| within().map(str::trim))
}

/// The numbers after `$`, in order.
fn placeholders(text: &str) -> Vec<usize> {
    let digits = |part: &str| part.chars().take_while(char::is_ascii_digit).collect::<String>();
    text.split('$').skip(1).filter_map(|part| digits(part).parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn found(code: &str) -> Vec<String> {
        let mut findings = Vec::new();
        literals("crates/store/src/sqlite/grant.rs", &Source::read(code), &mut findings);
        lines(&findings)
    }

    #[test]
    fn ascending_first_uses_are_right_and_repeats_are_free() {
        assert_eq!(
            found("f(\"SELECT a FROM b WHERE c = $1 AND d = $2 OR e = $1 AND g = $3\")"),
            Vec::<String>::new()
        );
        assert_eq!(found("f(\"$1 $2 $3 $4 $5 $6 $7 $8 $9 $10 $11 $2\")"), Vec::<String>::new());
    }

    #[test]
    fn a_placeholder_before_its_time_is_found_with_the_line_of_its_statement() {
        let out = found("\nf(\"SELECT a\n WHERE b = $2 AND c = $1\")");
        assert_eq!(out.len(), 1);
        assert!(out[0].starts_with("crates/store/src/sqlite/grant.rs:2: $2 is used before $1"));
        assert_eq!(found("f(\"$1 $3\")").len(), 1);
    }

    #[test]
    fn files_of_sql_are_checked_by_statement() {
        let mut findings = Vec::new();
        file(
            "a.sql",
            "INSERT INTO a VALUES ($1);\nUPDATE a SET b = $1;\nUPDATE a SET b = $2;\n",
            &mut findings,
        );
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn what_stays_in_a_connection_is_refused() {
        for statement in [
            "LISTEN revocations",
            "BEGIN; NOTIFY revocations",
            "SET statement_timeout = 0",
            "SET SESSION lock_timeout = 1",
            "SELECT pg_advisory_lock($1)",
            "SELECT pg_try_advisory_lock($1)",
            "SELECT pg_advisory_xact_lock(1)",
            "select pg_notify('a', $1)",
            "SELECT set_config('a', $1, false)",
            "CREATE TEMP TABLE a (b BIGINT)",
            "CREATE TEMPORARY TABLE a (b BIGINT)",
            "DECLARE c CURSOR WITH HOLD FOR SELECT a FROM b",
            "DECLARE c CURSOR WITH\n  HOLD FOR SELECT a FROM b",
            "PREPARE a AS SELECT 1",
        ] {
            let out = found(&format!("f(\"{statement}\")"));
            assert!(out.len() == 1 && out[0].contains("stays in the connection"), "{statement}: {out:?}");
        }
        let mut findings = Vec::new();
        file("a.sql", "CREATE TABLE a (b BIGINT);\nLISTEN a;\n", &mut findings);
        assert_eq!(findings.len(), 1);
    }

    #[test]
    fn what_ends_with_its_transaction_is_right() {
        for statement in [
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = 0",
            "UPDATE a SET b = $1, holder = $2, held_until = $3",
            "DECLARE c CURSOR FOR SELECT a FROM b",
            "INSERT INTO a VALUES ($1) ON CONFLICT (a) DO UPDATE SET b = $1",
        ] {
            assert_eq!(found(&format!("f({statement:?})")), Vec::<String>::new(), "{statement}");
        }
    }

    #[test]
    fn tests_may_hold_wrong_statements() {
        assert_eq!(found("a\n#[cfg(test)]\nmod tests {\n    f(\"$2 $1\")\n}"), Vec::<String>::new());
    }

    #[test]
    fn other_crates_may_write_dollars() {
        let mut findings = Vec::new();
        literals("crates/cli/src/main.rs", &Source::read("f(\"$5\")"), &mut findings);
        assert_eq!(findings, []);
    }
}
