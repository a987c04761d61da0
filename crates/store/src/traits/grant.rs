//! Grants: opening, rotating, revoking.

use crate::{
    Answer, Grant, GrantOpened, GrantRotated, GrantsHeld, Installation, LiveRotation, NewGrant,
    RevocationReason, Rotation, SpentAssertion,
};
use hallpass_core::{
    id::{GrantId, PersonId},
    time::Timestamp,
};

/// Grants.
pub trait Grants: Send + Sync + 'static {
    /// Redeems a code: one conditional insert under the person's epoch. Single use is the primary key.
    fn grant_open(&self, grant: NewGrant, now: Timestamp) -> Answer<'_, GrantOpened>;

    /// The same, paid for by a client assertion that is spent in the same transaction and only if the grant is
    /// opened. The grant remembers that a key was proven.
    fn grant_open_spending(
        &self,
        grant: NewGrant,
        spends: SpentAssertion,
        now: Timestamp,
    ) -> Answer<'_, GrantOpened>;

    /// The ordinary refresh in one write: the live token becomes its predecessor if everything is as the caller expects,
    /// and this is the grant after it. `None`: nothing happened, and [`Grants::grant_rotate`] says why. Run twice, the
    /// second time is a `None`.
    fn grant_rotate_live(&self, rotation: LiveRotation, now: Timestamp) -> Answer<'_, Option<Grant>>;

    /// Exchanges a refresh token: one conditional update.
    fn grant_rotate(&self, rotation: Rotation, now: Timestamp) -> Answer<'_, GrantRotated>;

    /// The same, paid for by a client assertion that is spent in the same transaction and only if the token is
    /// exchanged.
    fn grant_rotate_spending(
        &self,
        rotation: Rotation,
        spends: SpentAssertion,
        now: Timestamp,
    ) -> Answer<'_, GrantRotated>;

    /// Spends an assertion for an answer that writes nothing else; `false` when another attempt spent it. Only for a
    /// client that somebody said yes to: a stranger who has a key must not fill the store.
    fn assertion_spend(&self, spends: SpentAssertion) -> Answer<'_, bool>;

    /// Revokes: marks the row and, last in the transaction, takes a ticket of the feed. `true` when this call
    /// was the one that did it. `until` is when the last access token of the grant has expired.
    fn grant_revoke(
        &self,
        id: GrantId,
        reason: RevocationReason,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, bool>;

    /// The grant with this id.
    fn grant_read(&self, id: GrantId) -> Answer<'_, Option<Grant>>;

    /// Whether what was given at this epoch is still good: not revoked, not withdrawn by the person, not swept.
    fn grant_live(&self, id: GrantId, epoch: u32) -> Answer<'_, bool>;

    /// Live grants of everybody, newest first, at most `limit`, only those with an id below `before` if given.
    fn grants_list(&self, before: Option<GrantId>, limit: u32) -> Answer<'_, Vec<Grant>>;

    /// Live grants of a person, newest first, at most `limit`, only those with an id below `before` if given.
    fn grants_of_person(
        &self,
        person: PersonId,
        before: Option<GrantId>,
        limit: u32,
    ) -> Answer<'_, Vec<Grant>>;

    /// Live grants of one installation, newest first, at most `limit`.
    fn grants_of_installation(&self, installation: Installation, limit: u32) -> Answer<'_, Vec<Grant>>;

    /// How many live grants a person has that were used since `used` and given since `given`, and which of them was
    /// unused longest.
    fn grants_held(&self, person: PersonId, used: Timestamp, given: Timestamp) -> Answer<'_, GrantsHeld>;
}
