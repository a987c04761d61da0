//! What the account page and the question to a person read: where grants were used, whose they are, which browsers are
//! signed in.

use super::story::{HERE, Story, minutes, seconds, somebody};
use crate::{GrantOpened, Installation, NewGrant, Rotation, Session, Store};
use std::{
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// The one update of a refresh says from where it came, on each of its branches, and a refused one does not.
pub async fn a_grant_remembers_where_it_was_used_last(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let id = story.open().await;
    assert_eq!(story.read(id).await.used_from, Some(HERE), "the redemption");
    let six = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
    let there = |at: u8| IpAddr::from([198, 51, 100, at]);
    for (wait, presented, from) in [
        (10, 0, Some(six)),
        (10, 0, Some(there(1))),
        (60, 0, Some(there(2))),
        (10, 2, None),
        (10, 3, Some(there(3))),
    ] {
        story.wait(seconds(wait));
        let rotation = Rotation { from, ..story.rotation(id, presented) };
        store.grant_rotate(rotation, story.now).await.unwrap();
        assert_eq!(story.read(id).await.used_from, from, "{presented}");
    }
    let stale = Rotation { from: Some(six), ..story.rotation(id, 0) };
    store.grant_rotate(stale, story.now).await.unwrap();
    assert_eq!(story.read(id).await.used_from, Some(there(3)), "a thief leaves no trace in the grant");
    assert_eq!(store.grants_of_person(story.person, None, 1).await.unwrap()[0].used_from, Some(there(3)));
}

async fn opened(story: &Story, grant: NewGrant) {
    assert_eq!(story.store.grant_open(grant, story.now).await.unwrap(), GrantOpened::Opened);
}

/// Same person, client, receiver and resource, and nothing that is over.
pub async fn the_grants_of_one_installation_are_found_and_no_others(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let own = story.new_grant();
    let installation = Installation {
        person: story.person,
        client_id: own.client_id.clone(),
        redirect_host: own.redirect_host.clone(),
        resource: own.resource.clone(),
    };
    let found = || async { store.grants_of_installation(installation.clone(), 10).await.unwrap() };
    assert!(found().await.is_empty());
    let eve = somebody("eve");
    assert!(store.person_create(eve.clone()).await.unwrap());
    for other in [
        NewGrant { person: eve.id, ..story.new_grant() },
        NewGrant { client_id: "https://client.example/metadata2".into(), ..story.new_grant() },
        NewGrant { redirect_host: "client.example.evil.example".into(), ..story.new_grant() },
        NewGrant { resource: "https://host.example/mcp2".into(), ..story.new_grant() },
    ] {
        opened(&story, other).await;
    }
    assert!(found().await.is_empty());
    let id = own.id;
    opened(&story, own).await;
    story.wait(seconds(1));
    let newer = story.open().await;
    assert_eq!(found().await.iter().map(|grant| grant.id).collect::<Vec<_>>(), [newer, id]);
    assert_eq!(store.grants_of_installation(installation.clone(), 1).await.unwrap().len(), 1);
    assert!(story.revoke(newer).await);
    assert_eq!(found().await.len(), 1);
    store.person_epoch_raise(story.person, story.now, story.now).await.unwrap();
    assert!(found().await.is_empty(), "signed out everywhere");
}

/// The number of those that are alive, and the one that was not used for longest.
pub async fn who_holds_many_grants_learns_which_was_unused_longest(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let begin = story.now;
    let none = store.grants_held(story.person, begin, begin).await.unwrap();
    assert_eq!((none.live, none.longest_unused), (0, None));
    let mut ids = Vec::new();
    for _ in 0..4 {
        story.wait(minutes(1));
        ids.push(story.open().await);
    }
    story.wait(minutes(1));
    story.rotate(ids[0], 0).await;
    let held = |used, given| store.grants_held(story.person, used, given);
    let all = held(begin, begin).await.unwrap();
    assert_eq!((all.live, all.longest_unused.unwrap().id), (4, ids[1]));
    assert!(story.revoke(ids[1]).await);
    let rest = held(begin, begin).await.unwrap();
    assert_eq!((rest.live, rest.longest_unused.unwrap().id), (3, ids[2]));
    let used = begin.plus(minutes(4));
    let fresh = held(used, begin).await.unwrap();
    assert_eq!((fresh.live, fresh.longest_unused.unwrap().id), (2, ids[3]), "idle ones are over");
    let young = held(begin, begin.plus(minutes(3))).await.unwrap();
    assert_eq!((young.live, young.longest_unused.unwrap().id), (2, ids[2]), "old ones are over");
    let nobody = store.grants_held(somebody("eve").id, begin, begin).await.unwrap();
    assert_eq!(nobody.live, 0);
}

/// A list of one's own browsers, and an end for each of them and for nobody else's.
pub async fn a_person_sees_and_ends_their_own_browsers_only(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let first = super::people::session(&story);
    assert!(store.session_open(first.clone()).await.unwrap());
    story.wait(seconds(1));
    let second = Session { from: None, browser: String::new(), ..super::people::session(&story) };
    assert!(store.session_open(second.clone()).await.unwrap());
    let eve = somebody("eve");
    assert!(store.person_create(eve.clone()).await.unwrap());
    let hers = Session { person: eve.id, ..super::people::session(&story) };
    assert!(store.session_open(hers.clone()).await.unwrap());
    let list = |person, now, limit| store.sessions_of_person(person, now, limit);
    assert_eq!(list(story.person, story.now, 10).await.unwrap(), [second.clone(), first.clone()]);
    assert_eq!(list(story.person, story.now, 1).await.unwrap(), std::slice::from_ref(&second));
    assert!(!store.session_end(hers.id, story.person).await.unwrap(), "hers");
    assert_eq!(list(eve.id, story.now, 10).await.unwrap(), [hers]);
    assert!(store.session_end(first.id, story.person).await.unwrap());
    assert!(!store.session_end(first.id, story.person).await.unwrap(), "it is over");
    assert_eq!(store.session_read(first.id, story.now).await.unwrap(), None);
    assert_eq!(list(story.person, story.now, 10).await.unwrap(), std::slice::from_ref(&second));
    assert!(list(story.person, second.expires_at, 10).await.unwrap().is_empty(), "expired");
    store.person_epoch_raise(story.person, story.now, story.now).await.unwrap();
    assert!(list(story.person, story.now, 10).await.unwrap().is_empty(), "signed out everywhere");
}
