//! Whose a process is.

use hallpass_resource::{ANONYMOUS, Authenticated};
use std::borrow::Cow;

/// Whom a session belongs to. Checked on each use, beside the seal of its id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner {
    pub subject: String,
    pub client_id: String,
}

impl Owner {
    /// Of one of the processes that all share. Nobody's token has this subject, so nobody can name it as a session.
    pub(super) fn everybody(number: usize) -> Self {
        Self { subject: String::new(), client_id: number.to_string() }
    }

    /// Whether it is one of those that all share.
    pub(super) fn is_everybody(&self) -> bool {
        self.subject.is_empty()
    }

    /// Of whoever calls. Callers without a token are as many as their addresses: what one of them leaves with a process is not
    /// for the next to find.
    pub(super) fn of(caller: &Authenticated) -> Self {
        let client = if caller.is_anonymous() { caller.counted_as() } else { caller.client_id() };
        Self { subject: caller.subject().to_owned(), client_id: client.to_owned() }
    }

    /// Whether there is no token behind it.
    pub(super) fn is_stranger(&self) -> bool {
        self.subject == ANONYMOUS
    }

    /// By whom its processes and crashes are counted: those that all share each by itself, those of all strangers together.
    pub(super) fn counted(&self) -> Cow<'_, str> {
        if self.is_everybody() { format!("\0{}", self.client_id).into() } else { (&self.subject).into() }
    }
}
