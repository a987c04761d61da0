//! An identity assertion as the grant (ID-JAG §4.4): the person's company says that this client may act for them. The person
//! is not asked here; the operator has said whose word counts, and for which accounts.

use super::{
    TokenRefusal,
    binding::Binding,
    client_credentials,
    issue::{self, Issued, TokenResponse},
    jwt_bearer::{self, AssertionRefusal},
    rules,
};
use crate::{
    app::App,
    audit::{Event, Which},
    http::{
        client_auth::{self, Spend},
        proof::ProvenKey,
    },
    issuers::identity_provider::{IdentityProvider, NotAllowed},
    router::Incoming,
};
use hallpass_core::{entropy, id::GrantId, jwt::grant_assertion::Kind, parameters::Parameters, secret};

/// Issues a token to the client, for the person whom the assertion is about. There is no refresh token: the company is asked
/// again (AS-157).
pub async fn grant(
    app: &App,
    incoming: &Incoming,
    parameters: &Parameters,
    (company, compact): (&IdentityProvider, &str),
) -> Result<TokenResponse, TokenRefusal> {
    let cx = incoming.cx;
    let client = client_auth::authenticate(app, incoming, parameters, Spend::WithTheWrite)
        .await
        .map_err(|(refusal, by_header)| TokenRefusal::Client(refusal, by_header))?;
    if !client.is_confidential() || !client.may_assert() {
        return Err(TokenRefusal::GrantTypeNotRegistered);
    }
    let assertion = company.issuer.verify(app, compact, Kind::Identity, cx.now).await;
    let assertion = assertion.map_err(jwt_bearer::of_keys)?;
    let allowed =
        company.allows(&assertion, client.id(), &app.settings).map_err(AssertionRefusal::NotAllowed)?;
    let (resource, scope) = rules::check_allowed(&allowed, client.scopes(), parameters)?;
    let person = if let Some(account) = allowed.account {
        app.store.person_by_name(crate::login::password::fold(account)).await?
    } else {
        let linked = app.store.link_read(assertion.issuer.clone(), assertion.subject.clone()).await?;
        let (_, person) = linked.ok_or(AssertionRefusal::NotAllowed(NotAllowed::Account))?;
        Some(person)
    };
    let person = person.filter(|person| person.disabled_at.is_none()).ok_or(AssertionRefusal::Nobody)?;
    let proven = super::proven(app, incoming)?;
    let key = match allowed.key {
        None => Binding::new(proven, &client, Some(resource), &app.settings).of_request()?,
        Some(due) => {
            let proven = proven.map(ProvenKey::thumbprint).filter(|proven| secret::equal(proven, &due));
            Some(proven.ok_or(AssertionRefusal::NotAllowed(NotAllowed::Constraint))?)
        }
    };
    // Last, when nothing can be refused any more: an innocent mistake burns neither.
    client_credentials::spend(app, &client, cx).await?;
    jwt_bearer::spend(app, &assertion, incoming).await?;
    let issued = Issued {
        grant: GrantId::without_row(entropy::random(&*app.entropy)),
        subject: person.id.to_string(),
        // Signing out everywhere ends it, as it ends what the person gave.
        epoch: person.epoch,
        client_id: client.id(),
        resource: resource.uri.as_str(),
        scope: &scope,
        generation: 0,
        ends_at: cx.now.plus(app.settings.access_token_lifetime),
        refresh: false,
        key,
        actors: &[],
        details: None,
    };
    let response = issue::issue(app, &issued, cx.now)?;
    let which =
        Which { grant: issued.grant, person: person.id, client: client.id(), resource: issued.resource };
    app.audit.record(cx, Event::asserted_token_issued(which, &assertion.subject, &scope.to_string()));
    Ok(response)
}
