//! Pages that an MCP server wants the person to open (URL elicitation, MCP 2025-11-25): what is shown and what is sent back.
//! Nothing is asked of the address before the person has seen it whole and said yes (CL-097).

use crate::{browser::PageUrl, peer::PeerText};
use hallpass_core::uri::ResourceUri;
use serde_json::{Value, json};
use std::fmt;

/// A page that may be shown to the person as a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageWanted {
    page: PageUrl,
    message: Option<PeerText>,
}

impl PageWanted {
    /// Out of the parameters of `elicitation/create`; `None` where no page is wanted, or one that is not opened: no web page,
    /// or an address with characters that a shell would act on.
    pub fn of(params: &Value) -> Option<Self> {
        if params.get("mode")?.as_str()? != "url" {
            return None;
        }
        let page = PageUrl::parse(params.get("url")?.as_str()?).ok()?;
        let message = params.get("message").and_then(Value::as_str).and_then(PeerText::of);
        Some(Self { page, message })
    }

    /// The address, to be shown whole.
    pub const fn page(&self) -> &PageUrl {
        &self.page
    }

    /// What the server says about it.
    pub const fn message(&self) -> Option<&PeerText> {
        self.message.as_ref()
    }

    /// Whether the host has letters beyond ASCII, which may be drawn like others: it is compared and shown as `xn--…`.
    pub fn may_look_like_another(&self) -> bool {
        self.page.host().split('.').any(|label| label.starts_with("xn--"))
    }

    /// Whether it leads to another host than the server that wants it.
    pub fn leads_elsewhere(&self, server: &ResourceUri) -> bool {
        server.parsed().host_str() != Some(self.page.host())
    }
}

/// What the person decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The page is open. What comes of it, the server hears from there.
    Accept,
    /// No.
    Decline,
    /// Nothing.
    Cancel,
}

impl Decision {
    const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Decline => "decline",
            Self::Cancel => "cancel",
        }
    }
}

/// Who is asked about pages.
pub trait Pages: Send {
    /// Shows who wants it, the whole address and its host, and asks. Opens it after a yes, and never before.
    fn wanted(&mut self, server: &ResourceUri, wanted: &PageWanted) -> Decision;
}

/// Somebody who is asked, or nobody.
#[derive(Default)]
pub(crate) struct Asked(pub(crate) Option<Box<dyn Pages>>);

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "somebody" } else { "nobody" })
    }
}

impl Asked {
    /// The answer to `elicitation/create`; `None`: this client does not offer it.
    pub(crate) fn answer(&mut self, id: &Value, params: &Value, server: &ResourceUri) -> Option<Value> {
        let pages = self.0.as_mut()?;
        let Some(wanted) = PageWanted::of(params) else {
            let error = json!({ "code": -32602, "message": "only web pages are opened, by https" });
            return Some(json!({ "jsonrpc": "2.0", "id": id, "error": error }));
        };
        let action = pages.wanted(server, &wanted).name();
        Some(json!({ "jsonrpc": "2.0", "id": id, "result": { "action": action } }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(url: &str) -> Option<PageWanted> {
        PageWanted::of(&json!({ "mode": "url", "url": url, "message": "\u{1b}[2J pay \u{202e}here" }))
    }

    #[test]
    fn cl_097_t_60_only_web_pages_are_asked_about() {
        for url in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "http://bank.example/",
            "data:text/html,x",
            "https://a@b.example/",
            "https://x.example/$(reboot)",
            "",
            "//x.example/",
            "smb://x/y",
        ] {
            assert_eq!(wanted(url), None, "{url}");
        }
        assert_eq!(PageWanted::of(&json!({ "mode": "form", "url": "https://x.example/" })), None);
        assert_eq!(PageWanted::of(&json!({ "url": "https://x.example/" })), None);
    }

    #[test]
    fn cl_097_t_69_what_is_shown_is_the_whole_address_and_a_message_that_cannot_act() {
        let server = ResourceUri::parse("https://mcp.example/mcp").unwrap();
        let url = "https://mcp.example/connect?id=1&next=https://evil.example/";
        let own = wanted(url).unwrap();
        assert_eq!((own.page().as_str(), own.page().host()), (url, "mcp.example"));
        assert_eq!(own.message().unwrap().as_str(), "[2J pay here");
        assert!(!own.leads_elsewhere(&server) && !own.may_look_like_another());
        let other = wanted("https://xn--pypal-4ve.com/").unwrap();
        assert!(other.leads_elsewhere(&server) && other.may_look_like_another());
        assert_eq!(wanted("https://p\u{430}ypal.com/"), None, "as letters it is not opened at all");
    }
}
