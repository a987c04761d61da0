//! Devices that ask, people who type their letters, and everybody who comes between.

use super::{
    CLIENTS, Code, MINUTE, Model, Outcome, Page, Slip, Verdict, granted, presenter, refused, same, wrong,
};
use std::collections::BTreeSet;

/// How long a device, its letters and what was typed are good.
const LIFE: i64 = 10 * MINUTE;
/// A person may decide this long after the typing: every device with these letters has polled by then.
const SETTLED: i64 = 6;
/// What was typed longer before a device asked has nothing to do with it.
const CLOCKS: i64 = 10;
/// Letters that a person may type in a minute.
const MOST: u32 = 5;

/// A device that asked.
#[derive(Clone, Debug)]
pub struct Device {
    pub client: usize,
    pub resource: usize,
    pub scope: BTreeSet<String>,
    /// The first device with the same letters.
    pub word: usize,
    pub letters: String,
    pub text: String,
    pub at: i64,
    /// When it polled last.
    pub polled: Option<i64>,
}

/// A page that asked about a device.
#[derive(Clone, Debug)]
pub struct Shown {
    pub person: usize,
    pub session: usize,
    pub device: usize,
    pub csrf: String,
    pub sealed: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// What it became, by its place among the codes.
    Allowed(usize),
    Declined,
    Spoiled,
}

/// Letters that somebody typed.
#[derive(Clone, Debug)]
pub struct Claim {
    session: usize,
    at: i64,
    device: Option<usize>,
    state: State,
}

impl Model {
    /// Nothing is kept of it.
    pub(super) fn device(&mut self, asked: (usize, usize, usize), outcome: &Outcome) -> Verdict {
        let (client, resource, scope) = asked;
        if !CLIENTS[client].devices() {
            return refused(outcome, &BTreeSet::from(["unauthorized_client"]));
        }
        let Outcome::Device(text, letters) = outcome else { return Err("a device code is due".into()) };
        if self.seen.devices.iter().any(|device| device.letters == *letters || device.text == *text) {
            return Err("letters or a device code that were given out before".into());
        }
        self.seen.devices.push(Device {
            client,
            resource,
            scope: granted(scope),
            word: self.seen.devices.len(),
            letters: letters.clone(),
            text: text.clone(),
            at: self.now,
            polled: None,
        });
        Ok(())
    }

    /// As when chance gives the same letters to two.
    pub(super) fn twin(&mut self, device: usize, outcome: &Outcome) -> Verdict {
        let Outcome::Device(text, _) = outcome else { return Err("a device code is due".into()) };
        let first = self.seen.devices[device].clone();
        self.seen.devices.push(Device { text: text.clone(), at: self.now, polled: None, ..first });
        Ok(())
    }

    /// What was typed and is not over.
    fn current(&self, word: usize) -> Option<&Claim> {
        self.kept.claims.get(&word).filter(|claim| self.now - claim.at < LIFE)
    }

    /// In one browser at one moment; a second one spoils it, and so does the same browser with other letters.
    pub(super) fn typed(&mut self, person: usize, device: usize, outcome: &Outcome) -> Verdict {
        let Some(session) = self.signed_in(person) else { return same(outcome, &Outcome::SignInForm) };
        let word = self.seen.devices[device].word;
        let there = self.current(word).map(|claim| (claim.session == session, claim.state));
        if matches!(there, Some((true, _))) {
            return same(outcome, &Outcome::Done);
        }
        let (since, count) =
            self.kept.typed[person].filter(|(since, _)| self.now - since < MINUTE).unwrap_or((self.now, 0));
        if count >= MOST {
            self.meet("letters typed too often");
            return same(outcome, &Outcome::Refused("429".into()));
        }
        self.kept.typed[person] = Some((since, count + 1));
        let mut given_up = false;
        for (other, claim) in &mut self.kept.claims {
            if *other != word && claim.session == session && claim.state == State::Open {
                claim.state = State::Spoiled;
                given_up = true;
            }
        }
        if given_up {
            self.meet("letters given up for others");
        }
        let Some((_, state)) = there else {
            let claim = Claim { session, at: self.now, device: None, state: State::Open };
            self.kept.claims.insert(word, claim);
            return same(outcome, &Outcome::Done);
        };
        self.meet("letters typed by two");
        if let (State::Open, Some(claim)) = (state, self.kept.claims.get_mut(&word)) {
            claim.state = State::Spoiled;
        }
        same(outcome, &Outcome::Shown("spoiled"))
    }

    /// Only who typed the letters sees what became of them, and is asked when the device has polled.
    pub(super) fn look(&mut self, person: usize, device: usize, outcome: &Outcome) -> Verdict {
        let Some(session) = self.signed_in(person) else { return same(outcome, &Outcome::SignInForm) };
        let word = self.seen.devices[device].word;
        let Some(claim) = self.current(word).filter(|claim| claim.session == session) else {
            return same(outcome, &Outcome::Shown("form"));
        };
        let shown = match (claim.state, claim.device) {
            (State::Open, Some(device)) if self.now >= claim.at + SETTLED => {
                let Outcome::Page { csrf, sealed } = outcome else {
                    return Err("the question is due".into());
                };
                let (csrf, sealed) = (csrf.clone(), sealed.clone());
                self.seen.shown.push(Shown { person, session, device, csrf, sealed });
                return Ok(());
            }
            (State::Open, _) => "waiting",
            (State::Allowed(_), _) => "allowed",
            (State::Declined, _) => "declined",
            (State::Spoiled, _) => "spoiled",
        };
        same(outcome, &Outcome::Shown(shown))
    }

    /// A yes or a no counts once, in the sign-in that was asked, about the very device that was shown.
    pub(super) fn decide(&mut self, shown: usize, allow: bool, outcome: &Outcome) -> Verdict {
        let shown = self.seen.shown[shown].clone();
        if self.signed_in(shown.person) != Some(shown.session) {
            return match outcome {
                Outcome::Refused(_) => Ok(()),
                _ => Err("it was asked in another sign-in".into()),
            };
        }
        same(outcome, &Outcome::Done)?;
        let device = self.seen.devices[shown.device].clone();
        let open = self.current(device.word).is_some_and(|claim| {
            claim.session == shown.session
                && claim.device == Some(shown.device)
                && claim.state == State::Open
                && self.now >= claim.at + SETTLED
        });
        if !open {
            return Ok(());
        }
        let state = if allow { State::Allowed(self.seen.codes.len()) } else { State::Declined };
        if allow {
            let endings = self.kept.endings[shown.person];
            let page = self.seen.pages.len();
            self.seen.codes.push(Code { page, endings, at: self.now, text: device.text });
            self.seen.pages.push(Page {
                person: shown.person,
                client: device.client,
                resource: device.resource,
                scope: device.scope,
                verifier: 0,
                session: shown.session,
                at: self.now,
                csrf: shown.csrf,
                sealed: shown.sealed,
                details: None,
                device: true,
            });
        }
        if let Some(claim) = self.kept.claims.get_mut(&device.word) {
            claim.state = state;
        }
        Ok(())
    }

    /// A device gets what a person said yes to, once, and nothing where two have the letters.
    pub(super) fn poll(&mut self, device: usize, slip: Slip, outcome: &Outcome) -> Verdict {
        let asked = self.seen.devices[device].clone();
        let mut why = wrong(slip);
        if !CLIENTS[presenter(slip, asked.client)].devices() {
            why.insert("unauthorized_client");
        }
        if self.now - asked.at >= LIFE {
            self.meet("a device too late");
            why.insert("expired_token");
        }
        self.meet_slip(slip);
        // Each node counts for itself, until it stops: nobody has to wait longer than a minute.
        let in_a_hurry = asked.polled.is_some_and(|last| self.now - last < MINUTE);
        let counted =
            !matches!(slip, Slip::Client | Slip::Secret | Slip::Details) && !why.contains("expired_token");
        if counted {
            self.seen.devices[device].polled = Some(self.now);
        }
        if counted && in_a_hurry && *outcome == Outcome::Refused("slow_down".into()) {
            self.meet("a device in a hurry");
            return Ok(());
        }
        if !why.is_empty() {
            return refused(outcome, &why);
        }
        let due = match self.meets(device) {
            None | Some((State::Open, _)) => {
                self.meet("a device that waits");
                "authorization_pending"
            }
            Some((State::Allowed(code), true)) => {
                self.meet("a device that was let in");
                return self.open(code, outcome);
            }
            Some((State::Declined, true)) => {
                self.meet("a device that was turned away");
                "access_denied"
            }
            Some((State::Allowed(_) | State::Declined | State::Spoiled, _)) => {
                self.meet("a device whose letters were spoiled");
                "expired_token"
            }
        };
        refused(outcome, &BTreeSet::from([due]))
    }

    /// What stands of the letters of a device when it has polled, and whether it is about this one.
    fn meets(&mut self, device: usize) -> Option<(State, bool)> {
        let asked = &self.seen.devices[device];
        let (word, since, now) = (asked.word, asked.at - CLOCKS, self.now);
        let claim =
            self.kept.claims.get_mut(&word).filter(|claim| claim.at >= since && now - claim.at < LIFE)?;
        let first = *claim.device.get_or_insert(device) == device;
        let second = claim.state == State::Open && !first;
        if second {
            claim.state = State::Spoiled;
        }
        let stands = (claim.state, first);
        if second {
            self.meet("letters shown by two");
        }
        Some(stands)
    }
}
