//! Writes `docs/conformance.md`: what a security engineer wants to know first, then every row. The same input gives the
//! same page.

use super::proofs::Proofs;
use super::scan::Test;
use super::table::{Document, Level, Row, State};
use std::collections::BTreeMap;
use std::fmt::Write as _;

const OPENING: &str = "\
# Conformance

What the standards, known mistakes and known attacks ask of an authorization server, a gateway and a client for MCP, what
of it hallpass does, and which test shows it. `cargo xtask matrix` writes this page from the table of requirements and the
names of the tests; `cargo xtask check` fails when a binding row that is shipped has no test, or none of what is refused.

";

const LEGEND: &str = "\
## How to read it

*Shipped*: in the code, as a whole. *Untested*: in the code, and the test is owed. *Later*: not there, or not as a whole;
tests of a part are listed. A row with \"not offered\" is an option that hallpass does not have. *Derived*: follows from a
security goal or an incident, not from the wording of a standard. The texts are ours and short; the cited source wins. A
section number with `?` was not compared with the text yet.

Tests: `+` shows that what is right goes through, `−` that what is wrong is refused or does not happen, `±` both. These marks
are found by words, not by judgment: an assertion of a refusal (a status of 400 and above, an error, nothing where something
would be), a name that says what must not be. Of a binding row that is shipped one test at least is `−` or `±`; where there is nothing
to refuse the row says so.

Revisions of MCP: 03 is 2025-03-26, 06 is 2025-06-18, 11 is 2025-11-25, 26 is 2026-07-28; `06+` that one and later; `ext` an
extension; `opt` only where the feature is offered.

Sources: MCP-Idx, MCP-Disc, MCP-Reg and MCP-Sec are the pages of the MCP authorization specification (index, discovery, client
registration, security); SBP its security best practices; OA21 the OAuth 2.1 draft; BCP RFC 9700; CIMD client ID metadata
documents; PRM protected resource metadata (RFC 9728); EMA enterprise-managed authorization with ID-JAG; WIF workload identity
federation; PAR and JAR pushed and signed requests (RFC 9126, RFC 9101); *engineering* is ours.

";

/// The whole page.
pub fn write(documents: &[Document], proofs: &Proofs<'_>) -> String {
    let mut page = String::from(OPENING);
    summary(&mut page, documents, proofs);
    owed(&mut page, documents);
    without(&mut page, documents, proofs);
    later(&mut page, documents);
    page.push_str(LEGEND);
    for document in documents {
        list(&mut page, document, proofs);
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

/// How many rows of one list and level are how far.
#[derive(Clone, Copy, Default)]
struct Count {
    rows: usize,
    proven: usize,
    refused: usize,
    unproven: usize,
    later: usize,
}

impl Count {
    fn add(&mut self, row: &Row, proofs: &Proofs<'_>) {
        let has_test = !proofs.of(row.id).is_empty();
        self.rows += 1;
        self.refused += usize::from(row.state == State::Shipped && proofs.refuses(row.id));
        match row.state {
            State::Later => self.later += 1,
            State::Shipped if has_test => self.proven += 1,
            State::Shipped | State::Untested => self.unproven += 1,
        }
    }
}

fn summary(page: &mut String, documents: &[Document], proofs: &Proofs<'_>) {
    page.push_str("## Summary\n\n| | Level | Rows | Shipped with tests | of them of what is refused | Shipped without | Later |\n|---|---|--:|--:|--:|--:|--:|\n");
    let mut all = Count::default();
    for document in documents {
        let mut levels: BTreeMap<Level, Count> = BTreeMap::new();
        for row in document.rows() {
            levels.entry(row.level).or_default().add(row, proofs);
            all.add(row, proofs);
        }
        for (level, count) in levels {
            line(page, &format!("[{}](#{})", document.title, anchor(document.title)), level.name(), count);
        }
    }
    line(page, "**All**", "", all);
    page.push('\n');
}

fn line(page: &mut String, title: &str, level: &str, count: Count) {
    let Count { rows, proven, refused, unproven, later } = count;
    let _ = writeln!(page, "| {title} | {level} | {rows} | {proven} | {refused} | {unproven} | {later} |");
}

/// How a heading is linked to on the usual hosts.
fn anchor(title: &str) -> String {
    title.to_lowercase().replace(' ', "-")
}

fn rows(documents: &[Document]) -> impl Iterator<Item = &Row> {
    documents.iter().flat_map(Document::rows)
}

fn owed(page: &mut String, documents: &[Document]) {
    let owed: Vec<&Row> = rows(documents).filter(|row| row.state == State::Untested).collect();
    page.push_str("## Tests that are owed\n\n");
    if owed.is_empty() {
        page.push_str("None: every binding row that is shipped has a test.\n\n");
        return;
    }
    page.push_str(
        "In the code, binding, and without a test of their own. The check keeps this list from growing.\n\n",
    );
    page.push_str("| | Level | Requirement | What is missing |\n|---|---|---|---|\n");
    for row in owed {
        let _ =
            writeln!(page, "| {} | {} | {} | {} |", row.id, row.level_text, cell(&row.text), cell(&row.note));
    }
    page.push('\n');
}

fn without(page: &mut String, documents: &[Document], proofs: &Proofs<'_>) {
    let is_bare = |row: &&Row| row.state == State::Shipped && proofs.of(row.id).is_empty();
    let ids: Vec<String> = rows(documents).filter(is_bare).map(|row| row.id.to_string()).collect();
    if !ids.is_empty() {
        let _ = writeln!(
            page,
            "Recommended, in the code, and without a test of their own: {}.\n",
            ids.join(", ")
        );
    }
}

fn later(page: &mut String, documents: &[Document]) {
    let mut parts: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for row in rows(documents).filter(|row| row.state == State::Later) {
        parts.entry(&row.note).or_default().push(row.id.to_string());
    }
    page.push_str("## What is not there\n\n| Part | Rows |\n|---|---|\n");
    let (never, later): (Vec<_>, Vec<_>) =
        parts.into_iter().partition(|(part, _)| part.starts_with("not offered"));
    for (part, ids) in later.into_iter().chain(never) {
        let _ = writeln!(page, "| {} | {} |", cell(part), ids.join(", "));
    }
    page.push('\n');
}

fn list(page: &mut String, document: &Document, proofs: &Proofs<'_>) {
    let _ = writeln!(page, "## {}\n", document.title);
    for section in &document.sections {
        if document.sections.len() > 1 {
            let _ = writeln!(page, "### {}\n", section.title);
        }
        page.push_str(
            "| | Requirement | Level | Revisions | Source | State | Tests |\n|---|---|---|---|---|---|---|\n",
        );
        for row in &section.rows {
            let mut tests: Vec<String> = proofs.of(row.id).iter().map(|test| link(test)).collect();
            tests.extend(proofs.why_one_sided(row.id).map(|why| format!("nothing to refuse: {}", cell(why))));
            let note = if row.note.is_empty() { String::new() } else { format!(": {}", row.note) };
            let state = format!("**{}**{note}", row.state.name());
            let cells =
                [&row.text, &row.level_text, &row.revisions, &row.source, &state].map(|text| cell(text));
            let _ = writeln!(page, "| {} | {} | {} |", row.id, cells.join(" | "), tests.join("<br>"));
        }
        page.push('\n');
    }
}

/// The short name of the file as a link, and the test.
fn link(test: &Test) -> String {
    let short = test.path.strip_prefix("crates/").unwrap_or(&test.path);
    let short = short.replace("/src/", "/").replace("/tests/main/", "/");
    let name = test.name.replace('|', "\\|").replace('`', "'");
    format!("{} [{short}](../{}) `{name}`", test.shows.mark(), test.path)
}

/// Text that must not end a cell or open markup.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// Where two pages differ first: the number of the line.
pub fn difference(committed: &str, written: &str) -> Option<usize> {
    if committed == written {
        return None;
    }
    let same = committed.lines().zip(written.lines()).take_while(|(one, other)| one == other).count();
    Some(same + 1)
}

#[cfg(test)]
mod tests {
    use super::super::proofs::Proofs;
    use super::*;

    const ROWS: &str = "# First\n\
        AS-001\tMUST NOT\tall\tshipped\t\tRFC 1 §2?\tNever a|b.\n\
        AS-002\tMUST (derived)\t06+\tuntested\tno time yet\tours\tAlways.\n\
        # Second\n\
        AS-003\tSHOULD\tall\tshipped\t\tx\tPerhaps.\n\
        AS-004\tMUST\text\tlater\tmachines\tx\tOne day.\n\
        AS-005\tMAY\text\tlater\tnot offered: toys\tx\tNo day.\n";

    fn page(names: &[&str]) -> String {
        let documents = [Document::parse("The list", "rows.tsv", ROWS).unwrap()];
        let place = |(at, name): (usize, &&str)| {
            let path = if at == 0 { "crates/server/tests/main/token.rs" } else { "crates/core/src/uri.rs" };
            Test::at(path, name, 1)
        };
        let tests: Vec<Test> = names.iter().enumerate().map(place).collect();
        write(&documents, &Proofs::new(&tests, &[]))
    }

    #[test]
    fn the_summary_counts_each_level() {
        let page = page(&["as_001_a"]);
        for line in [
            "| [The list](#the-list) | MUST | 3 | 1 | 0 | 1 | 1 |",
            "| [The list](#the-list) | SHOULD | 1 | 0 | 0 | 1 | 0 |",
            "| [The list](#the-list) | MAY | 1 | 0 | 0 | 0 | 1 |",
            "| **All** |  | 5 | 1 | 0 | 2 | 2 |",
        ] {
            assert!(page.contains(line), "{line}\n{page}");
        }
    }

    #[test]
    fn what_is_owed_and_what_is_not_there_stand_before_the_rows() {
        let page = page(&["as_001_a"]);
        let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}\n{page}"));
        let order = [
            at("| AS-002 | MUST (derived) | Always. | no time yet |"),
            at("without a test of their own: AS-003."),
            at("| machines | AS-004 |"),
            at("| not offered: toys | AS-005 |"),
            at("## The list\n"),
            at("### First\n"),
            at("### Second\n"),
        ];
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn a_row_lists_its_tests_with_their_files_and_breaks_no_table() {
        let page = page(&["as_001_b", "as_001_a"]);
        let tests = "+ [core/uri.rs](../crates/core/src/uri.rs) `as_001_a`<br>+ [server/token.rs](../crates/server/tests/main/token.rs) `as_001_b`";
        let row = format!("| AS-001 | Never a\\|b. | MUST NOT | all | RFC 1 §2? | **shipped** | {tests} |\n");
        assert!(page.contains(&row), "{page}");
        assert!(page.contains("| **later**: machines |  |\n"));
    }

    #[test]
    fn without_anything_owed_the_page_says_so() {
        let rows = "# One\nAS-001\tMUST\tall\tlater\tmachines\tx\ty\n";
        let documents = [Document::parse("List", "rows.tsv", rows).unwrap()];
        let page = write(&documents, &Proofs::new(&[], &[]));
        assert!(page.contains("None: every binding row that is shipped has a test."));
        assert!(
            !page.contains("Recommended, in the code") && page.ends_with("|\n") && !page.ends_with("\n\n")
        );
    }

    #[test]
    fn the_first_different_line_is_named() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(difference("a\n", "a\nb\n"), Some(2));
        assert_eq!(difference("a\n", "a\n\n"), Some(2));
    }
}
