//! What was revoked, in memory: read by every request, written by whoever follows a feed.

use arc_swap::ArcSwap;
use hallpass_core::{id::GrantId, jwt::GrantReference, time::Timestamp};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// How long an entry is kept after its `until`: tokens are accepted a little after their `exp`, and the clocks of
/// two machines differ.
const KEPT_LONGER: Duration = Duration::from_mins(2);

/// What was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// One grant.
    Grant(GrantId),
    /// Everything of a person that names an epoch below this one.
    Person {
        /// The `sub` of the person's tokens.
        subject: Box<str>,
        /// The first epoch that is still good.
        epoch: u32,
    },
    /// Everything of a client, until [`Revoked::ClientAgain`].
    Client(Box<str>),
    /// A client that is good again.
    ClientAgain(Box<str>),
}

/// One entry of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// What.
    pub what: Revoked,
    /// After this no token that it concerns is alive.
    pub until: Timestamp,
}

/// Everything that is revoked right now. Reads take no lock; writes copy what is there, which is little, because an
/// entry lives no longer than the tokens that it concerns.
///
/// Not ready before the first full load: until then a revoked token would pass, so every request is refused.
#[derive(Debug, Default)]
pub struct Revocations {
    current: ArcSwap<Entries>,
    writing: Mutex<()>,
}

#[derive(Clone, Debug, Default)]
struct Entries {
    ready: bool,
    cursor: i64,
    grants: HashMap<GrantId, Timestamp>,
    people: HashMap<Box<str>, (u32, Timestamp)>,
    clients: HashMap<Box<str>, Timestamp>,
}

impl Revocations {
    /// Empty and not ready: the first [`Self::replace_all`] makes it ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Empty and ready, for an authorization server without a feed: tokens live until they expire.
    pub fn without_feed() -> Self {
        let entries = Entries { ready: true, ..Entries::default() };
        Self { current: ArcSwap::from_pointee(entries), writing: Mutex::new(()) }
    }

    /// Whether everything was loaded once.
    pub fn is_ready(&self) -> bool {
        self.current.load().ready
    }

    /// Position in the feed: the next page starts after it.
    pub fn cursor(&self) -> i64 {
        self.current.load().cursor
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        let entries = self.current.load();
        entries.grants.len() + entries.people.len() + entries.clients.len()
    }

    /// Whether nothing is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the next page of the feed. `cursor` is the position after it, `now` drops what no token needs any longer.
    pub fn apply(&self, page: impl IntoIterator<Item = Revocation>, cursor: i64, now: Timestamp) {
        let _one_writer = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = page.into_iter().peekable();
        let current = self.current.load();
        if page.peek().is_none() && current.cursor == cursor && !current.has_old(now) {
            return;
        }
        let mut entries = Entries::clone(&current);
        entries.cursor = cursor;
        entries.add(page);
        entries.drop_old(now);
        self.current.store(Arc::new(entries));
    }

    /// Adds what no feed says: decided on this node alone. The position in the feed stays.
    pub fn add(&self, entries: impl IntoIterator<Item = Revocation>) {
        let _one_writer = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = Entries::clone(&self.current.load());
        next.add(entries);
        self.current.store(Arc::new(next));
    }

    /// Replaces everything by a full load, and is ready from then on. Also the way back after the store went back.
    pub fn replace_all(&self, all: impl IntoIterator<Item = Revocation>, cursor: i64) {
        let _one_writer = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut entries = Entries { ready: true, cursor, ..Entries::default() };
        entries.add(all);
        self.current.store(Arc::new(entries));
    }

    /// Whether a token of these was revoked. Tokens without a grant die by their client alone.
    pub fn revoked(&self, subject: &str, client_id: &str, grant: Option<&GrantReference>) -> bool {
        let entries = self.current.load();
        let by_grant = grant.is_some_and(|reference| {
            (!entries.grants.is_empty() && entries.grants.contains_key(&reference.grant))
                || (!entries.people.is_empty()
                    && entries.people.get(subject).is_some_and(|(epoch, _)| reference.epoch < *epoch))
        });
        by_grant || entries.has_client(client_id)
    }

    /// Whether everything of this client was revoked.
    pub fn client_revoked(&self, client_id: &str) -> bool {
        self.current.load().has_client(client_id)
    }
}

impl Entries {
    fn has_client(&self, client_id: &str) -> bool {
        !self.clients.is_empty() && self.clients.contains_key(client_id)
    }

    fn add(&mut self, entries: impl IntoIterator<Item = Revocation>) {
        for Revocation { what, until } in entries {
            let until = until.plus(KEPT_LONGER);
            match what {
                Revoked::Grant(grant) => {
                    let kept = self.grants.entry(grant).or_insert(until);
                    *kept = until.max(*kept);
                }
                Revoked::Person { subject, epoch } => {
                    let kept = self.people.entry(subject).or_insert((epoch, until));
                    *kept = (epoch.max(kept.0), until.max(kept.1));
                }
                Revoked::Client(client) => {
                    let kept = self.clients.entry(client).or_insert(until);
                    *kept = until.max(*kept);
                }
                Revoked::ClientAgain(client) => drop(self.clients.remove(&client)),
            }
        }
    }

    fn has_old(&self, now: Timestamp) -> bool {
        self.grants.values().chain(self.clients.values()).any(|until| *until < now)
            || self.people.values().any(|(_, until)| *until < now)
    }

    fn drop_old(&mut self, now: Timestamp) {
        self.grants.retain(|_, until| *until >= now);
        self.people.retain(|_, (_, until)| *until >= now);
        self.clients.retain(|_, until| *until >= now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn reference(fill: u8, epoch: u32) -> GrantReference {
        GrantReference { grant: GrantId::from_bytes([fill; 16]), generation: 0, epoch, salt: [0; 6] }
    }

    fn entry(what: Revoked) -> Revocation {
        Revocation { what, until: NOW.plus(Duration::from_mins(5)) }
    }

    #[test]
    fn rs_064_not_ready_before_the_first_full_load() {
        let revocations = Revocations::new();
        assert!(!revocations.is_ready());
        revocations.apply([], 7, NOW);
        assert!(!revocations.is_ready(), "a page is not everything");
        revocations.replace_all([], 7);
        assert!(revocations.is_ready() && revocations.cursor() == 7);
    }

    #[test]
    fn rs_032_a_grant_a_person_or_a_client() {
        let revocations = Revocations::without_feed();
        let person = Revoked::Person { subject: "ann".into(), epoch: 3 };
        let page = [Revoked::Grant(GrantId::from_bytes([1; 16])), person, Revoked::Client("bad".into())];
        revocations.apply(page.map(entry), 3, NOW);
        for (subject, client, grant, revoked) in [
            ("bob", "good", Some(reference(1, 9)), true),
            ("bob", "good", Some(reference(2, 0)), false),
            ("ann", "good", Some(reference(2, 2)), true),
            ("ann", "good", Some(reference(2, 3)), false),
            ("bob", "bad", Some(reference(2, 0)), true),
            ("bad", "bad", None, true),
            ("ann", "good", None, false),
        ] {
            assert_eq!(revocations.revoked(subject, client, grant.as_ref()), revoked, "{subject} {client}");
        }
    }

    #[test]
    fn as_136_a_client_that_is_good_again() {
        let revocations = Revocations::without_feed();
        revocations.apply([entry(Revoked::Client("c".into()))], 1, NOW);
        assert!(revocations.revoked("s", "c", None));
        revocations.apply([entry(Revoked::ClientAgain("c".into()))], 2, NOW);
        assert!(!revocations.revoked("s", "c", None));
        revocations.replace_all(
            [Revoked::Client("c".into()), Revoked::ClientAgain("c".into()), Revoked::Client("d".into())]
                .map(entry),
            3,
        );
        assert!(!revocations.revoked("s", "c", None) && revocations.revoked("s", "d", None));
    }

    #[test]
    fn an_older_epoch_does_not_replace_a_newer_one() {
        let revocations = Revocations::without_feed();
        for epoch in [5, 3] {
            revocations.apply([entry(Revoked::Person { subject: "ann".into(), epoch })], 1, NOW);
        }
        assert!(revocations.revoked("ann", "c", Some(&reference(1, 4))));
    }

    #[test]
    fn entries_outlive_every_token_that_they_concern_and_then_go() {
        let revocations = Revocations::without_feed();
        revocations.apply([entry(Revoked::Grant(GrantId::from_bytes([1; 16])))], 1, NOW);
        revocations.apply([], 1, NOW.plus(Duration::from_mins(6)));
        assert!(
            revocations.revoked("ann", "c", Some(&reference(1, 0))),
            "a token may be accepted after its exp"
        );
        revocations.apply([], 1, NOW.plus(Duration::from_secs(421)));
        assert!(revocations.is_empty());
    }

    #[test]
    fn a_store_that_went_back_is_loaded_anew() {
        let revocations = Revocations::without_feed();
        revocations.apply([entry(Revoked::Client("a".into()))], 9, NOW);
        revocations.replace_all([entry(Revoked::Client("b".into()))], 4);
        assert_eq!(revocations.cursor(), 4);
        assert!(revocations.revoked("s", "b", None) && !revocations.revoked("s", "a", None));
    }
}
