//! What happens and what can be seen of it: the words that the model and the world share.

use super::operation::Slip;
use std::collections::{BTreeMap, BTreeSet};

pub const PEOPLE: usize = 2;
pub const SCOPES: [&str; 4] = ["read", "write", "read write", "read write openid"];
/// Whether each client has a secret, and whether it registered for refresh tokens.
pub const CLIENTS: [(bool, bool); 3] = [(false, true), (true, true), (false, false)];

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
    pub endings: u32,
    pub at: i64,
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
}

/// What happens, with everything in it named.
#[derive(Clone, Debug)]
pub enum Step {
    SignIn { person: usize },
    Ask { person: usize, client: usize, resource: usize, scope: usize },
    Answer { page: usize, allow: bool },
    Redeem { code: usize, slip: Slip },
    Refresh { page: usize, token: usize, slip: Slip },
    Revoke { page: usize, text: String, access: Option<usize>, own: bool },
    TakeBack { person: usize, page: usize },
    Everywhere { person: usize },
    Able { person: usize, disabled: bool },
    Wait { seconds: i64 },
    Call { access: usize, resource: usize },
    Sweep,
    Restart,
    Copy,
    Restore,
}

impl Step {
    /// Whether it is one request, of which two can come at the same moment.
    pub fn can_race(&self) -> bool {
        matches!(self, Self::Redeem { .. } | Self::Refresh { .. } | Self::Revoke { .. } | Self::Able { .. })
    }
}

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
        holder: String,
    },
    /// The grants on the account page, or the way to the sign-in.
    Account(Option<BTreeSet<String>>),
    /// Let in by the gateway of a resource; said to be alive by introspection.
    Called(bool, bool),
}
