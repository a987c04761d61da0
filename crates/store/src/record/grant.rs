//! A grant: what a person gave to one installation of a client. One row, whatever happens to it.

use hallpass_core::{
    id::{AttemptId, GrantId, PersonId},
    time::Timestamp,
};
use std::net::IpAddr;

/// A grant about to be opened by redeeming its authorization code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewGrant {
    /// The id of the consent page and of the code: the primary key that makes the code single use.
    pub id: GrantId,
    /// This attempt; a conflict with our own attempt is success.
    pub attempt: AttemptId,
    /// Who said yes.
    pub person: PersonId,
    /// The person's epoch when the page was shown: "sign out everywhere" in between withdraws the grant.
    pub epoch: u32,
    /// The `client_id` as written, at most 255 bytes for registered ones, 2,048 for documents.
    pub client_id: String,
    /// What the client calls itself, already made harmless for display.
    pub client_name: String,
    /// Host (or scheme) that received the code, for the account page.
    pub redirect_host: String,
    /// The protected resource, in its registered form.
    pub resource: String,
    /// Granted scopes, space separated.
    pub scope: String,
    /// When the person said yes.
    pub consented_at: Timestamp,
    /// SHA-256 of the whole code: only the very same code, presented again, revokes; a second code of the same
    /// page is just refused.
    pub code_digest: [u8; 32],
    /// The address that it is redeemed from, for the account page.
    pub from: Option<IpAddr>,
    /// The key that its refresh token is bound to: of a public client that proved one.
    pub key_thumbprint: Option<[u8; 32]>,
    /// Which tools it is for, as text (RFC 9396); `None` for all that the scopes allow.
    pub details: Option<String>,
}

/// A grant as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Primary key.
    pub id: GrantId,
    /// Who said yes.
    pub person: PersonId,
    /// The person's epoch at consent.
    pub epoch: u32,
    /// The `client_id` as written.
    pub client_id: String,
    /// What the client calls itself.
    pub client_name: String,
    /// Host (or scheme) that received the code.
    pub redirect_host: String,
    /// The protected resource, in its registered form.
    pub resource: String,
    /// Granted scopes, space separated.
    pub scope: String,
    /// When the person said yes.
    pub consented_at: Timestamp,
    /// The live generation of the refresh token. It starts at 0.
    pub generation: u32,
    /// The generation that the live one replaced; `None` before the first refresh.
    pub predecessor: Option<u32>,
    /// When the live generation was made.
    pub rotated_at: Timestamp,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// Whether the client proved a key when it was opened: it has to prove one ever after.
    pub key_proven: bool,
    /// The address that the last refresh came from, or the redemption before the first.
    pub used_from: Option<IpAddr>,
    /// The key that its refresh token is bound to, if it is (RFC 9449 §5).
    pub key_thumbprint: Option<[u8; 32]>,
    /// Which tools it is for, as text (RFC 9396); `None` for all that the scopes allow.
    pub details: Option<String>,
}

/// What a grant is given to: one installation of a client, as far as anybody can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Whose.
    pub person: PersonId,
    /// The `client_id` as written.
    pub client_id: String,
    /// Host (or scheme) that receives codes.
    pub redirect_host: String,
    /// The protected resource, in its registered form.
    pub resource: String,
}

/// How many live grants a person has, and which one could go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantsHeld {
    /// So many.
    pub live: u32,
    /// The one that was unused longest.
    pub longest_unused: Option<Grant>,
}

/// Answer of `grant_open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantOpened {
    /// The one success (also when this very attempt is run again).
    Opened,
    /// The person signed out everywhere, was disabled or removed since the page was shown.
    Withdrawn,
    /// The same code was redeemed before: the caller revokes the grant.
    Replayed,
    /// Another code of the same page was redeemed before: refused, nothing is revoked.
    SecondCode,
    /// The assertion that should pay for it was used before; nothing happened.
    AssertionSpent,
}

/// Answer of `grant_rotate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantRotated {
    /// The live token was presented: this is its successor.
    Rotated {
        /// The new live generation.
        generation: u32,
    },
    /// The predecessor within the window: the same successor again.
    Repeated {
        /// The live generation, unchanged.
        generation: u32,
    },
    /// The predecessor after the window, its successor unused: a new successor, and the unused one is dead.
    Replaced {
        /// The new live generation.
        generation: u32,
    },
    /// A token newer than the row: the store lost commits. The row has moved forward.
    StoreWentBack {
        /// The new live generation.
        generation: u32,
    },
    /// A retired token: the caller revokes the grant.
    Reused,
    /// The grant was revoked.
    Revoked,
    /// The person signed out everywhere, was disabled or removed.
    Withdrawn,
    /// No such grant.
    Missing,
    /// The assertion that should pay for it was used before; nothing happened.
    AssertionSpent,
}

/// A refresh token that is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Of which grant.
    pub id: GrantId,
    /// Which generation.
    pub presented: u32,
    /// What predecessors are good for.
    pub windows: RotationWindows,
    /// The address that presents it, for the account page.
    pub from: Option<IpAddr>,
}

/// The live refresh token of a grant, presented by whom it belongs to, and what its grant has to be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveRotation {
    /// Of which grant.
    pub id: GrantId,
    /// Which generation: only the live one will do.
    pub presented: u32,
    /// The address that presents it, for the account page.
    pub from: Option<IpAddr>,
    /// Whose grant it has to be. A grant that was opened with a key never is one of these.
    pub client_id: String,
    /// What it has to be for, where the client says so.
    pub resource: Option<String>,
    /// The key that the client proved. A grant that is bound to another one, or to any where there is none, is not one of
    /// these.
    pub key: Option<[u8; 32]>,
    /// It was last used at this time or later: the idle lifetime.
    pub used_since: Timestamp,
    /// The person said yes at this time or later: the lifetime of a grant.
    pub given_since: Timestamp,
}

/// How long the predecessor of a refresh token is honoured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationWindows {
    /// Within this time of the rotation the predecessor gets the same successor.
    pub same_successor: std::time::Duration,
    /// After it and within this time the predecessor gets a new successor, as long as the present one is unused.
    pub new_successor: std::time::Duration,
}

/// Why a grant was revoked. Kept with it and written to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationReason {
    /// The client asked (RFC 7009).
    Client,
    /// The person pressed the button.
    Person,
    /// The same code came twice (RFC 6749 §4.1.2).
    CodeReplay,
    /// A retired refresh token came back (RFC 9700 §4.14).
    RefreshReuse,
    /// An operator.
    Operator,
}

impl RevocationReason {
    /// As kept and logged.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Person => "person",
            Self::CodeReplay => "code_replay",
            Self::RefreshReuse => "refresh_reuse",
            Self::Operator => "operator",
        }
    }
}
