//! The keys that came lately, so that one that is sent along with each request (RFC 9449 §4.2) is parsed once and may get a table.

use super::Key;
use std::sync::{Arc, Mutex, PoisonError};

/// Most keys that are remembered without a table, and with one: 6.2 MiB at most. A flood of keys displaces only those without.
const MOST: usize = 24;

static RECENT: Mutex<Recent> = Mutex::new(Recent { plain: Vec::new(), prepared: Vec::new() });

/// Each in the order of their last use.
struct Recent {
    plain: Vec<Arc<Key>>,
    prepared: Vec<Arc<Key>>,
}

/// The key with these coordinates, remembered or made. What cannot be made is not remembered.
pub(super) fn find_or(x: &[u8; 32], y: &[u8; 32], make: impl FnOnce() -> Option<Key>) -> Option<Arc<Key>> {
    let is_it = |key: &Arc<Key>| key.x == *x && key.y == *y;
    if let Some(key) = lock(|recent| recent.take(&is_it).inspect(|key| recent.put(Arc::clone(key)))) {
        return Some(key);
    }
    // Outside the lock, because it takes a while. Two at once make two, and the second is forgotten.
    let key = Arc::new(make()?);
    lock(|recent| {
        let key = recent.take(&is_it).unwrap_or(key);
        recent.put(Arc::clone(&key));
        Some(key)
    })
}

fn lock<T>(with: impl FnOnce(&mut Recent) -> T) -> T {
    with(&mut RECENT.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Recent {
    fn take(&mut self, is_it: &impl Fn(&Arc<Key>) -> bool) -> Option<Arc<Key>> {
        [&mut self.prepared, &mut self.plain].into_iter().find_map(|keys| {
            let at = keys.iter().position(is_it)?;
            Some(keys.remove(at))
        })
    }

    fn put(&mut self, key: Arc<Key>) {
        let keys = if key.is_prepared() { &mut self.prepared } else { &mut self.plain };
        if keys.len() >= MOST {
            keys.remove(0);
        }
        keys.push(key);
    }
}
