//! The checks of the token endpoint, pure. All of them run before anything is written: an innocent mistake burns
//! nothing.

use super::{ExchangeRefusal, Grant, LiveRotation, RotationWindows, TokenRefusal};
use crate::{
    clients::operator::{ACCESS_TOKEN, Exchange, Machine},
    cx::Cx,
    http::client_auth::AuthenticatedClient,
    issuers::identity_provider::Allowed,
    settings::{OFFLINE_ACCESS, Resource, Settings},
};
use hallpass_core::{
    authorization_details::AuthorizationDetails,
    grant::{AuthorizationCode, DeviceCode, digest16},
    jwt::{GrantReference, VerifiedAccessToken, actor},
    parameters::Parameters,
    scope::Scope,
    secret,
    time::Timestamp,
    token::RefreshToken,
};
use std::time::Duration;

/// A grant that ends sooner has ended: less than a second is no life for a token.
const SHORTEST_TOKEN: Duration = Duration::from_secs(1);

/// A code that may be redeemed by who presents it.
#[derive(Debug)]
pub struct CheckedCode<'a> {
    /// The code.
    pub code: AuthorizationCode,
    /// The resource that it was given for.
    pub resource: &'a Resource,
    /// The scopes that were granted.
    pub scope: Scope,
}

/// Client, redirect URI, resource and verifier against what the code holds (RFC 6749 §4.1.3, RFC 7636 §4.6).
pub fn check_code<'a>(
    code: AuthorizationCode,
    client: &AuthenticatedClient,
    parameters: &Parameters,
    settings: &'a Settings,
) -> Result<CheckedCode<'a>, TokenRefusal> {
    if !secret::equal(&digest16(client.id()), &code.client) {
        return Err(TokenRefusal::CodeOfAnotherClient);
    }
    // It may be left out (OAuth 2.1 §10.2); PKCE has taken over what it was for.
    let redirect = parameters.get("redirect_uri");
    if redirect.is_some_and(|redirect| digest16(redirect) != code.redirect) {
        return Err(TokenRefusal::RedirectDiffers);
    }
    let resource = settings
        .resources
        .iter()
        .find(|resource| digest16(resource.uri.as_str()) == code.resource)
        .ok_or(TokenRefusal::ResourceChanged)?;
    check_target(parameters, resource.uri.as_str(), settings)?;
    if resource.list_digest() != code.scope_list {
        return Err(TokenRefusal::ResourceChanged);
    }
    code.challenge.verify(parameters.get("code_verifier")).map_err(TokenRefusal::Pkce)?;
    let scope = resource.at_positions(&code.scopes);
    Ok(CheckedCode { code, resource, scope })
}

/// Which tools a grant is for, as it was written by us. What cannot be read is not passed over.
pub fn details(text: Option<&str>) -> Result<Option<AuthorizationDetails>, TokenRefusal> {
    text.map(|text| AuthorizationDetails::parse(text).map_err(|_| TokenRefusal::DetailsUnreadable))
        .transpose()
}

/// Resource and scopes of a device code, as they are configured now.
pub fn check_device<'a>(
    code: &DeviceCode,
    parameters: &Parameters,
    settings: &'a Settings,
) -> Result<(&'a Resource, Scope), TokenRefusal> {
    let of_code = |resource: &&Resource| digest16(resource.uri.as_str()) == code.resource;
    let resource = settings.resources.iter().find(of_code).ok_or(TokenRefusal::ResourceChanged)?;
    check_target(parameters, resource.uri.as_str(), settings)?;
    if resource.list_digest() != code.scope_list {
        return Err(TokenRefusal::ResourceChanged);
    }
    Ok((resource, resource.at_positions(&code.scopes)))
}

/// `resource`, where it is sent, has to mean the resource of the grant (RFC 8707 §2.2).
fn check_target(parameters: &Parameters, granted: &str, settings: &Settings) -> Result<(), TokenRefusal> {
    let same =
        |asked: &str| settings.resource(asked).is_some_and(|resource| resource.uri.as_str() == granted);
    if parameters.all("resource").all(same) { Ok(()) } else { Err(TokenRefusal::Target) }
}

/// What a machine asks for, narrowed to what the operator lets it have: one server, and scopes of it.
pub fn check_machine<'a>(
    ceiling: &Machine,
    parameters: &Parameters,
    settings: &'a Settings,
) -> Result<(&'a Resource, Scope), TokenRefusal> {
    let resource = machine_resource(ceiling, parameters, settings)?;
    let allowed = resource.usual().narrowed_to(&ceiling.scopes);
    let granted = match parameters.get("scope") {
        None => allowed,
        Some(asked) => Scope::parse(asked).map_err(|_| TokenRefusal::Scope)?.narrowed_to(&allowed),
    };
    if granted.is_empty() { Err(TokenRefusal::ScopeNotAllowed) } else { Ok((resource, granted)) }
}

/// What a client asks for with an identity assertion: one of its servers, and scopes that it, the client's ceiling and the
/// server have in common (`decisions`, 3).
pub fn check_allowed<'a>(
    allowed: &Allowed<'a>,
    ceiling: Option<&Scope>,
    parameters: &Parameters,
) -> Result<(&'a Resource, Scope), TokenRefusal> {
    let mut asked = parameters.all("resource").peekable();
    let resource = match (asked.peek(), allowed.resources.as_slice()) {
        (None, [only]) => only,
        (None, _) => return Err(TokenRefusal::ResourceMissing),
        (Some(_), several) => {
            let asked: Vec<&str> = asked.collect();
            let meant = |resource: &&&Resource| asked.iter().all(|text| resource.uri.is_meant_by(text));
            several.iter().find(meant).ok_or(TokenRefusal::ResourceNotAllowed)?
        }
    };
    let mut scope = resource.usual();
    for limit in allowed.scope.iter().chain(ceiling) {
        scope = scope.narrowed_to(limit);
    }
    if let Some(asked) = parameters.get("scope") {
        scope = Scope::parse(asked).map_err(|_| TokenRefusal::Scope)?.narrowed_to(&scope);
    }
    if scope.is_empty() { Err(TokenRefusal::ScopeNotAllowed) } else { Ok((resource, scope)) }
}

/// A token is for one server. Which ones a machine may use is never guessed: where the operator named none, it is the
/// only one.
fn machine_resource<'a>(
    ceiling: &Machine,
    parameters: &Parameters,
    settings: &'a Settings,
) -> Result<&'a Resource, TokenRefusal> {
    let mut asked = parameters.all("resource").peekable();
    let mut allowed = settings.resources.iter().filter(|resource| match &ceiling.resources {
        Some(named) => named.iter().any(|one| one.is_meant_by(resource.uri.as_str())),
        None => settings.only_resource().is_some(),
    });
    if asked.peek().is_none() {
        let only = allowed.next().ok_or(TokenRefusal::ResourceNotAllowed)?;
        return if allowed.next().is_none() { Ok(only) } else { Err(TokenRefusal::ResourceMissing) };
    }
    let asked: Vec<&str> = asked.collect();
    let meant = |resource: &&Resource| asked.iter().all(|text| resource.uri.is_meant_by(text));
    allowed.find(meant).ok_or(TokenRefusal::ResourceNotAllowed)
}

/// The form of an exchange (RFC 8693 §2.1). Answers the subject token.
pub fn check_exchange_request(parameters: &Parameters) -> Result<&str, TokenRefusal> {
    let subject = parameters.get("subject_token").ok_or(ExchangeRefusal::SubjectTokenMissing)?;
    let wants_another = parameters.get("requested_token_type").is_some_and(|kind| kind != ACCESS_TOKEN);
    if parameters.get("subject_token_type") != Some(ACCESS_TOKEN) || wants_another {
        return Err(ExchangeRefusal::TokenType.into());
    }
    if parameters.get("actor_token").is_some() || parameters.get("actor_token_type").is_some() {
        return Err(ExchangeRefusal::ActorToken.into());
    }
    Ok(subject)
}

/// What may be made of a token.
#[derive(Debug)]
pub struct CheckedExchange<'a> {
    /// What the subject token was issued from.
    pub reference: GrantReference,
    /// The same server.
    pub resource: &'a Resource,
    /// No scope more.
    pub scope: Scope,
    /// Who acts, the client that asks first.
    pub actors: Vec<String>,
    /// No moment later, and as soon as the operator says.
    pub ends_at: Timestamp,
}

/// Who may trade what, and for how little: never more scopes, never another server, never longer (AS-177).
pub fn check_exchange<'a>(
    subject: &VerifiedAccessToken,
    client: &AuthenticatedClient,
    may: &Exchange,
    parameters: &Parameters,
    (settings, now): (&'a Settings, Timestamp),
) -> Result<CheckedExchange<'a>, TokenRefusal> {
    let reference = subject.grant.ok_or(ExchangeRefusal::SubjectToken)?;
    let own = subject.client_id == client.id();
    // A machine's token in the hands of another would say the machine's id where a person's is expected (RFC 9700 §4.15).
    let acts_for = may.from.contains(&subject.client_id) && !subject.is_of_the_client();
    if !own && !acts_for {
        return Err(ExchangeRefusal::SubjectTokenOfAnotherClient.into());
    }
    // Whole seconds: no token lives for 0, and none longer than the one it was made from.
    if subject.expires_at.since(now) < SHORTEST_TOKEN {
        return Err(ExchangeRefusal::SubjectToken.into());
    }
    let audience = subject.audiences.first().map_or("", String::as_str);
    let resource = settings.resource(audience).ok_or(TokenRefusal::Target)?;
    check_target(parameters, resource.uri.as_str(), settings)?;
    let same = |asked: &str| settings.resource(asked).is_some_and(|one| one.uri == resource.uri);
    if !parameters.all("audience").all(same) {
        return Err(TokenRefusal::Target);
    }
    let held = Scope::parse(&subject.scope).map_err(|_| TokenRefusal::Scope)?;
    let asked = match parameters.get("scope") {
        None => held,
        Some(text) => {
            Scope::parse(text).ok().filter(|asked| held.covers(asked)).ok_or(TokenRefusal::Scope)?
        }
    };
    let scope = client.scopes().map_or_else(|| asked.clone(), |ceiling| asked.narrowed_to(ceiling));
    if scope.is_empty() {
        return Err(TokenRefusal::ScopeNotAllowed);
    }
    let actors = actors(subject, client.id())?;
    let ends_at = may.lifetime.map_or(subject.expires_at, |most| subject.expires_at.min(now.plus(most)));
    Ok(CheckedExchange { reference, resource, scope, actors, ends_at })
}

/// Who asks, then all that acted before, down to the client that the person said yes to.
fn actors(subject: &VerifiedAccessToken, client: &str) -> Result<Vec<String>, TokenRefusal> {
    let mut actors = subject.actors.clone();
    if actors.is_empty() {
        actors.push(subject.client_id.clone());
    }
    if actors.first().is_none_or(|last| last != client) {
        actors.insert(0, client.to_owned());
    }
    let length: usize = actors.iter().map(String::len).sum();
    if actors.len() > actor::MAX_ACTORS || length > actor::MAX_ACTORS_LENGTH {
        return Err(ExchangeRefusal::TooManyActors.into());
    }
    Ok(actors)
}

/// What [`check_refresh`] asks of a grant, as conditions of one write, for the way of nearly every refresh: a client without
/// an assertion of its own, that asks for no other scope and at most one resource. `None` where it takes more to know.
pub fn ordinary(
    token: RefreshToken,
    client: &AuthenticatedClient,
    parameters: &Parameters,
    settings: &Settings,
    cx: Cx,
) -> Option<LiveRotation> {
    if !client.may_refresh() || client.proved_key() || parameters.get("scope").is_some() {
        return None;
    }
    let mut asked = parameters.all("resource");
    let resource = match (asked.next(), asked.next()) {
        (None, _) => None,
        (Some(one), None) => Some(settings.resource(one)?.uri.as_str().to_owned()),
        (Some(_), Some(_)) => return None,
    };
    Some(LiveRotation {
        id: token.grant,
        presented: token.generation,
        from: Some(cx.address),
        client_id: client.id().to_owned(),
        resource,
        key: None,
        used_since: cx.now.minus(settings.refresh_idle_lifetime),
        given_since: cx.now.minus(settings.grant_lifetime).plus(SHORTEST_TOKEN),
    })
}

/// Client, life, resource and scope against the grant. Answers the scope of the new access token.
pub fn check_refresh(
    grant: &Grant,
    client: &AuthenticatedClient,
    parameters: &Parameters,
    settings: &Settings,
    now: Timestamp,
) -> Result<Scope, TokenRefusal> {
    check_held(grant, client, settings, now)?;
    check_target(parameters, &grant.resource, settings)?;
    let granted = granted(grant, client)?;
    match parameters.get("scope") {
        None => Ok(granted),
        Some(asked) => match Scope::parse(asked) {
            Ok(asked) if granted.covers(&asked) => Ok(asked),
            Ok(_) | Err(_) => Err(TokenRefusal::Scope),
        },
    }
}

/// Whether the grant is this client's and has not ended.
pub fn check_held(
    grant: &Grant,
    client: &AuthenticatedClient,
    settings: &Settings,
    now: Timestamp,
) -> Result<(), TokenRefusal> {
    if grant.client_id != client.id() {
        return Err(TokenRefusal::RefreshOfAnotherClient);
    }
    if grant.revoked_at.is_some() {
        return Err(TokenRefusal::Revoked);
    }
    if grant.key_proven && !client.proved_key() {
        return Err(TokenRefusal::KeyNotProven);
    }
    if now.since(grant.rotated_at) > settings.refresh_idle_lifetime {
        return Err(TokenRefusal::Idle);
    }
    if grant.consented_at.plus(settings.grant_lifetime).since(now) < SHORTEST_TOKEN {
        return Err(TokenRefusal::Outlived);
    }
    Ok(())
}

/// Whether a refresh would take this generation: the live one, one newer than the row (the store went back), or the one
/// before while its successor is unused and forgiveness lasts.
pub fn is_current(grant: &Grant, presented: u32, windows: RotationWindows, now: Timestamp) -> bool {
    let forgiven = windows.same_successor.max(windows.new_successor);
    presented >= grant.generation
        || (grant.predecessor == Some(presented) && grant.rotated_at >= now.minus(forgiven))
}

/// The scopes of the grant that the client may still get: an operator may have lowered its ceiling since.
pub fn granted(grant: &Grant, client: &AuthenticatedClient) -> Result<Scope, TokenRefusal> {
    let granted = Scope::parse(&grant.scope).map_err(|_| TokenRefusal::Scope)?;
    Ok(match client.scopes() {
        Some(ceiling) => granted.narrowed_to(&Scope::of(ceiling.iter().chain([OFFLINE_ACCESS]))),
        None => granted,
    })
}
