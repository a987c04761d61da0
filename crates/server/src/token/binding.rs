//! Which key the tokens of an exchange are bound to (RFC 9449 §5, §10). Pure.

use super::TokenRefusal;
use crate::{
    http::{
        client_auth::AuthenticatedClient,
        proof::{ProofRefusal, ProvenKey},
    },
    settings::{Resource, Settings},
};
use hallpass_core::secret;

/// What an exchange knows about keys before it looks at the code or the grant.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// Whose holder sent the request.
    pub proven: Option<ProvenKey>,
    /// Whether the client or the server takes bound tokens only.
    pub due: bool,
    /// Whether new tokens are bound to whatever key is proven.
    pub offered: bool,
}

type Bound = Result<Option<[u8; 32]>, TokenRefusal>;

impl Binding {
    /// Of a request for tokens of this client at this server.
    pub fn new(
        proven: Option<ProvenKey>,
        client: &AuthenticatedClient,
        resource: Option<&Resource>,
        settings: &Settings,
    ) -> Self {
        let due = client.wants_bound() || resource.is_some_and(|resource| resource.bound_tokens_only);
        Self { proven, due, offered: settings.proofs.offered }
    }

    /// For a code: where the authorization request named a key, by that key and no other (§10).
    pub fn of_code(self, key: Option<[u8; 16]>) -> Bound {
        let Some(expected) = key else { return self.of_request() };
        match self.proven.map(ProvenKey::thumbprint) {
            Some(proven) if proven.first_chunk::<16>().is_some_and(|half| secret::equal(half, &expected)) => {
                Ok(Some(proven))
            }
            Some(_) | None => Err(TokenRefusal::CodeOfAnotherKey),
        }
    }

    /// For a grant: where it was opened by a public client with a key, by that key and no other (§5). Who left the proof
    /// out keeps the grant; who has another key cannot have it.
    pub fn of_grant(self, key: Option<[u8; 32]>) -> Bound {
        let Some(expected) = key else { return self.of_request() };
        match self.proven.map(ProvenKey::thumbprint) {
            Some(proven) if secret::equal(&proven, &expected) => Ok(Some(proven)),
            Some(_) => Err(TokenRefusal::GrantOfAnotherKey),
            None => Err(TokenRefusal::Proof(ProofRefusal::Missing)),
        }
    }

    /// For what is not bound to a key yet.
    pub fn of_request(self) -> Bound {
        match self.proven {
            None if self.due => Err(TokenRefusal::Proof(ProofRefusal::Missing)),
            Some(key) if self.due || self.offered => Ok(Some(key.thumbprint())),
            Some(_) | None => Ok(None),
        }
    }
}
