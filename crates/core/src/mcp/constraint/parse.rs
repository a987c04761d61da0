//! Conditions from JSON, within bounds.

use super::{Constraint, Constraints, Test};
use crate::mcp::pattern::Pattern;
use serde_json::{Map, Number, Value};

/// Most conditions.
const MOST: usize = 32;
/// Most values or patterns of one.
const ALTERNATIVES: usize = 64;
/// Longest name, value or pattern, in bytes.
const LONGEST: usize = 1024;
/// Most steps of a pointer.
const STEPS: usize = 8;
/// 2^53: from here on not every integer has a double of its own.
const INEXACT: f64 = 9_007_199_254_740_992.0;

/// Why conditions are refused. Each names the argument and the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// Something else than an object.
    #[error("conditions on arguments are an object, such as {{\"path\": {{\"matches\": \"/public/*\"}}}}")]
    NotAnObject,
    /// Over [`MOST`].
    #[error("there are more than 32 conditions on arguments")]
    TooMany,
    /// An empty name, a pointer with an unknown escape, or a long one.
    #[error(
        "the argument {0:?} is neither a name nor a JSON pointer such as \"/to/bank\" of at most 8 steps and 1024 bytes"
    )]
    Name(String),
    /// Not a condition.
    #[error(
        "the condition on {0:?} has to be a text, a number, true, false, or an object with one_of, matches, min or max"
    )]
    Form(String),
    /// Another member than those known, or several that do not go together.
    #[error("the condition on {0:?} takes one of: equals; one_of; matches; min and max")]
    Members(String),
    /// No values or patterns, too many, or too long ones.
    #[error("the condition on {0:?} takes 1 to 64 values of at most 1024 bytes")]
    Values(String),
    /// Not exact.
    #[error("the numbers of the condition on {0:?} have to be below 2^53, and min not above max")]
    Numbers(String),
}

impl Constraints {
    /// Reads conditions.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn parse(value: &Value) -> Result<Self, ConstraintError> {
        let Value::Object(members) = value else { return Err(ConstraintError::NotAnObject) };
        if members.len() > MOST {
            return Err(ConstraintError::TooMany);
        }
        let all = members.iter().map(|(at, condition)| {
            let path = path(at).ok_or_else(|| ConstraintError::Name(at.chars().take(80).collect()))?;
            Ok(Constraint { at: at.as_str().into(), path, test: test(at, condition)? })
        });
        all.collect::<Result<_, _>>().map(Self)
    }
}

fn path(at: &str) -> Option<Box<[Box<str>]>> {
    if at.is_empty() || at.len() > LONGEST || at.chars().any(char::is_control) {
        return None;
    }
    let Some(pointer) = at.strip_prefix('/') else { return Some(Box::new([at.into()])) };
    let steps: Option<Vec<Box<str>>> = pointer.split('/').map(unescaped).collect();
    steps.filter(|steps| steps.len() <= STEPS).map(Vec::into_boxed_slice)
}

/// RFC 6901 §3: `~1` is `/`, `~0` is `~`, and nothing else begins with `~`.
fn unescaped(step: &str) -> Option<Box<str>> {
    let mut parts = step.split('~');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = (part.get(..1)?, part.get(1..)?);
        plain.push(match escaped {
            "0" => '~',
            "1" => '/',
            _ => return None,
        });
        plain.push_str(rest);
    }
    Some(plain.into())
}

fn test(at: &str, condition: &Value) -> Result<Test, ConstraintError> {
    let Some(members) = condition.as_object() else { return one_of(at, std::slice::from_ref(condition)) };
    let only = |name: &str| if members.len() == 1 { members.get(name) } else { None };
    if let Some(value) = only("equals") {
        one_of(at, std::slice::from_ref(value))
    } else if let Some(values) = only("one_of") {
        one_of(at, values.as_array().ok_or_else(|| ConstraintError::Form(at.to_owned()))?)
    } else if let Some(patterns) = only("matches") {
        matches(at, patterns)
    } else {
        range(at, members)
    }
}

fn one_of(at: &str, values: &[Value]) -> Result<Test, ConstraintError> {
    let refused = |error: fn(String) -> ConstraintError| Err(error(at.to_owned()));
    if values.is_empty() || values.len() > ALTERNATIVES {
        return refused(ConstraintError::Values);
    }
    for value in values {
        match value {
            Value::String(text) if text.len() > LONGEST => return refused(ConstraintError::Values),
            Value::Number(number) if !is_exact(number) => return refused(ConstraintError::Numbers),
            Value::String(_) | Value::Number(_) | Value::Bool(_) => {}
            // Nothing is what a missing argument is to many servers.
            Value::Null | Value::Array(_) | Value::Object(_) => return refused(ConstraintError::Form),
        }
    }
    Ok(Test::OneOf(values.to_vec()))
}

fn matches(at: &str, patterns: &Value) -> Result<Test, ConstraintError> {
    let texts = patterns.as_array().map_or(std::slice::from_ref(patterns), Vec::as_slice);
    let patterns: Option<Vec<Pattern>> = texts
        .iter()
        .map(|text| text.as_str().filter(|text| text.len() <= LONGEST).map(Pattern::new))
        .collect();
    match patterns {
        Some(patterns) if (1..=ALTERNATIVES).contains(&patterns.len()) => Ok(Test::Matches(patterns)),
        _ => Err(ConstraintError::Values(at.to_owned())),
    }
}

fn range(at: &str, members: &Map<String, Value>) -> Result<Test, ConstraintError> {
    if members.is_empty() || members.keys().any(|name| !matches!(&**name, "min" | "max")) {
        return Err(ConstraintError::Members(at.to_owned()));
    }
    let end = |name: &str| match members.get(name) {
        None => Ok(None),
        Some(Value::Number(number)) if is_exact(number) => Ok(Some(number.clone())),
        Some(_) => Err(ConstraintError::Numbers(at.to_owned())),
    };
    let (min, max) = (end("min")?, end("max")?);
    let worth = |end: &Option<Number>| end.as_ref().and_then(Number::as_f64);
    match (worth(&min), worth(&max)) {
        (Some(min), Some(max)) if min > max => Err(ConstraintError::Numbers(at.to_owned())),
        _ => Ok(Test::Range { min, max }),
    }
}

fn is_exact(number: &Number) -> bool {
    number.as_f64().is_some_and(|number| number.abs() < INEXACT)
}
