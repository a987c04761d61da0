//! A refresh token for an identity assertion (ID-JAG §4.3): a client takes our word about its person to the authorization
//! server of somebody else, who trusts us. Nothing is stored: the assertion lives for five minutes, and none is issued once
//! the grant has ended.

use super::{
    TokenRefusal,
    binding::Binding,
    client_credentials,
    issue::{self, TokenResponse},
    refresh, rules,
};
use crate::{
    app::App,
    audit::{Event, Which},
    cross_domain::{self, CrossDomainRefusal},
    cx::Cx,
    http::{client_auth::AuthenticatedClient, proof::ProvenKey, rate_limit::Limited},
};
use hallpass_core::{
    entropy,
    jwt::identity_assertion::{IdentityAssertion, LIFETIME},
    parameters::Parameters,
    token::RefreshToken,
};

impl From<CrossDomainRefusal> for TokenRefusal {
    fn from(refusal: CrossDomainRefusal) -> Self {
        Self::CrossDomain(refusal)
    }
}

/// Issues an identity assertion to a client that proves itself, for the person whose refresh token it has.
pub async fn exchange(
    app: &App,
    cx: Cx,
    client: &AuthenticatedClient,
    parameters: &Parameters,
    proven: Option<ProvenKey>,
) -> Result<TokenResponse, TokenRefusal> {
    // A client without a proof of its own could be anybody, and the server there would take it for ours (ID-JAG §9.1).
    if client.exchange().is_none() || !client.is_confidential() {
        return Err(TokenRefusal::GrantTypeNotRegistered);
    }
    let asked = cross_domain::check_form(parameters)?;
    let token = RefreshToken::check(&app.keys, asked.subject_token).map_err(TokenRefusal::Refresh)?;
    let grant = app.store.grant_read(token.grant).await?.ok_or(TokenRefusal::GrantMissing)?;
    rules::check_held(&grant, client, &app.settings, cx.now)?;
    if app.blocks.receiver(&grant.redirect_host) {
        return Err(TokenRefusal::ReceiverBlocked);
    }
    if grant.details.is_some() {
        return Err(CrossDomainRefusal::Limited.into());
    }
    let key = Binding::new(proven, client, None, &app.settings).of_grant(grant.key_thumbprint)?;
    // It is no rotation: the token stays as it is, and has to be one that a refresh would take too.
    let shared = client.proved_key() || grant.key_thumbprint.is_some();
    if !shared && !rules::is_current(&grant, token.generation, app.settings.rotation, cx.now) {
        return Err(refresh::reused(app, cx, &grant, token.generation).await?);
    }
    let times = (asked.audience, grant.consented_at, cx.now);
    let granted = cross_domain::check_access(&app.settings.cross_domain, client.id(), parameters, times)?;
    // The person may have signed out everywhere, or be disabled.
    if !app.store.grant_live(grant.id, grant.epoch).await? {
        return Err(TokenRefusal::Withdrawn);
    }
    if !app.settings.is_local() {
        let most = app.settings.limits.refreshes;
        app.limits.take(Limited::Refresh, &grant.id, most, cx.now).map_err(TokenRefusal::TooOften)?;
    }
    // Last, when nothing can be refused any more: an innocent mistake burns no assertion.
    client_credentials::spend(app, client, cx).await?;
    let (subject, scope) = (grant.person.to_string(), granted.scope.to_string());
    let ends_at = grant.consented_at.plus(app.settings.grant_lifetime).min(cx.now.plus(LIFETIME));
    let assertion = IdentityAssertion {
        issuer: app.settings.issuer.as_str(),
        subject: &subject,
        audience: granted.access.audience.as_str(),
        client_id: &granted.access.client_id,
        issued_at: cx.now,
        expires_at: ends_at,
        token_id: entropy::random(&*app.entropy),
        resources: granted.resources,
        scope: &scope,
        key_thumbprint: key,
    };
    let response = issue::assert(app, &assertion)?;
    let which = Which { resource: assertion.audience, ..Which::of(&grant) };
    app.audit.record(cx, Event::identity_assertion_issued(which, assertion.client_id, &scope));
    Ok(response)
}
