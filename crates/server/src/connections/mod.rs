//! Services of third parties that people connect (RS-061): an operator says which there are, a person connects an account
//! there on a page of ours, and a protected server gets that person's token with that person's calls, and nobody else's.
//!
//! | to read | file |
//! |---|---|
//! | what an operator says of a service | [`settings`] |
//! | the request to the service, and its answer (pure) | [`request`] |
//! | what the service is asked | `provider` |
//! | tokens at rest | `vault` |
//! | a good token for a call: renewed once, whoever asks | [`renew`] |
//! | the link of a client's prompt, bound to whom it is for | [`prompt`] |
//!
//! The pages are in `account/connections`.

pub mod prompt;
pub(crate) mod provider;
pub mod renew;
pub(crate) mod request;
pub mod settings;
pub(crate) mod vault;

pub use prompt::page_for;
pub use renew::{NoToken, token};
pub use settings::{ConnectionError, ConnectionSettings, Endpoints, Provider, TokenAuth, WrittenConnection};
pub use vault::reseal_one;
