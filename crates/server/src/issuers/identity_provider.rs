//! A company's identity provider (ID-JAG, draft-ietf-oauth-identity-assertion-authz-grant): whom it speaks for, and what its
//! assertion allows. Pure.

use super::TrustedIssuer;
use crate::settings::{Resource, Settings};
use hallpass_core::{encoding, jwt::grant_assertion::GrantAssertion, scope::Scope};
use serde_json::Value;
use std::collections::BTreeMap;

/// An identity provider, and whose accounts it speaks for.
#[derive(Clone, Debug)]
pub struct IdentityProvider {
    /// Who says so.
    pub issuer: TrustedIssuer,
    /// The one tenant of it that is ours, where its tokens name one.
    pub tenant: Option<String>,
    /// Names of accounts here by `sub` there, before those that are linked in the store. An e-mail address links nobody: another company may have the same one.
    pub accounts: BTreeMap<String, String>,
}

/// What an identity assertion allows.
#[derive(Clone, Debug)]
pub struct Allowed<'a> {
    /// The name of the account here, where the configuration gives one; else the one that is linked.
    pub account: Option<&'a str>,
    /// The servers that it may be used for: at least one.
    pub resources: Vec<&'a Resource>,
    /// No more than these scopes; without it, whatever there is.
    pub scope: Option<Scope>,
    /// Whoever asks has to prove this key.
    pub key: Option<[u8; 32]>,
}

/// Why a genuine assertion allows nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAllowed {
    /// It was made for another client.
    Client,
    /// It is of another tenant of the identity provider.
    Tenant,
    /// Nobody here is linked to whom it is about.
    Account,
    /// It is for a server that is not here, or does not say for which of several.
    Resource,
    /// Its scope is none.
    Scope,
    /// It is bound to a key that nobody proved, or limited in a way that we do not understand: taking it as it is would undo
    /// that.
    Constraint,
}

impl IdentityProvider {
    /// What the assertion allows this client (ID-JAG §4.4.1).
    pub fn allows<'a>(
        &'a self,
        assertion: &GrantAssertion,
        client_id: &str,
        settings: &'a Settings,
    ) -> Result<Allowed<'a>, NotAllowed> {
        let text = |name: &str| assertion.claims.get(name).map(|value| value.as_str().unwrap_or_default());
        if text("client_id") != Some(client_id) {
            return Err(NotAllowed::Client);
        }
        if assertion.claims.contains_key("authorization_details") {
            return Err(NotAllowed::Constraint);
        }
        let key = assertion.claims.get("cnf").map(thumbprint).transpose()?;
        if text("tenant") != self.tenant.as_deref() {
            return Err(NotAllowed::Tenant);
        }
        let account = self.accounts.get(&assertion.subject).map(String::as_str);
        let resources = resources(assertion.claims.get("resource"), settings)?;
        let scope = match assertion.claims.get("scope").map(Value::as_str) {
            None => None,
            Some(text) => Some(Scope::parse(text.ok_or(NotAllowed::Scope)?).map_err(|_| NotAllowed::Scope)?),
        };
        Ok(Allowed { account, resources, scope, key })
    }
}

/// `cnf.jkt`, and nothing beside it that would have to be understood (RFC 9449 §6.1).
fn thumbprint(confirmation: &Value) -> Result<[u8; 32], NotAllowed> {
    let members = confirmation.as_object().filter(|members| members.len() == 1);
    let text = members.and_then(|members| members.get("jkt")).and_then(Value::as_str);
    text.and_then(encoding::array_from_base64url).ok_or(NotAllowed::Constraint)
}

/// The servers that it names, all of which have to be here; without any, the only one that there is (`decisions`, 2).
fn resources<'a>(claim: Option<&Value>, settings: &'a Settings) -> Result<Vec<&'a Resource>, NotAllowed> {
    let named: Vec<&str> = match claim {
        None => return settings.only_resource().map(|only| vec![only]).ok_or(NotAllowed::Resource),
        Some(Value::Array(values)) => values.iter().map(|value| value.as_str().unwrap_or_default()).collect(),
        Some(value) => vec![value.as_str().unwrap_or_default()],
    };
    let found: Option<Vec<&Resource>> = named.into_iter().map(|one| settings.resource(one)).collect();
    found.filter(|found| !found.is_empty()).ok_or(NotAllowed::Resource)
}
