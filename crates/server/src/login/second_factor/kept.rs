//! The secret of a second factor at rest: sealed with table, person and the one time that it was turned on as associated data. In
//! another row, or in the row of a factor that took its place, it does not open.

use hallpass_core::{
    entropy::Entropy,
    id::{FactorId, PersonId},
    seal::{KeyRing, NotOurs, Purpose},
    totp::TotpSecret,
};
use hallpass_store::{SecondFactor, Store, StoreError};
use zeroize::Zeroizing;

fn context(person: PersonId, id: FactorId) -> Vec<u8> {
    let mut context = b"second_factor\0sealed\0".to_vec();
    context.extend_from_slice(person.as_bytes());
    context.extend_from_slice(id.as_bytes());
    context
}

/// Seals it for its row.
pub(super) fn seal(
    ring: &KeyRing,
    entropy: &dyn Entropy,
    (person, id): (PersonId, FactorId),
    secret: &TotpSecret,
) -> Vec<u8> {
    ring.seal(Purpose::SecondFactor, &context(person, id), secret.expose(), entropy)
}

/// The secret of a row, if it was sealed for it.
pub(super) fn open(ring: &KeyRing, row: &SecondFactor) -> Result<TotpSecret, NotOurs> {
    let text = Zeroizing::new(ring.open(Purpose::SecondFactor, &context(row.person, row.id), &row.sealed)?);
    TotpSecret::from_bytes(&text).ok_or(NotOurs)
}

/// Seals the secret of a row under the first master key of the ring, in one conditional write. `None` when the ring cannot open
/// it, `false` when something else is there meanwhile.
///
/// # Errors
/// The store.
pub async fn reseal_one(
    store: &dyn Store,
    ring: &KeyRing,
    entropy: &dyn Entropy,
    row: &SecondFactor,
) -> Result<Option<bool>, StoreError> {
    let Ok(secret) = open(ring, row) else { return Ok(None) };
    let sealed = seal(ring, entropy, (row.person, row.id), &secret);
    store.second_factor_reseal(row.person, row.sealed.clone(), sealed).await.map(Some)
}
