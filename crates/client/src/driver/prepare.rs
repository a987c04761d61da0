//! Before the person is asked: what the server is, who guards it, which scopes.

use super::{Client, Proofs, challenges, named_policy, server_policy};
use crate::{
    authorize::{ScopeSources, scope_to_ask},
    device::DEVICE_CODE,
    discovery::{
        Answer, Ask, AuthorizationServer, Challenged, DiscoveryError, ProtectedResource, ResourceProbe,
        ResourceStep, ServerProbe, ServerStep,
    },
    error::{ClientError, Failed, Party},
    peer::PeerText,
    proof::ProofKey,
    wire,
};
use bytes::Bytes;
use hallpass_core::{mcp::revision::Revision, scope::Scope, uri::ResourceUri};
use hallpass_fetch::{Limits, Policy};
use http::{Request, Response, StatusCode, header};
use std::time::Duration;

/// Everything known before the person is asked.
pub(super) struct Prepared {
    pub(super) server: ResourceUri,
    pub(super) resource: String,
    pub(super) name: Option<PeerText>,
    pub(super) scope: Scope,
    pub(super) authorization_server: AuthorizationServer,
    /// A fresh key, where the tokens are to be bound to one.
    pub(super) proof_key: Option<ProofKey>,
}

impl Prepared {
    /// Whether the authorization server is on the host that the person typed.
    pub(super) fn is_at_home(&self) -> bool {
        self.authorization_server.issuer.parsed().host_str() == self.server.parsed().host_str()
    }
}

/// What a sign-in is for.
#[derive(Clone, Debug)]
pub(super) struct Wanted<'a> {
    pub(super) account: &'a str,
    /// The challenge of a request that the server has refused; without one, the server is asked for it.
    pub(super) challenged: Option<Challenged>,
    pub(super) scope: Option<&'a Scope>,
    pub(super) more_scope: Option<&'a Scope>,
    /// The grant, where no browser comes back here: of a program without a person, or of a device.
    pub(super) grant_type: Option<&'static str>,
    pub(super) issuer: Option<&'a str>,
}

impl Client {
    pub(super) async fn prepare(
        &self,
        server: ResourceUri,
        mut wanted: Wanted<'_>,
    ) -> Result<Prepared, Failed> {
        let (status, challenged) = match wanted.challenged.take() {
            Some(challenged) => (StatusCode::UNAUTHORIZED, challenged),
            None => self.probe(&server).await?,
        };
        let found = self.find_resource(&server, challenged.resource_metadata.as_deref()).await?;
        let (resource, authorization_server) = match found {
            Some(resource) => {
                let authorization_server = self.find_server(&server, &resource, &wanted).await?;
                (resource, authorization_server)
            }
            None if status == StatusCode::UNAUTHORIZED => self.legacy(&server, &wanted).await?,
            None if status.is_success() => return Err(ClientError::NotProtected.into()),
            None => return Err(ClientError::Status { what: Party::Server, status: status.as_u16() }.into()),
        };
        let before = self.scope_before(&server, &wanted).await?;
        let scope = scope_to_ask(ScopeSources {
            chosen: wanted.scope,
            challenged: wanted.more_scope.or(challenged.scope.as_ref()),
            of_resource: resource.scopes.as_ref(),
            // A program without a person is not offline: it asks again whenever it likes.
            of_server: authorization_server
                .scopes
                .as_ref()
                .filter(|_| wanted.grant_type.is_none_or(|grant| grant == DEVICE_CODE)),
            before: before.as_ref(),
        });
        let proof_key = self.proof_key(&resource, &authorization_server)?;
        Ok(Prepared {
            server,
            resource: resource.resource,
            name: resource.name,
            scope,
            authorization_server,
            proof_key,
        })
    }

    /// A key where proofs are wanted and the authorization server takes ours; a resource that wants them does
    /// not get a token without.
    fn proof_key(
        &self,
        resource: &ProtectedResource,
        server: &AuthorizationServer,
    ) -> Result<Option<ProofKey>, Failed> {
        let offered = server.proof_algorithms.iter().any(|name| name == ProofKey::ALGORITHM);
        let wanted = match self.settings.proofs {
            Proofs::Off => false,
            Proofs::WhereRequired => resource.requires_proof,
            Proofs::WhereOffered => true,
        };
        if wanted && offered {
            return ProofKey::generate().map(Some).map_err(|error| ClientError::Proof(error).into());
        }
        if resource.requires_proof { Err(DiscoveryError::ProofRequired.into()) } else { Ok(None) }
    }

    /// One request without a token: what the server says to that, and its challenge.
    async fn probe(&self, server: &ResourceUri) -> Result<(StatusCode, Challenged), Failed> {
        let request = self.first_request(server).map_err(|_| ClientError::NotMcp)?;
        // Only the head counts; a server without authorization may answer with an endless stream.
        let limits = Limits { total: Duration::from_secs(15), ..Limits::DOCUMENT };
        let what = Party::Server;
        let response = self
            .fetch
            .stream(request, &server_policy(server), limits, Duration::from_secs(1))
            .await
            .map_err(|source| ClientError::Fetch { what, source })?;
        let status = response.status();
        if status.is_server_error() {
            return Err(ClientError::Status { what, status: status.as_u16() }.into());
        }
        let challenged = Challenged::from_headers(&challenges(response.headers()));
        Ok((status, challenged))
    }

    fn first_request(&self, server: &ResourceUri) -> Result<Request<Bytes>, http::Error> {
        let revision = self.settings.revision.unwrap_or(Revision::V2025_11_25);
        if revision.has_sessions() {
            return wire::initialize(server, self.info(), (0, revision));
        }
        wire::request(server, &wire::Wire::Stateless, self.info(), (0, "server/discover", None))
    }

    async fn find_resource(
        &self,
        server: &ResourceUri,
        named: Option<&str>,
    ) -> Result<Option<ProtectedResource>, Failed> {
        let mut probe = ResourceProbe::new(server.clone(), named)?;
        while let Some(ask) = probe.ask() {
            let response = self.document(Party::Server, ask, &server_policy(server)).await?;
            match probe.receive(answer(&response))? {
                ResourceStep::Again(next) => probe = next,
                ResourceStep::Found(resource) => return Ok(Some(resource)),
                ResourceStep::Legacy => return Ok(None),
            }
        }
        Ok(None)
    }

    /// Of several authorization servers: the one that knows this client already, else the first that answers
    /// (CL-006). Each stands for itself; a wrong document of one ends everything.
    async fn find_server(
        &self,
        server: &ResourceUri,
        resource: &ProtectedResource,
        wanted: &Wanted<'_>,
    ) -> Result<AuthorizationServer, Failed> {
        let mut issuers = resource.issuers.clone();
        issuers.retain(|issuer| wanted.issuer.is_none_or(|only| issuer.as_str() == only));
        let known = self
            .read_store(move |contents| {
                contents
                    .registrations
                    .iter()
                    .map(|registration| registration.issuer.clone())
                    .collect::<Vec<_>>()
            })
            .await?;
        issuers.sort_by_key(|issuer| !known.iter().any(|known| known == issuer.as_str()));
        let mut first_failure = None;
        for issuer in issuers {
            match self.probe_server(server, wanted.of(ServerProbe::new(issuer))).await {
                Ok(found) => return Ok(found),
                Err(failed) if failed.error.is_absent() => first_failure = first_failure.or(Some(failed)),
                Err(failed) => return Err(failed),
            }
        }
        Err(first_failure.unwrap_or_else(|| DiscoveryError::NoIssuer.into()))
    }

    /// A server of 2025-03-26 is its own authorization server and resource (CL-015).
    async fn legacy(
        &self,
        server: &ResourceUri,
        wanted: &Wanted<'_>,
    ) -> Result<(ProtectedResource, AuthorizationServer), Failed> {
        let authorization_server = self.probe_server(server, wanted.of(ServerProbe::legacy(server)?)).await?;
        if wanted.issuer.is_some_and(|only| authorization_server.issuer.as_str() != only) {
            return Err(DiscoveryError::NoIssuer.into());
        }
        let resource = ProtectedResource {
            resource: server.as_str().to_owned(),
            issuers: vec![authorization_server.issuer.clone()],
            scopes: None,
            name: None,
            requires_proof: false,
        };
        Ok((resource, authorization_server))
    }

    pub(super) async fn probe_server(
        &self,
        server: &ResourceUri,
        mut probe: ServerProbe,
    ) -> Result<AuthorizationServer, Failed> {
        while let Some(ask) = probe.ask() {
            let response = self.document(Party::AuthorizationServer, ask, &named_policy(server)).await?;
            match probe.receive(answer(&response))? {
                ServerStep::Again(next) => probe = next,
                ServerStep::Found(found) => return Ok(*found),
            }
        }
        Err(DiscoveryError::NoServerMetadata.into())
    }

    /// Fetches metadata. "Not now" (5xx, 429) ends the sign-in instead of leading to a guess.
    async fn document(&self, what: Party, ask: Ask, policy: &Policy) -> Result<Response<Bytes>, Failed> {
        let request = Request::get(&ask.url)
            .header(header::ACCEPT, "application/json")
            .header("mcp-protocol-version", ask.revision.as_str())
            .body(Bytes::new())
            .map_err(|_| DiscoveryError::NoServerMetadata)?;
        let response = self.ask(what, request, policy, Limits::DOCUMENT).await?;
        let status = response.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(ClientError::Status { what, status: status.as_u16() }.into());
        }
        Ok(response)
    }

    async fn scope_before(&self, server: &ResourceUri, wanted: &Wanted<'_>) -> Result<Option<Scope>, Failed> {
        if wanted.more_scope.is_none() {
            return Ok(None);
        }
        let (url, account) = (server.as_str().to_owned(), wanted.account.to_owned());
        let before = move |contents: &crate::storage::Contents| {
            contents.for_server(&url, &account).map(|entry| entry.requested_scope.clone())
        };
        Ok(self.read_store(before).await?)
    }
}

impl Wanted<'_> {
    fn of(&self, probe: ServerProbe) -> ServerProbe {
        match self.grant_type {
            Some(grant_type) => probe.for_grant(grant_type),
            None => probe,
        }
    }
}

fn answer(response: &Response<Bytes>) -> Answer<'_> {
    if response.status() == StatusCode::OK { Answer::Found(response.body()) } else { Answer::Missing }
}
