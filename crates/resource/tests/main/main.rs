//! The library as others use it: tokens of a real signer, requests through the layer and the extractor, keys by URL.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

mod introspection;
mod issuers;
mod keys;
mod proofs;
mod support;
mod tools;
mod validation;
mod wrapped;
