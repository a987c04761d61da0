//! Who may do what with the tools, prompts and resources of a server.

use super::{
    Check,
    file::{ChallengeScopes, RuleEntry, ServerEntry, Unlisted},
};
use hallpass_core::{id::GrantId, mcp::Constraints, scope::Scope};
use hallpass_gateway::{Callers, Policy, Rule};
use hallpass_server::ScopeEntry;
use toml::Spanned;

impl Check<'_> {
    /// Checks the rules of a server. `scopes` are all that it has.
    pub(super) fn policy(&mut self, entry: &ServerEntry, scopes: &[ScopeEntry]) -> Policy {
        let implies = entry.scopes.iter().filter_map(|line| {
            let names = line.implies.as_ref()?;
            Some((line.name.clone(), self.known("implies", names, scopes)))
        });
        let implies: Vec<(String, Scope)> = implies.collect();
        self.no_circle(entry, &implies);
        let rules: Vec<Rule> = entry.rules.iter().map(|rule| self.rule(rule, scopes)).collect();
        let unlisted = match entry.unlisted {
            Some(Unlisted::Deny) => hallpass_gateway::Unlisted::Deny,
            None if !rules.is_empty() => hallpass_gateway::Unlisted::Deny,
            Some(Unlisted::Default) | None => hallpass_gateway::Unlisted::Default,
        };
        let challenge = match entry.challenge_scopes {
            Some(ChallengeScopes::Granted) => hallpass_gateway::ChallengeScopes::Granted,
            Some(ChallengeScopes::Operation) | None => hallpass_gateway::ChallengeScopes::Operation,
        };
        Policy { rules, unlisted, implies, challenge, dry_run: false }
    }

    /// Scopes in a circle would all be the same one, which nobody means.
    fn no_circle(&mut self, entry: &ServerEntry, implies: &[(String, Scope)]) {
        for line in &entry.scopes {
            let Some(names) = &line.implies else { continue };
            let mut below = Scope::of(names.get_ref().iter().map(String::as_str));
            loop {
                let lower = implies.iter().filter(|(above, _)| below.contains(above));
                let more = lower.fold(below.clone(), |all, (_, next)| all.united_with(next));
                if more == below {
                    break;
                }
                below = more;
            }
            if below.contains(&line.name) {
                self.wrong(
                    names,
                    format!("the scope {:?} implies itself, directly or through others", line.name),
                    "let each scope imply lesser ones only",
                );
                return;
            }
        }
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
        if let Some(scopes) = entry.scopes.as_ref().filter(|_| entry.deny) {
            self.wrong(
                scopes,
                "a rule that denies takes no scopes: no scope would help",
                "remove scopes, or deny",
            );
        }
        if let Some(name) = entry.name.as_ref().filter(|name| !is_label(name.get_ref())) {
            self.wrong(
                name,
                "the name of a rule is for the log",
                "write 1 to 64 letters, digits, spaces and - _ . : /",
            );
        }
        self.opens(rule);
        Rule {
            name: entry.name.as_ref().map(|name| name.get_ref().clone()),
            tools: entry.tools.clone(),
            prompts: entry.prompts.clone(),
            resources: entry.resources.clone(),
            scopes: entry
                .scopes
                .as_ref()
                .map_or_else(Scope::none, |names| self.known("the rule", names, scopes)),
            callers: self.about(entry),
            arguments: self.arguments(entry),
            open: entry.open,
            deny: entry.deny,
            calls_per_minute: self.at_least_one(entry.calls_per_minute.as_ref()),
        }
    }

    /// What is open is so for everybody, and nothing has to be brought for it.
    fn opens(&mut self, rule: &Spanned<RuleEntry>) {
        let entry = rule.get_ref();
        let people = entry.people.is_some() || entry.groups.is_some();
        let for_some = people || entry.clients.is_some() || entry.grants.is_some();
        if entry.open && (for_some || entry.deny || entry.scopes.is_some()) {
            self.wrong(
                rule,
                "a rule that opens something is for anybody, and takes no scopes",
                "remove open, or people, groups, clients, grants, scopes and deny",
            );
        }
    }

    /// People and grants by id: a name can become somebody else's.
    fn about(&mut self, entry: &RuleEntry) -> Callers {
        let people = entry.people.as_ref().map(|people| self.people(people));
        let groups = entry.groups.as_ref().map(|groups| self.in_groups(groups));
        let clients = entry.clients.as_ref().map(|clients| {
            if clients.get_ref().iter().any(String::is_empty) {
                self.wrong(
                    clients,
                    "an empty client id",
                    "write the client_id, as `hallpass grant list` shows it",
                );
            }
            self.named(clients.get_ref())
        });
        let grants = entry.grants.as_ref().map(|grants| {
            let ids: Vec<GrantId> = grants.get_ref().iter().filter_map(|id| GrantId::parse(id)).collect();
            if ids.len() != grants.get_ref().len() {
                self.wrong(grants, "not the id of a grant", "write ids that `hallpass grant list` shows");
            }
            ids
        });
        Callers { people, clients, grants, groups }
    }

    /// As callers are called: those of another authorization server by its issuer too.
    pub(super) fn named(&self, written: &[String]) -> Vec<String> {
        written.iter().map(|id| self.foreign(id).unwrap_or_else(|| id.clone())).collect()
    }

    fn arguments(&mut self, entry: &RuleEntry) -> Constraints {
        let Some(typed) = &entry.arguments else { return Constraints::NONE };
        if !entry.resources.is_empty() {
            self.wrong(
                typed,
                "resources have no arguments",
                "write a rule of its own for the resources, without arguments",
            );
        }
        match Constraints::parse(typed.get_ref()) {
            Ok(constraints) if constraints.is_empty() => {
                self.wrong(typed, "arguments without a condition", "add a condition, or remove the line");
                constraints
            }
            Ok(constraints) => constraints,
            Err(error) => {
                self.wrong(typed, error.to_string(), "see docs/guide/tool-policy.md for what can be written");
                Constraints::NONE
            }
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

fn is_label(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b" -_.:/".contains(&byte))
}
