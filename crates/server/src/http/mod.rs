//! What all endpoints share of HTTP.

pub mod browser;
pub mod client_auth;
pub mod proof;
pub mod rate_limit;
pub mod respond;
