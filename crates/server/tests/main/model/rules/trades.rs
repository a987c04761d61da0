//! Access tokens that are traded for narrower ones.

use super::{AGENT, Access, CLIENTS, HELPER, Model, Outcome, Slip, THIRD, Verdict, refused, words, wrong};
use std::collections::BTreeSet;

/// No more act one after the other.
const MOST: usize = 5;

/// Whether the client may trade what the other holds. All that list the exchange may trade what is their own.
fn acts_for(by: usize, holder: usize) -> bool {
    match by {
        AGENT => holder == AGENT,
        HELPER => holder < CLIENTS.len() || holder == THIRD || holder == HELPER,
        THIRD => holder == HELPER || holder == THIRD,
        _ => false,
    }
}

impl Model {
    /// Never for more, never for longer, only by whom the operator lets, and only what is alive.
    pub(super) fn exchange(&mut self, access: usize, by: usize, slip: Slip, outcome: &Outcome) -> Verdict {
        let subject = self.seen.access[access].clone();
        let mut why = wrong(slip);
        if by < AGENT {
            why.insert("unauthorized_client");
        }
        if by == HELPER && self.kept.blocked {
            why.insert("invalid_client");
        }
        let mut chain = subject.chain.clone();
        if chain.is_empty() {
            chain.push(subject.client);
        }
        if chain[0] != by {
            chain.insert(0, by);
        }
        if !acts_for(by, subject.client) {
            self.meet("traded by somebody else");
            why.insert("invalid_request");
        }
        if !self.is_alive(&subject) || chain.len() > MOST {
            why.insert("invalid_request");
        }
        let asked: BTreeSet<String> = match slip {
            Slip::Read => BTreeSet::from(["read".to_owned()]),
            Slip::Everything => words("read write offline_access").map(str::to_owned).collect(),
            _ => subject.scope.clone(),
        };
        if !asked.is_subset(&subject.scope) {
            self.meet("traded for more than it was");
            why.insert("invalid_scope");
        }
        self.meet_slip(slip);
        if !why.is_empty() {
            return refused(outcome, &why);
        }
        self.meet(if by == subject.client { "traded by its own client" } else { "traded" });
        let token = Access {
            client: by,
            scope: asked,
            chain,
            ends: subject.ends.min(self.now + 10 * super::MINUTE),
            ..subject
        };
        match self.take_access(token, outcome)? {
            None => Ok(()),
            Some(_) => Err("a refresh token for a part".into()),
        }
    }
}
