//! Signs MCP clients in: OAuth 2.1 as MCP profiles it, for any client in Rust.
//!
//! Every rule is a function without I/O: it writes a request or judges an answer. [`driver`] carries them over
//! the network; a program with its own HTTP library can use the rest without it.
//!
//! | to read | module |
//! |---|---|
//! | from a server's URL to its authorization server | [`discovery`] |
//! | who this client is there | [`registration`] |
//! | the request, the page, the answer | [`authorize`], [`push`], [`browser`], [`loopback`], [`callback`] |
//! | tokens: got, renewed, given up | [`token`], [`refresh`], [`revoke`], [`step_up`] |
//! | a code typed on another device | [`device`] |
//! | tokens without a person | [`machine`], [`platform`], [`assertion`] |
//! | a narrower token, for a sub-agent | [`exchange`] |
//! | tokens bound to a key | [`proof`] |
//! | where they are kept | [`storage`] |
//! | MCP itself, both wires | [`wire`], [`sse`], [`tool_headers`] |
//! | pages that a server wants opened | [`elicitation`] |
//! | all of it over the network | [`driver`], [`error`] |
//! | all of it around an HTTP client of your own | [`layer`] |
//! | all of it under rmcp, the SDK for Rust | `rmcp`, behind the feature of that name |
//!
//! ```no_run
//! use hallpass_client::{driver::{Client, Interaction, LoginOptions, Settings, WhatFor}, browser::PageUrl, storage::Store};
//! use hallpass_fetch::Fetch;
//!
//! struct Terminal;
//! impl Interaction for Terminal {
//!     fn open(&mut self, page: &PageUrl, what_for: &WhatFor<'_>) {
//!         eprintln!("To sign in to {}, open {} at {}", what_for.server, page.as_str(), page.host());
//!     }
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let fetch = Fetch::new(hallpass_fetch::Settings::default())?;
//! let client = Client::new(fetch, Store::new("/home/me/.local/share/hallpass".into()), Settings::default());
//! client.login("https://mcp.example/mcp", &LoginOptions::default(), &mut Terminal).await?;
//! let mut caller = client.caller("https://mcp.example/mcp", "default")?;
//! let mut messages = caller.call("tools/list", None).await?;
//! while let Some(message) = messages.next().await? {
//!     eprintln!("{message:?}");
//! }
//! # Ok(())
//! # }
//! ```

pub mod assertion;
pub mod authorize;
pub mod browser;
pub mod callback;
pub mod device;
pub mod discovery;
pub mod document;
pub mod driver;
pub mod elicitation;
pub mod error;
pub mod exchange;
pub mod layer;
pub mod loopback;
pub mod machine;
pub mod peer;
pub mod platform;
pub mod proof;
pub mod push;
pub mod refresh;
pub mod registration;
pub mod revoke;
#[cfg(any(test, feature = "rmcp"))]
pub mod rmcp;
mod spiffe;
pub mod sse;
pub mod step_up;
pub mod storage;
pub mod token;
pub mod tool_headers;
pub mod wire;
