//! What is said about an event: who, which client and grant, what, why. Nothing in it was taken from a peer without a
//! check and a bound, and nothing in it can be presented to anybody.

use hallpass_core::{
    encoding,
    id::{GrantId, PersonId, SessionId},
    time::Timestamp,
};
use hallpass_store::{Grant, Person};
use serde_json::{Map, Value};

/// A person.
#[derive(Clone, Copy, Debug)]
pub struct Who<'a> {
    /// Whose account.
    pub id: PersonId,
    /// Its name; empty where it is not at hand.
    pub name: &'a str,
}

/// A grant and whose it is.
#[derive(Clone, Copy, Debug)]
pub struct Which<'a> {
    /// The grant.
    pub grant: GrantId,
    /// Who gave it.
    pub person: PersonId,
    /// The client that has it.
    pub client: &'a str,
    /// For what.
    pub resource: &'a str,
}

/// What ended or began, besides what its person and client say. One at most, so that an event is small enough to be passed by value.
#[derive(Clone, Copy, Debug)]
pub enum About<'a> {
    /// A grant, or a token without a row.
    Grant(GrantId),
    /// A signed-in browser: what names its row. Its cookie is this with a MAC.
    Session(SessionId),
    /// A one-time link: SHA-256 of its code, as the store keeps it.
    Link(&'a [u8; 32]),
}

/// Who acts for a person: the client first, then who acted before it (RFC 8693 §4.1). Empty for most.
#[derive(Clone, Copy, Debug, Default)]
pub struct Actors<'a>(pub &'a [String]);

impl Actors<'_> {
    pub(super) const fn some(&self) -> Option<&Self> {
        if self.0.is_empty() { None } else { Some(self) }
    }
}

/// A call through the gateway.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The short name of the server.
    pub server: &'a str,
    /// Whose token.
    pub person: Option<PersonId>,
    /// Whose token, where it is of another authorization server.
    pub foreign: Option<Foreign<'a>>,
    /// Which client's.
    pub client: Option<&'a str>,
    /// Who acts for the person.
    pub actors: Actors<'a>,
    /// Of which grant.
    pub grant: Option<GrantId>,
    /// The method, as the client wrote it.
    pub method: Option<&'a str>,
    /// The tool, prompt or resource, as the client wrote it.
    pub target: Option<&'a str>,
    /// The arguments that an operator wants to be written, cut and without secrets.
    pub arguments: Option<&'a Map<String, Value>>,
    /// The rule that decided: an operator's text.
    pub rule: Option<&'a str>,
    /// Until its answer began, in milliseconds.
    pub took: u64,
}

/// A caller of another authorization server. Its texts name nobody here: what is read back for a restore is `person`.
#[derive(Clone, Copy, Debug)]
pub struct Foreign<'a> {
    /// Which server, as an operator wrote it.
    pub issuer: &'a str,
    /// The person's name here, which begins with the issuer; nobody where a machine calls.
    pub person: Option<&'a str>,
}

/// Who did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The client.
    Client,
    /// The person whose it is.
    Person,
    /// Somebody with the command line.
    Operator,
    /// The identity provider at which the person signed in.
    Provider,
}

/// The fields of a line, in the order in which they are written. A restore reads `person` and `epoch`, `about`,
/// `client`, `until`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// The person's id.
    pub person: Option<PersonId>,
    /// The person's name, as folded.
    pub name: Option<&'a str>,
    /// `client_id` as written, or what is blocked.
    pub client: Option<&'a str>,
    /// Who acts for the person.
    pub actors: Option<&'a Actors<'a>>,
    /// What the client calls itself, made harmless; or what a platform calls it.
    pub client_name: Option<&'a str>,
    /// The grant, browser or link.
    pub about: Option<About<'a>>,
    /// The protected server.
    pub resource: Option<&'a str>,
    /// Host or scheme to which a code went.
    pub receiver: Option<&'a str>,
    /// Scopes.
    pub scope: Option<&'a str>,
    /// The only tools that it is for (RFC 9396), where there are such limits: checked, and written by us.
    pub tools: Option<&'a String>,
    /// Why: a rule's name, never text of a peer.
    pub reason: Option<&'static str>,
    /// Who did it, where that is not the person of the line.
    pub by: Option<By>,
    /// The person's epoch after it: whatever names an older one is void.
    pub epoch: Option<u32>,
    /// Generation of a refresh token that was presented.
    pub presented: Option<u32>,
    /// Generation that is live after it.
    pub generation: Option<u32>,
    /// Until when a revocation matters.
    pub until: Option<Timestamp>,
    /// `kid` of a key.
    pub key: Option<&'a str>,
    /// The version of the program, behind a pointer because an event is passed by value.
    pub version: Option<&'static &'static str>,
    /// How many.
    pub count: Option<u32>,
    /// The call that it is about.
    pub call: Option<&'a Call<'a>>,
    /// The status of the answer to a call.
    pub status: Option<u16>,
}

impl Facts<'_> {
    /// The grant's id.
    pub(super) const fn grant(&self) -> Option<GrantId> {
        match self.about {
            Some(About::Grant(id)) => Some(id),
            Some(About::Session(_) | About::Link(_)) | None => None,
        }
    }

    /// The session's id.
    pub(super) const fn session(&self) -> Option<SessionId> {
        match self.about {
            Some(About::Session(id)) => Some(id),
            Some(About::Grant(_) | About::Link(_)) | None => None,
        }
    }

    /// The digest of the link's code, as written.
    pub(super) fn link(&self) -> Option<String> {
        match self.about {
            Some(About::Link(digest)) => Some(encoding::base64url(digest)),
            Some(About::Grant(_) | About::Session(_)) | None => None,
        }
    }
}

impl By {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Person => "person",
            Self::Operator => "operator",
            Self::Provider => "provider",
        }
    }
}

impl<'a> Which<'a> {
    /// Of a grant as kept.
    pub fn of(grant: &'a Grant) -> Self {
        Self { grant: grant.id, person: grant.person, client: &grant.client_id, resource: &grant.resource }
    }

    pub(super) fn facts(self) -> Facts<'a> {
        Facts {
            person: Some(self.person),
            client: Some(self.client),
            about: Some(About::Grant(self.grant)),
            resource: Some(self.resource),
            ..Facts::default()
        }
    }
}

/// Longest text of a client in a line, in bytes.
const LONGEST: usize = 200;

/// As much of a text that strangers choose as a line holds.
pub fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default()
}

impl Call<'_> {
    pub(super) fn facts(&self) -> Facts<'_> {
        let (person, client, about) = (self.person, self.client, self.grant.map(About::Grant));
        let actors = self.actors.some();
        Facts { person, client, about, actors, call: Some(self), ..Facts::default() }
    }

    /// The authorization server of the token, where that is another one.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.foreign.map(|foreign| foreign.issuer)
    }

    /// Whose token it is there, as far as it is written.
    pub(super) fn subject(&self) -> Option<&str> {
        let foreign = self.foreign?;
        let named = foreign.person?.strip_prefix(foreign.issuer)?;
        named.strip_prefix(' ').map(cut)
    }

    /// As far as it is written.
    pub(super) fn method(&self) -> Option<&str> {
        self.method.map(cut)
    }

    /// As far as it is written.
    pub(super) fn target(&self) -> Option<&str> {
        self.target.map(cut)
    }
}

impl<'a> Who<'a> {
    /// An account as kept.
    pub fn of(person: &'a Person) -> Self {
        Self { id: person.id, name: &person.name }
    }

    pub(super) fn facts(self) -> Facts<'a> {
        Facts {
            person: Some(self.id),
            name: (!self.name.is_empty()).then_some(self.name),
            ..Facts::default()
        }
    }
}
