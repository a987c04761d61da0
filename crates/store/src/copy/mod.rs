//! Everything that is kept, from one place into another: a file or a server, in every direction.
//!
//! The tables and their columns are read from the schema itself, so a new one cannot be forgotten. The source is read
//! in one snapshot. The target takes everything in one transaction, or nothing; before it commits, it reads back what it
//! has and compares.

#[cfg(test)]
mod tests;

use crate::{ErrorKind, PostgresSettings, Schema, StoreError, migrations::Dialect, postgres, sqlite};
use rusqlite::Connection;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
};
use tokio::sync::mpsc;

/// Where something is kept.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a file. Its folder is locked as a server locks it.
    File(PathBuf),
    /// In a database of a server that no node uses meanwhile.
    Server(PostgresSettings),
}

/// Rows of one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub table: String,
    /// How many.
    pub rows: u64,
}

/// Copies everything. `replace` empties a target that holds something; without it such a target is refused.
///
/// # Errors
/// [`ErrorKind::Unavailable`] when one of the two is in use, or the target holds something; the source says which, and
/// what to do. The target is then as it was.
pub async fn copy(from: Place, to: Place, replace: bool) -> Result<Vec<Copied>, StoreError> {
    let tables = tables()?;
    let (out, rows) = mpsc::channel(4);
    let sending = send(from, tables.clone(), out);
    let receiving = receive(to, tables.clone(), replace, rows);
    let (sent, received) = tokio::join!(sending, receiving);
    // A target that gives up is not the source's failure; a source that does is why the target has too little.
    sent?;
    let tallies = received?;
    let names = tables.into_iter().map(|table| table.name);
    Ok(names.zip(tallies).map(|(table, tally)| Copied { table, rows: tally.rows }).collect())
}

async fn send(from: Place, tables: Vec<Table>, out: mpsc::Sender<Item>) -> Result<(), StoreError> {
    match from {
        Place::File(path) => blocking(move || sqlite::copy::send(&path, &tables, &out)).await,
        Place::Server(settings) => postgres::copy::send(settings, &tables, out).await,
    }
}

async fn receive(
    to: Place,
    tables: Vec<Table>,
    replace: bool,
    rows: mpsc::Receiver<Item>,
) -> Result<Vec<Tally>, StoreError> {
    match to {
        Place::File(path) => blocking(move || sqlite::copy::receive(&path, &tables, replace, rows)).await,
        Place::Server(settings) => postgres::copy::receive(settings, &tables, replace, rows).await,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(StoreError::caused_by(ErrorKind::Internal, error)),
    }
}

/// Rows that travel together.
pub(crate) const BATCH: usize = 500;

/// What travels.
pub(crate) enum Item {
    /// Rows of the table with this number.
    Rows(usize, Vec<Vec<Value>>),
    /// That was all, and so much it was, table by table.
    End(Vec<Tally>),
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

/// The types that columns have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    Int,
    Text,
    Bytes,
}

/// A table of the schema.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub name: String,
    pub columns: Vec<(String, Column)>,
}

impl Table {
    /// Its columns, as a list in SQL.
    pub fn column_list(&self) -> String {
        let quoted: Vec<_> = self.columns.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        quoted.join(", ")
    }

    /// All its rows.
    pub fn select(&self) -> String {
        format!("SELECT {} FROM \"{}\"", self.column_list(), self.name)
    }

    /// How many rows somebody put there: the counter of the feed is there from the beginning.
    pub fn count_used(&self) -> String {
        let used = if self.name == "feed" { " WHERE n > 0" } else { "" };
        format!("SELECT count(*) FROM \"{}\"{used}", self.name)
    }

    /// Takes all its rows out.
    pub fn empty(&self) -> String {
        format!("DELETE FROM \"{}\"", self.name)
    }
}

/// The tables of the newest schema, in a fixed order.
pub(crate) fn tables() -> Result<Vec<Table>, StoreError> {
    let model = Connection::open_in_memory()?;
    for (_, text) in Schema::THIS.after(0, Dialect::SQLITE) {
        model.execute_batch(&text)?;
    }
    let mut columns = model.prepare(
        "SELECT s.name, c.name, c.type FROM sqlite_schema AS s, pragma_table_info(s.name) AS c \
         WHERE s.type = 'table' ORDER BY s.name, c.cid",
    )?;
    let mut rows = columns.query([])?;
    let mut tables: Vec<Table> = Vec::new();
    while let Some(row) = rows.next()? {
        let (table, column, kind): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let kind = match kind.as_str() {
            "INTEGER" => Column::Int,
            "TEXT" => Column::Text,
            _ => Column::Bytes,
        };
        match tables.last_mut() {
            Some(last) if last.name == table => last.columns.push((column, kind)),
            Some(_) | None => tables.push(Table { name: table, columns: vec![(column, kind)] }),
        }
    }
    Ok(tables)
}

/// How many rows, and a sum over what is in them that does not depend on their order: servers sort text as they like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub rows: u64,
    sum: u64,
}

impl Tally {
    /// One more.
    pub fn add(&mut self, row: &[Value]) {
        let mut hasher = DefaultHasher::new();
        row.hash(&mut hasher);
        self.rows += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// The target already holds something.
pub(crate) fn used(table: &str) -> StoreError {
    refused(format!(
        "the target is not empty (there are rows in {table}): choose another, or say --replace to lose what is in it"
    ))
}

/// The source ended before it was through.
pub(crate) fn cut_off() -> StoreError {
    refused("the source could not be read to its end: nothing was changed".to_owned())
}

/// The target does not have what was sent.
pub(crate) fn differs(table: &str) -> StoreError {
    let text = format!("what was written to {table} is not what was read: nothing was changed");
    StoreError::caused_by(ErrorKind::Internal, text)
}

/// A sentence for whoever copies.
pub(crate) fn refused(text: String) -> StoreError {
    StoreError::caused_by(ErrorKind::Unavailable, text)
}
