//! Opens the person's browser: only web addresses, as one argument, never through a shell.

use hallpass_core::uri::MAX_LENGTH;
use std::{
    path::PathBuf,
    process::{Command, Stdio},
};
use url::{Host, Url};

/// Longest authorization URL. Scopes and `state` make it longer than an identifier.
const MAX_URL: usize = 4 * MAX_LENGTH;

/// Why a URL is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrowserError {
    /// Neither https nor http on this machine. `javascript:`, `file:` and the like run something (CVE-2025-6514).
    #[error("the server named a sign-in page that is not a web page (https)")]
    Scheme,
    /// A character that no URL has as written, or that a shell would act on.
    #[error("the server named a sign-in page with forbidden characters in its URL")]
    Characters,
    /// `https://bank.example@evil.example/` shows one name and asks another.
    #[error("the server named a sign-in page with a user name in its URL")]
    UserInfo,
    /// Longer than 8192 characters.
    #[error("the server named a sign-in page with a URL that is too long")]
    TooLong,
    /// No browser could be started.
    #[error("no browser could be started")]
    NotStarted,
}

/// A URL that may be given to a browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageUrl {
    text: String,
    host: String,
}

impl PageUrl {
    /// Checks the URL. What is opened is the text that was checked.
    ///
    /// # Errors
    /// Every variant but `NotStarted`.
    pub fn parse(text: &str) -> Result<Self, BrowserError> {
        if text.len() > MAX_URL {
            return Err(BrowserError::TooLong);
        }
        if !text.starts_with("https://") && !text.starts_with("http://") {
            return Err(BrowserError::Scheme);
        }
        // What RFC 3986 §2 allows, less quotes, `$` and parentheses: our own parameters never need them, and a
        // browser's start script may be a shell script after all.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!&*+,;=%".contains(&byte);
        if !text.bytes().all(allowed) {
            return Err(BrowserError::Characters);
        }
        let parsed = Url::parse(text).map_err(|_| BrowserError::Characters)?;
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(BrowserError::UserInfo);
        }
        let host = parsed.host().ok_or(BrowserError::Scheme)?;
        let here = match host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        if parsed.scheme() != "https" && !here {
            return Err(BrowserError::Scheme);
        }
        Ok(Self { text: text.to_owned(), host: host.to_string() })
    }

    /// The URL.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its host, for people to look at before they type a password.
    pub fn host(&self) -> &str {
        &self.host
    }
}

/// Which program opens pages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Browser {
    /// The one that the system would use.
    #[default]
    System,
    /// This program, with the URL as its only argument.
    Program(PathBuf),
}

impl Browser {
    /// Opens the page and does not wait for it.
    ///
    /// # Errors
    /// [`BrowserError::NotStarted`].
    pub fn open(&self, page: &PageUrl) -> Result<(), BrowserError> {
        match self {
            // Starts programs by argument vector; Windows gets the URL through its own interface.
            Self::System => webbrowser::open(page.as_str()).map_err(|_| BrowserError::NotStarted),
            Self::Program(program) => Command::new(program)
                .arg(page.as_str())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .map(drop)
                .map_err(|_| BrowserError::NotStarted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cl_038_b_40_t_61_only_web_pages_are_opened() {
        for (url, expected) in [
            ("javascript:alert(1)", BrowserError::Scheme),
            ("JavaScript:alert(1)", BrowserError::Scheme),
            ("data:text/html,x", BrowserError::Scheme),
            ("file:///etc/passwd", BrowserError::Scheme),
            ("vbscript:x", BrowserError::Scheme),
            ("cursor://evil/", BrowserError::Scheme),
            ("\\\\evil\\share", BrowserError::Scheme),
            ("--app=https://evil.example", BrowserError::Scheme),
            ("-h", BrowserError::Scheme),
            ("", BrowserError::Scheme),
            (" https://as.example/", BrowserError::Scheme),
            ("HTTPS://as.example/", BrowserError::Scheme),
            ("http://as.example/", BrowserError::Scheme),
            ("http://10.0.0.1/", BrowserError::Scheme),
            ("http://localhost.evil.example/", BrowserError::Scheme),
            ("https://u:p@as.example/", BrowserError::UserInfo),
            ("https://as.example@evil.example/", BrowserError::UserInfo),
            ("https://as.example/ --flag", BrowserError::Characters),
            ("https://", BrowserError::Characters),
        ] {
            assert_eq!(PageUrl::parse(url), Err(expected), "{url}");
        }
        assert_eq!(
            PageUrl::parse(&format!("https://a.example/{}", "x".repeat(9000))),
            Err(BrowserError::TooLong)
        );
        for fine in [
            "https://as.example/authorize?a=b&c=%20#f",
            "http://localhost:9/x",
            "http://127.0.0.1/",
            "http://[::1]:1/",
        ] {
            assert_eq!(PageUrl::parse(fine).unwrap().as_str(), fine);
        }
        assert_eq!(PageUrl::parse("https://as.example:8443/x").unwrap().host(), "as.example");
    }

    #[test]
    fn t_60_shell_characters_are_refused() {
        for bad in [
            "$(calc)",
            "$HOME",
            "(x)",
            "`calc`",
            "'",
            "\"",
            "|calc",
            "^&calc",
            "<x",
            ">x",
            "\\",
            "{x}",
            "\n",
            "\r",
            "\t",
            "\0",
            "\u{1b}[2J",
            "é",
            "\u{202e}",
        ] {
            let url = format!("https://as.example/{bad}");
            assert_eq!(PageUrl::parse(&url), Err(BrowserError::Characters), "{bad:?}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn t_60_b_40_the_program_gets_the_url_as_its_only_argument() {
        use std::{fs, os::unix::fs::PermissionsExt as _, time::Duration};
        let folder = tempfile::tempdir().unwrap();
        let (program, seen) = (folder.path().join("open"), folder.path().join("seen"));
        let script =
            format!("#!/bin/sh\nprintf '%s|' \"$#\" \"$@\" > {0}.part\nmv {0}.part {0}\n", seen.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        let url = "https://as.example/a?x=1&y=2;z=*#--flag";
        Browser::Program(program).open(&PageUrl::parse(url).unwrap()).unwrap();
        for _ in 0..200 {
            if seen.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(fs::read_to_string(seen).unwrap(), format!("1|{url}|"));
        let missing = Browser::Program("/nonexistent/browser".into());
        assert_eq!(missing.open(&PageUrl::parse(url).unwrap()), Err(BrowserError::NotStarted));
    }
}
