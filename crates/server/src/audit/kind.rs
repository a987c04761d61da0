//! The kinds of audit events: a closed list, each with its name in the lines, how loud it is in the log, and the
//! sentence that the log says.

/// How loud an event is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loudness {
    /// Not at all: whoever recorded it has said it.
    Silent,
    /// Every day, many times.
    Debug,
    /// Worth knowing.
    Info,
    /// Somebody should look.
    Warn,
    /// Worth an alarm.
    Error,
}

macro_rules! kinds {
    ($($kind:ident $name:literal $loud:ident $sentence:literal)+) => {
        /// What happened. The name is the `event` of a line and the label of a metric: it never changes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = $sentence] $kind,)+
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// As written in lines and metrics.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// For the log.
            pub const fn sentence(self) -> &'static str {
                match self { $(Self::$kind => $sentence,)+ }
            }

            /// For the log.
            pub const fn loudness(self) -> Loudness {
                match self { $(Self::$kind => Loudness::$loud,)+ }
            }
        }
    };
}

kinds! {
    SignedIn                "signed_in"                 Info  "signed in"
    SignInRefused           "sign_in_refused"           Info  "sign-in refused"
    SignInThrottled         "sign_in_throttled"         Warn  "sign-in turned away: too many tries"
    SecondFactorAsked       "second_factor_asked"       Info  "first factor right, second factor asked for"
    SecondFactorRefused     "second_factor_refused"     Info  "code of a second factor refused"
    SecondFactorThrottled   "second_factor_throttled"   Warn  "codes of a second factor turned away: too many tries"
    SecondFactorOn          "second_factor_on"          Info  "second factor turned on"
    SecondFactorOff         "second_factor_off"         Info  "second factor turned off"
    RecoveryCodesMade       "recovery_codes_made"       Info  "recovery codes made"
    RecoveryCodeUsed        "recovery_code_used"        Warn  "recovery code used"
    SignedOut               "signed_out"                Info  "signed out"
    SessionEnded            "session_ended"             Info  "signed out in another browser"
    SignedOutEverywhere     "signed_out_everywhere"     Info  "signed out everywhere"
    SetupUsed               "setup_used"                Info  "first account created"
    SetupRefused            "setup_refused"             Warn  "set-up refused: wrong, used or expired code"
    InvitationMade          "invitation_made"           Info  "one-time link for a password made"
    InvitationUsed          "invitation_used"           Info  "password chosen through a one-time link"
    PersonCreated           "person_created"            Info  "account created"
    PersonDisabled          "person_disabled"           Info  "account disabled"
    PersonEnabled           "person_enabled"            Info  "account enabled"
    PersonRemoved           "person_removed"            Info  "account removed"
    ConsentAllowed          "consent_allowed"           Info  "person allowed"
    ConsentDenied           "consent_denied"            Info  "person declined"
    AuthorizationRefused    "authorization_refused"     Info  "authorization request refused"
    AuthorizationStopped    "authorization_stopped"     Info  "authorization request stopped at a page"
    RequestPushed           "request_pushed"            Debug "authorization request pushed"
    PushRefused             "push_refused"              Info  "pushed authorization request refused"
    DeviceAsked             "device_asked"              Debug "device authorization requested"
    DeviceRefused           "device_refused"            Info  "device authorization refused"
    UserCodeEntered         "user_code_entered"         Info  "code of a device entered"
    UserCodeThrottled       "user_code_throttled"       Warn  "codes of devices turned away: too many tries"
    DeviceSpoiled           "device_spoiled"            Warn  "one code in two places: no device got anything"
    ClientRegistered        "client_registered"         Debug "client registered"
    RegistrationRefused     "registration_refused"      Info  "registration refused"
    ClientAdded             "client_added"              Info  "client made by an operator"
    ClientRemoved           "client_removed"            Info  "client removed by an operator"
    ClientSecretChanged     "client_secret_changed"     Info  "client has another secret"
    InitialAccessIssued     "initial_access_issued"     Info  "initial access token issued"
    ClientBlocked           "client_blocked"            Info  "clients blocked"
    ClientUnblocked         "client_unblocked"          Info  "clients unblocked"
    GrantOpened             "grant_opened"              Info  "grant opened"
    CodeReplayed            "code_replayed"             Warn  "authorization code replayed, grant revoked"
    RefreshRotated          "refresh_rotated"           Debug "refreshed"
    RefreshRepeated         "refresh_repeated"          Info  "refresh repeated within the window, the same successor again"
    RefreshReplaced         "refresh_replaced"          Info  "refresh after a lost answer, the unused successor is replaced"
    RefreshReused           "refresh_reused"            Warn  "retired refresh token presented, grant revoked"
    StoreWentBack           "store_went_back"           Error "store_went_back: a refresh token newer than its row; commits were lost, revocations may be lost too"
    TokenRefused            "token_refused"             Info  "token request refused"
    GrantRevoked            "grant_revoked"             Info  "grant revoked"
    TokenIssued             "token_issued"              Debug "token issued without a grant"
    TokenExchanged          "token_exchanged"           Info "token exchanged for a narrower one"
    IdentityAssertionIssued "identity_assertion_issued" Info "identity assertion issued for another authorization server"
    TokenRevoked            "token_revoked"             Info  "a client took back such a token"
    RevocationIgnored       "revocation_ignored"        Info  "revocation of another client's token ignored"
    Introspected            "introspected"              Debug "token introspected"
    IntrospectionRefused    "introspection_refused"     Info  "introspection refused"
    CallAnswered            "call_answered"             Silent "call"
    CallOpen                "call_open"                 Silent "call without a token"
    CallRefused             "call_refused"              Silent "call refused"
    CallLetThrough          "call_let_through"          Silent "call let through, though a rule would have refused it"
    Connected               "connected"                 Info  "service of a third party connected"
    ConnectionRefused       "connection_refused"        Info  "service of a third party not connected"
    Disconnected            "disconnected"              Info  "service of a third party disconnected"
    ConnectionRenewed       "connection_renewed"        Debug "tokens of a third party renewed"
    ConnectionNotRenewed    "connection_not_renewed"    Info  "tokens of a third party not renewed: they stay"
    ConnectionDied          "connection_died"           Info  "a third party ended a connection"
    AccountLinked           "account_linked"            Info  "account linked to an identity provider"
    AccountNotLinked        "account_not_linked"        Info  "account not linked to an identity provider"
    AccountUnlinked         "account_unlinked"          Info  "account no longer linked to an identity provider"
    AccountChecked          "account_checked"           Debug "identity provider asked again: the person may"
    AccountNotChecked       "account_not_checked"       Info  "identity provider could not be asked again: nothing ends"
    UpstreamTokenIssued     "upstream_token_issued"     Debug "another authorization server gave a token for a person"
    UpstreamTokenRefused    "upstream_token_refused"    Info  "another authorization server gave no token for a person"
    KeyMade                 "key_made"                  Info  "signing key made"
    KeyRotated              "key_rotated"               Info  "signing key in use"
    KeyRetired              "key_retired"               Info  "signing key retired"
    KeyResealed             "key_resealed"              Info  "signing key sealed under the newest master key"
    MasterKeyAdded          "master_key_added"          Info  "master key added: it is accepted, nothing new is made with it"
    MasterKeyUsed           "master_key_used"           Info  "master key used for what is new"
    MasterKeyRemoved        "master_key_removed"        Warn  "master key removed: what was made with it is refused"
    MasterKeysTaken         "master_keys_taken"         Info  "other master keys are in force"
    MasterKeysRefused       "master_keys_refused"       Error "the master keys were not taken: those from before stay in force"
    Started                 "started"                   Info  "started"
    Stopped                 "stopped"                   Info  "stopping"
    ConfigurationReloaded   "configuration_reloaded"    Info  "configuration reloaded"
    ConfigurationRefused    "configuration_refused"     Error "the configuration was not reloaded: the old one stays in force"
    RevocationsRepeated     "revocations_repeated"      Warn  "revocations repeated after a restore"
    LogOpened               "log_opened"                Debug "audit log opened"
    LogSetBack              "log_set_back"              Error "lines were taken off the end of the audit log, or it was set back"
    LogClosed               "log_closed"                Debug "audit log closed"
    LinesLost               "lines_lost"                Error "audit lines were lost"
    LinesLeftOut            "lines_left_out"            Warn  "a flood: further lines of a kind were left out"
}

impl Kind {
    /// Whether its line leaves at once: whatever a restore has to repeat, and whatever is worth a look.
    pub const fn is_urgent(self) -> bool {
        matches!(self.loudness(), Loudness::Warn | Loudness::Error) || self.ends_access()
    }

    /// Whether anybody who reaches the server can cause it, as often as they like.
    pub const fn is_anybodys(self) -> bool {
        matches!(
            self,
            Self::SignInRefused
                | Self::SignInThrottled
                | Self::SetupRefused
                | Self::AuthorizationRefused
                | Self::AuthorizationStopped
                | Self::RequestPushed
                | Self::PushRefused
                | Self::DeviceAsked
                | Self::DeviceRefused
                | Self::ClientRegistered
                | Self::RegistrationRefused
                | Self::TokenRefused
                | Self::RevocationIgnored
                | Self::Introspected
                | Self::IntrospectionRefused
                | Self::CallOpen
                | Self::CallRefused
        )
    }

    /// Whether it goes along with a call of a protected server, thousands of times a second: counted always, and
    /// written where the operator wants it.
    pub const fn is_call(self) -> bool {
        matches!(
            self,
            Self::CallAnswered
                | Self::CallOpen
                | Self::CallRefused
                | Self::CallLetThrough
                | Self::Introspected
        )
    }

    /// Whether something ended that a restored backup would bring to life again: also a one-time link, by its use or by the next.
    pub const fn ends_access(self) -> bool {
        matches!(
            self,
            Self::SignedOut
                | Self::SessionEnded
                | Self::SignedOutEverywhere
                | Self::SetupUsed
                | Self::InvitationMade
                | Self::InvitationUsed
                | Self::PersonDisabled
                | Self::PersonEnabled
                | Self::PersonRemoved
                | Self::KeyRetired
                | Self::ClientRemoved
                | Self::ClientSecretChanged
                | Self::ClientBlocked
                | Self::ClientUnblocked
                | Self::CodeReplayed
                | Self::RefreshReused
                | Self::GrantRevoked
                | Self::TokenRevoked
                | Self::AccountUnlinked
                | Self::Disconnected
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_different_and_fit_a_metric() {
        let names: BTreeSet<&str> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
        assert!(names.iter().all(|name| name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())));
    }
}
