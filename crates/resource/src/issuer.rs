//! Other authorization servers whose tokens a resource takes, each with its own keys, audiences and names.
//!
//! Who is called `ann` at one server is not who is called so at another: everybody's name here is the issuer and the name
//! there, so that sessions, limits, caches and rules, which compare names, can never take the one for the other.

use crate::{
    authorized::Identity, introspection::Introspector, keys::KeySource, refuse::Reason, validate::LEEWAY,
};
use hallpass_core::{
    jose::{JwsError, KeySet},
    jwt::{
        AccessTokenError, Expectations, access_token,
        foreign_token::{self, ForeignToken, Style, TokenType},
    },
    scope::Scope,
    time::Timestamp,
};
use std::sync::Arc;

/// Another authorization server, as one resource sees it.
#[derive(Clone, Debug)]
pub struct TrustedIssuer {
    /// `iss` of its tokens, compared character by character.
    pub issuer: Arc<str>,
    /// What it calls this resource. A token has to be for one of these, compared character by character.
    pub audiences: Vec<String>,
    /// How its tokens are verified.
    pub verification: Verification,
    /// What it writes into the header of signed ones.
    pub typ: TokenType,
    /// The claims that hold scopes; without any, `scope` as a text with spaces.
    pub scope_claims: Vec<String>,
    /// The claim that holds the groups of a person. Without it nobody of this server is in any.
    pub groups_claim: Option<String>,
    /// What its scopes are called here.
    pub scopes: ScopeNames,
}

/// How the tokens of a server are verified.
#[derive(Clone, Debug)]
pub enum Verification {
    /// By its keys, here.
    Keys(Arc<KeySource>),
    /// By asking it (RFC 7662).
    Introspection(Arc<Introspector>),
}

/// What the scopes of a resource are called at an authorization server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeNames {
    /// Each of ours with those of theirs of which one is enough. Without any, they are called the same.
    pub names: Vec<(String, Vec<String>)>,
    /// What their names begin with where a client asks for them and not where a token has them, as at Entra.
    pub prefix: String,
}

impl ScopeNames {
    /// What was granted, by our names. What has none here is left out.
    pub fn ours(&self, granted: Scope) -> Scope {
        if self.names.is_empty() {
            return granted;
        }
        let has = |theirs: &[String]| theirs.iter().any(|name| granted.contains(name));
        Scope::of(self.names.iter().filter(|(_, theirs)| has(theirs)).map(|(ours, _)| ours.as_str()))
    }

    /// What a client has to ask for at that server, when it needs these of ours.
    pub fn asked(&self, needed: &Scope) -> Scope {
        let theirs = |ours: &str| {
            let named = self.names.iter().find(|(name, _)| name == ours);
            let theirs = named.and_then(|(_, theirs)| theirs.first()).map_or(ours, String::as_str);
            format!("{}{theirs}", self.prefix)
        };
        let asked: Vec<String> = needed.iter().map(theirs).collect();
        Scope::of(asked.iter().map(String::as_str))
    }
}

/// The name here of whom an issuer calls so. No issuer has a space in it, and neither has a name of our own server, so this is
/// nobody else's.
pub fn qualified(issuer: &str, name: &str) -> String {
    format!("{issuer} {name}")
}

/// Which server a token is to be verified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The one that the resource was made with.
    Own,
    /// Another, by its place.
    Of(usize),
}

/// Chooses by `iss`, which nobody has verified: it only says whose keys must. A text that is no JWT can only be verified by
/// whoever made it; no more than one server is ever asked about it, or each of them could use the tokens of the others.
///
/// # Errors
/// [`Reason::Token`], when it is of nobody whose tokens are taken here.
pub(crate) fn whose(token: &str, own: Option<&str>, others: &[TrustedIssuer]) -> Result<Whose, Reason> {
    match access_token::unverified_issuer(token) {
        Ok(issuer) if own == Some(issuer.as_str()) => Ok(Whose::Own),
        Ok(issuer) => {
            let at = others.iter().position(|other| *other.issuer == *issuer);
            at.map(Whose::Of).ok_or(Reason::Token(AccessTokenError::WrongIssuer))
        }
        Err(AccessTokenError::Jws(JwsError::TooLong)) => Err(Reason::Token(JwsError::TooLong.into())),
        Err(error @ (AccessTokenError::Jws(_) | AccessTokenError::ClaimsJson(_))) => {
            let asking = others.iter().position(|other| other.introspector().is_some());
            // What begins so is a refresh token of our own, which a client mixed up: nobody else is shown it.
            let ours = token.starts_with(hallpass_core::token::REFRESH_PREFIX);
            asking.filter(|_| !ours).map(Whose::Of).ok_or(Reason::Token(error))
        }
        Err(error) => Err(Reason::Token(error)),
    }
}

impl TrustedIssuer {
    /// Who is asked about its tokens, where somebody is.
    pub fn introspector(&self) -> Option<&Arc<Introspector>> {
        match &self.verification {
            Verification::Keys(_) => None,
            Verification::Introspection(introspector) => Some(introspector),
        }
    }

    /// Verifies a signed token.
    pub(crate) fn verify(&self, token: &str, keys: &KeySet, now: Timestamp) -> Result<Identity, Reason> {
        let audiences: Vec<&str> = self.audiences.iter().map(String::as_str).collect();
        let expected = Expectations { issuer: &self.issuer, audiences: &audiences, now, leeway: LEEWAY };
        let token = foreign_token::verify(token, keys, &expected, &self.style())?.into_inner();
        Ok(self.identity(token))
    }

    /// How its tokens are read.
    fn style(&self) -> Style<'_> {
        let groups_claim = self.groups_claim.as_deref();
        Style { typ: self.typ, scope_claims: &self.scope_claims, groups_claim }
    }

    /// Asks about a token, and until when the answer may be used.
    pub(crate) async fn ask(
        &self,
        introspector: &Introspector,
        token: &str,
        now: Timestamp,
    ) -> Result<(Identity, Timestamp), Reason> {
        let (found, until) = introspector.ask(&self.issuer, token, &self.style(), now).await?;
        let token = found.at(&self.audiences)?;
        Ok((self.identity(token), until))
    }

    /// Its names become ours. A `jti` of somebody else names no grant of ours, whatever it looks like.
    fn identity(&self, token: ForeignToken) -> Identity {
        let client_id = qualified(&self.issuer, &token.client_id);
        let subject =
            if token.is_machine { client_id.clone() } else { qualified(&self.issuer, &token.subject) };
        // A machine is no person, and groups are of people.
        let groups = if token.is_machine { Vec::new() } else { token.groups };
        Identity {
            issuer: Some(Arc::clone(&self.issuer)),
            subject: subject.into(),
            client_id: client_id.into(),
            scope: self.scopes.ours(token.scope),
            grant: None,
            expires_at: token.expires_at,
            key: token.key,
            actors: token.actors.iter().map(|actor| qualified(&self.issuer, actor)).collect(),
            details: token.details,
            groups: groups.iter().map(|group| qualified(&self.issuer, group)).collect(),
            counted_as: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(written: &[(&str, &[&str])]) -> ScopeNames {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let names = written.iter().map(|(ours, theirs)| ((*ours).to_owned(), list(theirs)));
        ScopeNames { names: names.collect(), prefix: String::new() }
    }

    fn scope(text: &str) -> Scope {
        Scope::parse(text).unwrap()
    }

    #[test]
    fn rs_034_scopes_by_their_names_here_and_there() {
        let same = ScopeNames::default();
        assert_eq!(same.ours(scope("read x")), scope("read x"));
        let entra = names(&[("read", &["Files.Read", "Files.ReadWrite"]), ("write", &["Files.ReadWrite"])]);
        assert_eq!(entra.ours(scope("Files.Read openid")), scope("read"));
        assert_eq!(entra.ours(scope("Files.ReadWrite")), scope("read write"));
        assert!(entra.ours(scope("read write files.read")).is_empty(), "ours are not theirs");
        let entra = ScopeNames { prefix: "api://files/".into(), ..entra };
        assert_eq!(
            entra.asked(&scope("read write")),
            scope("api://files/Files.Read api://files/Files.ReadWrite")
        );
        assert_eq!(same.asked(&scope("read write")), scope("read write"));
    }

    #[test]
    fn rs_023_names_of_two_issuers_never_meet() {
        for (one, other) in [
            (("https://a.example", "ann"), ("https://b.example", "ann")),
            (("https://a.example", "x ann"), ("https://a.example/x", "ann")),
            (("https://a.example", "/ ann"), ("https://a.example/", "ann")),
        ] {
            assert_ne!(qualified(one.0, one.1), qualified(other.0, other.1));
        }
    }
}
