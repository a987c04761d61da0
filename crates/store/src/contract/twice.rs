//! Every write may be run twice: after a commit whose answer was lost it is.

use super::story::{SETUP, START, Story, count, minutes, together};
use crate::{AuditHead, FirstPerson, GrantOpened, GrantRotated, Store, StoredKey};
use hallpass_core::secret::SecretBytes;
use std::sync::Arc;

/// The second run with the same arguments ends in the same state, and where it matters in the same answer.
pub async fn every_write_run_twice_converges(store: Arc<dyn Store>) {
    let end = START.plus(minutes(60));
    for _ in 0..2 {
        assert!(store.setup_code_put(SETUP, end).await.unwrap());
    }
    let person = super::story::somebody("ada");
    for _ in 0..2 {
        let made = store.person_create_first(SETUP, person.clone(), START).await.unwrap();
        assert_eq!(made, FirstPerson::Created);
    }
    let windows = crate::RotationWindows {
        same_successor: super::seconds(30),
        new_successor: std::time::Duration::MAX,
    };
    let story = Story { store: store.clone(), person: person.id, now: START, windows };
    let session = super::people::session(&story);
    for _ in 0..2 {
        assert!(store.session_open(session.clone()).await.unwrap());
    }
    let grant = story.new_grant();
    for _ in 0..2 {
        assert_eq!(store.grant_open(grant.clone(), START).await.unwrap(), GrantOpened::Opened);
    }
    assert_eq!(story.rotate(grant.id, 0).await, GrantRotated::Rotated { generation: 1 });
    assert_eq!(story.rotate(grant.id, 0).await, GrantRotated::Repeated { generation: 1 });
    assert_eq!(story.rotate(grant.id, 4).await, GrantRotated::StoreWentBack { generation: 5 });
    assert_eq!(story.rotate(grant.id, 4).await, GrantRotated::Repeated { generation: 5 });
    assert!(story.revoke(grant.id).await);
    assert!(!story.revoke(grant.id).await);
    assert_eq!(store.feed_after(0, 10).await.unwrap().counter, 1, "one ticket");
    for _ in 0..2 {
        store.session_close(session.id).await.unwrap();
        store.person_attempts_clear(person.id).await.unwrap();
        assert_eq!(store.root_secret(SecretBytes::new([4; 32])).await.unwrap().expose(), &[4; 32]);
    }
    assert_eq!(store.root_secret(SecretBytes::new([5; 32])).await.unwrap().expose(), &[4; 32]);
}

/// What goes in comes out.
pub async fn documents_and_keys_are_kept_as_given(store: Arc<dyn Store>) {
    let url = "https://client.example/ünï".to_owned();
    let copy = |body: &[u8], at| super::clients::document(&url, body, at);
    assert_eq!(store.document_read(url.clone()).await.unwrap(), None);
    let (early, late) = (copy(b"{}", START), copy(b"{\"a\":1}", START.plus(minutes(1))));
    for document in [&early, &early, &late] {
        store.document_put(document.clone()).await.unwrap();
    }
    store.document_put(early).await.unwrap();
    assert_eq!(store.document_read(url.clone()).await.unwrap(), Some(late), "an older copy comes late");

    let key = StoredKey {
        kid: "first".into(),
        algorithm: "ES256".into(),
        sealed: vec![0, 255, 1],
        created_at: START,
        signs_from: START,
        retired_at: Some(START.plus(minutes(9))),
    };
    let other = StoredKey { kid: "second".into(), ..key.clone() };
    let kept = vec![key.clone()];
    assert_eq!(store.key_put_first(key).await.unwrap(), kept);
    assert_eq!(store.key_put_first(other).await.unwrap(), kept);
    assert_eq!(store.keys_read().await.unwrap(), kept);

    let head =
        |node: &str, sequence| AuditHead { node: node.into(), sequence, mac: format!("mac {sequence}") };
    assert_eq!(store.audit_heads().await.unwrap(), []);
    for head in [head("b", 9), head("a", 1), head("b", 9), head("b", 3)] {
        store.audit_head_put(head).await.unwrap();
    }
    assert_eq!(store.audit_heads().await.unwrap(), [head("a", 1), head("b", 3)], "the last word counts");
}

/// Keys follow each other once, whoever rotates, and the last one that signs stays.
pub async fn as_186_sixty_four_rotations_make_one_key_and_the_last_stays(store: Arc<dyn Store>) {
    let key = |kid: &str, minute: u64| StoredKey {
        kid: kid.to_owned(),
        algorithm: "ES256".into(),
        sealed: vec![1],
        created_at: START.plus(minutes(minute)),
        signs_from: START.plus(minutes(minute + 10)),
        retired_at: None,
    };
    store.key_put_first(key("first", 0)).await.unwrap();
    let (at, kept) = (store.clone(), key);
    let made = together(move |n| {
        let (store, key) = (at.clone(), kept(&format!("second-{n}"), 5));
        async move { store.key_put_after(key, "first".into()).await.unwrap() }
    })
    .await;
    assert_eq!(count(&made, &true), 1);
    let keys = store.keys_read().await.unwrap();
    assert_eq!(keys.len(), 2);
    let second = keys[1].clone();
    assert!(store.key_put_after(second.clone(), "first".into()).await.unwrap(), "run again with its own key");
    assert!(!store.key_put_after(key("third", 9), "nobody".into()).await.unwrap());
    let now = START.plus(minutes(12));
    assert!(!store.key_retire("first".into(), now).await.unwrap(), "the other does not sign yet");
    let now = START.plus(minutes(20));
    assert!(!store.key_retire(second.kid.clone(), now).await.unwrap(), "an older one would sign again");
    let next = key("next", 18);
    assert!(store.key_put_after(next.clone(), second.kid.clone()).await.unwrap());
    assert!(store.key_retire("next".into(), now).await.unwrap(), "one that does not sign yet");
    store.key_remove("next".into()).await.unwrap();
    assert!(!store.key_retire("nobody".into(), now).await.unwrap());
    assert!(store.key_retire("first".into(), now).await.unwrap());
    assert!(!store.key_retire("first".into(), now).await.unwrap(), "once");
    assert!(!store.key_retire(second.kid.clone(), now).await.unwrap(), "the last one");
    assert_eq!(store.keys_read().await.unwrap()[0].retired_at, Some(now));
    store.key_remove("first".into()).await.unwrap();
    assert_eq!(store.keys_read().await.unwrap(), [second]);
}

/// Sealed anew once, whoever does it, and never over what somebody else has put there since.
pub async fn as_187_t_49_sixty_four_resealings_change_a_key_once(store: Arc<dyn Store>) {
    let key = StoredKey {
        kid: "first".into(),
        algorithm: "ES256".into(),
        sealed: vec![1, 0, 255],
        created_at: START,
        signs_from: START,
        retired_at: Some(START.plus(minutes(9))),
    };
    store.key_put_first(key.clone()).await.unwrap();
    let at = store.clone();
    let sealed = |n: u8| vec![1, 1, n];
    let done = together(move |n| {
        let store = at.clone();
        let after = sealed(n);
        async move { store.key_reseal("first".into(), vec![1, 0, 255], after).await.unwrap() }
    })
    .await;
    assert_eq!(count(&done, &true), 1);
    let kept = store.keys_read().await.unwrap();
    let winner = done.iter().position(|won| *won).unwrap();
    let after = sealed(u8::try_from(winner).unwrap());
    assert_eq!(kept, [StoredKey { sealed: after.clone(), ..key.clone() }], "nothing else of the row changes");
    let again = |kid: &str, before: &[u8], after: &[u8]| {
        store.key_reseal(kid.to_owned(), before.to_vec(), after.to_vec())
    };
    assert!(again("first", &[1, 0, 255], &after).await.unwrap(), "run again with its own value");
    assert!(!again("nobody", &after, &[1, 2]).await.unwrap());
    assert!(!again("first", &[1, 0, 255], &[1, 2]).await.unwrap(), "what it was is over");
    assert!(again("first", &after, &[1, 2]).await.unwrap());
    assert!(!again("first", &[1, 0, 255], &after).await.unwrap(), "late, over what came since");
    assert_eq!(store.keys_read().await.unwrap(), [StoredKey { sealed: vec![1, 2], ..key }]);
}
