//! What an operation takes. Pure: the one place that says which scopes are needed for what.

use crate::config::{Policy, Unlisted};
use hallpass_core::{
    mcp::{Call, Message, Pattern, Raw},
    scope::Scope,
};
use serde_json::Value;
use std::borrow::Cow;

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    /// A request or notification.
    Call(&'a Call),
    /// An answer to a request of the server.
    Response,
    /// Opens the stream of the server's own messages, or resumes one.
    Listen,
    /// Ends a session.
    EndSession,
}

impl<'a> Operation<'a> {
    /// What a message wants.
    pub(crate) fn of(message: &'a Message) -> Self {
        message.call().map_or(Self::Response, Self::Call)
    }

    /// For the log: the method, or what stands for it.
    pub(crate) fn method(self) -> &'a str {
        match self {
            Self::Call(call) => call.method(),
            Self::Response => "(response)",
            Self::Listen => "(listen)",
            Self::EndSession => "(end session)",
        }
    }

    /// For the log: what it acts on, a tool, a prompt or a resource.
    pub(crate) fn name(self) -> Option<&'a str> {
        match self {
            Self::Call(call) => call.name(),
            Self::Response | Self::Listen | Self::EndSession => None,
        }
    }
}

/// What is named by rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By its name.
    Tool,
    /// By its name.
    Prompt,
    /// By its URI.
    Resource,
}

/// What one server asks for.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Needed for anything at all.
    pub required: Scope,
    naming: Vec<Rule>,
    denies_unlisted: bool,
    /// Each scope with all that it implies, directly or through others.
    implied: Vec<(Box<str>, Scope)>,
}

#[derive(Clone, Debug)]
struct Rule {
    kind: Kind,
    patterns: Vec<Pattern>,
    scope: Scope,
}

/// Nobody may do this, with whatever scope: asking for more would not help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Denied;

impl Rules {
    /// From what the operator says.
    pub(crate) fn new(required: Scope, policy: &Policy) -> Self {
        let mut rules = Vec::new();
        for rule in &policy.rules {
            for (kind, names) in
                [(Kind::Tool, &rule.tools), (Kind::Prompt, &rule.prompts), (Kind::Resource, &rule.resources)]
            {
                let patterns: Vec<_> = names.iter().map(|name| Pattern::new(name)).collect();
                if !patterns.is_empty() {
                    rules.push(Rule { kind, patterns, scope: rule.scopes.clone() });
                }
            }
        }
        let denies_unlisted = policy.unlisted == Unlisted::Deny;
        Self { required, naming: rules, denies_unlisted, implied: closure(&policy.implies) }
    }

    /// The scopes that an operation needs, all of them, always the same ones (RS-010, RS-017).
    pub(crate) fn required(&self, operation: Operation<'_>) -> Result<Cow<'_, Scope>, Denied> {
        let plain = Ok(Cow::Borrowed(&self.required));
        let Operation::Call(call) = operation else { return plain };
        if self.naming.is_empty() && !self.denies_unlisted {
            return plain;
        }
        match target(call) {
            Target::Nothing => plain,
            Target::Unreadable => Err(Denied),
            Target::One(kind, name) => {
                self.scope_of(kind, &name).map(|scope| Cow::Owned(self.required.united_with(&scope)))
            }
        }
    }

    /// What all rules that name it ask for together.
    fn scope_of(&self, kind: Kind, name: &str) -> Result<Scope, Denied> {
        let mut found = self.naming.iter().filter(|rule| rule.kind == kind && rule.names(name)).peekable();
        if found.peek().is_none() && self.denies_unlisted {
            return Err(Denied);
        }
        Ok(found.fold(Scope::none(), |scope, rule| scope.united_with(&rule.scope)))
    }

    /// Whether what was granted is enough: exact tokens, or what a granted scope implies (RS-016).
    pub(crate) fn covers(&self, granted: &Scope, required: &Scope) -> bool {
        required.iter().all(|token| {
            granted.contains(token)
                || self.implied.iter().any(|(above, below)| granted.contains(above) && below.contains(token))
        })
    }

    /// Whether lists are shown in part.
    pub(crate) fn hides(&self) -> bool {
        self.denies_unlisted
    }

    /// Whether it is shown: what is allowed, and what a step up would allow.
    pub(crate) fn shows(&self, kind: Kind, name: &str) -> bool {
        self.scope_of(kind, name).is_ok()
    }

    /// Whether a template is shown: a rule may name something that it makes.
    pub(crate) fn shows_template(&self, template: &str) -> bool {
        let beginning = template.split('{').next().unwrap_or_default();
        let rules = self.naming.iter().filter(|rule| rule.kind == Kind::Resource);
        !self.denies_unlisted
            || rules.flat_map(|rule| &rule.patterns).any(|pattern| pattern.may_match_from(beginning))
    }
}

impl Rule {
    /// Patterns match plain names only: `read_*` was not written with text that turns around, or `..`, in mind. What
    /// else a server has is named in full (RS-053, T-78).
    fn names(&self, name: &str) -> bool {
        let plain = match self.kind {
            Kind::Tool | Kind::Prompt => is_plain_name(name),
            Kind::Resource => is_plain_uri(name),
        };
        self.patterns
            .iter()
            .any(|pattern| pattern.is(name) || (plain && !pattern.is_exact() && pattern.matches(name)))
    }
}

enum Target<'a> {
    /// The method is about nothing that has a name.
    Nothing,
    One(Kind, Cow<'a, str>),
    /// It is, and does not say which.
    Unreadable,
}

fn target(call: &Call) -> Target<'_> {
    let kind = match call.method() {
        "tools/call" => Kind::Tool,
        "prompts/get" => Kind::Prompt,
        "resources/read" => Kind::Resource,
        "resources/subscribe" | "resources/unsubscribe" => return inside(call, Kind::Resource, "/uri"),
        "completion/complete" => {
            let reference = call.params().and_then(Raw::to_value);
            let kind = reference.as_ref().and_then(|params| params.pointer("/ref/type")?.as_str());
            return match kind {
                Some("ref/prompt") => inside(call, Kind::Prompt, "/ref/name"),
                // A template, named as it is written.
                Some("ref/resource") => inside(call, Kind::Resource, "/ref/uri"),
                _ => Target::Unreadable,
            };
        }
        _ => return Target::Nothing,
    };
    call.name().map_or(Target::Unreadable, |name| Target::One(kind, Cow::Borrowed(name)))
}

fn inside(call: &Call, kind: Kind, pointer: &str) -> Target<'static> {
    let name = call.params().and_then(Raw::to_value);
    let name = name.as_ref().and_then(|params| params.pointer(pointer)).and_then(Value::as_str);
    name.map_or(Target::Unreadable, |name| Target::One(kind, Cow::Owned(name.to_owned())))
}

/// The characters that MCP recommends for names (SEP-986).
fn is_plain_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
}

/// Nothing in it that leads elsewhere once somebody resolves it.
fn is_plain_uri(uri: &str) -> bool {
    let lower = uri.to_ascii_lowercase();
    uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !["%2e", "%2f", "%5c", "%25"].iter().any(|escape| lower.contains(escape))
        && !uri.split(['/', '?', '#']).any(|segment| matches!(segment, "." | ".."))
}

/// Each scope with everything below it. A circle makes its scopes equal and ends.
fn closure(implies: &[(String, Scope)]) -> Vec<(Box<str>, Scope)> {
    let widened = |scope: &Scope| {
        let named = implies.iter().filter(|(above, _)| scope.contains(above));
        named.fold(scope.clone(), |all, (_, below)| all.united_with(below))
    };
    let whole = |scope: &Scope| {
        let mut all = scope.clone();
        loop {
            let more = widened(&all);
            if more == all {
                return all;
            }
            all = more;
        }
    };
    implies.iter().map(|(name, below)| (name.as_str().into(), whole(below))).collect()
}

#[cfg(test)]
mod tests;
