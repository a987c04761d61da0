//! Events about identity providers. A provider is named as the operator names it, a person there as the provider does, once it
//! has proven that.

use super::{
    Event, Kind,
    facts::{By, Facts, Who, cut},
};

impl<'a> Event<'a> {
    fn at_provider(kind: Kind, facts: Facts<'a>, provider: &'a str, subject: Option<&'a str>) -> Self {
        Self::new(kind, Facts { receiver: Some(provider), client_name: subject.map(cut), ..facts })
    }

    /// Somebody signed in there.
    pub fn signed_in_at(who: Who<'a>, (provider, subject): (&'a str, &'a str), method: &'static str) -> Self {
        let facts = Facts { reason: Some(method), ..who.facts() };
        Self::at_provider(Kind::SignedIn, facts, provider, Some(subject))
    }

    /// It came to nothing. `subject` where the provider vouches for somebody who has no account here.
    pub fn sign_in_refused_at(
        who: Option<Who<'a>>,
        provider: &'a str,
        subject: Option<&'a str>,
        reason: &'static str,
    ) -> Self {
        let facts = Facts { reason: Some(reason), ..who.map(Who::facts).unwrap_or_default() };
        Self::at_provider(Kind::SignInRefused, facts, provider, subject)
    }

    /// An account was linked: by the person, or by an operator.
    pub fn account_linked(who: Who<'a>, provider: &'a str, subject: &'a str, by: Option<By>) -> Self {
        let facts = Facts { by, ..who.facts() };
        Self::at_provider(Kind::AccountLinked, facts, provider, Some(subject))
    }

    /// The person tried to.
    pub fn account_not_linked(who: Who<'a>, provider: &'a str, reason: &'static str) -> Self {
        let facts = Facts { reason: Some(reason), ..who.facts() };
        Self::at_provider(Kind::AccountNotLinked, facts, provider, None)
    }

    /// A link was taken away.
    pub fn account_unlinked(who: Who<'a>, provider: &'a str, subject: &'a str, by: Option<By>) -> Self {
        let facts = Facts { by, ..who.facts() };
        Self::at_provider(Kind::AccountUnlinked, facts, provider, Some(subject))
    }

    /// The provider said that the person still may.
    pub fn account_checked(who: Who<'a>, provider: &'a str) -> Self {
        Self::at_provider(Kind::AccountChecked, who.facts(), provider, None)
    }

    /// It said nothing of use.
    pub fn account_not_checked(who: Who<'a>, provider: &'a str, reason: &'static str) -> Self {
        let facts = Facts { reason: Some(reason), ..who.facts() };
        Self::at_provider(Kind::AccountNotChecked, facts, provider, None)
    }

    /// The same, by the word of this provider.
    #[must_use]
    pub const fn of_provider(mut self, provider: &'a str) -> Self {
        self.facts.receiver = Some(provider);
        self
    }
}
