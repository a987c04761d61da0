//! How statements are written and run.
//!
//! One text serves both backends: `$1..$n`, used for the first time in ascending order, because SQLite numbers
//! them by first use and would silently swap values; types only bytes, 64-bit integers and text.

use crate::StoreError;
use rusqlite::{Connection, OptionalExtension, Params, Row};

/// Names statements, and lists them for the test that reads them all.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)+) => {
        $($(#[$doc])* const $name: &str = $text;)+
        #[cfg(test)]
        pub(super) const ALL: &[&str] = &[$($name),+];
    };
}
pub(super) use statements;

/// The first row, if there is one.
pub(super) fn first<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, StoreError> {
    Ok(connection.prepare_cached(sql)?.query_row(params, read).optional()?)
}

/// Whether there is a row at all.
pub(super) fn any(connection: &Connection, sql: &str, params: impl Params) -> Result<bool, StoreError> {
    Ok(first(connection, sql, params, |_| Ok(()))?.is_some())
}

/// All rows.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>, StoreError> {
    Ok(connection.prepare_cached(sql)?.query_map(params, read)?.collect::<Result<_, _>>()?)
}

/// Rows changed.
pub(super) fn change(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, StoreError> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

#[cfg(test)]
mod tests {
    use crate::sqlite::{feed, grant, misc, person};

    fn first_uses(sql: &str) -> Vec<u32> {
        let mut seen = Vec::new();
        for part in sql.split('$').skip(1) {
            let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
            let number = digits.parse().unwrap();
            if !seen.contains(&number) {
                seen.push(number);
            }
        }
        seen
    }

    #[test]
    fn parameters_are_used_in_ascending_order_without_gaps() {
        assert_eq!(first_uses("SELECT $2, $1, $2"), [2, 1], "the check itself");
        for sql in [feed::ALL, grant::ALL, misc::ALL, person::ALL].concat() {
            let seen = first_uses(sql);
            let expected: Vec<u32> = (1..).take(seen.len()).collect();
            assert_eq!(seen, expected, "{sql}");
        }
    }
}
