//! The signed tokens of OAuth, one file per kind, each with its own `typ` so that none is taken for another
//! (RFC 8725 §3.11).
//!
//! | to read | file |
//! |---|---|
//! | access tokens (RFC 9068): sign and verify | [`access_token`] |
//! | access tokens of other authorization servers: verify, and read what introspection says | [`foreign_token`] |
//! | who acts for the subject of one (RFC 8693 §4.1) | [`actor`] |
//! | client assertions (RFC 7523): verify | [`client_assertion`] |
//! | assertions as grants (RFC 7523), of workloads: verify | [`grant_assertion`] |
//! | who calls, for a server behind a gateway | [`caller_assertion`] |
//! | identity assertions (ID-JAG): sign | [`identity_assertion`] |
//! | ID tokens (OpenID Connect): verify | [`id_token`] |
//! | proofs of possession (RFC 9449): verify, nonces, replay | [`proof`] |
//! | which grant an access token of ours comes from | [`grant_reference`] |

pub mod access_token;
pub mod actor;
mod assertion;
pub mod caller_assertion;
pub mod client_assertion;
pub mod foreign_token;
pub mod grant_assertion;
pub mod grant_reference;
pub mod id_token;
pub mod identity_assertion;
pub mod proof;

pub use access_token::{AccessToken, AccessTokenError, AccessTokenSigner, Expectations, VerifiedAccessToken};
pub use grant_reference::GrantReference;
