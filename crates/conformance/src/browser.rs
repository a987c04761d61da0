//! The person and the browser: opens the page that the library names and follows its redirect to the library's own
//! callback.

use anyhow::{Context, Result};
use bytes::Bytes;
use hallpass_client::{
    browser::PageUrl,
    driver::{Interaction, WhatFor},
};
use hallpass_fetch::{Fetch, Limits, Policy};
use http::{Request, header};
use std::io::Write as _;

/// A browser without a person in front of it.
pub struct Robot {
    fetch: Fetch,
}

impl Robot {
    /// A browser that sends its requests by `fetch`, which follows no redirects by itself.
    pub const fn new(fetch: Fetch) -> Self {
        Self { fetch }
    }
}

impl Interaction for Robot {
    fn open(&mut self, page: &PageUrl, _: &WhatFor<'_>) {
        let (fetch, page) = (self.fetch.clone(), page.as_str().to_owned());
        tokio::spawn(async move {
            if let Err(error) = visit(&fetch, &page).await {
                let _ = writeln!(std::io::stderr().lock(), "browser: {error:#}");
            }
        });
    }
}

async fn visit(fetch: &Fetch, page: &str) -> Result<()> {
    let policy = Policy::strict().with_loopback();
    let get = |url: &str| Request::get(url).body(Bytes::new());
    let answer = fetch.send(get(page)?, &policy, Limits::DOCUMENT).await.context("the page")?;
    let location = answer.headers().get(header::LOCATION).context("the page does not redirect")?;
    fetch.send(get(location.to_str()?)?, &policy, Limits::DOCUMENT).await.context("the callback")?;
    Ok(())
}
