//! The JSON-RPC envelope of MCP, read once and strictly, and written anew.
//!
//! A gateway decides on one reading of a message and a server acts on another: that is how policies are passed.
//! So a message has exactly one reading here or it is refused, and what is sent on is written from that reading;
//! the received bytes go nowhere.
//!
//! ```
//! use hallpass_core::mcp::Message;
//!
//! let body = br#"{ "jsonrpc": "2.0", "id": 7, "\u006dethod": "tools/call", "params": { "name": "echo" } }"#;
//! let message = Message::parse(body, Message::LIMITS).unwrap();
//! assert_eq!(message.name(), Some("echo"));
//! assert_eq!(
//!     message.to_canonical(),
//!     br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo"}}"#
//! );
//! ```

pub mod constraint;
pub mod error;
pub mod headers;
pub mod message;
mod names;
pub mod pattern;
mod raw;
pub mod revision;
mod scan;
pub mod splice;
mod walk;

pub use constraint::{ConstraintError, Constraints, Verdict};
pub use error::{MessageError, error_body};
pub use headers::{HeaderMismatch, MirroredHeaders, check_headers, decode_header_value, encode_header_value};
pub use message::{Call, Message, Outcome};
pub use pattern::Pattern;
pub use raw::Raw;
pub use revision::Revision;
pub use walk::Walk;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
