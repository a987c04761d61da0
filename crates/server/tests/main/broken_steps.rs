//! An authorization on a database of which one table at a time is not there: each step fails where it needs that table, says
//! so to whoever asked, in the shape of its endpoint, and has used up nothing.

use crate::support::*;
use hallpass_core::time::Timestamp;
use hallpass_store::StoredClient;
use http::StatusCode;
use std::collections::BTreeSet;

const CLIENT: &str = "stored";

/// Beside the store, as a fault of the disk would be.
fn database(server: &Server) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(server.folder.path().join("hallpass.sqlite")).unwrap();
    database.busy_timeout(std::time::Duration::from_mins(1)).unwrap();
    database
}

fn tables(server: &Server) -> Vec<String> {
    let database = database(server);
    let query =
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    let mut statement = database.prepare(query).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.map(Result::unwrap).collect()
}

fn rename(server: &Server, from: &str, to: &str) {
    database(server).execute_batch(&format!("ALTER TABLE \"{from}\" RENAME TO \"{to}\"")).unwrap();
}

/// Whether the step could not be done. If so, it was said as it should be: to a person by a page of ours that goes nowhere,
/// to a client by a code; and in neither is a word of what is behind.
fn has_failed(answer: &Answer, is_page: bool) -> bool {
    if answer.status == StatusCode::OK {
        return false;
    }
    let failed = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::INTERNAL_SERVER_ERROR];
    assert!(failed.contains(&answer.status), "{answer:?}");
    for word in ["sqlite", "SQL", "no such", "hidden_", "panicked", ".rs", "Internal(", "hidden_grants"] {
        assert!(!answer.text.contains(word), "{word}: {answer:?}");
    }
    assert_eq!(answer.header("cache-control"), "no-store");
    if is_page {
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!((answer.target(), answer.link(), answer.header("location")), (None, None, ""));
    } else {
        assert!(["server_error", "temporarily_unavailable"].contains(&&*answer.error()), "{answer:?}");
        assert_eq!(answer.json().get("access_token"), None);
        assert!(answer.status != StatusCode::SERVICE_UNAVAILABLE || !answer.header("retry-after").is_empty());
    }
    true
}

#[tokio::test]
async fn as_105_t_97_a_store_that_fails_at_any_step_shows_nothing_and_burns_nothing() {
    let server = Server::start().await;
    let body = serde_json::json!({
        "name": "Stored", "redirect_uris": [REDIRECT], "auth": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    let until = server.app.settings.tokens_until(server.now());
    let stored = StoredClient {
        id: CLIENT.into(),
        version: 1,
        created_at: Timestamp::from_seconds(0),
        body: body.to_string(),
    };
    assert!(server.app.store.client_create(stored, until).await.unwrap());
    let mut browser = server.set_up().await;
    let request = Server::request(CLIENT);
    let code = browser.allow(&request).await;
    let mut token = text(&server.redeem(CLIENT, &code).await.json(), "refresh_token").to_owned();
    let mut failed = BTreeSet::new();
    for table in tables(&server) {
        let (page, code) = (browser.ask(&request).await, browser.allow(&request).await);
        let hidden = format!("hidden_{table}");
        rename(&server, &table, &hidden);
        let asked = browser.get(&query(&request)).await;
        let answered = browser.answer(&page, "allow").await;
        let redeemed = server.redeem(CLIENT, &code).await;
        let refreshed = server.refresh(CLIENT, &token).await;
        rename(&server, &hidden, &table);
        let steps = [
            ("authorize", &asked, true),
            ("consent", &answered, true),
            ("redeem", &redeemed, false),
            ("refresh", &refreshed, false),
        ];
        for (step, answer, is_page) in steps {
            if has_failed(answer, is_page) {
                failed.insert((step, table.clone()));
            }
        }
        // Whoever was refused goes on where they were: the same page, the same code, the same token.
        assert!(browser.answer(&page, "allow").await.answered("code").is_some(), "{table}");
        if redeemed.status != StatusCode::OK {
            let late = server.redeem(CLIENT, &code).await;
            assert_eq!(late.status, StatusCode::OK, "{table}: {late:?}");
        }
        let refreshed = match refreshed.status {
            StatusCode::OK => refreshed,
            _ => server.refresh(CLIENT, &token).await,
        };
        assert_eq!(refreshed.status, StatusCode::OK, "{table}: {refreshed:?}");
        token = text(&refreshed.json(), "refresh_token").to_owned();
    }
    for (step, table) in [
        ("authorize", "session"),
        ("authorize", "person"),
        ("authorize", "client"),
        ("consent", "session"),
        ("consent", "person"),
        ("consent", "client"),
        ("redeem", "client"),
        ("redeem", "grants"),
        ("redeem", "person"),
        ("refresh", "client"),
        ("refresh", "grants"),
        ("refresh", "person"),
    ] {
        assert!(failed.contains(&(step, table.to_owned())), "{step} without {table}: {failed:?}");
    }
    // And without any store.
    let page = browser.ask(&request).await;
    server.app.store.close().await.unwrap();
    for answer in [browser.get(&query(&request)).await, browser.answer(&page, "allow").await] {
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(has_failed(&answer, true));
    }
}
