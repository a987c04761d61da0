//! The numbered schema texts, one for all backends, their order, and which programs may use what they make.
//!
//! A text that was released is never edited: the next change is the next number. Types differ between backends
//! only in spelling, so a text has four placeholders: `{BLOB}`, `{INT}`, `{TEXT}` and `{TABLE_OPTIONS}`.
//!
//! A text only adds, wherever that can be done: tables, and columns that may be left out of an insert. Nodes of the release
//! before then go on beside the first of the new one, and it can be taken back. A text that takes away or gives another
//! meaning says so by its number.

use crate::{ErrorKind, StoreError};

/// Schema texts in order, each with the oldest schema whose programs may use a database that has it. The schema version
/// is the number of texts applied.
const TEXTS: &[(i64, &str)] = &[
    (1, include_str!("0001_first.sql")),
    (1, include_str!("0002_invitation.sql")),
    (1, include_str!("0003_audit_head.sql")),
    // Who does not know `key_proven` would refresh such a grant without the key.
    (4, include_str!("0004_clients.sql")),
    // Who does not know `signs_from` would make keys that sign before they are published.
    (5, include_str!("0005_key_signs_from.sql")),
    (1, include_str!("0006_places.sql")),
    (1, include_str!("0007_revocations_by_key.sql")),
    // Who does not know `key_thumbprint` would refresh such a grant for anybody who has its token.
    (8, include_str!("0008_bound_grants.sql")),
    (1, include_str!("0009_device_claims.sql")),
    // Who does not know `details` would refresh such a grant to all that its scopes allow.
    (10, include_str!("0010_tools_of_grants.sql")),
    (1, include_str!("0011_connections.sql")),
    (1, include_str!("0012_account_links.sql")),
    // Who does not know `second_factor` would sign its person in without it.
    (13, include_str!("0013_second_factors.sql")),
];

/// The schema that a program knows.
#[derive(Clone, Copy, Debug)]
pub struct Schema(&'static [(i64, &'static str)]);

impl Schema {
    /// Of this release.
    pub const THIS: Self = Self(TEXTS);

    /// Of a release that does not exist: this one and more texts, or only the first ones. For tests of upgrades.
    #[cfg(any(test, feature = "contract"))]
    pub fn made_up(first: usize, more: &[(i64, &'static str)]) -> Self {
        Self(Vec::leak(TEXTS.iter().take(first).chain(more).copied().collect()))
    }

    /// The version that this program writes, and the highest that it knows.
    pub fn newest(self) -> i64 {
        i64::try_from(self.0.len()).unwrap_or(i64::MAX)
    }

    /// The oldest schema whose programs may use a database that has all of these texts.
    pub(crate) fn oldest(self) -> i64 {
        self.0.iter().map(|(oldest, _)| *oldest).max().unwrap_or(0)
    }

    /// The versions above `version` with their texts, in order.
    pub(crate) fn after(self, version: i64, dialect: Dialect) -> impl Iterator<Item = (i64, String)> {
        let numbered = (1_i64..).zip(self.0).filter(move |(number, _)| *number > version);
        numbered.map(move |(number, (_, text))| (number, dialect.spell(text)))
    }

    /// Whether texts have to be applied to this database before this program uses it. A newer one that this program may
    /// use is left as it is.
    pub(crate) fn is_ahead_of(self, found: Found) -> Result<bool, StoreError> {
        let newest = self.newest();
        if found.version <= newest {
            return Ok(found.version < newest);
        }
        if found.oldest <= newest {
            tracing::info!(
                schema = found.version,
                known = newest,
                "the database was upgraded by a newer release"
            );
            return Ok(false);
        }
        let Found { version, oldest } = found;
        Err(StoreError::caused_by(
            ErrorKind::Corrupt,
            format!(
                "the database is of schema {version}, which releases that know schema {oldest} can use, and this one \
                 knows up to {newest}: start the newer release, or restore a backup"
            ),
        ))
    }

    /// For what copies rows column by column: nothing of a newer database may be left behind unseen.
    pub(crate) fn equals(self, found: Found) -> Result<(), StoreError> {
        if found.version == self.newest() {
            return Ok(());
        }
        let text = "the database was upgraded by a newer release: copy it with that release";
        Err(StoreError::caused_by(ErrorKind::Unavailable, text))
    }
}

/// What a database says of itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    /// Its schema.
    pub version: i64,
    /// The oldest schema whose programs may use it.
    pub oldest: i64,
}

impl Found {
    /// As read. A database from before there was a record of the oldest is used by those who know all of it.
    pub fn new(version: i64, oldest: Option<i64>) -> Self {
        Self { version, oldest: oldest.unwrap_or(version) }
    }
}

/// How a backend spells what the texts leave open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// Bytes.
    pub blob: &'static str,
    /// 64-bit signed integer.
    pub int: &'static str,
    /// UTF-8 text.
    pub text: &'static str,
    /// After the closing parenthesis of `CREATE TABLE`.
    pub table_options: &'static str,
}

impl Dialect {
    /// SQLite: types enforced, and rows in the tree of their primary key instead of a second one.
    pub const SQLITE: Self =
        Self { blob: "BLOB", int: "INTEGER", text: "TEXT", table_options: "STRICT, WITHOUT ROWID" };

    /// PostgreSQL: room in each page, so that a refresh finds place beside its row and touches no index.
    pub const POSTGRES: Self =
        Self { blob: "BYTEA", int: "BIGINT", text: "TEXT", table_options: "WITH (fillfactor = 80)" };

    fn spell(self, text: &str) -> String {
        text.replace("{BLOB}", self.blob)
            .replace("{INT}", self.int)
            .replace("{TEXT}", self.text)
            .replace("{TABLE_OPTIONS}", self.table_options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_spelled_and_only_what_is_missing_is_applied() {
        let all: Vec<_> = Schema::THIS.after(0, Dialect::SQLITE).collect();
        assert_eq!(all.last().map(|(number, _)| *number), Some(Schema::THIS.newest()));
        assert!(all.iter().all(|(_, text)| {
            !text.contains('{') && (text.contains("STRICT, WITHOUT ROWID") || !text.contains("CREATE TABLE"))
        }));
        assert_eq!(Schema::THIS.after(Schema::THIS.newest(), Dialect::SQLITE).count(), 0);
    }

    #[test]
    fn no_index_covers_what_a_refresh_changes() {
        for (_, text) in Schema::THIS.after(0, Dialect::SQLITE) {
            for index in text.split(';').filter(|statement| statement.contains("INDEX")) {
                for column in ["generation", "predecessor", "rotated_at", "turn", "used_from"] {
                    assert!(!index.contains(column), "{index}");
                }
            }
        }
    }

    #[test]
    fn t_103_an_older_program_uses_a_newer_database_where_that_says_so() {
        let known = Schema::THIS.newest();
        let found = |version, oldest| Schema::THIS.is_ahead_of(Found::new(version, oldest)).ok();
        assert_eq!(found(known, Some(1)), Some(false));
        assert_eq!(found(known - 1, Some(1)), Some(true));
        assert_eq!(found(0, None), Some(true), "nothing there yet");
        assert_eq!(
            found(known + 3, Some(known)),
            Some(false),
            "newer, and it says that this program may use it"
        );
        assert_eq!(found(known + 3, Some(known + 1)), None);
        assert_eq!(found(known + 1, None), None, "newer, and it does not say");
    }

    #[test]
    fn no_text_asks_for_more_than_itself() {
        for (number, (oldest, _)) in (1_i64..).zip(TEXTS) {
            assert!((1..=number).contains(oldest), "{number}");
        }
        assert!(Schema::THIS.oldest() <= Schema::THIS.newest());
    }
}
