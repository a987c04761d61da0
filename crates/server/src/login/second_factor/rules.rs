//! Who is asked for a second factor, and what was typed. Pure.

use hallpass_core::{encoding, grant::digest32, id::PersonId, secret::SecretString, totp};
use std::time::Duration;

/// How many wrong codes count, and for how long. Whoever gets to guess has the password already. A guess is right with three
/// codes of 10^6 (the present step and the ones beside it), and each is counted before it is looked at, on the row of the account:
/// 10 in 12 hours from browsers that are new to the person and 10 from those that are not make 40 a day, or 0.012 % a day, and
/// 4 % for a year of guessing day and night, with a line in the audit for each. A right code forgives no wrong one.
///
/// The owner is not locked out meanwhile: strangers cannot use up the tries of the owner's own browsers, and a recovery code is
/// never turned away for the guesses of others, because it cannot be guessed (80 bits).
pub const TRIES: u32 = 10;
/// See [`TRIES`].
pub const WINDOW: Duration = Duration::from_hours(12);

/// How many recovery codes a person gets.
pub const RECOVERY_CODES: usize = 10;
/// Bytes of one: 80 bits, so that its plain hash in a stolen database leads nowhere.
pub const RECOVERY_BYTES: usize = 10;
/// Characters of one.
const RECOVERY_LENGTH: usize = 16;

/// Whether people sign in with a second factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondFactorPolicy {
    /// Nobody turns one on. Whoever has one is asked for it still: a line in a file must not take a lock off a door.
    Off,
    /// Who wants to.
    Optional,
    /// Everybody: who has none sets it up before there is a session.
    Required,
}

/// What comes after the first factor.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A session.
    Open(NotAsked),
    /// The code.
    Ask,
    /// The person has none, and needs one.
    SetUp,
}

/// That a person is asked for no second factor. Made by [`next`] alone.
#[derive(Debug, PartialEq, Eq)]
pub struct NotAsked(());

/// Decides.
pub const fn next(policy: SecondFactorPolicy, has_one: bool) -> Next {
    match (has_one, policy) {
        (true, SecondFactorPolicy::Off | SecondFactorPolicy::Optional | SecondFactorPolicy::Required) => {
            Next::Ask
        }
        (false, SecondFactorPolicy::Required) => Next::SetUp,
        (false, SecondFactorPolicy::Off | SecondFactorPolicy::Optional) => Next::Open(NotAsked(())),
    }
}

/// What somebody typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed {
    /// What may be a code of an app.
    Code(SecretString),
    /// What may be a recovery code.
    RecoveryCode(SecretString),
    /// Neither: no guess at anything.
    Neither,
}

/// Reads it, as people type: with spaces and hyphens, in large letters or small ones, 0, 1 and 8 for the letters that look alike,
/// because a recovery code has none of them.
pub fn read(text: &str) -> Typed {
    if text.len() > 64 {
        return Typed::Neither;
    }
    let typed: String = text.chars().filter(|c| !c.is_whitespace() && *c != '-').collect();
    if typed.len() == totp::DIGITS && typed.bytes().all(|byte| byte.is_ascii_digit()) {
        return Typed::Code(SecretString::new(typed));
    }
    let letter = |c: char| match c {
        '0' => 'o',
        '1' => 'l',
        '8' => 'b',
        other => other.to_ascii_lowercase(),
    };
    let code: String = typed.chars().map(letter).collect();
    let is_one = code.len() == RECOVERY_LENGTH
        && code.bytes().all(|byte| byte.is_ascii_lowercase() || (b'2'..=b'7').contains(&byte));
    if is_one { Typed::RecoveryCode(SecretString::new(code)) } else { Typed::Neither }
}

/// A recovery code, as people read it: four groups of four.
pub fn recovery_code(random: &[u8; RECOVERY_BYTES]) -> SecretString {
    let letters = encoding::base32(random).to_ascii_lowercase();
    let groups: Vec<&str> = [0, 4, 8, 12].iter().filter_map(|at| letters.get(*at..at + 4)).collect();
    SecretString::new(groups.join("-"))
}

/// What is kept of a recovery code, as [`read`] gives it.
pub fn digest(person: PersonId, code: &SecretString) -> [u8; 32] {
    digest32(&format!("hallpass recovery code {person} {}", code.expose()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::{entropy::SystemEntropy, time::Timestamp};

    #[test]
    fn as_097_t_17_who_has_a_second_factor_is_always_asked_for_it() {
        use SecondFactorPolicy::{Off, Optional, Required};
        for policy in [Off, Optional, Required] {
            assert_eq!(next(policy, true), Next::Ask, "{policy:?}");
        }
        assert_eq!(next(Required, false), Next::SetUp);
        for policy in [Off, Optional] {
            assert_eq!(next(policy, false), Next::Open(NotAsked(())));
        }
    }

    #[test]
    fn as_097_what_people_type() {
        let code = |text: &str| Typed::Code(SecretString::new(text));
        for text in ["123456", " 123 456\t", "123-456"] {
            assert_eq!(read(text), code("123456"), "{text:?}");
        }
        let shown = recovery_code(b"0123456789");
        assert_eq!(shown.expose(), "gayt-emzu-gu3d-oobz");
        let person = PersonId::new(Timestamp::from_seconds(0), &SystemEntropy);
        for text in [shown.expose(), "GAYTEMZUGU3DOOBZ", "gayt emzu gu3d 0o8z", "gayt-emzu-gu3d-00bz"] {
            let Typed::RecoveryCode(read) = read(text) else { panic!("{text}") };
            assert_eq!(digest(person, &read), digest(person, &SecretString::new("gaytemzugu3doobz")));
        }
        let long = "1".repeat(65);
        for text in
            ["", "12345", "1234567", "１２３４５６", "gayt-emzu-gu3d-oob", "gayt-emzu-gu3d-oob9", &long]
        {
            assert_eq!(read(text), Typed::Neither, "{text:?}");
        }
    }
}
