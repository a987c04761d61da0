//! Who may do what, as an operator says it.

use hallpass_core::{id::GrantId, mcp::Constraints, scope::Scope};
use std::sync::Arc;

/// What the tools, prompts and resources of a server take, and for whom.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// All that name a thing count together.
    pub rules: Vec<Rule>,
    /// For what no rule names.
    pub unlisted: Unlisted,
    /// Scopes that include others. What these include is included too.
    pub implies: Vec<(String, Scope)>,
    /// What a challenge asks for.
    pub challenge: ChallengeScopes,
    /// The rules only say what they would refuse, and let it pass. The required scopes are asked for all the same.
    pub dry_run: bool,
}

/// One rule: about which things, for whom, and what they take. Names are exact, or patterns in which `*` stands for any
/// characters.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// What it is called in the log; without it, its place: `#1` is the first.
    pub name: Option<String>,
    /// Names of tools.
    pub tools: Vec<String>,
    /// Names of prompts.
    pub prompts: Vec<String>,
    /// URIs of resources.
    pub resources: Vec<String>,
    /// What each of them takes.
    pub scopes: Scope,
    /// Whom it is about.
    pub callers: Callers,
    /// With which arguments.
    pub arguments: Constraints,
    /// It opens what it names to anybody, with or without a token, whatever other rules take; with these arguments.
    pub open: bool,
    /// It forbids, whatever other rules say.
    pub deny: bool,
    /// How often one caller may do all that it names together.
    pub calls_per_minute: Option<u32>,
}

/// Whom a rule is about. What is not given is anybody; all that is given has to be so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Callers {
    /// People, by the `sub` of their tokens.
    pub people: Option<Vec<String>>,
    /// Clients, by `client_id`.
    pub clients: Option<Vec<String>>,
    /// Grants: single installations of a client.
    pub grants: Option<Vec<GrantId>>,
    /// People, by a group that they are in.
    pub groups: Option<Vec<Group>>,
}

/// People under one name. Neither a machine nor a client is ever in one, whatever it is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// As the operator writes it.
    pub name: String,
    /// Who is in it.
    pub members: Members,
}

/// Who is in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Members {
    /// These people, by the `sub` of their tokens.
    Listed(Arc<[String]>),
    /// Of whom a token says so: the name as in [`hallpass_resource::Authenticated::groups`], which begins with an issuer.
    Claimed(String),
}

/// What to do with what no rule names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// It takes the scopes that every call needs.
    #[default]
    Default,
    /// Nobody may use it, and lists do not show it.
    Deny,
}

/// What a challenge for more scope asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ChallengeScopes {
    /// What the operation takes, always the same (RS-010).
    #[default]
    Operation,
    /// That and what was granted before: for clients that replace what they had by what they are told (P20).
    Granted,
}
