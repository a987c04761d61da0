//! What the person's browser shows after sign-in: our own words, nothing of the peer's, no request elsewhere.

/// One page and its status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    status: &'static str,
    title: String,
    text: String,
}

impl Page {
    /// The answer is the one that was waited for. Names the program and the server that it signs in to, so that
    /// a person who did not start this sees what happened.
    pub fn accepted(program: &str, server: &str) -> Self {
        Self {
            status: "200 OK",
            title: "You can close this window".to_owned(),
            text: format!(
                "{program} on this computer received the answer and now signs in to {server}. \
                 How it went is said where it was started."
            ),
        }
    }

    /// The authorization server answered that it will not be.
    pub fn refused(program: &str, server: &str) -> Self {
        Self {
            status: "200 OK",
            title: "Not signed in".to_owned(),
            text: format!(
                "{program} on this computer did not get the permission to use {server}. \
                 It says why, where it was started. You can close this window."
            ),
        }
    }

    /// Not the answer to what was asked: another sign-in's, an old one, or made up.
    pub fn unrelated() -> Self {
        Self {
            status: "400 Bad Request",
            title: "Not the sign-in that was started here".to_owned(),
            text: "This answer belongs to no sign-in that is waiting. Nothing was changed.".to_owned(),
        }
    }

    pub(super) fn not_found() -> Self {
        Self { status: "404 Not Found", title: "Not found".to_owned(), text: String::new() }
    }

    pub(super) fn method_not_allowed() -> Self {
        Self { status: "405 Method Not Allowed", title: "Method not allowed".to_owned(), text: String::new() }
    }

    /// The whole HTTP response. The code is in this page's URL, hence `no-referrer` and `no-store` (RFC 9700
    /// §4.2); nothing is loaded and nothing may frame it.
    pub(super) fn response(&self) -> String {
        let (title, text) = (escape(&self.title), escape(&self.text));
        let body = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n\
             <h1>{title}</h1>\n<p>{text}</p>\n</html>\n"
        );
        format!(
            "HTTP/1.1 {}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
             Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; base-uri 'none'; \
             form-action 'none'\r\nConnection: close\r\n\r\n{body}",
            self.status,
            body.len()
        )
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other if other.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cl_049_pages_are_inert() {
        let page =
            Page::accepted("my <b>tool</b>", "https://mcp.example/\"><script>alert(1)</script>").response();
        assert!(!page.contains("<script") && !page.contains("<b>"));
        assert!(page.contains("my &lt;b&gt;tool&lt;/b&gt;") && page.contains("https://mcp.example/"));
        for header in [
            "Referrer-Policy: no-referrer",
            "Cache-Control: no-store",
            "default-src 'none'",
            "frame-ancestors 'none'",
        ] {
            assert!(page.contains(header), "{header}");
        }
        for outside in ["src=", "href=", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }
}
