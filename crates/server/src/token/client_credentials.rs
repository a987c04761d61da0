//! A token for a machine (RFC 6749 §4.4): nobody is asked, so the operator has set what it may get. Nothing is stored for
//! it; where the machine signs, its assertion is spent, which is the one write.

use super::{
    TokenRefusal,
    binding::Binding,
    issue::{self, Issued, TokenResponse},
    rules,
};
use crate::{
    app::App,
    audit::Event,
    cx::Cx,
    http::{
        client_auth::{AuthenticatedClient, ClientAuthRefusal},
        proof::ProvenKey,
    },
    settings::Resource,
};
use hallpass_core::{
    entropy,
    id::{AttemptId, GrantId},
    parameters::Parameters,
    scope::Scope,
};

/// Issues a token to the client itself.
pub async fn grant(
    app: &App,
    cx: Cx,
    client: &AuthenticatedClient,
    parameters: &Parameters,
    proven: Option<ProvenKey>,
) -> Result<TokenResponse, TokenRefusal> {
    let machine = client.machine().ok_or(TokenRefusal::GrantTypeNotRegistered)?;
    let (resource, scope) = rules::check_machine(machine, parameters, &app.settings)?;
    let key = Binding::new(proven, client, Some(resource), &app.settings).of_request()?;
    // Last, when nothing can be refused any more: an innocent mistake burns no assertion.
    spend(app, client, cx).await?;
    let issued = Issued { key, ..issued(app, cx, client.id(), (resource, &scope)) };
    let response = issue::issue(app, &issued, cx.now)?;
    let (resource, scope) = (issued.resource, scope.to_string());
    app.audit.record(cx, Event::token_issued(client.id(), issued.grant, resource, &scope));
    Ok(response)
}

/// What a token for a program itself is made from.
pub fn issued<'a>(
    app: &App,
    cx: Cx,
    client_id: &'a str,
    (resource, scope): (&'a Resource, &'a Scope),
) -> Issued<'a> {
    Issued {
        grant: GrantId::without_row(entropy::random(&*app.entropy)),
        // Never a person's: no such id has the form of one.
        subject: client_id.to_owned(),
        epoch: 0,
        client_id,
        resource: resource.uri.as_str(),
        scope,
        generation: 0,
        ends_at: cx.now.plus(app.settings.access_token_lifetime),
        refresh: false,
        key: None,
        actors: &[],
        details: None,
    }
}

/// An assertion is good once, on all nodes and after a restart.
pub async fn spend(app: &App, client: &AuthenticatedClient, cx: Cx) -> Result<(), TokenRefusal> {
    let Some(assertion) = client.assertion() else { return Ok(()) };
    let spends = assertion.with_attempt(AttemptId::new(cx.now, &*app.entropy));
    if app.store.assertion_spend(spends).await? && app.spent.spend(assertion) {
        return Ok(());
    }
    Err(TokenRefusal::Client(ClientAuthRefusal::AssertionSpent, false))
}
