//! Which tests prove which row: by their names, and by the table of those that prove more than they are called.

use super::id::{Claims, Id, claims};
use super::scan::Test;
use anyhow::{Context, Result};
use std::collections::BTreeMap;

/// The table: ID, tab, name of a test. Whoever adds a line has read the test.
pub const ALSO_PATH: &str = "xtask/src/matrix/also.tsv";
const ALSO: &str = include_str!("also.tsv");

/// The rows of which nothing can be refused: ID, tab, why.
pub const ONE_SIDED_PATH: &str = "xtask/src/matrix/one_sided.tsv";
const ONE_SIDED: &str = include_str!("one_sided.tsv");

/// One line of a table.
#[derive(Clone, Debug)]
pub struct Said {
    pub id: Id,
    /// The name of a test, or a reason.
    pub text: String,
    pub line: usize,
}

/// The table of what tests prove beside their names.
pub fn also() -> Result<Vec<Said>> {
    parse(ALSO_PATH, ALSO)
}

/// The table of rows with one side.
pub fn one_sided() -> Result<Vec<Said>> {
    parse(ONE_SIDED_PATH, ONE_SIDED)
}

fn parse(path: &str, text: &str) -> Result<Vec<Said>> {
    let read = |(at, line): (usize, &str)| {
        let (id, text) = line.split_once('\t').with_context(|| format!("{path}:{}: no tab", at + 1))?;
        let id = Id::parse(id).with_context(|| format!("{path}:{}: `{id}` is no ID", at + 1))?;
        Ok(Said { id, text: text.to_owned(), line: at + 1 })
    };
    text.lines().enumerate().map(read).collect()
}

/// All tests with what they claim, and the tests of each row.
pub struct Proofs<'a> {
    pub claims: Vec<(&'a Test, Claims)>,
    of: BTreeMap<Id, Vec<&'a Test>>,
    /// Rows of which nothing can be refused, as their table says.
    pub one_sided: Vec<Said>,
}

impl<'a> Proofs<'a> {
    /// Puts names and table together.
    pub fn new(tests: &'a [Test], also: &[Said]) -> Self {
        let claims: Vec<(&Test, Claims)> = tests.iter().map(|test| (test, claims(&test.name))).collect();
        let mut of: BTreeMap<Id, Vec<&Test>> = BTreeMap::new();
        for (test, claimed) in &claims {
            for id in &claimed.ids {
                of.entry(*id).or_default().push(test);
            }
        }
        for entry in also {
            of.entry(entry.id).or_default().extend(tests.iter().filter(|test| test.name == entry.text));
        }
        for tests in of.values_mut() {
            tests.sort();
            tests.dedup();
        }
        Self { claims, of, one_sided: Vec::new() }
    }

    /// The same, with the rows of which nothing can be refused.
    pub fn with_one_sided(self, one_sided: Vec<Said>) -> Self {
        Self { one_sided, ..self }
    }

    /// Why nothing of this row can be refused, if so.
    pub fn why_one_sided(&self, id: Id) -> Option<&str> {
        self.one_sided.iter().find(|said| said.id == id).map(|said| said.text.as_str())
    }

    /// Whether some test of the row shows what is refused.
    pub fn refuses(&self, id: Id) -> bool {
        self.of(id).iter().any(|test| test.shows.refuses)
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
        Test::at("a.rs", name, 1)
    }

    #[test]
    fn names_and_table_are_put_together_each_test_once() {
        let tests = [test("z_as_001"), test("as_001_to_as_002"), test("whole_story")];
        let also = parse("x.tsv", "AS-002\twhole_story\nAS-002\tas_001_to_as_002\n").unwrap();
        let proofs = Proofs::new(&tests, &also);
        let of =
            |id: &str| proofs.of(Id::parse(id).unwrap()).iter().map(|test| &*test.name).collect::<Vec<_>>();
        assert_eq!(of("AS-001"), ["as_001_to_as_002", "z_as_001"]);
        assert_eq!(of("AS-002"), ["as_001_to_as_002", "whole_story"]);
        assert_eq!(of("AS-003"), Vec::<&str>::new());
    }

    #[test]
    fn a_broken_line_of_the_table_is_refused() {
        assert!(parse("x.tsv", "AS-001 x").is_err() && parse("x.tsv", "AS-1\tx").is_err());
        assert!(!also().unwrap().is_empty() && !one_sided().unwrap().is_empty());
    }
}
