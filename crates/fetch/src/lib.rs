//! The one crate that makes outbound requests.
//!
//! No redirects, no proxies from the environment, no referer, no cookies, no decompression; size and time
//! limits that cover the body. Who named the URL decides which [`Policy`] applies: [`Policy::strict`] for
//! anything that a stranger named, [`Policy::trusted`] for hosts that a person or the configuration named.
//!
//! | to read | module |
//! |---|---|
//! | which URLs and addresses are allowed (pure) | [`policy`] |
//! | how a name becomes the address that was checked | [`resolver`] |
//! | the requests | [`client`], [`body`] |
//! | documents by HTTP caching rules | [`cache`] |
//! | a program of this machine, behind a socket | [`local`] |
//! | whose certificates count, for every TLS session of ours | [`tls`] |
//! | what can go wrong | [`error`] |
//!
//! ```
//! use hallpass_fetch::{Fetch, FetchError, Policy, Settings};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let fetch = Fetch::new(Settings::default()).unwrap(); // nothing is built before the first request
//! let metadata_service = "https://169.254.169.254/latest".parse().unwrap();
//! let refused = fetch.get_document(&metadata_service, &Policy::strict()).await;
//! assert_eq!(refused.unwrap_err(), FetchError::ForbiddenHost);
//! # });
//! ```

pub mod body;
pub mod cache;
pub mod client;
mod document;
pub mod error;
pub mod local;
pub mod policy;
pub mod resolver;
pub mod tls;

pub use body::Body;
pub use cache::http_date;
pub use client::{Fetch, Limits, Settings};
pub use document::Document;
pub use error::FetchError;
pub use local::over_socket;
pub use policy::Policy;
pub use tls::Tls;
