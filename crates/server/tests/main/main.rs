//! Stories against the whole server over in-process HTTP, on a real database, with a clock that can be pushed.

mod authorize;
mod bad_input;
mod metadata;
mod pages;
mod refresh;
mod register;
mod revocation;
mod support;
mod token;
