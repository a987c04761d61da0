//! Values that go into statements: bytes, 64-bit integers, text, and the lack of each.

use hallpass_core::{
    id::{AttemptId, ConnectionId, FactorId, GrantId, LinkId, PersonId, SessionId},
    time::Timestamp,
};

/// One value. Its `Debug` does not show it: it may be a secret. The lack of a value has a type too, because a server wants to know
/// the types of a statement before it has seen values.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a> {
    /// A 64-bit integer.
    Int(Option<i64>),
    /// Text.
    Text(Option<&'a str>),
    /// Bytes.
    Bytes(Option<&'a [u8]>),
}

impl std::fmt::Debug for Arg<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Int(_) => "Int",
            Self::Text(_) => "Text",
            Self::Bytes(_) => "Bytes",
        })
    }
}

macro_rules! from {
    ($($type:ty => |$value:ident| $arg:expr;)+) => {$(
        impl<'a> From<$type> for Arg<'a> {
            fn from($value: $type) -> Self {
                $arg
            }
        }
    )+};
}

from! {
    i64 => |value| Self::Int(Some(value));
    u32 => |value| Self::Int(Some(i64::from(value)));
    Option<i64> => |value| Self::Int(value);
    Option<u32> => |value| Self::Int(value.map(i64::from));
    Timestamp => |value| Self::Int(Some(value.millis()));
    Option<Timestamp> => |value| Self::Int(value.map(Timestamp::millis));
    &'a str => |value| Self::Text(Some(value));
    &'a String => |value| Self::Text(Some(value));
    Option<&'a str> => |value| Self::Text(value);
    &'a [u8] => |value| Self::Bytes(Some(value));
    &'a Vec<u8> => |value| Self::Bytes(Some(value));
    &'a Option<Vec<u8>> => |value| Self::Bytes(value.as_deref());
    &'a AttemptId => |value| Self::Bytes(Some(value.as_bytes()));
    &'a ConnectionId => |value| Self::Bytes(Some(value.as_bytes()));
    &'a FactorId => |value| Self::Bytes(Some(value.as_bytes()));
    &'a GrantId => |value| Self::Bytes(Some(value.as_bytes()));
    &'a LinkId => |value| Self::Bytes(Some(value.as_bytes()));
    &'a PersonId => |value| Self::Bytes(Some(value.as_bytes()));
    &'a SessionId => |value| Self::Bytes(Some(value.as_bytes()));
}

impl<'a, const N: usize> From<&'a Option<[u8; N]>> for Arg<'a> {
    fn from(value: &'a Option<[u8; N]>) -> Self {
        Self::Bytes(value.as_ref().map(<[u8; N]>::as_slice))
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Arg<'a> {
    fn from(value: &'a [u8; N]) -> Self {
        Self::Bytes(Some(value))
    }
}
