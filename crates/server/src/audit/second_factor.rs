//! Events about second factors.

use super::{
    Event, Kind,
    facts::{By, Facts, Who},
};

impl<'a> Event<'a> {
    fn of_factor(kind: Kind, who: Who<'a>, reason: &'static str) -> Self {
        Self::new(kind, Facts { reason: Some(reason), ..who.facts() })
    }

    /// The first factor was right. Without a sign-in after it, somebody else may have the password.
    pub fn second_factor_asked(who: Who<'a>) -> Self {
        Self::new(Kind::SecondFactorAsked, who.facts())
    }

    /// A code was not taken.
    pub fn second_factor_refused(who: Who<'a>, reason: &'static str) -> Self {
        Self::of_factor(Kind::SecondFactorRefused, who, reason)
    }

    /// Over a limit.
    pub fn second_factor_throttled(who: Who<'a>, reason: &'static str) -> Self {
        Self::of_factor(Kind::SecondFactorThrottled, who, reason)
    }

    /// It was turned on, or took the place of another.
    pub fn second_factor_on(who: Who<'a>, replaced: bool) -> Self {
        Self::of_factor(Kind::SecondFactorOn, who, if replaced { "replaced" } else { "turned_on" })
    }

    /// It was turned off: by the person, or by an operator.
    pub fn second_factor_off(who: Who<'a>, by: By) -> Self {
        Self::new(Kind::SecondFactorOff, Facts { by: Some(by), ..who.facts() })
    }

    /// Other recovery codes are in force.
    pub fn recovery_codes_made(who: Who<'a>) -> Self {
        Self::new(Kind::RecoveryCodesMade, who.facts())
    }

    /// One was used; so many are left.
    pub fn recovery_code_used(who: Who<'a>, left: u32) -> Self {
        Self::new(Kind::RecoveryCodeUsed, Facts { count: Some(left), ..who.facts() })
    }
}
