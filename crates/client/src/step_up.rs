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

#[cfg(test)]
mod tests {
    use super::*;

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
