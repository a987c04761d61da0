//! One small trait per noun. A backend is right when it passes [`crate::contract`].

mod claim;
mod client;
mod connection;
mod feed;
mod grant;
mod link;
mod misc;
mod person;
mod second_factor;

pub use claim::Claims;
pub use client::{Blocks, Clients};
pub use connection::Connections;
pub use feed::Feed;
pub use grant::Grants;
pub use link::Links;
pub use misc::{AuditHeads, Documents, Keys, Maintenance};
pub use person::{People, Sessions};
pub use second_factor::SecondFactors;

use crate::StoreError;
use std::{future::Future, pin::Pin};

/// What every operation answers with.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// All of a backend.
pub trait Store:
    Grants
    + People
    + Sessions
    + Feed
    + Keys
    + Documents
    + Claims
    + Clients
    + Blocks
    + Connections
    + Links
    + SecondFactors
    + AuditHeads
    + Maintenance
{
}

impl<
    S: Grants
        + People
        + Sessions
        + Feed
        + Keys
        + Documents
        + Claims
        + Clients
        + Blocks
        + Connections
        + Links
        + SecondFactors
        + AuditHeads
        + Maintenance,
> Store for S
{
}
