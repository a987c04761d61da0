//! The name of a broken rule, for lines, log and metrics: from a closed list, never text of a peer.

use hallpass_core::{
    grant::{CodeError, DeviceCodeError, PushedError},
    jwt::{
        client_assertion::ClientAssertionError, grant_assertion::GrantAssertionError, id_token::IdTokenError,
        proof::ProofError,
    },
    parameters::ParameterError,
    pkce::PkceError,
    redirect::RedirectError,
    token::RefreshTokenError,
    uri::UriError,
};

/// A rule that has a name.
pub trait Reason {
    /// Lower case and underscores; it never changes.
    fn reason(&self) -> &'static str;
}

impl Reason for ParameterError {
    fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge => "parameters_too_large",
            Self::Malformed => "parameter_malformed",
            Self::Duplicate(_) => "parameter_twice",
        }
    }
}

impl Reason for PkceError {
    fn reason(&self) -> &'static str {
        match self {
            Self::ChallengeMissing => "code_challenge_missing",
            Self::MethodNotS256 => "code_challenge_method",
            Self::ChallengeMalformed => "code_challenge_malformed",
            Self::VerifierMissing => "code_verifier_missing",
            Self::VerifierMalformed => "code_verifier_malformed",
            Self::VerifierWrong => "code_verifier_wrong",
        }
    }
}

impl Reason for CodeError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Foreign => "code_foreign",
            Self::KeyNotHere => "code_master_key_not_here",
            Self::Format => "code_format",
            Self::Expired => "code_expired",
            Self::Future => "code_from_the_future",
        }
    }
}

impl Reason for PushedError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Foreign => "pushed_request_foreign",
            Self::KeyNotHere => "pushed_request_master_key_not_here",
            Self::Format => "pushed_request_format",
            Self::Expired => "pushed_request_expired",
            Self::Future => "pushed_request_from_the_future",
        }
    }
}

impl Reason for DeviceCodeError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Foreign => "device_code_foreign",
            Self::KeyNotHere => "device_code_master_key_not_here",
            Self::Format => "device_code_format",
            Self::Expired => "device_code_expired",
            Self::Future => "device_code_from_the_future",
        }
    }
}

impl Reason for RefreshTokenError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Form => "refresh_token_form",
            Self::Damaged => "refresh_token_damaged",
            Self::Forged => "refresh_token_forged",
            Self::KeyNotHere => "refresh_token_master_key_not_here",
        }
    }
}

impl Reason for ClientAssertionError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Jws(_) => "client_assertion_signature",
            Self::ClaimsJson(_) => "client_assertion_json",
            Self::Issuer => "client_assertion_issuer",
            Self::Subject => "client_assertion_subject",
            Self::Audience => "client_assertion_audience",
            Self::ExpiryForm => "client_assertion_expiry_form",
            Self::Expired => "client_assertion_expired",
            Self::TooLong => "client_assertion_lives_too_long",
            Self::NotYetValid => "client_assertion_not_yet_valid",
            Self::TokenId => "client_assertion_token_id",
        }
    }
}

impl Reason for GrantAssertionError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Jws(_) => "assertion_signature",
            Self::ClaimsJson(_) => "assertion_json",
            Self::Issuer => "assertion_issuer",
            Self::Subject => "assertion_subject",
            Self::Audience => "assertion_audience",
            Self::ExpiryForm => "assertion_expiry_form",
            Self::Expired => "assertion_expired",
            Self::TooLong => "assertion_lives_too_long",
            Self::IssuedAtMissing => "assertion_issued_at",
            Self::NotYetValid => "assertion_not_yet_valid",
            Self::TokenId => "assertion_token_id",
        }
    }
}

impl Reason for IdTokenError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Jws(_) => "id_token_signature",
            Self::ClaimsJson(_) => "id_token_json",
            Self::Issuer => "id_token_issuer",
            Self::Subject => "id_token_subject",
            Self::Audience => "id_token_audience",
            Self::AuthorizedParty => "id_token_authorized_party",
            Self::ExpiryForm => "id_token_expiry_form",
            Self::Expired => "id_token_expired",
            Self::TooLong => "id_token_lives_too_long",
            Self::IssuedAtMissing => "id_token_issued_at",
            Self::NotYetValid => "id_token_not_yet_valid",
            Self::Nonce => "id_token_nonce",
            Self::AuthenticationTime => "id_token_auth_time",
        }
    }
}

impl Reason for ProofError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Several => "proof_twice",
            Self::Form => "proof_form",
            Self::Jws(_) => "proof_signature",
            Self::ClaimsJson(_) => "proof_json",
            Self::TokenId => "proof_token_id",
            Self::Method => "proof_method",
            Self::Target => "proof_target",
            Self::IssuedAtForm => "proof_issued_at_form",
            Self::NotNow => "proof_not_now",
            Self::TokenHash => "proof_token_hash",
            Self::NonceForm => "proof_nonce_form",
        }
    }
}

impl Reason for RedirectError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "redirect_uri_missing",
            Self::Malformed(error) => error.reason(),
            Self::NotRegistered => "redirect_uri_not_registered",
        }
    }
}

impl Reason for UriError {
    fn reason(&self) -> &'static str {
        match self {
            Self::Malformed => "uri_malformed",
            Self::TooLong => "uri_too_long",
            Self::Scheme => "uri_scheme",
            Self::UserInfo => "uri_user_info",
            Self::Fragment => "uri_fragment",
            Self::Query => "uri_query",
            Self::NoPath => "uri_without_path",
            Self::DotSegment => "uri_dot_segment",
            Self::ResponseParameter => "uri_response_parameter",
        }
    }
}
