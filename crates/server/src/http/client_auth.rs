//! Who calls an endpoint that clients authenticate at (RFC 6749 §2.3).

use crate::{
    app::App,
    audit::Reason,
    clients::{self, AuthMethod, registered},
    router::Incoming,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hallpass_core::{
    error::ErrorCode,
    parameters::{self, Parameters},
    secret,
};

use super::respond::Refusal;

/// Proof of who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthenticatedClient {
    id: String,
    name: String,
    refresh: bool,
}

impl AuthenticatedClient {
    /// The `client_id` as written.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it registered as its name; empty for a metadata document's client, which is shown by its host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the client registered the grant type `refresh_token`.
    pub const fn may_refresh(&self) -> bool {
        self.refresh
    }
}

/// Broken rules of client authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthRefusal {
    /// No `client_id` anywhere.
    Missing,
    /// More than one way of authentication, or two different client ids.
    TwoMethods,
    /// The `Authorization` header is not Basic with base64 of `id:secret`.
    MalformedHeader,
    /// Not a client of ours. A wrong secret looks the same.
    Unknown,
    /// A secret is due and none was sent.
    SecretMissing,
    /// Not the secret.
    SecretWrong,
    /// The client registered as public and sends a secret: it was misled, or somebody downgrades.
    SecretOfPublicClient,
    /// A method that this server does not offer.
    MethodNotOffered,
}

impl Reason for ClientAuthRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "client_missing",
            Self::TwoMethods => "client_two_methods",
            Self::MalformedHeader => "client_malformed_header",
            Self::Unknown => "client_unknown",
            Self::SecretMissing => "client_secret_missing",
            Self::SecretWrong => "client_secret_wrong",
            Self::SecretOfPublicClient => "client_secret_of_public_client",
            Self::MethodNotOffered => "client_method_not_offered",
        }
    }
}

impl ClientAuthRefusal {
    /// What the client learns.
    pub fn refusal(self, by_header: bool) -> Refusal {
        let refusal = match self {
            Self::Missing => Refusal::new(ErrorCode::InvalidRequest, "client_id is required"),
            Self::TwoMethods => {
                Refusal::new(ErrorCode::InvalidRequest, "use one method of client authentication only")
            }
            Self::MethodNotOffered => {
                Refusal::new(ErrorCode::InvalidClient, "this method of client authentication is not offered")
            }
            Self::SecretOfPublicClient => {
                Refusal::new(ErrorCode::InvalidClient, "this client is registered without a secret")
            }
            Self::MalformedHeader | Self::Unknown | Self::SecretMissing | Self::SecretWrong => {
                Refusal::new(ErrorCode::InvalidClient, "unknown client or wrong credentials: register again")
            }
        };
        Refusal { basic: by_header, ..refusal }
    }
}

/// Finds out who calls, or why not. The flag says whether the `Authorization` header was used.
pub fn authenticate(
    app: &App,
    incoming: &Incoming,
    parameters: &Parameters,
) -> Result<AuthenticatedClient, (ClientAuthRefusal, bool)> {
    let header = incoming.headers.get_all("authorization").iter().count();
    let by_header = header > 0;
    credentials(incoming, parameters, header)
        .and_then(|(id, secret)| check(app, &id, secret.as_deref()))
        .map_err(|refusal| (refusal, by_header))
}

fn credentials(
    incoming: &Incoming,
    parameters: &Parameters,
    headers: usize,
) -> Result<(String, Option<String>), ClientAuthRefusal> {
    let body_id = parameters.get("client_id");
    let body_secret = parameters.get("client_secret");
    if parameters.get("client_assertion").is_some() || parameters.get("client_assertion_type").is_some() {
        return Err(ClientAuthRefusal::MethodNotOffered);
    }
    if headers == 0 {
        let id = body_id.ok_or(ClientAuthRefusal::Missing)?;
        return Ok((id.to_owned(), body_secret.map(str::to_owned)));
    }
    if headers > 1 || body_secret.is_some() {
        return Err(ClientAuthRefusal::TwoMethods);
    }
    let value = incoming.headers.get("authorization").and_then(|value| value.to_str().ok());
    let (id, secret) = value.and_then(basic).ok_or(ClientAuthRefusal::MalformedHeader)?;
    if body_id.is_some_and(|body_id| body_id != id) {
        return Err(ClientAuthRefusal::TwoMethods);
    }
    Ok((id, Some(secret)))
}

/// `Basic base64(urlencode(id) ":" urlencode(secret))`. Our ids and secrets are unreserved characters, so that clients
/// which forget the inner encoding mean the same.
fn basic(value: &str) -> Option<(String, String)> {
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > 8192 {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    let plain = |text: &str| {
        let parsed = Parameters::parse(format!("v={text}").as_bytes(), parameters::Limits::default()).ok()?;
        parsed.get("v").map(str::to_owned)
    };
    Some((plain(id)?, plain(secret)?))
}

fn check(app: &App, id: &str, secret: Option<&str>) -> Result<AuthenticatedClient, ClientAuthRefusal> {
    // A metadata document's client is public here: the code or token it presents names it, and no exchange waits for
    // a fetch.
    if clients::is_document(id) {
        return match secret {
            None => Ok(AuthenticatedClient { id: id.to_owned(), name: String::new(), refresh: true }),
            Some(_) => Err(ClientAuthRefusal::SecretOfPublicClient),
        };
    }
    let client = registered::read_head(&app.keys, id).ok_or(ClientAuthRefusal::Unknown)?;
    match (client.auth, secret) {
        (AuthMethod::None, None) => {}
        (AuthMethod::None, Some(_)) => return Err(ClientAuthRefusal::SecretOfPublicClient),
        (AuthMethod::SecretBasic | AuthMethod::SecretPost, None) => {
            return Err(ClientAuthRefusal::SecretMissing);
        }
        (AuthMethod::SecretBasic | AuthMethod::SecretPost, Some(secret)) => {
            let expected = registered::secret(&app.keys, id).ok_or(ClientAuthRefusal::Unknown)?;
            if !secret::equal(secret.as_bytes(), expected.expose().as_bytes()) {
                return Err(ClientAuthRefusal::SecretWrong);
            }
        }
    }
    Ok(AuthenticatedClient { id: id.to_owned(), name: client.name, refresh: client.refresh })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_125_b_20_basic_in_all_its_spellings() {
        let encode = |text: &str| format!("bAsIc {}", STANDARD.encode(text));
        assert_eq!(basic(&encode("id:secret")), Some(("id".into(), "secret".into())));
        assert_eq!(basic(&encode("a%3Ab:%25%26+x")), Some(("a:b".into(), "%& x".into())));
        for bad in [
            "Basic",
            "Basic ",
            "Basic ???",
            "Bearer abc",
            &encode("no colon"),
            &encode("a:%zz"),
            &encode("a:%"),
        ] {
            assert_eq!(basic(bad), None, "{bad}");
        }
    }
}
