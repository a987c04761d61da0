//! Which scopes what takes, as an operator says it.

use hallpass_core::scope::Scope;

/// Which scopes the tools, prompts and resources of a server take.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// All that name a thing count together.
    pub rules: Vec<Rule>,
    /// For what no rule names.
    pub unlisted: Unlisted,
    /// Scopes that include others. What these include is included too.
    pub implies: Vec<(String, Scope)>,
}

/// The scopes of some things: exact names, or patterns in which `*` stands for any characters.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Names of tools.
    pub tools: Vec<String>,
    /// Names of prompts.
    pub prompts: Vec<String>,
    /// URIs of resources.
    pub resources: Vec<String>,
    /// What each of them takes.
    pub scopes: Scope,
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
