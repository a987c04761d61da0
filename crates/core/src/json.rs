//! Strict JSON for what peers send: one reading only, bounded before it is read, and picked by member name.
//!
//! serde's derived structs accept an array in place of an object, and `serde_json::Value` keeps the last of two
//! members with one name while other parsers keep the first. Both let one text mean two things to two readers,
//! so documents of peers are read here and their members are picked by name.

use std::{cell::Cell, fmt};

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use thiserror::Error;

/// How much of a peer's JSON is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Length of the whole text in bytes.
    pub bytes: usize,
    /// How many objects and arrays may stand inside each other; a flat object has depth 1.
    pub depth: usize,
}

impl Default for Limits {
    /// 64 KiB and 16 levels: ten times what any document of this field needs.
    fn default() -> Self {
        Self { bytes: 64 * 1024, depth: 16 }
    }
}

/// Why a text is not JSON that we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum JsonError {
    /// Longer than [`Limits::bytes`].
    #[error("the JSON text is too long")]
    TooLong,
    /// Starts with a byte order mark (RFC 8259 §8.1).
    #[error("the JSON text starts with a byte order mark")]
    ByteOrderMark,
    /// Not UTF-8 (RFC 8259 §8.1).
    #[error("the JSON text is not UTF-8")]
    NotUtf8,
    /// Not JSON, or a number or an escape that has no exact meaning (RFC 8259).
    #[error("the text is not JSON")]
    Syntax,
    /// Objects and arrays stand deeper inside each other than [`Limits::depth`].
    #[error("the JSON text is nested too deeply")]
    TooDeep,
    /// Two members of one object have the same name, once escapes are read (RFC 8259 §4).
    #[error("an object has two members with the same name")]
    DuplicateMember,
    /// Something follows the value.
    #[error("something follows the JSON value")]
    TrailingData,
    /// The value is not an object.
    #[error("the JSON value is not an object")]
    NotAnObject,
}

/// A member that is present with another type than the one that its standard gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the member `{0}` has the wrong type")]
pub struct WrongType(
    /// The member's name, as the standard spells it.
    pub &'static str,
);

/// Reads one object.
pub fn parse_object(bytes: &[u8], limits: Limits) -> Result<Map<String, Value>, JsonError> {
    match parse_value(bytes, limits)? {
        Value::Object(members) => Ok(members),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(JsonError::NotAnObject)
        }
    }
}

/// Reads one value of any type.
pub fn parse_value(bytes: &[u8], limits: Limits) -> Result<Value, JsonError> {
    if bytes.len() > limits.bytes {
        return Err(JsonError::TooLong);
    }
    if bytes.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError::ByteOrderMark);
    }
    let text = std::str::from_utf8(bytes).map_err(|_| JsonError::NotUtf8)?;
    let broken = Cell::new(None);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: limits.depth, broken: &broken }
        .deserialize(&mut deserializer)
        .map_err(|_| broken.take().unwrap_or(JsonError::Syntax))?;
    deserializer.end().map_err(|_| JsonError::TrailingData)?;
    Ok(value)
}

/// A string member. Absent and `null` are both `None`, here and below.
pub fn string<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<Option<&'a str>, WrongType> {
    pick(members, name).map(|value| value.as_str().ok_or(WrongType(name))).transpose()
}

/// A member that is an array of strings.
pub fn strings(members: &Map<String, Value>, name: &'static str) -> Result<Option<Vec<String>>, WrongType> {
    let Some(value) = pick(members, name) else { return Ok(None) };
    let values = value.as_array().ok_or(WrongType(name))?;
    values
        .iter()
        .map(|each| each.as_str().map(str::to_owned).ok_or(WrongType(name)))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// A member that is one string or an array of strings, such as `aud` (RFC 7519 §4.1.3).
pub fn string_or_strings(
    members: &Map<String, Value>,
    name: &'static str,
) -> Result<Option<Vec<String>>, WrongType> {
    match pick(members, name).and_then(Value::as_str) {
        Some(one) => Ok(Some(vec![one.to_owned()])),
        None => strings(members, name),
    }
}

/// A member that is `true` or `false`; the strings `"true"` and `"false"` are not.
pub fn boolean(members: &Map<String, Value>, name: &'static str) -> Result<Option<bool>, WrongType> {
    pick(members, name).map(|value| value.as_bool().ok_or(WrongType(name))).transpose()
}

/// A member that is a number without a fraction or exponent.
pub fn integer(members: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, WrongType> {
    pick(members, name).map(|value| value.as_i64().ok_or(WrongType(name))).transpose()
}

/// A `NumericDate`: seconds since 1970, a fraction of a second is cut off (RFC 7519 §2).
pub fn numeric_date(members: &Map<String, Value>, name: &'static str) -> Result<Option<i64>, WrongType> {
    let Some(value) = pick(members, name) else { return Ok(None) };
    if let Some(seconds) = value.as_i64() {
        return Ok(Some(seconds));
    }
    let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e15).ok_or(WrongType(name))?;
    // Through text, because every other way from a float to an integer can change the value silently.
    format!("{:.0}", seconds.floor()).parse().map(Some).map_err(|_| WrongType(name))
}

/// A member that is an object.
pub fn object<'a>(
    members: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a Map<String, Value>>, WrongType> {
    pick(members, name).map(|value| value.as_object().ok_or(WrongType(name))).transpose()
}

/// `null` counts as absent: registrations of several clients send it for what they leave out.
fn pick<'a>(members: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    members.get(name).filter(|value| !value.is_null())
}

/// Builds a `Value`, refusing duplicates and depth before it goes deeper. serde's errors are text, so the
/// broken rule travels in `broken`.
#[derive(Clone, Copy)]
struct Strict<'a> {
    depth: usize,
    broken: &'a Cell<Option<JsonError>>,
}

impl Strict<'_> {
    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| self.refuse(JsonError::TooDeep))?;
        Ok(Self { depth, ..self })
    }

    fn refuse<E: de::Error>(self, rule: JsonError) -> E {
        self.broken.set(Some(rule));
        E::custom(rule)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(inside)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(self.refuse(JsonError::DuplicateMember));
            }
            let value = members.next_value_seed(inside)?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests;
