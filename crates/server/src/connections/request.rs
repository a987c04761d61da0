//! The authorization request to a service, and the judgement of its answer. Nothing is stored meanwhile: what has to be
//! remembered is in a cookie, sealed with the browser, its session and the person (T-68). An answer that another browser,
//! another session or another person brings finds nothing to be an answer to.

use super::settings::{ConnectionSettings, Endpoints};
use crate::{
    app::App,
    audit::Reason,
    http::browser::{Browser, SignedIn},
};
use hallpass_core::{
    encoding,
    entropy::{Entropy, random},
    parameters::{Limits, ParameterError, Parameters, append_to},
    pkce::CodeVerifier,
    seal::Purpose,
    secret::{self, SecretString},
    time::Timestamp,
};
use std::time::Duration;

/// How long a person may take at the service.
pub(crate) const LIFETIME: Duration = Duration::from_mins(15);
/// Longest sealed request: no browser keeps a longer cookie.
const MOST: usize = 3040;

/// What a sealed request is bound to: it opens for nothing else.
pub(crate) struct Bound {
    purpose: Purpose,
    context: Vec<u8>,
}

impl Bound {
    /// To the browser, its session and its person.
    pub(crate) fn to_person(purpose: Purpose, browser: &Browser, signed_in: &SignedIn) -> Self {
        let mut context = browser.id.to_vec();
        context.extend_from_slice(signed_in.session.id.as_bytes());
        context.extend_from_slice(signed_in.person.id.as_bytes());
        Self { purpose, context }
    }

    /// To the browser, whoever is signed in there.
    pub(crate) fn to_browser(purpose: Purpose, browser: &Browser) -> Self {
        Self { purpose, context: browser.id.to_vec() }
    }
}

/// A request that a person is busy with.
pub(crate) struct Begun {
    state: SecretString,
    verifier: CodeVerifier,
    settings: [u8; 16],
    until: Timestamp,
}

/// Why an answer is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AnswerError {
    /// This browser with this person asked for nothing, or too long ago, or for something else (RFC 9700 §4.7).
    NotAskedFor,
    /// A parameter twice.
    Repeated,
    /// `iss` is another, or missing although it was promised (RFC 9207 §2.4).
    Issuer,
    /// The person said no.
    Declined,
    /// The service refused, or answered nothing of use.
    Refused,
}

impl Reason for AnswerError {
    fn reason(&self) -> &'static str {
        match self {
            Self::NotAskedFor => "not_asked_for",
            Self::Repeated => "repeated",
            Self::Issuer => "issuer",
            Self::Declined => "declined",
            Self::Refused => "refused",
        }
    }
}

impl Begun {
    /// Fresh for each request.
    pub(crate) fn new(
        connection: &ConnectionSettings,
        entropy: &dyn Entropy,
        (now, lifetime): (Timestamp, Duration),
    ) -> Self {
        Self {
            state: SecretString::new(encoding::base64url(&random::<24>(entropy))),
            verifier: CodeVerifier::new(entropy),
            settings: connection.digest(),
            until: now.plus(lifetime),
        }
    }

    /// For the token request.
    pub(crate) fn verifier(&self) -> &str {
        self.verifier.expose()
    }

    /// The page at the service. What `more` says goes before what the operator wrote under the same name.
    pub(crate) fn page(
        &self,
        connection: &ConnectionSettings,
        endpoints: &Endpoints,
        redirect_uri: &str,
        more: &[(&str, &str)],
    ) -> String {
        let challenge = self.verifier.challenge();
        let scope = connection.scope.to_string();
        let mut pairs = vec![
            ("response_type", "code"),
            ("client_id", &*connection.client.client_id),
            ("redirect_uri", redirect_uri),
            ("code_challenge", &*challenge),
            ("code_challenge_method", "S256"),
            ("state", self.state.expose()),
        ];
        if !scope.is_empty() {
            pairs.push(("scope", &scope));
        }
        if let Some(resource) = &connection.resource {
            pairs.push(("resource", resource));
        }
        let written = connection.parameters.iter().map(|(name, value)| (&**name, &**value));
        pairs.extend(written.filter(|(name, _)| more.iter().all(|(said, _)| said != name)));
        pairs.extend(more);
        append_to(endpoints.authorization.as_str(), pairs)
    }

    /// For the cookie of this browser, with what else has to be remembered.
    pub(crate) fn seal(&self, app: &App, bound: &Bound, more: &[u8]) -> String {
        let mut text = self.settings.to_vec();
        text.extend_from_slice(&self.until.millis().to_be_bytes());
        text.extend_from_slice(self.state.expose().as_bytes());
        text.push(b' ');
        text.extend_from_slice(self.verifier.expose().as_bytes());
        if !more.is_empty() {
            text.push(b' ');
            text.extend_from_slice(more);
        }
        encoding::base64url(&app.keys.seal(bound.purpose, &bound.context, &text, &*app.entropy))
    }

    /// What was asked for by whom this is bound to, and what else was to be remembered.
    pub(crate) fn open(app: &App, bound: &Bound, cookie: &str) -> Option<(Self, String)> {
        let sealed = encoding::from_base64url(cookie).filter(|sealed| sealed.len() <= MOST)?;
        let text = app.keys.open(bound.purpose, &bound.context, &sealed).ok()?;
        let (settings, rest) = text.split_first_chunk::<16>()?;
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (state, rest) = std::str::from_utf8(rest).ok()?.split_once(' ')?;
        let (verifier, more) = rest.split_once(' ').unwrap_or((rest, ""));
        let begun = Self {
            state: SecretString::new(state),
            verifier: CodeVerifier::from_text(verifier).ok()?,
            settings: *settings,
            until: Timestamp::from_millis(i64::from_be_bytes(*until)),
        };
        Some((begun, more.to_owned()))
    }

    /// Whether an answer at the redirect URI of this service, as it is configured now, is one to this request. Each service
    /// has a redirect URI of its own: a code of one is never sent to another (RFC 9700 §4.4.2).
    pub(crate) fn is_for(&self, connection: &ConnectionSettings, query: &str, now: Timestamp) -> bool {
        let query = Parameters::parse(query.as_bytes(), Limits::default()).unwrap_or_default();
        let mut states = query.all("state");
        let state = states.next().filter(|_| states.next().is_none());
        let same = state.is_some_and(|state| secret::equal(state.as_bytes(), self.state.expose().as_bytes()));
        same && now < self.until && self.settings == connection.digest()
    }
}

/// Judges an answer that is one to our request: duplicates, then `iss` also where it says an error, then what it says.
pub(crate) fn code(query: &str, endpoints: &Endpoints) -> Result<SecretString, AnswerError> {
    let query = Parameters::parse(query.as_bytes(), Limits::default()).map_err(|error| match error {
        ParameterError::Duplicate(_) => AnswerError::Repeated,
        ParameterError::Malformed | ParameterError::TooLarge => AnswerError::Refused,
    })?;
    if ["code", "error", "iss"].iter().any(|name| query.all(name).count() > 1) {
        return Err(AnswerError::Repeated);
    }
    match (query.get("iss"), &endpoints.issuer) {
        (Some(said), Some(issuer)) if said != issuer => return Err(AnswerError::Issuer),
        (None, _) if endpoints.sends_iss => return Err(AnswerError::Issuer),
        (Some(_) | None, _) => {}
    }
    match (query.get("code").filter(|code| !code.is_empty()), query.get("error")) {
        (Some(code), None) => Ok(SecretString::new(code)),
        (None, Some("access_denied")) => Err(AnswerError::Declined),
        (None, _) | (Some(_), Some(_)) => Err(AnswerError::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::settings::WrittenConnection;
    use hallpass_core::{entropy::SystemEntropy, uri::EndpointUrl};

    fn endpoints(issuer: Option<&str>, sends_iss: bool) -> Endpoints {
        let url = |path: &str| EndpointUrl::parse(&format!("https://git.example{path}")).unwrap();
        let issuer = issuer.map(str::to_owned);
        Endpoints {
            authorization: url("/a?tenant=1"),
            token: url("/t"),
            revocation: None,
            userinfo: None,
            issuer,
            sends_iss,
        }
    }

    fn connection() -> ConnectionSettings {
        let scopes = ["repo".to_owned(), "mail".to_owned()];
        ConnectionSettings::new(&WrittenConnection {
            name: "git",
            issuer: Some("https://git.example"),
            client_id: "us &1",
            secret: Some(SecretString::new("canary")),
            scopes: &scopes,
            resource: Some("https://api.example/"),
            parameters: vec![("access_type".into(), "offline".into())],
            ..WrittenConnection::default()
        })
        .unwrap()
    }

    #[test]
    fn rs_061_cl_028_the_request_is_complete_and_has_no_secret() {
        let now = Timestamp::from_seconds(1_000);
        let begun = Begun::new(&connection(), &SystemEntropy, (now, LIFETIME));
        let more = [("nonce", "n"), ("access_type", "online")];
        let other = begun.page(&connection(), &endpoints(None, false), "https://us.example/back", &more);
        assert!(other.ends_with("&nonce=n&access_type=online") && !other.contains("offline"), "{other}");
        let page = begun.page(&connection(), &endpoints(None, false), "https://us.example/back", &[]);
        let query = page.strip_prefix("https://git.example/a?tenant=1&").unwrap();
        let sent = Parameters::parse(query.as_bytes(), Limits::default()).unwrap();
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "us &1"),
            ("redirect_uri", "https://us.example/back"),
            ("code_challenge", &*begun.verifier.challenge()),
            ("code_challenge_method", "S256"),
            ("scope", "repo mail"),
            ("resource", "https://api.example/"),
            ("access_type", "offline"),
        ] {
            assert_eq!(sent.all(name).collect::<Vec<_>>(), [value], "{name}");
        }
        let state = sent.get("state").unwrap();
        assert!(state.len() == 32 && !page.contains("canary") && !page.contains(begun.verifier()));
        assert!(begun.is_for(&connection(), &format!("state={state}"), now));
        for (other, query, later) in [
            (connection(), format!("state={state}x"), 0),
            (connection(), String::new(), 0),
            (connection(), format!("state={state}&state={state}"), 0),
            (connection(), format!("state={state}"), 900),
            (ConnectionSettings { name: "mail".into(), ..connection() }, format!("state={state}"), 0),
        ] {
            assert!(!begun.is_for(&other, &query, now.plus(Duration::from_secs(later))), "{query}");
        }
    }

    #[test]
    fn rs_061_cl_045_who_answers_is_who_was_asked() {
        let said =
            |query: &str, endpoints: &Endpoints| code(query, endpoints).map(|code| code.expose().to_owned());
        let (quiet, known, promised) = (
            endpoints(None, false),
            endpoints(Some("https://git.example"), false),
            endpoints(Some("https://git.example"), true),
        );
        let good = "code=c&iss=https%3A%2F%2Fgit.example";
        for server in [&quiet, &known, &promised] {
            assert_eq!(said(good, server), Ok("c".into()));
        }
        assert_eq!(said("code=c", &known), Ok("c".into()));
        assert_eq!(said("code=c", &promised), Err(AnswerError::Issuer));
        for other in ["https://git.example/", "https://evil.example", "x"] {
            assert_eq!(said(&format!("code=c&iss={other}"), &known), Err(AnswerError::Issuer), "{other}");
            assert_eq!(said(&format!("error=x&iss={other}"), &known), Err(AnswerError::Issuer), "{other}");
        }
        for (query, error) in [
            ("code=a&code=b", AnswerError::Repeated),
            ("error=access_denied", AnswerError::Declined),
            ("error=server_error", AnswerError::Refused),
            ("code=a&error=b", AnswerError::Refused),
            ("code=", AnswerError::Refused),
            ("", AnswerError::Refused),
        ] {
            assert_eq!(said(query, &quiet), Err(error), "{query}");
        }
    }
}
