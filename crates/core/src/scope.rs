//! Scope tokens (RFC 6749 §3.3): exact, case-sensitive, separated by single spaces.

use std::fmt;

/// Longest scope parameter that is read.
pub const MAX_LENGTH: usize = 4096;

/// Why a scope text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A character outside `%x21 / %x23-5B / %x5D-7E`, or an empty token between spaces.
    #[error(
        "a scope is one or more tokens of printable ASCII without quotes and backslashes, separated by single spaces"
    )]
    Malformed,
    /// More than [`MAX_LENGTH`] bytes.
    #[error("the scope is too long")]
    TooLong,
}

/// A set of scope tokens in the order first seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Vec<Box<str>>);

impl Scope {
    /// No scope at all.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// Reads a scope parameter; repeated tokens collapse, the empty text is no scope.
    pub fn parse(text: &str) -> Result<Self, ScopeError> {
        if text.len() > MAX_LENGTH {
            return Err(ScopeError::TooLong);
        }
        let mut tokens: Vec<Box<str>> = Vec::new();
        if text.is_empty() {
            return Ok(Self(tokens));
        }
        for token in text.split(' ') {
            if !is_token(token) {
                return Err(ScopeError::Malformed);
            }
            if !tokens.iter().any(|seen| **seen == *token) {
                tokens.push(token.into());
            }
        }
        Ok(Self(tokens))
    }

    /// Collects tokens that are known to be well formed; others are left out.
    pub fn of<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let mut scope = Self::none();
        for token in tokens {
            if is_token(token) && !scope.contains(token) {
                scope.0.push(token.into());
            }
        }
        scope
    }

    /// Whether exactly this token is in it. There are no prefixes and no wildcards.
    pub fn contains(&self, token: &str) -> bool {
        self.0.iter().any(|have| **have == *token)
    }

    /// Whether every token of `other` is in it.
    pub fn covers(&self, other: &Self) -> bool {
        other.iter().all(|token| self.contains(token))
    }

    /// The tokens.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|token| &**token)
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those tokens that are also in `allowed`.
    #[must_use]
    pub fn narrowed_to(&self, allowed: &Self) -> Self {
        Self(self.0.iter().filter(|token| allowed.contains(token)).cloned().collect())
    }

    /// The tokens of both, ours first: step-up asks for the union (SEP-2350).
    #[must_use]
    pub fn united_with(&self, other: &Self) -> Self {
        Self::of(self.iter().chain(other.iter()))
    }
}

/// Whether this is one scope token.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x5B | 0x5D..=0x7E))
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, token) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(token)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_083_rs_034_tokens_are_exact() {
        let scope = Scope::parse("read write read").unwrap();
        assert_eq!(scope.to_string(), "read write");
        assert!(
            scope.contains("read")
                && !scope.contains("rea")
                && !scope.contains("Read")
                && !scope.contains("*")
        );
        assert!(!Scope::parse("readwrite").unwrap().contains("read"));
    }

    #[test]
    fn as_083_malformed_scopes_are_refused() {
        for bad in ["a  b", " a", "a ", "a\"b", "a\\b", "a\tb", "é", "a\nb"] {
            assert_eq!(Scope::parse(bad), Err(ScopeError::Malformed), "{bad:?}");
        }
        assert_eq!(Scope::parse(&"a ".repeat(4000)), Err(ScopeError::TooLong));
        assert!(Scope::parse("").unwrap().is_empty());
    }

    #[test]
    fn sets() {
        let (a, b) = (Scope::parse("x y").unwrap(), Scope::parse("y z").unwrap());
        assert_eq!(a.narrowed_to(&b).to_string(), "y");
        assert_eq!(a.united_with(&b).to_string(), "x y z");
        assert!(!a.covers(&b) && a.covers(&Scope::none()));
    }
}
