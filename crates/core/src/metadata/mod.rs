//! The documents by which the parties describe themselves, and where they are found.
//!
//! Each is written from a struct and read from strict JSON by member name; URLs stay as written, because they are
//! compared as text.

pub mod authorization_server;
pub mod client;
pub mod protected_resource;
pub mod registration;
pub mod well_known;

use thiserror::Error;

use crate::json::{JsonError, WrongType};

pub use authorization_server::AuthorizationServerMetadata;
pub use client::{ClientMetadata, ClientMetadataDocument, ClientMetadataError};
pub use protected_resource::ProtectedResourceMetadata;
pub use registration::ClientRegistrationResponse;

/// Why the metadata of an authorization server or of a protected resource is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MetadataError {
    /// Not strict JSON, or not an object.
    #[error("the metadata is not usable JSON: {0}")]
    Json(#[from] JsonError),
    /// A known member has another type.
    #[error("{0}")]
    WrongType(#[from] WrongType),
    /// A required member is absent.
    #[error("the member `{0}` is missing")]
    Missing(&'static str),
    /// `issuer` is not the identifier that led to the document (RFC 8414 §3.3).
    #[error("`issuer` is not identical to the issuer that was asked")]
    IssuerMismatch,
    /// `issuer` is no issuer identifier (RFC 8414 §2).
    #[error("`issuer` is not an https URL without query and fragment")]
    Issuer,
    /// An endpoint is not https (http only on loopback), or has user information or a fragment.
    #[error("`{0}` is not an https URL without user information and fragment")]
    Endpoint(&'static str),
    /// `resource` does not stand for the server that was called (RFC 9728 §3.3).
    #[error("`resource` does not name the server that was called")]
    ResourceMismatch,
}

#[cfg(test)]
mod tests;
