//! Whether the names of an object's members can be mistaken for each other.

use std::borrow::Cow;

use super::error::MessageError;

/// Most members of the message, of `params` and of `_meta`. All their names are compared with each other.
const MAX_KNOWN_MEMBERS: usize = 64;
/// Objects up to this size are compared pair by pair, which is faster than sorting.
const FEW: usize = 8;

/// No two names are the same. Sorting keeps a body of a million members from taking a trillion steps, and unlike
/// a hash map there is nothing to collide.
pub(super) fn check_distinct(names: &mut [Cow<'_, str>]) -> Result<(), MessageError> {
    let twice = if names.len() <= FEW {
        let mut rest: &[Cow<'_, str>] = names;
        let mut twice = false;
        while let Some((name, others)) = rest.split_first() {
            twice |= others.contains(name);
            rest = others;
        }
        twice
    } else {
        names.sort_unstable();
        names.windows(2).any(|pair| pair.first() == pair.last())
    };
    if twice { Err(MessageError::DuplicateMember) } else { Ok(()) }
}

/// No name is taken for a known one, and no two names for each other, by a parser that folds: Go's `encoding/json`
/// ignores case (CVE-2026-27896), C strings end at NUL (GHSA-q382-vc8q-7jhj).
pub(super) fn check_folded(names: &[Cow<'_, str>], known: &[&str]) -> Result<(), MessageError> {
    if names.len() > MAX_KNOWN_MEMBERS {
        return Err(MessageError::TooManyMembers);
    }
    // The same name twice is a duplicate, and reported as one.
    let mistaken = if names.iter().all(|name| name.is_ascii() && !name.ends_with('\0')) {
        any_pair(names, known, |one, other| one.eq_ignore_ascii_case(other) && one != other)
    } else {
        any_pair(names, known, |one, other| one != other && fold(one) == fold(other))
    };
    if mistaken { Err(MessageError::FoldedMember) } else { Ok(()) }
}

/// Whether this is so of a name and a known one, or of two names.
fn any_pair(names: &[Cow<'_, str>], known: &[&str], is_so: impl Fn(&str, &str) -> bool) -> bool {
    let mut rest = names;
    while let Some((name, others)) = rest.split_first() {
        if known.iter().any(|known| is_so(name, known)) || others.iter().any(|other| is_so(name, other)) {
            return true;
        }
        rest = others;
    }
    false
}

/// Whether a reader that folds takes one name for another one.
pub(super) fn is_mistaken_for(one: &str, other: &str) -> bool {
    one != other && (fold(one) == fold(other) || one.to_lowercase() == other.to_lowercase())
}

fn fold(name: &str) -> String {
    name.trim_end_matches('\0')
        .chars()
        .map(|c| match c {
            '\u{17f}' => 's',
            '\u{212a}' => 'k',
            _ => c.to_ascii_lowercase(),
        })
        .collect()
}
