//! Whom identity providers mean here.

use crate::{Answer, CreatedLinked, DueLinks, Hold, Link, LinkUse, Linked, NewLink, Person};
use hallpass_core::{
    id::{AttemptId, LinkId, PersonId},
    time::Timestamp,
};

/// Whom identity providers mean here: found by issuer and subject, and by nothing else.
pub trait Links: Send + Sync + 'static {
    /// Links an account, if it is there and not disabled. Whom a provider calls so is one person here.
    fn link_put(&self, link: NewLink) -> Answer<'_, Linked>;

    /// Makes an account and its link, both or neither. Running it again with the same ids is success.
    fn person_create_linked(&self, person: Person, link: NewLink) -> Answer<'_, CreatedLinked>;

    /// Whom this provider means, also where the account is disabled. Nothing of an account that is gone.
    fn link_read(&self, issuer: String, subject: String) -> Answer<'_, Option<(Link, Person)>>;

    /// All links of this person, oldest first.
    fn links_of_person(&self, person: PersonId) -> Answer<'_, Vec<Link>>;

    /// The person signed in with it, by the provider's word of this moment.
    fn link_use(&self, link: LinkUse) -> Answer<'_, ()>;

    /// Removes one of this person; `false` when it is none of theirs, or gone.
    fn link_remove(&self, id: LinkId, person: PersonId) -> Answer<'_, bool>;

    /// Those that the provider gave something to ask with, that are due, that nobody asks about now, and whose person has not
    /// been signed out everywhere since: whom to ask longest is first.
    fn links_due(&self, due: DueLinks) -> Answer<'_, Vec<Link>>;

    /// Takes the word to ask, as [`crate::Connections::connection_hold`] does.
    fn link_hold(&self, hold: Hold<LinkId>, now: Timestamp) -> Answer<'_, bool>;

    /// Gives it back; nobody gets it until `until`.
    fn link_release(&self, id: LinkId, holder: AttemptId, until: Timestamp) -> Answer<'_, ()>;

    /// The provider said yes, and gave this to ask it the next time; `false` when the row is of another version.
    fn link_checked(&self, id: LinkId, version: u32, sealed: Vec<u8>, now: Timestamp) -> Answer<'_, bool>;

    /// The provider said, about what it gave at this version, that it is over: everything that the person opened since ends
    /// (`epoch + 1`, one entry in the feed), in one transaction. Answers the new epoch, also when it is run again; `None` when
    /// the row is of another version, or the person was signed out everywhere meanwhile.
    fn link_end(&self, id: LinkId, version: u32, until: Timestamp, now: Timestamp)
    -> Answer<'_, Option<u32>>;
}
