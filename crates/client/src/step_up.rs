//! What a refusal by the server asks of the person: to sign in, or to sign in for more.

use crate::discovery::Challenged;
use hallpass_core::scope::Scope;
use http::StatusCode;

/// Why the server did not take a request. It refused before doing anything, so the request may be sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// 401: the token is not good (any more), or there is none.
    Token(Challenged),
    /// 403 with `insufficient_scope`: these scopes are needed, in union with those of before (SEP-2350).
    Scope(Scope),
}

/// Reads a status and its challenges; `None`: not a matter of authorization.
pub fn refusal(status: StatusCode, www_authenticate: &[&str]) -> Option<Refusal> {
    let challenged = Challenged::from_headers(www_authenticate);
    match status {
        StatusCode::UNAUTHORIZED => Some(Refusal::Token(challenged)),
        StatusCode::FORBIDDEN if challenged.error.as_deref() == Some("insufficient_scope") => {
            Some(Refusal::Scope(challenged.scope.unwrap_or_default()))
        }
        _ => None,
    }
}

/// Most sign-ins for one call (CL-077).
const MOST: u8 = 3;
/// Most refusals that are remembered.
const REMEMBERED: usize = 64;

/// How often somebody was asked to sign in, so that a server which is never content does not ask for ever.
#[derive(Clone, Debug, Default)]
pub struct Attempts {
    of_this_call: u8,
    asked: Vec<(String, Scope)>,
}

impl Attempts {
    /// A new call: its sign-ins are counted anew, and what was asked for in vain stays known.
    pub const fn next_call(&mut self) {
        self.of_this_call = 0;
    }

    /// Whether to sign in once more for this operation, and notes that it is done. With `scope`, for more: each
    /// set is asked for once, because somebody who said no to it, or a server that refuses in spite of it, would
    /// do so again.
    pub fn allow(&mut self, operation: &str, scope: Option<&Scope>) -> bool {
        if self.of_this_call >= MOST {
            return false;
        }
        if let Some(scope) = scope {
            let same = |(of, asked): &(String, Scope)| of == operation && asked.covers(scope);
            if self.asked.iter().any(same) {
                return false;
            }
            if self.asked.len() >= REMEMBERED {
                self.asked.remove(0);
            }
            self.asked.push((operation.to_owned(), scope.clone()));
        }
        self.of_this_call = self.of_this_call.saturating_add(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cl_077_t_66_three_sign_ins_and_each_scope_once() {
        let scope = |text: &str| Scope::parse(text).unwrap();
        let mut attempts = Attempts::default();
        assert!(attempts.allow("tools/call", None) && attempts.allow("tools/call", Some(&scope("a"))));
        assert!(!attempts.allow("tools/call", Some(&scope("a"))));
        assert!(attempts.allow("tools/call", Some(&scope("a b"))));
        assert!(!attempts.allow("tools/call", Some(&scope("a b c"))));
        assert!(!attempts.allow("tools/call", None));
        attempts.next_call();
        assert!(!attempts.allow("tools/call", Some(&scope("b a"))));
        assert!(attempts.allow("tools/list", Some(&scope("a"))));
        attempts.next_call();
        assert_eq!((0..9).filter(|_| attempts.allow("tools/call", None)).count(), 3);
        for number in 0..200 {
            attempts.next_call();
            attempts.allow("tools/call", Some(&scope(&format!("s{number}"))));
        }
        assert_eq!(attempts.asked.len(), 64);
    }

    #[test]
    fn cl_076_p20_only_insufficient_scope_asks_for_more() {
        let more = refusal(StatusCode::FORBIDDEN, &[r#"Bearer error="insufficient_scope", scope="a b""#]);
        assert_eq!(more, Some(Refusal::Scope(Scope::parse("a b").unwrap())));
        assert_eq!(refusal(StatusCode::FORBIDDEN, &["Bearer"]), None);
        assert_eq!(refusal(StatusCode::FORBIDDEN, &[]), None);
        assert!(matches!(refusal(StatusCode::UNAUTHORIZED, &[]), Some(Refusal::Token(_))));
        assert_eq!(refusal(StatusCode::BAD_REQUEST, &[r#"Bearer error="insufficient_scope""#]), None);
    }
}
