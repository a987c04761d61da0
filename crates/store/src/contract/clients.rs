//! Clients of operators, blocks, documents, and assertions that pay for a write.

use super::story::{START, Story, minutes, together};
use crate::{
    Block, BlockKind, EndedBefore, GrantOpened, GrantRotated, Revoked, SpentAssertion, Store, StoredClient,
    StoredDocument,
};
use hallpass_core::{
    entropy::SystemEntropy,
    id::{AttemptId, GrantId},
    time::Timestamp,
};
use std::sync::Arc;

/// A good copy, found so at this time.
pub(super) fn document(url: &str, body: &[u8], at: Timestamp) -> StoredDocument {
    StoredDocument {
        url: url.to_owned(),
        body: body.to_vec(),
        checked_at: at,
        fresh_until: at.plus(minutes(5)),
        gone_since: None,
        suspended_at: None,
    }
}

fn assertion(fill: u8) -> SpentAssertion {
    SpentAssertion {
        digest: [fill; 32],
        attempt: AttemptId::new(START, &SystemEntropy),
        until: START.plus(minutes(10)),
    }
}

async fn rotate(story: &Story, id: GrantId, presented: u32, spends: SpentAssertion) -> GrantRotated {
    let rotation = story.rotation(id, presented);
    story.store.grant_rotate_spending(rotation, spends, story.now).await.unwrap()
}

/// The same assertion at the same moment, for the same and for other grants: one write.
pub async fn t_27_sixty_four_uses_of_an_assertion_pay_for_one_write(store: Arc<dyn Store>) {
    let story = Story::begin(store).await;
    let opened = together(|_| {
        let story = story.clone();
        async move {
            let grant = story.new_grant();
            story.store.grant_open_spending(grant, assertion(1), story.now).await.unwrap()
        }
    })
    .await;
    let count = |wanted| opened.iter().filter(|got| **got == wanted).count();
    assert_eq!((count(GrantOpened::Opened), count(GrantOpened::AssertionSpent)), (1, 63));
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(story.open().await);
    }
    let rotated = together(|n| {
        let (story, id) = (story.clone(), ids[usize::from(n) % ids.len()]);
        async move { rotate(&story, id, 0, assertion(2)).await }
    })
    .await;
    let done = rotated.iter().filter(|got| matches!(got, GrantRotated::Rotated { .. })).count();
    let spent = rotated.iter().filter(|got| **got == GrantRotated::AssertionSpent).count();
    assert_eq!((done, spent), (1, 63));
    let alone = together(|_| {
        let store = story.store.clone();
        async move { store.assertion_spend(assertion(3)).await.unwrap() }
    })
    .await;
    assert_eq!(alone.iter().filter(|first| **first).count(), 1);
    let mine = assertion(4);
    for _ in 0..2 {
        assert!(story.store.assertion_spend(mine).await.unwrap(), "a second run is no second use");
    }
}

/// What is refused has burnt nothing; the same attempt again is the same use; the sweep forgets what is over.
pub async fn as_119_a_refusal_burns_no_assertion_and_a_second_run_is_no_second_use(store: Arc<dyn Store>) {
    let mut story = Story::begin(store).await;
    let (grant, spends) = (story.new_grant(), assertion(1));
    for _ in 0..2 {
        let opened = story.store.grant_open_spending(grant.clone(), spends, story.now).await.unwrap();
        assert_eq!(opened, GrantOpened::Opened);
    }
    assert!(story.read(grant.id).await.key_proven && !story.read(story.open().await).await.key_proven);
    let withdrawn = crate::NewGrant { epoch: 7, ..story.new_grant() };
    let fresh = assertion(2);
    let refused = story.store.grant_open_spending(withdrawn, fresh, story.now).await.unwrap();
    assert_eq!(refused, GrantOpened::Withdrawn);
    let missing = GrantId::new(story.now, &SystemEntropy);
    assert_eq!(rotate(&story, missing, 0, fresh).await, GrantRotated::Missing);
    for _ in 0..2 {
        let rotated = rotate(&story, grant.id, 0, fresh).await;
        assert!(
            matches!(rotated, GrantRotated::Rotated { .. } | GrantRotated::Repeated { .. }),
            "{rotated:?}"
        );
    }
    let other = SpentAssertion { attempt: AttemptId::new(START, &SystemEntropy), ..fresh };
    assert_eq!(rotate(&story, grant.id, 1, other).await, GrantRotated::AssertionSpent);
    assert_eq!(story.read(grant.id).await.generation, 1, "nothing happened");
    story.wait(minutes(11));
    let ended = EndedBefore { revoked: START, used: START, given: START };
    while story.store.sweep(ended, story.now, 100).await.unwrap().more {}
    let rotated = rotate(&story, grant.id, 1, other).await;
    assert_eq!(rotated, GrantRotated::Rotated { generation: 2 }, "forgotten when it was over");
}

/// Blocked, unblocked, removed and made anew, each with one entry; a change is conditional.
pub async fn as_136_blocks_and_clients_of_operators_are_in_the_feed(store: Arc<dyn Store>) {
    let until = START.plus(minutes(10));
    let block = |kind, key: &str| Block { kind, key: key.into(), created_at: START, note: "why".into() };
    let (client, host) = (block(BlockKind::Client, "hpc_x"), block(BlockKind::Host, "evil.example"));
    assert!(store.block_put(client.clone(), until).await.unwrap());
    assert!(!store.block_put(client.clone(), until).await.unwrap());
    assert!(store.block_put(host.clone(), until).await.unwrap());
    assert_eq!(store.blocks_read().await.unwrap(), [client, host.clone()]);
    assert!(store.block_remove(BlockKind::Client, "hpc_x".into(), until).await.unwrap());
    assert!(!store.block_remove(BlockKind::Client, "hpc_x".into(), until).await.unwrap());
    assert_eq!(store.blocks_read().await.unwrap(), [host]);

    let made = |id: &str, version, body: &str| StoredClient {
        id: id.into(),
        version,
        created_at: START,
        body: body.into(),
    };
    for _ in 0..2 {
        assert!(store.client_create(made("b", 1, "{}"), until).await.unwrap());
    }
    assert!(!store.client_create(made("b", 1, "{\"other\":1}"), until).await.unwrap());
    assert!(store.client_create(made("a", 1, "{}"), until).await.unwrap());
    for _ in 0..2 {
        assert!(store.client_change(made("b", 1, "{\"new\":1}")).await.unwrap());
    }
    assert!(!store.client_change(made("b", 1, "{\"late\":1}")).await.unwrap());
    assert_eq!(store.client_read("b".into()).await.unwrap(), Some(made("b", 2, "{\"new\":1}")));
    let ids = |clients: Vec<StoredClient>| clients.into_iter().map(|client| client.id).collect::<Vec<_>>();
    assert_eq!(ids(store.clients_list(None, 1).await.unwrap()), ["a"]);
    assert_eq!(ids(store.clients_list(Some("a".into()), 9).await.unwrap()), ["b"]);
    assert!(store.client_remove("b".into(), until).await.unwrap());
    assert!(!store.client_remove("b".into(), until).await.unwrap());
    assert_eq!(store.client_read("b".into()).await.unwrap(), None);

    let entries = store.feed_after(0, 100).await.unwrap().entries;
    let what: Vec<Revoked> = entries.into_iter().map(|entry| entry.what).collect();
    assert_eq!(
        what,
        [
            Revoked::Client("hpc_x".into()),
            Revoked::Receiver("evil.example".into()),
            Revoked::ClientAgain("hpc_x".into()),
            Revoked::ClientAgain("b".into()),
            Revoked::ClientAgain("a".into()),
            Revoked::Client("b".into()),
        ]
    );
}

/// Gone once is remembered, gone again an hour later suspends, a good copy forgets both.
pub async fn m12_a_document_that_is_gone_suspends_an_hour_later_and_returns(store: Arc<dyn Store>) {
    let url = "https://client.example/id.json".to_owned();
    let gone = |now: Timestamp| store.document_gone(url.clone(), now.minus(minutes(60)), now);
    assert_eq!(gone(START).await.unwrap(), None, "nobody depends on it");
    store.document_put(document(&url, b"{}", START)).await.unwrap();
    let first = START.plus(minutes(1));
    for now in [first, first, first.plus(minutes(30)), first.plus(minutes(59))] {
        let row = gone(now).await.unwrap().unwrap();
        assert_eq!((row.gone_since, row.suspended_at), (Some(first), None), "{now:?}");
    }
    let second = first.plus(minutes(60));
    for now in [second, second.plus(minutes(5))] {
        let row = gone(now).await.unwrap().unwrap();
        assert_eq!((row.gone_since, row.suspended_at), (Some(first), Some(second)));
        assert_eq!(row.body, b"{}", "the last good copy stays");
    }
    store.document_put(document(&url, b"{}", START)).await.unwrap();
    let late = store.document_read(url.clone()).await.unwrap().unwrap();
    assert!(late.suspended_at.is_some(), "an older copy that comes late says nothing");
    let back = document(&url, b"{\"a\":1}", second.plus(minutes(9)));
    store.document_put(back.clone()).await.unwrap();
    assert_eq!(store.document_read(url.clone()).await.unwrap(), Some(back));
}
