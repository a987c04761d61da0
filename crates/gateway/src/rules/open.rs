//! What is open to anybody: rules that ask for no token, and what they say to a caller who has none. Pure.
//!
//! Whoever brings no token gets what such a rule names and nothing else, whatever other rules leave out: that no scope is asked
//! for somewhere is no word for strangers.

use super::{Asker, Decision, Denied, Outcome, REQUIRED, Rules, Standing, UNLISTED};
use crate::{
    config::Callers,
    tools::{Kind, Operation, Target, target},
};
use hallpass_core::{mcp::Call, scope::Scope};
use serde_json::Value;

/// What a caller without a token may say so that it can find out what is open. Their answers are lists, which are shown as far
/// as they concern it, or nothing of the server's.
const PROTOCOL: [&str; 11] = [
    "initialize",
    "ping",
    "server/discover",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
];

/// For what every caller may say.
const PROTOCOL_RULE: &str = "open_protocol";

impl Rules {
    /// Whether there is anything for callers without a token.
    pub(crate) fn opens(&self) -> bool {
        self.naming.iter().any(|rule| rule.open)
    }

    /// The rule that opens it to anybody, where there is one and nothing forbids it.
    pub(super) fn opened(
        &self,
        (kind, name): (Kind, &str),
        asker: &Asker<'_>,
        arguments: Option<&Value>,
    ) -> Option<&str> {
        if !self.opens() {
            return None;
        }
        let rules = || self.naming(kind, name);
        let forbids = |rule: &super::Rule| rule.standing(asker, arguments) == Standing::Forbids;
        let mut open = rules().filter(|rule| rule.open && rule.takes(arguments));
        let opened = open.next().filter(|_| !rules().any(forbids))?;
        Some(&opened.label)
    }

    /// Whether this is what is said of something that is open.
    pub(crate) fn is_open_rule(&self, label: &str) -> bool {
        label == PROTOCOL_RULE || self.naming.iter().any(|rule| rule.open && *rule.label == *label)
    }

    /// What the rules say to a caller without a token.
    pub(super) fn decide_without_token(&self, asker: &Asker<'_>, operation: Operation<'_>) -> Decision<'_> {
        let open = Decision { rule: PROTOCOL_RULE, outcome: Outcome::Allowed };
        let sign_in = || Decision { rule: REQUIRED, outcome: Outcome::SignIn(self.required.clone()) };
        let Operation::Call(call) = operation else { return open };
        match target(call) {
            Target::Nothing if PROTOCOL.contains(&call.method()) => open,
            Target::Nothing => sign_in(),
            Target::Unreadable => Decision { rule: UNLISTED, outcome: Outcome::Denied(Denied::Unlisted) },
            Target::One(kind, name) => self.decide_named_without_token((kind, &name), call, asker),
        }
    }

    fn decide_named_without_token(
        &self,
        (kind, name): (Kind, &str),
        call: &Call,
        asker: &Asker<'_>,
    ) -> Decision<'_> {
        let nothing = Scope::none();
        // As for somebody who signed in and was granted nothing.
        let decision = self.decide_named((kind, name), call, asker, &nothing);
        let arguments = self.arguments(kind, name, call);
        // What is forbidden to everybody is worth no sign-in.
        let to_everybody = |rule: &super::Rule| {
            rule.deny
                && rule.callers == Callers::default()
                && rule.standing(asker, arguments.as_ref()) == Standing::Forbids
        };
        match decision.outcome {
            Outcome::Denied(Denied::Caller) if self.naming(kind, name).any(to_everybody) => decision,
            Outcome::Allowed if self.opened((kind, name), asker, arguments.as_ref()).is_some() => decision,
            Outcome::Lacks(needed) => Decision { outcome: Outcome::SignIn(needed), ..decision },
            // Somebody may, or may with no scope at all: only a token says who.
            Outcome::Allowed | Outcome::Denied(Denied::Caller) | Outcome::SignIn(_) => {
                Decision { outcome: Outcome::SignIn(self.required.clone()), ..decision }
            }
            Outcome::Denied(Denied::Unlisted | Denied::Arguments) => decision,
        }
    }

    /// What calling a tool takes, for clients that look for it in lists: whether it may be called without a token, and the
    /// scopes that it takes with one, where it is not open whatever its arguments are.
    pub(crate) fn scheme(&self, tool: &str) -> (bool, Option<Scope>) {
        let open = || self.naming(Kind::Tool, tool).filter(|rule| rule.open);
        if open().any(|rule| rule.arguments.is_empty()) {
            return (true, None);
        }
        let others = self.naming(Kind::Tool, tool).filter(|rule| !rule.open && !rule.deny);
        let scopes = others.fold(self.required.clone(), |all, rule| all.united_with(&rule.scope));
        (open().next().is_some(), Some(scopes))
    }
}
