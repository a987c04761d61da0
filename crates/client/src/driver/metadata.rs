//! What was read of an authorization server, read again: after a while, and when its endpoints stop working (CL-014).

use super::Client;
use crate::{
    discovery::ServerProbe,
    document::{Flaw, flaws},
    error::{Failed, Party},
    machine::{CLIENT_CREDENTIALS, JWT_BEARER},
    registration::RegistrationError,
    storage::{Endpoints, Entry, Renewal},
};
use bytes::Bytes;
use hallpass_core::uri::{ClientMetadataUrl, Issuer, ResourceUri};
use hallpass_fetch::{Limits, Policy};
use http::{Request, StatusCode};
use std::time::Duration;

/// How long it is used without another look.
const FRESH_FOR: Duration = Duration::from_hours(24);

impl Client {
    /// The sign-in with endpoints that were read not long ago. Where that cannot be done now, with those that it has.
    pub(super) async fn with_fresh_endpoints(&self, server: &ResourceUri, entry: Entry) -> Entry {
        let (read_at, now) = (entry.endpoints_read_at, self.clock.now());
        // By a clock that was set back nothing is old (CL-082).
        if now < read_at.plus(FRESH_FOR) { entry } else { self.with_endpoints_of_now(server, entry).await }
    }

    /// The same, read now. It is the issuer that the sign-in is kept under, as it is written: nobody else says where a refresh
    /// token or a secret goes.
    pub(super) async fn with_endpoints_of_now(&self, server: &ResourceUri, entry: Entry) -> Entry {
        let Ok(issuer) = Issuer::parse(&entry.key.issuer) else { return entry };
        let probe = ServerProbe::new(issuer);
        let probe = match &entry.renewal {
            Some(Renewal::Machine(_)) => probe.for_grant(CLIENT_CREDENTIALS),
            Some(Renewal::Platform(..)) => probe.for_grant(JWT_BEARER),
            Some(Renewal::Through(_)) | None => probe,
        };
        let Ok(found) = self.probe_server(server, probe).await else { return entry };
        let endpoints = Endpoints {
            token: found.token_endpoint.as_str().to_owned(),
            revocation: found.revocation_endpoint.map(|endpoint| endpoint.as_str().to_owned()),
            read_at: self.clock.now(),
        };
        let (key, new) = (entry.key.clone(), endpoints.clone());
        // Not kept, it is read again next time.
        let _ = self.store_now(move |contents| contents.replace_endpoints(&key, new)).await;
        entry.with_endpoints(endpoints)
    }

    /// Looks at a published metadata document of this client (CL-020): what is wrong with it; empty: nothing.
    ///
    /// # Errors
    /// `Registration(DocumentUrl)`, `Fetch`.
    pub async fn check_document(&self, url: &str) -> Result<Vec<Flaw>, Failed> {
        let url = ClientMetadataUrl::parse(url).map_err(|_| RegistrationError::DocumentUrl)?;
        let request = Request::get(url.as_str()).header("accept", "application/json").body(Bytes::new());
        let request = request.map_err(|_| RegistrationError::DocumentUrl)?;
        // As an authorization server fetches it, which is in nobody's network.
        let answer = self.ask(Party::OwnDocument, request, &Policy::strict(), Limits::DOCUMENT).await?;
        Ok(flaws(&url, &answer))
    }
}

/// Whether an answer says that there is no such endpoint (any more).
pub(super) fn is_gone(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE)
}
