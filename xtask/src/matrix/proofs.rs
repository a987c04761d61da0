//! Which tests prove which row: by their names, and by the table of those that prove more than they are called.

use super::id::{Claims, Id, claims};
use super::scan::Test;
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// The table: ID, tab, name of a test. Whoever adds a line has read the test.
pub const ALSO_PATH: &str = "xtask/src/matrix/also.tsv";
const ALSO: &str = include_str!("also.tsv");

/// One line of the table.
#[derive(Debug)]
pub struct Also {
    pub id: Id,
    pub test: String,
    pub line: usize,
}

/// The table.
pub fn also() -> Result<Vec<Also>> {
    parse(ALSO)
}

fn parse(text: &str) -> Result<Vec<Also>> {
    let read = |(at, line): (usize, &str)| {
        let (id, name) = line.split_once('\t').with_context(|| format!("{ALSO_PATH}:{}: no tab", at + 1))?;
        let id = Id::parse(id).with_context(|| format!("{ALSO_PATH}:{}: `{id}` is no ID", at + 1))?;
        Ok(Also { id, test: name.to_owned(), line: at + 1 })
    };
    text.lines().enumerate().map(read).collect()
}

/// All tests with what they claim, and the tests of each row.
pub struct Proofs<'a> {
    pub claims: Vec<(&'a Test, Claims)>,
    of: BTreeMap<Id, Vec<&'a Test>>,
}

impl<'a> Proofs<'a> {
    /// Puts names and table together.
    pub fn new(tests: &'a [Test], also: &[Also]) -> Self {
        let claims: Vec<(&Test, Claims)> = tests.iter().map(|test| (test, claims(&test.name))).collect();
        let mut of: BTreeMap<Id, Vec<&Test>> = BTreeMap::new();
        for (test, claimed) in &claims {
            for id in &claimed.ids {
                of.entry(*id).or_default().push(test);
            }
        }
        for entry in also {
            of.entry(entry.id).or_default().extend(tests.iter().filter(|test| test.name == entry.test));
        }
        for tests in of.values_mut() {
            tests.sort();
            tests.dedup();
        }
        Self { claims, of }
    }

    /// Whether a test has this ID in its own name.
    pub fn is_named(&self, id: Id) -> bool {
        self.claims.iter().any(|(_, claims)| claims.ids.contains(&id))
    }

    /// The tests of a row, in the order of files and names.
    pub fn of(&self, id: Id) -> &[&'a Test] {
        self.of.get(&id).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str) -> Test {
        Test { path: "a.rs".into(), name: name.into(), line: 1 }
    }

    #[test]
    fn names_and_table_are_put_together_each_test_once() {
        let tests = [test("z_as_001"), test("as_001_to_as_002"), test("whole_story")];
        let also = parse("AS-002\twhole_story\nAS-002\tas_001_to_as_002\n").unwrap();
        let proofs = Proofs::new(&tests, &also);
        let of =
            |id: &str| proofs.of(Id::parse(id).unwrap()).iter().map(|test| &*test.name).collect::<Vec<_>>();
        assert_eq!(of("AS-001"), ["as_001_to_as_002", "z_as_001"]);
        assert_eq!(of("AS-002"), ["as_001_to_as_002", "whole_story"]);
        assert_eq!(of("AS-003"), Vec::<&str>::new());
    }

    #[test]
    fn a_broken_line_of_the_table_is_refused() {
        assert!(parse("AS-001 x").is_err() && parse("AS-1\tx").is_err());
        assert!(!also().unwrap().is_empty());
    }
}
