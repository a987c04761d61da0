//! What `--check` holds: shipped means proven, names are true, the list of what is owed does not grow.

use super::id::Id;
use super::proofs::{ALSO_PATH, ONE_SIDED_PATH, Proofs, Said};
use super::table::{Document, Level, Row, State};
use crate::check::finding::Finding;
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// Rows that are in the code and still owe their test. It may only become smaller.
pub const OWED: usize = 0;

/// Checks rows, names of tests and the table of further proofs against each other.
pub fn check(documents: &[Document], also: &[Said], proofs: &Proofs<'_>, owed: usize) -> Vec<Finding> {
    let mut findings = Vec::new();
    for document in documents {
        for row in document.rows() {
            findings.extend(state(row, proofs).map(|what| Finding::new(&document.path, row.line, what)));
        }
    }
    let known: BTreeSet<Id> = documents.iter().flat_map(Document::rows).map(|row| row.id).collect();
    names(&known, proofs, &mut findings);
    table(&known, also, proofs, &mut findings);
    findings.extend(proofs.one_sided.iter().filter_map(|said| one_sided(&known, said, proofs)));
    findings.extend(count(documents, owed));
    findings
}

fn state(row: &Row, proofs: &Proofs<'_>) -> Option<String> {
    let (id, has_test) = (row.id, !proofs.of(row.id).is_empty());
    match row.state {
        State::Shipped if row.level.needs_test() && !has_test => Some(format!(
            "{id} is shipped and has no test: name it in a test, list one in also.tsv, or make the row `untested` and say why"
        )),
        // Whoever looks for an attack looks for its number, and also.tsv is not where they look.
        State::Shipped if row.level == Level::Threat && !proofs.is_named(id) => {
            Some(format!("{id} is a threat, and no test has its number in its name: also.tsv is not enough"))
        }
        State::Shipped
            if row.level.needs_test() && !proofs.refuses(id) && proofs.why_one_sided(id).is_none() =>
        {
            Some(format!(
                "{id} is shipped and none of its tests shows what is refused: write one, or say in {ONE_SIDED_PATH} why nothing is"
            ))
        }
        State::Untested if has_test => Some(format!(
            "{id} is `untested` and has a test: make it `shipped`, and OWED in matrix/rules.rs smaller"
        )),
        State::Shipped | State::Untested | State::Later => None,
    }
}

fn names(known: &BTreeSet<Id>, proofs: &Proofs<'_>, findings: &mut Vec<Finding>) {
    for (test, claims) in &proofs.claims {
        let unknown = claims.ids.iter().filter(|id| !known.contains(id)).map(ToString::to_string);
        for wrong in unknown.chain(claims.wrong.iter().cloned()) {
            let what = format!("the test `{}` names {wrong}, which is no requirement", test.name);
            findings.push(Finding::new(&test.path, test.line, what));
        }
    }
}

fn table(known: &BTreeSet<Id>, also: &[Said], proofs: &Proofs<'_>, findings: &mut Vec<Finding>) {
    for entry in also {
        let mut named = proofs.claims.iter().filter(|(test, _)| test.name == entry.text).peekable();
        let what = if !known.contains(&entry.id) {
            format!("{} is no requirement", entry.id)
        } else if named.peek().is_none() {
            format!("there is no test `{}`", entry.text)
        } else if named.all(|(_, claims)| claims.ids.contains(&entry.id)) {
            format!("`{}` names {} itself; take the line out", entry.text, entry.id)
        } else {
            continue;
        };
        findings.push(Finding::new(ALSO_PATH, entry.line, what));
    }
}

fn one_sided(known: &BTreeSet<Id>, said: &Said, proofs: &Proofs<'_>) -> Option<Finding> {
    let what = if !known.contains(&said.id) {
        format!("{} is no requirement", said.id)
    } else if proofs.refuses(said.id) {
        format!("a test of {} shows what is refused; take the line out", said.id)
    } else {
        return None;
    };
    Some(Finding::new(ONE_SIDED_PATH, said.line, what))
}

fn count(documents: &[Document], owed: usize) -> Option<Finding> {
    let rows = documents.iter().flat_map(Document::rows);
    let found = rows.filter(|row| row.state == State::Untested).count();
    let what = match found.cmp(&owed) {
        Ordering::Greater => {
            format!("{found} rows are `untested`, {owed} at most: write the tests of what is added")
        }
        Ordering::Less => {
            format!("only {found} rows are `untested` now: make OWED {found}, so that it stays so")
        }
        Ordering::Equal => return None,
    };
    Some(Finding::new("xtask/src/matrix/rules.rs", 1, what))
}

#[cfg(test)]
mod tests {
    use super::super::scan::Test;
    use super::*;

    const ROWS: &str = "# One\n\
        AS-001\tMUST\tall\tshipped\t\tx\ty\n\
        AS-002\tMUST NOT\tall\tuntested\tno time\tx\ty\n\
        AS-003\tSHOULD\tall\tshipped\t\tx\ty\n\
        AS-004\tMUST\tall\tlater\tmachines\tx\ty\n";

    fn found(tests: &[&str], also: &[(&str, &str)], owed: usize) -> Vec<String> {
        let documents = [Document::parse("List", "rows.tsv", ROWS).unwrap()];
        let tests: Vec<Test> = tests.iter().map(|name| Test::at("a.rs", name, 7).refusing()).collect();
        let entry =
            |(id, test): &(&str, &str)| Said { id: Id::parse(id).unwrap(), text: (*test).into(), line: 3 };
        let also: Vec<Said> = also.iter().map(entry).collect();
        let findings = check(&documents, &also, &Proofs::new(&tests, &also), owed);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_table_that_agrees_with_the_tests_has_no_findings() {
        assert_eq!(found(&["as_001_a", "as_004_a_part"], &[], 1), Vec::<String>::new());
        assert_eq!(found(&["whole"], &[("AS-001", "whole")], 1), Vec::<String>::new());
    }

    #[test]
    fn a_shipped_must_without_a_test_is_found_and_a_should_is_not() {
        let found = found(&["other"], &[], 1);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("rows.tsv:2: AS-001 is shipped and has no test"), "{found:?}");
    }

    #[test]
    fn a_binding_row_has_a_test_of_what_is_refused_or_says_why_there_is_none() {
        const ROW: &str = "# One\nAS-001\tMUST\tall\tshipped\t\tx\ty\nAS-002\tSHOULD\tall\tshipped\t\tx\ty\n";
        let documents = [Document::parse("List", "rows.tsv", ROW).unwrap()];
        let served = Test::at("a.rs", "as_001_as_002_a", 7);
        let why = |id: &str| Said { id: Id::parse(id).unwrap(), text: "a document".into(), line: 3 };
        let found = |test: &Test, one_sided: &[Said]| {
            let tests = [test.clone()];
            let proofs = Proofs::new(&tests, &[]).with_one_sided(one_sided.to_vec());
            let findings = check(&documents, &[], &proofs, 0);
            findings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let bare = found(&served, &[]);
        assert!(bare.len() == 1 && bare[0].starts_with("rows.tsv:2: AS-001 is shipped and none"), "{bare:?}");
        assert_eq!(found(&served, &[why("AS-001")]), Vec::<String>::new());
        assert_eq!(found(&served.clone().refusing(), &[]), Vec::<String>::new());
        assert!(found(&served.clone().refusing(), &[why("AS-001")])[0].ends_with("take the line out"));
        assert!(found(&served, &[why("AS-001"), why("AS-009")])[0].contains("AS-009 is no requirement"));
    }

    #[test]
    fn a_threat_has_a_test_with_its_number_in_the_name() {
        const THREAT: &str = "# One\nT-05\tthreat\tall\tshipped\t\tx\ty\n";
        let documents = [Document::parse("List", "rows.tsv", THREAT).unwrap()];
        let found = |name: &str| {
            let tests = [Test::at("a.rs", name, 7).refusing()];
            let also = if name == "whole" {
                vec![Said { id: Id::parse("T-05").unwrap(), text: "whole".into(), line: 3 }]
            } else {
                Vec::new()
            };
            let findings = check(&documents, &also, &Proofs::new(&tests, &also), 0);
            findings.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(found("t_05_pasted"), Vec::<String>::new());
        let whole = found("whole");
        assert!(
            whole.len() == 1 && whole[0].starts_with("rows.tsv:2: T-05 is a threat, and no"),
            "{whole:?}"
        );
    }

    #[test]
    fn a_name_of_no_requirement_is_found() {
        let found = found(&["as_001_as_009_x", "as_01_y", "as_004_to_as_006"], &[], 1);
        assert_eq!(found.len(), 4, "{found:?}");
        for (at, wrong) in ["AS-009", "as_01", "AS-005", "AS-006"].into_iter().enumerate() {
            assert!(
                found[at].starts_with("a.rs:7: ") && found[at].contains(&format!("names {wrong}, which")),
                "{found:?}"
            );
        }
    }

    #[test]
    fn what_is_owed_neither_grows_nor_hides_that_it_shrank() {
        assert!(found(&["as_001_a"], &[], 0)[0].contains("1 rows are `untested`, 0 at most"));
        assert!(found(&["as_001_a"], &[], 2)[0].contains("make OWED 1"));
        assert!(
            found(&["as_001_a", "as_002_b"], &[], 1)[0]
                .starts_with("rows.tsv:3: AS-002 is `untested` and has a test")
        );
    }

    #[test]
    fn the_table_of_further_proofs_has_to_be_true() {
        let one = |also: (&str, &str)| found(&["as_001_a"], &[also], 1).join("");
        assert_eq!(one(("AS-003", "as_001_a")), "");
        assert_eq!(one(("AS-003", "gone")), format!("{ALSO_PATH}:3: there is no test `gone`"));
        assert_eq!(one(("AS-009", "as_001_a")), format!("{ALSO_PATH}:3: AS-009 is no requirement"));
        assert!(one(("AS-001", "as_001_a")).contains("names AS-001 itself"));
    }
}
