//! People, their browsers, and what keeps guessing slow.

use super::{
    clients::document,
    story::{HERE, SETUP, START, Story, count, minutes, seconds, somebody, together},
};
use crate::{
    Attempt, Block, BlockKind, EndedBefore, FirstPerson, GrantOpened, GrantRotated, Revoked, Session, Store,
    Swept,
};
use hallpass_core::{
    entropy::SystemEntropy,
    id::{PersonId, SessionId},
};
use std::{sync::Arc, time::Duration};

/// A session of the person that can be opened.
pub(super) fn session(story: &Story) -> Session {
    Session {
        id: SessionId::new(story.now, &SystemEntropy),
        person: story.person,
        epoch: 0,
        signed_in_at: story.now,
        expires_at: story.now.plus(minutes(60)),
        from: Some(HERE),
        browser: "Firefox on Linux".into(),
        second_factor_at: None,
    }
}

/// Nobody becomes the owner of a server that has one.
pub async fn set_up_is_closed_for_ever_by_the_first_account(store: Arc<dyn Store>) {
    assert!(!store.person_exists().await.unwrap());
    let story = Story::begin(store.clone()).await;
    assert!(store.person_exists().await.unwrap());
    assert!(!store.setup_code_put([8; 32], START.plus(minutes(60))).await.unwrap());
    for digest in [SETUP, [8; 32], [0; 32]] {
        let answer = store.person_create_first(digest, somebody("mallory"), START).await.unwrap();
        assert_eq!(answer, FirstPerson::Closed);
    }
    let kept = store.person_by_name("ada".into()).await.unwrap().unwrap();
    assert_eq!(kept.id, story.person);
    assert_eq!(store.person_by_name("mallory".into()).await.unwrap(), None);
}

/// A code is good once, for its time, until the next one is made.
pub async fn a_setup_code_that_is_wrong_late_or_replaced_makes_nobody(store: Arc<dyn Store>) {
    let end = START.plus(minutes(60));
    let create = |digest, now| store.person_create_first(digest, somebody("ada"), now);
    assert_eq!(create([1; 32], START).await.unwrap(), FirstPerson::WrongCode, "none was ever made");
    assert!(store.setup_code_put([1; 32], end).await.unwrap());
    assert_eq!(create([2; 32], START).await.unwrap(), FirstPerson::WrongCode);
    assert_eq!(create([1; 32], end).await.unwrap(), FirstPerson::WrongCode, "expired");
    assert!(store.setup_code_put([2; 32], end).await.unwrap());
    assert_eq!(create([1; 32], START).await.unwrap(), FirstPerson::WrongCode, "replaced");
    assert!(!store.person_exists().await.unwrap());
    assert_eq!(create([2; 32], START).await.unwrap(), FirstPerson::Created);
}

/// A link to choose a password works once, for its time, until the next one, and ends what was signed in.
pub async fn an_invitation_is_good_once_and_signs_out_everywhere(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let (until, end) = (story.now.plus(minutes(60)), story.now.plus(minutes(60)));
    let grant = story.open().await;
    let session = session(&story);
    assert!(store.session_open(session.clone()).await.unwrap());
    let redeem = |digest, hash: &str, now| store.invitation_redeem(digest, hash.to_owned(), until, now);
    assert_eq!(redeem([1; 32], "a", story.now).await.unwrap(), None, "none was ever made");
    assert!(store.invitation_put(story.person, [1; 32], end).await.unwrap());
    assert!(store.invitation_put(story.person, [2; 32], end).await.unwrap());
    assert!(!store.invitation_put(somebody("nobody").id, [3; 32], end).await.unwrap());
    assert_eq!(redeem([1; 32], "a", story.now).await.unwrap(), None, "replaced");
    assert_eq!(redeem([2; 32], "a", end).await.unwrap(), None, "expired");
    assert_eq!(store.invitation_read([2; 32], story.now).await.unwrap().unwrap().id, story.person);
    let person = redeem([2; 32], "new", story.now).await.unwrap().unwrap();
    assert_eq!((person.password.as_str(), person.epoch), ("new", 1));
    assert_eq!(store.invitation_read([2; 32], story.now).await.unwrap(), None);
    assert_eq!(redeem([2; 32], "thief", story.now).await.unwrap(), None);
    assert_eq!(redeem([2; 32], "new", story.now).await.unwrap().unwrap().epoch, 1, "run twice");
    assert_eq!(store.session_read(session.id, story.now).await.unwrap(), None);
    let rotated = store.grant_rotate(story.rotation(grant, 0), story.now).await.unwrap();
    assert_eq!(rotated, GrantRotated::Withdrawn);
    let feed = store.feed_after(0, 10).await.unwrap();
    assert_eq!(feed.entries.last().unwrap().what, Revoked::Person { person: story.person, epoch: 1 });
}

/// After a restore: what was used or replaced since is taken away, what was made since is not, and nobody else's is.
pub async fn t_21_a_one_time_code_is_taken_away_unless_it_is_the_one_to_keep(store: Arc<dyn Store>) {
    let end = START.plus(minutes(60));
    assert!(store.setup_code_put([7; 32], end).await.unwrap());
    assert!(!store.setup_code_end(Some([8; 32]), START).await.unwrap(), "another");
    assert!(!store.setup_code_end(Some([7; 32]), end).await.unwrap(), "it is over by itself");
    assert!(store.setup_code_end(Some([7; 32]), START).await.unwrap());
    assert!(!store.setup_code_end(None, START).await.unwrap(), "it is gone");
    let made = store.person_create_first([7; 32], somebody("mallory"), START).await.unwrap();
    assert_eq!(made, FirstPerson::WrongCode);
    assert!(store.setup_code_put([7; 32], end).await.unwrap());
    assert!(store.setup_code_end(None, START).await.unwrap());
    let story = Story::begin(store.clone()).await;
    let (eve, end) = (somebody("eve"), story.now.plus(minutes(60)));
    assert!(store.person_create(eve.clone()).await.unwrap());
    assert!(store.invitation_put(eve.id, [3; 32], end).await.unwrap());
    assert!(!store.invitation_end(story.person, None, story.now).await.unwrap(), "there is none");
    assert!(store.invitation_put(story.person, [1; 32], end).await.unwrap());
    assert!(!store.invitation_end(story.person, Some([1; 32]), story.now).await.unwrap(), "the one to keep");
    assert!(!store.invitation_end(story.person, None, end).await.unwrap(), "it is over by itself");
    assert!(store.invitation_read([1; 32], story.now).await.unwrap().is_some());
    assert!(store.invitation_end(story.person, Some([2; 32]), story.now).await.unwrap());
    assert!(!store.invitation_end(story.person, Some([2; 32]), story.now).await.unwrap(), "run twice");
    let thief = store.invitation_redeem([1; 32], "x".into(), end, story.now).await.unwrap();
    assert_eq!(thief, None);
    assert!(store.invitation_put(story.person, [1; 32], end).await.unwrap());
    assert!(store.invitation_redeem([1; 32], "new".into(), end, story.now).await.unwrap().is_some());
    assert!(!store.invitation_end(story.person, None, story.now).await.unwrap(), "it was used");
    assert_eq!(store.invitation_read([3; 32], story.now).await.unwrap().unwrap().id, eve.id);
}

/// However many press the button.
pub async fn sixty_four_uses_of_an_invitation_have_one_winner(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let until = story.now.plus(minutes(60));
    assert!(store.invitation_put(story.person, [1; 32], until).await.unwrap());
    let answers =
        together(|n| {
            let (store, now) = (store.clone(), story.now);
            async move {
                store.invitation_redeem([1; 32], format!("hash {n}"), until, now).await.unwrap().is_some()
            }
        })
        .await;
    assert_eq!(count(&answers, &true), 1);
}

/// Names are taken once; a disabled account does nothing, and what it gave does not come back with it.
pub async fn an_account_is_made_once_and_disabled_for_good(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let (eve, until) = (somebody("eve"), story.now.plus(minutes(60)));
    assert!(store.person_create(eve.clone()).await.unwrap());
    assert!(store.person_create(eve.clone()).await.unwrap(), "run twice");
    assert!(!store.person_create(somebody("eve")).await.unwrap(), "taken");
    let names: Vec<_> =
        store.people_list(None, 10).await.unwrap().into_iter().map(|person| person.name).collect();
    assert_eq!(names.len(), 2);
    let grant = story.open().await;
    assert_eq!(store.grants_list(None, 10).await.unwrap().len(), 1);
    assert!(store.invitation_put(story.person, [1; 32], until).await.unwrap());
    assert!(store.person_disable(story.person, true, until, story.now).await.unwrap());
    assert!(store.person_disable(story.person, true, until, story.now).await.unwrap(), "run twice");
    assert!(!store.session_open(session(&story)).await.unwrap());
    assert_eq!(store.invitation_read([1; 32], story.now).await.unwrap(), None);
    assert_eq!(store.invitation_redeem([1; 32], "x".into(), until, story.now).await.unwrap(), None);
    assert!(store.person_disable(story.person, false, until, story.now).await.unwrap());
    let rotated = store.grant_rotate(story.rotation(grant, 0), story.now).await.unwrap();
    assert_eq!(rotated, GrantRotated::Withdrawn);
    assert!(store.grants_list(None, 10).await.unwrap().is_empty());
    assert!(!store.person_disable(somebody("nobody").id, true, until, story.now).await.unwrap());
    assert_eq!(store.feed_after(0, 10).await.unwrap().counter, 1);
}

/// A removed account is gone with all it gave; its name is free for somebody else, its id for nobody.
pub async fn as_185_as_227_a_removed_account_leaves_nothing_that_works(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let until = story.now.plus(minutes(60));
    let (grant, code, browser) = (story.open().await, story.new_grant(), session(&story));
    assert!(store.session_open(browser.clone()).await.unwrap());
    assert!(store.invitation_put(story.person, [1; 32], until).await.unwrap());
    assert_eq!(store.person_remove(story.person, until).await.unwrap(), Some(1));
    assert_eq!(store.person_remove(story.person, until).await.unwrap(), Some(1), "run twice");
    assert_eq!(store.person_remove(somebody("nobody").id, until).await.unwrap(), None);
    let feed = store.feed_after(0, 10).await.unwrap();
    assert_eq!(feed.entries.len(), 1);
    assert_eq!(feed.entries[0].what, Revoked::Person { person: story.person, epoch: 1 });
    assert_eq!(store.person_read(story.person).await.unwrap(), None);
    assert_eq!(store.session_read(browser.id, story.now).await.unwrap(), None);
    assert_eq!(store.invitation_redeem([1; 32], "x".into(), until, story.now).await.unwrap(), None);
    let rotated = store.grant_rotate(story.rotation(grant, 0), story.now).await.unwrap();
    assert_eq!(rotated, GrantRotated::Withdrawn);
    assert!(!store.grant_live(grant, 0).await.unwrap());
    assert_eq!(store.grant_open(code, story.now).await.unwrap(), GrantOpened::Withdrawn);
    let again = somebody("ada");
    assert!(store.person_create(again.clone()).await.unwrap(), "the name is free");
    assert!(store.grants_of_person(again.id, None, 10).await.unwrap().is_empty());
    let rotated = store.grant_rotate(story.rotation(grant, 0), story.now).await.unwrap();
    assert_eq!(rotated, GrantRotated::Withdrawn, "the account of the same name is another one");
}

/// However much somebody or something gave, ending it is one entry that every node reads.
pub async fn as_227_ending_everything_of_a_person_or_a_client_is_one_entry(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let until = story.now.plus(minutes(60));
    let mut grants = Vec::new();
    for _ in 0..10 {
        let opened = together(|_| {
            let story = story.clone();
            async move { story.open().await }
        });
        grants.extend(opened.await);
    }
    assert_eq!(grants.len(), 640);
    let client = story.new_grant().client_id;
    let block =
        Block { kind: BlockKind::Client, key: client.clone(), created_at: story.now, note: String::new() };
    assert!(store.block_put(block, until).await.unwrap());
    assert_eq!(store.person_epoch_raise(story.person, until, story.now).await.unwrap(), Some(1));
    let what: Vec<_> =
        store.feed_after(0, 10).await.unwrap().entries.into_iter().map(|entry| entry.what).collect();
    assert_eq!(what, [Revoked::Client(client), Revoked::Person { person: story.person, epoch: 1 }]);
    for grant in grants {
        assert!(!store.grant_live(grant, 0).await.unwrap());
        assert_eq!(story.rotate(grant, 0).await, GrantRotated::Withdrawn);
    }
}

/// Sessions end with their time, by hand, and all at once with the epoch.
pub async fn sessions_of_an_old_epoch_are_void(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let (one, two) = (session(&story), session(&story));
    assert!(store.session_open(one.clone()).await.unwrap());
    assert!(store.session_open(two.clone()).await.unwrap());
    let (kept, person) = store.session_read(one.id, story.now).await.unwrap().unwrap();
    assert_eq!((kept, person.id), (one.clone(), story.person));
    store.session_close(one.id).await.unwrap();
    assert_eq!(store.session_read(one.id, story.now).await.unwrap(), None);
    assert_eq!(store.session_read(two.id, two.expires_at).await.unwrap(), None, "expired");

    let raised = store.person_epoch_raise(story.person, story.now, story.now).await.unwrap();
    assert_eq!(raised, Some(1));
    assert_eq!(store.session_read(two.id, story.now).await.unwrap(), None);
    story.wait(seconds(1));
    let late = session(&story);
    assert!(!store.session_open(late.clone()).await.unwrap(), "signed in before, opened after");
    assert!(store.session_open(Session { epoch: 1, ..late }).await.unwrap());
    let nobody = PersonId::from_bytes([3; 16]);
    assert_eq!(store.person_epoch_raise(nobody, story.now, story.now).await.unwrap(), None);
    assert_eq!(store.feed_after(0, 10).await.unwrap().counter, 1, "nobody takes no ticket");
}

/// So many tries in a window; then wait, or know the password.
pub async fn attempts_are_counted_in_a_window(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let attempt = |story: &Story| {
        let (store, person, now) = (story.store.clone(), story.person, story.now);
        async move { store.person_attempt(person, 3, minutes(15), now).await.unwrap() }
    };
    let end = story.now.plus(minutes(15));
    for _ in 0..3 {
        assert_eq!(attempt(&story).await, Attempt::Allowed);
        story.wait(seconds(10));
    }
    assert_eq!(attempt(&story).await, Attempt::Refused { until: end });
    story.wait(minutes(14));
    assert_eq!(attempt(&story).await, Attempt::Refused { until: end }, "a refused try does not move the end");
    story.now = end;
    assert_eq!(attempt(&story).await, Attempt::Allowed, "a new window");
    assert_eq!(attempt(&story).await, Attempt::Allowed);
    store.person_attempts_clear(story.person).await.unwrap();
    for _ in 0..3 {
        assert_eq!(attempt(&story).await, Attempt::Allowed, "forgotten after a success");
    }
    assert!(matches!(attempt(&story).await, Attempt::Refused { .. }));
    // The clock was a day ahead when the window began: it does not lock the person out for a day.
    story.now = story.now.minus(minutes(24 * 60));
    assert_eq!(attempt(&story).await, Attempt::Allowed);
    let nobody =
        store.person_attempt(PersonId::from_bytes([3; 16]), 3, minutes(15), story.now).await.unwrap();
    assert_eq!(nobody, Attempt::Refused { until: story.now });
}

/// Guessing in parallel gives no more guesses.
pub async fn sixty_four_guesses_at_once_are_counted_one_by_one(store: Arc<dyn Store>) {
    let story = Story::begin(store).await;
    let answers = together(|_| {
        let story = story.clone();
        async move { story.store.person_attempt(story.person, 5, minutes(15), story.now).await.unwrap() }
    })
    .await;
    assert_eq!(count(&answers, &Attempt::Allowed), 5);
}

/// Only what can never matter again goes, in slices.
pub async fn the_sweep_removes_what_is_over_and_nothing_else(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let (old, young, live) = (story.open().await, story.open().await, story.open().await);
    for _ in 0..5 {
        let session = session(&story);
        assert!(store.session_open(session).await.unwrap());
    }
    assert!(story.revoke(old).await);
    story.wait(minutes(120));
    assert!(story.revoke(young).await);
    story.wait(minutes(1));
    let kept = session(&story);
    assert!(store.session_open(kept.clone()).await.unwrap());
    let never = story.now.minus(minutes(600));
    let ended = EndedBefore { revoked: story.now.minus(minutes(60)), used: never, given: never };
    assert_eq!(sweep_all(&story, ended).await, 5 + 1 + 1, "sessions, the old entry, the old grant");
    assert_eq!(store.grant_read(old).await.unwrap(), None);
    assert!(
        store.grant_read(young).await.unwrap().is_some(),
        "a young grant still has to be conflicted with"
    );
    assert!(store.grant_read(live).await.unwrap().is_some());
    assert!(store.session_read(kept.id, story.now).await.unwrap().is_some());
    let page = store.feed_after(0, 10).await.unwrap();
    assert_eq!((page.counter, page.entries.len()), (2, 1), "the counter stays");
    assert_eq!(sweep_all(&story, ended).await, 0);
}

/// Grants that nobody uses, and those that were given too long ago, go too; a refresh keeps the one and not the other.
pub async fn as_220_the_sweep_removes_grants_that_ended_by_themselves(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let (idle, old) = (story.open().await, story.open().await);
    story.wait(minutes(100));
    story.rotate(old, 0).await;
    let young = story.open().await;
    story.wait(minutes(10));
    let never = story.now.minus(minutes(600));
    let unused = EndedBefore { revoked: never, used: story.now.minus(minutes(60)), given: never };
    assert_eq!(sweep_all(&story, unused).await, 1);
    assert_eq!(store.grant_read(idle).await.unwrap(), None);
    let outlived = EndedBefore { revoked: never, used: never, given: story.now.minus(minutes(60)) };
    assert_eq!(sweep_all(&story, outlived).await, 1);
    assert_eq!(store.grant_read(old).await.unwrap(), None);
    assert!(store.grant_read(young).await.unwrap().is_some());
}

/// A copy of a document goes when no grant needs it and no host said anything about it for as long as a grant may live.
pub async fn as_220_the_sweep_forgets_documents_that_no_grant_needs(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let needed = story.new_grant().client_id;
    let (unused, asked) = ("https://unused.example/client", "https://asked.example/client");
    for url in [&*needed, unused, asked] {
        store.document_put(document(url, b"{}", story.now)).await.unwrap();
    }
    story.wait(minutes(60));
    // Whoever is asked about a client makes its copy young; a grant needs the copy, however old.
    store.document_put(document(asked, b"{}", story.now)).await.unwrap();
    let grant = story.open().await;
    let never = story.now.minus(minutes(600));
    let nothing = EndedBefore { revoked: never, used: never, given: never };
    let before = EndedBefore { given: story.now.minus(minutes(10)), ..nothing };
    let there = async |url: &str| store.document_read(url.to_owned()).await.unwrap().is_some();
    assert_eq!(sweep_all(&story, nothing).await, 0);
    assert_eq!(sweep_all(&story, before).await, 1);
    assert!(there(&needed).await && there(asked).await && !there(unused).await);
    // A revoked grant needs it as long as it is there: somebody may come with its token.
    story.revoke(grant).await;
    assert_eq!(sweep_all(&story, before).await, 0);
    story.wait(minutes(30));
    let all = EndedBefore { given: story.now, ..nothing };
    // The entry of the revocation, the copy that was asked for, the grant; and then the copy that it needed.
    assert_eq!(sweep_all(&story, all).await, 3);
    assert!(there(&needed).await && !there(asked).await);
    assert_eq!(sweep_all(&story, all).await, 1);
    assert!(!there(&needed).await);
}

/// What introspection asks: one statement knows the grant, its revocation and the person.
pub async fn as_207_a_grant_is_live_until_it_is_revoked_or_withdrawn(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let (revoked, withdrawn) = (story.open().await, story.open().await);
    let live = |id, epoch| store.grant_live(id, epoch);
    assert!(live(revoked, 0).await.unwrap() && live(withdrawn, 0).await.unwrap());
    assert!(!live(revoked, 1).await.unwrap(), "another epoch than the grant's");
    assert!(!live(story.new_grant().id, 0).await.unwrap(), "nobody's");
    assert!(story.revoke(revoked).await);
    assert!(!live(revoked, 0).await.unwrap() && live(withdrawn, 0).await.unwrap());
    store.person_epoch_raise(story.person, story.now, story.now).await.unwrap();
    assert!(!live(withdrawn, 0).await.unwrap());
    store.person_disable(story.person, true, story.now, story.now).await.unwrap();
    assert!(!live(withdrawn, 1).await.unwrap());
}

async fn sweep_all(story: &Story, grants_before: EndedBefore) -> u64 {
    let mut rows = 0;
    for _ in 0..1000 {
        let Swept { rows: removed, more } = story.store.sweep(grants_before, story.now, 2).await.unwrap();
        assert!(removed <= 2, "a slice");
        rows += removed;
        if !more {
            return rows;
        }
    }
    panic!("the sweep does not end");
}

/// After `close` everything is refused at once, and closing again is the same.
pub async fn a_closed_store_takes_no_more(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    store.close().await.unwrap();
    store.close().await.unwrap();
    let refused = store.grant_open(story.new_grant(), story.now).await.unwrap_err();
    assert_eq!(refused.kind(), crate::ErrorKind::Busy);
    let refused = store.person_exists().await.unwrap_err();
    assert_eq!(refused.kind(), crate::ErrorKind::Busy);
    // And nothing waits for ever.
    tokio::time::timeout(Duration::from_secs(5), store.keys_read()).await.unwrap().unwrap_err();
}
