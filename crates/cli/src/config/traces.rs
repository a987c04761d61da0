//! `[traces]`: where spans of the calls through the gateway are sent, by OTLP over HTTP.

use super::{Check, upstream_secrets::UpstreamHeaderEntry};
use hallpass_fetch::{
    Policy,
    policy::{Addresses, admit},
};
use hallpass_gateway::Tracing;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use std::{num::NonZeroU64, path::Path};
use toml::Spanned;
use url::Url;

/// `[traces]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TracesEntry {
    /// "http://127.0.0.1:4318/v1/traces".
    pub endpoint: Spanned<String>,
    /// A header with a secret, for a service that wants one.
    pub header: Option<Spanned<UpstreamHeaderEntry>>,
    /// `service.name`.
    pub service: Option<String>,
    /// Of how many calls one is recorded.
    pub one_in: Option<Spanned<u64>>,
    /// Whether a client's trace goes on here.
    #[serde(default)]
    pub join: bool,
}

/// Where spans are sent, and of which calls.
#[derive(Clone, Debug)]
pub struct TraceSettings {
    /// Where they are posted.
    pub endpoint: Url,
    /// The header with the secret.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// `service.name`.
    pub service: String,
    /// Of which calls.
    pub tracing: Tracing,
}

impl TraceSettings {
    /// The operator named the collector.
    pub fn policy(&self) -> Policy {
        Policy::trusted(self.endpoint.host_str())
    }
}

impl Check<'_> {
    pub(super) fn traces(&mut self, entry: &TracesEntry, folder: &Path) -> Option<TraceSettings> {
        let before = self.problems.len();
        let settings = TraceSettings {
            endpoint: self.collector(&entry.endpoint)?,
            header: match &entry.header {
                Some(header) => Some(self.secret_header(header, folder)?),
                None => None,
            },
            service: entry.service.clone().unwrap_or_else(|| "hallpass".to_owned()),
            tracing: Tracing { join: entry.join, one_in: self.one_in(entry.one_in.as_ref()) },
        };
        (self.problems.len() == before).then_some(settings)
    }

    fn collector(&mut self, at: &Spanned<String>) -> Option<Url> {
        let Ok(url) = Url::parse(at.get_ref()) else {
            self.wrong(at, "endpoint is no URL", "write \"http://127.0.0.1:4318/v1/traces\"");
            return None;
        };
        match admit(&url, &Policy::trusted(url.host_str()), &[]) {
            Ok(admitted) if admitted.tls || admitted.addresses == Addresses::Loopback => Some(url),
            Ok(_) | Err(_) => {
                let fix = "write an https URL, or run a collector on this machine: \"http://127.0.0.1:4318/v1/traces\"";
                self.wrong(at, "spans name people and tools, and may not be sent there in the open", fix);
                None
            }
        }
    }

    fn one_in(&mut self, typed: Option<&Spanned<u64>>) -> NonZeroU64 {
        let Some(typed) = typed else { return NonZeroU64::MIN };
        NonZeroU64::new(*typed.get_ref()).unwrap_or_else(|| {
            self.wrong(typed, "one_in is 0", "write 1 for every call, or remove [traces] for none");
            NonZeroU64::MIN
        })
    }

    fn secret_header(
        &mut self,
        typed: &Spanned<UpstreamHeaderEntry>,
        folder: &Path,
    ) -> Option<(HeaderName, HeaderValue)> {
        let header = typed.get_ref();
        let value = self.header_value(header, folder)?;
        let name = HeaderName::try_from(header.name.get_ref());
        if let (Ok(name), Ok(mut value)) = (name, HeaderValue::try_from(value.expose())) {
            value.set_sensitive(true);
            return Some((name, value));
        }
        let fix = "write the one that the service wants, such as { name = \"x-api-key\", secret_file = \"traces.key\" }";
        self.wrong(typed, "header cannot be sent", fix);
        None
    }
}
