//! Second factors at sign-in.

use crate::{Answer, Attempt, FactorTry, FactorUse, NewSecondFactor, SecondFactor};
use hallpass_core::{
    id::{AttemptId, FactorId, PersonId},
    time::Timestamp,
};

/// Second factors at sign-in: at most one of a person. While there is one, no session is opened or found that has not passed it
/// ([`crate::Sessions`]).
pub trait SecondFactors: Send + Sync + 'static {
    /// That of this person.
    fn second_factor_read(&self, person: PersonId) -> Answer<'_, Option<SecondFactor>>;

    /// Turns it on, with its recovery codes, if the person still has this epoch, is not disabled, and has none but the one that is
    /// replaced; `false` otherwise. Sessions of the person that have passed none end.
    fn second_factor_put(&self, factor: NewSecondFactor) -> Answer<'_, bool>;

    /// Counts one try: one conditional update, before the code is looked at.
    fn second_factor_try(&self, of: FactorTry, now: Timestamp) -> Answer<'_, Attempt>;

    /// Uses the code of a step up, and gives the try back; `false` when a code of this step or a later one was used before, or
    /// the factor is another.
    fn second_factor_use(&self, of: FactorUse) -> Answer<'_, bool>;

    /// Uses a recovery code up, by its digest; `false` when it is none, or was used.
    fn recovery_code_use(
        &self,
        person: PersonId,
        digest: [u8; 32],
        attempt: AttemptId,
        now: Timestamp,
    ) -> Answer<'_, bool>;

    /// Puts other recovery codes in the place of all that there are; `false` when the factor is another.
    fn recovery_codes_put(
        &self,
        person: PersonId,
        factor: FactorId,
        codes: Vec<[u8; 32]>,
    ) -> Answer<'_, bool>;

    /// Turns it off; `false` when the person has another one, or none.
    fn second_factor_remove(&self, person: PersonId, factor: FactorId) -> Answer<'_, bool>;

    /// Those whose secrets are sealed under the master key of this number, as they say themselves: at most `most`, after this
    /// person, in the order of their ids.
    fn second_factors_under(
        &self,
        number: u8,
        after: Option<PersonId>,
        most: u32,
    ) -> Answer<'_, Vec<SecondFactor>>;

    /// Puts the same secret, sealed anew, in the place of what was read; `false` when something else is there.
    fn second_factor_reseal(&self, person: PersonId, before: Vec<u8>, after: Vec<u8>) -> Answer<'_, bool>;
}
