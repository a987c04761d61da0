//! What must hold, by what is read.

pub mod document;
pub mod form;
pub mod token;
pub mod uri;
pub mod wire;

use std::str;

/// Inputs of several texts have one on a line.
fn lines(bytes: &[u8]) -> Option<Vec<&str>> {
    Some(str::from_utf8(bytes).ok()?.split('\n').collect())
}
