//! Each operation once, for every backend: one text of SQL, one function that runs it and says what it means.
//!
//! A backend only knows how to run statements ([`Statements`]) and where an operation belongs ([`Kind`]); the traits of
//! the store are implemented here for all of them. To add an operation: its statements and an `operation!` in the file
//! of its noun, one line in the `impl` of its trait there, and a property in [`crate::contract`].
//!
//! One text serves all: `$1..$n`, used for the first time in ascending order, because SQLite numbers them by first use
//! and would silently swap values; types only bytes, 64-bit integers and text. A write has its condition inside and may
//! be run twice.

mod arg;
mod claim;
mod client;
mod connection;
mod document;
mod feed;
mod grant;
mod key;
mod link;
mod person;
mod row;
mod second_factor;
mod session;
pub(crate) mod sweep;

pub(crate) use arg::Arg;
pub(crate) use row::Row;

use crate::{Answer, StoreError, StoreTrouble};
use hallpass_core::time::Timestamp;
use std::{future::Future, sync::Mutex};

/// What an operation needs of the place where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Reads one row or a few.
    Read,
    /// Reads what may take longer.
    List,
    /// One statement changes something.
    Write,
    /// Several do: all or nothing.
    Several,
    /// The same, and it ends something: written even where the disk is full.
    Ending,
    /// Several again, and nobody waits for it.
    Slow,
}

/// One operation with its values. It may be run more than once: only the last run counts.
pub(crate) trait Operation: Send + Sync + 'static {
    /// What it answers.
    type Answer: Send + 'static;
    /// Where it belongs.
    const KIND: Kind;

    /// Runs it.
    fn run<S: Statements>(&self, on: &mut S)
    -> impl Future<Output = Result<Self::Answer, StoreError>> + Send;
}

/// A write of one row, and how to see that row then.
pub(crate) struct Change {
    /// Changes it.
    pub write: &'static str,
    /// The same, and returns it.
    pub returning: &'static str,
    /// Reads it by its key, with the same columns.
    pub read: &'static str,
}

/// A connection, inside a transaction where the kind of the operation wants one.
pub(crate) trait Statements: Send {
    /// The first row, if there is one.
    fn first<T: Send>(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> impl Future<Output = Result<Option<T>, StoreError>> + Send;

    /// All rows.
    fn all<T: Send>(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> impl Future<Output = Result<Vec<T>, StoreError>> + Send;

    /// Rows changed.
    fn change(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> impl Future<Output = Result<u64, StoreError>> + Send;

    /// The row of `id` as it is after a write that changes that one at most, if it did.
    ///
    /// Two statements here. A server that is a way away does it in one, with `RETURNING`; SQLite makes a table for what a
    /// statement returns and copies each page that such a statement changes, which costs it more than a read by key.
    fn changed<T: Send>(
        &mut self,
        how: &'static Change,
        args: &[Arg<'_>],
        id: Arg<'_>,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> impl Future<Output = Result<Option<T>, StoreError>> + Send;

    /// Whether there is a row at all.
    fn any(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> impl Future<Output = Result<bool, StoreError>> + Send {
        let row = self.first(sql, args, |_| Ok(()));
        async { Ok(row.await?.is_some()) }
    }
}

/// Something that keeps what is kept. The traits of the store follow from this.
pub(crate) trait Backend: Send + Sync + 'static {
    /// Runs an operation where it belongs, and answers when what it did is durable.
    fn run<O: Operation>(&self, operation: O) -> Answer<'_, O::Answer>;

    /// Where its sweep stands.
    fn walk(&self) -> &Mutex<sweep::Walk>;

    /// Writes that wait in this process.
    fn waiting(&self) -> usize {
        0
    }

    /// What is wrong with the place where things are kept, as far as this process knows.
    fn trouble(&self) -> Option<StoreTrouble> {
        None
    }

    /// Stops taking work, drains, and makes everything durable.
    fn end(&self) -> Answer<'_, ()>;

    /// The clock of the place where things are kept, where that is not this machine's.
    fn clock(&self) -> Answer<'_, Option<Timestamp>>;
}

/// Names statements, and lists them for the test that reads them all.
macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $text:expr;)+) => {
        $($(#[$doc])* const $name: &str = $text;)+
        #[cfg(test)]
        pub(super) const ALL: &[&str] = &[$($name),+];
    };
}
use statements;

/// An operation: its values, what it answers, where it belongs, and what it does `on` a connection with `this`.
macro_rules! operation {
    ($name:ident { $($field:ident: $type:ty),* $(,)? } -> $answer:ty, $kind:ident, |$on:ident, $this:ident| $body:expr) => {
        struct $name {
            $($field: $type),*
        }

        impl $crate::sql::Operation for $name {
            type Answer = $answer;
            const KIND: $crate::sql::Kind = $crate::sql::Kind::$kind;

            async fn run<S: $crate::sql::Statements>(
                &self,
                $on: &mut S,
            ) -> Result<$answer, $crate::StoreError> {
                let $this = self;
                $body
            }
        }
    };
}
use operation;

/// Values for a statement, in the order of their numbers.
macro_rules! args {
    ($($value:expr),* $(,)?) => { &[$($crate::sql::Arg::from($value)),*] };
}
use args;

/// Every statement that there is.
#[cfg(test)]
pub(crate) fn all() -> Vec<&'static str> {
    [
        claim::ALL,
        client::ALL,
        connection::ALL,
        document::ALL,
        feed::ALL,
        grant::ALL,
        key::ALL,
        link::ALL,
        person::ALL,
        second_factor::ALL,
        session::ALL,
        sweep::ALL,
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// A node of this release meets tables with columns that a newer one has added.
    #[test]
    fn t_103_every_statement_names_its_columns() {
        for sql in all() {
            assert!(!sql.to_lowercase().replace("count(*)", "").contains('*'), "{sql}");
            for insert in sql.split("INSERT INTO ").skip(1) {
                let (_table, rest) = insert.split_once(' ').unwrap();
                assert!(rest.starts_with('('), "{sql}");
            }
        }
    }

    #[test]
    fn parameters_are_used_in_ascending_order_without_gaps() {
        assert_eq!(first_uses("SELECT $2, $1, $2"), [2, 1], "the check itself");
        for sql in all() {
            let seen = first_uses(sql);
            let expected: Vec<u32> = (1..).take(seen.len()).collect();
            assert_eq!(seen, expected, "{sql}");
        }
    }
}
