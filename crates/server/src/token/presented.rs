//! An access token of ours that somebody presents: whether it is one, for which server, and whether what it was issued from is
//! still good at this moment.

use super::without_row;
use crate::{app::App, clients};
use hallpass_core::{
    jwt::{Expectations, VerifiedAccessToken, access_token},
    time::Timestamp,
};
use hallpass_store::StoreError;
use std::time::Duration;

/// The token, if it is alive and for one of these servers. Everything else is `None`, and looks the same.
pub async fn alive(
    app: &App,
    token: &str,
    audiences: &[&str],
    now: Timestamp,
) -> Result<Option<VerifiedAccessToken>, StoreError> {
    let issuer = app.settings.issuer.as_str();
    let expectations = Expectations { issuer, audiences, now, leeway: Duration::ZERO };
    let Ok(verified) = access_token::verify(token, &app.tokens.current().verifying, &expectations) else {
        return Ok(None);
    };
    let token = verified.into_inner();
    let Some(grant) = &token.grant else { return Ok(None) };
    // Who acted before is in the chain: with a client ends what others were given in its place.
    for client in [&token.client_id].into_iter().chain(&token.actors) {
        if !clients::is_wanted(app, client).await? {
            return Ok(None);
        }
    }
    let live = if grant.grant.has_row() {
        app.store.grant_live(grant.grant, grant.epoch).await?
    } else {
        without_row::is_live(app, &token, grant).await?
    };
    Ok(live.then_some(token))
}
