//! The page where a person connects a service, as a client is told of it. The link names nobody in the open, and it is good
//! for the person whose call it is about, and nobody else (RS-066, T-68): opened by another, it is refused.

use crate::app::App;
use hallpass_core::{encoding, id::PersonId, parameters::append_to, seal::Purpose, time::Timestamp};
use std::time::Duration;

/// How long a link is good. The page itself is always there.
const LIFETIME: Duration = Duration::from_hours(1);

/// Under this name in the query.
pub(crate) const LINK: &str = "link";

/// What a link says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    /// Whose call it was.
    pub person: PersonId,
    /// What is to be connected.
    pub name: String,
}

/// The address for this person.
pub fn page_for(app: &App, person: PersonId, name: &str, now: Timestamp) -> String {
    let mut text = person.as_bytes().to_vec();
    text.extend_from_slice(&now.plus(LIFETIME).millis().to_be_bytes());
    text.extend_from_slice(name.as_bytes());
    let sealed = encoding::base64url(&app.keys.seal(Purpose::ConnectionPrompt, b"", &text, &*app.entropy));
    append_to(&app.settings.issuer.endpoint("/account/connections"), [(LINK, &*sealed)])
}

/// What a link says, if we wrote it and it is not over.
pub(crate) fn read(app: &App, text: &str, now: Timestamp) -> Option<Link> {
    let sealed = encoding::from_base64url(text).filter(|sealed| sealed.len() <= 256)?;
    let text = app.keys.open(Purpose::ConnectionPrompt, b"", &sealed).ok()?;
    let (person, rest) = text.split_first_chunk::<16>()?;
    let (until, name) = rest.split_first_chunk::<8>()?;
    if now >= Timestamp::from_millis(i64::from_be_bytes(*until)) {
        return None;
    }
    Some(Link { person: PersonId::from_bytes(*person), name: String::from_utf8(name.to_vec()).ok()? })
}
