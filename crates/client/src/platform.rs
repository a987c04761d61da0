//! The token of the platform that a program runs on, as a grant (SEP-1933): where it is found, and whether it may leave. Pure;
//! the driver reads and asks.

use aws_lc_rs::digest;
use hallpass_core::{
    encoding::{base64url, from_base64url},
    json,
    secret::SecretString,
};
use hallpass_fetch::FetchError;
use serde_json::Value;
use std::{fmt, io, sync::Arc};
use zeroize::Zeroizing;

/// Where the guide has Kubernetes write the token for hallpass. Not the one that is in every pod: that one is the pod's key to
/// the cluster itself, and for nobody else.
const KUBERNETES: &str = "/var/run/secrets/hallpass/token";
/// Longest token. Those of platforms have one or two thousand characters.
pub(crate) const MAX_TOKEN: u64 = 16 * 1024;

/// Where the token is found. It is looked up again for each grant: platforms write new ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenSource {
    /// A file that holds it and nothing else: projected by Kubernetes, written by `spiffe-helper`, …
    File(
        /// Its path.
        String,
    ),
    /// A variable of the environment.
    Variable(
        /// Its name.
        String,
    ),
    /// GitHub Actions, which are asked for one with the right audience.
    GitHubActions,
    /// The SPIFFE Workload API, behind the socket that `SPIFFE_ENDPOINT_SOCKET` names.
    Spiffe(
        /// Of which identity, where the program has several; `None`: of its first.
        Option<String>,
    ),
}

impl TokenSource {
    /// Reads `file:PATH`, `env:NAME`, `github`, `spiffe` or an id (`spiffe://…`), and `kubernetes`; the last is the file of the
    /// guide.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Some(Self::File(path.to_owned())),
            Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => {
                Some(Self::Variable(name.to_owned()))
            }
            None if text == "kubernetes" => Some(Self::File(KUBERNETES.to_owned())),
            Some(("spiffe", id)) if id.len() > 2 && id.starts_with("//") => {
                Some(Self::Spiffe(Some(text.to_owned())))
            }
            None if text == "github" => Some(Self::GitHubActions),
            None if text == "spiffe" => Some(Self::Spiffe(None)),
            _ => None,
        }
    }
}

impl fmt::Display for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "file:{path}"),
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::GitHubActions => f.write_str("github"),
            Self::Spiffe(id) => f.write_str(id.as_deref().unwrap_or("spiffe")),
        }
    }
}

/// A platform, as a program uses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// Where its token is.
    pub source: TokenSource,
    /// What the authorization server is called in it, where that is not its issuer identifier. Only together with the one
    /// issuer that it may go to: whoever is called otherwise than they are could be anybody.
    pub audience: Option<String>,
}

/// Why there is no token that may be sent. The paths and names are the person's own; nothing of a token is in it.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The variable is not there.
    #[error("the variable {0} is not set")]
    NotSet(String),
    /// GitHub gives this job no tokens.
    #[error("GitHub gives this job no token; its workflow has to say: permissions: {{ id-token: write }}")]
    NoJobToken,
    /// No SPIFFE agent is named.
    #[error("SPIFFE_ENDPOINT_SOCKET names no socket of this machine (unix:///path)")]
    NoSocket,
    /// The SPIFFE agent does not answer.
    #[error("the SPIFFE agent: {0}")]
    Agent(#[from] FetchError),
    /// It answers, and there is no token.
    #[error("the SPIFFE agent gives this program no token{}; it has to be registered there", .code.map_or(String::new(), |code| format!(" (gRPC status {code})")))]
    NoIdentity {
        /// The status of gRPC; 7 is a program that the agent does not know.
        code: Option<u32>,
    },
    /// There is something else than a token.
    #[error("{0} holds no token (a JWT of at most 16 KiB)")]
    NotAToken(TokenSource),
    /// It is for somebody else: sent on, it could be used there (T-62).
    #[error(
        "the token of {found_in} is not for {audience} alone, and is not sent there; have the platform make one that is"
    )]
    Audience {
        /// Where it was.
        found_in: TokenSource,
        /// Whom it has to be for.
        audience: String,
    },
    /// A name for the authorization server, and nothing that says which one is meant.
    #[error("another audience than the issuer needs the issuer that the token may go to")]
    AudienceAlone,
    /// `invalid_grant`.
    #[error(
        "the authorization server does not take the token of {0}: it was used before, or is about nobody who is let in"
    )]
    Refused(TokenSource),
    /// The one that was used is still there.
    #[error("{0} still holds the token that was used; the platform makes another one in a while")]
    Unchanged(TokenSource),
}

/// How a program's environment is read. The library itself reads none.
#[derive(Clone)]
pub struct Variables(Arc<Read>);

type Read = dyn Fn(&str) -> Option<SecretString> + Send + Sync;

impl Variables {
    /// By this function.
    pub fn read_by(read: impl Fn(&str) -> Option<SecretString> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(crate) fn get(&self, name: &str) -> Option<SecretString> {
        (self.0)(name).filter(|value| !value.expose().is_empty())
    }
}

impl Default for Variables {
    fn default() -> Self {
        Self::read_by(|_| None)
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables")
    }
}

/// The address at which GitHub makes a token for this audience. What the environment gives has a query already.
pub(crate) fn job_token_url(base: &str, audience: &str) -> String {
    let audience: String = url::form_urlencoded::byte_serialize(audience.as_bytes()).collect();
    let separator = if base.contains('?') { '&' } else { '?' };
    format!("{base}{separator}audience={audience}")
}

/// The token out of what was read, if it is one for this audience and nobody else. One that others take too would be theirs to
/// use: a hostile MCP server names its own authorization server, and would collect the pod's key to the cluster.
pub(crate) fn checked(
    read: &[u8],
    source: &TokenSource,
    audience: &str,
) -> Result<SecretString, PlatformError> {
    let none = || PlatformError::NotAToken(source.clone());
    let text = std::str::from_utf8(read).map_err(|_| none())?.trim_ascii();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let fits = u64::try_from(text.len()).is_ok_and(|length| length <= MAX_TOKEN);
    if !fits || !text.bytes().all(is_token) || text.split('.').count() != 3 {
        return Err(none());
    }
    let payload = text.split('.').nth(1).and_then(from_base64url).map(Zeroizing::new).ok_or_else(none)?;
    let claims = json::parse_object(&payload, json::Limits::default()).map_err(|_| none())?;
    let is_for = match claims.get("aud") {
        Some(Value::Array(all)) => all.len() == 1 && all.iter().all(|one| one == audience),
        Some(one) => one == audience,
        None => false,
    };
    if !is_for {
        return Err(PlatformError::Audience { found_in: source.clone(), audience: audience.to_owned() });
    }
    Ok(SecretString::new(text))
}

/// Tells one token from the next without keeping it.
pub(crate) fn mark(token: &SecretString) -> String {
    base64url(digest::digest(&digest::SHA256, token.expose().as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn token(claims: &Value) -> String {
        format!("e30.{}.c2ln", base64url(claims.to_string().as_bytes()))
    }

    #[test]
    fn sources_are_read_and_written() {
        for text in ["file:/run/token", "env:MY_TOKEN", "github", "spiffe", "spiffe://example.org/billing"] {
            assert_eq!(TokenSource::parse(text).unwrap().to_string(), text);
        }
        let kubernetes = TokenSource::parse("kubernetes").unwrap();
        assert_eq!(kubernetes, TokenSource::File("/var/run/secrets/hallpass/token".to_owned()));
        for wrong in [
            "",
            "file:",
            "env:",
            "env:A=B",
            "gitlab",
            "kubernetes:x",
            "spiffe:x",
            "spiffe://",
            "github:",
            "File:/x",
            "/run/token",
        ] {
            assert_eq!(TokenSource::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn cl_093_t_62_only_a_token_for_this_server_alone_leaves() {
        let source = TokenSource::File("/t".to_owned());
        let judge = |text: &str| checked(text.as_bytes(), &source, "https://as.example");
        let of = |aud: Value| judge(&token(&serde_json::json!({ "aud": aud })));
        let ours = serde_json::json!("https://as.example");
        assert!(of(ours.clone()).is_ok() && of(serde_json::json!([ours])).is_ok());
        for aud in [
            serde_json::json!("https://as.example/"),
            serde_json::json!("https://kubernetes.default.svc"),
            serde_json::json!([ours, "https://kubernetes.default.svc"]),
            serde_json::json!([]),
            Value::Null,
            serde_json::json!({ "0": ours }),
        ] {
            assert!(matches!(of(aud.clone()), Err(PlatformError::Audience { .. })), "{aud}");
        }
    }

    #[test]
    fn what_is_no_token_is_told_apart_and_not_shown() {
        let source = TokenSource::Variable("CI_TOKEN".to_owned());
        let good = token(&serde_json::json!({ "aud": "a" }));
        assert_eq!(checked(format!(" {good}\r\n").as_bytes(), &source, "a").unwrap().expose(), good);
        let long = format!("{good}{}", "A".repeat(16 * 1024));
        for wrong in [
            "",
            "canary",
            "a.canary.c",
            "a.b.c.d",
            &format!("{good} canary"),
            &format!("{good}\n{good}"),
            &long,
            "\u{e9}.e30.x",
        ] {
            let error = checked(wrong.as_bytes(), &source, "a").unwrap_err();
            assert!(matches!(error, PlatformError::NotAToken(_)));
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
        assert!(checked(&[0xff, 0xfe], &source, "a").is_err());
    }

    #[test]
    fn the_audience_is_encoded_into_githubs_address() {
        assert_eq!(
            job_token_url("https://x/y?a=1", "https://as/?b&c"),
            "https://x/y?a=1&audience=https%3A%2F%2Fas%2F%3Fb%26c"
        );
        assert_eq!(job_token_url("https://x/y", "a"), "https://x/y?audience=a");
    }
}
