//! A person who opens the address of an MCP server in a browser: a page says what it is for. Status and challenge are those
//! that every client gets.

use crate::{config::BrowserPage, refuse::Refusal};
use axum::body::Body;
use hallpass_resource::Reason;
use http::{HeaderMap, Method, Response, header, request::Parts};

/// The answer with the page in it, where a browser asks for one and nothing is wrong but that it has no token.
pub(crate) fn shown(
    response: Response<Body>,
    (page, refusal): (Option<&BrowserPage>, &Refusal),
    parts: &Parts,
) -> Response<Body> {
    let without_token = matches!(refusal, Refusal::Token(Reason::NoCredentials));
    let Some(page) = page.filter(|_| without_token && visits(parts)) else { return response };
    let (mut head, _) = response.into_parts();
    head.headers.remove(header::CONTENT_LENGTH);
    for (name, value) in &page.headers {
        head.headers.insert(name, value.clone());
    }
    Response::from_parts(head, Body::from(page.body.clone()))
}

/// Whether this is a browser that opens the address. No client of MCP asks like that.
pub(crate) fn visits(parts: &Parts) -> bool {
    parts.method == Method::GET && wants(&parts.headers)
}

/// Clients of MCP ask for event streams, whatever else they take.
fn wants(headers: &HeaderMap) -> bool {
    let named = |media_type: &str| {
        let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        accepted.any(|value| {
            let mut types = value.split(',').map(|one| one.split(';').next().unwrap_or_default().trim());
            types.any(|one| one.eq_ignore_ascii_case(media_type))
        })
    };
    named("text/html") && !named("text/event-stream")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_a_browser_accepts_and_what_a_client() {
        let wants = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACCEPT, HeaderValue::from_str(value).unwrap());
            }
            wants(&headers)
        };
        assert!(wants(&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"]));
        assert!(wants(&["application/json", "Text/HTML;level=1"]));
        for client in
            [&[][..], &["*/*"], &["text/*"], &["application/json, text/event-stream"], &["text/htmlx"]]
        {
            assert!(!wants(client), "{client:?}");
        }
        assert!(!wants(&["text/html, text/event-stream"]) && !wants(&["text/html", "text/event-stream;q=1"]));
    }
}
