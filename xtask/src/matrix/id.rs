//! The numbers of requirements, and how tests name them: `as_037`, `rs_010`, `cl_044`, `b_03`, `t_100`, and ranges such as
//! `as_077_to_as_089` or `rs_001_to_005`.

use std::collections::BTreeSet;
use std::fmt;

/// Which list a number belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    AuthorizationServer,
    ResourceServer,
    Client,
    Mistake,
    Threat,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::AuthorizationServer, Self::ResourceServer, Self::Client, Self::Mistake, Self::Threat];

    const fn prefix(self) -> &'static str {
        match self {
            Self::AuthorizationServer => "AS",
            Self::ResourceServer => "RS",
            Self::Client => "CL",
            Self::Mistake => "B",
            Self::Threat => "T",
        }
    }

    const fn digits(self) -> usize {
        match self {
            Self::AuthorizationServer | Self::ResourceServer | Self::Client => 3,
            Self::Mistake | Self::Threat => 2,
        }
    }

    fn of(prefix: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.prefix().eq_ignore_ascii_case(prefix))
    }
}

/// The number of one requirement, such as `AS-037`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Id {
    kind: Kind,
    number: u16,
}

impl Id {
    /// Reads `AS-037`, spelt just so.
    pub fn parse(text: &str) -> Option<Self> {
        let (prefix, digits) = text.split_once('-')?;
        let id = Self { kind: Kind::of(prefix)?, number: digits.parse().ok()? };
        (id.to_string() == text).then_some(id)
    }
}

impl fmt::Display for Id {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{:0width$}", self.kind.prefix(), self.number, width = self.kind.digits())
    }
}

/// What the name of a test claims.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Each number, those between the ends of a range too.
    pub ids: BTreeSet<Id>,
    /// What looks like a number or range and is none, as it stands in the name.
    pub wrong: Vec<String>,
}

/// Reads the name of a test. Case and what stands between words do not matter, so titles in prose can say `AS-037`.
pub fn claims(name: &str) -> Claims {
    let name = name.to_lowercase();
    let words: Vec<&str> =
        name.split(|found: char| !found.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut found = Claims::default();
    let mut rest = words.as_slice();
    while let [first, others @ ..] = rest {
        let (claim, taken) = claim(first, others);
        match claim {
            Some(Ok(ids)) => found.ids.extend(ids),
            Some(Err(wrong)) => found.wrong.push(wrong),
            None => {}
        }
        rest = others.get(taken..).unwrap_or_default();
    }
    found
}

/// The claim that begins with this word, and how many of the words after it belong to it.
fn claim(first: &str, others: &[&str]) -> (Option<Result<Vec<Id>, String>>, usize) {
    let Some(kind) = Kind::of(first) else { return (None, 0) };
    let is_number = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit());
    let (from, to, taken) = match others {
        [from, "to", prefix, to, ..]
            if is_number(from) && Kind::of(prefix) == Some(kind) && is_number(to) =>
        {
            (from, to, 4)
        }
        [from, "to", to, ..] if is_number(from) && is_number(to) => (from, to, 3),
        [from, ..] if is_number(from) => (from, from, 1),
        _ => return (None, 0),
    };
    let ids = range(kind, from, to)
        .ok_or_else(|| format!("{first}_{}", others.get(..taken).unwrap_or_default().join("_")));
    (Some(ids), taken)
}

fn range(kind: Kind, from: &str, to: &str) -> Option<Vec<Id>> {
    let id = |digits: &str| Id::parse(&format!("{}-{digits}", kind.prefix()));
    let (from, to) = (id(from)?, id(to)?);
    (from <= to).then(|| (from.number..=to.number).map(|number| Id { kind, number }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> (Vec<String>, Vec<String>) {
        let found = claims(name);
        (found.ids.iter().map(ToString::to_string).collect(), found.wrong)
    }

    fn ids(name: &str) -> Vec<String> {
        let (ids, wrong) = named(name);
        assert_eq!(wrong, Vec::<String>::new());
        ids
    }

    #[test]
    fn each_list_is_recognised_anywhere_in_a_name() {
        assert_eq!(ids("as_037_b_05_near_misses_do_not_match"), ["AS-037", "B-05"]);
        assert_eq!(ids("p01_as_143_b_12_converge"), ["AS-143", "B-12"]);
        assert_eq!(ids("rs_010_cl_044_t_04_t_100"), ["RS-010", "CL-044", "T-04", "T-100"]);
        assert_eq!(ids("a person signs in (AS-090, T-15): light"), ["AS-090", "T-15"]);
    }

    #[test]
    fn words_that_only_look_alike_are_no_numbers() {
        for name in
            ["kill_9_loses_nothing", "as_many_as_there_are", "t_shirts", "m14_p03_rfc_7636", "b", "has_037"]
        {
            assert_eq!(named(name), (vec![], vec![]), "{name}");
        }
    }

    #[test]
    fn a_range_counts_for_each_of_its_numbers() {
        let all = ["AS-077", "AS-078", "AS-079", "AS-080"];
        assert_eq!(ids("as_077_to_as_080_each_broken_rule"), all);
        assert_eq!(ids("as_077_to_080_each_broken_rule"), all);
        assert_eq!(
            ids("as_019_to_as_020_b_25_t_09_to_t_11"),
            ["AS-019", "AS-020", "B-25", "T-09", "T-10", "T-11"]
        );
        assert_eq!(ids("as_001_to_rs_003_from_one_to_the_other"), ["AS-001", "RS-003"]);
    }

    #[test]
    fn misspelt_numbers_and_backward_ranges_are_wrong() {
        assert_eq!(named("as_37_short").1, ["as_37"]);
        assert_eq!(named("b_003_long").1, ["b_003"]);
        assert_eq!(named("as_080_to_as_077").1, ["as_080_to_as_077"]);
        assert_eq!(named("t_4_and_t_05"), (vec!["T-05".into()], vec!["t_4".into()]));
    }

    #[test]
    fn an_id_has_one_spelling() {
        assert_eq!(Id::parse("T-103").unwrap().to_string(), "T-103");
        for bad in ["AS-37", "as-037", "AS-0037", "AS037", "T-4", "X-001", "AS-", "AS-99999"] {
            assert_eq!(Id::parse(bad), None, "{bad}");
        }
    }
}
