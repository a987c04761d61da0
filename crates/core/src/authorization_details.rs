//! Rich authorization requests (RFC 9396) for tools: a client asks for certain tools only, and for certain arguments.
//!
//! There is one type, `mcp_tool`. What it asks for narrows what the scopes allow, and never adds to it:
//!
//! ```
//! use hallpass_core::authorization_details::AuthorizationDetails;
//!
//! let asked = r#"[{"type": "mcp_tool", "tool": "pay", "arguments": {"amount": {"max": 100}}}]"#;
//! let details = AuthorizationDetails::parse(asked).unwrap();
//! assert!(details.allow("pay", Some(&serde_json::json!({"amount": 7, "to": "Ada"}))));
//! assert!(!details.allow("pay", Some(&serde_json::json!({"amount": 101}))));
//! assert!(!details.allow("delete", None));
//! ```

use crate::{
    json::{self, JsonError, Limits},
    mcp::Constraints,
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

/// The one type (RFC 9396 §2).
pub const TYPE: &str = "mcp_tool";
/// Longest text, as we write it: it goes through a code, and each token carries it.
pub const MAX_LENGTH: usize = 400;
/// Most tools of one request.
pub const MAX_TOOLS: usize = 16;
/// Longest name of a tool, in bytes.
const MAX_NAME: usize = 128;
/// How much may be sent: spaces do not count against [`MAX_LENGTH`].
const MAX_SENT: usize = 4096;

/// What a client asks for, or was given: at least one tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationDetails(Vec<Tool>);

/// One tool, and what its arguments have to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    name: Box<str>,
    arguments: Constraints,
}

/// Why they are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailsError {
    /// Not strict JSON.
    Json(JsonError),
    /// Not an array of objects, or an empty one, or a long one.
    Form,
    /// Another type, or none.
    Type,
    /// A member that the type does not have.
    Member,
    /// No name of a tool.
    Name,
    /// No conditions.
    Arguments,
    /// Longer than [`MAX_LENGTH`].
    TooLong,
}

impl DetailsError {
    /// In words, with what to change.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Json(_) => "authorization_details is not strict JSON",
            Self::Form => "authorization_details has to be an array of 1 to 16 objects",
            Self::Type => "the only type of authorization_details is mcp_tool",
            Self::Member => "mcp_tool has the members type, tool and arguments, and no others",
            Self::Name => "tool has to be the name of a tool: 1 to 128 visible ASCII characters",
            Self::Arguments => {
                "arguments has to be an object of conditions: a value, or one of equals, one_of, matches, min and max"
            }
            Self::TooLong => {
                "authorization_details may have 400 characters without spaces: ask for fewer tools or conditions"
            }
        }
    }
}

impl AuthorizationDetails {
    /// Reads what a client sends.
    pub fn parse(text: &str) -> Result<Self, DetailsError> {
        let value = json::parse_value(text.as_bytes(), Limits { bytes: MAX_SENT, depth: 8 });
        let details = Self::from_value(&value.map_err(DetailsError::Json)?)?;
        if details.to_string().len() > MAX_LENGTH { Err(DetailsError::TooLong) } else { Ok(details) }
    }

    /// Reads a claim, of a document that was read strictly. What is not understood is refused and never passed over: it says
    /// what a token is not good for.
    pub fn from_value(value: &Value) -> Result<Self, DetailsError> {
        let entries = value.as_array().ok_or(DetailsError::Form)?;
        if entries.is_empty() || entries.len() > MAX_TOOLS {
            return Err(DetailsError::Form);
        }
        entries.iter().map(tool).collect::<Result<_, _>>().map(Self)
    }

    /// Whether a tool may be called with these arguments: one entry says so.
    pub fn allow(&self, tool: &str, arguments: Option<&Value>) -> bool {
        self.0.iter().any(|one| *one.name == *tool && one.arguments.allow(arguments))
    }

    /// Whether a tool may be called with some arguments at least: it is worth showing.
    pub fn name(&self, tool: &str) -> bool {
        self.0.iter().any(|one| *one.name == *tool)
    }

    /// For people, a line for each tool: `pay, only with amount: at most 100`.
    pub fn sentences(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|tool| {
            let conditions: Vec<String> = tool.arguments.in_words().map(|words| plain(&words)).collect();
            let only = if conditions.is_empty() { "" } else { ", only with " };
            format!("{}{only}{}", tool.name, conditions.join("; "))
        })
    }

    /// As JSON, without spaces. The same details have the same text.
    fn to_value(&self) -> Value {
        self.0.iter().map(Tool::to_value).collect()
    }
}

/// As it is kept, and compared.
impl std::fmt::Display for AuthorizationDetails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_value().fmt(f)
    }
}

impl Serialize for AuthorizationDetails {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl Tool {
    fn to_value(&self) -> Value {
        let mut members = Map::from_iter([("type".into(), json!(TYPE)), ("tool".into(), json!(self.name))]);
        if !self.arguments.is_empty() {
            members.insert("arguments".into(), self.arguments.to_value());
        }
        Value::Object(members)
    }
}

fn tool(value: &Value) -> Result<Tool, DetailsError> {
    let members = value.as_object().ok_or(DetailsError::Form)?;
    // First: what other members mean is for the type to say (RFC 9396 §5).
    if members.get("type").and_then(Value::as_str) != Some(TYPE) {
        return Err(DetailsError::Type);
    }
    if members.keys().any(|name| !matches!(&**name, "type" | "tool" | "arguments")) {
        return Err(DetailsError::Member);
    }
    let is_name = |name: &&str| {
        (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let name = members.get("tool").and_then(Value::as_str).filter(is_name).ok_or(DetailsError::Name)?;
    let arguments = members.get("arguments").map_or(Ok(Constraints::NONE), Constraints::parse);
    Ok(Tool { name: name.into(), arguments: arguments.map_err(|_| DetailsError::Arguments)? })
}

/// Letters and ASCII as they are. Whatever else there is could change what is seen around it (T-11).
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() || c == ' ' || c.is_ascii_graphic() {
            plain.push(c);
        } else {
            plain.extend(c.escape_unicode());
        }
    }
    plain
}

#[cfg(test)]
mod tests;
