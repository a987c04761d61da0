//! What is kept, and the answers of the writes.

mod claim;
mod client;
mod connection;
mod feed;
mod grant;
mod link;
mod misc;
mod person;
mod second_factor;

pub use claim::*;
pub use client::*;
pub use connection::*;
pub use feed::*;
pub use grant::*;
pub use link::*;
pub use misc::*;
pub use person::*;
pub use second_factor::*;
