//! What clients and protected servers ask.

use super::{Described, Description, schemas};
use crate::{
    clients::operator::{ACCESS_TOKEN, TOKEN_EXCHANGE},
    cross_domain::REFRESH_TOKEN,
};
use hallpass_core::{
    error::ErrorCode::{
        AccessDenied, AuthorizationPending, ExpiredToken, InsufficientUserAuthentication,
        InvalidAuthorizationDetails, InvalidClient, InvalidClientMetadata, InvalidDpopProof, InvalidGrant,
        InvalidRedirectUri, InvalidRequest, InvalidScope, InvalidSoftwareStatement, InvalidTarget,
        InvalidToken, SlowDown, TemporarilyUnavailable, UnauthorizedClient, UnsupportedGrantType,
        UseDpopNonce,
    },
    jwt::identity_assertion,
    openapi::{
        Answer, Field,
        Kind::{OneOf, Text, Uri, Uris},
        Operation,
    },
};

pub(super) const JSON: &str = "application/json";
const DISCOVERY: &str = "discovery";
pub(super) const PROTOCOL: &str = "protocol";

const KEPT: &[(&str, &str)] =
    &[("ETag", "Names this version of the document."), ("Cache-Control", "For how long it may be kept.")];
const KNOWN: Field = Field {
    name: "If-None-Match",
    kind: Text,
    required: false,
    text: "The `ETag` of the copy that the reader has.",
    example: "",
};
const SAME: Answer =
    Answer { status: 304, text: "The reader has this very document.", content: &[], headers: KEPT };

const fn get(operation: &'static Operation) -> Description {
    Description { get: Some(Described { operation, codes: &[] }), post: None }
}

/// `/.well-known/oauth-authorization-server`.
pub const METADATA: Description = get(&METADATA_GET);
/// `/jwks`.
pub const JWKS: Description = get(&JWKS_GET);
/// `/openapi.json`.
pub const OPENAPI: Description = get(&OPENAPI_GET);

static METADATA_GET: Operation = Operation {
    id: "authorizationServerMetadata",
    summary: "What the authorization server says about itself (RFC 8414)",
    text: "The same bytes wherever clients look for it.",
    group: DISCOVERY,
    headers: &[KNOWN],
    answers: &[
        Answer {
            status: 200,
            text: "The document.",
            content: &[(JSON, Some(&schemas::METADATA))],
            headers: KEPT,
        },
        SAME,
    ],
    ..Operation::NONE
};

static JWKS_GET: Operation = Operation {
    id: "keys",
    summary: "The keys that verify access tokens (RFC 7517)",
    group: DISCOVERY,
    headers: &[KNOWN],
    answers: &[
        Answer {
            status: 200,
            text: "The keys.",
            content: &[("application/jwk-set+json", Some(&schemas::KEYS))],
            headers: KEPT,
        },
        SAME,
    ],
    ..Operation::NONE
};

static OPENAPI_GET: Operation = Operation {
    id: "openApi",
    summary: "This document",
    group: DISCOVERY,
    headers: &[KNOWN],
    answers: &[
        Answer {
            status: 200,
            text: "OpenAPI 3.1.",
            content: &[(JSON, Some(&schemas::OPENAPI))],
            headers: KEPT,
        },
        SAME,
    ],
    ..Operation::NONE
};

/// `/register`.
pub const REGISTER: Description = Description {
    get: None,
    post: Some(Described {
        operation: &Operation {
            id: "register",
            summary: "A client registers itself (RFC 7591)",
            text: "Nothing is stored: the id itself carries what was registered and stays good. Where the operator closed registration, the answer is `invalid_client_metadata`; where he asks for a token, 401.",
            group: PROTOCOL,
            body: Some(&schemas::REGISTRATION),
            answers: &[Answer {
                status: 201,
                text: "Registered.",
                content: &[(JSON, Some(&schemas::REGISTERED))],
                headers: &[],
            }],
            security: &["", "initialAccess"],
            ..Operation::NONE
        },
        codes: &[
            InvalidClientMetadata,
            InvalidRedirectUri,
            InvalidSoftwareStatement,
            InvalidToken,
            TemporarilyUnavailable,
        ],
    }),
};

pub(super) const CLIENT_ID: Field = Field {
    name: "client_id",
    kind: Text,
    required: false,
    text: "Who asks, unless the `Authorization` header says so: an id from registration, or the URL of a metadata document.",
    example: "https://client.example/metadata.json",
};
pub(super) const CLIENT_SECRET: Field = Field {
    name: "client_secret",
    kind: Text,
    required: false,
    text: "With `client_secret_post`.",
    example: "",
};
pub(super) const CLIENT_ASSERTION_TYPE: Field = Field {
    name: "client_assertion_type",
    kind: OneOf(&["urn:ietf:params:oauth:client-assertion-type:jwt-bearer"]),
    required: false,
    text: "With `private_key_jwt`.",
    example: "",
};
pub(super) const CLIENT_ASSERTION: Field = Field {
    name: "client_assertion",
    kind: Text,
    required: false,
    text: "With `private_key_jwt`: a JWT that the client signed (RFC 7523 §2.2), good once.",
    example: "",
};
const TOKEN: Field = Field {
    name: "token",
    kind: Text,
    required: true,
    text: "An access token or a refresh token.",
    example: "",
};
/// `DPoP`.
pub const PROOF: Field = Field {
    name: "DPoP",
    kind: Text,
    required: false,
    text: "The proof of a key (RFC 9449): what is issued is bound to it. Due for a grant that is bound, and for clients and servers that take bound tokens only.",
    example: "",
};
const HINT: Field = Field {
    name: "token_type_hint",
    kind: Text,
    required: false,
    text: "Not needed: each token says what it is.",
    example: "refresh_token",
};

/// `/token`.
pub const TOKEN_ENDPOINT: Description = Description {
    get: None,
    post: Some(Described {
        operation: &Operation {
            id: "token",
            summary: "A code, a refresh token or a machine's own proof becomes tokens (RFC 6749 §3.2)",
            text: "A code is good once, within a minute, and only with the `code_verifier` of its challenge. A refresh token has a successor with every answer: sent again within 30 seconds it brings the same successor, so parallel requests lose nothing; sent after its successor was used it ends the grant. A machine, which an operator made, gets a token for itself with `client_credentials`, without a refresh token. Where the operator trusts a platform, its token about a program is a grant too (`jwt-bearer`, RFC 7523), and where he trusts a company, its identity assertion about a person (ID-JAG) from a client that proves itself; each is good once. An access token becomes a narrower one, for a sub-agent, by an exchange (RFC 8693). Where the operator allows that, an exchange makes an identity assertion (ID-JAG) of a refresh token: our word about the person, for one client, at one authorization server of somebody else. Sent twice, a parameter is refused.",
            group: PROTOCOL,
            headers: &[PROOF],
            form: &[
                Field {
                    name: "grant_type",
                    kind: OneOf(&[
                        "authorization_code",
                        "refresh_token",
                        "client_credentials",
                        "urn:ietf:params:oauth:grant-type:jwt-bearer",
                        TOKEN_EXCHANGE,
                        crate::device::GRANT_TYPE,
                    ]),
                    required: true,
                    text: "Which of them.",
                    example: "refresh_token",
                },
                Field {
                    name: "code",
                    kind: Text,
                    required: false,
                    text: "With `authorization_code`.",
                    example: "",
                },
                Field {
                    name: "redirect_uri",
                    kind: Uri,
                    required: false,
                    text: "With `authorization_code`: the same as in the authorization request, if it is sent.",
                    example: "http://127.0.0.1/callback",
                },
                Field {
                    name: "code_verifier",
                    kind: Text,
                    required: false,
                    text: "With `authorization_code` (RFC 7636).",
                    example: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
                },
                Field {
                    name: "refresh_token",
                    kind: Text,
                    required: false,
                    text: "With `refresh_token`.",
                    example: "",
                },
                Field {
                    name: "assertion",
                    kind: Text,
                    required: false,
                    text: "With `jwt-bearer`: the token of the platform, without client authentication beside it, or an identity assertion, with it; made out to this server alone.",
                    example: "",
                },
                Field {
                    name: "device_code",
                    kind: Text,
                    required: false,
                    text: "With the grant type of devices (RFC 8628).",
                    example: "",
                },
                Field {
                    name: "scope",
                    kind: Text,
                    required: false,
                    text: "With `refresh_token`: less than was granted, for this access token alone. With `client_credentials`: of what the machine may have. With an exchange: of what the subject token has.",
                    example: "read",
                },
                Field {
                    name: "subject_token",
                    kind: Text,
                    required: false,
                    text: "With an exchange: the access token that a narrower one is made of; for an identity assertion, a refresh token, which stays as it is.",
                    example: "",
                },
                Field {
                    name: "subject_token_type",
                    kind: OneOf(&[ACCESS_TOKEN, REFRESH_TOKEN]),
                    required: false,
                    text: "With an exchange.",
                    example: ACCESS_TOKEN,
                },
                Field {
                    name: "requested_token_type",
                    kind: OneOf(&[ACCESS_TOKEN, identity_assertion::TOKEN_TYPE]),
                    required: false,
                    text: "With an exchange: an access token, which is the default, or an identity assertion.",
                    example: ACCESS_TOKEN,
                },
                Field {
                    name: "audience",
                    kind: Uri,
                    required: false,
                    text: "With an exchange for an identity assertion: the issuer of the authorization server that it is for. With another exchange: the server of the subject token.",
                    example: "https://auth.partner.example",
                },
                Field {
                    name: "resource",
                    kind: Uris,
                    required: false,
                    text: "The resource of the grant (RFC 8707). With `client_credentials`: the server that the token is for, where the machine may use several. With an exchange for an identity assertion: the servers there.",
                    example: "https://auth.example/mcp",
                },
                CLIENT_ID,
                CLIENT_SECRET,
                CLIENT_ASSERTION_TYPE,
                CLIENT_ASSERTION,
            ],
            answers: &[Answer {
                status: 200,
                text: "Tokens. What was answered is on disk.",
                content: &[(JSON, Some(&schemas::TOKENS))],
                headers: &[
                    ("Cache-Control", "`no-store`."),
                    ("DPoP-Nonce", "For the next proof, where proofs have to carry a nonce."),
                ],
            }],
            security: &["", "clientSecretBasic"],
            ..Operation::NONE
        },
        codes: &[
            InvalidRequest,
            InvalidClient,
            InvalidGrant,
            AuthorizationPending,
            SlowDown,
            ExpiredToken,
            AccessDenied,
            InsufficientUserAuthentication,
            UnauthorizedClient,
            UnsupportedGrantType,
            InvalidScope,
            InvalidAuthorizationDetails,
            InvalidTarget,
            InvalidDpopProof,
            UseDpopNonce,
            TemporarilyUnavailable,
        ],
    }),
};

/// `/revoke`.
pub const REVOKE: Description = Description {
    get: None,
    post: Some(Described {
        operation: &Operation {
            id: "revoke",
            summary: "A client takes a token back (RFC 7009)",
            text: "The grant of the token ends, and every access token of it within a second. Of a machine's tokens the one that is presented ends. A token of somebody else, or none at all, changes nothing and looks the same.",
            group: PROTOCOL,
            form: &[TOKEN, HINT, CLIENT_ID, CLIENT_SECRET, CLIENT_ASSERTION_TYPE, CLIENT_ASSERTION],
            answers: &[Answer { status: 200, text: "Done, or nothing to do.", content: &[], headers: &[] }],
            security: &["", "clientSecretBasic"],
            ..Operation::NONE
        },
        codes: &[InvalidRequest, InvalidClient, TemporarilyUnavailable],
    }),
};

/// `/introspect`.
pub const INTROSPECT: Description = Description {
    get: None,
    post: Some(Described {
        operation: &Operation {
            id: "introspect",
            summary: "A protected server asks whether a token is alive (RFC 7662)",
            text: "Only for clients with a secret or a key which the operator named for a resource, and only about tokens of that resource.",
            group: PROTOCOL,
            form: &[TOKEN, HINT, CLIENT_ID, CLIENT_SECRET, CLIENT_ASSERTION_TYPE, CLIENT_ASSERTION],
            answers: &[Answer {
                status: 200,
                text: "What is known.",
                content: &[(JSON, Some(&schemas::INTROSPECTION))],
                headers: &[("Cache-Control", "`no-store`.")],
            }],
            security: &["clientSecretBasic", ""],
            ..Operation::NONE
        },
        codes: &[InvalidRequest, InvalidClient, TemporarilyUnavailable],
    }),
};
