//! A line: JSON in ASCII, so that neither a terminal nor a reader of lines can be misled by what a client calls itself.

use super::{
    Kind,
    facts::{By, Call, Facts},
};
use hallpass_core::{
    encoding,
    id::{GrantId, PersonId, RequestId, SessionId},
    time::Timestamp,
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeStruct};
use std::{
    io::{self, Write},
    net::IpAddr,
};

/// Where and when.
#[derive(Clone, Copy, Debug)]
pub struct Circumstances {
    /// When.
    pub at: Timestamp,
    /// The request it happened in.
    pub request: Option<RequestId>,
    /// From where.
    pub address: Option<IpAddr>,
}

/// Everything of a line but its place in the chain.
struct Body<'a>(Circumstances, Kind, Facts<'a>);

impl Serialize for Body<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(circumstances, kind, facts) = self;
        let mut out = serializer.serialize_struct("Line", 34)?;
        macro_rules! put {
            ($($name:literal $value:expr;)+) => { $(
                if let Some(value) = $value { out.serialize_field($name, &value)?; }
            )+ };
        }
        out.serialize_field("at", &circumstances.at.to_rfc3339())?;
        out.serialize_field("event", kind.name())?;
        put! {
            "reason" facts.reason;
            "by" facts.by.map(By::name);
            "server" facts.call.map(|call| call.server);
            "person" facts.person.map(|id| id.to_string());
            "issuer" facts.call.and_then(Call::issuer);
            "subject" facts.call.and_then(Call::subject);
            "name" facts.name;
            "client" facts.client;
            "act" facts.actors.map(|actors| actors.0);
            "client_name" facts.client_name;
            "grant" facts.grant().map(|id| id.to_string());
            "session" facts.session().map(|id| id.to_string());
            "link" facts.link();
            "method" facts.call.and_then(Call::method);
            "target" facts.call.and_then(Call::target);
            "arguments" facts.call.and_then(|call| call.arguments);
            "rule" facts.call.and_then(|call| call.rule);
            "status" facts.status;
            "ms" facts.call.map(|call| call.took);
            "resource" facts.resource;
            "receiver" facts.receiver;
            "scope" facts.scope;
            "authorization_details" facts.tools;
            "epoch" facts.epoch;
            "presented" facts.presented;
            "generation" facts.generation;
            "until" facts.until.map(Timestamp::to_rfc3339);
            "key" facts.key;
            "version" facts.version;
            "count" facts.count;
            "address" circumstances.address.map(|address| address.to_string());
            "request" circumstances.request.map(|id| id.to_string());
        }
        out.end()
    }
}

/// The members of a line, without braces: the chain puts its own around them.
pub fn members(circumstances: Circumstances, kind: Kind, facts: Facts<'_>) -> String {
    let mut bytes = Vec::with_capacity(512);
    let body = Body(circumstances, kind, facts);
    let written = body.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Ascii));
    let mut text = String::from_utf8(bytes).unwrap_or_default();
    if written.is_ok() && text.starts_with('{') && text.pop() == Some('}') {
        text.remove(0);
        return text;
    }
    // Writing into memory does not fail; if it did, the line would still say what happened.
    format!("\"at\":\"{}\",\"event\":\"{}\"", circumstances.at.to_rfc3339(), kind.name())
}

/// Escapes everything outside printable ASCII. The standard formatter leaves DEL, C1 controls and marks that turn
/// the direction of writing as they are.
struct Ascii;

impl serde_json::ser::Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|found: char| !(' '..='~').contains(&found)) {
            let (plain, from) = rest.split_at(at);
            out.write_all(plain.as_bytes())?;
            let mut chars = from.chars();
            let mut units = [0; 2];
            for unit in chars.next().unwrap_or_default().encode_utf16(&mut units) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = chars.as_str();
        }
        out.write_all(rest.as_bytes())
    }
}

/// A line as read back. What it does not know, it leaves alone: a later release may write more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Line {
    /// Place in the chain, from 1.
    pub sequence: u64,
    /// The node that wrote it.
    pub node: String,
    /// When, as written.
    pub at: String,
    /// [`Kind::name`].
    pub event: String,
    /// Why.
    pub reason: Option<String>,
    /// The person.
    pub person: Option<String>,
    /// The person's name.
    pub name: Option<String>,
    /// The client, or what is blocked.
    pub client: Option<String>,
    /// What the client calls itself, or what a provider calls the person.
    pub client_name: Option<String>,
    /// Where something went or came from: a provider, a service.
    pub receiver: Option<String>,
    /// The grant.
    pub grant: Option<String>,
    /// The signed-in browser.
    pub session: Option<String>,
    /// The one-time link.
    pub link: Option<String>,
    /// The person's epoch after it.
    pub epoch: Option<u32>,
    /// `kid` of a key.
    pub key: Option<String>,
    /// Until when a revocation matters, as written.
    pub until: Option<String>,
    /// MAC of the line before it; empty at the beginning of a chain.
    pub previous: String,
    /// Number of the master key.
    pub master: u8,
    /// MAC of this line.
    pub mac: String,
}

impl Line {
    /// Reads one.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// When.
    pub fn time(&self) -> Option<Timestamp> {
        Timestamp::from_rfc3339(&self.at)
    }

    /// What, if this release knows it.
    pub fn kind(&self) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.name() == self.event)
    }

    /// The person's id.
    pub fn person_id(&self) -> Option<PersonId> {
        self.person.as_deref().and_then(PersonId::parse)
    }

    /// The grant's id.
    pub fn grant_id(&self) -> Option<GrantId> {
        self.grant.as_deref().and_then(GrantId::parse)
    }

    /// The session's id.
    pub fn session_id(&self) -> Option<SessionId> {
        self.session.as_deref().and_then(SessionId::parse)
    }

    /// SHA-256 of the code of the one-time link.
    pub fn link_digest(&self) -> Option<[u8; 32]> {
        self.link.as_deref().and_then(encoding::array_from_base64url)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_221_what_a_client_calls_itself_cannot_leave_its_member() {
        let circumstances =
            Circumstances { at: Timestamp::from_millis(1_795_807_744_123), request: None, address: None };
        let name = "a\"},{\"event\":\"x\n\u{202e}\u{7f}\u{9b}é😀";
        let facts = Facts { client_name: Some(name), ..Facts::default() };
        let text = members(circumstances, Kind::ClientRegistered, facts);
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
        let read: serde_json::Value = serde_json::from_str(&format!("{{{text}}}")).unwrap();
        assert_eq!(read["client_name"], name);
        assert_eq!(read["event"], "client_registered");
        assert_eq!(read["at"], "2026-11-27T19:29:04.123Z");
    }

    #[test]
    fn rs_067_t_98_arguments_are_a_member_of_their_own_in_the_line_of_a_call() {
        let circumstances = Circumstances { at: Timestamp::from_millis(0), request: None, address: None };
        let name = "pa\"th\u{202e}";
        let arguments = serde_json::Map::from_iter([(name.to_owned(), "/a\n\"}".into())]);
        let of = |arguments| {
            let call = Call {
                server: "files",
                person: None,
                foreign: None,
                client: None,
                actors: crate::audit::Actors(&[]),
                grant: None,
                method: Some("tools/call"),
                target: Some("read"),
                arguments,
                rule: None,
                took: 0,
            };
            let text = members(circumstances, Kind::CallAnswered, call.facts());
            assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
            serde_json::from_str::<serde_json::Value>(&format!("{{{text}}}")).unwrap()
        };
        assert_eq!(of(Some(&arguments))["arguments"][name], "/a\n\"}");
        assert!(of(None).get("arguments").is_none());
    }
}
