//! Sessions of the older revisions: the upstream's id never leaves, what the client gets is bound to who it is.
//!
//! A session id that works for whoever has it is a second credential (CVE-2026-33946, RS-056). Here the id that a
//! client holds is the upstream's, sealed with the person, the client and the server that it belongs to. Presented
//! by anybody else it does not open, and the answer is that of an unknown session: 404.

use hallpass_core::{
    encoding,
    entropy::Entropy,
    seal::{KeyRing, Purpose},
};
use std::{borrow::Cow, sync::Arc};

/// Longest session id of an upstream.
const MAX_ID: usize = 512;
/// Longest other text that is looked at.
const MAX_HANDLE: usize = 1024 * 1024;
/// Longest sealed id that is looked at.
const MAX_SEALED: usize = 1024;

/// Whom a session belongs to. Never a token: tokens change while a session lives (P30).
#[derive(Clone, Copy, Debug)]
pub struct Principal<'a> {
    /// The `sub` of the token.
    pub subject: &'a str,
    /// The client.
    pub client_id: &'a str,
    /// The name of the server.
    pub server: &'a str,
}

/// Seals session ids.
pub trait SessionSealer: Send + Sync + 'static {
    /// The id for the client: visible ASCII.
    fn seal(&self, principal: &Principal<'_>, upstream_id: &str) -> String;

    /// The upstream's id, when this principal got it from us.
    fn open(&self, principal: &Principal<'_>, sealed: &str) -> Option<String>;

    /// Another text of the upstream that this principal has to bring back, and what it belongs to. The same for the same:
    /// of two answers about one task a client sees that it is one.
    fn seal_handle(&self, principal: &Principal<'_>, belongs_to: &str, text: &str) -> String;

    /// That text, when this principal got it from us for this.
    fn open_handle(&self, principal: &Principal<'_>, belongs_to: &str, sealed: &str) -> Option<String>;
}

/// Seals with the keys of the program, so that any node opens what another sealed.
pub struct KeyRingSealer {
    ring: Arc<KeyRing>,
    entropy: Arc<dyn Entropy>,
}

impl KeyRingSealer {
    /// With these keys.
    pub fn new(ring: Arc<KeyRing>, entropy: Arc<dyn Entropy>) -> Self {
        Self { ring, entropy }
    }
}

impl SessionSealer for KeyRingSealer {
    fn seal(&self, principal: &Principal<'_>, upstream_id: &str) -> String {
        let (context, text) = (context(principal), upstream_id.as_bytes());
        encoding::base64url(&self.ring.seal(Purpose::McpSession, &context, text, &*self.entropy))
    }

    fn open(&self, principal: &Principal<'_>, sealed: &str) -> Option<String> {
        if sealed.len() > MAX_SEALED {
            return None;
        }
        let sealed = encoding::from_base64url(sealed)?;
        let opened = self.ring.open(Purpose::McpSession, &context(principal), &sealed).ok()?;
        String::from_utf8(opened).ok()
    }

    fn seal_handle(&self, principal: &Principal<'_>, belongs_to: &str, text: &str) -> String {
        let (context, text) = (handle_context(principal, belongs_to), text.as_bytes());
        let all = [&*context, text].concat();
        let Ok(derived) = self.ring.mac(self.ring.current(), Purpose::McpSession, &all) else {
            return String::new();
        };
        encoding::base64url(&self.ring.seal(Purpose::McpSession, &context, text, &Derived(derived)))
    }

    fn open_handle(&self, principal: &Principal<'_>, belongs_to: &str, sealed: &str) -> Option<String> {
        if sealed.len() > MAX_HANDLE {
            return None;
        }
        let sealed = encoding::from_base64url(sealed)?;
        let context = handle_context(principal, belongs_to);
        let opened = self.ring.open(Purpose::McpSession, &context, &sealed).ok()?;
        String::from_utf8(opened).ok()
    }
}

/// A nonce out of all that is sealed with it, so that it differs wherever that differs. AES-GCM-SIV takes it: of one that
/// occurs twice it gives away that the same was sealed twice, which is what is wanted here.
struct Derived([u8; 32]);

impl Entropy for Derived {
    fn fill(&self, out: &mut [u8]) {
        for (to, from) in out.iter_mut().zip(self.0.iter().cycle()) {
            *to = *from;
        }
    }
}

/// A fourth part: what is sealed for one is never taken for the other.
fn handle_context(principal: &Principal<'_>, belongs_to: &str) -> Vec<u8> {
    let mut context = context(principal);
    context.extend_from_slice(&belongs_to.len().to_be_bytes());
    context.extend_from_slice(belongs_to.as_bytes());
    context
}

/// Lengths first: subject `a` of client `bc` is not subject `ab` of client `c`.
fn context(principal: &Principal<'_>) -> Vec<u8> {
    let parts = [principal.subject, principal.client_id, principal.server];
    let mut context = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
    for part in parts {
        context.extend_from_slice(&part.len().to_be_bytes());
        context.extend_from_slice(part.as_bytes());
    }
    context
}

/// The upstream's id with what is remembered of a session: whether its client opens URLs for its person. No id has a space.
pub(crate) fn marked(id: &str, opens_urls: bool) -> Cow<'_, str> {
    if opens_urls { Cow::Owned(format!(" {id}")) } else { Cow::Borrowed(id) }
}

/// The two again.
pub(crate) fn unmarked(text: &str) -> (&str, bool) {
    text.strip_prefix(' ').map_or((text, false), |id| (id, true))
}

/// Whether an upstream's session id is one: visible ASCII (MCP 2025-11-25, transports), and not too long.
pub(crate) fn is_session_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::{entropy::SystemEntropy, seal::MasterKey, secret::SecretBytes};

    fn keys() -> KeyRingSealer {
        let master = MasterKey { number: 1, bytes: SecretBytes::new([7; 32]) };
        let ring = KeyRing::new(&[master], &SecretBytes::new([9; 32]), "https://as.example").unwrap();
        KeyRingSealer::new(Arc::new(ring), Arc::new(SystemEntropy))
    }

    const ANN: Principal<'_> = Principal { subject: "ann", client_id: "client", server: "files" };

    #[test]
    fn rs_056_t_81_only_the_same_principal_opens_it() {
        let sealer = keys();
        let held = sealer.seal(&ANN, "session-1");
        assert!(is_session_id(&held) && !held.contains("session-1"));
        assert_eq!(sealer.open(&ANN, &held).as_deref(), Some("session-1"));
        for other in [
            Principal { subject: "bob", ..ANN },
            Principal { client_id: "other", ..ANN },
            Principal { server: "mail", ..ANN },
            Principal { subject: "annc", client_id: "lient", ..ANN },
            Principal { subject: "", client_id: "annclient", ..ANN },
        ] {
            assert_eq!(sealer.open(&other, &held), None, "{other:?}");
        }
    }

    #[test]
    fn rs_056_t_81_nothing_else_opens() {
        let sealer = keys();
        let held = sealer.seal(&ANN, "session-1");
        for bad in ["", "session-1", &held[1..], &format!("{held}A"), &held.to_lowercase(), &"A".repeat(2000)]
        {
            assert_eq!(sealer.open(&ANN, bad), None, "{bad}");
        }
    }

    #[test]
    fn rs_055_a_handle_is_the_same_again_for_the_same_and_for_nothing_else() {
        let sealer = keys();
        let held = sealer.seal_handle(&ANN, "task\n", "0\nt-1");
        assert_eq!(sealer.seal_handle(&ANN, "task\n", "0\nt-1"), held);
        assert_eq!(sealer.open_handle(&ANN, "task\n", &held).as_deref(), Some("0\nt-1"));
        let bob = Principal { subject: "bob", ..ANN };
        let others = [(&ANN, "task\n", "0\nt-2"), (&ANN, "state\n", "0\nt-1"), (&bob, "task\n", "0\nt-1")];
        let nonce = |sealed: &str| encoding::from_base64url(sealed).unwrap()[2..14].to_vec();
        for (who, belongs_to, text) in others {
            let other = sealer.seal_handle(who, belongs_to, text);
            assert_ne!(nonce(&other), nonce(&held), "{belongs_to} {text}");
        }
        assert_eq!(sealer.open_handle(&bob, "task\n", &held), None);
    }

    #[test]
    fn a_session_remembers_whether_its_client_opens_urls() {
        for opens in [false, true] {
            assert_eq!(unmarked(&marked("session-1", opens)), ("session-1", opens));
        }
    }

    #[test]
    fn ids_are_visible_ascii() {
        assert!(is_session_id("3f2b-…".trim_end_matches('…')));
        for bad in ["", "a b", "é", "a\u{7f}", &"a".repeat(MAX_ID + 1)] {
            assert!(!is_session_id(bad), "{bad:?}");
        }
    }
}
