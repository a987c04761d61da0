//! Pages that an MCP server wants opened: shown to whoever typed the command, and opened after a yes.

use super::person::open_with;
use crate::output::note;
use hallpass_client::{
    browser::Browser,
    elicitation::{Decision, PageWanted, Pages},
};
use hallpass_core::uri::ResourceUri;
use std::io::{BufRead, IsTerminal, Read, stderr, stdin};

/// Longest answer that is read.
const MAX_ANSWER: u64 = 64;

/// Whoever sits at the terminal.
pub struct Terminal;

impl Terminal {
    /// `None` where nobody could answer.
    pub fn there() -> Option<Self> {
        (stdin().is_terminal() && stderr().is_terminal()).then_some(Self)
    }
}

impl Pages for Terminal {
    fn wanted(&mut self, server: &ResourceUri, wanted: &PageWanted) -> Decision {
        for line in question(server, wanted) {
            note(&line);
        }
        let answer = tokio::task::block_in_place(read_answer);
        if answer == Decision::Accept
            && let Err(error) = open_with(&Browser::System, wanted.page())
        {
            note(&format!("Open it yourself, {error}."));
        }
        answer
    }
}

fn question(server: &ResourceUri, wanted: &PageWanted) -> Vec<String> {
    let mut lines =
        vec![format!("{server} wants you to open a page, and cannot see whether you do before you say so:")];
    lines.push(format!("  {}", wanted.page().as_str()));
    if let Some(message) = wanted.message() {
        lines.push(format!("It says: \"{message}\""));
    }
    if wanted.leads_elsewhere(server) {
        lines.push(format!("It leads to another host: {}", wanted.page().host()));
    }
    if wanted.may_look_like_another() {
        lines.push("That host's name has letters that may look like others. Take care.".to_owned());
    }
    lines.push("Only go on if you expected this, and with an account of your own. Open it? [y/N]".to_owned());
    lines
}

/// No answer is no, and the end of the input is none.
fn read_answer() -> Decision {
    let mut line = String::new();
    match stdin().lock().take(MAX_ANSWER).read_line(&mut line) {
        Ok(0) | Err(_) => Decision::Cancel,
        Ok(_) if matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes") => Decision::Accept,
        Ok(_) => Decision::Decline,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cl_097_the_question_shows_who_and_where_in_full() {
        let server = ResourceUri::parse("https://mcp.example/mcp").unwrap();
        let url = "https://xn--pypal-4ve.com/pay?id=1";
        let wanted =
            PageWanted::of(&serde_json::json!({ "mode": "url", "url": url, "message": "Pay" })).unwrap();
        let text = question(&server, &wanted).join("\n");
        for part in [
            "https://mcp.example/mcp wants",
            &format!("  {url}\n"),
            "It says: \"Pay\"",
            "another host: xn--pypal-4ve.com",
            "look like others",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
