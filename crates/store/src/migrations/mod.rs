//! The numbered schema texts, one for all backends, and their order.
//!
//! A text that was released is never edited: the next change is the next number. Types differ between backends
//! only in spelling, so a text has four placeholders: `{BLOB}`, `{INT}`, `{TEXT}` and `{TABLE_OPTIONS}`.

/// Schema texts in order; the schema version is the number of texts applied.
const TEXTS: &[&str] = &[
    include_str!("0001_first.sql"),
    include_str!("0002_invitation.sql"),
    include_str!("0003_audit_head.sql"),
    include_str!("0004_clients.sql"),
    include_str!("0005_key_signs_from.sql"),
    include_str!("0006_places.sql"),
];

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

/// The schema version that this release writes, and the highest that it reads.
pub(crate) fn newest() -> i64 {
    i64::try_from(TEXTS.len()).unwrap_or(i64::MAX)
}

/// The versions above `version` with their texts, in order.
pub(crate) fn after(version: i64, dialect: Dialect) -> impl Iterator<Item = (i64, String)> {
    (1_i64..).zip(TEXTS).filter(move |(number, _)| *number > version).map(move |(n, t)| (n, dialect.spell(t)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_placeholder_is_spelled_and_only_what_is_missing_is_applied() {
        let all: Vec<_> = after(0, Dialect::SQLITE).collect();
        assert_eq!(all.last().map(|(number, _)| *number), Some(newest()));
        assert!(all.iter().all(|(_, text)| {
            !text.contains('{') && (text.contains("STRICT, WITHOUT ROWID") || !text.contains("CREATE TABLE"))
        }));
        assert_eq!(after(newest(), Dialect::SQLITE).count(), 0);
    }

    #[test]
    fn no_index_covers_what_a_refresh_changes() {
        for (_, text) in after(0, Dialect::SQLITE) {
            for index in text.split(';').filter(|statement| statement.contains("INDEX")) {
                for column in ["generation", "predecessor", "rotated_at", "turn", "used_from"] {
                    assert!(!index.contains(column), "{index}");
                }
            }
        }
    }
}
