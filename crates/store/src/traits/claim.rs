//! User codes that people typed.

use crate::{Answer, Claim, ClaimDecision, ClaimDevice, ClaimLimits, ClaimOpened, NewClaim};
use hallpass_core::{grant::UserCode, time::Timestamp};

/// User codes that people typed.
pub trait Claims: Send + Sync + 'static {
    /// A signed-in person types a code. It is counted on the person's row first, so that no number of nodes and no restart
    /// gives more guesses. A browser has one open code: the one before is over. Somebody else's open code becomes
    /// nobody's: which of the two holds the device cannot be known.
    fn claim_open(&self, claim: NewClaim, limits: ClaimLimits, now: Timestamp) -> Answer<'_, ClaimOpened>;

    /// What became of a code.
    fn claim_read(&self, user_code: UserCode) -> Answer<'_, Option<Claim>>;

    /// A device polls: the first one is attached to a code that is open and was typed after `since`; another one spoils
    /// it. Both are one conditional update. Answers the row as it is then.
    fn claim_attach(
        &self,
        user_code: UserCode,
        device: ClaimDevice,
        since: Timestamp,
    ) -> Answer<'_, Option<Claim>>;

    /// The person decides about the device that the page showed; `false` when that is not what is open any more. The same
    /// word twice is success.
    fn claim_decide(&self, decision: ClaimDecision, now: Timestamp) -> Answer<'_, bool>;
}
