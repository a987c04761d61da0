//! Walking through live grants and revoking them, for the commands that do.

use super::place::Place;
use anyhow::Context;
use hallpass_core::id::{GrantId, PersonId};
use hallpass_server::audit::{By, Event, Which};
use hallpass_store::{Grant, RevocationReason, StoreError};
use std::sync::Arc;
use tokio::task::JoinSet;

/// Grants at a time. A store takes more than this many writes before it says that it is busy.
const PAGE: u32 = 250;

/// Live grants, page by page: there may be more than fit into memory.
pub struct Pages<'a> {
    place: &'a Place,
    person: Option<PersonId>,
    before: Option<GrantId>,
}

impl<'a> Pages<'a> {
    /// Those of everybody.
    pub const fn of_everybody(place: &'a Place) -> Self {
        Self { place, person: None, before: None }
    }

    /// Those of one person.
    pub const fn of_person(place: &'a Place, person: PersonId) -> Self {
        Self { place, person: Some(person), before: None }
    }

    /// The next page, the newest first; `None` behind the last.
    pub async fn next(&mut self) -> anyhow::Result<Option<Vec<Grant>>> {
        let page = match self.person {
            Some(person) => self.place.store.grants_of_person(person, self.before, PAGE).await?,
            None => self.place.store.grants_list(self.before, PAGE).await?,
        };
        let Some(last) = page.last() else { return Ok(None) };
        self.before = Some(last.id);
        Ok(Some(page))
    }
}

/// Revokes them and records it; answers how many were live. At the same time, so that they share commits.
pub async fn revoke(place: &Place, grants: Vec<Grant>) -> anyhow::Result<usize> {
    let (until, now) = (place.tokens_until(), place.now);
    let mut under_way = JoinSet::new();
    for grant in grants {
        let store = Arc::clone(&place.store);
        under_way.spawn(async move {
            let done = store.grant_revoke(grant.id, RevocationReason::Operator, until, now).await?;
            Ok::<_, StoreError>(done.then_some(grant))
        });
    }
    let (mut ended, mut failed) = (Vec::new(), None);
    while let Some(one) = under_way.join_next().await {
        match one? {
            Ok(grant) => ended.extend(grant),
            Err(error) => failed = Some(error),
        }
    }
    if !ended.is_empty() {
        let events: Vec<_> =
            ended.iter().map(|grant| Event::grant_revoked(Which::of(grant), until, By::Operator)).collect();
        place.record(&events).await?;
    }
    match failed {
        Some(error) => {
            Err(error).with_context(|| format!("{} revoked, then it failed: run it again", ended.len()))
        }
        None => Ok(ended.len()),
    }
}
