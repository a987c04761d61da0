//! Before the person is asked: what the server is, who guards it, which scopes.

use super::{Client, LoginOptions, challenges, named_policy, server_policy};
use crate::{
    authorize::{ScopeSources, scope_to_ask},
    discovery::{
        Answer, Ask, AuthorizationServer, Challenged, DiscoveryError, ProtectedResource, ResourceProbe,
        ResourceStep, ServerProbe, ServerStep,
    },
    error::{ClientError, Failed, Party},
    peer::PeerText,
    wire,
};
use bytes::Bytes;
use hallpass_core::{scope::Scope, uri::ResourceUri};
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
}

impl Client {
    pub(super) async fn prepare(
        &self,
        server: ResourceUri,
        options: &LoginOptions,
    ) -> Result<Prepared, Failed> {
        let (status, challenged) = self.probe(&server).await?;
        let found = self.find_resource(&server, challenged.resource_metadata.as_deref()).await?;
        let (resource, authorization_server) = match found {
            Some(resource) => {
                let authorization_server = self.find_server(&server, &resource).await?;
                (resource, authorization_server)
            }
            None if status == StatusCode::UNAUTHORIZED => self.legacy(&server).await?,
            None if status.is_success() => return Err(ClientError::NotProtected.into()),
            None => return Err(ClientError::Status { what: Party::Server, status: status.as_u16() }.into()),
        };
        let before = self.scope_before(&server, options).await?;
        let scope = scope_to_ask(ScopeSources {
            chosen: options.scope.as_ref(),
            challenged: options.more_scope.as_ref().or(challenged.scope.as_ref()),
            of_resource: resource.scopes.as_ref(),
            of_server: authorization_server.scopes.as_ref(),
            before: before.as_ref(),
        });
        Ok(Prepared { server, resource: resource.resource, name: resource.name, scope, authorization_server })
    }

    /// One request without a token: what the server says to that, and its challenge.
    async fn probe(&self, server: &ResourceUri) -> Result<(StatusCode, Challenged), Failed> {
        let request = wire::initialize(server, self.info(), 0).map_err(|_| ClientError::NotMcp)?;
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
    ) -> Result<AuthorizationServer, Failed> {
        let mut issuers = resource.issuers.clone();
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
            match self.probe_server(server, ServerProbe::new(issuer)).await {
                Ok(found) => return Ok(found),
                Err(failed) if failed.error.is_absent() => first_failure = first_failure.or(Some(failed)),
                Err(failed) => return Err(failed),
            }
        }
        Err(first_failure.unwrap_or_else(|| DiscoveryError::NoIssuer.into()))
    }

    /// A server of 2025-03-26 is its own authorization server and resource (CL-015).
    async fn legacy(&self, server: &ResourceUri) -> Result<(ProtectedResource, AuthorizationServer), Failed> {
        let authorization_server = self.probe_server(server, ServerProbe::legacy(server)?).await?;
        let resource = ProtectedResource {
            resource: server.as_str().to_owned(),
            issuers: vec![authorization_server.issuer.clone()],
            scopes: None,
            name: None,
        };
        Ok((resource, authorization_server))
    }

    async fn probe_server(
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

    async fn scope_before(
        &self,
        server: &ResourceUri,
        options: &LoginOptions,
    ) -> Result<Option<Scope>, Failed> {
        if options.more_scope.is_none() {
            return Ok(None);
        }
        let (url, account) = (server.as_str().to_owned(), options.account.clone());
        let before = move |contents: &crate::storage::Contents| {
            contents.for_server(&url, &account).map(|entry| entry.requested_scope.clone())
        };
        Ok(self.read_store(before).await?)
    }
}

fn answer(response: &Response<Bytes>) -> Answer<'_> {
    if response.status() == StatusCode::OK { Answer::Found(response.body()) } else { Answer::Missing }
}
