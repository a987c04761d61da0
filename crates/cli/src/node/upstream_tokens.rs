//! From the gateway's calls to the tokens that another authorization server gives for their callers.

use hallpass_core::jwt::caller_assertion::Caller;
use hallpass_gateway::{CallerCredentials, CredentialAnswer, NoCredential, SecretHeader, UpstreamCredential};
use hallpass_server::{
    App,
    upstream_token::{NoUpstreamToken, UpstreamTokenSettings, UpstreamTokens},
};
use std::sync::Arc;

/// The tokens of one server behind.
struct Exchanged {
    app: Arc<App>,
    tokens: UpstreamTokens,
}

/// For a server that another authorization server guards.
pub fn of(app: &Arc<App>, settings: &UpstreamTokenSettings) -> UpstreamCredential {
    let tokens = UpstreamTokens::new(settings.clone());
    UpstreamCredential::Caller(Arc::new(Exchanged { app: Arc::clone(app), tokens }))
}

impl CallerCredentials for Exchanged {
    fn credential<'a>(
        &'a self,
        caller: &'a Caller<'a>,
        refused: Option<&'a SecretHeader>,
    ) -> CredentialAnswer<'a> {
        Box::pin(async move {
            let refused = refused.and_then(SecretHeader::token);
            let token = self.tokens.token(&self.app, caller, refused.as_ref()).await;
            let token = token.map_err(|error| match error {
                NoUpstreamToken::Refused => NoCredential::Refused,
                NoUpstreamToken::Unavailable => NoCredential::Unavailable,
            })?;
            SecretHeader::bearer(&token).map_err(|_| NoCredential::Refused)
        })
    }
}
