//! User codes that people typed: one device and one person meet, and nobody else ever gets in between.

use super::story::{HERE, Story, count, minutes, seconds, somebody, together};
use crate::{Claim, ClaimDecision, ClaimDevice, ClaimLimits, ClaimOpened, ClaimState, NewClaim, Store};
use hallpass_core::{
    entropy::SystemEntropy,
    grant::UserCode,
    id::{GrantId, PersonId, SessionId},
};
use std::sync::Arc;

const LIMITS: ClaimLimits = ClaimLimits { most: 5, window: minutes(1), lifetime: minutes(10) };

fn code(text: &str) -> UserCode {
    UserCode::parse(text).unwrap()
}

/// A browser in which somebody is signed in.
struct Screen {
    session: SessionId,
    person: PersonId,
}

impl Screen {
    fn new(story: &Story, person: PersonId) -> Self {
        Self { session: SessionId::new(story.now, &SystemEntropy), person }
    }

    async fn types(&self, story: &Story, text: &str) -> ClaimOpened {
        let claim = NewClaim { user_code: code(text), session: self.session, person: self.person };
        story.store.claim_open(claim, LIMITS, story.now).await.unwrap()
    }

    async fn says(&self, story: &Story, text: &str, device: GrantId, allow: bool) -> bool {
        let decision = ClaimDecision {
            user_code: code(text),
            session: self.session,
            device,
            allow,
            epoch: 7,
            stays: true,
            claimed_by: story.now.minus(seconds(6)),
        };
        story.store.claim_decide(decision, story.now).await.unwrap()
    }
}

fn device(n: u8) -> ClaimDevice {
    ClaimDevice {
        id: GrantId::from_bytes([n; 16]),
        client_id: "client".into(),
        resource: "https://host.example/mcp".into(),
        scope: "read".into(),
        from: Some(HERE),
    }
}

async fn polls(story: &Story, text: &str, n: u8) -> Option<Claim> {
    story.store.claim_attach(code(text), device(n), story.now.minus(minutes(1))).await.unwrap()
}

async fn state(story: &Story, text: &str) -> ClaimState {
    story.store.claim_read(code(text)).await.unwrap().unwrap().state
}

/// Typed, polled, allowed: each step leaves what the next one needs, and each may be run twice.
pub async fn as_178_a_typed_code_meets_its_device_and_waits_for_a_word(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let screen = Screen::new(&story, story.person);
    assert_eq!(store.claim_read(code("WDJB-MJHT")).await.unwrap(), None);
    assert_eq!(polls(&story, "WDJB-MJHT", 1).await, None, "a poll makes no row");
    for _ in 0..2 {
        assert_eq!(screen.types(&story, "WDJB-MJHT").await, ClaimOpened::Opened);
    }
    let typed_at = story.now;
    for _ in 0..2 {
        let claim = polls(&story, "WDJB-MJHT", 1).await.unwrap();
        assert_eq!((claim.state, claim.device), (ClaimState::Open, Some(device(1))));
    }
    assert!(
        !screen.says(&story, "WDJB-MJHT", device(1).id, true).await,
        "too early for a second device to show"
    );
    story.wait(seconds(6));
    let other = Screen::new(&story, story.person);
    assert!(!other.says(&story, "WDJB-MJHT", device(1).id, true).await, "another browser");
    assert!(!screen.says(&story, "WDJB-MJHT", device(2).id, true).await, "another device");
    for _ in 0..2 {
        assert!(screen.says(&story, "WDJB-MJHT", device(1).id, true).await);
    }
    assert!(!screen.says(&story, "WDJB-MJHT", device(1).id, false).await, "decided");
    let claim = Claim {
        user_code: code("WDJB-MJHT"),
        session: screen.session,
        person: story.person,
        claimed_at: typed_at,
        state: ClaimState::Allowed,
        device: Some(device(1)),
        decided_at: Some(story.now),
        epoch: 7,
        stays: true,
    };
    assert_eq!(store.claim_read(code("WDJB-MJHT")).await.unwrap(), Some(claim));
    polls(&story, "WDJB-MJHT", 2).await;
    assert_eq!(state(&story, "WDJB-MJHT").await, ClaimState::Allowed, "a late device changes nothing");
}

/// Which of two is meant cannot be known.
pub async fn as_178_two_devices_or_two_people_spoil_a_code(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let screen = Screen::new(&story, story.person);
    assert_eq!(screen.types(&story, "WDJB-MJHT").await, ClaimOpened::Opened);
    polls(&story, "WDJB-MJHT", 1).await;
    assert_eq!(polls(&story, "WDJB-MJHT", 2).await.unwrap().state, ClaimState::Spoiled);
    story.wait(seconds(10));
    for n in [1, 2] {
        assert!(!screen.says(&story, "WDJB-MJHT", device(n).id, true).await, "{n}");
    }
    assert_eq!(
        screen.types(&story, "WDJB-MJHT").await,
        ClaimOpened::Opened,
        "its own browser sees what became of it"
    );
    assert_eq!(state(&story, "WDJB-MJHT").await, ClaimState::Spoiled);

    let eve = somebody("eve");
    assert!(store.person_create(eve.clone()).await.unwrap());
    let hers = Screen::new(&story, eve.id);
    assert_eq!(screen.types(&story, "BBBB-BBBB").await, ClaimOpened::Opened);
    polls(&story, "BBBB-BBBB", 3).await;
    assert_eq!(hers.types(&story, "BBBB-BBBB").await, ClaimOpened::Taken);
    assert_eq!(state(&story, "BBBB-BBBB").await, ClaimState::Spoiled);
    story.wait(seconds(10));
    assert!(!screen.says(&story, "BBBB-BBBB", device(3).id, true).await);
    // A browser has one open code.
    assert_eq!(screen.types(&story, "CCCC-CCCC").await, ClaimOpened::Opened);
    assert_eq!(screen.types(&story, "DDDD-DDDD").await, ClaimOpened::Opened);
    assert_eq!(state(&story, "CCCC-CCCC").await, ClaimState::Spoiled);
    assert_eq!(state(&story, "DDDD-DDDD").await, ClaimState::Open);
    // What is older than any device makes room, and a device that asked later than the typing does not count.
    story.wait(minutes(10));
    assert_eq!(polls(&story, "DDDD-DDDD", 4).await.unwrap().device, None);
    assert_eq!(hers.types(&story, "DDDD-DDDD").await, ClaimOpened::Opened);
    let claim = store.claim_read(code("DDDD-DDDD")).await.unwrap().unwrap();
    assert_eq!((claim.person, claim.state, claim.device), (eve.id, ClaimState::Open, None));
}

/// However many nodes there are: one is attached, all others see that it is spoiled, and nobody can be allowed.
pub async fn as_178_sixty_four_devices_at_one_code_get_nothing(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let screen = Screen::new(&story, story.person);
    screen.types(&story, "WDJB-MJHT").await;
    let (at, since) = (store.clone(), story.now);
    let answers = together(move |n| {
        let store = at.clone();
        async move { store.claim_attach(code("WDJB-MJHT"), device(n), since).await.unwrap().unwrap().state }
    })
    .await;
    assert!(count(&answers, &ClaimState::Open) <= 1, "{answers:?}");
    assert_eq!(state(&story, "WDJB-MJHT").await, ClaimState::Spoiled);
    story.wait(seconds(10));
    for n in 0..64 {
        assert!(!screen.says(&story, "WDJB-MJHT", device(n).id, true).await);
    }
}

/// Guesses are counted on the person's row, one by one.
pub async fn t_29_as_178_sixty_four_codes_at_once_are_counted_one_by_one(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let (at, person, now) = (store.clone(), story.person, story.now);
    let answers = together(move |n| {
        let store = at.clone();
        let claim = NewClaim {
            user_code: UserCode::from_number(i64::from(n)).unwrap(),
            session: SessionId::from_bytes([n; 16]),
            person,
        };
        async move { store.claim_open(claim, LIMITS, now).await.unwrap() }
    })
    .await;
    assert_eq!(count(&answers, &ClaimOpened::Opened), 5);
    let until = story.now.plus(minutes(1));
    assert_eq!(count(&answers, &ClaimOpened::TooMany { until }), 59);
    let screen = Screen::new(&story, story.person);
    story.wait(seconds(59));
    assert_eq!(screen.types(&story, "WDJB-MJHT").await, ClaimOpened::TooMany { until });
    let eve = somebody("eve");
    assert!(store.person_create(eve.clone()).await.unwrap());
    let hers = Screen::new(&story, eve.id);
    assert_eq!(hers.types(&story, "WDJB-MJHT").await, ClaimOpened::Opened, "another person");
    story.wait(seconds(1));
    assert_eq!(screen.types(&story, "XXXX-XXXX").await, ClaimOpened::Opened);
    store.person_disable(eve.id, true, until, story.now).await.unwrap();
    story.wait(minutes(2));
    assert!(matches!(hers.types(&story, "ZZZZ-ZZZZ").await, ClaimOpened::TooMany { .. }), "disabled");
}

/// A typed code leaves nothing.
pub async fn as_220_the_sweep_forgets_typed_codes(store: Arc<dyn Store>) {
    let mut story = Story::begin(store.clone()).await;
    let screen = Screen::new(&story, story.person);
    screen.types(&story, "WDJB-MJHT").await;
    let ended = crate::EndedBefore { revoked: story.now, used: story.now, given: story.now };
    story.wait(minutes(59));
    let sweep = |now| {
        let store = store.clone();
        async move {
            while store.sweep(ended, now, 100).await.unwrap().more {}
            store.claim_read(code("WDJB-MJHT")).await.unwrap().is_some()
        }
    };
    assert!(sweep(story.now).await);
    story.wait(minutes(2));
    assert!(!sweep(story.now).await);
}
