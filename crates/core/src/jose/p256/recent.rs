//! The keys that came lately, so that one that is sent along with each request (RFC 9449 §4.2) is parsed once and may get a table.
//!
//! Tables are of the keys that are used most. Were they of those that came last, of 200 clients that prove in turn each would
//! take the place of the one that comes next, and none would ever be fast; and strangers with a few keys each would take all.

use super::Key;
use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock, Mutex, PoisonError, atomic::Ordering},
};

/// Most keys that are remembered without a table, and with one: 6.2 MiB at most.
const MOST: usize = 24;
/// Keys that had to go and whose good signatures are still known: 64 KiB.
const GONE: usize = 4096;
/// Each so many times that a key asks for the table of another, whatever was counted is halved: what was used a lot once and is
/// not any more makes room. Between two of them lie 8,192 good signatures of keys without a table at least.
const ASKED: u32 = 256;

static RECENT: LazyLock<Mutex<Recent>> = LazyLock::new(Mutex::default);

/// The key with these coordinates, remembered or made. What cannot be made is not remembered.
pub(super) fn find_or(x: &[u8; 32], y: &[u8; 32], make: impl FnOnce() -> Option<Key>) -> Option<Arc<Key>> {
    if let Some(key) = lock(|recent| recent.find(x, y)) {
        return Some(key);
    }
    // Outside the lock, because it takes a while. Two at once make two, and the second is forgotten.
    let key = Arc::new(make()?);
    Some(lock(|recent| recent.remember(key)))
}

/// Whether a key without a table may have one: where there is room, or in place of one that is used less than half as much.
pub(super) fn admits(key: &Key) -> bool {
    lock(|recent| recent.admits(key))
}

fn lock<T>(with: impl FnOnce(&mut Recent) -> T) -> T {
    with(&mut RECENT.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Both lists are in the order of the last use.
#[derive(Default)]
struct Recent {
    plain: Vec<Arc<Key>>,
    prepared: Vec<Arc<Key>>,
    /// By a hash that nobody outside can work out: a stranger's keys cannot be made for the places of somebody else's. Empty
    /// until a key has to go.
    gone: Vec<Gone>,
    hasher: RandomState,
    asked: u32,
}

/// A key that had to go.
#[derive(Clone, Copy, Default)]
struct Gone {
    hash: u64,
    good: u32,
}

impl Recent {
    fn find(&mut self, x: &[u8; 32], y: &[u8; 32]) -> Option<Arc<Key>> {
        let key = [&mut self.prepared, &mut self.plain].into_iter().find_map(|keys| {
            let at = keys.iter().position(|key| key.x == *x && key.y == *y)?;
            Some(keys.remove(at))
        })?;
        self.put(Arc::clone(&key));
        Some(key)
    }

    /// Takes a key that was just made, or gives the same one that is there by now.
    fn remember(&mut self, made: Arc<Key>) -> Arc<Key> {
        if let Some(key) = self.find(&made.x, &made.y) {
            return key;
        }
        if let (hash, Some(gone)) = self.place(&made)
            && gone.hash == hash
        {
            made.good.store(gone.good, Ordering::Relaxed);
        }
        self.put(Arc::clone(&made));
        made
    }

    /// In place of another where there are [`MOST`]: of those without a table the one that came longest ago, for each is made
    /// again soon enough; of those with one the one that is used least.
    fn put(&mut self, key: Arc<Key>) {
        if key.is_prepared() {
            if self.prepared.len() >= MOST {
                let displaced = self.prepared.remove(least(&self.prepared));
                self.keep_count_of(&displaced);
            }
            self.prepared.push(key);
            return;
        }
        if self.plain.len() >= MOST {
            let displaced = self.plain.remove(0);
            if displaced.is_prepared() {
                // It got its table after it came.
                self.put(displaced);
            } else {
                self.keep_count_of(&displaced);
            }
        }
        self.plain.push(key);
    }

    fn admits(&mut self, key: &Key) -> bool {
        let tables = self.plain.iter().filter(|key| key.is_prepared()).chain(&self.prepared);
        let counts: Vec<u32> = tables.map(|key| count(key)).collect();
        let Some(least) = counts.iter().min().filter(|_| counts.len() >= MOST) else { return true };
        // By a margin: keys that are used alike would take turns, and a table costs more than a turn saves.
        let admitted = count(key) / 2 > *least;
        self.asked = (self.asked + 1) % ASKED;
        if self.asked == 0 {
            let keys = self.plain.iter().chain(&self.prepared);
            keys.for_each(|key| key.good.store(count(key) / 2, Ordering::Relaxed));
            self.gone.iter_mut().for_each(|gone| gone.good /= 2);
        }
        admitted
    }

    /// A key takes the place of one that was good less often. One that was good more often loses a little to each that comes by.
    fn keep_count_of(&mut self, key: &Key) {
        let good = count(key);
        let (hash, Some(gone)) = self.place(key) else { return };
        if gone.hash == hash || gone.good < good {
            *gone = Gone { hash, good };
        } else if good > 0 {
            gone.good -= 1;
        }
    }

    /// The hash of a key, and of its two places its own, else the one that is worth less: few have to share one.
    fn place(&mut self, key: &Key) -> (u64, Option<&mut Gone>) {
        self.gone.resize(GONE, Gone::default());
        let hash = self.hasher.hash_one((key.x, key.y));
        let [one, other] =
            [hash, hash >> 32].map(|hash| usize::try_from(hash & 0xFFFF_FFFF).unwrap_or(0) % GONE);
        let worth = |at: usize| match self.gone.get(at) {
            Some(gone) if gone.hash != hash => gone.good.saturating_add(1),
            Some(_) | None => 0,
        };
        let at = if worth(other) < worth(one) { other } else { one };
        (hash, self.gone.get_mut(at))
    }
}

/// Where the one is that is used least; of several, the one that came longest ago.
fn least(keys: &[Arc<Key>]) -> usize {
    let counts = keys.iter().enumerate().map(|(at, key)| (count(key), at));
    counts.min().map_or(0, |(_, at)| at)
}

fn count(key: &Key) -> u32 {
    key.good.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests;
