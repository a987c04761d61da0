//! Which scopes the tools, prompts and resources of a server take.

use super::{
    Check,
    file::{RuleEntry, ServerEntry, Unlisted},
};
use hallpass_core::scope::Scope;
use hallpass_gateway::{Policy, Rule};
use hallpass_server::ScopeEntry;
use toml::Spanned;

impl Check<'_> {
    /// Checks the rules of a server. `scopes` are all that it has.
    pub(super) fn policy(&mut self, entry: &ServerEntry, scopes: &[ScopeEntry]) -> Policy {
        let implies = entry.scopes.iter().filter_map(|line| {
            let names = line.implies.as_ref()?;
            Some((line.name.clone(), self.known("implies", names, scopes)))
        });
        let implies = implies.collect();
        let rules: Vec<Rule> = entry.rules.iter().map(|rule| self.rule(rule, scopes)).collect();
        let unlisted = match entry.unlisted {
            Some(Unlisted::Deny) => hallpass_gateway::Unlisted::Deny,
            None if !rules.is_empty() => hallpass_gateway::Unlisted::Deny,
            Some(Unlisted::Default) | None => hallpass_gateway::Unlisted::Default,
        };
        Policy { rules, unlisted, implies }
    }

    fn rule(&mut self, rule: &Spanned<RuleEntry>, scopes: &[ScopeEntry]) -> Rule {
        let entry = rule.get_ref();
        let mut names = entry.tools.iter().chain(&entry.prompts).chain(&entry.resources).peekable();
        if names.peek().is_none() {
            self.wrong(
                rule,
                "the rule names nothing",
                "add tools, prompts or resources, such as tools = [\"read_*\"]",
            );
        } else if names.any(String::is_empty) {
            self.wrong(rule, "the rule has an empty name", "write a name, or \"*\" for all");
        }
        Rule {
            tools: entry.tools.clone(),
            prompts: entry.prompts.clone(),
            resources: entry.resources.clone(),
            scopes: entry
                .scopes
                .as_ref()
                .map_or_else(Scope::none, |names| self.known("the rule", names, scopes)),
        }
    }

    /// Scopes by name, all of which the server has to have: nobody could be granted another.
    pub(super) fn known(&mut self, what: &str, names: &Spanned<Vec<String>>, scopes: &[ScopeEntry]) -> Scope {
        for name in names.get_ref() {
            if !scopes.iter().any(|scope| scope.name == *name) {
                self.wrong(
                    names,
                    format!("{what} names {name:?}, which is not one of the server's scopes"),
                    "add it to scopes, or remove it here",
                );
            }
        }
        Scope::of(names.get_ref().iter().map(String::as_str))
    }
}
