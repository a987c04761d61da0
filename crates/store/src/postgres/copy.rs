//! A database of a server as source or target of a copy.

use super::{PostgresSettings, connect::Connections, schema};
use crate::{
    ErrorKind, StoreError,
    copy::{BATCH, Column, Item, Table, Tally, Value, cut_off, differs, refused, used},
};
use deadpool_postgres::ClientWrapper;
use std::{error::Error, pin::pin, time::Duration};
use tokio::sync::mpsc;
use tokio_postgres::{
    Row,
    binary_copy::BinaryCopyInWriter,
    types::{IsNull, ToSql, Type, private::BytesMut, to_sql_checked},
};

const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const CHANGE: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// The limits of our connections are for requests of a moment.
const PATIENCE: &str = "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// Nodes keep connections as long as they live.
const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
     AND (application_name = 'hallpass' OR application_name LIKE 'hallpass/%') AND pid <> pg_backend_pid()";
/// A connection that has just been closed may still be listed.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

/// Sends all rows. Ends early, without an error, when nobody listens any more.
pub(crate) async fn send(
    settings: PostgresSettings,
    tables: &[Table],
    out: mpsc::Sender<Item>,
) -> Result<(), StoreError> {
    let connections = alone(settings).await?;
    let held = connections.get().await?;
    let client = held.client()?;
    client.batch_execute(&format!("{SNAPSHOT}; {PATIENCE}")).await?;
    let mut tallies = Vec::with_capacity(tables.len());
    for (at, table) in tables.iter().enumerate() {
        let mut reading = Reading::begin(client, table).await?;
        while let Some(rows) = reading.next().await? {
            if out.send(Item::Rows(at, rows)).await.is_err() {
                return Ok(());
            }
        }
        tallies.push(reading.tally);
    }
    // Whoever does not listen any more says why.
    drop(out.send(Item::End(tallies)).await);
    Ok(())
}

/// Takes all rows, or changes nothing.
pub(crate) async fn receive(
    settings: PostgresSettings,
    tables: &[Table],
    replace: bool,
    mut rows: mpsc::Receiver<Item>,
) -> Result<Vec<Tally>, StoreError> {
    let connections = alone(settings).await?;
    let held = connections.get().await?;
    let client = held.client()?;
    client.batch_execute(&format!("{CHANGE}; {PATIENCE}")).await?;
    for table in tables {
        // A node that starts now waits until this is over.
        client.batch_execute(&format!("LOCK TABLE \"{}\" IN ACCESS EXCLUSIVE MODE", table.name)).await?;
        let count: i64 = client.query_one(&table.count_used(), &[]).await?.try_get(0)?;
        if count > 0 && !replace {
            return Err(used(&table.name));
        }
        client.batch_execute(&table.empty()).await?;
    }
    let sent = loop {
        match rows.recv().await {
            Some(Item::Rows(at, rows)) => insert(client, tables.get(at), &rows).await?,
            Some(Item::End(sent)) => break sent,
            None => return Err(cut_off()),
        }
    };
    for (table, sent) in tables.iter().zip(&sent) {
        let mut reading = Reading::begin(client, table).await?;
        while reading.next().await?.is_some() {}
        if reading.tally != *sent {
            return Err(differs(&table.name));
        }
    }
    client.batch_execute("COMMIT").await?;
    Ok(sent)
}

/// One connection, the schema up to date, and no node beside us.
async fn alone(settings: PostgresSettings) -> Result<Connections, StoreError> {
    let known = settings.schema;
    let connections = Connections::new(&PostgresSettings { connections: 1, ..settings })?;
    schema::migrate(&connections, known).await?;
    let mut held = connections.get().await?;
    known.equals(schema::found(held.client()?).await?)?;
    let mut others = 0_i64;
    for _ in 0..TRIES {
        others = held.client()?.query_one(OTHERS, &[]).await?.try_get(0)?;
        if others == 0 {
            held.keep();
            return Ok(connections);
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(refused(format!(
        "nodes of hallpass use the database ({others} connections): stop them first, what they write meanwhile would \
         be lost"
    )))
}

/// A table, some rows at a time. Inside a transaction.
struct Reading<'c> {
    client: &'c ClientWrapper,
    columns: &'c [(String, Column)],
    tally: Tally,
}

impl<'c> Reading<'c> {
    async fn begin(client: &'c ClientWrapper, table: &'c Table) -> Result<Self, StoreError> {
        client.batch_execute(&format!("DECLARE reading NO SCROLL CURSOR FOR {}", table.select())).await?;
        Ok(Self { client, columns: &table.columns, tally: Tally::default() })
    }

    /// The next ones; none when it is over.
    async fn next(&mut self) -> Result<Option<Vec<Vec<Value>>>, StoreError> {
        let read = self.client.query(&format!("FETCH {BATCH} FROM reading"), &[]).await?;
        if read.is_empty() {
            self.client.batch_execute("CLOSE reading").await?;
            return Ok(None);
        }
        let rows: Vec<_> = read.iter().map(|row| values(row, self.columns)).collect::<Result<_, _>>()?;
        for row in &rows {
            self.tally.add(row);
        }
        Ok(Some(rows))
    }
}

fn values(row: &Row, columns: &[(String, Column)]) -> Result<Vec<Value>, StoreError> {
    let value = |(at, (_, kind)): (usize, &(String, Column))| -> Result<Value, StoreError> {
        let value = match kind {
            Column::Int => row.try_get::<_, Option<i64>>(at)?.map(Value::Int),
            Column::Text => row.try_get::<_, Option<String>>(at)?.map(Value::Text),
            Column::Bytes => row.try_get::<_, Option<Vec<u8>>>(at)?.map(Value::Bytes),
        };
        Ok(value.unwrap_or(Value::Null))
    };
    columns.iter().enumerate().map(value).collect()
}

async fn insert(
    client: &ClientWrapper,
    table: Option<&Table>,
    rows: &[Vec<Value>],
) -> Result<(), StoreError> {
    let table = table.ok_or_else(|| StoreError::new(ErrorKind::Internal))?;
    let types: Vec<Type> = table.columns.iter().map(|(_, kind)| type_of(*kind)).collect();
    let sql = format!("COPY \"{}\" ({}) FROM STDIN BINARY", table.name, table.column_list());
    let mut writer = pin!(BinaryCopyInWriter::new(client.copy_in(&sql).await?, &types));
    for row in rows {
        let row: Vec<_> = row.iter().map(|value| -> &(dyn ToSql + Sync) { value }).collect();
        writer.as_mut().write(&row).await?;
    }
    writer.finish().await?;
    Ok(())
}

const fn type_of(kind: Column) -> Type {
    match kind {
        Column::Int => Type::INT8,
        Column::Text => Type::TEXT,
        Column::Bytes => Type::BYTEA,
    }
}

impl ToSql for Value {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(int) => int.to_sql(kind, out),
            Self::Text(text) => text.to_sql(kind, out),
            Self::Bytes(bytes) => bytes.to_sql(kind, out),
        }
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(kind)
    }

    to_sql_checked!();
}
