//! The dated revisions of MCP that differ on the wire.

use std::fmt;

/// A revision of the Model Context Protocol, in the order of publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Revision {
    /// The only one with JSON-RPC batches, and without protected resource metadata.
    V2025_03_26,
    /// Brought `MCP-Protocol-Version`.
    V2025_06_18,
    /// The last one with sessions.
    V2025_11_25,
    /// Stateless; mirrors the message in HTTP headers (SEP-2243, SEP-2575).
    V2026_07_28,
}

impl Revision {
    /// All that are known, the oldest first.
    pub const ALL: [Self; 4] = [Self::V2025_03_26, Self::V2025_06_18, Self::V2025_11_25, Self::V2026_07_28];

    /// Reads the value of `MCP-Protocol-Version`. Unknown revisions are `None`: what they demand is not known.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|revision| revision.as_str() == text)
    }

    /// As written on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V2025_03_26 => "2025-03-26",
            Self::V2025_06_18 => "2025-06-18",
            Self::V2025_11_25 => "2025-11-25",
            Self::V2026_07_28 => "2026-07-28",
        }
    }

    /// Whether servers of this revision compare the `Mcp-*` headers with the body. Where they do not, the headers
    /// are an attacker's claim (RS-052).
    pub fn mirrors_headers(self) -> bool {
        self >= Self::V2026_07_28
    }

    /// Whether `Mcp-Session-Id`, the GET stream and `Last-Event-ID` exist.
    pub fn has_sessions(self) -> bool {
        self < Self::V2026_07_28
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_text_is_a_revision() {
        for revision in Revision::ALL {
            assert_eq!(Revision::parse(revision.as_str()), Some(revision));
        }
        for other in ["", "2026-07-29", "2026-07-28 ", "2026-7-28", "DRAFT-2026-v1", "2024-11-05"] {
            assert_eq!(Revision::parse(other), None, "{other:?}");
        }
        assert!(Revision::V2026_07_28.mirrors_headers() && !Revision::V2025_11_25.mirrors_headers());
        assert!(Revision::V2025_11_25.has_sessions() && !Revision::V2026_07_28.has_sessions());
    }
}
