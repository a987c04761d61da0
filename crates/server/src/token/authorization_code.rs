//! Redeeming an authorization code (RFC 6749 §4.1.3): checks, then one conditional insert.

use super::{
    TokenRefusal,
    binding::Binding,
    issue::{self, Issued, TokenResponse},
    rules,
};
use crate::{
    app::App,
    audit::{Event, Which},
    cx::Cx,
    http::{
        client_auth::{AuthenticatedClient, ClientAuthRefusal},
        proof::ProvenKey,
    },
};
use hallpass_core::{
    grant::{AuthorizationCode, digest32},
    id::AttemptId,
    parameters::Parameters,
    time::Timestamp,
};
use hallpass_store::{ErrorKind, GrantOpened, NewGrant, RevocationReason, StoreError};

/// Redeems the code of the request.
pub async fn redeem(
    app: &App,
    cx: Cx,
    client: &AuthenticatedClient,
    parameters: &Parameters,
    proven: Option<ProvenKey>,
) -> Result<TokenResponse, TokenRefusal> {
    let text = parameters.get("code").ok_or(TokenRefusal::CodeMissing)?;
    let code = AuthorizationCode::open(&app.keys, text, cx.now).map_err(TokenRefusal::Code)?;
    let checked = rules::check_code(code, client, parameters, &app.settings)?;
    let binding = Binding::new(proven, client, Some(checked.resource), &app.settings);
    let key = binding.of_code(checked.code.key)?;
    let details = rules::details(checked.code.details.as_deref())?;
    let code_digest = digest32(text);
    let attempt = app.unsettled.take(&code_digest).unwrap_or_else(|| AttemptId::new(cx.now, &*app.entropy));
    let grant = NewGrant {
        id: checked.code.grant,
        attempt,
        person: checked.code.person,
        epoch: checked.code.epoch,
        client_id: client.id().to_owned(),
        client_name: client.name().to_owned(),
        redirect_host: checked.code.receiver.clone(),
        resource: checked.resource.uri.as_str().to_owned(),
        scope: checked.scope.to_string(),
        consented_at: checked.code.consented_at,
        code_digest,
        from: Some(cx.address),
        // One who proves who it is needs no second lock on its refresh token (RFC 9449 §5).
        key_thumbprint: key.filter(|_| !client.is_confidential()),
        details: checked.code.details.clone(),
    };
    let issued = Issued {
        grant: grant.id,
        subject: grant.person.to_string(),
        epoch: grant.epoch,
        client_id: client.id(),
        resource: checked.resource.uri.as_str(),
        scope: &checked.scope,
        generation: 0,
        ends_at: grant.consented_at.plus(app.settings.grant_lifetime),
        refresh: checked.code.refresh && client.may_refresh(),
        key,
        actors: &[],
        details: details.as_ref(),
    };
    open_and_issue(app, cx, client, grant, &issued).await
}

/// One conditional insert decides, and whoever comes first gets the tokens. The same code again ends the grant.
pub(super) async fn open_and_issue(
    app: &App,
    cx: Cx,
    client: &AuthenticatedClient,
    grant: NewGrant,
    issued: &Issued<'_>,
) -> Result<TokenResponse, TokenRefusal> {
    let which =
        Which { grant: grant.id, person: grant.person, client: client.id(), resource: issued.resource };
    if app.blocks.receiver(&grant.redirect_host) {
        return Err(TokenRefusal::ReceiverBlocked);
    }
    let (receiver, scope, tools) = (grant.redirect_host.clone(), grant.scope.clone(), grant.details.clone());
    match open(app, client, grant, cx.now).await? {
        GrantOpened::Opened => {
            let event = Event::grant_opened(which, &receiver, &scope);
            app.audit.record(cx, event.for_tools(tools.as_ref()));
            issue::issue(app, issued, cx.now)
        }
        GrantOpened::Withdrawn => Err(TokenRefusal::Withdrawn),
        GrantOpened::SecondCode => Err(TokenRefusal::SecondCode),
        GrantOpened::AssertionSpent => Err(TokenRefusal::Client(ClientAuthRefusal::AssertionSpent, false)),
        GrantOpened::Replayed => {
            let until = app.settings.tokens_until(cx.now);
            app.store.grant_revoke(issued.grant, RevocationReason::CodeReplay, until, cx.now).await?;
            app.audit.record(cx, Event::code_replayed(which, until));
            Err(TokenRefusal::CodeReplayed)
        }
    }
}

/// One write; where the client signed, its assertion is spent in it.
async fn open(
    app: &App,
    client: &AuthenticatedClient,
    grant: NewGrant,
    now: Timestamp,
) -> Result<GrantOpened, StoreError> {
    let (attempt, code) = (grant.attempt, grant.code_digest);
    let assertion = client.assertion();
    let opened = match assertion {
        None => app.store.grant_open(grant, now).await,
        Some(assertion) => app.store.grant_open_spending(grant, assertion.with_attempt(attempt), now).await,
    };
    match &opened {
        Ok(GrantOpened::Opened) => drop(assertion.map(|assertion| app.spent.spend(assertion))),
        Err(error) if error.kind() == ErrorKind::Unknown => app.unsettled.remember(code, attempt),
        Ok(_) | Err(_) => {}
    }
    opened
}
