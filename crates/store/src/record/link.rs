//! Whom an identity provider means here.

use hallpass_core::{
    id::{LinkId, PersonId},
    time::Timestamp,
};

/// That a person here is the one whom an identity provider calls so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The one time that it was linked.
    pub id: LinkId,
    /// The provider, as written.
    pub issuer: String,
    /// What it calls the person: with the issuer the only name of anybody at a provider that never means somebody else.
    pub subject: String,
    /// Who that is here.
    pub person: PersonId,
    /// When it was linked.
    pub linked_at: Timestamp,
    /// When the person last signed in with it.
    pub used_at: Option<Timestamp>,
    /// The person's epoch then: what that sign-in opened ends with it.
    pub epoch: u32,
    /// What the provider gave to ask it again, sealed.
    pub sealed: Option<Vec<u8>>,
    /// Goes up when that changes.
    pub version: u32,
    /// When the provider last said that the person may.
    pub checked_at: Timestamp,
    /// Until when somebody asks it, or nobody does.
    pub held_until: Timestamp,
}

/// A link that is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewLink {
    /// Drawn for this one time.
    pub id: LinkId,
    /// The provider, as written.
    pub issuer: String,
    /// What it calls the person.
    pub subject: String,
    /// Who that is here.
    pub person: PersonId,
    /// When.
    pub linked_at: Timestamp,
}

/// Answer of `link_put`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linked {
    /// The person has it, now or before.
    Yes,
    /// Another person has it.
    Another(PersonId),
    /// There is no such person, or the account is disabled.
    Nobody,
}

/// Answer of `person_create_linked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreatedLinked {
    /// Both are made.
    Yes,
    /// Somebody else has the name: nothing is made.
    NameTaken,
    /// Somebody has the link: nothing is made.
    LinkTaken,
}

/// A sign-in with a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkUse {
    /// Which.
    pub id: LinkId,
    /// The person's epoch.
    pub epoch: u32,
    /// What the provider gave to ask it again; without, what it gave before stays.
    pub sealed: Option<Vec<u8>>,
    /// When.
    pub now: Timestamp,
}

/// Links that an identity provider has to be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueLinks {
    /// Of this provider.
    pub issuer: String,
    /// About which it last said yes before this.
    pub checked_before: Timestamp,
    /// The present.
    pub now: Timestamp,
    /// At most so many.
    pub limit: u32,
}
