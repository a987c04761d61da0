//! Why the rules say what they say, for an operator who asks. The same code decides as for a call.

use crate::{
    config::Policy,
    rules::{Asker, Denied, Outcome, Rules, Standing},
    tools::Operation,
};
use hallpass_core::{id::GrantId, mcp::Message, scope::Scope};

/// Who would ask for what.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The person, by the `sub` of the tokens; nobody where a machine asks.
    pub person: Option<&'a str>,
    /// The groups that its token names, as [`hallpass_resource::Authenticated::groups`] has them.
    pub groups: &'a [String],
    /// The client.
    pub client: &'a str,
    /// The machine, by the `sub` of its tokens, where that says which of several programs of the client it is.
    pub machine: Option<&'a str>,
    /// The grant, where one is meant.
    pub grant: Option<GrantId>,
    /// Nobody: without a token.
    pub anonymous: bool,
    /// What was granted.
    pub scope: &'a Scope,
    /// The message.
    pub message: &'a Message,
}

/// What the gateway would do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// `allowed`, `scope`, `sign_in` or `denied`.
    pub decision: &'static str,
    /// The rule that decides.
    pub rule: String,
    /// Why, in a sentence.
    pub why: &'static str,
    /// The scopes that a challenge asks for, where more of them would help.
    pub scopes: Option<Scope>,
    /// Every rule that names what is asked for.
    pub rules: Vec<RuleStands>,
    /// The refusal is only told and counted.
    pub dry_run: bool,
}

/// A rule, and how it stands to the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleStands {
    /// The rule.
    pub rule: String,
    /// In words.
    pub stands: String,
    /// The group by which it is about the caller.
    pub group: Option<String>,
}

/// Answers it.
#[must_use]
pub fn explain(required: &Scope, policy: &Policy, question: &Question<'_>) -> Explanation {
    let rules = Rules::new(required.clone(), policy);
    let asker = Asker {
        person: question.person,
        groups: question.groups,
        client: question.client,
        machine: question.machine,
        actors: &[],
        grant: question.grant,
        anonymous: question.anonymous,
        schemes: None,
        details: None,
    };
    let operation = Operation::of(question.message);
    let decided = rules.decide(&asker, question.scope, operation);
    let rule = decided.rule.to_owned();
    let (decision, why, scopes) = match decided.outcome {
        Outcome::Allowed if rules.is_open_rule(&rule) => ("allowed", "it is open to anybody", None),
        Outcome::Allowed => ("allowed", "the token has every scope that is needed", None),
        Outcome::SignIn(needed) => {
            ("sign_in", "it takes a token, and the client is told where to get one", Some(needed))
        }
        Outcome::Lacks(needed) => {
            let scopes = rules.challenged(needed, question.scope);
            ("scope", "more scope is needed, and the client is told which", Some(scopes))
        }
        Outcome::Denied(why) => ("denied", in_words(why), None),
    };
    let stands = rules.standings(&asker, operation).into_iter();
    let stands = stands.map(|(rule, standing, group)| RuleStands {
        rule: rule.to_owned(),
        stands: words(standing),
        group: group.map(str::to_owned),
    });
    let dry_run = policy.dry_run
        && !question.anonymous
        && decision != "allowed"
        && rules.covers(question.scope, required);
    Explanation { decision, rule, why, scopes, rules: stands.collect(), dry_run }
}

const fn in_words(why: Denied) -> &'static str {
    match why {
        Denied::Unlisted => "no rule names it, and what no rule names is denied",
        Denied::Caller => "the rule is not for this caller",
        Denied::Arguments => "the rule is not for these arguments",
    }
}

fn words(standing: Standing<'_>) -> String {
    match standing {
        Standing::Counts => "counts for everybody".to_owned(),
        Standing::Opens => "opens it to anybody".to_owned(),
        Standing::Fits => "fits this caller and these arguments".to_owned(),
        Standing::OtherCaller => "is for other callers".to_owned(),
        Standing::OtherArguments(at) => format!("is for other values of the argument {at:?}"),
        Standing::Forbids => "forbids it".to_owned(),
        Standing::Spares => "forbids something else".to_owned(),
    }
}
