//! `[groups]`: people under a name of the operator's, and the groups that rules name.

use super::Check;
use hallpass_core::id::PersonId;
use hallpass_gateway::{Group, Members};
use std::{collections::BTreeMap, sync::Arc};
use toml::Spanned;

const ID: &str = "write the id that `hallpass user list` shows, or NAME:SUB for a person of another authorization server; a name could be given to somebody else later";

impl Check<'_> {
    /// Reads the groups. Who is in one need not be there (yet): accounts come and go.
    pub(super) fn groups(&mut self, typed: &BTreeMap<String, Spanned<Vec<String>>>) {
        for (name, people) in typed {
            if !is_name(name) {
                self.wrong(
                    people,
                    format!("{name:?} cannot be the name of a group"),
                    "write 1 to 64 letters, digits and - _ . without a colon: NAME:GROUP is a group of another authorization server",
                );
            }
            let members = self.people(people);
            self.groups.insert(name.clone(), members.into());
        }
    }

    /// People, as callers are called. By id: a name can become somebody else's.
    pub(super) fn people(&mut self, people: &Spanned<Vec<String>>) -> Vec<String> {
        let known = |id: &String| PersonId::parse(id).is_some() || self.foreign(id).is_some();
        if let Some(bad) = people.get_ref().iter().find(|id| !known(id)) {
            self.wrong(people, format!("{bad:?} is not the id of a person"), ID);
        }
        self.named(people.get_ref())
    }

    /// The groups that a rule names: ours, which are in the file, and `NAME:GROUP`, of which only tokens of that authorization
    /// server tell. No name is both.
    pub(super) fn in_groups(&mut self, typed: &Spanned<Vec<String>>) -> Vec<Group> {
        typed.get_ref().iter().filter_map(|name| self.group(typed, name)).collect()
    }

    fn group(&mut self, at: &Spanned<Vec<String>>, name: &str) -> Option<Group> {
        if let Some(people) = self.groups.get(name) {
            return Some(Group { name: name.to_owned(), members: Members::Listed(Arc::clone(people)) });
        }
        let Some(claimed) = self.foreign(name) else {
            self.wrong(
                at,
                format!("groups names {name:?}, and [groups] has no such group"),
                "add it to [groups], or write NAME:GROUP for a group of another authorization server",
            );
            return None;
        };
        let server = name.split_once(':').map_or(name, |(server, _)| server);
        if self.trusted.iter().any(|known| known.name == server && known.groups_claim.is_none()) {
            self.wrong(
                at,
                format!("groups names {name:?}, and [[authorization_server]] {server:?} has no groups_claim"),
                "write the claim of its tokens that holds groups, such as groups_claim = \"groups\"",
            );
        }
        Some(Group { name: name.to_owned(), members: Members::Claimed(claimed) })
    }
}

/// Without a colon, which `NAME:GROUP` has, and without a space, which each name of another authorization server has here.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
