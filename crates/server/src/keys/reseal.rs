//! Signing keys follow the master keys: each row is sealed anew under the newest one, so that the older can go.

use super::{
    context, open,
    schedule::{self, Stage},
};
use crate::{app::App, audit::Event};
use hallpass_core::{
    entropy::Entropy,
    seal::{KeyRing, Purpose},
    time::Timestamp,
};
use hallpass_store::{Store, StoreError, StoredKey};

/// Seals under the newest master key what is sealed under an older one. Only ever from a lower number to a higher one: a
/// node that is behind does not undo what another one did, and the rows come to rest.
pub(super) async fn all(app: &App, stored: &[StoredKey]) -> Result<(), StoreError> {
    for key in stored {
        let older = KeyRing::number_of(&key.sealed).is_some_and(|number| number < app.keys.current());
        if older && one(&*app.store, &app.keys, &*app.entropy, key).await? == Some(true) {
            app.audit.record_at(app.clock.now(), Event::key_resealed(&key.kid));
        }
    }
    Ok(())
}

/// Seals a key under the first master key of the ring, in one conditional write. `None` when the ring cannot open it, `false`
/// when somebody else was faster.
pub async fn one(
    store: &dyn Store,
    ring: &KeyRing,
    entropy: &dyn Entropy,
    key: &StoredKey,
) -> Result<Option<bool>, StoreError> {
    let context = context(&key.kid);
    let Ok(pkcs8) = ring.open(Purpose::SigningKey, context.as_bytes(), &key.sealed) else { return Ok(None) };
    let sealed = ring.seal(Purpose::SigningKey, context.as_bytes(), &pkcs8, entropy);
    // The only copy of a key is replaced by nothing that does not open.
    if ring.open(Purpose::SigningKey, context.as_bytes(), &sealed).ok().as_ref() != Some(&pkcs8) {
        return Ok(None);
    }
    store.key_reseal(key.kid.clone(), key.sealed.clone(), sealed).await.map(Some)
}

/// A key in use that opens under the ring of before and not under the one that comes, with the number of its master key.
pub fn left_behind(
    stored: &[StoredKey],
    (before, after): (&KeyRing, &KeyRing),
    now: Timestamp,
) -> Option<(String, u8)> {
    let mut lost = in_use(stored, now).filter(|key| opens(before, key) && !opens(after, key));
    lost.next().map(|key| (key.kid.clone(), KeyRing::number_of(&key.sealed).unwrap_or(0)))
}

/// Whether a key was sealed under one of these master keys.
pub fn opens(ring: &KeyRing, key: &StoredKey) -> bool {
    open(ring, key).is_ok()
}

/// The master keys that signing keys in use are sealed under and that this ring lacks.
pub(super) fn not_here(ring: &KeyRing, stored: &[StoredKey], now: Timestamp) -> Vec<u8> {
    let sealed_under = in_use(stored, now).filter_map(|key| KeyRing::number_of(&key.sealed));
    let mut numbers: Vec<u8> = sealed_under.filter(|number| !ring.has(*number)).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// The keys whose secret half somebody needs still, now or later.
pub fn in_use(stored: &[StoredKey], now: Timestamp) -> impl Iterator<Item = &StoredKey> {
    let stages = schedule::stages(stored, now);
    stored.iter().zip(stages).filter(|(_, stage)| *stage != Stage::Ended).map(|(key, _)| key)
}
