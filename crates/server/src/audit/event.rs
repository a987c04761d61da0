//! The events, one function for each security decision: it says what belongs to it.

use super::{
    Kind,
    facts::{About, By, Call, Facts, Which, Who},
};
use hallpass_core::{
    id::{GrantId, SessionId},
    time::Timestamp,
};

/// One security decision: made by the function of its name, which says what belongs to it.
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub(super) kind: Kind,
    pub(super) facts: Facts<'a>,
}

impl<'a> Event<'a> {
    pub(super) const fn new(kind: Kind, facts: Facts<'a>) -> Self {
        Self { kind, facts }
    }

    fn because(kind: Kind, facts: Facts<'a>, reason: &'static str) -> Self {
        Self::new(kind, Facts { reason: Some(reason), ..facts })
    }

    /// The same, of access that is for some tools only.
    #[must_use]
    pub const fn for_tools(mut self, tools: Option<&'a String>) -> Self {
        self.facts.tools = tools;
        self
    }

    pub(super) fn ending(kind: Kind, facts: Facts<'a>, until: Timestamp) -> Self {
        Self::new(kind, Facts { until: Some(until), ..facts })
    }
}

/// Four thousand millions are as good as more.
fn number_of(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// People.
impl<'a> Event<'a> {
    /// Somebody signed in, by this method.
    pub fn signed_in(who: Who<'a>, method: &'static str) -> Self {
        Self::because(Kind::SignedIn, who.facts(), method)
    }

    /// A wrong password or a disabled account. The name that was typed is left out: people type passwords into it.
    pub fn sign_in_refused(who: Option<Who<'a>>, reason: &'static str) -> Self {
        Self::because(Kind::SignInRefused, maybe(who), reason)
    }

    /// Over a limit.
    pub fn sign_in_throttled(who: Option<Who<'a>>, reason: &'static str) -> Self {
        Self::because(Kind::SignInThrottled, maybe(who), reason)
    }

    /// This browser, or the session that it had before somebody signed in again.
    pub fn signed_out(who: Who<'a>, session: SessionId) -> Self {
        Self::new(Kind::SignedOut, Facts { about: Some(About::Session(session)), ..who.facts() })
    }

    /// Another browser: from the account page, or by an operator.
    pub fn session_ended(who: Who<'a>, session: SessionId, by: By) -> Self {
        let facts = Facts { by: Some(by), about: Some(About::Session(session)), ..who.facts() };
        Self::new(Kind::SessionEnded, facts)
    }

    /// `epoch` is the new one.
    pub fn signed_out_everywhere(who: Who<'a>, epoch: u32, until: Timestamp, by: By) -> Self {
        let facts = Facts { by: Some(by), epoch: Some(epoch), ..who.facts() };
        Self::ending(Kind::SignedOutEverywhere, facts, until)
    }

    fn of_link(kind: Kind, who: Who<'a>, link: &'a [u8; 32]) -> Self {
        Self::new(kind, Facts { about: Some(About::Link(link)), ..who.facts() })
    }

    /// The first account, through the link with this digest.
    pub fn setup_used(who: Who<'a>, link: &'a [u8; 32]) -> Self {
        Self::of_link(Kind::SetupUsed, who, link)
    }

    /// A wrong, used or expired code.
    pub fn setup_refused() -> Self {
        Self::new(Kind::SetupRefused, Facts::default())
    }

    /// An operator made a one-time link, which takes the place of another.
    pub fn invitation_made(who: Who<'a>, link: &'a [u8; 32]) -> Self {
        Self::of_link(Kind::InvitationMade, who, link)
    }

    /// It was used, which signs out everywhere. `epoch` is the new one.
    pub fn invitation_used(who: Who<'a>, link: &'a [u8; 32], epoch: u32, until: Timestamp) -> Self {
        let facts = Facts { epoch: Some(epoch), about: Some(About::Link(link)), ..who.facts() };
        Self::ending(Kind::InvitationUsed, facts, until)
    }

    /// A further account.
    pub fn person_created(who: Who<'a>) -> Self {
        Self::new(Kind::PersonCreated, who.facts())
    }

    /// `epoch` is the new one.
    pub fn person_disabled(who: Who<'a>, epoch: u32, until: Timestamp) -> Self {
        Self::ending(Kind::PersonDisabled, Facts { epoch: Some(epoch), ..who.facts() }, until)
    }

    /// The account is gone with all it gave. `epoch` is that of its entry in the feed.
    pub fn person_removed(who: Who<'a>, epoch: u32, until: Timestamp) -> Self {
        Self::ending(Kind::PersonRemoved, Facts { epoch: Some(epoch), ..who.facts() }, until)
    }

    /// May sign in again.
    pub fn person_enabled(who: Who<'a>) -> Self {
        Self::new(Kind::PersonEnabled, who.facts())
    }
}

/// Consent and clients.
impl<'a> Event<'a> {
    /// The person said yes. The grant's id is that of the page: redeeming the code opens it.
    pub fn consent_allowed(
        which: Which<'a>,
        name: &'a str,
        client_name: &'a str,
        receiver: &'a str,
        scope: &'a str,
    ) -> Self {
        Self::new(Kind::ConsentAllowed, Self::asked(which, name, client_name, receiver, scope))
    }

    /// The person said no.
    pub fn consent_denied(
        which: Which<'a>,
        name: &'a str,
        client_name: &'a str,
        receiver: &'a str,
        scope: &'a str,
    ) -> Self {
        Self::new(Kind::ConsentDenied, Self::asked(which, name, client_name, receiver, scope))
    }

    fn asked(
        which: Which<'a>,
        name: &'a str,
        client_name: &'a str,
        receiver: &'a str,
        scope: &'a str,
    ) -> Facts<'a> {
        Facts {
            name: Some(name),
            client_name: (!client_name.is_empty()).then_some(client_name),
            receiver: Some(receiver),
            scope: Some(scope),
            ..which.facts()
        }
    }

    /// The client learns of it.
    pub fn authorization_refused(client: &'a str, reason: &'static str) -> Self {
        let facts = Facts { client: Some(client), ..Facts::default() };
        Self::because(Kind::AuthorizationRefused, facts, reason)
    }

    /// Only the person learns of it.
    pub fn authorization_stopped(reason: &'static str) -> Self {
        Self::because(Kind::AuthorizationStopped, Facts::default(), reason)
    }

    /// A client handed over a request in advance.
    pub fn request_pushed(client: &'a str) -> Self {
        Self::new(Kind::RequestPushed, Facts { client: Some(client), ..Facts::default() })
    }

    /// It tried to.
    pub fn push_refused(reason: &'static str) -> Self {
        Self::because(Kind::PushRefused, Facts::default(), reason)
    }

    /// A device got a code to show.
    pub fn device_asked(client: &'a str) -> Self {
        Self::new(Kind::DeviceAsked, Facts { client: Some(client), ..Facts::default() })
    }

    /// It did not.
    pub fn device_refused(reason: &'static str) -> Self {
        Self::because(Kind::DeviceRefused, Facts::default(), reason)
    }

    /// A person typed the code of a device.
    pub fn user_code_entered(who: Who<'a>) -> Self {
        Self::new(Kind::UserCodeEntered, who.facts())
    }

    /// Too many of them: guesses, maybe.
    pub fn user_code_throttled(who: Who<'a>) -> Self {
        Self::new(Kind::UserCodeThrottled, who.facts())
    }

    /// Two devices polled with a code, or two people typed it.
    pub fn device_spoiled(who: Who<'a>, reason: &'static str) -> Self {
        Self::because(Kind::DeviceSpoiled, who.facts(), reason)
    }

    /// A registration was answered.
    pub fn client_registered(client: &'a str, client_name: &'a str) -> Self {
        let client_name = (!client_name.is_empty()).then_some(client_name);
        let facts = Facts { client: Some(client), client_name, ..Facts::default() };
        Self::new(Kind::ClientRegistered, facts)
    }

    /// It was not.
    pub fn registration_refused(reason: &'static str) -> Self {
        Self::because(Kind::RegistrationRefused, Facts::default(), reason)
    }

    fn by_operator(client: &'a str) -> Facts<'a> {
        Facts { client: Some(client), by: Some(By::Operator), ..Facts::default() }
    }

    /// An operator made a client.
    pub fn client_added(client: &'a str, client_name: &'a str) -> Self {
        let facts = Facts { client_name: Some(client_name), ..Self::by_operator(client) };
        Self::new(Kind::ClientAdded, facts)
    }

    /// An operator removed it.
    pub fn client_removed(client: &'a str, until: Timestamp) -> Self {
        Self::ending(Kind::ClientRemoved, Self::by_operator(client), until)
    }

    /// An operator made another secret for it.
    pub fn client_secret_changed(client: &'a str) -> Self {
        Self::new(Kind::ClientSecretChanged, Self::by_operator(client))
    }

    /// An operator made a token with which clients may register, until then.
    pub fn initial_access_issued(until: Timestamp) -> Self {
        let facts = Facts { by: Some(By::Operator), ..Facts::default() };
        Self::ending(Kind::InitialAccessIssued, facts, until)
    }

    /// An operator blocked a client, a document or a redirect host: `what` as the block list has it.
    pub fn client_blocked(what: &'a str, until: Timestamp) -> Self {
        Self::ending(Kind::ClientBlocked, Self::by_operator(what), until)
    }

    /// The block was lifted.
    pub fn client_unblocked(what: &'a str) -> Self {
        Self::new(Kind::ClientUnblocked, Self::by_operator(what))
    }
}

/// Codes, tokens and grants.
impl<'a> Event<'a> {
    /// A code was redeemed.
    pub fn grant_opened(which: Which<'a>, receiver: &'a str, scope: &'a str) -> Self {
        let facts = Facts { receiver: Some(receiver), scope: Some(scope), ..which.facts() };
        Self::new(Kind::GrantOpened, facts)
    }

    /// The same code again; its grant is revoked.
    pub fn code_replayed(which: Which<'a>, until: Timestamp) -> Self {
        Self::ending(Kind::CodeReplayed, which.facts(), until)
    }

    /// A refresh that gave a successor: `kind` says by which rule.
    fn refreshed(kind: Kind, which: Which<'a>, generation: u32) -> Self {
        Self::new(kind, Facts { generation: Some(generation), ..which.facts() })
    }

    /// The live token was presented.
    pub fn refresh_rotated(which: Which<'a>, generation: u32) -> Self {
        Self::refreshed(Kind::RefreshRotated, which, generation)
    }

    /// The predecessor, within the window: the grace for honest concurrency.
    pub fn refresh_repeated(which: Which<'a>, generation: u32) -> Self {
        Self::refreshed(Kind::RefreshRepeated, which, generation)
    }

    /// The predecessor, later, its successor unused: the grace for a lost answer.
    pub fn refresh_replaced(which: Which<'a>, generation: u32) -> Self {
        Self::refreshed(Kind::RefreshReplaced, which, generation)
    }

    /// A retired token; its grant is revoked.
    pub fn refresh_reused(which: Which<'a>, presented: u32, generation: u32, until: Timestamp) -> Self {
        let facts = Facts { presented: Some(presented), generation: Some(generation), ..which.facts() };
        Self::ending(Kind::RefreshReused, facts, until)
    }

    /// A token newer than its row.
    pub fn store_went_back(which: Which<'a>, presented: u32, generation: u32) -> Self {
        let facts = Facts { presented: Some(presented), generation: Some(generation), ..which.facts() };
        Self::new(Kind::StoreWentBack, facts)
    }

    /// No token for this request. `client` once it has been authenticated, `grant` if the request named one of ours.
    pub fn token_refused(client: Option<&'a str>, grant: Option<GrantId>, reason: &'static str) -> Self {
        let about = grant.map(About::Grant);
        Self::because(Kind::TokenRefused, Facts { client, about, ..Facts::default() }, reason)
    }

    /// A grant was revoked, by whom.
    pub fn grant_revoked(which: Which<'a>, until: Timestamp, by: By) -> Self {
        Self::ending(Kind::GrantRevoked, Facts { by: Some(by), ..which.facts() }, until)
    }

    /// A client presented a token of another one to be revoked.
    pub fn revocation_ignored(grant: GrantId, client: &'a str) -> Self {
        let facts = Facts { client: Some(client), about: Some(About::Grant(grant)), ..Facts::default() };
        Self::new(Kind::RevocationIgnored, facts)
    }

    /// An authenticated caller learnt whether a token is alive.
    pub fn introspected(caller: &'a str, grant: Option<GrantId>, active: bool) -> Self {
        let facts = Facts { client: Some(caller), about: grant.map(About::Grant), ..Facts::default() };
        Self::because(Kind::Introspected, facts, if active { "active" } else { "inactive" })
    }

    /// A caller did not.
    pub fn introspection_refused(reason: &'static str) -> Self {
        Self::because(Kind::IntrospectionRefused, Facts::default(), reason)
    }
}

/// Calls through the gateway.
impl<'a> Event<'a> {
    /// The upstream answered with this status.
    pub fn call_answered(call: &'a Call<'a>, status: u16) -> Self {
        Self::new(Kind::CallAnswered, Facts { status: Some(status), ..call.facts() })
    }

    /// The same of what is open to anybody, without a token: how many lines there are of it is not up to strangers.
    pub fn call_open(call: &'a Call<'a>, status: u16) -> Self {
        Self::new(Kind::CallOpen, Facts { status: Some(status), ..call.facts() })
    }

    /// The rules would have refused it, and only tell.
    pub fn call_let_through(call: &'a Call<'a>, reason: &'static str) -> Self {
        Self::because(Kind::CallLetThrough, call.facts(), reason)
    }

    /// The gateway refused it.
    pub fn call_refused(call: &'a Call<'a>, reason: &'static str) -> Self {
        Self::because(Kind::CallRefused, call.facts(), reason)
    }
}

/// Keys and the node itself.
impl<'a> Event<'a> {
    fn of_key(kind: Kind, key: &'a str) -> Self {
        Self::new(kind, Facts { key: Some(key), ..Facts::default() })
    }

    /// A signing key was made, by its `kid`.
    pub fn key_made(key: &'a str) -> Self {
        Self::of_key(Kind::KeyMade, key)
    }

    /// It signs from now on.
    pub fn key_rotated(key: &'a str) -> Self {
        Self::of_key(Kind::KeyRotated, key)
    }

    /// It is no longer published.
    pub fn key_retired(key: &'a str) -> Self {
        Self::of_key(Kind::KeyRetired, key)
    }

    /// It is sealed under the newest master key now.
    pub fn key_resealed(key: &'a str) -> Self {
        Self::of_key(Kind::KeyResealed, key)
    }

    /// A master key was added, by its number.
    pub fn master_key_added(number: &'a str) -> Self {
        Self::of_key(Kind::MasterKeyAdded, number)
    }

    /// It is the one for what is new.
    pub fn master_key_used(number: &'a str) -> Self {
        Self::of_key(Kind::MasterKeyUsed, number)
    }

    /// It is accepted no more.
    pub fn master_key_removed(number: &'a str) -> Self {
        Self::of_key(Kind::MasterKeyRemoved, number)
    }

    /// This node has so many master keys, and makes what is new with that of this number.
    pub fn master_keys_taken(number: &'a str, count: u64) -> Self {
        Self::new(
            Kind::MasterKeysTaken,
            Facts { key: Some(number), count: Some(number_of(count)), ..Facts::default() },
        )
    }

    /// The file of the master keys was not taken.
    pub fn master_keys_refused() -> Self {
        Self::new(Kind::MasterKeysRefused, Facts::default())
    }

    /// The node serves.
    pub fn started(version: &'static &'static str) -> Self {
        Self::new(Kind::Started, Facts { version: Some(version), ..Facts::default() })
    }

    /// The node was told to stop.
    pub fn stopped() -> Self {
        Self::new(Kind::Stopped, Facts::default())
    }

    /// Another configuration is in force.
    pub fn configuration_reloaded() -> Self {
        Self::new(Kind::ConfigurationReloaded, Facts::default())
    }

    /// A file with so many problems was not taken.
    pub fn configuration_refused(problems: u64) -> Self {
        Self::counted(Kind::ConfigurationRefused, problems)
    }

    /// So many revocations were repeated from earlier lines.
    pub fn revocations_repeated(count: u64) -> Self {
        Self::counted(Kind::RevocationsRepeated, count)
    }

    pub(super) fn counted(kind: Kind, count: u64) -> Self {
        Self::new(kind, Facts { count: Some(number_of(count)), ..Facts::default() })
    }

    /// So many of a kind.
    pub(super) fn left_out(kind: Kind, count: u64) -> Self {
        Self::because(
            Kind::LinesLeftOut,
            Facts { count: Some(number_of(count)), ..Facts::default() },
            kind.name(),
        )
    }

    /// So many lines that the store remembers are gone from the end of the log.
    pub(super) fn log_set_back(missing: u64) -> Self {
        Self::counted(Kind::LogSetBack, missing)
    }

    /// The sink's own lines: how the log before this one ended.
    pub(super) fn log_opened(reason: &'static str) -> Self {
        Self::because(Kind::LogOpened, Facts::default(), reason)
    }

    pub(super) fn log_closed() -> Self {
        Self::new(Kind::LogClosed, Facts::default())
    }
}

fn maybe(who: Option<Who<'_>>) -> Facts<'_> {
    who.map(Who::facts).unwrap_or_default()
}
