//! Who somebody is, by what a provider gave for a code: an ID token that is verified wholly, or its userinfo endpoint.

use super::{
    Refusal,
    rules::{self, Identity},
    settings::{Says, SignInProvider},
};
use crate::{
    app::App,
    clients::keys::{KeyPlace, KeyRefusal},
    connections::{
        provider::{self, ProviderError, Redeemed},
        settings::{Endpoints, Provider},
    },
};
use hallpass_core::{
    jose::{JwsError, KeySet, Verified},
    jwt::id_token::{self, Expectations, IdToken, IdTokenError},
    secret::SecretString,
    time::Timestamp,
};

/// Who it is. `nonce` is that of the request that the code answers.
pub(super) async fn of(
    app: &App,
    (provider, endpoints): (&SignInProvider, &Endpoints),
    redeemed: &Redeemed,
    nonce: &str,
    now: Timestamp,
) -> Result<Identity, Refusal> {
    let token = &redeemed.tokens.access_token;
    match &provider.says {
        Says::IdToken => {
            let compact = redeemed.id_token.as_ref().ok_or(Refusal::NoIdToken)?;
            let said = verified(app, provider, compact, nonce, now).await?;
            let IdToken { subject, authenticated_at, mut claims } = said;
            if !rules::says_enough(provider, &claims) && provider.can_say_more(endpoints) {
                let more = provider::userinfo(app, (&provider.service, endpoints), token).await?;
                // Of another person: somebody put another access token beside the ID token (OpenID Connect Core §5.3.2).
                if rules::subject(&more, "sub").as_ref() != Some(&subject) {
                    return Err(Refusal::Subject);
                }
                for (name, value) in more {
                    claims.entry(name).or_insert(value);
                }
            }
            Ok(Identity { subject, claims, authenticated_at })
        }
        Says::UserInfo(name) => {
            let claims = provider::userinfo(app, (&provider.service, endpoints), token).await?;
            let subject = rules::subject(&claims, name).ok_or(Refusal::Subject)?;
            Ok(Identity { subject, claims, authenticated_at: None })
        }
    }
}

async fn verified(
    app: &App,
    provider: &SignInProvider,
    compact: &SecretString,
    nonce: &str,
    now: Timestamp,
) -> Result<IdToken, Refusal> {
    let Provider::OpenId(issuer) = &provider.service.provider else { return Err(Refusal::NoIdToken) };
    let client_id = &provider.service.client.client_id;
    let expected = Expectations { issuer: issuer.as_str(), client_id, nonce, now };
    let check = |keys: &KeySet| id_token::verify(compact.expose(), keys, &expected).map(Verified::into_inner);
    let unknown = |error: &IdTokenError| *error == IdTokenError::Jws(JwsError::UnknownKey);
    let place = KeyPlace::Discovered(issuer.clone());
    app.issuer_keys.with_keys(&place, now, check, unknown).await.map_err(|refusal| match refusal {
        KeyRefusal::Assertion(error) => Refusal::IdToken(error),
        KeyRefusal::NoKeys => Refusal::NoKeys,
        KeyRefusal::Unreachable(error) => Refusal::Provider(ProviderError::Fetch(error)),
    })
}
