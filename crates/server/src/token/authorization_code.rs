//! Redeeming an authorization code (RFC 6749 §4.1.3): checks, then one conditional insert.

use super::{
    TokenRefusal,
    issue::{self, Issued, TokenResponse},
    rules,
};
use crate::{app::App, cx::Cx, http::client_auth::AuthenticatedClient};
use aws_lc_rs::digest;
use hallpass_core::{grant::AuthorizationCode, id::AttemptId, parameters::Parameters, time::Timestamp};
use hallpass_store::{GrantOpened, NewGrant, RevocationReason};

/// Redeems the code of the request.
pub async fn redeem(
    app: &App,
    cx: Cx,
    client: &AuthenticatedClient,
    parameters: &Parameters,
) -> Result<TokenResponse, TokenRefusal> {
    let text = parameters.get("code").ok_or(TokenRefusal::CodeMissing)?;
    let code = AuthorizationCode::open(&app.keys, text, cx.now).map_err(TokenRefusal::Code)?;
    let checked = rules::check_code(code, client, parameters, &app.settings)?;
    let grant = NewGrant {
        id: checked.code.grant,
        attempt: AttemptId::new(cx.now, &*app.entropy),
        person: checked.code.person,
        epoch: checked.code.epoch,
        client_id: client.id().to_owned(),
        client_name: client.name().to_owned(),
        redirect_host: checked.code.receiver.clone(),
        resource: checked.resource.uri.as_str().to_owned(),
        scope: checked.scope.to_string(),
        consented_at: checked.code.consented_at,
        code_digest: sha256(text),
    };
    let issued = Issued {
        grant: grant.id,
        person: grant.person,
        epoch: grant.epoch,
        client_id: client.id(),
        resource: &grant.resource,
        scope: &checked.scope,
        generation: 0,
        refresh: checked.code.refresh && client.may_refresh(),
    };
    match app.store.grant_open(grant.clone(), cx.now).await? {
        GrantOpened::Opened => {
            tracing::info!(grant = %issued.grant, client = client.id(), person = %issued.person, "grant opened");
            issue::issue(app, &issued, cx.now)
        }
        GrantOpened::Withdrawn => Err(TokenRefusal::Withdrawn),
        GrantOpened::SecondCode => Err(TokenRefusal::SecondCode),
        GrantOpened::Replayed => {
            let until = tokens_until(app, cx.now);
            app.store.grant_revoke(issued.grant, RevocationReason::CodeReplay, until, cx.now).await?;
            tracing::warn!(grant = %issued.grant, client = client.id(), address = %cx.address, "authorization code replayed, grant revoked");
            Err(TokenRefusal::CodeReplayed)
        }
    }
}

/// When the last access token that may have been issued until now has expired.
pub fn tokens_until(app: &App, now: Timestamp) -> Timestamp {
    now.plus(app.settings.access_token_lifetime).plus(std::time::Duration::from_mins(1))
}

fn sha256(text: &str) -> [u8; 32] {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().try_into().unwrap_or([0; 32])
}
