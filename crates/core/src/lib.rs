//! The shared vocabulary of hallpass: identifiers, sealing, tokens, signatures, metadata and the MCP
//! envelope, as pure code.
//!
//! Nothing here does I/O and nothing is `async`. Time and randomness enter as arguments ([`time::Clock`],
//! [`entropy::Entropy`]), so that every rule can be tested at any hour.
//!
//! | to read | module |
//! |---|---|
//! | what a party is called, kept as written | [`uri`], [`id`], [`scope`] |
//! | what a peer sends | [`parameters`], [`basic`], [`json`], [`mcp`], [`metadata`], [`challenge`] |
//! | what we hand out and take back | [`seal`], [`token`], [`grant`], [`jose`], [`jwt`] |
//! | the rules on their own | [`redirect`], [`pkce`], [`authorization_details`], [`rate`], [`totp`] |
//!
//! ```
//! use hallpass_core::{redirect, uri::RedirectUri};
//!
//! let registered = [RedirectUri::parse("http://127.0.0.1/callback").unwrap()];
//! let asked = RedirectUri::parse("http://127.0.0.1:49152/callback").unwrap();
//! assert!(redirect::matches(&registered[0], &asked)); // RFC 8252 §7.3: any port on loopback
//! ```

pub mod authorization_details;
pub mod basic;
pub mod challenge;
pub mod encoding;
pub mod entropy;
pub mod error;
pub mod grant;
pub mod id;
pub mod jose;
pub mod json;
pub mod jwt;
pub mod mcp;
pub mod metadata;
pub mod openapi;
pub mod parameters;
pub mod pkce;
pub mod rate;
pub mod redirect;
pub mod scope;
pub mod seal;
pub mod secret;
pub mod time;
pub mod token;
pub mod totp;
pub mod uri;
