//! 64 tasks on a barrier: exactly one winner of everything that may happen once.

use super::story::{SETUP, START, Story, count, minutes, somebody, together};
use crate::{ErrorKind, FirstPerson, GrantOpened, GrantRotated, Revoked, Store, StoredKey};
use hallpass_core::{
    entropy::SystemEntropy,
    id::{AttemptId, PersonId},
    secret::SecretBytes,
};
use std::sync::Arc;

const ROUNDS: u32 = 1000;

/// CVE-2026-47386: read, check, mark. Here the insert itself decides.
pub async fn t_04_as_110_b_03_sixty_four_redemptions_of_a_code_open_one_grant(store: Arc<dyn Store>) {
    let story = Story::begin(store).await;
    for _ in 0..ROUNDS {
        let grant = story.new_grant();
        let answers = together(|_| {
            let (story, mut grant) = (story.clone(), grant.clone());
            grant.attempt = AttemptId::new(story.now, &SystemEntropy);
            async move { story.store.grant_open(grant, story.now).await.unwrap() }
        })
        .await;
        assert_eq!(count(&answers, &GrantOpened::Opened), 1);
        assert_eq!(count(&answers, &GrantOpened::Replayed), 63);
    }
}

/// CVE-2026-1035: two live branches. Here all get the same successor, and one of them made it.
pub async fn t_20_as_141_b_11_sixty_four_refreshes_with_one_token_have_one_successor(store: Arc<dyn Store>) {
    let story = Story::begin(store).await;
    let id = story.open().await;
    for presented in 0..ROUNDS {
        let answers = together(|_| {
            let story = story.clone();
            async move { story.rotate(id, presented).await }
        })
        .await;
        let generation = presented + 1;
        assert_eq!(count(&answers, &GrantRotated::Rotated { generation }), 1);
        assert_eq!(count(&answers, &GrantRotated::Repeated { generation }), 63);
    }
    assert_eq!(story.read(id).await.generation, ROUNDS);
}

/// A revocation is done by one of those who ask for it, and takes one ticket.
pub async fn as_110_sixty_four_revocations_have_one_doer_and_one_ticket(store: Arc<dyn Store>) {
    let story = Story::begin(store).await;
    for round in 1..=20 {
        let id = story.open().await;
        let answers = together(|_| {
            let story = story.clone();
            async move { story.revoke(id).await }
        })
        .await;
        assert_eq!(count(&answers, &true), 1);
        let page = story.store.feed_after(round - 1, 10).await.unwrap();
        assert_eq!((page.counter, page.entries.len()), (round, 1));
        assert_eq!(page.entries[0].what, Revoked::Grant(id));
    }
}

/// One setup code, 64 people who want to be the first.
pub async fn sixty_four_set_ups_make_one_account(store: Arc<dyn Store>) {
    store.setup_code_put(SETUP, START.plus(minutes(60))).await.unwrap();
    let answers = together(|n| {
        let (store, person) = (store.clone(), somebody(&format!("person{n}")));
        async move { (store.person_create_first(SETUP, person.clone(), START).await.unwrap(), person) }
    })
    .await;
    let made: Vec<_> = answers.iter().filter(|(answer, _)| *answer == FirstPerson::Created).collect();
    assert_eq!(made.len(), 1);
    assert_eq!(answers.iter().filter(|(answer, _)| *answer == FirstPerson::Closed).count(), 63);
    for (answer, person) in &answers {
        let kept = store.person_by_name(person.name.clone()).await.unwrap();
        assert_eq!(kept.is_some(), *answer == FirstPerson::Created);
    }
}

/// Nodes that start together sign with one key.
pub async fn sixty_four_first_keys_leave_one(store: Arc<dyn Store>) {
    let answers = together(|n| {
        let store = store.clone();
        let key = StoredKey {
            kid: format!("key{n}"),
            algorithm: "ES256".into(),
            sealed: vec![n; 100],
            created_at: START,
            signs_from: START,
            retired_at: None,
        };
        async move { store.key_put_first(key).await.unwrap() }
    })
    .await;
    assert_eq!(answers[0].len(), 1);
    assert_eq!(count(&answers, &answers[0]), 64);
    assert_eq!(store.keys_read().await.unwrap(), answers[0]);
}

/// Nodes that start together derive the same keys.
pub async fn sixty_four_root_secrets_are_one(store: Arc<dyn Store>) {
    let answers = together(|n| {
        let store = store.clone();
        async move { *store.root_secret(SecretBytes::new([n; 32])).await.unwrap().expose() }
    })
    .await;
    assert_eq!(count(&answers, &answers[0]), 64);
}

/// The same code again is a replay. Another code of the same page is a person who pressed twice.
pub async fn a_code_is_replayed_a_page_sent_twice_is_not(store: Arc<dyn Store>) {
    let story = Story::begin(store).await;
    let first = story.new_grant();
    let open = |grant| story.store.grant_open(grant, story.now);
    assert_eq!(open(first.clone()).await.unwrap(), GrantOpened::Opened);
    assert_eq!(open(first.clone()).await.unwrap(), GrantOpened::Opened, "our own attempt");

    let mut again = first.clone();
    again.attempt = AttemptId::new(story.now, &SystemEntropy);
    assert_eq!(open(again.clone()).await.unwrap(), GrantOpened::Replayed);
    again.code_digest = [2; 32];
    assert_eq!(open(again.clone()).await.unwrap(), GrantOpened::SecondCode);

    // A revoked grant is still there to be conflicted with.
    assert!(story.revoke(first.id).await);
    again.code_digest = first.code_digest;
    assert_eq!(open(again).await.unwrap(), GrantOpened::Replayed);
}

/// Cloned machines draw the same ids; they must not revoke each other's grants.
pub async fn an_id_of_somebody_else_is_an_internal_error_and_no_replay(store: Arc<dyn Store>) {
    let story = Story::begin(store).await;
    let first = story.new_grant();
    story.store.grant_open(first.clone(), story.now).await.unwrap();

    let mut other_client = first.clone();
    other_client.client_id = "https://other.example/metadata".into();
    let mut other_person = first.clone();
    other_person.person = PersonId::new(story.now, &SystemEntropy);
    for clone in [other_client, other_person] {
        let error = story.store.grant_open(clone, story.now).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
    }
    assert_eq!(story.read(first.id).await.client_id, first.client_id);
}
