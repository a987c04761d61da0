//! Whom identity providers mean: one person for each issuer and subject, and a provider's word ends all, once.

use super::story::{Story, count, minutes, seconds, somebody, together};
use crate::{
    CreatedLinked, DueLinks, EndedBefore, Hold, Link, LinkUse, Linked, NewLink, Person, Session, Store,
};
use hallpass_core::{
    entropy::SystemEntropy,
    id::{AttemptId, LinkId, PersonId, SessionId},
};
use std::sync::Arc;

const ISSUER: &str = "https://idp.example";

fn new(story: &Story, person: PersonId, subject: &str) -> NewLink {
    NewLink {
        id: LinkId::new(story.now, &SystemEntropy),
        issuer: ISSUER.into(),
        subject: subject.into(),
        person,
        linked_at: story.now,
    }
}

async fn read(story: &Story, subject: &str) -> Option<(Link, Person)> {
    story.store.link_read(ISSUER.into(), subject.into()).await.unwrap()
}

async fn owner(story: &Story, subject: &str) -> Option<PersonId> {
    read(story, subject).await.map(|(_, person)| person.id)
}

/// Issuer and subject together mean one person; who has them keeps them, and text counts as it is written.
pub async fn as_214_a_subject_of_an_issuer_is_one_person(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let bob = somebody("bob");
    assert!(store.person_create(bob.clone()).await.unwrap());
    let hers = new(&story, story.person, "1");
    for _ in 0..2 {
        assert_eq!(store.link_put(hers.clone()).await.unwrap(), Linked::Yes, "also when run twice");
    }
    assert_eq!(store.link_put(new(&story, bob.id, "1")).await.unwrap(), Linked::Another(story.person));
    assert_eq!(store.link_put(new(&story, story.person, "1")).await.unwrap(), Linked::Yes, "again");
    let elsewhere = NewLink { issuer: "https://idp.example/".into(), ..new(&story, bob.id, "1") };
    assert_eq!(store.link_put(elsewhere).await.unwrap(), Linked::Yes, "another issuer");
    assert_eq!(store.link_put(new(&story, bob.id, "A")).await.unwrap(), Linked::Yes);
    assert_eq!(owner(&story, "1").await, Some(story.person));
    for nobody in ["a", "1 ", ""] {
        assert_eq!(owner(&story, nobody).await, None, "{nobody:?}");
    }
    assert_eq!(store.link_put(new(&story, somebody("eve").id, "9")).await.unwrap(), Linked::Nobody);
    story.wait(seconds(1));
    assert_eq!(store.link_put(new(&story, story.person, "2")).await.unwrap(), Linked::Yes);
    let all = store.links_of_person(story.person).await.unwrap();
    let subjects: Vec<_> = all.iter().map(|link| &*link.subject).collect();
    assert_eq!((subjects, all[0].id), (vec!["1", "2"], hers.id));
    assert!(!store.link_remove(hers.id, bob.id).await.unwrap(), "somebody else's");
    assert!(store.link_remove(hers.id, story.person).await.unwrap());
    assert_eq!(owner(&story, "1").await, None);
    assert_eq!(store.link_put(new(&story, bob.id, "1")).await.unwrap(), Linked::Yes, "free again");
}

/// An account and its link are made together or not at all, whoever is faster.
pub async fn as_214_an_account_and_its_link_are_made_together(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let carol = somebody("carol");
    let link = new(&story, carol.id, "7");
    for _ in 0..2 {
        let made = store.person_create_linked(carol.clone(), link.clone()).await.unwrap();
        assert_eq!(made, CreatedLinked::Yes, "also when run twice");
    }
    assert_eq!(owner(&story, "7").await, Some(carol.id));
    let other = somebody("ada");
    let taken = store.person_create_linked(other.clone(), new(&story, other.id, "8")).await.unwrap();
    assert_eq!(taken, CreatedLinked::NameTaken);
    assert_eq!(owner(&story, "8").await, None, "nothing is left of it");
    let late = somebody("carol two");
    let taken = store.person_create_linked(late.clone(), new(&story, late.id, "7")).await.unwrap();
    assert_eq!(taken, CreatedLinked::LinkTaken);
    assert_eq!(store.person_read(late.id).await.unwrap(), None, "nothing is left of it");
    let story_of = story.clone();
    let made = together(|n| {
        let (store, story) = (story_of.store.clone(), story_of.clone());
        async move {
            let person = somebody(&format!("many {n}"));
            let link = new(&story, person.id, "many");
            store.person_create_linked(person, link).await.unwrap()
        }
    })
    .await;
    assert_eq!(count(&made, &CreatedLinked::Yes), 1);
    let people = store.people_list(None, 100).await.unwrap();
    assert_eq!(people.iter().filter(|person| person.name.starts_with("many")).count(), 1);
}

/// A disabled account is known for what it is, and a removed one leaves its subject free.
pub async fn as_214_as_185_links_go_with_their_person(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let bob = somebody("bob");
    assert!(store.person_create(bob.clone()).await.unwrap());
    assert_eq!(store.link_put(new(&story, bob.id, "b")).await.unwrap(), Linked::Yes);
    let end = story.now.plus(minutes(10));
    assert!(store.person_disable(bob.id, true, end, story.now).await.unwrap());
    assert!(read(&story, "b").await.is_some_and(|(_, person)| person.disabled_at.is_some()));
    assert_eq!(store.link_put(new(&story, bob.id, "c")).await.unwrap(), Linked::Nobody);
    assert!(store.person_remove(bob.id, end).await.unwrap().is_some());
    assert_eq!(owner(&story, "b").await, None);
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
    assert_eq!(store.link_put(new(&story, story.person, "b")).await.unwrap(), Linked::Yes);
}

async fn due(story: &Story) -> Vec<Link> {
    let due = DueLinks {
        issuer: ISSUER.into(),
        checked_before: story.now.minus(minutes(60)),
        now: story.now,
        limit: 100,
    };
    story.store.links_due(due).await.unwrap()
}

fn hold(story: &Story, of: &Link) -> Hold<LinkId> {
    let holder = AttemptId::new(story.now, &SystemEntropy);
    Hold { id: of.id, version: of.version, holder, until: story.now.plus(seconds(40)) }
}

async fn used(story: &Story, link: &NewLink, epoch: u32, sealed: Option<&[u8]>) {
    let sealed = sealed.map(<[u8]>::to_vec);
    story.store.link_use(LinkUse { id: link.id, epoch, sealed, now: story.now }).await.unwrap();
}

/// Of many who want to ask a provider again one does, and only about what it gave last.
pub async fn as_151_sixty_four_who_ask_again_have_one_winner(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let (link, without) = (new(&story, story.person, "1"), new(&story, story.person, "2"));
    for link in [&link, &without] {
        assert_eq!(store.link_put(link.clone()).await.unwrap(), Linked::Yes);
    }
    story.wait(minutes(61));
    assert_eq!(due(&story).await, [], "nobody gave anything to ask with");
    used(&story, &link, 0, Some(b"first")).await;
    used(&story, &without, 0, None).await;
    used(&story, &link, 0, None).await;
    assert_eq!(read(&story, "1").await.unwrap().0.sealed.as_deref(), Some(&b"first"[..]), "it stays");
    assert_eq!(due(&story).await, [], "not yet");
    story.wait(minutes(61));
    let [first] = <[Link; 1]>::try_from(due(&story).await).unwrap();
    let holds: Vec<Hold<LinkId>> = (0..64).map(|_| hold(&story, &first)).collect();
    let now = story.now;
    let taken = together(|n| {
        let (store, hold) = (store.clone(), holds[usize::from(n)]);
        async move { store.link_hold(hold, now).await.unwrap() }
    })
    .await;
    assert_eq!(count(&taken, &true), 1);
    let winner = holds[taken.iter().position(|won| *won).unwrap()];
    assert!(store.link_hold(winner, now).await.unwrap(), "run twice");
    assert_eq!(due(&story).await, [], "somebody asks");
    store.link_release(first.id, winner.holder, now.plus(minutes(5))).await.unwrap();
    assert_eq!(due(&story).await, [], "not at once again");
    story.wait(minutes(5));
    assert_eq!(due(&story).await.len(), 1);
    for _ in 0..2 {
        assert!(store.link_checked(first.id, first.version, b"second".to_vec(), story.now).await.unwrap());
    }
    assert!(!store.link_checked(first.id, first.version, b"third".to_vec(), story.now).await.unwrap());
    assert!(!store.link_hold(hold(&story, &first), story.now).await.unwrap(), "read before that");
    assert_eq!(due(&story).await, []);
    // Signed out everywhere: nothing of that sign-in is left that could be ended.
    story.wait(minutes(61));
    assert_eq!(due(&story).await.len(), 1);
    store.person_epoch_raise(story.person, story.now.plus(minutes(10)), story.now).await.unwrap();
    assert_eq!(due(&story).await, []);
}

/// A provider's word that it is over ends what was opened since the sign-in, once, and nothing of another sign-in.
pub async fn as_214_as_151_a_providers_word_ends_everything_once(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let link = new(&story, story.person, "1");
    assert_eq!(store.link_put(link.clone()).await.unwrap(), Linked::Yes);
    used(&story, &link, 0, Some(b"first")).await;
    let session = Session {
        id: SessionId::new(story.now, &SystemEntropy),
        person: story.person,
        epoch: 0,
        signed_in_at: story.now,
        expires_at: story.now.plus(minutes(600)),
        from: None,
        browser: String::new(),
        second_factor_at: None,
    };
    assert!(store.session_open(session.clone()).await.unwrap());
    let version = read(&story, "1").await.unwrap().0.version;
    story.wait(minutes(61));
    let until = story.now.plus(minutes(10));
    assert_eq!(
        store.link_end(link.id, version + 1, until, story.now).await.unwrap(),
        None,
        "of another version"
    );
    assert!(store.session_read(session.id, story.now).await.unwrap().is_some());
    let before = store.feed_after(0, 100).await.unwrap().entries.len();
    for _ in 0..2 {
        let ended = store.link_end(link.id, version, until, story.now).await.unwrap();
        assert_eq!(ended, Some(1), "also when run twice");
    }
    assert!(store.session_read(session.id, story.now).await.unwrap().is_none());
    assert_eq!(store.feed_after(0, 100).await.unwrap().entries.len(), before + 1, "one entry");
    let (now, person) = read(&story, "1").await.unwrap();
    assert_eq!((now.sealed, person.epoch), (None, 1), "nothing to ask with, and still linked");
    // Signed in again, and signed out everywhere before the provider's word came.
    used(&story, &link, 1, Some(b"second")).await;
    let version = read(&story, "1").await.unwrap().0.version;
    store.person_epoch_raise(story.person, until, story.now).await.unwrap();
    assert_eq!(store.link_end(link.id, version, until, story.now).await.unwrap(), None);
    assert_eq!(store.person_read(story.person).await.unwrap().unwrap().epoch, 2);
}
