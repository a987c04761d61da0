//! The two stages of a rotation, as stories with a time that moves.

use super::story::{START, Story, minutes, seconds, together};
use crate::{ErrorKind, GrantOpened, GrantRotated, Person, RotationWindows, Store};
use hallpass_core::id::GrantId;
use std::{sync::Arc, time::Duration};

use GrantRotated::{Missing, Repeated, Replaced, Reused, Revoked, Rotated, StoreWentBack, Withdrawn};

/// The answer was lost and the client asks again: nobody is logged out, however late it is.
pub async fn as_143_a_lost_answer_is_healed_after_a_second_five_minutes_and_eight_hours(
    store: Arc<dyn Store>,
) {
    let mut story = Story::begin(store).await;
    let id = story.open().await;
    assert_eq!(story.rotate(id, 0).await, Rotated { generation: 1 });
    story.wait(seconds(1));
    assert_eq!(story.rotate(id, 0).await, Repeated { generation: 1 }, "the same successor");
    story.wait(seconds(29));
    assert_eq!(story.rotate(id, 0).await, Repeated { generation: 1 }, "30 s after the rotation is within");
    story.wait(minutes(5));
    assert_eq!(
        story.rotate(id, 0).await,
        Replaced { generation: 2 },
        "a new one, and the unused one is dead"
    );
    story.wait(seconds(10));
    assert_eq!(story.rotate(id, 0).await, Repeated { generation: 2 }, "the new one has a window of its own");
    story.wait(minutes(8 * 60));
    assert_eq!(story.rotate(id, 0).await, Replaced { generation: 3 });
    assert_eq!(story.rotate(id, 3).await, Rotated { generation: 4 }, "and it goes on");
    let row = story.read(id).await;
    assert_eq!((row.generation, row.predecessor, row.rotated_at), (4, Some(3), story.now));
}

/// Reuse is a retired token: not a high count, not the live one, not the predecessor.
pub async fn as_140_b_09_only_a_retired_token_is_reuse(store: Arc<dyn Store>) {
    let mut story = Story::begin(store).await;
    let id = story.open().await;
    for presented in 0..20 {
        story.wait(minutes(10));
        assert_eq!(story.rotate(id, presented).await, Rotated { generation: presented + 1 });
    }
    assert_eq!(story.rotate(id, 18).await, Reused, "the grand-predecessor, even at once");
    assert_eq!(story.rotate(id, 0).await, Reused);
    // Replaced: 19 → 21, so 20 is dead although it is newer than the predecessor.
    story.wait(minutes(1));
    assert_eq!(story.rotate(id, 19).await, Replaced { generation: 21 });
    assert_eq!(story.rotate(id, 20).await, Reused, "the unused one that was replaced");
    let row = story.read(id).await;
    assert_eq!((row.generation, row.predecessor), (21, Some(19)), "a refused token changes nothing");
    assert_eq!(story.rotate(GrantId::from_bytes([9; 16]), 0).await, Missing);
}

/// The thief refreshes with a stolen token; the owner's next refresh with the same one sets the alarm off once a
/// successor was used.
pub async fn as_140_a_thief_with_the_predecessor_is_caught_at_the_next_refresh_of_the_owner(
    store: Arc<dyn Store>,
) {
    let mut story = Story::begin(store).await;
    let id = story.open().await;
    assert_eq!(story.rotate(id, 0).await, Rotated { generation: 1 }, "the owner holds 1, the thief has 0");
    story.wait(minutes(20));
    assert_eq!(story.rotate(id, 0).await, Replaced { generation: 2 }, "the thief looks like a lost answer");
    story.wait(minutes(20));
    assert_eq!(story.rotate(id, 1).await, Reused, "the owner's next refresh");
    assert!(story.revoke(id).await);
    assert_eq!(story.rotate(id, 2).await, Revoked, "the thief is out");

    let id = story.open().await;
    story.rotate(id, 0).await;
    assert_eq!(story.rotate(id, 1).await, Rotated { generation: 2 }, "the successor is used");
    assert_eq!(story.rotate(id, 0).await, Reused, "so its predecessor is retired, within 30 s too");
}

/// Strict: no second window, and with both at nothing no repetition even in the same millisecond.
pub async fn as_143_strict_windows_honour_no_predecessor(store: Arc<dyn Store>) {
    let mut story = Story::begin(store).await;
    story.windows = RotationWindows { same_successor: seconds(30), new_successor: Duration::ZERO };
    let id = story.open().await;
    story.rotate(id, 0).await;
    story.wait(seconds(30));
    assert_eq!(story.rotate(id, 0).await, Repeated { generation: 1 });
    story.wait(Duration::from_millis(1));
    assert_eq!(story.rotate(id, 0).await, Reused);

    story.windows.same_successor = Duration::ZERO;
    let id = story.open().await;
    story.rotate(id, 0).await;
    assert_eq!(story.rotate(id, 0).await, Reused);
    // Written by a node whose clock is ahead.
    story.now = story.now.minus(seconds(5));
    assert_eq!(story.rotate(id, 0).await, Reused);
    assert_eq!(story.rotate(id, 1).await, Rotated { generation: 2 }, "the live one always works");
}

/// The second window can be limited.
pub async fn as_143_the_second_window_ends(store: Arc<dyn Store>) {
    let mut story = Story::begin(store).await;
    story.windows.new_successor = minutes(60);
    let id = story.open().await;
    story.rotate(id, 0).await;
    story.wait(minutes(60));
    assert_eq!(story.rotate(id, 0).await, Replaced { generation: 2 });
    story.wait(minutes(60) + Duration::from_millis(1));
    assert_eq!(story.rotate(id, 0).await, Reused);
    assert_eq!(story.rotate(id, 2).await, Rotated { generation: 3 });
}

/// The MAC proves that we issued the newer token, so a lower row proves that commits were lost.
pub async fn a_store_that_went_back_moves_forward(store: Arc<dyn Store>) {
    let mut story = Story::begin(store).await;
    let id = story.open().await;
    assert_eq!(story.rotate(id, 5).await, StoreWentBack { generation: 6 });
    story.wait(minutes(10));
    assert_eq!(story.rotate(id, 6).await, Rotated { generation: 7 });
    assert_eq!(
        story.rotate(id, 5).await,
        Reused,
        "whoever else came by in the lost interval sets the alarm off"
    );
}

/// Generations are 32 bits and never wrap.
pub async fn generations_end_at_the_top(store: Arc<dyn Store>) {
    let mut story = Story::begin(store).await;
    let id = story.open().await;
    assert_eq!(story.rotate(id, u32::MAX - 1).await, StoreWentBack { generation: u32::MAX });
    let end = story.store.grant_rotate(story.rotation(id, u32::MAX), story.now).await;
    assert_eq!(end.unwrap_err().kind(), ErrorKind::Internal);
    assert_eq!(story.rotate(id, u32::MAX - 1).await, Repeated { generation: u32::MAX });
    story.wait(minutes(10));
    assert_eq!(story.rotate(id, u32::MAX - 1).await, Reused, "no generation is left to replace it with");
    assert_eq!(story.read(id).await.generation, u32::MAX);
}

/// After a revocation nothing refreshes, whatever is presented.
pub async fn revocation_wins_over_refresh(store: Arc<dyn Store>) {
    let mut story = Story::begin(store).await;
    let id = story.open().await;
    story.rotate(id, 0).await;
    assert!(story.revoke(id).await);
    assert!(!story.revoke(id).await, "once");
    for presented in [0, 1, 2, 77] {
        assert_eq!(story.rotate(id, presented).await, Revoked);
    }
    let row = story.read(id).await;
    assert_eq!((row.revoked_at, row.generation), (Some(story.now), 1));
    story.wait(minutes(1));
    assert!(!story.revoke(id).await);
    assert_ne!(
        story.read(id).await.revoked_at,
        Some(story.now),
        "the first revocation is the one that is kept"
    );
}

/// Refreshes and one revocation at the same time: who comes after it is refused.
pub async fn sixty_four_refreshes_race_a_revocation_and_none_succeeds_after_it(store: Arc<dyn Store>) {
    let story = Story::begin(store).await;
    for _ in 0..20 {
        let id = story.open().await;
        together(|n| {
            let story = story.clone();
            async move {
                if n == 32 {
                    assert!(story.revoke(id).await);
                    assert_eq!(story.rotate(id, 0).await, Revoked, "answered, so in force");
                } else {
                    let answer = story.rotate(id, 0).await;
                    assert!(matches!(answer, Rotated { .. } | Repeated { .. } | Revoked), "{answer:?}");
                }
            }
        })
        .await;
        assert_eq!(story.rotate(id, 1).await, Revoked);
    }
}

/// "Sign out everywhere" between the page and the redemption, and after it.
pub async fn an_epoch_raised_between_consent_and_redemption_opens_nothing(store: Arc<dyn Store>) {
    let mut story = Story::begin(store).await;
    let (pending, open) = (story.new_grant(), story.open().await);
    let until = story.now.plus(minutes(10));
    assert_eq!(story.store.person_epoch_raise(story.person, until, story.now).await.unwrap(), Some(1));
    story.wait(seconds(1));
    let answer = story.store.grant_open(pending.clone(), story.now).await.unwrap();
    assert_eq!(answer, GrantOpened::Withdrawn);
    assert_eq!(story.store.grant_read(pending.id).await.unwrap(), None);
    assert_eq!(story.rotate(open, 0).await, Withdrawn);
    assert_eq!(story.read(open).await.generation, 0);

    let mut new = story.new_grant();
    new.epoch = 1;
    assert_eq!(story.store.grant_open(new.clone(), story.now).await.unwrap(), GrantOpened::Opened);
    assert_eq!(story.rotate(new.id, 0).await, Rotated { generation: 1 });
}

/// A disabled account opens no grant and no session.
pub async fn a_disabled_person_opens_nothing(store: Arc<dyn Store>) {
    let person = Person { disabled_at: Some(START), ..super::story::somebody("eve") };
    store.setup_code_put(super::story::SETUP, START.plus(minutes(1))).await.unwrap();
    store.person_create_first(super::story::SETUP, person.clone(), START).await.unwrap();
    assert_eq!(store.person_read(person.id).await.unwrap(), Some(person.clone()));
    let windows = RotationWindows { same_successor: seconds(30), new_successor: Duration::MAX };
    let story = Story { store, person: person.id, now: START, windows };
    let answer = story.store.grant_open(story.new_grant(), START).await.unwrap();
    assert_eq!(answer, GrantOpened::Withdrawn);
    assert!(!story.store.session_open(super::people::session(&story)).await.unwrap());
}
