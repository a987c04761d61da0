//! What a person sees who opens the address of a protected server in a browser.

use crate::{
    http::respond,
    settings::{Resource, Settings},
};
use askama::Template;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

#[derive(Template)]
#[template(path = "mcp_address.html")]
struct AddressPage<'a> {
    /// Path of the issuer.
    base: &'a str,
    title: &'a str,
    resource: &'a str,
    own: bool,
}

/// The page for a server, and the headers of every page. `own`: it takes our tokens, so people have an account here.
pub fn of_server(settings: &Settings, resource: &Resource, own: bool) -> (HeaderMap, Bytes) {
    let page = AddressPage {
        base: settings.issuer.path(),
        title: &resource.title,
        resource: resource.uri.as_str(),
        own,
    };
    let html = page.render().unwrap_or_else(|error| {
        tracing::error!(?error, "a page could not be rendered");
        String::new()
    });
    let (head, _) = respond::page(StatusCode::UNAUTHORIZED, String::new()).into_parts();
    (head.headers, Bytes::from(html))
}
