//! What an authorization request says, and how a client hands it over in advance.

use super::{
    Described, Description,
    protocol::{CLIENT_ASSERTION, CLIENT_ASSERTION_TYPE, CLIENT_ID, CLIENT_SECRET, JSON, PROOF, PROTOCOL},
    schemas,
};
use hallpass_core::{
    error::ErrorCode::{
        InvalidAuthorizationDetails, InvalidClient, InvalidDpopProof, InvalidRequest, InvalidScope,
        InvalidTarget, RequestNotSupported, TemporarilyUnavailable, UnauthorizedClient,
        UnsupportedResponseType, UseDpopNonce,
    },
    openapi::{
        Answer, Field,
        Kind::{Number, OneOf, Text, Uri},
        Operation,
    },
};

const fn field(name: &'static str, required: bool, text: &'static str, example: &'static str) -> Field {
    Field { name, kind: Text, required, text, example }
}

/// `response_type`.
pub const TYPE: Field = Field {
    name: "response_type",
    kind: OneOf(&["code"]),
    required: true,
    text: "Only `code`.",
    example: "code",
};
/// `redirect_uri`.
pub const REDIRECT: Field = Field {
    name: "redirect_uri",
    kind: Uri,
    required: false,
    text: "One of the client's, as written; on the person's own computer the port may differ.",
    example: "http://127.0.0.1:5000/callback",
};
/// `code_challenge`.
pub const CHALLENGE: Field =
    field("code_challenge", true, "RFC 7636.", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
/// `code_challenge_method`.
pub const METHOD: Field = Field {
    name: "code_challenge_method",
    kind: OneOf(&["S256"]),
    required: true,
    text: "Only `S256`.",
    example: "S256",
};
/// `dpop_jkt`.
pub const KEY: Field = field(
    "dpop_jkt",
    false,
    "The thumbprint of a key: the code can be redeemed with a proof of that key only (RFC 9449 §10).",
    "",
);
/// `authorization_details`.
pub const DETAILS: Field = field(
    "authorization_details",
    false,
    "Only these tools, and only with these arguments (RFC 9396): a JSON array of objects with `type` (`mcp_tool`), `tool`, and `arguments`, conditions by argument. At most 400 characters without spaces. For clients of the operator and for those whose document a person has allowed before; read in a pushed request only.",
    "[{\"type\":\"mcp_tool\",\"tool\":\"pay\",\"arguments\":{\"amount\":{\"max\":100}}}]",
);
/// `state`.
pub const STATE: Field = field("state", false, "Comes back as it was.", "af0ifjsldkj");
/// `scope`.
pub const SCOPE: Field = field("scope", false, "With spaces between.", "read");
/// `resource`.
pub const RESOURCE: Field = Field {
    name: "resource",
    kind: Uri,
    required: false,
    text: "Which protected server (RFC 8707); needed where there are several.",
    example: "https://auth.example/mcp",
};
/// `prompt`.
pub const PROMPT: Field = field(
    "prompt",
    false,
    "`login` asks for a new sign-in, `select_account` for a choice of the account; `none` is answered with an error, because the person is always asked.",
    "",
);
/// `max_age`.
pub const MAX_AGE: Field = Field {
    name: "max_age",
    kind: Number,
    required: false,
    text: "Seconds since the person signed in, at most.",
    example: "",
};
/// `login_hint`.
pub const HINT: Field =
    field("login_hint", false, "A name for the sign-in form to begin with; it is not looked up.", "ada");

/// `/device_authorization`.
pub const DEVICE_AUTHORIZATION: Description = Description {
    get: None,
    post: Some(Described {
        operation: &Operation {
            id: "deviceAuthorization",
            summary: "A device without a browser asks (RFC 8628 §3.1)",
            text: "The person goes to `verification_uri` on another device and types the `user_code`; the device polls the token endpoint meanwhile, every `interval` seconds, with the grant type `urn:ietf:params:oauth:grant-type:device_code`. Nothing is stored for it. The client lists that grant type in its registration or document.",
            group: PROTOCOL,
            form: &[SCOPE, RESOURCE, CLIENT_ID, CLIENT_SECRET, CLIENT_ASSERTION_TYPE, CLIENT_ASSERTION],
            answers: &[Answer {
                status: 200,
                text: "What to show, and what to poll with.",
                content: &[(JSON, Some(&schemas::DEVICE_AUTHORIZATION))],
                headers: &[("Cache-Control", "`no-store`.")],
            }],
            security: &["", "clientSecretBasic"],
            ..Operation::NONE
        },
        codes: &[
            InvalidRequest,
            InvalidClient,
            UnauthorizedClient,
            InvalidScope,
            InvalidTarget,
            TemporarilyUnavailable,
        ],
    }),
};

/// `/par`.
pub const PAR: Description = Description {
    get: None,
    post: Some(Described {
        operation: &Operation {
            id: "pushAuthorizationRequest",
            summary: "A client hands its authorization request over in advance (RFC 9126)",
            text: "Checked as the authorization endpoint would, and answered with a `request_uri` that the person's browser takes there with the `client_id`; whatever else stands beside it is ignored. It is good for 90 seconds, for this client, and for one grant. Nothing is stored for it, so it has a limit: about 1000 bytes of parameters, above it 413.",
            group: PROTOCOL,
            headers: &[PROOF],
            form: &[
                TYPE,
                REDIRECT,
                CHALLENGE,
                METHOD,
                KEY,
                STATE,
                SCOPE,
                RESOURCE,
                PROMPT,
                MAX_AGE,
                HINT,
                DETAILS,
                CLIENT_ID,
                CLIENT_SECRET,
                CLIENT_ASSERTION_TYPE,
                CLIENT_ASSERTION,
            ],
            answers: &[Answer {
                status: 201,
                text: "The request can be taken to the authorization endpoint.",
                content: &[(JSON, Some(&schemas::PUSHED))],
                headers: &[("Cache-Control", "`no-store`.")],
            }],
            security: &["", "clientSecretBasic"],
            ..Operation::NONE
        },
        codes: &[
            InvalidRequest,
            InvalidClient,
            UnauthorizedClient,
            InvalidScope,
            InvalidAuthorizationDetails,
            InvalidTarget,
            UnsupportedResponseType,
            RequestNotSupported,
            TemporarilyUnavailable,
            InvalidDpopProof,
            UseDpopNonce,
        ],
    }),
};
