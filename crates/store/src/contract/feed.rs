//! The feed: whoever polls it misses nothing.

use super::story::{Story, minutes, seconds};
use crate::{Revoked, Store};
use hallpass_core::id::GrantId;
use std::{collections::HashSet, sync::Arc};

const WRITERS: usize = 4;
const EACH: usize = 500;

/// Four writers, one poller with a cursor. A cursor over times of revocation missed up to half here.
pub async fn a_poller_of_the_feed_misses_nothing_and_tickets_have_no_gaps(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let story = story.clone();
        writers.push(tokio::spawn(async move {
            let mut revoked = Vec::new();
            for _ in 0..EACH {
                let id = story.open().await;
                assert!(story.revoke(id).await);
                revoked.push(id);
            }
            revoked
        }));
    }
    let total = i64::try_from(WRITERS * EACH).unwrap();
    let (mut cursor, mut seen) = (0, HashSet::new());
    while cursor < total {
        let page = store.feed_after(cursor, 100).await.unwrap();
        assert!(page.counter >= cursor);
        assert!(page.entries.last().is_none_or(|entry| entry.ticket <= page.counter));
        for entry in page.entries {
            assert_eq!(entry.ticket, cursor + 1, "no gaps, in order");
            cursor = entry.ticket;
            let Revoked::Grant(id) = entry.what else { panic!("{entry:?}") };
            assert!(seen.insert(id), "twice");
        }
        tokio::task::yield_now().await;
    }
    for writer in writers {
        for id in writer.await.unwrap() {
            assert!(seen.remove(&id), "missed");
        }
    }
    assert!(seen.is_empty());
}

/// Pages are bounded; an empty page still says where the counter is, so that a cursor ahead of it is noticed.
pub async fn a_page_of_the_feed_is_bounded_and_says_where_the_counter_is(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    assert_eq!(store.feed_after(0, 10).await.unwrap().counter, 0);
    let until = story.now.plus(minutes(5));
    assert_eq!(store.person_epoch_raise(story.person, until, story.now).await.unwrap(), Some(1));
    assert_eq!(store.person_epoch_raise(story.person, until, story.now).await.unwrap(), Some(2));
    let page = store.feed_after(0, 1).await.unwrap();
    assert_eq!((page.counter, page.entries.len()), (2, 1));
    assert_eq!(page.entries[0].what, Revoked::Person { person: story.person, epoch: 1 });
    assert_eq!(page.entries[0].until, until);
    let page = store.feed_after(1, 10).await.unwrap();
    assert_eq!(page.entries[0].what, Revoked::Person { person: story.person, epoch: 2 });
    let page = store.feed_after(99, 10).await.unwrap();
    assert_eq!((page.counter, page.entries.len()), (2, 0));
    assert_eq!(store.feed_after(0, 0).await.unwrap().counter, 2);
}

/// A token behind which there is no row ends by its entry alone, once, and by no other's.
pub async fn as_153_a_token_without_a_row_is_revoked_by_its_entry(store: Arc<dyn Store>) {
    let (one, other) = (GrantId::without_row([1; 16]), GrantId::without_row([2; 16]));
    let until = super::story::START.plus(minutes(5));
    assert!(!store.token_revoked(one).await.unwrap());
    assert!(store.token_revoke(one, until).await.unwrap());
    assert!(!store.token_revoke(one, until).await.unwrap());
    assert!(store.token_revoked(one).await.unwrap() && !store.token_revoked(other).await.unwrap());
    let page = store.feed_after(0, 10).await.unwrap();
    assert_eq!((page.counter, page.entries.len()), (1, 1));
    assert_eq!((&page.entries[0].what, page.entries[0].until), (&Revoked::Grant(one), until));
}

/// What a person sees of their own grants.
pub async fn the_account_page_shows_live_grants_newest_first_and_goes_on(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        story.wait(seconds(1));
        ids.insert(0, story.open().await);
    }
    let person = story.person;
    let listed = |before, limit| {
        let store = store.clone();
        async move {
            let page = store.grants_of_person(person, before, limit).await.unwrap();
            page.into_iter().map(|grant| grant.id).collect::<Vec<_>>()
        }
    };
    assert_eq!(listed(None, 10).await, ids);
    assert_eq!(listed(None, 2).await, ids[..2]);
    assert_eq!(listed(Some(ids[1]), 2).await, ids[2..4]);
    assert!(story.revoke(ids[2]).await);
    assert_eq!(listed(Some(ids[1]), 2).await, ids[3..5]);
    store.person_epoch_raise(person, story.now, story.now).await.unwrap();
    assert_eq!(listed(None, 10).await, [], "withdrawn is not live");
}
