//! Which program a platform's token is about: conditions on its claims, anchored at both ends. Pure.

use crate::clients::operator::{Machine, OperatorClientError, is_usable_id, machine_of};
use hallpass_core::jwt::grant_assertion::MAX_CLAIM_LENGTH;
use serde_json::{Map, Value};
use std::{collections::BTreeMap, sync::Arc};

/// Issuers that sign for everybody in the world, with the claims of which at least one says whose token it is.
const SHARED: [(&str, &[&str]); 4] = [
    (
        "https://token.actions.githubusercontent.com",
        &[
            "sub",
            "repository",
            "repository_id",
            "repository_owner",
            "repository_owner_id",
            "job_workflow_ref",
        ],
    ),
    ("https://gitlab.com", &["sub", "project_path", "project_id", "namespace_path", "namespace_id"]),
    ("https://accounts.google.com", &["sub", "email", "azp"]),
    ("https://app.terraform.io", &["sub", "terraform_organization_id", "terraform_workspace_id"]),
];

/// A program, and what it may get.
#[derive(Clone, Debug)]
pub struct Workload {
    id: String,
    subject: Subject,
    machine: Arc<Machine>,
    conditions: Vec<Condition>,
}

/// What `sub` of its tokens is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Subject {
    /// The client, as of any machine.
    Client,
    /// The client and a text of the operator's.
    Fixed(String),
    /// The client and what the platform calls the program.
    Asserted,
}

/// How `sub` of the platform's token is written in a rule.
const ASSERTED: &str = "{sub}";
/// Most characters behind the client in a `sub`: it is in each token, and in what servers behind are told.
const LONGEST_SUBJECT: usize = 255;

/// A claim, and what it has to be.
#[derive(Clone, Debug)]
struct Condition {
    claim: String,
    pattern: String,
}

/// Why a program cannot be told apart so. The text names the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadError {
    /// No `client_id` that a token may have.
    #[error(
        "the id {0:?} is not usable: 1 to 160 of the characters A-Z a-z 0-9 - . _ ~ that do not begin with hpc_"
    )]
    Id(String),
    /// Everybody with this issuer would fit.
    #[error("the workload {0:?} has no claims: write some that only its tokens have, such as sub")]
    NoClaims(String),
    /// Nothing has to be there.
    #[error("the workload {0:?} takes any {1}: write what it is, with * for a part of it only")]
    Anything(String, String),
    /// Which of the stars takes how much is not clear.
    #[error("the workload {0:?}: * stands once in each part of {1}, between slashes and colons")]
    Stars(String, String),
    /// No subject that a token may have.
    #[error(
        "the subject {1:?} of the workload {0:?} is not usable: 1 to 255 visible characters of ASCII without braces, or \"{{sub}}\" for what its platform calls it"
    )]
    Subject(String, String),
    /// The issuer signs for everybody.
    #[error(
        "{1} signs for everybody: the workload {0:?} needs one of the claims {2} that names the owner without a *"
    )]
    Shared(String, String, String),
    /// Its ceiling.
    #[error("the workload {0:?}: {1}")]
    Ceiling(String, OperatorClientError),
}

/// A program as it is written down.
#[derive(Clone, Debug)]
pub struct WrittenWorkload<'a> {
    /// Its `client_id`, which is the `sub` of its tokens too, or the beginning of it.
    pub id: &'a str,
    /// What else `sub` says, behind the id and a space: a text, or `{sub}` for the `sub` of the platform's token.
    pub subject: Option<&'a str>,
    /// Claims by name, or by path with `/`, and what they have to be.
    pub claims: &'a BTreeMap<String, String>,
    /// All scopes that it can ever get.
    pub scopes: &'a [String],
    /// The servers that it may use.
    pub resources: Option<&'a [String]>,
}

impl Workload {
    /// Checks what was written down.
    pub fn new(written: &WrittenWorkload<'_>) -> Result<Self, WorkloadError> {
        let id = written.id.to_owned();
        if !is_usable_id(&id) || id.contains("://") {
            return Err(WorkloadError::Id(id));
        }
        if written.claims.is_empty() {
            return Err(WorkloadError::NoClaims(id));
        }
        if let Some((claim, _)) =
            written.claims.iter().find(|(_, pattern)| pattern.trim_matches('*').is_empty())
        {
            return Err(WorkloadError::Anything(id, claim.clone()));
        }
        let twice = |pattern: &str| pattern.split(is_mark).any(|part| part.matches('*').count() > 1);
        if let Some((claim, _)) = written.claims.iter().find(|(_, pattern)| twice(pattern)) {
            return Err(WorkloadError::Stars(id, claim.clone()));
        }
        let subject = match written.subject {
            None => Subject::Client,
            Some(ASSERTED) => Subject::Asserted,
            Some(text) if is_subject(text) && !text.contains(['{', '}']) => Subject::Fixed(text.to_owned()),
            Some(text) => return Err(WorkloadError::Subject(id, text.to_owned())),
        };
        let machine = machine_of(written.scopes, written.resources)
            .map_err(|error| WorkloadError::Ceiling(id.clone(), error))?;
        let condition = |(claim, pattern): (&String, &String)| Condition {
            claim: claim.clone(),
            pattern: pattern.clone(),
        };
        let conditions = written.claims.iter().map(condition).collect();
        Ok(Self { id, subject, machine: Arc::new(machine), conditions })
    }

    /// Its `client_id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// `sub` of a token for the program that the platform calls so; `None` where that can be in no token.
    ///
    /// It begins with the client in any case: no id here has a space in it, so that it is never a person's name, nor another
    /// client's, and whoever reads it sees a machine (RFC 9700 §4.15).
    pub fn subject(&self, asserted: &str) -> Option<String> {
        match &self.subject {
            Subject::Client => Some(self.id.clone()),
            Subject::Fixed(text) => Some(format!("{} {text}", self.id)),
            Subject::Asserted => is_subject(asserted).then(|| format!("{} {asserted}", self.id)),
        }
    }

    /// What it may get.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Whether all conditions hold.
    pub fn fits(&self, claims: &Map<String, Value>) -> bool {
        self.conditions.iter().all(|condition| {
            claim(claims, &condition.claim)
                .and_then(spelled)
                .is_some_and(|value| matches(&condition.pattern, &value))
        })
    }

    pub(super) fn is_enough_for(&self, issuer: &str) -> Result<(), WorkloadError> {
        let Some((_, owners)) = SHARED.iter().find(|(shared, _)| *shared == issuer) else { return Ok(()) };
        let owned =
            |condition: &Condition| owners.contains(&condition.claim.as_str()) && names_an_owner(condition);
        if self.conditions.iter().any(owned) {
            return Ok(());
        }
        Err(WorkloadError::Shared(self.id.clone(), issuer.to_owned(), owners.join(", ")))
    }
}

fn is_subject(text: &str) -> bool {
    (1..=LONGEST_SUBJECT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A claim of this name, else the member at this path (`kubernetes.io/namespace`).
pub(crate) fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).or_else(|| {
        let (first, rest) = name.split_once('/')?;
        rest.split('/').try_fold(claims.get(first)?, |value, member| value.as_object()?.get(member))
    })
}

/// Only what has one spelling: text, whole numbers, yes and no.
pub(crate) fn spelled(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.len() <= MAX_CLAIM_LENGTH => Some(text.clone()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a text is this pattern, from its first character to its last. `*` stands for one or more characters of one part:
/// never for `/` and `:`, which divide the names of platforms, so that it cannot reach another tenant.
fn matches(pattern: &str, text: &str) -> bool {
    let marks = |text: &str| text.chars().filter(|one| is_mark(*one)).collect::<String>();
    marks(pattern) == marks(text)
        && pattern.split(is_mark).zip(text.split(is_mark)).all(|(wanted, given)| part(wanted, given))
}

const fn is_mark(character: char) -> bool {
    matches!(character, '/' | ':')
}

fn part(pattern: &str, text: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == text };
    let wild = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    wild.is_some_and(|wild| !wild.is_empty())
}

/// Whether the owner is named in full: the first part, and of `sub`, which begins with a word, the second too.
fn names_an_owner(condition: &Condition) -> bool {
    let parts = if condition.claim == "sub" { 2 } else { 1 };
    condition.pattern.split(is_mark).take(parts).all(|part| !part.contains('*'))
}

#[cfg(test)]
mod tests;
