//! `[sign_in]`: how people sign in, here and at other providers.

use super::Check;
use hallpass_server::{
    SecondFactorPolicy, Settings, SignInProvider, WrittenProvider, connections::WrittenConnection,
};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path, time::Duration};
use toml::Spanned;

/// `[sign_in]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct SignInSection {
    /// "12h".
    pub session_lifetime: Option<Spanned<String>>,
    /// Whether with name and password. Default: yes.
    pub passwords: Option<Spanned<bool>>,
    /// "off", "optional" or "required". Default: "optional".
    pub second_factor: Option<Spanned<SecondFactor>>,
    /// `[[sign_in.provider]]`.
    #[serde(default)]
    pub provider: Vec<ProviderEntry>,
}

/// Whether people sign in with a second factor.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondFactor {
    /// Nobody turns one on.
    Off,
    /// Who wants to.
    Optional,
    /// Everybody.
    Required,
}

/// `[[sign_in.provider]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderEntry {
    /// Its short name: part of the redirect URI.
    pub name: Spanned<String>,
    /// For people.
    pub title: Option<String>,
    /// Who says who somebody is: accounts are linked under it.
    pub issuer: Option<String>,
    /// Where people are sent, where there is no metadata.
    pub authorization_endpoint: Option<String>,
    /// Where codes go.
    pub token_endpoint: Option<String>,
    /// Where it says who somebody is.
    pub userinfo_endpoint: Option<String>,
    /// Where tokens are given back.
    pub revocation_endpoint: Option<String>,
    /// What its userinfo endpoint calls people. Default: "sub".
    pub subject_claim: Option<String>,
    /// What a new account is called after. Default: "preferred_username".
    pub name_claim: Option<String>,
    /// Ours there.
    #[serde(default)]
    pub client_id: String,
    /// A file with our secret there.
    pub secret_file: Option<Spanned<String>>,
    /// A file with our private key there, in place of a secret.
    pub key_file: Option<Spanned<String>>,
    /// The name of that key there.
    pub key_id: Option<Spanned<String>>,
    /// Whom what it signs is for, where that is not the issuer.
    pub key_audience: Option<String>,
    /// How we prove who we are.
    pub auth: Option<String>,
    /// What is asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What it has to say of everybody who is let in.
    #[serde(default)]
    pub claims: BTreeMap<String, String>,
    /// "linked" or "create".
    pub accounts: Option<String>,
    /// "1h": how often it is asked again whether somebody still may; "0s": never.
    pub check: Option<Spanned<String>>,
    /// What else the request has to say.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

const GUIDE: &str = "docs/guide/sign-in-at-another-provider.md has examples";
const CHECK: Duration = Duration::from_hours(1);
const MONTH: u64 = 30 * 86_400;

/// A sentence for each provider by which whoever has an account there gets one here.
pub fn open_to_everybody(settings: &Settings) -> impl Iterator<Item = String> {
    let open = settings.sign_in.providers.iter().filter(|provider| provider.lets_everybody_in());
    open.map(|provider| {
        format!(
            "[[sign_in.provider]] {}: whoever has an account at {} gets one here: write claims, if that is not meant",
            provider.name(),
            provider.issuer
        )
    })
}

impl Check<'_> {
    pub(super) fn sign_in(&mut self, section: &SignInSection, folder: &Path, settings: &mut Settings) {
        let usual = settings.session_lifetime;
        settings.session_lifetime = self.duration(section.session_lifetime.as_ref(), usual, 60, 90 * 86_400);
        if let Some(second_factor) = &section.second_factor {
            settings.sign_in.second_factor = match second_factor.get_ref() {
                SecondFactor::Off => SecondFactorPolicy::Off,
                SecondFactor::Optional => SecondFactorPolicy::Optional,
                SecondFactor::Required => SecondFactorPolicy::Required,
            };
        }
        for entry in &section.provider {
            let Some(provider) = self.provider(entry, folder) else { continue };
            let mut others = settings.sign_in.providers.iter();
            if others.clone().any(|other| other.name() == provider.name()) {
                let what = format!("two providers have the name {:?}", provider.name());
                self.wrong(&entry.name, what, "give each of them one of its own");
            } else if others.any(|other| other.issuer == provider.issuer) {
                let what = format!("two providers have the issuer {}", provider.issuer);
                self.wrong(&entry.name, what, "accounts are linked by issuer: keep one of them");
            } else if provider.issuer == settings.issuer.as_str() {
                let what = "this server cannot be a provider for itself";
                self.wrong(&entry.name, what, "write the issuer of the others");
            } else {
                settings.sign_in.providers.push(provider);
            }
        }
        let Some(passwords) = &section.passwords else { return };
        settings.sign_in.passwords = *passwords.get_ref();
        if !passwords.get_ref() && section.provider.is_empty() {
            let what = "passwords are off, and there is no provider: nobody could sign in";
            self.wrong(passwords, what, "add a [[sign_in.provider]], or remove it");
        }
    }

    fn provider(&mut self, entry: &ProviderEntry, folder: &Path) -> Option<SignInProvider> {
        let files = [entry.secret_file.as_ref(), entry.key_file.as_ref(), entry.key_id.as_ref()];
        let (secret, key) = self.own_credentials(files, folder)?;
        let parameters = entry.parameters.iter().map(|(name, value)| (name.clone(), value.clone()));
        let check = match &entry.check {
            Some(at) if super::duration::parse(at.get_ref()).is_some_and(|time| time.is_zero()) => None,
            at => Some(self.duration(at.as_ref(), CHECK, 60, MONTH)),
        };
        let written = WrittenProvider {
            service: WrittenConnection {
                name: entry.name.get_ref(),
                title: entry.title.as_deref(),
                issuer: None,
                authorization_endpoint: entry.authorization_endpoint.as_deref(),
                token_endpoint: entry.token_endpoint.as_deref(),
                revocation_endpoint: entry.revocation_endpoint.as_deref(),
                userinfo_endpoint: entry.userinfo_endpoint.as_deref(),
                client_id: &entry.client_id,
                key,
                key_audience: entry.key_audience.as_deref(),
                secret,
                auth: entry.auth.as_deref(),
                scopes: &entry.scopes,
                resource: None,
                parameters: parameters.collect(),
            },
            issuer: entry.issuer.as_deref(),
            subject_claim: entry.subject_claim.as_deref(),
            name_claim: entry.name_claim.as_deref(),
            claims: entry.claims.clone(),
            accounts: entry.accounts.as_deref(),
            check,
        };
        match SignInProvider::new(&written) {
            Ok(provider) => Some(provider),
            Err(error) => {
                let what = format!("the provider {:?}: {error}", entry.name.get_ref());
                self.wrong(&entry.name, what, GUIDE);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Problem, parse};
    use std::{path::Path, time::Duration};

    const GOOD: &str = r#"
public_url = "https://mcp.example.com"
[sign_in]
passwords = false
[[sign_in.provider]]
name = "company"
title = "Example Company"
issuer = "https://login.example.com/realms/all"
client_id = "hallpass"
scopes = ["profile", "offline_access"]
claims = { hd = "example.com" }
accounts = "create"
check = "10m"
[[sign_in.provider]]
name = "github"
issuer = "https://github.com"
authorization_endpoint = "https://github.com/login/oauth/authorize"
token_endpoint = "https://github.com/login/oauth/access_token"
userinfo_endpoint = "https://api.github.com/user"
subject_claim = "id"
client_id = "Iv1"
check = "0s"
[[server]]
name = "files"
path = "/files"
"#;

    fn problems(text: &str) -> Vec<Problem> {
        parse(text, Path::new("/x")).map_or_else(|problems| problems, |_| Vec::new())
    }

    #[test]
    fn as_215_where_people_sign_in() {
        let config = parse(GOOD, Path::new("/x")).unwrap();
        let sign_in = &config.settings.sign_in;
        let [company, github] = sign_in.providers.as_slice() else { panic!("{sign_in:?}") };
        assert!(!sign_in.passwords);
        assert_eq!(company.service.scope.to_string(), "openid profile offline_access");
        assert_eq!((company.check, github.check), (Some(Duration::from_mins(10)), None));
        assert_eq!((company.title(), github.title()), ("Example Company", "github"));
        assert!(!config.dangerous.iter().any(|word| word.contains("sign_in")), "{:?}", config.dangerous);
        let open = GOOD.replacen("claims = { hd = \"example.com\" }\n", "", 1);
        let words = parse(&open, Path::new("/x")).unwrap().dangerous;
        assert!(words.iter().any(|word| word.contains("company: whoever has an account")), "{words:?}");
    }

    #[test]
    fn as_097_whether_with_a_second_factor() {
        use hallpass_server::SecondFactorPolicy::{Off, Optional, Required};
        let with = |line: &str| GOOD.replacen("passwords = false", &format!("passwords = false\n{line}"), 1);
        for (line, policy) in [
            ("", Optional),
            ("second_factor = \"off\"", Off),
            ("second_factor = \"optional\"", Optional),
            ("second_factor = \"required\"", Required),
        ] {
            let config = parse(&with(line), Path::new("/x")).unwrap();
            assert_eq!(config.settings.sign_in.second_factor, policy, "{line}");
        }
        for line in ["second_factor = \"always\"", "second_factor = true"] {
            let found = problems(&with(line));
            assert!(found.len() == 1 && found[0].line == Some(5), "{line}: {found:?}");
        }
    }

    #[test]
    fn as_215_t_101_what_is_wrong_with_a_provider_is_told_with_line_and_fix() {
        let same = "[[sign_in.provider]]\nname = \"github\"\nissuer = \"https://x.example\"\nclient_id = \"us\"\n[[server]]";
        for (from, to, line, what) in [
            ("issuer = \"https://login.example.com/realms/all\"\n", "", 6, "issuer is missing"),
            ("https://login.example.com/realms/all", "https://mcp.example.com", 6, "for itself"),
            (
                "https://login.example.com/realms/all",
                "https://github.com",
                15,
                "two providers have the issuer",
            ),
            ("client_id = \"hallpass\"\n", "", 6, "/sign-in/callback/NAME"),
            ("\"create\"", "\"everybody\"", 6, "accounts must be"),
            ("\"10m\"", "\"1s\"", 13, "between 60s"),
            ("userinfo_endpoint", "revocation_endpoint", 15, "userinfo_endpoint"),
            ("subject_claim", "subject", 20, "unknown field"),
            ("[[server]]", same, 24, "two providers have the name"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            let found = problems(&text);
            assert_eq!(found.len(), 1, "{from}: {found:?}");
            let right =
                found[0].line == Some(line) && found[0].what.contains(what) && !found[0].fix.is_empty();
            assert!(right, "{from}: {found:?}");
        }
        let nobody = "public_url = \"https://mcp.example.com\"\n[sign_in]\npasswords = false\n[[server]]\nname = \"a\"\npath = \"/a\"\n";
        let found = problems(nobody);
        assert!(found.len() == 1 && found[0].what.contains("nobody could sign in"), "{found:?}");
    }
}
