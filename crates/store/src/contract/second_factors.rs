//! Second factors: no session without one that there is, each code once, wrong ones counted.

use super::story::{HERE, Story, count, minutes, seconds, somebody, together};
use crate::{Attempt, EndedBefore, FactorTry, FactorUse, NewSecondFactor, SecondFactor, Session, Store};
use hallpass_core::{
    entropy::SystemEntropy,
    id::{AttemptId, FactorId, PersonId, SessionId},
};
use std::sync::Arc;

const STEP: i64 = 60_000_000;
const CODES: [[u8; 32]; 2] = [[1; 32], [2; 32]];

fn new(story: &Story, person: PersonId) -> NewSecondFactor {
    NewSecondFactor {
        person,
        epoch: 0,
        id: FactorId::new(story.now, &SystemEntropy),
        sealed: vec![1, 0, 7],
        turned_on_at: story.now,
        step: STEP,
        replaces: None,
        codes: CODES.to_vec(),
        session: None,
    }
}

fn session(story: &Story, passed: bool) -> Session {
    Session {
        id: SessionId::new(story.now, &SystemEntropy),
        person: story.person,
        epoch: 0,
        signed_in_at: story.now,
        expires_at: story.now.plus(minutes(600)),
        from: Some(HERE),
        browser: String::new(),
        second_factor_at: passed.then_some(story.now),
    }
}

async fn read(story: &Story) -> Option<SecondFactor> {
    story.store.second_factor_read(story.person).await.unwrap()
}

async fn is_there(story: &Story, session: &Session) -> bool {
    let found = story.store.session_read(session.id, story.now).await.unwrap();
    if let Some((found, _)) = &found {
        assert_eq!(found.second_factor_at.is_some(), session.second_factor_at.is_some());
    }
    found.is_some()
}

fn code(story: &Story, of: &NewSecondFactor, step: i64) -> FactorUse {
    FactorUse {
        person: of.person,
        id: of.id,
        step,
        latest: STEP + 1_000,
        attempt: AttemptId::new(story.now, &SystemEntropy),
        known: false,
    }
}

/// While a person has a second factor there is no session that did not pass it, opened before or after, and none is opened.
pub async fn as_097_t_17_no_session_that_has_not_passed_the_second_factor(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let (mut this, other) = (session(&story, false), session(&story, false));
    for one in [&this, &other] {
        assert!(store.session_open(one.clone()).await.unwrap());
    }
    let factor = NewSecondFactor { session: Some(this.id), ..new(&story, story.person) };
    for _ in 0..2 {
        assert!(store.second_factor_put(factor.clone()).await.unwrap(), "also when run twice");
    }
    this.second_factor_at = Some(story.now);
    assert!(is_there(&story, &this).await, "it passed the factor when that was turned on");
    assert!(!is_there(&story, &other).await);
    let listed = store.sessions_of_person(story.person, story.now, 9).await.unwrap();
    assert_eq!(listed.iter().map(|one| one.id).collect::<Vec<_>>(), [this.id], "and is not listed");
    story.wait(seconds(1));
    let (without, with) = (session(&story, false), session(&story, true));
    for _ in 0..2 {
        assert!(!store.session_open(without.clone()).await.unwrap());
        assert!(store.session_open(with.clone()).await.unwrap());
    }
    assert!(!is_there(&story, &without).await);
    assert!(is_there(&story, &with).await);
    let bob = somebody("bob");
    assert!(store.person_create(bob.clone()).await.unwrap());
    let of_bob = Session { person: bob.id, ..session(&story, false) };
    assert!(store.session_open(of_bob).await.unwrap(), "nobody else is asked for it");
    assert!(!store.second_factor_remove(bob.id, factor.id).await.unwrap(), "somebody else's");
    assert!(!store.second_factor_remove(story.person, new(&story, bob.id).id).await.unwrap(), "another one");
    assert!(store.second_factor_remove(story.person, factor.id).await.unwrap());
    assert_eq!(read(&story).await, None);
    assert!(store.session_open(session(&story, false)).await.unwrap());
}

/// Whoever signs in with the first factor alone in the moment in which the second is turned on has no session after it.
pub async fn as_097_t_17_sign_ins_race_a_second_factor_and_none_is_left_without_it(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let sessions: Vec<Session> = (0..64).map(|_| session(&story, false)).collect();
    let (at, factor, opened) = (store.clone(), new(&story, story.person), sessions.clone());
    together(move |n| {
        let (store, factor, session) = (at.clone(), factor.clone(), opened[usize::from(n)].clone());
        async move {
            if n % 64 == 31 {
                assert!(store.second_factor_put(factor).await.unwrap());
            } else {
                store.session_open(session).await.unwrap();
            }
        }
    })
    .await;
    for session in &sessions {
        assert!(!is_there(&story, session).await);
    }
}

/// One of a person: of many who turn one on one does, another takes its place only where that is said, and all goes with the person.
pub async fn as_097_a_person_has_one_second_factor(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let of_story = story.clone();
    let put = together(|_| {
        let (store, factor) = (of_story.store.clone(), new(&of_story, of_story.person));
        async move { store.second_factor_put(factor).await.unwrap() }
    })
    .await;
    assert_eq!(count(&put, &true), 1);
    let first = read(&story).await.unwrap();
    assert_eq!((first.codes_left, &*first.sealed), (2, &[1, 0, 7][..]));
    let wrong = NewSecondFactor { replaces: Some(new(&story, story.person).id), ..new(&story, story.person) };
    assert!(!store.second_factor_put(wrong).await.unwrap());
    let next = NewSecondFactor {
        replaces: Some(first.id),
        sealed: vec![1, 1, 8],
        codes: vec![[9; 32]],
        ..new(&story, story.person)
    };
    for _ in 0..2 {
        assert!(store.second_factor_put(next.clone()).await.unwrap(), "also when run twice");
    }
    let found = read(&story).await.unwrap();
    assert_eq!((found.id, found.codes_left), (next.id, 1), "the codes of the one before are gone");
    let late = NewSecondFactor { epoch: 1, replaces: Some(next.id), ..new(&story, story.person) };
    assert!(!store.second_factor_put(late).await.unwrap(), "signed out everywhere meanwhile");
    assert!(!store.second_factor_put(new(&story, somebody("eve").id)).await.unwrap(), "nobody");
    for _ in 0..2 {
        assert!(store.recovery_codes_put(story.person, next.id, CODES.to_vec()).await.unwrap());
    }
    assert!(!store.recovery_codes_put(story.person, first.id, Vec::new()).await.unwrap(), "another one");
    assert_eq!(read(&story).await.unwrap().codes_left, 2);
    let end = story.now.plus(minutes(10));
    assert!(store.person_remove(story.person, end).await.unwrap().is_some());
    assert_eq!(read(&story).await, None);
    let attempt = AttemptId::new(story.now, &SystemEntropy);
    let used = store.recovery_code_use(story.person, CODES[0], attempt, story.now).await.unwrap();
    assert!(!used, "its recovery codes too");
    let ended = EndedBefore { revoked: story.now, used: story.now, given: story.now };
    let swept = store.sweep(ended, story.now, 100).await.unwrap();
    assert_eq!(swept.rows, 0, "they went in the transaction that removed the person");
}

/// A code of a step counts once, whoever brings it, and none of a step before.
pub async fn as_097_sixty_four_uses_of_a_code_have_one_winner(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let factor = new(&story, story.person);
    assert!(store.second_factor_put(factor.clone()).await.unwrap());
    assert!(!store.second_factor_use(code(&story, &factor, STEP)).await.unwrap(), "used to turn it on");
    assert!(!store.second_factor_use(code(&story, &factor, STEP - 1)).await.unwrap());
    let uses: Vec<_> = (0..64).map(|_| code(&story, &factor, STEP + 1)).collect();
    let (at, tries) = (store.clone(), uses.clone());
    let used = together(move |n| {
        let (store, code) = (at.clone(), tries[usize::from(n)]);
        async move { store.second_factor_use(code).await.unwrap() }
    })
    .await;
    assert_eq!(count(&used, &true), 1);
    let winner = uses[used.iter().position(|won| *won).unwrap()];
    assert!(store.second_factor_use(winner).await.unwrap(), "run twice");
    let other = FactorUse { id: FactorId::new(story.now, &SystemEntropy), ..code(&story, &factor, STEP + 9) };
    assert!(!store.second_factor_use(other).await.unwrap(), "of another factor");
    assert!(
        store.second_factor_use(code(&story, &factor, STEP + 5_000)).await.unwrap(),
        "the clock was wrong"
    );
    assert!(store.second_factor_use(code(&story, &factor, STEP + 2)).await.unwrap(), "and locks nobody out");
    assert!(!store.second_factor_use(code(&story, &factor, STEP + 2)).await.unwrap());
}

/// A recovery code is good once, whoever brings it.
pub async fn as_097_sixty_four_uses_of_a_recovery_code_have_one_winner(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let factor = new(&story, story.person);
    assert!(store.second_factor_put(factor.clone()).await.unwrap());
    let attempts: Vec<_> = (0..64).map(|_| AttemptId::new(story.now, &SystemEntropy)).collect();
    let (at, tries, person, now) = (store.clone(), attempts.clone(), story.person, story.now);
    let used = together(move |n| {
        let (store, attempt) = (at.clone(), tries[usize::from(n)]);
        async move { store.recovery_code_use(person, CODES[0], attempt, now).await.unwrap() }
    })
    .await;
    assert_eq!(count(&used, &true), 1);
    let winner = attempts[used.iter().position(|won| *won).unwrap()];
    assert!(store.recovery_code_use(person, CODES[0], winner, now).await.unwrap(), "run twice");
    assert_eq!(read(&story).await.unwrap().codes_left, 1);
    for nobody in [[3; 32], [0; 32]] {
        assert!(!store.recovery_code_use(person, nobody, attempts[0], now).await.unwrap());
    }
    assert!(!store.recovery_code_use(somebody("eve").id, CODES[1], attempts[0], now).await.unwrap());
    assert!(store.second_factor_remove(person, factor.id).await.unwrap());
    assert!(
        !store.recovery_code_use(person, CODES[1], attempts[0], now).await.unwrap(),
        "gone with the factor"
    );
}

/// Wrong codes are counted one by one, strangers' apart from those of the person's browsers; right ones are not, and forgive none.
pub async fn as_097_t_29_wrong_codes_are_counted_in_a_window(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let factor = new(&story, story.person);
    assert!(store.second_factor_put(factor.clone()).await.unwrap());
    let one = FactorTry { person: story.person, known: false, limit: 10, window: minutes(60) };
    let (at, now) = (store.clone(), story.now);
    let tried = together(move |_| {
        let store = at.clone();
        async move { store.second_factor_try(one, now).await.unwrap() }
    })
    .await;
    assert_eq!(count(&tried, &Attempt::Allowed), 10);
    let until = story.now.plus(minutes(60));
    assert_eq!(count(&tried, &Attempt::Refused { until }), 54);
    let known = FactorTry { known: true, ..one };
    let tried =
        async |of: FactorTry, now| store.second_factor_try(of, now).await.unwrap() == Attempt::Allowed;
    assert!(tried(known, story.now).await, "strangers do not lock out their browsers");
    // A right code gives back its own try alone.
    assert!(store.second_factor_use(code(&story, &factor, STEP + 1)).await.unwrap());
    assert!(tried(one, story.now).await);
    assert!(!tried(one, story.now).await);
    let right = FactorUse { known: true, ..code(&story, &factor, STEP + 2) };
    assert!(store.second_factor_use(right).await.unwrap());
    for _ in 0..10 {
        assert!(tried(known, story.now).await);
    }
    assert!(!tried(known, story.now).await);
    story.wait(minutes(60));
    assert!(tried(one, story.now).await && tried(known, story.now).await);
    let back = story.now.minus(minutes(300));
    assert!(tried(one, back).await, "a window of a clock that was wrong is over");
    let nobody = FactorTry { person: somebody("eve").id, ..one };
    assert!(!tried(nobody, story.now).await);
}

/// Those that are sealed under a master key are found by its number and sealed anew once, never over what came since.
pub async fn as_187_second_factors_are_found_by_the_key_that_they_are_sealed_under(store: Arc<dyn Store>) {
    let story = Story::begin(store.clone()).await;
    let mut people = Vec::new();
    for at in 0..7_u8 {
        let person = somebody(&format!("p{at}"));
        assert!(store.person_create(person.clone()).await.unwrap());
        let factor = NewSecondFactor { sealed: vec![1, u8::from(at > 4), at], ..new(&story, person.id) };
        assert!(store.second_factor_put(factor).await.unwrap());
        if at <= 4 {
            people.push(person.id);
        }
    }
    people.sort();
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = store.second_factors_under(0, after, 2).await.unwrap();
        assert!(page.len() <= 2 && page.iter().all(|row| row.sealed[1] == 0 && row.codes_left == 2));
        let Some(last) = page.last() else { break };
        after = Some(last.person);
        found.extend(page.iter().map(|row| row.person));
    }
    assert_eq!(found, people);
    let before = store.second_factor_read(people[0]).await.unwrap().unwrap().sealed;
    let again =
        |before: &[u8], after: &[u8]| store.second_factor_reseal(people[0], before.to_vec(), after.to_vec());
    for _ in 0..2 {
        assert!(again(&before, &[1, 1, 9]).await.unwrap(), "also when run twice");
    }
    assert!(!again(&before, &[1, 1, 8]).await.unwrap(), "something else is there");
    assert_eq!(store.second_factors_under(0, None, 10).await.unwrap().len(), 4);
}
