//! Statements on a connection of SQLite. Nothing here waits: an operation is run to its end by one poll.

use crate::{
    ErrorKind, StoreError,
    sql::{Arg, Change, Row, Statements},
};
use rusqlite::{
    Connection, OptionalExtension, ToSql, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use std::{
    future::{Future, ready},
    pin::pin,
    task::{Context, Poll, Waker},
};

/// A connection, for the time of one operation.
pub(super) struct On<'c>(pub &'c mut Connection);

impl Statements for On<'_> {
    fn first<T: Send>(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> impl Future<Output = Result<Option<T>, StoreError>> + Send {
        ready(first(self.0, sql, args, read))
    }

    fn all<T: Send>(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> impl Future<Output = Result<Vec<T>, StoreError>> + Send {
        let mut query = |connection: &Connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params_from_iter(args))?;
            let mut all = Vec::new();
            while let Some(row) = rows.next()? {
                all.push(read(&Row::Sqlite(row))?);
            }
            Ok(all)
        };
        ready(query(self.0))
    }

    fn change(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> impl Future<Output = Result<u64, StoreError>> + Send {
        ready(change(self.0, sql, args))
    }

    // Where the read fails, the write stays, and the caller asks again: every write may be run twice.
    fn changed<T: Send>(
        &mut self,
        how: &'static Change,
        args: &[Arg<'_>],
        id: Arg<'_>,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> impl Future<Output = Result<Option<T>, StoreError>> + Send {
        ready(match change(self.0, how.write, args) {
            Ok(0) => Ok(None),
            Ok(_) => first(self.0, how.read, &[id], read),
            Err(error) => Err(error),
        })
    }
}

fn first<T>(
    connection: &Connection,
    sql: &'static str,
    args: &[Arg<'_>],
    read: impl FnOnce(&Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let row = statement.query_row(params_from_iter(args), |row| Ok(read(&Row::Sqlite(row))));
    row.optional()?.transpose()
}

fn change(connection: &Connection, sql: &'static str, args: &[Arg<'_>]) -> Result<u64, StoreError> {
    let rows = connection.prepare_cached(sql)?.execute(params_from_iter(args))?;
    Ok(u64::try_from(rows).unwrap_or(u64::MAX))
}

impl ToSql for Arg<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Int(value) => value.map(ValueRef::Integer),
            Self::Text(value) => value.map(|text| ValueRef::Text(text.as_bytes())),
            Self::Bytes(value) => value.map(ValueRef::Blob),
        };
        Ok(ToSqlOutput::Borrowed(value.unwrap_or(ValueRef::Null)))
    }
}

/// The answer of an operation that never waits.
pub(super) fn answer_of<T>(operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    match pin!(operation).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => Err(StoreError::caused_by(ErrorKind::Internal, "an operation waited on SQLite")),
    }
}
