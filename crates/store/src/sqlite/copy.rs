//! A file as source or target of a copy.

use super::{SqliteSettings, connection, lock};
use crate::{
    ErrorKind, StoreError,
    copy::{BATCH, Item, Table, Tally, Value, cut_off, differs, refused, used},
};
use rusqlite::{
    Connection, ToSql, TransactionBehavior, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use std::path::Path;
use tokio::sync::mpsc;

/// Sends all rows. Ends early, without an error, when nobody listens any more.
pub(crate) fn send(path: &Path, tables: &[Table], out: &mpsc::Sender<Item>) -> Result<(), StoreError> {
    if !path.exists() {
        return Err(refused(format!("there is no database at {}", path.display())));
    }
    let _lock = lock::lock_folder(path)?;
    let mut connection = opened(path)?;
    let snapshot = connection.transaction()?;
    let mut tallies = Vec::with_capacity(tables.len());
    for (at, table) in tables.iter().enumerate() {
        let mut batch = Vec::new();
        let mut listening = true;
        let tally = read(&snapshot, table, |row| {
            batch.push(row);
            if batch.len() == BATCH {
                listening = out.blocking_send(Item::Rows(at, std::mem::take(&mut batch))).is_ok();
            }
            listening
        })?;
        if !listening || out.blocking_send(Item::Rows(at, batch)).is_err() {
            return Ok(());
        }
        tallies.push(tally);
    }
    // Whoever does not listen any more says why.
    drop(out.blocking_send(Item::End(tallies)));
    Ok(())
}

/// Of exactly this schema.
fn opened(path: &Path) -> Result<Connection, StoreError> {
    let settings = SqliteSettings::default();
    let connection = connection::writer(path, &settings)?;
    settings.schema.equals(connection::found(&connection)?)?;
    Ok(connection)
}

/// Takes all rows, or changes nothing.
pub(crate) fn receive(
    path: &Path,
    tables: &[Table],
    replace: bool,
    mut rows: mpsc::Receiver<Item>,
) -> Result<Vec<Tally>, StoreError> {
    let _lock = lock::lock_folder(path)?;
    connection::create(path)?;
    let mut connection = opened(path)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for table in tables {
        let count: i64 = transaction.query_row(&table.count_used(), [], |row| row.get(0))?;
        if count > 0 && !replace {
            return Err(used(&table.name));
        }
        transaction.execute(&table.empty(), [])?;
    }
    let sent = loop {
        match rows.blocking_recv() {
            Some(Item::Rows(at, rows)) => insert(&transaction, tables.get(at), &rows)?,
            Some(Item::End(sent)) => break sent,
            None => return Err(cut_off()),
        }
    };
    for (table, sent) in tables.iter().zip(&sent) {
        if read(&transaction, table, |_| true)? != *sent {
            return Err(differs(&table.name));
        }
    }
    transaction.commit()?;
    connection::truncate_log(&connection)?;
    Ok(sent)
}

/// Shows each row, until one is enough.
fn read(
    connection: &Connection,
    table: &Table,
    mut row_read: impl FnMut(Vec<Value>) -> bool,
) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    let mut statement = connection.prepare(&table.select())?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let values: Vec<Value> =
            (0..table.columns.len()).map(|column| value(row.get_ref(column)?)).collect::<Result<_, _>>()?;
        tally.add(&values);
        if !row_read(values) {
            break;
        }
    }
    Ok(tally)
}

fn insert(connection: &Connection, table: Option<&Table>, rows: &[Vec<Value>]) -> Result<(), StoreError> {
    let table = table.ok_or_else(|| StoreError::new(ErrorKind::Internal))?;
    let places = vec!["?"; table.columns.len()].join(", ");
    let sql = format!("INSERT INTO \"{}\" ({}) VALUES ({places})", table.name, table.column_list());
    let mut statement = connection.prepare_cached(&sql)?;
    for row in rows {
        statement.execute(params_from_iter(row))?;
    }
    Ok(())
}

fn value(read: ValueRef<'_>) -> Result<Value, StoreError> {
    let damaged = || StoreError::caused_by(ErrorKind::Corrupt, "a column of a row is damaged");
    Ok(match read {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Text(text) => Value::Text(str::from_utf8(text).map_err(|_| damaged())?.to_owned()),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_owned()),
        ValueRef::Real(_) => return Err(damaged()),
    })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(int) => ValueRef::Integer(*int),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
        }))
    }
}
