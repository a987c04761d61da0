//! The two proofs: who calls, and what the caller may do. Neither can be made but by validation.

use crate::{head::Scheme, refuse::Reason};
use hallpass_core::{
    authorization_details::AuthorizationDetails,
    jwt::{GrantReference, access_token::is_of_client},
    scope::Scope,
    time::Timestamp,
};
use std::sync::Arc;

/// Who calls: the access token was checked in every way but its scope; or nobody, where a server asked for that
/// ([`crate::ProtectedResource::anonymous`]). Cheap to clone.
#[derive(Clone, Debug)]
pub struct Authenticated(pub(crate) Arc<Identity>);

/// What a token says once it is verified.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Of another server than the resource's own.
    pub issuer: Option<Arc<str>>,
    pub subject: Box<str>,
    pub client_id: Box<str>,
    pub scope: Scope,
    pub grant: Option<GrantReference>,
    pub expires_at: Timestamp,
    /// The key that the token is bound to.
    pub key: Option<[u8; 32]>,
    pub actors: Box<[String]>,
    pub details: Option<AuthorizationDetails>,
    /// Of another server's person: the issuer and the name there.
    pub groups: Box<[String]>,
    /// What its calls are counted by, where that is not the subject: only of a caller without a token.
    pub counted_as: Option<Box<str>>,
}

/// The subject and the client of a caller without a token. Neither a person nor a client can be called so: the brackets are in
/// no id of ours, and a name of another authorization server begins with its issuer.
pub const ANONYMOUS: &str = "(anonymous)";

impl Authenticated {
    /// Whether nobody calls: there was no token. Such a caller has no scope, no grant and no person.
    pub fn is_anonymous(&self) -> bool {
        self.0.counted_as.is_some()
    }

    /// Whose limits a call is under: the subject, or for a caller without a token where it comes from.
    pub fn counted_as(&self) -> &str {
        self.0.counted_as.as_deref().unwrap_or(&self.0.subject)
    }

    /// The `sub` of the token: the person, or a machine. [`Self::person`] tells them apart. Of a server that was added with
    /// [`crate::ProtectedResource::with_issuers`] it is the issuer and the `sub` there, with a space between: the same `sub` is
    /// somebody else at another server. So is [`Self::client_id`].
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The person who calls; `None` for a machine, whose token says the client's id in place of a person's (RFC 9068 §2.2), or
    /// begins with that and a space.
    /// What belongs to people goes by this and not by [`Self::subject`]: elsewhere a client may have the id that a person
    /// has (RFC 9700 §4.15).
    pub fn person(&self) -> Option<&str> {
        (!is_of_client(&self.0.subject, &self.0.client_id)).then_some(&*self.0.subject)
    }

    /// The machine that calls: its client's id, and behind a space which of the programs of that client it is, where its token
    /// says so. `None` for a person, and where nobody calls.
    pub fn machine(&self) -> Option<&str> {
        (!self.is_anonymous() && self.person().is_none()).then_some(&*self.0.subject)
    }

    /// The client that the token was issued to.
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// Whose token it is, where that is another server than the resource's own: one of those that were added with
    /// [`crate::ProtectedResource::with_issuers`].
    pub fn foreign_issuer(&self) -> Option<&str> {
        self.0.issuer.as_deref()
    }

    /// What was granted.
    pub fn scope(&self) -> &Scope {
        &self.0.scope
    }

    /// Whether the caller proved the key that its token is bound to (RFC 9449).
    pub fn is_bound(&self) -> bool {
        self.0.key.is_some()
    }

    /// How the token was presented: what a refusal that comes later has to speak of.
    pub fn scheme(&self) -> Scheme {
        if self.is_bound() { Scheme::Dpop } else { Scheme::Bearer }
    }

    /// The grant that the token belongs to, where its authorization server names it.
    pub fn grant(&self) -> Option<GrantReference> {
        self.0.grant
    }

    /// Who acts for the subject (`act`, RFC 8693 §4.1), the one who acts now first. Empty for most.
    pub fn actors(&self) -> &[String] {
        &self.0.actors
    }

    /// Which tools the token is for (RFC 9396), where it is limited to some: only what they allow, and only as far as the
    /// scope does. A resource sees such tokens after [`crate::ProtectedResource::with_authorization_details`] alone.
    pub fn details(&self) -> Option<&AuthorizationDetails> {
        self.0.details.as_ref()
    }

    /// The groups of the person, where another authorization server's token names them
    /// ([`crate::issuer::TrustedIssuer::groups_claim`]): each the issuer and the name there, with a space between, like
    /// [`Self::subject`].
    pub fn groups(&self) -> &[String] {
        &self.0.groups
    }

    /// The token's `exp`.
    pub fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }

    /// Allows `operation` when the token has every scope that it needs.
    ///
    /// # Errors
    /// [`Reason::InsufficientScope`].
    pub fn authorize<T>(self, operation: T, required: &Scope) -> Result<Authorized<T>, Reason> {
        if self.0.scope.covers(required) {
            Ok(Authorized { caller: self, operation })
        } else {
            Err(Reason::InsufficientScope)
        }
    }

    /// Allows `operation` when `judge` says so of what was granted: for servers whose scopes include each other, or
    /// that need different ones for each operation.
    ///
    /// # Errors
    /// The operation, and what `judge` has against it.
    pub fn authorize_by<T, E>(
        self,
        operation: T,
        judge: impl FnOnce(&Scope, &T) -> Result<(), E>,
    ) -> Result<Authorized<T>, (T, E)> {
        match judge(&self.0.scope, &operation) {
            Ok(()) => Ok(Authorized { caller: self, operation }),
            Err(reason) => Err((operation, reason)),
        }
    }
}

/// The caller may do `T`. Whoever takes one of these as an argument cannot be reached without both checks.
#[derive(Clone, Debug)]
pub struct Authorized<T = ()> {
    caller: Authenticated,
    operation: T,
}

impl<T> Authorized<T> {
    /// Who calls.
    pub fn caller(&self) -> &Authenticated {
        &self.caller
    }

    /// The `sub` of the token.
    pub fn subject(&self) -> &str {
        self.caller.subject()
    }

    /// The client that the token was issued to.
    pub fn client_id(&self) -> &str {
        self.caller.client_id()
    }

    /// What was granted.
    pub fn scope(&self) -> &Scope {
        self.caller.scope()
    }

    /// What was allowed.
    pub fn operation(&self) -> &T {
        &self.operation
    }

    /// The proof taken apart: a step that consumes the operation needs the caller still.
    pub fn into_parts(self) -> (Authenticated, T) {
        (self.caller, self.operation)
    }
}
