//! Whoever typed a command that signs in: is shown the page, and may paste its answer.

use crate::{output::note, say};
use hallpass_client::{
    browser::{Browser, BrowserError, PageUrl},
    driver::{Interaction, WhatFor},
    peer::PeerText,
};
use hallpass_core::scope::Scope;
use std::{
    ffi::OsString,
    io::{BufRead, IsTerminal, Read, stderr, stdin},
};
use tokio::sync::mpsc;

/// Longest address that is read, with its line end. What is longer is read in pieces, none of which is an answer.
const MAX_PASTED: u64 = 8 * 1024 + 2;

/// Whoever typed the command.
pub struct Person {
    browser: Option<Browser>,
    url_to_output: bool,
    pastes: bool,
    is_alone: bool,
}

impl Person {
    /// With what opens pages for them, whether standard output is theirs (else the URL goes to standard error), and
    /// whether they paste the answer.
    pub const fn new(browser: Option<Browser>, url_to_output: bool, pastes: bool) -> Self {
        Self { browser, url_to_output, pastes, is_alone: false }
    }
}

/// Opens a page with this browser, where it could show itself.
pub fn open_with(browser: &Browser, page: &PageUrl) -> Result<(), BrowserError> {
    if *browser == Browser::System && !has_display(variable) {
        return Err(BrowserError::NotStarted);
    }
    browser.open(page)
}

/// Whether a page could be seen. On Linux what opens pages starts a browser without a display as well, which ends at once and
/// tells nobody. Whoever sets `BROWSER` knows a way, and Windows around a Linux has one.
fn has_display(variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let ways = ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"];
    !cfg!(target_os = "linux")
        || ways.into_iter().any(|name| variable(name).is_some_and(|value| !value.is_empty()))
}

#[allow(clippy::disallowed_methods, reason = "only the cli reads the environment")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Says where to, and for what.
pub fn announce(server: &str, calls_itself: Option<&PeerText>, scope: &Scope) {
    let name = calls_itself.map_or(String::new(), |name| format!(" (it calls itself \"{name}\")"));
    note(&format!("Signing in to {server}{name}"));
    if !scope.is_empty() {
        note(&format!("It will be asked for: {scope}"));
    }
}

impl Interaction for Person {
    fn open(&mut self, page: &PageUrl, what_for: &WhatFor<'_>) {
        announce(what_for.server, what_for.server_name, what_for.scope);
        note(&format!("Sign in at {} and check that this is the host in the address bar:", page.host()));
        if self.url_to_output {
            say!("{}", page.as_str());
        } else {
            note(page.as_str());
        }
        if self.pastes {
            note(
                "Open this URL in any browser. At the end it cannot show the page, because its address is on this \
                 computer: copy that address (http://127.0.0.1:…), paste it here and press Enter. Ctrl-C stops.",
            );
            return;
        }
        let opened = self.browser.as_ref().map(|browser| open_with(browser, page));
        self.is_alone = matches!(opened, Some(Err(_))) && !stderr().is_terminal() && !stdin().is_terminal();
        match opened {
            Some(Ok(())) => note("Waiting for the browser; Ctrl-C stops."),
            Some(Err(error)) if self.is_alone => {
                note(&format!("There is no terminal to show this on, and {error}."));
            }
            Some(Err(error)) => note(&format!("Open this URL yourself, {error}. Waiting; Ctrl-C stops.")),
            None => note("Open this URL in a browser on this computer. Waiting; Ctrl-C stops."),
        }
    }

    fn nobody(&self) -> bool {
        self.is_alone
    }

    fn pasted(&mut self) -> Option<mpsc::Receiver<String>> {
        if !self.pastes {
            return None;
        }
        let (sender, lines) = mpsc::channel(1);
        // A thread that nobody waits for: reading a terminal cannot be given up.
        std::thread::spawn(move || {
            loop {
                let mut line = Vec::new();
                match stdin().lock().take(MAX_PASTED).read_until(b'\n', &mut line) {
                    Ok(1..) if sender.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_ok() => {}
                    _ => return,
                }
            }
        });
        Some(lines)
    }

    fn not_the_answer(&mut self) {
        note(
            "That is not the address where this sign-in ended: it begins with http://127.0.0.1: and has a question mark. Try again:",
        );
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn without_a_display_no_page_can_be_seen() {
        let with = |set: &[&str]| has_display(|name| set.contains(&name).then(|| OsString::from(":0")));
        for way in ["DISPLAY", "WAYLAND_DISPLAY", "BROWSER", "WSL_DISTRO_NAME"] {
            assert!(with(&[way]), "{way}");
        }
        assert!(!with(&["TERM", "HOME"]));
        assert!(!has_display(|_| Some(OsString::new())), "set to nothing is not set");
    }
}
