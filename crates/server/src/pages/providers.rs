//! What a person sees of providers at which people sign in.

use crate::login::providers::settings::SignInProvider;

/// A button of the sign-in.
pub struct ProviderButton<'a> {
    /// The operator's name for it.
    pub name: &'a str,
    /// What people call it.
    pub title: &'a str,
}

impl<'a> ProviderButton<'a> {
    /// Of this provider.
    pub fn of(provider: &'a SignInProvider) -> Self {
        Self { name: provider.name(), title: provider.title() }
    }
}

/// One provider, as the person's account page shows it.
pub struct ProviderRow<'a> {
    /// The operator's name for it.
    pub name: &'a str,
    /// What people call it.
    pub title: &'a str,
    /// What it calls the person, where the account is linked.
    pub subjects: Vec<String>,
    /// When it was linked, in words.
    pub linked: Option<String>,
    /// When the person last signed in there, in words.
    pub used: Option<String>,
    /// Whether the person would get in without it.
    pub may_go: bool,
}

/// Why a sign-in at a provider, or the link to one, came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInProblem {
    /// A provider answered what this browser did not ask for.
    NotAskedFor,
    /// What waits behind the sign-in does not fit into a cookie.
    TooLong,
    /// The account there is linked to another one here.
    OfAnother,
    /// It was not linked.
    NotLinked,
    /// It is the only way in.
    OnlyWay,
}

impl SignInProblem {
    pub(super) const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::NotAskedFor => (
                "This browser did not ask for that",
                "The sign-in was begun in another browser, or more than ten minutes ago, or was answered already. Nobody was signed in. Never go on with a sign-in because of a link that somebody sent you; if it was your own, start again from your application.",
            ),
            Self::TooLong => (
                "This request is too long to be taken along",
                "Your application sends more than a browser can remember while you sign in elsewhere. Nothing was allowed. Tell its makers to make its state shorter.",
            ),
            Self::OfAnother => (
                "This account is linked to somebody else here",
                "What you signed in with there belongs to another account of this server. Nothing was changed. If both are yours, sign in with it and unlink it first, or ask whoever runs this server.",
            ),
            Self::NotLinked => (
                "Your account was not linked",
                "The provider did not confirm who you are. Nothing was changed. Try again from your account; if it happens again, tell whoever runs this server.",
            ),
            Self::OnlyWay => (
                "This is your only way to sign in",
                "Without it nobody could get into this account any more. Nothing was changed. Link another provider first, or ask whoever runs this server.",
            ),
        }
    }
}
