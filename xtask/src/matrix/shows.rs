//! What a test shows: that what is right goes through, that what is wrong does not, or both. Found by words, so that nobody
//! has to keep a list: a refusal that is asserted, or a name that says so.

/// What was found in one test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shows {
    /// Something that is right goes through.
    pub serves: bool,
    /// Something that is wrong is refused, or does not happen.
    pub refuses: bool,
}

/// Words of a name that is about what must not be.
const NAMES: &str = " another away bad beyond blocked bounded broken cannot closed dead denied differ different ended ends \
    exact expired fails failing flood foreign forbidden forged gone hidden hostile ignored invalid late limited loses missing \
    mistake mistakes near neither never no nobody none nor not nothing nowhere old once only other others outside over refuse \
    refused refuses rejected replay replayed revoked spellings stale stolen stops stranger strangers strange thief too twice \
    unknown withdrawn without wrong ";

/// What stands in an assertion of a refusal.
const REFUSALS: &[&str] = &[
    "is_err",
    "Err(",
    "unwrap_err",
    "expect_err",
    "is_none",
    "None)",
    ", None",
    "== None",
    "assert!(!",
    "assert_ne!",
    "&& !",
    "is_empty()",
    "refus",
    "Refus",
    "reject",
    "invalid_",
    "denied",
    "insufficient",
    "throws(",
    "doesNotMatch",
    "notEqual",
    "notDeepEqual",
    "false",
    ".error",
    "\"error",
    "Error",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "BAD_REQUEST",
    "NOT_FOUND",
    "NOT_ALLOWED",
    "TOO_MANY",
    "TOO_LARGE",
    "UNAVAILABLE",
    "CONFLICT",
    "_required",
];

/// The same outside of assertions: helpers that assert by themselves.
const HELPERS: &[&str] = &["unwrap_err", "expect_err", "is_err", "refused(", "refuses(", "rejects("];
/// What goes through, outside of assertions.
const SERVED: &[&str] = &["StatusCode::OK", "is_ok", "Ok("];

impl Shows {
    /// From the name of a test and its text.
    pub fn of(name: &str, body: &str) -> Self {
        let has = |text: &str, words: &[&str]| words.iter().any(|word| text.contains(word));
        let asserted = assertions(body);
        let refusal = |text: &&str| has(text, REFUSALS) || numbers(text).any(is_refusal);
        let alone = asserted.is_empty() && refusal(&body);
        let refuses = is_named(name) || has(body, HELPERS) || alone || asserted.iter().any(refusal);
        let goes_through =
            has(body, SERVED) || numbers(body).any(|number| matches!(number, 200..=204 | 302 | 303));
        // Whoever asserts elsewhere and says nothing of refusals shows that something works.
        let serves = goes_through || asserted.is_empty() || asserted.iter().any(|text| !refusal(text));
        Self { serves, refuses }
    }

    /// As it stands on the page.
    pub const fn mark(self) -> &'static str {
        match (self.serves, self.refuses) {
            (true, true) => "±",
            (false, true) => "−",
            (true | false, false) => "+",
        }
    }
}

fn is_named(name: &str) -> bool {
    let name = name.to_lowercase();
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.any(|word| NAMES.contains(&format!(" {word} ")))
}

/// From `assert` to the end of its statement.
fn assertions(body: &str) -> Vec<&str> {
    let begins = |at: usize| {
        let before = body.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_' || before == '/')
    };
    let places = body.match_indices("assert").map(|(at, _)| at).filter(|at| begins(*at));
    places
        .filter_map(|at| {
            let from = body.get(at..)?;
            from.get(..from.find(';').unwrap_or(from.len()))
        })
        .collect()
}

/// The whole numbers in a text.
fn numbers(text: &str) -> impl Iterator<Item = u32> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter_map(|word| word.parse().ok())
}

/// Status codes of HTTP and codes of JSON-RPC that refuse.
const fn is_refusal(number: u32) -> bool {
    matches!(number, 400..=431 | 501..=504 | 32000..=32099 | 32600..=32700)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(name: &str, body: &str) -> &'static str {
        Shows::of(name, body).mark()
    }

    #[test]
    fn an_asserted_refusal_is_one_and_any_other_assertion_is_not() {
        for body in [
            "{ assert_eq!(answer.status, 401); }",
            "{ assert!(read(text).is_err(), \"{text}\"); }",
            "{ assert!(!seen.contains(\"a\")); }",
            "{ assert_eq!(read(x), None); }",
            "{ assert_eq!(answer.error(), \"invalid_grant\"); }",
            "{ assert_eq!(answer.json()[\"error\"][\"code\"], -32001); }",
            "{ await assert.rejects(ask()); }",
        ] {
            assert_eq!(mark("as_001_a", body), "−", "{body}");
        }
        for body in [
            "{ assert_eq!(claims, expected); }",
            "{ helper(); }",
            "{ assert_eq!(Token { scope: None, .. }, x); }",
        ] {
            assert_eq!(mark("as_001_a", body), "+", "{body}");
        }
    }

    #[test]
    fn both_in_one_test_are_both() {
        assert_eq!(mark("a", "{ assert_eq!(a, 1); assert_eq!(status, 403); }"), "±");
        assert_eq!(mark("a", "{ let answer = ask().await.unwrap_err(); assert_eq!(left, 1); }"), "±");
        assert_eq!(mark("nobody_gets_in", "{ helper(); }"), "±");
    }

    #[test]
    fn a_name_speaks_in_whole_words() {
        assert_eq!(mark("as_001_a_notice_is_shown", "{ assert_eq!(a, b); }"), "+");
        assert_eq!(mark("as_001_it_is_not_shown", "{ assert_eq!(a, b); }"), "±");
        assert_eq!(mark("nothing is shown (AS-001)", "{ assert.equal(a, b); }"), "±");
    }
}
