//! Events about tokens that stand behind no row of their own: machines, exchanges, the words of companies.

use super::{
    Event, Kind,
    facts::{About, Actors, Facts, Which, cut},
};
use hallpass_core::{
    id::{GrantId, PersonId},
    time::Timestamp,
};

impl<'a> Event<'a> {
    /// A machine got a token, which stands behind no grant: `token` is its id.
    pub fn token_issued(client: &'a str, token: GrantId, resource: &'a str, scope: &'a str) -> Self {
        let (client, about) = (Some(client), Some(About::Grant(token)));
        let facts = Facts { client, about, resource: Some(resource), scope: Some(scope), ..Facts::default() };
        Self::new(Kind::TokenIssued, facts)
    }

    /// The same to a program for which a platform spoke: `subject` is what the platform calls it.
    pub fn workload_token_issued(
        client: &'a str,
        token: GrantId,
        subject: &'a str,
        (resource, scope): (&'a str, &'a str),
    ) -> Self {
        let issued = Self::token_issued(client, token, resource, scope);
        Self::new(issued.kind, Facts { client_name: Some(cut(subject)), ..issued.facts })
    }

    /// A client got a narrower token for one that somebody was given.
    pub fn token_exchanged(
        person: Option<PersonId>,
        client: &'a str,
        actors: &'a Actors<'a>,
        (grant, resource, scope): (GrantId, &'a str, &'a str),
    ) -> Self {
        let (client, about) = (Some(client), Some(About::Grant(grant)));
        let (resource, scope) = (Some(resource), Some(scope));
        let actors = actors.some();
        let facts = Facts { person, client, actors, about, resource, scope, ..Facts::default() };
        Self::new(Kind::TokenExchanged, facts)
    }

    /// A client got a token for a person of whom their company says so: `subject` is what the company calls them.
    pub fn asserted_token_issued(which: Which<'a>, subject: &'a str, scope: &'a str) -> Self {
        let facts = Facts { client_name: Some(cut(subject)), scope: Some(scope), ..which.facts() };
        Self::new(Kind::TokenIssued, facts)
    }

    /// A client got our word about the person of its grant, for the server that is the resource of the line, where it is
    /// called `there`.
    pub fn identity_assertion_issued(which: Which<'a>, there: &'a str, scope: &'a str) -> Self {
        let facts = Facts { client_name: Some(cut(there)), scope: Some(scope), ..which.facts() };
        Self::new(Kind::IdentityAssertionIssued, facts)
    }

    /// It took it back.
    pub fn token_revoked(client: &'a str, token: GrantId, until: Timestamp) -> Self {
        let facts = Facts { client: Some(client), about: Some(About::Grant(token)), ..Facts::default() };
        Self::ending(Kind::TokenRevoked, facts, until)
    }
}
