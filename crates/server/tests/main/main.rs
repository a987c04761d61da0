//! Stories against the whole server over in-process HTTP, on a real database, with a clock that can be pushed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod account;
mod accounts;
mod assertions;
mod audit;
mod authorize;
mod bad_input;
mod broken_steps;
mod clients;
mod clock_steps;
mod connections;
mod details;
mod devices;
mod documents;
mod exchange;
mod exhaustion;
mod front_channel;
mod headers;
mod identity_assertions;
mod identity_exchange;
mod introspection;
mod key_rotation;
mod kinds;
mod limits;
mod machines;
mod master_keys;
mod metadata;
mod model;
mod operator;
mod pages;
mod places;
mod plateau;
mod proofs;
mod provider_answers;
mod provider_links;
mod provider_watch;
mod providers;
mod pushed;
mod races;
mod randomness;
mod redirects;
mod refresh;
mod register;
mod revocation;
mod rolling;
mod rotation;
mod second_factor;
mod second_factor_account;
mod secrets;
mod step_up;
mod support;
mod switch;
mod tenants;
mod third_party;
mod token;
mod upgrade;
mod upstream_tokens;
mod workloads;
