//! What a person agreed to, on its way from the consent page to the token endpoint.

mod authorization;

pub use authorization::{
    AuthorizationCode, CODE_LIFETIME, CodeError, MAX_RECEIVER, MAX_SCOPES, digest16, digest32,
};
