//! Events about services that people connected. The service is named as the operator names it.

use super::{
    Event, Kind,
    facts::{Facts, Who},
};

impl<'a> Event<'a> {
    fn of_connection(kind: Kind, who: Who<'a>, name: &'a str, reason: Option<&'static str>) -> Self {
        Self::new(kind, Facts { receiver: Some(name), reason, ..who.facts() })
    }

    /// A person connected a service.
    pub fn connected(who: Who<'a>, name: &'a str) -> Self {
        Self::of_connection(Kind::Connected, who, name, None)
    }

    /// It came to nothing.
    pub fn connection_refused(who: Who<'a>, name: &'a str, reason: &'static str) -> Self {
        Self::of_connection(Kind::ConnectionRefused, who, name, Some(reason))
    }

    /// The person took it back.
    pub fn disconnected(who: Who<'a>, name: &'a str) -> Self {
        Self::of_connection(Kind::Disconnected, who, name, None)
    }

    /// The service gave newer tokens.
    pub fn connection_renewed(who: Who<'a>, name: &'a str) -> Self {
        Self::of_connection(Kind::ConnectionRenewed, who, name, None)
    }

    /// It did not; the old ones stay.
    pub fn connection_not_renewed(who: Who<'a>, name: &'a str, reason: &'static str) -> Self {
        Self::of_connection(Kind::ConnectionNotRenewed, who, name, Some(reason))
    }

    /// The service said that it is over.
    pub fn connection_died(who: Who<'a>, name: &'a str) -> Self {
        Self::of_connection(Kind::ConnectionDied, who, name, None)
    }

    /// The authorization server of the server behind with this name gave a token for the person.
    pub fn upstream_token_issued(who: Who<'a>, server: &'a str) -> Self {
        Self::of_connection(Kind::UpstreamTokenIssued, who, server, None)
    }

    /// It gave none.
    pub fn upstream_token_refused(who: Who<'a>, server: &'a str, reason: &'static str) -> Self {
        Self::of_connection(Kind::UpstreamTokenRefused, who, server, Some(reason))
    }
}
