//! Who may do what: the rules of one server, and what they say to one operation. Pure.
//!
//! All rules that name a thing count together. A rule for everybody adds what it takes. A rule for some callers or some
//! arguments is one way in: where there are such rules, one of them has to fit. A rule that denies goes before all others.

use crate::{
    config::{Callers, ChallengeScopes, Group, Members, Policy, Unlisted},
    tools::{Kind, Operation, Target, is_plain_name, is_plain_uri, target},
};
mod open;

use hallpass_core::{
    authorization_details::AuthorizationDetails,
    id::GrantId,
    mcp::{Call, Constraints, Pattern, Verdict},
    scope::Scope,
};
use hallpass_resource::ScopeNames;
use serde_json::Value;

/// The scopes that every call takes.
pub(crate) const REQUIRED: &str = "required_scopes";
/// For what no rule names.
pub(crate) const UNLISTED: &str = "unlisted";

/// What one server asks for.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Needed for anything at all.
    pub required: Scope,
    /// Refusals by the rules are only told.
    pub dry_run: bool,
    challenge: ChallengeScopes,
    naming: Vec<Rule>,
    denies_unlisted: bool,
    /// Each scope with all that it implies, directly or through others.
    implied: Vec<(Box<str>, Scope)>,
}

/// A line of the configuration, for one kind of thing.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    /// What it is called in the log.
    pub label: Box<str>,
    kind: Kind,
    patterns: Vec<Pattern>,
    scope: Scope,
    callers: Callers,
    arguments: Constraints,
    open: bool,
    deny: bool,
    calls_per_minute: Option<u32>,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    /// The person, where there is one.
    pub person: Option<&'a str>,
    /// The groups that the token names: of another authorization server alone.
    pub groups: &'a [String],
    /// The client that calls.
    pub client: &'a str,
    /// The machine, where there is one: its client, and which of the programs of that.
    pub machine: Option<&'a str>,
    /// All clients that act for the person, that one first. Empty for most.
    pub actors: &'a [String],
    /// The installation.
    pub grant: Option<GrantId>,
    /// Nobody: there is no token.
    pub anonymous: bool,
    /// Where its client looks for what a tool takes in lists: what scopes are called where it gets its token.
    pub schemes: Option<&'a ScopeNames>,
    /// The only tools that its token is for.
    pub details: Option<&'a AuthorizationDetails>,
}

/// Who asks, kept for as long as its stream is open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Viewer {
    person: Option<Box<str>>,
    groups: Box<[String]>,
    client: Box<str>,
    machine: Option<Box<str>>,
    actors: Box<[String]>,
    grant: Option<GrantId>,
    anonymous: bool,
    schemes: Option<ScopeNames>,
    details: Option<AuthorizationDetails>,
}

impl Viewer {
    /// Keeps it.
    pub(crate) fn of(asker: &Asker<'_>) -> Self {
        let Asker { person, groups, client, machine, actors, grant, anonymous, schemes, details } = *asker;
        Self {
            person: person.map(Into::into),
            groups: groups.into(),
            client: client.into(),
            machine: machine.map(Into::into),
            actors: actors.into(),
            grant,
            anonymous,
            schemes: schemes.cloned(),
            details: details.cloned(),
        }
    }

    /// Who asks.
    pub(crate) fn asker(&self) -> Asker<'_> {
        let Self { person, groups, client, machine, actors, grant, anonymous, schemes, details } = self;
        let (grant, anonymous, schemes, details) = (*grant, *anonymous, schemes.as_ref(), details.as_ref());
        let (person, machine) = (person.as_deref(), machine.as_deref());
        Asker { person, groups, client, machine, actors, grant, anonymous, schemes, details }
    }
}

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision<'r> {
    /// The rule that decided.
    pub rule: &'r str,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Allowed,
    /// These are all scopes that it takes.
    Lacks(Scope),
    /// The same for who has no token yet.
    SignIn(Scope),
    Denied(Denied),
}

/// Why no scope would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// No rule names it: nobody may.
    Unlisted,
    /// Not this caller.
    Caller,
    /// Not with these arguments.
    Arguments,
}

/// How a rule that names a thing stands to one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing<'r> {
    /// It counts for everybody.
    Counts,
    /// It is for some, and for this one.
    Fits,
    /// It opens this to anybody.
    Opens,
    /// For others.
    OtherCaller,
    /// For other arguments: this one is the first that differs.
    OtherArguments(&'r str),
    /// It forbids this.
    Forbids,
    /// It forbids something else.
    Spares,
}

impl Rules {
    /// From what the operator says.
    pub(crate) fn new(required: Scope, policy: &Policy) -> Self {
        let mut naming = Vec::new();
        for (at, rule) in policy.rules.iter().enumerate() {
            let label = rule.name.clone().unwrap_or_else(|| format!("#{}", at + 1));
            for (kind, names) in
                [(Kind::Tool, &rule.tools), (Kind::Prompt, &rule.prompts), (Kind::Resource, &rule.resources)]
            {
                if names.is_empty() {
                    continue;
                }
                naming.push(Rule {
                    label: label.as_str().into(),
                    kind,
                    patterns: names.iter().map(|name| Pattern::new(name)).collect(),
                    scope: rule.scopes.clone(),
                    callers: rule.callers.clone(),
                    arguments: rule.arguments.clone(),
                    open: rule.open,
                    deny: rule.deny,
                    calls_per_minute: rule.calls_per_minute,
                });
            }
        }
        Self {
            required,
            dry_run: policy.dry_run,
            challenge: policy.challenge,
            naming,
            denies_unlisted: policy.unlisted == Unlisted::Deny,
            implied: closure(&policy.implies),
        }
    }

    /// What they say to this operation of this caller: the same for the same, always (RS-010, RS-017).
    pub(crate) fn decide(
        &self,
        asker: &Asker<'_>,
        granted: &Scope,
        operation: Operation<'_>,
    ) -> Decision<'_> {
        if asker.anonymous {
            return self.decide_without_token(asker, operation);
        }
        let unnamed = self.naming.is_empty() && !self.denies_unlisted;
        let found = match operation {
            Operation::Call(call) if !unnamed => Some((call, target(call))),
            Operation::Call(_) | Operation::Response | Operation::Listen | Operation::EndSession => None,
        };
        match found {
            None | Some((_, Target::Nothing)) if self.covers(granted, &self.required) => {
                Decision { rule: REQUIRED, outcome: Outcome::Allowed }
            }
            None | Some((_, Target::Nothing)) => {
                Decision { rule: REQUIRED, outcome: Outcome::Lacks(self.required.clone()) }
            }
            Some((_, Target::Unreadable)) => denied(UNLISTED, Denied::Unlisted),
            Some((call, Target::One(kind, name))) => self.decide_named((kind, &name), call, asker, granted),
        }
    }

    fn decide_named(
        &self,
        (kind, name): (Kind, &str),
        call: &Call,
        asker: &Asker<'_>,
        granted: &Scope,
    ) -> Decision<'_> {
        let arguments = self.arguments(kind, name, call);
        let mut needed = self.required.clone();
        let (mut counts, mut fits, mut misfit) = (None, Vec::new(), None);
        if let Some(rule) = self.opened((kind, name), asker, arguments.as_ref()) {
            return Decision { rule, outcome: Outcome::Allowed };
        }
        for rule in self.naming(kind, name).filter(|rule| !rule.open) {
            match rule.standing(asker, arguments.as_ref()) {
                Standing::Forbids if rule.arguments.is_empty() => return denied(&rule.label, Denied::Caller),
                Standing::Forbids => return denied(&rule.label, Denied::Arguments),
                Standing::Spares | Standing::Opens => {}
                Standing::Counts => {
                    needed = needed.united_with(&rule.scope);
                    counts = counts.or(Some(&*rule.label));
                }
                Standing::Fits => fits.push(rule),
                Standing::OtherCaller => misfit = misfit.or(Some((&*rule.label, Denied::Caller))),
                // Nearer to what would be allowed, so it is what the caller is told.
                Standing::OtherArguments(_) => {
                    misfit = misfit.filter(|(_, why)| *why == Denied::Arguments);
                    misfit = misfit.or(Some((&*rule.label, Denied::Arguments)));
                }
            }
        }
        if fits.is_empty() {
            return match (misfit, counts) {
                (Some((rule, why)), _) => denied(rule, why),
                (None, None) if self.denies_unlisted => denied(UNLISTED, Denied::Unlisted),
                (None, counts) => self.compare(counts.unwrap_or(UNLISTED), needed, granted),
            };
        }
        let whole = |rule: &&Rule| needed.united_with(&rule.scope);
        let best = fits.iter().find(|rule| self.covers(granted, &whole(rule))).or(fits.first());
        match best {
            Some(rule) => self.compare(&rule.label, whole(rule), granted),
            None => denied(UNLISTED, Denied::Unlisted),
        }
    }

    fn compare<'r>(&self, rule: &'r str, needed: Scope, granted: &Scope) -> Decision<'r> {
        let enough = self.covers(granted, &needed);
        Decision { rule, outcome: if enough { Outcome::Allowed } else { Outcome::Lacks(needed) } }
    }

    /// The arguments, read anew only where a rule depends on them.
    fn arguments(&self, kind: Kind, name: &str, call: &Call) -> Option<Value> {
        let matters = self.naming(kind, name).any(|rule| !rule.arguments.is_empty());
        if matters { call.arguments() } else { None }
    }

    fn naming(&self, kind: Kind, name: &str) -> impl Iterator<Item = &Rule> {
        self.naming.iter().filter(move |rule| rule.kind == kind && rule.names(name))
    }

    /// Every rule that names what the operation acts on, and how it stands to it: for whoever asks why. Where it is about this
    /// caller as one of a group, which.
    pub(crate) fn standings(
        &self,
        asker: &Asker<'_>,
        operation: Operation<'_>,
    ) -> Vec<(&str, Standing<'_>, Option<&str>)> {
        let Operation::Call(call) = operation else { return Vec::new() };
        let Target::One(kind, name) = target(call) else { return Vec::new() };
        let arguments = self.arguments(kind, &name, call);
        let rules = self.naming(kind, &name);
        let arguments = arguments.as_ref();
        rules.map(|rule| (&*rule.label, rule.standing(asker, arguments), rule.by_group(asker))).collect()
    }

    /// The limits that hold for an operation: which, and how many calls a minute.
    pub(crate) fn limits(&self, operation: Operation<'_>) -> Vec<(usize, u32)> {
        if self.naming.iter().all(|rule| rule.calls_per_minute.is_none()) {
            return Vec::new();
        }
        let Operation::Call(call) = operation else { return Vec::new() };
        let Target::One(kind, name) = target(call) else { return Vec::new() };
        let rules = self.naming.iter().enumerate().filter(|(_, rule)| rule.kind == kind && rule.names(&name));
        rules.filter_map(|(at, rule)| Some((at, rule.calls_per_minute?))).collect()
    }

    /// What a challenge asks for, when this is needed and that was granted.
    pub(crate) fn challenged(&self, needed: Scope, granted: &Scope) -> Scope {
        match self.challenge {
            ChallengeScopes::Operation => needed,
            ChallengeScopes::Granted => needed.united_with(granted),
        }
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
        let somebodys = |rule: &Rule| rule.deny || rule.callers != Callers::default();
        !self.dry_run && (self.denies_unlisted || self.naming.iter().any(somebodys))
    }

    /// Whether it is shown: what is allowed, and what a step up or other arguments would allow.
    pub(crate) fn shows(&self, asker: &Asker<'_>, kind: Kind, name: &str) -> bool {
        let (mut counts, mut fits, mut misfit) = (false, false, false);
        for rule in self.naming(kind, name) {
            if rule.open {
                counts = true;
                continue;
            }
            match (rule.is_about(asker), rule.deny, rule.is_for_some()) {
                (true, true, _) if rule.arguments.is_empty() => return false,
                (_, true, _) => {}
                (_, false, false) => counts = true,
                (true, false, true) => fits = true,
                (false, false, true) => misfit = true,
            }
        }
        fits || (!misfit && (counts || !self.denies_unlisted))
    }

    /// Whether a template is shown: a rule may name something that it makes.
    pub(crate) fn shows_template(&self, asker: &Asker<'_>, template: &str) -> bool {
        let beginning = template.split('{').next().unwrap_or_default();
        let rules = self.naming.iter().filter(|rule| rule.kind == Kind::Resource && !rule.deny);
        let mut rules = rules.filter(|rule| rule.is_about(asker)).flat_map(|rule| &rule.patterns);
        !self.denies_unlisted || rules.any(|pattern| pattern.may_match_from(beginning))
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
        // Who forbids `delete_*` means `delete_\u{200b}all` too.
        let plain = plain || self.deny;
        self.patterns
            .iter()
            .any(|pattern| pattern.is(name) || (plain && !pattern.is_exact() && pattern.matches(name)))
    }

    fn takes(&self, arguments: Option<&Value>) -> bool {
        matches!(self.arguments.judge(arguments), Verdict::Met)
    }

    fn is_for_some(&self) -> bool {
        !self.arguments.is_empty() || self.callers != Callers::default()
    }

    /// Whether it is about this caller. A token that went from client to client (RFC 8693) is worth what all of them may do
    /// and is forbidden what one of them may not: a second client is no way around a rule about the first.
    fn is_about(&self, asker: &Asker<'_>) -> bool {
        let Callers { people, clients, grants, groups } = &self.callers;
        let person = |people: &Vec<String>| {
            asker.person.is_some_and(|person| people.iter().any(|one| *one == *person))
        };
        let named = |clients: &Vec<String>, client: &str| clients.iter().any(|one| *one == *client);
        let client = |clients: &Vec<String>| {
            let mut others = asker.actors.iter();
            let machine = asker.machine.is_some_and(|machine| named(clients, machine));
            let calls = machine || named(clients, asker.client);
            if self.deny {
                calls || others.any(|other| named(clients, other))
            } else {
                calls && others.all(|other| named(clients, other))
            }
        };
        let grant = |grants: &Vec<GrantId>| asker.grant.is_some_and(|grant| grants.contains(&grant));
        people.as_ref().is_none_or(person)
            && clients.as_ref().is_none_or(client)
            && grants.as_ref().is_none_or(grant)
            && groups.as_ref().is_none_or(|groups| groups.iter().any(|group| group.has(asker)))
    }

    /// The group by which it is about this caller.
    fn by_group(&self, asker: &Asker<'_>) -> Option<&str> {
        let mut groups = self.callers.groups.iter().flatten().filter(|group| group.has(asker));
        groups.next().map(|group| group.name.as_str()).filter(|_| self.is_about(asker))
    }

    /// How it stands to a call of what it names. What cannot be told of arguments is against the caller both ways.
    fn standing(&self, asker: &Asker<'_>, arguments: Option<&Value>) -> Standing<'_> {
        let about = self.is_about(asker);
        let verdict = self.arguments.judge(arguments);
        match (self.deny, about) {
            (true, true) if !matches!(verdict, Verdict::Unmet(_)) => Standing::Forbids,
            (true, _) => Standing::Spares,
            (false, _) if self.open => match verdict {
                Verdict::Met => Standing::Opens,
                Verdict::Unmet(at) | Verdict::Unclear(at) => Standing::OtherArguments(at),
            },
            (false, _) if !self.is_for_some() => Standing::Counts,
            (false, false) => Standing::OtherCaller,
            (false, true) => match verdict {
                Verdict::Met => Standing::Fits,
                Verdict::Unmet(at) | Verdict::Unclear(at) => Standing::OtherArguments(at),
            },
        }
    }
}

impl Group {
    /// Whether this person is in it. A token is asked for names that begin with an issuer and for no others, so that nobody
    /// else's word brings anybody into a group of the operator's.
    fn has(&self, asker: &Asker<'_>) -> bool {
        let Some(person) = asker.person else { return false };
        match &self.members {
            Members::Listed(people) => people.iter().any(|one| **one == *person),
            Members::Claimed(name) => asker.groups.contains(name),
        }
    }
}

const fn denied(rule: &str, why: Denied) -> Decision<'_> {
    Decision { rule, outcome: Outcome::Denied(why) }
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
pub(crate) mod tests;
