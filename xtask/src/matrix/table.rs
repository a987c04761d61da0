//! The requirements: one file of rows for each list, tab-separated: ID, level, revisions, state, note, source, text.
//! A line that begins with `#` opens a section.

use super::id::Id;
use anyhow::{Context, Result, bail};

/// Title, file, text.
const DOCUMENTS: [(&str, &str, &str); 5] = [
    ("Authorization server", "authorization_server.tsv", include_str!("rows/authorization_server.tsv")),
    ("Resource server and gateway", "resource_server.tsv", include_str!("rows/resource_server.tsv")),
    ("Client", "client.tsv", include_str!("rows/client.tsv")),
    ("Naive mistakes", "mistakes.tsv", include_str!("rows/mistakes.tsv")),
    ("Threats", "threats.tsv", include_str!("rows/threats.tsv")),
];
/// Longest text of a row, in characters.
const LONGEST: usize = 140;

/// How binding a row is. The negative forms count with the positive ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Must,
    Should,
    May,
    Mistake,
    Threat,
}

impl Level {
    fn of(text: &str) -> Option<Self> {
        match text.split(' ').next()? {
            "MUST" => Some(Self::Must),
            "SHOULD" => Some(Self::Should),
            "MAY" => Some(Self::May),
            "mistake" => Some(Self::Mistake),
            "threat" => Some(Self::Threat),
            _ => None,
        }
    }

    /// As the summary calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
            Self::Mistake => "mistake",
            Self::Threat => "threat",
        }
    }

    /// Whether a shipped row of this level is owed a test.
    pub const fn needs_test(self) -> bool {
        matches!(self, Self::Must | Self::Mistake | Self::Threat)
    }
}

/// How far a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is in the code. If its level needs a test, it has one.
    Shipped,
    /// It is in the code, and the test is owed.
    Untested,
    /// It is not there, or not whole.
    Later,
}

impl State {
    const ALL: [Self; 3] = [Self::Shipped, Self::Untested, Self::Later];

    /// As the rows spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Shipped => "shipped",
            Self::Untested => "untested",
            Self::Later => "later",
        }
    }
}

/// One requirement.
#[derive(Clone, Debug)]
pub struct Row {
    pub id: Id,
    pub level: Level,
    /// The level with its conditions, such as `MUST NOT` or `MUST (derived)`.
    pub level_text: String,
    /// Revisions of MCP that it applies to.
    pub revisions: String,
    pub state: State,
    /// Why it is not shipped; for a shipped row, what to know about it.
    pub note: String,
    pub source: String,
    pub text: String,
    /// Where the row stands, for findings.
    pub line: usize,
}

/// Rows under one heading.
#[derive(Debug)]
pub struct Section {
    pub title: String,
    pub rows: Vec<Row>,
}

/// One list of requirements.
#[derive(Debug)]
pub struct Document {
    pub title: &'static str,
    /// Its file, from the root of the repository.
    pub path: String,
    pub sections: Vec<Section>,
}

impl Document {
    /// All rows in order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.sections.iter().flat_map(|section| &section.rows)
    }

    /// Reads the rows of one list.
    pub fn parse(title: &'static str, path: &str, text: &str) -> Result<Self> {
        let mut sections: Vec<Section> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            if let Some(title) = line.strip_prefix("# ") {
                sections.push(Section { title: title.to_owned(), rows: Vec::new() });
                continue;
            }
            let row = row(at + 1, line).with_context(|| format!("{path}:{}", at + 1))?;
            let Some(section) = sections.last_mut() else { bail!("{path}: a row before the first section") };
            section.rows.push(row);
        }
        Ok(Self { title, path: path.to_owned(), sections })
    }
}

/// All lists.
pub fn documents() -> Result<Vec<Document>> {
    let read = |(title, file, text): (&'static str, &str, &str)| {
        Document::parse(title, &format!("xtask/src/matrix/rows/{file}"), text)
    };
    DOCUMENTS.into_iter().map(read).collect()
}

fn row(line: usize, text: &str) -> Result<Row> {
    let cells: Vec<&str> = text.split('\t').collect();
    let [id, level, revisions, state, note, source, text] = cells.as_slice() else {
        bail!("{} cells instead of 7", cells.len());
    };
    let known = State::ALL.into_iter().find(|known| known.name() == *state);
    let row = Row {
        id: Id::parse(id).with_context(|| format!("`{id}` is no ID"))?,
        level: Level::of(level).with_context(|| format!("`{level}` is no level"))?,
        level_text: (*level).to_owned(),
        revisions: (*revisions).to_owned(),
        state: known.with_context(|| format!("`{state}` is no state"))?,
        note: (*note).to_owned(),
        source: (*source).to_owned(),
        text: (*text).to_owned(),
        line,
    };
    if row.state != State::Shipped && row.note.is_empty() {
        bail!("`{state}` needs a note that says why");
    }
    if row.state == State::Untested && !row.level.needs_test() {
        bail!("a {level} is owed no test; make it `shipped`");
    }
    if row.text.is_empty() || row.text.chars().count() > LONGEST {
        bail!("the text needs 1 to {LONGEST} characters");
    }
    Ok(row)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn parsed(text: &str) -> Result<Document> {
        Document::parse("List", "rows.tsv", text)
    }

    #[test]
    fn the_lists_are_complete_and_in_order() {
        let documents = documents().unwrap();
        let counts: Vec<usize> = documents.iter().map(|document| document.rows().count()).collect();
        assert_eq!(counts, [227, 69, 101, 43, 90]);
        let ids: Vec<Id> = documents.iter().flat_map(Document::rows).map(|row| row.id).collect();
        assert!(ids.is_sorted());
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        assert_eq!((ids[0].to_string(), ids[226].to_string()), ("AS-001".into(), "AS-227".into()));
    }

    #[test]
    fn a_row_is_read_cell_by_cell() {
        let text =
            "# One\nAS-001\tMUST NOT (derived)\t11+\tlater\twhen there is time\tRFC 1\tSay it.\n# Two\n";
        let document = parsed(text).unwrap();
        assert_eq!(
            document.sections.iter().map(|section| &*section.title).collect::<Vec<_>>(),
            ["One", "Two"]
        );
        let row = document.rows().next().unwrap();
        assert_eq!(
            (row.id.to_string().as_str(), row.level, row.state, row.line),
            ("AS-001", Level::Must, State::Later, 2)
        );
        assert_eq!((&*row.level_text, &*row.note), ("MUST NOT (derived)", "when there is time"));
    }

    #[test]
    fn a_broken_row_is_refused_with_its_line() {
        for (row, why) in [
            ("AS-001\tMUST", "2 cells instead of 7"),
            ("AS-1\tMUST\tall\tshipped\t\tx\ty", "`AS-1` is no ID"),
            ("AS-001\tOUGHT\tall\tshipped\t\tx\ty", "`OUGHT` is no level"),
            ("AS-001\tMUST\tall\tdone\t\tx\ty", "`done` is no state"),
            ("AS-001\tMUST\tall\tlater\t\tx\ty", "`later` needs a note"),
            ("AS-001\tSHOULD\tall\tuntested\tno time\tx\ty", "a SHOULD is owed no test"),
            ("AS-001\tMUST\tall\tshipped\t\tx\t", "1 to 140 characters"),
        ] {
            let error = format!("{:#}", parsed(&format!("# One\n{row}")).unwrap_err());
            assert!(error.starts_with("rows.tsv:2: ") && error.contains(why), "{error}");
        }
        assert!(parsed("AS-001\tMUST\tall\tshipped\t\tx\ty").is_err(), "no section");
    }
}
