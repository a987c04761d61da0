//! The contract on a real PostgreSQL, and what only a server can do: be away, be cut off, be shared.

use hallpass_core::secret::SecretString;
use hallpass_store::{
    ErrorKind, GrantOpened, GrantRotated, Grants as _, Maintenance as _, NewGrant, People as _,
    PostgresSettings, PostgresStore, Schema, Store, contract::Story,
};
use hallpass_testkit::postgres::{Cluster, Database};
use std::{sync::Arc, time::Duration};

mod contract {
    hallpass_store::contract_tests!(super::fresh().await);
}

async fn fresh() -> (Arc<dyn Store>, (Database, Cluster)) {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    (Arc::new(database.store().await), (database, cluster))
}

#[tokio::test(flavor = "multi_thread")]
async fn p23_eight_nodes_that_start_at_once_make_one_schema() {
    let cluster = Cluster::shared();
    let database = Arc::new(cluster.database().await);
    let starting: Vec<_> = (0..8)
        .map(|_| {
            let database = Arc::clone(&database);
            tokio::spawn(async move { database.store().await })
        })
        .collect();
    for node in starting {
        assert!(!node.await.unwrap().person_exists().await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn t_103_eight_nodes_that_start_at_once_upgrade_an_older_database_once() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let open = |schema| {
        let url = SecretString::new(&database.url);
        PostgresStore::open(PostgresSettings { connections: 2, schema, ..PostgresSettings::new(url) })
    };
    let first = Arc::new(open(Schema::made_up(1, &[])).await.unwrap());
    let story = Story::begin(first.clone()).await;
    first.close().await.unwrap();
    drop(first);
    // A text that was applied twice would fail.
    let newer = Schema::made_up(
        usize::MAX,
        &[(1, "CREATE TABLE once (id {INT} NOT NULL PRIMARY KEY) {TABLE_OPTIONS}")],
    );
    let starting: Vec<_> = (0..8).map(|_| tokio::spawn(open(newer))).collect();
    for node in starting {
        let node = node.await.unwrap().unwrap();
        assert!(node.person_read(story.person).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_218_t_97_connections_that_are_cut_cost_nobody_an_answer() {
    let (cluster, stores) = two_nodes().await;
    let (database, [one, other]) = stores;
    let story = Story::begin(Arc::clone(&one)).await;
    let grants: Vec<_> = (0..32).map(|_| story.new_grant()).collect();
    for grant in &grants {
        assert_eq!(one.grant_open(grant.clone(), story.now).await.unwrap(), GrantOpened::Opened);
    }
    let cutting = async {
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            cluster.cut(&database).await;
        }
    };
    let refreshing = async {
        let all = grants.iter().enumerate().map(|(at, grant)| {
            let store = Arc::clone(if at % 2 == 0 { &one } else { &other });
            let (story, id) = (story.clone(), grant.id);
            tokio::spawn(async move {
                for generation in 0..20 {
                    let rotated =
                        store.grant_rotate(story.rotation(id, generation), story.now).await.unwrap();
                    // An answer that was lost with its connection is found again as our own.
                    let next = generation + 1;
                    assert!(
                        rotated == GrantRotated::Rotated { generation: next }
                            || rotated == GrantRotated::Repeated { generation: next },
                        "{rotated:?}"
                    );
                }
            })
        });
        for one in all.collect::<Vec<_>>() {
            one.await.unwrap();
        }
    };
    tokio::join!(cutting, refreshing);
    for grant in &grants {
        assert_eq!(one.grant_read(grant.id).await.unwrap().unwrap().generation, 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_218_t_97_a_server_that_is_gone_is_unavailable_and_comes_back_by_itself() {
    let cluster = Cluster::private();
    let database = cluster.database().await;
    let store: Arc<dyn Store> = Arc::new(database.store().await);
    let story = Story::begin(Arc::clone(&store)).await;
    let kept = story.open().await;
    cluster.stop();
    let error = store.grant_open(story.new_grant(), story.now).await.unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Unknown), "{error:?}");
    cluster.start();
    // A slow machine may take longer to recover than one operation waits: then its caller asks again.
    let grant = story.new_grant();
    for tries in 0.. {
        match store.grant_open(grant.clone(), story.now).await {
            Ok(answer) => {
                assert_eq!(answer, GrantOpened::Opened);
                break;
            }
            Err(error) => assert!(tries < 8, "{error:?}"),
        }
    }
    assert_eq!(story.rotate(kept, 0).await, GrantRotated::Rotated { generation: 1 }, "answered is on disk");
}

#[tokio::test]
async fn what_cannot_be_opened_is_said_in_a_sentence_without_the_password() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let open = |url: String| async move {
        let error = PostgresStore::open(PostgresSettings::new(SecretString::new(url))).await.unwrap_err();
        (error.kind(), std::error::Error::source(&error).unwrap().to_string())
    };
    let (kind, said) = open("postgres://hallpass:canary@127.0.0.1:9/hallpass".into()).await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(said.contains("cannot be reached") && !said.contains("canary"), "{said}");
    let nowhere = database.url.replace("/test_", "/nothing_");
    let (kind, said) = open(nowhere).await;
    assert_eq!(kind, ErrorKind::Unavailable);
    assert!(said.contains("does not exist"), "{said}");
    drop(database.store().await);
    let (client, connection) = tokio_postgres::connect(&database.url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute("UPDATE hallpass_schema SET version = 9999, oldest = 9999").await.unwrap();
    let (kind, said) = open(database.url.clone()).await;
    assert_eq!(kind, ErrorKind::Corrupt);
    assert!(said.contains("start the newer release"), "{said}");
}

#[tokio::test]
async fn too_many_who_wait_are_told_at_once() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let settings = PostgresSettings {
        connections: 1,
        queue_limit: 4,
        ..PostgresSettings::new(SecretString::new(&database.url))
    };
    let store = Arc::new(PostgresStore::open(settings).await.unwrap());
    let shared: Arc<dyn Store> = store.clone();
    let story = Story::begin(shared).await;
    let asking: Vec<_> = (0..64)
        .map(|_| {
            let (store, grant, now) = (Arc::clone(&store), story.new_grant(), story.now);
            tokio::spawn(async move { store.grant_open(grant, now).await })
        })
        .collect();
    let (mut opened, mut busy) = (0, 0);
    for one in asking {
        match one.await.unwrap() {
            Ok(GrantOpened::Opened) => opened += 1,
            Err(error) if error.kind() == ErrorKind::Busy => busy += 1,
            other => panic!("{other:?}"),
        }
    }
    assert!(opened >= 4 && busy > 0, "{opened} {busy}");
}

#[tokio::test]
async fn the_server_has_a_clock_of_its_own() {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let clock = database.store().await.clock_read().await.unwrap().unwrap();
    let ours = hallpass_core::time::Clock::now(&hallpass_core::time::SystemClock);
    assert!(ours.since(clock) < Duration::from_secs(5) && clock.since(ours) < Duration::from_secs(5));
}

/// Two nodes on one database.
async fn two_nodes() -> (Cluster, (Database, [Arc<dyn Store>; 2])) {
    let cluster = Cluster::shared();
    let database = cluster.database().await;
    let nodes: [Arc<dyn Store>; 2] = [Arc::new(database.store().await), Arc::new(database.store().await)];
    (cluster, (database, nodes))
}

/// Writes that wait together share a transaction. One that fails takes all of it back, and each is tried again alone.
#[tokio::test(flavor = "multi_thread")]
async fn as_218_one_write_that_cannot_be_done_costs_the_others_no_answer() {
    let (_cluster, (_database, [store, _])) = two_nodes().await;
    let story = Story::begin(Arc::clone(&store)).await;
    let opening: Vec<_> = (0..64)
        .map(|n| {
            // PostgreSQL keeps no such text: the statement fails, and the transaction with it.
            let name = if n % 16 == 8 { "\0" } else { "Client" };
            let grant = NewGrant { client_name: name.into(), ..story.new_grant() };
            let (store, now) = (Arc::clone(&store), story.now);
            tokio::spawn(async move { (n, grant.id, store.grant_open(grant, now).await) })
        })
        .collect();
    for one in opening {
        let (n, id, answer) = one.await.unwrap();
        if n % 16 == 8 {
            assert_eq!(answer.unwrap_err().kind(), ErrorKind::Internal);
        } else {
            assert_eq!(answer.unwrap(), GrantOpened::Opened, "{n}");
            assert!(store.grant_read(id).await.unwrap().is_some(), "answered, so it is there: {n}");
        }
    }
}

/// Two nodes lock the same rows in opposite orders: the server ends one of two transactions that wait for each other.
#[tokio::test(flavor = "multi_thread")]
async fn as_141_as_218_nodes_whose_batches_meet_crosswise_answer_everybody() {
    let (_cluster, (_database, nodes)) = two_nodes().await;
    let story = Story::begin(Arc::clone(&nodes[0])).await;
    let mut ids = Vec::new();
    for _ in 0..32 {
        ids.push(story.open().await);
    }
    for generation in 0..8 {
        let mut asking = Vec::new();
        for n in 0..ids.len() {
            for (node, at) in [(&nodes[0], n), (&nodes[1], ids.len() - 1 - n)] {
                let (node, story, id) = (Arc::clone(node), story.clone(), ids[at]);
                asking.push(tokio::spawn(async move {
                    node.grant_rotate(story.rotation(id, generation), story.now).await.unwrap()
                }));
            }
        }
        let mut answers = Vec::new();
        for one in asking {
            answers.push(one.await.unwrap());
        }
        let next = generation + 1;
        let made = answers.iter().filter(|one| **one == GrantRotated::Rotated { generation: next }).count();
        let again = answers.iter().filter(|one| **one == GrantRotated::Repeated { generation: next }).count();
        assert_eq!((made, made + again), (32, 64), "one winner for each: {answers:?}");
    }
}
