//! Conditions on the arguments of a tool: exact values, one of several, patterns of texts, ranges of numbers.
//!
//! They are written as JSON, an argument by its name or by a JSON pointer (RFC 6901) and what it has to be:
//!
//! ```
//! use hallpass_core::mcp::{Constraints, Verdict};
//! use serde_json::json;
//!
//! let text = json!({
//!     "currency": "EUR",
//!     "amount": { "min": 1, "max": 100 },
//!     "/to/bank": { "one_of": ["A", "B"] },
//!     "path": { "matches": "/public/*" },
//! });
//! let constraints = Constraints::parse(&text).unwrap();
//! let mut call = json!({ "currency": "EUR", "amount": 7, "to": { "bank": "A" }, "path": "/public/a", "note": "x" });
//! assert!(constraints.allow(Some(&call)));
//! call["amount"] = json!(101);
//! assert_eq!(constraints.judge(Some(&call)), Verdict::Unmet("amount"));
//! ```
//!
//! Arguments that no condition names may be anything. An argument that is missing or of another type meets none: who
//! calls could leave it to a default of the server, or have it converted there.

mod parse;

use super::{names::is_mistaken_for, pattern::Pattern};
use serde_json::{Map, Number, Value};
use std::fmt;

pub use parse::ConstraintError;

/// Conditions that all have to be met.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraints(Vec<Constraint>);

/// What one argument has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Constraint {
    /// As it was written: a name, or a pointer.
    at: Box<str>,
    path: Box<[Box<str>]>,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    /// Texts, numbers or truth values.
    OneOf(Vec<Value>),
    /// Any of these, for a text.
    Matches(Vec<Pattern>),
    /// Both ends belong to it.
    Range { min: Option<Number>, max: Option<Number> },
}

/// What arguments are, compared with conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// All that is asked.
    Met,
    /// Something else: this one is of the right type and has another value.
    Unmet(&'a str),
    /// This one is missing, of another type, or can be read in two ways. A permission must not be given for it, and a
    /// prohibition must not be passed by it.
    Unclear(&'a str),
}

impl Constraints {
    /// No conditions.
    pub const NONE: Self = Self(Vec::new());

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether arguments may be these: all conditions are met, for sure.
    pub fn allow(&self, arguments: Option<&Value>) -> bool {
        self.judge(arguments) == Verdict::Met
    }

    /// Compares arguments, as they were read by [`super::Message::parse`], which refuses members that occur twice.
    pub fn judge(&self, arguments: Option<&Value>) -> Verdict<'_> {
        let mut verdict = Verdict::Met;
        for constraint in &self.0 {
            match constraint.judge(arguments) {
                Verdict::Unmet(at) => return Verdict::Unmet(at),
                unclear @ Verdict::Unclear(_) if verdict == Verdict::Met => verdict = unclear,
                Verdict::Met | Verdict::Unclear(_) => {}
            }
        }
        verdict
    }

    /// As JSON, always the same text for the same conditions.
    pub fn to_value(&self) -> Value {
        let members = self.0.iter().map(|constraint| (constraint.at.to_string(), constraint.test.to_value()));
        Value::Object(members.collect())
    }

    /// For people, one phrase for each argument: `amount: at least 1 and at most 100`.
    pub fn in_words(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|constraint| format!("{}: {}", constraint.at, constraint.test))
    }
}

impl Constraint {
    fn judge(&self, arguments: Option<&Value>) -> Verdict<'_> {
        let found = arguments.and_then(|arguments| find(arguments, &self.path));
        match found.and_then(|value| self.test.accepts(value)) {
            Some(true) => Verdict::Met,
            Some(false) => Verdict::Unmet(&self.at),
            None => Verdict::Unclear(&self.at),
        }
    }
}

/// Follows the steps. Nothing where a server that folds names (Go's `encoding/json`, CVE-2026-27896) could take a
/// neighbour for the one that is looked at: `{"path":"/public/a","PATH":"/etc/passwd"}`.
fn find<'v>(arguments: &'v Value, path: &[Box<str>]) -> Option<&'v Value> {
    path.iter().try_fold(arguments, |value, step| match value {
        Value::Object(members) => {
            let mistaken = members.keys().any(|other| is_mistaken_for(other, step));
            if mistaken { None } else { members.get(&**step) }
        }
        Value::Array(items) => items.get(index(step)?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    })
}

/// RFC 6901 §4: no leading zeros.
fn index(step: &str) -> Option<usize> {
    let plain = step == "0" || (!step.starts_with('0') && step.bytes().all(|byte| byte.is_ascii_digit()));
    if plain { step.parse().ok() } else { None }
}

impl Test {
    /// `None` where the value cannot be compared.
    fn accepts(&self, value: &Value) -> Option<bool> {
        match (self, value) {
            (Self::OneOf(wanted), Value::String(_) | Value::Bool(_) | Value::Number(_)) => {
                let same = wanted.iter().filter(|one| same_type(one, value)).map(|one| equal(one, value));
                same.reduce(|one, other| one || other)
            }
            (Self::Matches(patterns), Value::String(text)) if is_plain(text) => {
                Some(patterns.iter().any(|pattern| pattern.matches(text)))
            }
            (Self::Matches(patterns), Value::String(text)) => {
                patterns.iter().any(|pattern| pattern.is_exact() && pattern.is(text)).then_some(true)
            }
            (Self::Range { min, max }, Value::Number(number)) => {
                let number = number.as_f64()?;
                let end = |end: &Option<Number>, beyond: fn(f64, f64) -> bool| {
                    end.as_ref().and_then(Number::as_f64).is_some_and(|end| beyond(number, end))
                };
                Some(!end(min, |number, end| number < end) && !end(max, |number, end| number > end))
            }
            _ => None,
        }
    }

    fn to_value(&self) -> Value {
        let mut members = Map::new();
        match self {
            Self::OneOf(wanted) => match wanted.as_slice() {
                [one] => return one.clone(),
                all => members.insert("one_of".to_owned(), Value::Array(all.to_vec())),
            },
            Self::Matches(patterns) => {
                let texts: Vec<Value> = patterns.iter().map(|pattern| pattern.as_str().into()).collect();
                let one = if let [one] = texts.as_slice() { Some(one.clone()) } else { None };
                members.insert("matches".to_owned(), one.unwrap_or(Value::Array(texts)))
            }
            Self::Range { min, max } => {
                for (name, end) in [("min", min), ("max", max)] {
                    if let Some(end) = end {
                        members.insert(name.to_owned(), Value::Number(end.clone()));
                    }
                }
                None
            }
        };
        Value::Object(members)
    }
}

impl fmt::Display for Test {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let any = |texts: Vec<String>| texts.join(" or ");
        match self {
            Self::OneOf(wanted) => out.write_str(&any(wanted.iter().map(Value::to_string).collect())),
            Self::Matches(patterns) => {
                let quoted = patterns.iter().map(|pattern| format!("{:?}", pattern.as_str()));
                write!(out, "like {}", any(quoted.collect()))
            }
            Self::Range { min: Some(min), max: Some(max) } => {
                write!(out, "at least {min} and at most {max}")
            }
            Self::Range { min: Some(min), max: None } => write!(out, "at least {min}"),
            Self::Range { max: Some(max), .. } => write!(out, "at most {max}"),
            Self::Range { .. } => out.write_str("any number"),
        }
    }
}

fn same_type(one: &Value, other: &Value) -> bool {
    matches!(
        (one, other),
        (Value::String(_), Value::String(_))
            | (Value::Number(_), Value::Number(_))
            | (Value::Bool(_), Value::Bool(_))
    )
}

/// Numbers by what they are worth, as double precision: 1 is 1.0. What is wanted is below 2^53, so nothing is rounded to it
/// from beyond.
fn equal(wanted: &Value, value: &Value) -> bool {
    match (wanted.as_f64(), value.as_f64()) {
        (Some(wanted), Some(value)) => wanted.total_cmp(&value).is_eq() || (wanted == 0.0 && value == 0.0),
        _ => wanted == value,
    }
}

/// Whether a pattern may speak for this text: nothing in it that leads elsewhere once somebody resolves it (T-78).
/// `/public/*` was not written with `/public/../etc/passwd` in mind.
fn is_plain(text: &str) -> bool {
    const LOOK_ALIKES: [char; 6] = ['\\', '\u{2024}', '\u{2025}', '\u{ff0e}', '\u{ff0f}', '\u{ff3c}'];
    let lower = text.to_ascii_lowercase();
    !text.chars().any(|c| c.is_control() || LOOK_ALIKES.contains(&c))
        && !["%2e", "%2f", "%5c", "%25", "%00"].iter().any(|escape| lower.contains(escape))
        && !text.split(['/', '?', '#']).any(|segment| {
            let plain = segment.split(';').next().unwrap_or_default().trim();
            matches!(plain, "." | "..")
        })
}

#[cfg(test)]
mod tests;
