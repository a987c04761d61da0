//! An assertion as the grant (RFC 7523 §2.1): a platform says which program asks (SEP-1933). No secret is anywhere, and
//! nothing is kept but that the assertion was used.

use super::{
    TokenRefusal,
    binding::Binding,
    client_credentials, identity_assertion,
    issue::{Issued, TokenResponse},
    rules,
};
use crate::{
    app::App,
    audit::{Event, Reason},
    clients::{assertions::Unspent, keys::KeyRefusal},
    http::respond::Refusal,
    issuers::identity_provider::NotAllowed,
    router::Incoming,
};
use hallpass_core::{
    error::ErrorCode,
    id::AttemptId,
    jwt::grant_assertion::{self, GRANT_TYPE, GrantAssertion, GrantAssertionError, Kind},
    parameters::Parameters,
};

/// Why an assertion is no grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AssertionRefusal {
    /// No `assertion`.
    Missing,
    /// An assertion is all the proof, and there is another one beside it.
    AndMore,
    /// Nobody whom the operator trusts made it.
    Issuer,
    /// It breaks a rule.
    Broken(GrantAssertionError),
    /// The keys of its issuer are gone or are none.
    Keys,
    /// The keys of its issuer cannot be reached right now.
    KeysUnreachable,
    /// It is genuine, and about nobody whom the operator lets in.
    Nobody,
    /// It is genuine, and its `sub` cannot be in a token of ours.
    Subject,
    /// It is genuine, and not for this.
    NotAllowed(NotAllowed),
    /// It was used before.
    Spent,
}

impl Reason for AssertionRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "assertion_missing",
            Self::AndMore => "assertion_and_more",
            Self::Issuer => "assertion_issuer",
            Self::Broken(error) => error.reason(),
            Self::Keys => "assertion_keys_gone",
            Self::KeysUnreachable => "assertion_keys_unreachable",
            Self::Nobody => "assertion_nobody",
            Self::Subject => "assertion_subject",
            Self::NotAllowed(NotAllowed::Client) => "assertion_of_another_client",
            Self::NotAllowed(NotAllowed::Tenant) => "assertion_of_another_tenant",
            Self::NotAllowed(NotAllowed::Account) => "assertion_account",
            Self::NotAllowed(NotAllowed::Resource) => "assertion_resource",
            Self::NotAllowed(NotAllowed::Scope) => "assertion_scope",
            Self::NotAllowed(NotAllowed::Constraint) => "assertion_constraint",
            Self::Spent => "assertion_spent",
        }
    }
}

impl AssertionRefusal {
    /// What the client learns: which rule of trust it met is nobody's business.
    pub fn refusal(self) -> Refusal {
        let (code, description) = match self {
            Self::Missing => (ErrorCode::InvalidRequest, "assertion is required"),
            Self::AndMore => {
                (ErrorCode::InvalidRequest, "the assertion says who asks: leave out client authentication")
            }
            Self::KeysUnreachable => {
                (ErrorCode::TemporarilyUnavailable, "try again in a moment: nothing was lost")
            }
            Self::Issuer
            | Self::Broken(_)
            | Self::Keys
            | Self::Nobody
            | Self::Subject
            | Self::NotAllowed(_)
            | Self::Spent => (
                ErrorCode::InvalidGrant,
                "the assertion is not accepted: send a new one, of an issuer that is trusted here, with this server as its only audience",
            ),
        };
        Refusal::new(code, description)
    }
}

impl From<AssertionRefusal> for TokenRefusal {
    fn from(refusal: AssertionRefusal) -> Self {
        Self::Assertion(refusal)
    }
}

/// Whether this is such a request, here where such requests are answered.
pub fn is_meant(app: &App, parameters: &Parameters) -> bool {
    let (platforms, companies) = (&app.settings.workload_issuers, &app.settings.identity_providers);
    parameters.get("grant_type") == Some(GRANT_TYPE) && !(platforms.is_empty() && companies.is_empty())
}

/// Issues a token to the program that the assertion is about.
pub async fn grant(
    app: &App,
    incoming: &Incoming,
    parameters: &Parameters,
) -> Result<TokenResponse, TokenRefusal> {
    if app.audit.refuses() {
        return Err(TokenRefusal::AuditFailing);
    }
    let compact = parameters.get("assertion").ok_or(AssertionRefusal::Missing)?;
    // Whose word it claims to be decides which rules it has to meet; nothing was asked of anybody yet (AS-176).
    let named = grant_assertion::unverified_issuer(compact).unwrap_or_default();
    let companies = &app.settings.identity_providers;
    if let Some(company) = companies.iter().find(|one| one.issuer.issuer == named) {
        return identity_assertion::grant(app, incoming, parameters, (company, compact)).await;
    }
    let platforms = &app.settings.workload_issuers;
    let platform = platforms.iter().find(|one| one.issuer.issuer == named).ok_or(AssertionRefusal::Issuer)?;
    let other_proof = ["client_secret", "client_assertion", "client_assertion_type"];
    let header = incoming.headers.contains_key("authorization");
    if header || other_proof.iter().any(|name| parameters.get(name).is_some()) {
        return Err(AssertionRefusal::AndMore.into());
    }
    let cx = incoming.cx;
    let assertion = platform.issuer.verify(app, compact, Kind::Workload, cx.now).await.map_err(of_keys)?;
    let workload = platform.workloads.iter().find(|workload| workload.fits(&assertion.claims));
    let workload = workload.ok_or(AssertionRefusal::Nobody)?;
    // It needs no client_id; one that it sends has to be its own.
    if parameters.get("client_id").is_some_and(|id| id != workload.id()) || app.blocks.client(workload.id()) {
        return Err(AssertionRefusal::Nobody.into());
    }
    let subject = workload.subject(&assertion.subject).ok_or(AssertionRefusal::Subject)?;
    let (resource, scope) = rules::check_machine(workload.machine(), parameters, &app.settings)?;
    let (proven, offered) = (super::proven(app, incoming)?, app.settings.proofs.offered);
    let key = Binding { proven, due: resource.bound_tokens_only, offered }.of_request()?;
    // Last, when nothing can be refused any more: an innocent mistake burns no assertion.
    spend(app, &assertion, incoming).await?;
    let machine = client_credentials::issued(app, cx, workload.id(), (resource, &scope));
    let issued = Issued { subject, key, ..machine };
    let response = super::issue::issue(app, &issued, cx.now)?;
    let (resource, text) = (issued.resource, scope.to_string());
    let event =
        Event::workload_token_issued(workload.id(), issued.grant, &assertion.subject, (resource, &text));
    app.audit.record(cx, event);
    Ok(response)
}

/// What the client learns of keys that are not there.
pub fn of_keys(refusal: KeyRefusal<GrantAssertionError>) -> AssertionRefusal {
    match refusal {
        KeyRefusal::Assertion(error) => AssertionRefusal::Broken(error),
        KeyRefusal::NoKeys => AssertionRefusal::Keys,
        KeyRefusal::Unreachable(error) => {
            tracing::warn!(?error, "the keys of an issuer cannot be reached");
            AssertionRefusal::KeysUnreachable
        }
    }
}

/// Once, on all nodes and after a restart: where that cannot be known, there is no token.
pub async fn spend(app: &App, assertion: &GrantAssertion, incoming: &Incoming) -> Result<(), TokenRefusal> {
    let unspent = Unspent::of_grant(assertion);
    let attempt = AttemptId::new(incoming.cx.now, &*app.entropy);
    let first =
        !app.spent.is_spent(&unspent) && app.store.assertion_spend(unspent.with_attempt(attempt)).await?;
    if first && app.spent.spend(&unspent) { Ok(()) } else { Err(AssertionRefusal::Spent.into()) }
}
