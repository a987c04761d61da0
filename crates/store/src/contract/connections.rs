//! Services of third parties that people connected: one person's stay that person's, and each renewal has one winner.

use super::story::{Story, count, minutes, seconds, somebody, together};
use crate::{Connection, EndedBefore, Hold, NewConnection, Store};
use hallpass_core::{
    entropy::SystemEntropy,
    id::{AttemptId, ConnectionId, PersonId},
};
use std::sync::Arc;

fn new(story: &Story, person: PersonId, sealed: &[u8]) -> NewConnection {
    NewConnection {
        id: ConnectionId::new(story.now, &SystemEntropy),
        person,
        epoch: 0,
        name: "files".into(),
        sealed: sealed.to_vec(),
        connected_at: story.now,
    }
}

async fn read(story: &Story, person: PersonId) -> Option<Connection> {
    story.store.connection_read(person, "files".into()).await.unwrap()
}

fn hold(story: &Story, of: &Connection) -> Hold {
    let holder = AttemptId::new(story.now, &SystemEntropy);
    Hold { id: of.id, version: of.version, holder, until: story.now.plus(seconds(40)) }
}

/// Those that are sealed under a master key are found by its number, a page at a time; dead ones are not.
pub async fn as_187_connections_are_found_by_the_key_that_they_are_sealed_under(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let mut of_one = Vec::new();
    for at in 0..7_u8 {
        let person = somebody(&format!("p{at}"));
        assert!(store.person_create(person.clone()).await.unwrap());
        let connection = new(&story, person.id, &[1, u8::from(at > 4), 7, at]);
        assert!(store.connection_put(connection.clone()).await.unwrap());
        if at <= 4 {
            of_one.push(connection.id);
        }
    }
    assert!(store.connection_put(new(&story, story.person, &[])).await.unwrap(), "nothing that says so");
    of_one.sort_by_key(|id| *id.as_bytes());
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.connections_under(0, after, 2).await.unwrap();
        assert!(page.len() <= 2 && page.iter().all(|row| row.sealed[1] == 0));
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        found.extend(page.iter().map(|row| row.id));
    }
    assert_eq!(found, of_one);
    assert!(store.connection_die(of_one[0], 1, story.now).await.unwrap());
    assert_eq!(store.connections_under(0, None, 10).await.unwrap().len(), 4);
    assert_eq!(store.connections_under(1, None, 10).await.unwrap().len(), 2);
    assert!(store.connections_under(7, None, 10).await.unwrap().is_empty(), "only where the number is");
}

/// What one person connected is found by that person and name alone; connected again, the one before is gone.
pub async fn rs_061_a_connection_belongs_to_one_person(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let bob = somebody("bob");
    assert!(store.person_create(bob.clone()).await.unwrap());
    let (hers, his) = (new(&story, story.person, b"hers"), new(&story, bob.id, b"his"));
    for connection in [&hers, &his, &hers, &his] {
        assert!(store.connection_put(connection.clone()).await.unwrap(), "also when run twice");
    }
    assert_eq!(read(&story, story.person).await.unwrap().sealed, b"hers");
    assert_eq!(read(&story, bob.id).await.unwrap().sealed, b"his");
    assert_eq!(store.connection_read(bob.id, "mail".into()).await.unwrap(), None);
    assert!(!store.connection_remove(his.id, story.person).await.unwrap(), "somebody else's");
    story.wait(seconds(1));
    let again = NewConnection { name: "files".into(), ..new(&story, story.person, b"again") };
    let other = NewConnection { name: "apples".into(), ..new(&story, story.person, b"other") };
    for connection in [&again, &other] {
        assert!(store.connection_put(connection.clone()).await.unwrap());
    }
    let all = store.connections_of_person(story.person).await.unwrap();
    let shown: Vec<_> = all.iter().map(|one| (&*one.name, &*one.sealed)).collect();
    assert_eq!(shown, [("apples", &b"other"[..]), ("files", b"again")]);
    let late = NewConnection { epoch: 1, ..new(&story, story.person, b"late") };
    assert!(!store.connection_put(late).await.unwrap(), "signed out everywhere meanwhile");
    let nobody = new(&story, somebody("eve").id, b"eve");
    assert!(!store.connection_put(nobody).await.unwrap());
    assert!(store.connection_remove(again.id, story.person).await.unwrap());
    assert_eq!(read(&story, story.person).await, None);
    assert!(read(&story, bob.id).await.is_some());
}

/// Nothing of a disabled account is used, and nothing of a removed one stays, whoever removed it.
pub async fn rs_061_as_185_connections_go_with_their_person(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let bob = somebody("bob");
    assert!(store.person_create(bob.clone()).await.unwrap());
    for (person, sealed) in [(story.person, b"a"), (bob.id, b"b")] {
        assert!(store.connection_put(new(&story, person, sealed)).await.unwrap());
    }
    let end = story.now.plus(minutes(10));
    assert!(store.person_disable(bob.id, true, end, story.now).await.unwrap());
    assert_eq!(read(&story, bob.id).await, None);
    assert!(!store.connection_put(new(&story, bob.id, b"c")).await.unwrap());
    assert!(store.person_remove(bob.id, end).await.unwrap().is_some());
    let ended = EndedBefore { revoked: story.now, used: story.now, given: story.now };
    let mut rows = 0;
    loop {
        let swept = store.sweep(ended, story.now, 100).await.unwrap();
        rows += swept.rows;
        if !swept.more {
            break;
        }
    }
    assert_eq!(rows, 0, "it went in the transaction that removed the person");
    assert!(read(&story, story.person).await.is_some());
}

/// Of many who want to renew it one does; the others wait, and a word that nobody gives back ends.
pub async fn rs_061_c13_sixty_four_renewals_have_one_winner(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    assert!(store.connection_put(new(&story, story.person, b"first")).await.unwrap());
    let first = read(&story, story.person).await.unwrap();
    let holds: Vec<Hold> = (0..64).map(|_| hold(&story, &first)).collect();
    let now = story.now;
    let taken = together(|n| {
        let (store, hold) = (store.clone(), holds[usize::from(n)]);
        async move { store.connection_hold(hold, now).await.unwrap() }
    })
    .await;
    assert_eq!(count(&taken, &true), 1);
    let (winner, loser) = {
        let at = taken.iter().position(|won| *won).unwrap();
        (holds[at], holds[(at + 1) % 64])
    };
    assert!(store.connection_hold(winner, now).await.unwrap(), "run twice");
    story.wait(seconds(39));
    assert!(
        !store
            .connection_hold(Hold { until: story.now.plus(seconds(40)), ..loser }, story.now)
            .await
            .unwrap()
    );
    story.wait(seconds(1));
    let later = Hold { until: story.now.plus(seconds(40)), ..loser };
    assert!(store.connection_hold(later, story.now).await.unwrap(), "the winner never came back");
    for _ in 0..2 {
        assert!(store.connection_renew(first.id, 1, b"second".to_vec(), story.now).await.unwrap());
    }
    assert!(!store.connection_renew(first.id, 1, b"third".to_vec(), story.now).await.unwrap(), "one winner");
    assert!(!store.connection_die(first.id, 1, story.now).await.unwrap(), "a word about old tokens");
    let second = read(&story, story.person).await.unwrap();
    assert_eq!((second.version, &*second.sealed, second.died_at), (2, &b"second"[..], None));
    assert!(
        !store.connection_hold(hold(&story, &first), story.now).await.unwrap(),
        "read before the renewal"
    );
    let next = hold(&story, &second);
    assert!(store.connection_hold(next, story.now).await.unwrap());
    let pause = story.now.plus(seconds(5));
    store.connection_release(first.id, loser.holder, pause).await.unwrap();
    assert!(!store.connection_hold(hold(&story, &second), story.now).await.unwrap(), "another's word stays");
    for _ in 0..2 {
        store.connection_release(first.id, next.holder, pause).await.unwrap();
    }
    assert!(!store.connection_hold(hold(&story, &second), story.now).await.unwrap(), "not at once");
    story.wait(seconds(5));
    assert!(store.connection_hold(hold(&story, &second), story.now).await.unwrap());
    for _ in 0..2 {
        assert!(store.connection_die(first.id, 2, story.now).await.unwrap());
    }
    assert_eq!(read(&story, story.person).await.unwrap().died_at, Some(story.now));
    assert!(!store.connection_hold(hold(&story, &second), story.now).await.unwrap(), "dead");
}
