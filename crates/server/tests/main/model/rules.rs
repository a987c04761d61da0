//! Who may hold what: the rules of the project's decisions in their own words, on lists in memory. It shares no code
//! with the server, knows no generations, epochs or keys of the server, and never looks into the store.

mod devices;
mod trades;

use super::operation::{Asked, Slip, Way};
use devices::Claim;
pub use devices::{Device, Shown};
use std::collections::{BTreeMap, BTreeSet};

pub const PEOPLE: usize = 2;
pub const SCOPES: [&str; 4] = ["read", "write", "read write", "read write openid"];
/// Tools that a request can be limited to.
pub const DETAILS: [&str; 2] = [
    r#"[{"type":"mcp_tool","tool":"pay","arguments":{"amount":{"min":1,"max":100}}}]"#,
    r#"[{"type":"mcp_tool","tool":"look"}]"#,
];

/// What a client can do beside redeeming codes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum May {
    /// Stay signed in.
    Refresh,
    /// Ask from a device.
    Device,
}

/// What a client is.
pub struct Kind {
    pub secret: bool,
    /// Whether the operator made it: only such a client may limit a request to some tools.
    pub known: bool,
    pub may: &'static [May],
}

impl Kind {
    pub fn refreshes(&self) -> bool {
        self.may.contains(&May::Refresh)
    }

    pub fn devices(&self) -> bool {
        self.may.contains(&May::Device)
    }
}

/// Clients that people say yes to.
pub const CLIENTS: [Kind; 4] = [
    Kind { secret: false, known: false, may: &[May::Refresh, May::Device] },
    Kind { secret: true, known: false, may: &[May::Refresh] },
    Kind { secret: false, known: false, may: &[] },
    Kind { secret: true, known: true, may: &[May::Refresh, May::Device] },
];
/// The one that the operator made.
pub const AGENT: usize = 3;
/// It acts for all of [`CLIENTS`] and for the third.
pub const HELPER: usize = 4;
/// It acts for the helper.
pub const THIRD: usize = 5;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// A call is let in this long after the token has expired: clocks differ.
const LEEWAY: i64 = 30;

/// A consent page that was shown.
#[derive(Clone, Debug)]
pub struct Page {
    pub person: usize,
    pub client: usize,
    pub resource: usize,
    pub scope: BTreeSet<String>,
    pub verifier: usize,
    /// The sign-in that it was shown to.
    pub session: usize,
    pub at: i64,
    pub csrf: String,
    pub sealed: String,
    /// The tools that it is limited to.
    pub details: Option<usize>,
    /// Whether it was about a device.
    pub device: bool,
}

#[derive(Clone, Debug)]
pub struct Code {
    pub page: usize,
    /// How often the person had ended everything when it was made.
    pub endings: u32,
    pub at: i64,
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct Access {
    pub page: usize,
    /// Who holds it.
    pub client: usize,
    pub scope: BTreeSet<String>,
    /// Who acted, the last first; nobody, where it was not traded.
    pub chain: Vec<usize>,
    pub endings: u32,
    pub ends: i64,
    pub text: String,
}

/// Everything that was ever shown or handed out. No restart and no old copy takes it back.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub pages: Vec<Page>,
    pub codes: Vec<Code>,
    pub access: Vec<Access>,
    /// The refresh tokens of each page, in the order in which they were first handed out.
    pub refresh: BTreeMap<usize, Vec<String>>,
    /// What the server calls the grant of a page.
    pub names: BTreeMap<usize, String>,
    /// Sign-ins: whose, and when.
    pub sessions: Vec<(usize, i64)>,
    /// The sign-in that is in each person's browser.
    pub browsers: [Option<usize>; PEOPLE],
    pub devices: Vec<Device>,
    /// Pages that asked about a device.
    pub shown: Vec<Shown>,
    /// How many of both are of a time before an old copy was put back: who waited then starts over.
    pub over: (usize, usize),
}

#[derive(Clone, Debug)]
pub struct Grant {
    code: usize,
    endings: u32,
    /// Positions in [`Seen::refresh`].
    live: usize,
    predecessor: Option<usize>,
    turned: i64,
    revoked: bool,
}

/// What has to be kept, and what an old copy takes back.
#[derive(Clone, Debug, Default)]
struct Kept {
    endings: [u32; PEOPLE],
    disabled: [bool; PEOPLE],
    /// Sign-ins, and how often the person had ended everything by then.
    sessions: BTreeMap<usize, u32>,
    grants: BTreeMap<usize, Grant>,
    /// Letters that people typed.
    claims: BTreeMap<usize, Claim>,
    /// Since when each person's letters are counted, and how many they were.
    typed: [Option<(i64, u32)>; PEOPLE],
    /// Whether the helper is blocked.
    blocked: bool,
}

/// What happens, with everything in it named.
#[derive(Clone, Debug)]
pub enum Step {
    SignIn { person: usize },
    Ask(Asked),
    Answer { page: usize, allow: bool },
    Redeem { code: usize, slip: Slip },
    Refresh { page: usize, token: usize, slip: Slip },
    Revoke { page: usize, text: String, access: Option<usize>, own: bool },
    TakeBack { person: usize, page: usize },
    Everywhere { person: usize },
    Able { person: usize, disabled: bool },
    Wait { seconds: i64 },
    Call { access: usize, resource: usize },
    Exchange { access: usize, by: usize, slip: Slip },
    Block { blocked: bool },
    Device { client: usize, resource: usize, scope: usize },
    Twin { device: usize },
    Type { person: usize, device: usize },
    Look { person: usize, device: usize },
    Decide { shown: usize, allow: bool },
    Poll { device: usize, slip: Slip },
    Sweep,
    Restart,
    Copy,
    Restore,
}

impl Step {
    /// Whether it is one request that may come at the same moment as others.
    fn can_race(&self) -> bool {
        matches!(
            self,
            Self::Redeem { .. }
                | Self::Refresh { .. }
                | Self::Revoke { .. }
                | Self::Able { .. }
                | Self::Exchange { .. }
                | Self::Type { .. }
                | Self::Decide { .. }
                | Self::Poll { .. }
        )
    }

    /// Whether the two may come at the same moment: what is seen has to tell afterwards which of them was first.
    pub fn can_race_with(&self, other: &Self) -> bool {
        let of_a_device =
            |step: &Self| matches!(step, Self::Type { .. } | Self::Decide { .. } | Self::Poll { .. });
        let tells = match (self, other) {
            (Self::Poll { .. }, Self::Poll { .. }) => true,
            (Self::Type { person, .. }, Self::Type { person: second, .. }) => person != second,
            _ => !(of_a_device(self) && of_a_device(other)),
        };
        tells && self.can_race() && other.can_race()
    }
}

/// Every rule, by what it decides. Each has to be met in a run.
pub const RULES: [&str; 43] = [
    "a code once",
    "the same code twice",
    "a second code of a page",
    "a code too late",
    "a code after everything was ended",
    "the live token",
    "the same successor",
    "an answer lost",
    "a retired token",
    "idle for thirty days",
    "older than forty days",
    "refreshed after it was taken back",
    "refreshed after everything was ended",
    "a scope wider than granted",
    "a scope narrower than granted",
    "another client",
    "revoked by its client",
    "revoked by another client",
    "taken back on the page",
    "let in",
    "said to be alive",
    "not let in, taken back",
    "not let in, expired",
    "two at once",
    "limited to some tools",
    "tools named by a stranger",
    "tools named in a link",
    "tools named where nobody is asked",
    "a device that waits",
    "a device in a hurry",
    "a device too late",
    "a device that was let in",
    "a device that was turned away",
    "a device whose letters were spoiled",
    "letters typed by two",
    "letters shown by two",
    "letters given up for others",
    "traded",
    "traded by its own client",
    "traded by somebody else",
    "traded for more than it was",
    "not let in, made of what was taken back",
    "not let in, a client of the chain is blocked",
];

/// Those that only an old copy of the store can bring about.
pub const RULES_OF_COPIES: [&str; 2] = ["a token newer than the store", "a grant that the store lost"];

/// What could be seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Refused(String),
    SignedIn(bool),
    Page {
        csrf: String,
        sealed: String,
    },
    SignInForm,
    Code(String),
    Denied,
    Tokens {
        access: String,
        refresh: Option<String>,
        scope: String,
        grant: String,
        holder: Holder,
        lives: i64,
    },
    /// A device code, and the letters.
    Device(String, String),
    /// A page without a question.
    Shown(&'static str),
    /// The grants on the account page, or the way to the sign-in.
    Account(Option<BTreeSet<String>>),
    /// Let in by the gateway of a resource; of whom introspection says that it is alive.
    Called(bool, Option<Holder>),
}

/// What a token says of itself, as numbers of what is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    pub person: Option<usize>,
    pub client: Option<usize>,
    pub resource: Option<usize>,
    /// The tools that it is limited to; one more than there are, where nobody knows them.
    pub details: Option<usize>,
    pub chain: Vec<Option<usize>>,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub seen: Seen,
    kept: Kept,
    copy: Option<Kept>,
    pub now: i64,
    /// How often each of [`RULES`] decided.
    pub met: BTreeMap<&'static str, usize>,
}

type Verdict = Result<(), String>;

impl Model {
    /// Whether there is an old copy to go back to.
    pub fn has_copy(&self) -> bool {
        self.copy.is_some()
    }

    fn meet(&mut self, rule: &'static str) {
        *self.met.entry(rule).or_default() += 1;
    }

    /// Checks what was seen against what may be, and takes it in.
    pub fn step(&mut self, step: &Step, outcome: &Outcome) -> Verdict {
        match step {
            Step::SignIn { person } => self.sign_in(*person, outcome),
            Step::Ask(asked) => self.ask(*asked, outcome),
            Step::Answer { page, allow } => self.answer(*page, *allow, outcome),
            Step::Redeem { code, slip } => self.redeem(*code, *slip, outcome),
            Step::Refresh { page, token, slip } => self.refresh(*page, *token, *slip, outcome),
            Step::Revoke { page, access, own, .. } => self.revoke(*page, *access, *own, outcome),
            Step::TakeBack { person, page } => {
                let mine = self.seen.pages[*page].person == *person && self.signed_in(*person).is_some();
                self.account(*person, outcome)?;
                if mine {
                    self.meet("taken back on the page");
                    self.end(*page);
                }
                Ok(())
            }
            Step::Everywhere { person } => {
                self.account(*person, outcome)?;
                if self.signed_in(*person).is_some() {
                    self.kept.endings[*person] += 1;
                }
                Ok(())
            }
            Step::Able { person, disabled } => {
                // Disabling ends everything, and what ended does not come back with the account.
                if *disabled && !self.kept.disabled[*person] {
                    self.kept.endings[*person] += 1;
                }
                self.kept.disabled[*person] = *disabled;
                same(outcome, &Outcome::Done)
            }
            Step::Call { access, resource } => {
                let allowed = self.may_call(*access, *resource);
                let alive = self.said_alive(*access);
                same(outcome, &Outcome::Called(allowed, alive))
            }
            Step::Exchange { access, by, slip } => self.exchange(*access, *by, *slip, outcome),
            Step::Block { blocked } => {
                self.kept.blocked = *blocked;
                same(outcome, &Outcome::Done)
            }
            Step::Device { client, resource, scope } => self.device((*client, *resource, *scope), outcome),
            Step::Twin { device } => self.twin(*device, outcome),
            Step::Type { person, device } => self.typed(*person, *device, outcome),
            Step::Look { person, device } => self.look(*person, *device, outcome),
            Step::Decide { shown, allow } => self.decide(*shown, *allow, outcome),
            Step::Poll { device, slip } => self.poll(*device, *slip, outcome),
            Step::Wait { seconds } => {
                self.now += seconds;
                same(outcome, &Outcome::Done)
            }
            Step::Sweep | Step::Restart => same(outcome, &Outcome::Done),
            Step::Copy => {
                self.copy = Some(self.kept.clone());
                same(outcome, &Outcome::Done)
            }
            Step::Restore => {
                if let Some(copy) = &self.copy {
                    self.kept = copy.clone();
                    self.seen.over = (self.seen.devices.len(), self.seen.shown.len());
                }
                same(outcome, &Outcome::Done)
            }
        }
    }

    /// A person is signed in for twelve hours, unless everything was ended meanwhile.
    fn signed_in(&self, person: usize) -> Option<usize> {
        let session = self.seen.browsers[person]?;
        let endings = self.kept.sessions.get(&session)?;
        let good = *endings == self.kept.endings[person]
            && !self.kept.disabled[person]
            && self.now < self.seen.sessions[session].1 + 12 * HOUR;
        good.then_some(session)
    }

    fn sign_in(&mut self, person: usize, outcome: &Outcome) -> Verdict {
        let allowed = !self.kept.disabled[person];
        same(outcome, &Outcome::SignedIn(allowed))?;
        if allowed {
            let session = self.seen.sessions.len();
            self.seen.sessions.push((person, self.now));
            self.seen.browsers[person] = Some(session);
            self.kept.sessions.insert(session, self.kept.endings[person]);
        }
        Ok(())
    }

    /// Whoever is signed in is asked; a client limits itself to some tools in a pushed request, if the operator knows it.
    fn ask(&mut self, asked: Asked, outcome: &Outcome) -> Verdict {
        let Asked { person, client, resource, scope, way } = asked;
        if matches!(way, Way::PushedFor(_)) && !CLIENTS[client].known {
            self.meet("tools named by a stranger");
            return refused(outcome, &BTreeSet::from(["invalid_authorization_details"]));
        }
        match (self.signed_in(person), way, outcome) {
            (None, _, Outcome::SignInForm) => Ok(()),
            (Some(_), Way::LinkFor(_), _) => {
                self.meet("tools named in a link");
                refused(outcome, &BTreeSet::from(["invalid_authorization_details"]))
            }
            (Some(session), _, Outcome::Page { csrf, sealed }) => {
                let details = match way {
                    Way::PushedFor(details) => Some(details),
                    Way::Link | Way::Pushed | Way::LinkFor(_) => None,
                };
                self.seen.pages.push(Page {
                    person,
                    client,
                    resource,
                    scope: granted(scope),
                    verifier: self.seen.pages.len() % 2,
                    session,
                    at: self.now,
                    csrf: csrf.clone(),
                    sealed: sealed.clone(),
                    details,
                    device: false,
                });
                Ok(())
            }
            (session, ..) => Err(format!("signed in: {}", session.is_some())),
        }
    }

    /// A page can be answered for ten minutes, by the person and in the sign-in that it was shown to.
    fn answer(&mut self, page: usize, allow: bool, outcome: &Outcome) -> Verdict {
        let shown = &self.seen.pages[page];
        let good = self.signed_in(shown.person) == Some(shown.session)
            && self.now - shown.at <= 10 * MINUTE
            && !shown.device;
        match (good, allow, outcome) {
            (false, _, Outcome::Refused(_)) | (true, false, Outcome::Denied) => Ok(()),
            (true, true, Outcome::Code(text)) => {
                if self.seen.codes.iter().any(|code| code.text == *text) {
                    return Err("a code that was handed out before".into());
                }
                let endings = self.kept.endings[shown.person];
                self.seen.codes.push(Code { page, endings, at: self.now, text: text.clone() });
                Ok(())
            }
            _ => Err(format!("the page may be answered: {good}")),
        }
    }

    /// A code is good once, within a minute, for the client, verifier, redirect and resource it was made for, unless
    /// the person ended everything meanwhile. The very same code again ends what came of it.
    fn redeem(&mut self, code: usize, slip: Slip, outcome: &Outcome) -> Verdict {
        let presented = self.seen.codes[code].clone();
        let page = self.seen.pages[presented.page].clone();
        let mut why = wrong(slip);
        // What a device has is no code.
        if page.device {
            why.insert("invalid_grant");
        } else if self.now - presented.at >= MINUTE {
            self.meet("a code too late");
            why.insert("invalid_grant");
        }
        self.meet_slip(slip);
        if !why.is_empty() {
            return refused(outcome, &why);
        }
        self.open(code, outcome)
    }

    /// What a person said yes to is opened once.
    fn open(&mut self, code: usize, outcome: &Outcome) -> Verdict {
        let presented = self.seen.codes[code].clone();
        let page = self.seen.pages[presented.page].clone();
        let invalid = BTreeSet::from(["invalid_grant"]);
        if let Some(grant) = self.kept.grants.get_mut(&presented.page) {
            // Another code of the same page is only refused.
            let same = grant.code == code;
            grant.revoked |= same;
            self.meet(if same { "the same code twice" } else { "a second code of a page" });
            return refused(outcome, &invalid);
        }
        let withdrawn =
            self.kept.disabled[page.person] || presented.endings != self.kept.endings[page.person];
        if withdrawn {
            self.meet("a code after everything was ended");
            return refused(outcome, &invalid);
        }
        self.meet("a code once");
        let refreshes = CLIENTS[page.client].refreshes();
        let grant = Grant {
            code,
            endings: presented.endings,
            live: 0,
            predecessor: None,
            turned: self.now,
            revoked: false,
        };
        self.kept.grants.insert(presented.page, grant);
        self.received(presented.page, refreshes.then_some(0), &page.scope, outcome)
    }

    fn refresh(&mut self, page: usize, token: usize, slip: Slip, outcome: &Outcome) -> Verdict {
        let shown = self.seen.pages[page].clone();
        let mut why = wrong(slip);
        if !CLIENTS[presenter(slip, shown.client)].refreshes() {
            why.insert("unauthorized_client");
        }
        let asked: BTreeSet<String> = match slip {
            Slip::Read => BTreeSet::from(["read".to_owned()]),
            Slip::Everything => words("read write offline_access").map(str::to_owned).collect(),
            _ => shown.scope.clone(),
        };
        // Scope never widens.
        if !asked.is_subset(&shown.scope) {
            self.meet("a scope wider than granted");
            why.insert("invalid_scope");
        }
        self.meet_slip(slip);
        let Some(grant) = self.kept.grants.get(&page).cloned() else {
            self.meet("a grant that the store lost");
            why.insert("invalid_grant");
            return refused(outcome, &why);
        };
        for (broken, rule) in [
            (grant.revoked, "refreshed after it was taken back"),
            (self.withdrawn(page, &grant), "refreshed after everything was ended"),
            (self.now - grant.turned > 30 * DAY, "idle for thirty days"),
            (self.now - self.seen.codes[grant.code].at >= 40 * DAY, "older than forty days"),
        ] {
            if broken {
                self.meet(rule);
                why.insert("invalid_grant");
            }
        }
        if !why.is_empty() {
            // An innocent mistake burns nothing.
            return refused(outcome, &why);
        }
        if asked != shown.scope {
            self.meet("a scope narrower than granted");
        }
        let Some(turned) = self.turned(grant, token) else {
            // Two are using it, and nobody can tell who is the thief.
            self.end(page);
            return refused(outcome, &BTreeSet::from(["invalid_grant"]));
        };
        let successor = turned.live;
        self.kept.grants.insert(page, turned);
        self.received(page, Some(successor), &asked, outcome)
    }

    /// What becomes of a grant when this token of it is presented; nothing, for a retired one.
    fn turned(&mut self, grant: Grant, token: usize) -> Option<Grant> {
        let now = self.now;
        if token >= grant.live {
            // A newer one than the live one: the store is an older copy. The person is not to blame.
            let live = token == grant.live;
            self.meet(if live { "the live token" } else { "a token newer than the store" });
            return Some(Grant { predecessor: Some(token), live: token + 1, turned: now, ..grant });
        }
        if grant.predecessor != Some(token) {
            self.meet("a retired token");
            return None;
        }
        if now - grant.turned <= 30 {
            self.meet("the same successor");
            return Some(grant);
        }
        // Another one, and the one that nobody used is dead.
        self.meet("an answer lost");
        Some(Grant { live: grant.live + 1, turned: now, ..grant })
    }

    /// Tokens, and the refresh token has the place that it should have: new, or the very one that has this place.
    fn received(
        &mut self,
        page: usize,
        place: Option<usize>,
        scope: &BTreeSet<String>,
        outcome: &Outcome,
    ) -> Verdict {
        let shown = self.seen.pages[page].clone();
        let kept = &self.kept.grants[&page];
        let token = Access {
            page,
            client: shown.client,
            scope: scope.clone(),
            chain: Vec::new(),
            endings: kept.endings,
            // No token outlives its grant.
            ends: (self.now + 10 * MINUTE).min(self.seen.codes[kept.code].at + 40 * DAY).max(self.now + 1),
            text: String::new(),
        };
        if shown.details.is_some() {
            self.meet("limited to some tools");
        }
        let refresh = self.take_access(token, outcome)?;
        match (place, refresh) {
            (None, None) => Ok(()),
            (Some(place), Some(text)) => take_place(&mut self.seen.refresh, (page, place), text),
            _ => Err("a refresh token where none is due, or none where one is".into()),
        }
    }

    /// Takes in an access token that has to be this one, and answers the refresh token that came with it.
    fn take_access<'a>(&mut self, token: Access, outcome: &'a Outcome) -> Result<Option<&'a String>, String> {
        let Outcome::Tokens { access, refresh, scope: got, grant, holder, lives } = outcome else {
            return Err("tokens are due".into());
        };
        let got: BTreeSet<String> = words(got).map(str::to_owned).collect();
        if got != token.scope {
            return Err(format!("{got:?} instead of {:?}", token.scope));
        }
        if *holder != self.holder(&token) {
            return Err(format!("for {holder:?} instead of {:?}", self.holder(&token)));
        }
        if self.now + lives != token.ends {
            return Err(format!("{} seconds are left", token.ends - self.now));
        }
        if *self.seen.names.entry(token.page).or_insert_with(|| grant.clone()) != *grant {
            return Err("the grant has another name".into());
        }
        if self.seen.access.iter().any(|token| token.text == *access) {
            return Err("an access token that was handed out before".into());
        }
        self.seen.access.push(Access { text: access.clone(), ..token });
        Ok(refresh.as_ref())
    }

    /// What a token has to say of itself.
    fn holder(&self, token: &Access) -> Holder {
        let page = &self.seen.pages[token.page];
        Holder {
            person: Some(page.person),
            client: Some(token.client),
            resource: Some(page.resource),
            details: page.details,
            chain: token.chain.iter().copied().map(Some).collect(),
        }
    }

    fn meet_slip(&mut self, slip: Slip) {
        match slip {
            Slip::Client => self.meet("another client"),
            Slip::Details => self.meet("tools named where nobody is asked"),
            _ => {}
        }
    }

    /// A client ends its own; anything else has no effect and looks the same. An expired access token says nothing.
    fn revoke(&mut self, page: usize, access: Option<usize>, own: bool, outcome: &Outcome) -> Verdict {
        let speaks = access.is_none_or(|at| self.now < self.seen.access[at].ends);
        self.meet(if own { "revoked by its client" } else { "revoked by another client" });
        if own && speaks {
            self.end(page);
        }
        same(outcome, &Outcome::Done)
    }

    fn end(&mut self, page: usize) {
        if let Some(grant) = self.kept.grants.get_mut(&page) {
            grant.revoked = true;
        }
    }

    /// The person ended everything since, or was disabled.
    fn withdrawn(&self, page: usize, grant: &Grant) -> bool {
        let person = self.seen.pages[page].person;
        grant.endings != self.kept.endings[person] || self.kept.disabled[person]
    }

    /// The account page shows what is in force, of nobody else.
    fn account(&self, person: usize, outcome: &Outcome) -> Verdict {
        let listed = self.signed_in(person).map(|_| {
            let in_force = self.kept.grants.iter().filter(|(page, grant)| {
                // What has ended by itself needs nobody to take it back.
                let is_over = self.now - grant.turned > 30 * DAY
                    || self.now - self.seen.codes[grant.code].at > 40 * DAY;
                self.seen.pages[**page].person == person
                    && !(grant.revoked || self.withdrawn(**page, grant) || is_over)
            });
            in_force.map(|(page, _)| self.seen.names[page].clone()).collect()
        });
        same(outcome, &Outcome::Account(listed))
    }

    /// A gateway that has read the feed lets in what is meant for it, not expired and not taken back. The second one
    /// cannot read what a token is limited to.
    fn may_call(&mut self, access: usize, resource: usize) -> bool {
        let token = self.seen.access[access].clone();
        let page = &self.seen.pages[token.page];
        let revoked = self.kept.grants.get(&token.page).is_some_and(|grant| grant.revoked);
        let taken_back = revoked || token.endings < self.kept.endings[page.person];
        let expired = self.now >= token.ends + LEEWAY;
        let meant = page.resource == resource && (resource == 0 || page.details.is_none());
        let blocked = self.is_blocked(&token);
        self.meet(match (taken_back, expired, blocked) {
            (true, ..) if !token.chain.is_empty() => "not let in, made of what was taken back",
            (true, ..) => "not let in, taken back",
            (_, true, _) => "not let in, expired",
            (.., true) => "not let in, a client of the chain is blocked",
            (false, false, false) => "let in",
        });
        meant && !taken_back && !expired && !blocked
    }

    /// Whoever asks for the first resource is told at once, without a feed and without leeway.
    fn said_alive(&mut self, access: usize) -> Option<Holder> {
        let token = &self.seen.access[access];
        let alive = self.is_alive(token) && self.seen.pages[token.page].resource == 0;
        let holder = self.holder(token);
        if alive {
            self.meet("said to be alive");
        }
        alive.then_some(holder)
    }

    /// Everything that is made of a grant ends with it, and with each client that acts.
    fn is_alive(&self, token: &Access) -> bool {
        let kept = self.kept.grants.get(&token.page);
        let good = kept.is_some_and(|grant| !grant.revoked && !self.withdrawn(token.page, grant));
        good && self.now < token.ends && !self.is_blocked(token)
    }

    fn is_blocked(&self, token: &Access) -> bool {
        self.kept.blocked && (token.client == HELPER || token.chain.contains(&HELPER))
    }
}

/// What nobody has here is left away.
fn granted(scope: usize) -> BTreeSet<String> {
    words(SCOPES[scope]).filter(|name| *name != "openid").map(str::to_owned).collect()
}

/// Who presents what was made for `client`.
pub fn presenter(slip: Slip, client: usize) -> usize {
    if slip == Slip::Client { (client + 1) % CLIENTS.len() } else { client }
}

/// What a slip is answered with. A client without a secret that sends one is as wrong as one that forgets it.
fn wrong(slip: Slip) -> BTreeSet<&'static str> {
    match slip {
        Slip::Client | Slip::Verifier | Slip::Redirect => BTreeSet::from(["invalid_grant"]),
        Slip::Secret => BTreeSet::from(["invalid_client"]),
        Slip::Resource => BTreeSet::from(["invalid_target"]),
        Slip::Details => BTreeSet::from(["invalid_authorization_details"]),
        Slip::None | Slip::NoRedirect | Slip::RightResource | Slip::Read | Slip::Everything => {
            BTreeSet::new()
        }
    }
}

fn take_place(
    all: &mut BTreeMap<usize, Vec<String>>,
    (page, place): (usize, usize),
    text: &String,
) -> Verdict {
    let elsewhere = all.iter().any(|(of, texts)| {
        texts.iter().enumerate().any(|(at, one)| one == text && (*of, at) != (page, place))
    });
    if elsewhere {
        return Err("a refresh token that was handed out before".into());
    }
    let texts = all.entry(page).or_default();
    match texts.get(place) {
        Some(known) if known == text => Ok(()),
        Some(_) => Err("another refresh token in the place of one that was handed out".into()),
        None if texts.len() == place => {
            texts.push(text.clone());
            Ok(())
        }
        None => Err(format!("place {place} after {}", texts.len())),
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|word| !word.is_empty())
}

fn same(outcome: &Outcome, due: &Outcome) -> Verdict {
    if outcome == due { Ok(()) } else { Err(format!("{due:?} is due")) }
}

fn refused(outcome: &Outcome, why: &BTreeSet<&'static str>) -> Verdict {
    match outcome {
        Outcome::Refused(error) if why.contains(error.as_str()) => Ok(()),
        _ => Err(format!("a refusal is due: {why:?}")),
    }
}
