use super::*;
use crate::jose::p256::USES;
use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use std::collections::BTreeSet;

/// A client with a key, which proves.
struct Prover {
    x: [u8; 32],
    y: [u8; 32],
    signature: Vec<u8>,
}

const MESSAGE: &[u8] = b"message";

impl Prover {
    fn new() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref();
        let signature = pair.sign(&SystemRandom::new(), MESSAGE).unwrap().as_ref().to_vec();
        Self { x: point[1..33].try_into().unwrap(), y: point[33..].try_into().unwrap(), signature }
    }

    fn many(count: usize) -> Vec<Self> {
        (0..count).map(|_| Self::new()).collect()
    }

    /// Its key comes.
    fn comes(&self, recent: &mut Recent) -> Arc<Key> {
        recent
            .find(&self.x, &self.y)
            .unwrap_or_else(|| recent.remember(Arc::new(Key::parse(&self.x, &self.y).unwrap())))
    }

    /// Its key comes, and its signature is found good: what [`Key::verifies`] does then.
    fn proves(&self, recent: &mut Recent) {
        let key = self.comes(recent);
        if key.asks_for_a_table() && recent.admits(&key) {
            key.prepare(MESSAGE, &self.signature);
            assert!(key.is_prepared());
        }
    }

    fn proves_often(&self, times: u32, recent: &mut Recent) {
        for _ in 0..times {
            self.proves(recent);
        }
    }

    fn is_in(&self, keys: &[Arc<Key>]) -> bool {
        keys.iter().any(|key| key.x == self.x && key.y == self.y)
    }
}

fn tables(recent: &Recent) -> BTreeSet<[u8; 32]> {
    assert!(recent.prepared.len() <= MOST && recent.plain.len() <= MOST);
    recent.prepared.iter().map(|key| key.x).collect()
}

#[test]
fn without_room_the_oldest_goes_and_the_others_stay() {
    let mut recent = Recent::default();
    let provers = Prover::many(MOST + 1);
    let keys: Vec<_> = provers[..MOST].iter().map(|prover| prover.comes(&mut recent)).collect();
    // The first comes again, so that the second is the oldest.
    assert!(Arc::ptr_eq(&provers[0].comes(&mut recent), &keys[0]));
    provers[MOST].comes(&mut recent);
    assert!(!provers[1].is_in(&recent.plain) && recent.plain.len() == MOST);
    for (at, prover) in provers[..MOST].iter().enumerate().filter(|(at, _)| *at != 1) {
        assert!(Arc::ptr_eq(&prover.comes(&mut recent), &keys[at]), "{at}");
    }
}

#[test]
fn of_many_keys_in_turn_those_that_are_used_most_get_tables_and_keep_them() {
    let (mut recent, provers) = (Recent::default(), Prover::many(200));
    // The busy ones come last in each round, so that nothing is theirs for having come first.
    let rounds = |count: u32, busy: usize, recent: &mut Recent| {
        for _ in 0..count {
            for prover in &provers {
                prover.proves(recent);
            }
            for prover in &provers[200 - busy..] {
                prover.proves_often(4, recent);
            }
        }
    };
    rounds(4 * USES, 0, &mut recent);
    let first = tables(&recent);
    assert_eq!(first.len(), MOST, "all places are taken though each key was displaced in between");
    rounds(6 * USES, 0, &mut recent);
    assert_eq!(tables(&recent), first, "keys that are used alike do not take turns");
    rounds(8 * USES, 8, &mut recent);
    for prover in &provers[192..] {
        assert!(prover.is_in(&recent.prepared), "one that is used five times as much has no table");
    }
    let then = tables(&recent);
    assert!(then.intersection(&first).count() >= MOST - 8, "the others stayed");
}

#[test]
fn strangers_take_no_table_away_for_less_than_twice_the_use() {
    let (mut recent, clients) = (Recent::default(), Prover::many(MOST));
    for client in &clients {
        client.proves_often(4 * USES, &mut recent);
    }
    let theirs = tables(&recent);
    assert_eq!(theirs.len(), MOST);
    // Each with a key of its own once, and some with a key for a while.
    for _ in 0..2_000 {
        Prover::new().proves(&mut recent);
    }
    for stranger in Prover::many(MOST) {
        stranger.proves_often(7 * USES, &mut recent);
    }
    assert_eq!(tables(&recent), theirs);
    // One that was used a lot and is not there any more makes room, and not only when it is overtaken.
    let (gone, successor) = (&clients[0], Prover::new());
    gone.proves_often(1_000 * USES, &mut recent);
    for _ in 0..800 * USES {
        successor.proves(&mut recent);
        for client in &clients[1..] {
            client.proves(&mut recent);
        }
    }
    successor.comes(&mut recent);
    assert!(successor.is_in(&recent.prepared) && !gone.is_in(&recent.prepared));
    assert_eq!(tables(&recent).intersection(&theirs).count(), MOST - 1);
}

#[test]
fn what_was_never_good_counts_for_nothing_and_takes_nothing_away() {
    let mut recent = Recent::default();
    let prover = Prover::new();
    prover.proves_often(USES - 1, &mut recent);
    for _ in 0..5_000 / MOST {
        for stranger in Prover::many(MOST) {
            stranger.comes(&mut recent);
        }
    }
    assert!(!prover.is_in(&recent.plain));
    prover.proves(&mut recent);
    prover.comes(&mut recent);
    assert!(prover.is_in(&recent.prepared), "its good signatures were forgotten");
}
