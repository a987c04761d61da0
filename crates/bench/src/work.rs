//! What is asked: one kind of request each.

use crate::{exchange, load::Work, subject::Account};
use anyhow::{Context, Result};
use hallpass_core::{
    encoding,
    entropy::{self, SystemEntropy},
    jose::SigningKey,
    time::{Clock, SystemClock},
};
use serde_json::{Value, json};
use std::sync::Arc;

/// The message that goes through the gateway.
pub const MESSAGE: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{}}"#;

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\naccept: application/json\r\n";

/// The same bytes each time.
#[derive(Clone)]
pub struct Same(Arc<[u8]>);

impl Same {
    /// `GET` of this path.
    pub fn get(host: &str, path: &str) -> Self {
        Self(exchange::get(host, path, "accept: application/json\r\n").into())
    }

    /// A form of the length of a refresh, for the floors that only read it.
    pub fn form(host: &str) -> Self {
        let body = format!(
            "grant_type=refresh_token&client_id={}&refresh_token={}",
            "c".repeat(110),
            "r".repeat(64)
        );
        Self(exchange::post(host, "/token", FORM, &body).into())
    }

    /// A message to an MCP server, with this token.
    pub fn call(host: &str, token: &str) -> Self {
        Self(call(host, "/mcp", token).into())
    }
}

/// A message to the MCP server at this path, with this token.
pub fn call(host: &str, path: &str, token: &str) -> Vec<u8> {
    let fields = format!(
        "authorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-06-18\r\n"
    );
    exchange::post(host, path, &fields, MESSAGE)
}

/// The stream of the server's own messages, with this token.
pub fn listen(host: &str, token: &str) -> Vec<u8> {
    let fields = format!(
        "authorization: Bearer {token}\r\naccept: text/event-stream\r\nmcp-protocol-version: 2025-06-18\r\n"
    );
    exchange::get(host, "/mcp", &fields)
}

impl Same {
    /// These bytes.
    pub fn of(request: &[u8]) -> Self {
        Self(request.into())
    }
}

impl Work for Same {
    fn request(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&self.0);
        Ok(())
    }

    fn answer(&mut self, _: &[u8]) -> Result<()> {
        Ok(())
    }
}

/// A fresh code each time.
pub struct Redemptions(pub Arc<Account>);

impl Work for Redemptions {
    fn request(&mut self, out: &mut Vec<u8>) -> Result<()> {
        out.extend_from_slice(&redemption(&self.0));
        Ok(())
    }

    fn answer(&mut self, body: &[u8]) -> Result<()> {
        member(body, "access_token").map(|_| ())
    }
}

/// The request that redeems a fresh code.
pub fn redemption(account: &Account) -> Vec<u8> {
    redemption_of(&account.host, &account.client_id, account.code().expose())
}

/// The request that redeems this code.
pub fn redemption_of(host: &str, client_id: &str, code: &str) -> Vec<u8> {
    let body = format!(
        "grant_type=authorization_code&client_id={client_id}&code={code}&code_verifier={}&redirect_uri={}",
        Account::VERIFIER,
        "http%3A%2F%2F127.0.0.1%3A5000%2Fcallback",
    );
    exchange::post(host, "/token", FORM, &body)
}

/// The same with a proof.
pub fn bound_redemption(account: &Account, proofs: &Proofs) -> Result<Vec<u8>> {
    let body = format!(
        "grant_type=authorization_code&client_id={}&code={}&code_verifier={}",
        account.client_id,
        account.code().expose(),
        Account::VERIFIER
    );
    Ok(form(&account.host, &body, &format!("dpop: {}\r\n", proofs.proof()?)))
}

/// A form for the token endpoint, with further header fields.
pub fn form(host: &str, body: &str, fields: &str) -> Vec<u8> {
    exchange::post(host, "/token", &format!("{FORM}{fields}"), body)
}

/// Signs what is good once: client assertions and DPoP proofs.
pub struct Proofs {
    key: SigningKey,
    jwk: Value,
    issuer: String,
}

impl Proofs {
    /// For the server behind this `Host`.
    pub fn new(key: SigningKey, host: &str) -> Self {
        let mut jwk = key.public_jwk().to_json();
        for more in ["alg", "use", "kid"] {
            jwk.as_object_mut().and_then(|members| members.remove(more));
        }
        Self { key, jwk, issuer: format!("http://{host}") }
    }

    /// That this client asks (RFC 7523 §3).
    pub fn assertion(&self, client: &str) -> Result<String> {
        let now = SystemClock.now().seconds();
        let header = json!({ "alg": "ES256", "typ": "JWT", "kid": self.key.key_id() });
        let claims = json!({
            "iss": client, "sub": client, "aud": self.issuer, "jti": once(), "iat": now, "exp": now + 60,
        });
        self.signed(&header, &claims)
    }

    /// That the holder of the key asks (RFC 9449 §4.2).
    pub fn proof(&self) -> Result<String> {
        let header = json!({ "alg": "ES256", "typ": "dpop+jwt", "jwk": self.jwk });
        let claims = json!({
            "jti": once(), "htm": "POST", "htu": format!("{}/token", self.issuer),
            "iat": SystemClock.now().seconds(),
        });
        self.signed(&header, &claims)
    }

    fn signed(&self, header: &Value, claims: &Value) -> Result<String> {
        let part = |value: &Value| encoding::base64url(value.to_string().as_bytes());
        let text = format!("{}.{}", part(header), part(claims));
        let signature = self.key.sign_bytes(text.as_bytes())?;
        Ok(format!("{text}.{}", encoding::base64url(&signature)))
    }
}

fn once() -> String {
    encoding::base64url(&entropy::random::<16>(&SystemEntropy))
}

/// The request that asks whether this token is alive.
pub fn introspection_of(host: &str, path: &str, authorization: &str, token: &str) -> Vec<u8> {
    let fields = format!(
        "content-type: application/x-www-form-urlencoded\r\naccept: application/json\r\nauthorization: {authorization}\r\n"
    );
    exchange::post(host, path, &fields, &format!("token={token}"))
}

/// Refreshes some grants in turn, each time with the token that came last.
pub struct Refreshes {
    host: String,
    client_id: String,
    tokens: Vec<String>,
    at: usize,
    proofs: Option<Arc<Proofs>>,
}

impl Refreshes {
    /// The same with a fresh proof each time.
    pub fn bound(self, proofs: Arc<Proofs>) -> Self {
        Self { proofs: Some(proofs), ..self }
    }

    /// Of these grants of this client, one refresh token each.
    pub fn new(host: &str, client_id: &str, tokens: Vec<String>) -> Self {
        Self { host: host.to_owned(), client_id: client_id.to_owned(), tokens, at: 0, proofs: None }
    }
}

impl Work for Refreshes {
    fn request(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let token = self.tokens.get(self.at).context("no grant")?;
        let body = format!("grant_type=refresh_token&client_id={}&refresh_token={token}", self.client_id);
        let fields = match &self.proofs {
            Some(proofs) => format!("dpop: {}\r\n", proofs.proof()?),
            None => String::new(),
        };
        out.extend_from_slice(&form(&self.host, &body, &fields));
        Ok(())
    }

    fn answer(&mut self, body: &[u8]) -> Result<()> {
        let token = self.tokens.get_mut(self.at).context("no grant")?;
        token.clear();
        token.push_str(member(body, "refresh_token")?);
        self.at = if self.at + 1 < self.tokens.len() { self.at + 1 } else { 0 };
        Ok(())
    }
}

/// A text member of flat JSON whose value has nothing to unescape, as tokens have not.
pub fn member<'a>(body: &'a [u8], name: &str) -> Result<&'a str> {
    let text = std::str::from_utf8(body)?;
    let marker = format!("\"{name}\":\"");
    let value = text.split_once(&marker).and_then(|(_, rest)| rest.split_once('"'));
    value.map(|(value, _)| value).with_context(|| format!("no {name} in {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_found() {
        let body = br#"{"access_token":"a.b","refresh_token":"hpr_x"}"#;
        assert_eq!(member(body, "refresh_token").unwrap(), "hpr_x");
        assert!(member(body, "scope").is_err());
    }
}
