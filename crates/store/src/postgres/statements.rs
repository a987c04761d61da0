//! Statements on a connection of PostgreSQL, prepared once for each connection.

use crate::{
    StoreError,
    sql::{Arg, Change, Row, Statements},
};
use deadpool_postgres::ClientWrapper;
use std::error::Error;
use tokio_postgres::{
    Statement,
    types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

/// A connection, for the time of one operation.
pub(super) struct On<'c>(pub &'c ClientWrapper);

impl On<'_> {
    /// The types are ours: a statement means the same whatever the server would guess.
    async fn prepared(&self, sql: &'static str, args: &[Arg<'_>]) -> Result<Statement, StoreError> {
        let types: Vec<Type> = args.iter().map(type_of).collect();
        Ok(self.0.prepare_typed_cached(sql, &types).await?)
    }

    async fn rows(
        &self,
        sql: &'static str,
        args: &[Arg<'_>],
    ) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        let statement = self.prepared(sql, args).await?;
        Ok(self.0.query(&statement, &parameters(args)).await?)
    }
}

impl Statements for On<'_> {
    async fn first<T: Send>(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> Result<Option<T>, StoreError> {
        let rows = self.rows(sql, args).await?;
        rows.first().map(|row| read(&Row::Postgres(row))).transpose()
    }

    async fn all<T: Send>(
        &mut self,
        sql: &'static str,
        args: &[Arg<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> Result<Vec<T>, StoreError> {
        self.rows(sql, args).await?.iter().map(|row| read(&Row::Postgres(row))).collect()
    }

    async fn changed<T: Send>(
        &mut self,
        how: &'static Change,
        args: &[Arg<'_>],
        _id: Arg<'_>,
        read: impl FnOnce(&Row<'_>) -> Result<T, StoreError> + Send,
    ) -> Result<Option<T>, StoreError> {
        self.first(how.returning, args, read).await
    }

    async fn change(&mut self, sql: &'static str, args: &[Arg<'_>]) -> Result<u64, StoreError> {
        let statement = self.prepared(sql, args).await?;
        Ok(self.0.execute(&statement, &parameters(args)).await?)
    }
}

fn parameters<'a>(args: &'a [Arg<'a>]) -> Vec<&'a (dyn ToSql + Sync)> {
    args.iter().map(|arg| -> &(dyn ToSql + Sync) { arg }).collect()
}

const fn type_of(arg: &Arg<'_>) -> Type {
    match arg {
        Arg::Int(_) => Type::INT8,
        Arg::Text(_) => Type::TEXT,
        Arg::Bytes(_) => Type::BYTEA,
    }
}

impl ToSql for Arg<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Int(value) => value.to_sql(kind, out),
            Self::Text(value) => value.to_sql(kind, out),
            Self::Bytes(value) => value.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(kind)
    }

    to_sql_checked!();
}
