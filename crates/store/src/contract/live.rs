//! The refresh of every day, in one write: each of its terms is a condition, and who breaks one changes nothing.

use super::story::{HERE, START, Story, minutes, seconds, together};
use crate::{Grant, GrantOpened, GrantRotated, LiveRotation, SpentAssertion, Store};
use hallpass_core::{
    entropy::SystemEntropy,
    id::{AttemptId, GrantId},
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9));

/// The live token of what [`Story::open`] opens, as its client presents it.
fn usual(id: GrantId, presented: u32) -> LiveRotation {
    LiveRotation {
        id,
        presented,
        from: Some(ELSEWHERE),
        client_id: "https://client.example/metadata".into(),
        resource: Some("https://host.example/mcp".into()),
        key: None,
        used_since: START,
        given_since: START,
    }
}

async fn tried(story: &Story, rotation: LiveRotation) -> Option<Grant> {
    story.store.grant_rotate_live(rotation, story.now).await.unwrap()
}

/// Run a second time because its commit was unknown, it does nothing, and the long way answers what the first time did.
pub async fn as_139_the_live_token_moves_on_in_one_write_that_may_be_run_twice(store: Arc<dyn Store>) {
    let mut story = Story::begin(store).await;
    let id = story.open().await;
    story.wait(minutes(10));
    let before = story.read(id).await;
    let after = tried(&story, usual(id, 0)).await.unwrap();
    let (generation, predecessor, rotated_at, used_from) = (1, Some(0), story.now, Some(ELSEWHERE));
    assert_eq!(after, Grant { generation, predecessor, rotated_at, used_from, ..before });
    assert_eq!(after, story.read(id).await, "what is answered is what is kept");
    assert_eq!(tried(&story, usual(id, 0)).await, None);
    assert_eq!(story.read(id).await, after, "and changes nothing");
    assert_eq!(story.rotate(id, 0).await, GrantRotated::Repeated { generation: 1 });
    let anywhere = LiveRotation { resource: None, ..usual(id, 1) };
    assert_eq!(tried(&story, anywhere).await.map(|grant| grant.generation), Some(2));
    assert_eq!(
        story.rotate(id, 2).await,
        GrantRotated::Rotated { generation: 3 },
        "both ways go on from each other"
    );
}

/// A term left out would let another client, an idle grant or a revoked one through.
pub async fn as_137_as_146_as_147_each_term_of_a_live_rotation_is_a_condition(store: Arc<dyn Store>) {
    let mut story = Story::begin(store).await;
    let id = story.open().await;
    story.wait(minutes(10));
    let kept = tried(&story, usual(id, 0)).await.unwrap();
    let live = || usual(id, 1);
    for (what, broken) in [
        ("the predecessor", usual(id, 0)),
        ("newer than the row", usual(id, 2)),
        ("no such grant", usual(GrantId::from_bytes([9; 16]), 1)),
        ("another client", LiveRotation { client_id: "https://client.example/metadat".into(), ..live() }),
        ("another resource", LiveRotation { resource: Some("https://host.example/".into()), ..live() }),
        ("idle", LiveRotation { used_since: story.now.plus(std::time::Duration::from_millis(1)), ..live() }),
        ("too old", LiveRotation { given_since: START.plus(std::time::Duration::from_millis(1)), ..live() }),
    ] {
        assert_eq!(tried(&story, broken).await, None, "{what}");
        assert_eq!(story.read(id).await, kept, "{what}");
    }
    let to_the_millisecond = LiveRotation { used_since: story.now, given_since: START, ..live() };
    assert!(tried(&story, to_the_millisecond).await.is_some(), "the limits themselves are within");

    let proven = story.new_grant();
    let until = START.plus(minutes(60));
    let spends = SpentAssertion { digest: [1; 32], attempt: AttemptId::new(START, &SystemEntropy), until };
    let opened = story.store.grant_open_spending(proven.clone(), spends, story.now).await.unwrap();
    assert_eq!(opened, GrantOpened::Opened);
    assert_eq!(tried(&story, usual(proven.id, 0)).await, None, "opened with a key, presented without one");

    let key = Some([7; 32]);
    let bound = crate::NewGrant { key_thumbprint: key, ..story.new_grant() };
    assert_eq!(story.store.grant_open(bound.clone(), story.now).await.unwrap(), GrantOpened::Opened);
    for other in [None, Some([8; 32])] {
        let stolen = LiveRotation { key: other, ..usual(bound.id, 0) };
        assert_eq!(tried(&story, stolen).await, None, "bound to another key, as_150");
    }
    let with_key = |id, presented| LiveRotation { key, ..usual(id, presented) };
    let kept = tried(&story, with_key(bound.id, 0)).await.unwrap();
    assert_eq!((kept.key_thumbprint, story.read(bound.id).await.key_thumbprint), (key, key));
    let unbound = story.open().await;
    let kept = tried(&story, with_key(unbound, 0)).await.unwrap();
    assert_eq!(kept.key_thumbprint, None, "a key binds no grant that was opened without");

    let details = Some(r#"[{"type":"mcp_tool","tool":"pay"}]"#.to_owned());
    let limited = crate::NewGrant { details: details.clone(), ..story.new_grant() };
    assert_eq!(story.store.grant_open(limited.clone(), story.now).await.unwrap(), GrantOpened::Opened);
    let kept = tried(&story, usual(limited.id, 0)).await.unwrap();
    assert_eq!((kept.details, story.read(limited.id).await.details), (details.clone(), details), "t_24");

    let revoked = story.open().await;
    story.revoke(revoked).await;
    assert_eq!(tried(&story, usual(revoked, 0)).await, None, "revoked");
    story.store.person_epoch_raise(story.person, until, story.now).await.unwrap();
    assert_eq!(tried(&story, usual(id, 2)).await, None, "the person signed out everywhere");
    assert_eq!(story.rotate(id, 2).await, GrantRotated::Withdrawn);
    let again = crate::NewGrant { epoch: 1, ..story.new_grant() };
    story.store.grant_open(again.clone(), story.now).await.unwrap();
    story.store.person_disable(story.person, true, until, story.now).await.unwrap();
    assert_eq!(tried(&story, usual(again.id, 0)).await, None, "the account is disabled");
}

/// All that lose find the token to be the predecessor, and get the successor of the one that won.
pub async fn t_20_as_141_sixty_four_live_rotations_with_one_token_have_one_winner(store: Arc<dyn Store>) {
    let mut story = Story::begin(store).await;
    let id = story.open().await;
    for presented in 0..200 {
        story.wait(seconds(1));
        let answers = together(|n| {
            let story = story.clone();
            async move {
                // Some come the long way.
                if n % 8 == 7 {
                    matches!(story.rotate(id, presented).await, GrantRotated::Rotated { .. })
                } else {
                    tried(&story, usual(id, presented)).await.is_some()
                }
            }
        })
        .await;
        assert_eq!(answers.iter().filter(|won| **won).count(), 1);
        assert_eq!(story.rotate(id, presented).await, GrantRotated::Repeated { generation: presented + 1 });
    }
    assert_eq!(story.read(id).await.used_from, Some(HERE));
}
