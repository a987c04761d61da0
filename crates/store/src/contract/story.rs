//! What the properties share: people, grants, a time that moves, and tasks that start together.

use crate::{
    FirstPerson, Grant, GrantOpened, GrantRotated, NewGrant, Person, RevocationReason, Rotation,
    RotationWindows, Store,
};
use hallpass_core::{
    entropy::SystemEntropy,
    id::{AttemptId, GrantId, PersonId},
    time::Timestamp,
};
use std::{
    future::Future,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

/// A store with one person in it, and a clock that moves when told.
#[derive(Clone)]
pub struct Story {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The first account.
    pub person: PersonId,
    /// The present.
    pub now: Timestamp,
    /// The windows of a default configuration: 30 s, then until the successor is used.
    pub windows: RotationWindows,
}

/// So many seconds.
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// So many minutes.
pub const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// Where everybody is, unless they are somewhere else.
pub(super) const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));
/// Where every story begins.
pub(super) const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
/// The digest of the setup code that makes the first account.
pub(super) const SETUP: [u8; 32] = [7; 32];

impl Story {
    /// Makes the first account.
    pub async fn begin(store: Arc<dyn Store>) -> Self {
        let person = somebody("ada");
        assert!(store.setup_code_put(SETUP, START.plus(minutes(60))).await.unwrap());
        let made = store.person_create_first(SETUP, person.clone(), START).await.unwrap();
        assert_eq!(made, FirstPerson::Created);
        let windows = RotationWindows { same_successor: seconds(30), new_successor: Duration::MAX };
        Self { store, person: person.id, now: START, windows }
    }

    /// Time passes.
    pub fn wait(&mut self, by: Duration) {
        self.now = self.now.plus(by);
    }

    /// A grant of the person that can be opened.
    pub fn new_grant(&self) -> NewGrant {
        NewGrant {
            id: GrantId::new(self.now, &SystemEntropy),
            attempt: AttemptId::new(self.now, &SystemEntropy),
            person: self.person,
            epoch: 0,
            client_id: "https://client.example/metadata".into(),
            client_name: "Client".into(),
            redirect_host: "client.example".into(),
            resource: "https://host.example/mcp".into(),
            scope: "read write".into(),
            consented_at: self.now,
            code_digest: [1; 32],
            from: Some(HERE),
            key_thumbprint: None,
            details: None,
        }
    }

    /// A grant that is open.
    pub async fn open(&self) -> GrantId {
        let grant = self.new_grant();
        let id = grant.id;
        assert_eq!(self.store.grant_open(grant, self.now).await.unwrap(), GrantOpened::Opened);
        id
    }

    /// Presents the token of a generation.
    pub async fn rotate(&self, id: GrantId, presented: u32) -> GrantRotated {
        self.store.grant_rotate(self.rotation(id, presented), self.now).await.unwrap()
    }

    /// A token of a generation, presented from [`HERE`].
    pub const fn rotation(&self, id: GrantId, presented: u32) -> Rotation {
        Rotation { id, presented, windows: self.windows, from: Some(HERE) }
    }

    /// Revokes because of reuse.
    pub async fn revoke(&self, id: GrantId) -> bool {
        let until = self.now.plus(minutes(10));
        self.store.grant_revoke(id, RevocationReason::RefreshReuse, until, self.now).await.unwrap()
    }

    /// The row.
    pub async fn read(&self, id: GrantId) -> Grant {
        self.store.grant_read(id).await.unwrap().unwrap()
    }
}

/// A person who is not kept yet.
pub(super) fn somebody(name: &str) -> Person {
    Person {
        id: PersonId::new(START, &SystemEntropy),
        name: name.into(),
        password: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".into(),
        epoch: 0,
        disabled_at: None,
        created_at: START,
    }
}

/// Runs 64 tasks that start at the same moment, and gives their answers.
pub(super) async fn together<T, F>(task: impl Fn(u8) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(tokio::sync::Barrier::new(64));
    let tasks: Vec<_> = (0..64)
        .map(|n| {
            let (barrier, task) = (barrier.clone(), task(n));
            tokio::spawn(async move {
                barrier.wait().await;
                task.await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

/// How many answers are equal to `answer`.
pub(super) fn count<T: PartialEq>(answers: &[T], answer: &T) -> usize {
    answers.iter().filter(|other| *other == answer).count()
}
