//! An access token for a narrower one (RFC 8693): an agent that was given access lets a sub-agent do a part of it. The sub-agent
//! asks as itself, with the agent's token as what it acts for; the server names both in the new token.

use crate::{
    machine::Asking,
    peer::Failure,
    storage::Tokens,
    token::{Asked, TokenError, members_of, tokens},
};
use bytes::Bytes;
use hallpass_core::{entropy::Entropy, json, scope::Scope, secret::SecretString, time::Timestamp};
use http::{Request, Response};

/// RFC 8693 §2.1.
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// The request: one access token for another one, for the same resource. An empty `scope` leaves out the parameter, and the server
/// decides, up to what the first token has.
///
/// # Errors
/// [`TokenError::Request`].
pub fn narrower_request(
    asking: &Asking<'_>,
    subject_token: &SecretString,
    (resource, scope): (&str, &Scope),
    moment: (Timestamp, &dyn Entropy),
) -> Result<Request<Bytes>, TokenError> {
    let scope = scope.to_string();
    let mut parameters = vec![
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", subject_token.expose()),
        ("subject_token_type", ACCESS_TOKEN),
        ("requested_token_type", ACCESS_TOKEN),
        ("resource", resource),
    ];
    if !scope.is_empty() {
        parameters.push(("scope", &scope));
    }
    asking.post(&parameters, moment)
}

/// The narrower token. One that is good for more than was asked for is refused: whoever handed on a part would have handed on the
/// whole.
///
/// # Errors
/// Every variant but `Request`.
pub fn read_narrower(
    response: &Response<Bytes>,
    scope: &Scope,
    now: Timestamp,
) -> Result<Tokens, Failure<TokenError>> {
    let members = members_of(response)?;
    let kind = json::string(&members, "issued_token_type").map_err(|_| TokenError::Malformed)?;
    if kind != Some(ACCESS_TOKEN) {
        return Err(TokenError::TokenType.into());
    }
    let narrower = tokens(&members, Asked { scope, refresh_token: None, proof_key: None }, now)?;
    if !scope.is_empty() && !scope.covers(&narrower.scope) {
        return Err(TokenError::MoreThanAsked.into());
    }
    // It ends with the token that it was made of: what would outlive that is not taken.
    Ok(Tokens { refresh_token: None, ..narrower })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{ClientCredentials, TokenAuth};
    use hallpass_core::{
        entropy::SystemEntropy,
        parameters::{Limits, Parameters},
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn the_request_names_one_token_one_resource_and_who_asks() {
        let client = ClientCredentials {
            client_id: "researcher".into(),
            client_secret: Some(SecretString::new("s")),
            auth: TokenAuth::Post,
        };
        let asking = Asking {
            endpoint: "https://as.example/token",
            issuer: "https://as.example",
            client: &client,
            key: None,
        };
        let form = |scope: &str| {
            let scope = Scope::of(scope.split(' ').filter(|one| !one.is_empty()));
            let what_for = ("https://mcp.example/mcp", &scope);
            let request =
                narrower_request(&asking, &SecretString::new("agents"), what_for, (NOW, &SystemEntropy));
            Parameters::parse(request.unwrap().body(), Limits::default()).unwrap()
        };
        let read = form("read");
        for (name, value) in [
            ("grant_type", TOKEN_EXCHANGE),
            ("subject_token", "agents"),
            ("subject_token_type", ACCESS_TOKEN),
            ("requested_token_type", ACCESS_TOKEN),
            ("resource", "https://mcp.example/mcp"),
            ("scope", "read"),
            ("client_id", "researcher"),
            ("client_secret", "s"),
        ] {
            assert_eq!(read.all(name).collect::<Vec<_>>(), [value], "{name}");
        }
        assert_eq!((read.get("actor_token"), form("").get("scope")), (None, None));
    }

    #[test]
    fn an_answer_is_an_access_token_and_no_more_than_was_asked_for() {
        let read = |body: &str, scope: &str| {
            let response = Response::builder().body(Bytes::from(body.to_owned())).unwrap();
            let scope = Scope::of(scope.split(' ').filter(|one| !one.is_empty()));
            read_narrower(&response, &scope, NOW).map_err(|failure| failure.error)
        };
        let good = format!(
            r#"{{"access_token":"n","token_type":"Bearer","issued_token_type":"{ACCESS_TOKEN}","expires_in":60,"scope":"read","refresh_token":"r"}}"#
        );
        let tokens = read(&good, "read write").unwrap();
        assert_eq!((tokens.access_token.expose(), tokens.scope.to_string().as_str()), ("n", "read"));
        assert_eq!(tokens.refresh_token, None, "nothing outlives the agent's token");
        assert_eq!(read(&good, "").unwrap().scope.to_string(), "read");
        assert_eq!(read(&good, "write").unwrap_err(), TokenError::MoreThanAsked);
        assert_eq!(
            read(&good.replace("\"scope\":\"read\"", "\"scope\":\"read admin\""), "read").unwrap_err(),
            TokenError::MoreThanAsked
        );
        assert_eq!(
            read(&good.replace("access_token\",\"exp", "jwt\",\"exp"), "read").unwrap_err(),
            TokenError::TokenType
        );
        assert_eq!(read(&good.replace("issued_token_type", "x"), "read").unwrap_err(), TokenError::TokenType);
        assert_eq!(read(&good.replace("Bearer", "N_A"), "read").unwrap_err(), TokenError::TokenType);
        assert_eq!(read(r#"{"error":"invalid_request"}"#, "read").unwrap_err(), TokenError::Refused);
    }
}
