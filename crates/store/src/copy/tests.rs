//! Every table, every column, there and back.

use super::*;
use hallpass_core::secret::SecretString;
use hallpass_testkit::postgres::Cluster;
use std::path::Path;

/// Rows in every table: values of every type, nothing where nothing may be, and more than travel at once.
fn fill(path: &Path) {
    crate::SqliteStore::open(path, crate::SqliteSettings::default()).unwrap();
    let mut connection = Connection::open(path).unwrap();
    let transaction = connection.transaction().unwrap();
    for table in tables().unwrap() {
        transaction.execute(&table.empty(), []).unwrap();
        let places = vec!["?"; table.columns.len()].join(", ");
        let sql = format!("INSERT INTO \"{}\" ({}) VALUES ({places})", table.name, table.column_list());
        for number in 0..i64::try_from(BATCH).unwrap() + 3 {
            let row = table.columns.iter().map(|(name, kind)| match kind {
                _ if number % 2 == 0 && nullable(&transaction, &table.name, name) => Value::Null,
                Column::Int => Value::Int(number - 7),
                Column::Text => Value::Text(format!("é\t\\N'{number}")),
                Column::Bytes => Value::Bytes([&[0, 255, 10][..], &number.to_be_bytes()].concat()),
            });
            transaction.execute(&sql, rusqlite::params_from_iter(row)).unwrap();
        }
    }
    transaction.commit().unwrap();
}

fn nullable(connection: &Connection, table: &str, column: &str) -> bool {
    let sql = "SELECT \"notnull\" = 0 FROM pragma_table_info($1) WHERE name = $2";
    connection.query_row(sql, [table, column], |row| row.get(0)).unwrap()
}

fn everything(path: &Path) -> Vec<Vec<Vec<String>>> {
    let connection = Connection::open(path).unwrap();
    let read = |table: Table| {
        let mut statement = connection.prepare(&table.select()).unwrap();
        let width = table.columns.len();
        let row =
            |row: &rusqlite::Row<'_>| Ok((0..width).map(|at| format!("{:?}", row.get_ref(at))).collect());
        statement.query_map([], row).unwrap().collect::<Result<Vec<_>, _>>().unwrap()
    };
    tables().unwrap().into_iter().map(read).collect()
}

fn sentence(result: Result<Vec<Copied>, StoreError>) -> String {
    format!("{:?}", result.unwrap_err())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_every_table_goes_to_a_server_and_back() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let server = || Place::Server(PostgresSettings::new(SecretString::new(&*database.url)));
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [first, second] = folders.each_ref().map(|folder| folder.path().join("hallpass.sqlite"));
    fill(&first);

    let copied = copy(Place::File(first.clone()), server(), false).await.unwrap();
    assert!(copied.len() >= 13 && copied.iter().all(|table| table.rows == 503), "{copied:?}");
    let again = sentence(copy(Place::File(first.clone()), server(), false).await);
    assert!(again.contains("not empty") && again.contains("--replace"), "{again}");
    copy(Place::File(first.clone()), server(), true).await.unwrap();

    assert_eq!(copy(server(), Place::File(second.clone()), false).await.unwrap(), copied);
    assert_eq!(everything(&first), everything(&second));
    let again = sentence(copy(server(), Place::File(second.clone()), false).await);
    assert!(again.contains("not empty"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_side_may_be_in_use_and_a_source_that_is_not_there_changes_nothing() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [first, second] = folders.each_ref().map(|folder| folder.path().join("hallpass.sqlite"));
    let file = |path: &PathBuf| Place::File(path.clone());
    fill(&second);
    let before = everything(&second);
    assert!(sentence(copy(file(&first), file(&second), true).await).contains("there is no database at"));
    assert_eq!(everything(&second), before, "a target is emptied only together with being filled");

    let server = crate::SqliteStore::open(&second, crate::SqliteSettings::default()).unwrap();
    for (from, to) in [(&second, &first), (&first, &second)] {
        let refused = sentence(copy(file(from), file(to), true).await);
        assert!(refused.contains("another hallpass server") || refused.contains("no database"), "{refused}");
    }
    drop(server);

    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let settings = PostgresSettings::new(SecretString::new(&*database.url));
    let node = crate::PostgresStore::open(settings.clone()).await.unwrap();
    for (from, to) in
        [(file(&second), Place::Server(settings.clone())), (Place::Server(settings.clone()), file(&first))]
    {
        let refused = sentence(copy(from, to, true).await);
        assert!(refused.contains("stop them first"), "{refused}");
    }
    drop(node);
}
