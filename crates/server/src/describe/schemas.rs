//! Shapes of what the server takes and answers. `tests/e2e/openapi.test.mjs` holds real answers against them, and refuses
//! a member that is not here.

use hallpass_core::{error::ErrorCode, openapi::Schema};
use serde_json::{Map, Value, json};

/// RFC 6749 §5.2.
pub static REFUSAL: Schema = Schema {
    name: "Refusal",
    json: || {
        json!({
            "type": "object",
            "description": "A refusal (RFC 6749 §5.2). The description is fixed text: nothing of the request is in it.",
            "required": ["error"],
            "properties": {
                "error": { "type": "string", "enum": ErrorCode::ALL.map(ErrorCode::name) },
                "error_description": { "type": "string" },
                "max_age": { "type": "integer", "description": "With `insufficient_user_authentication`: how many seconds ago a sign-in may have been (RFC 9470)." },
            },
            "examples": [{
                "error": "invalid_grant",
                "error_description": "the grant has ended: sign in again",
            }],
        })
    },
};

/// RFC 6749 §5.1.
pub static TOKENS: Schema = Schema {
    name: "Tokens",
    json: || {
        json!({
            "type": "object",
            "description": "RFC 6749 §5.1.",
            "required": ["access_token", "token_type", "expires_in", "scope"],
            "properties": {
                "access_token": { "type": "string", "description": "A signed JWT (RFC 9068) for one resource; of an exchange for an identity assertion, that assertion, which is no access token." },
                "token_type": { "enum": ["Bearer", "DPoP", "N_A"] },
                "issued_token_type": { "type": "string", "description": "Of an exchange: whether it is an access token or an identity assertion (RFC 8693 §2.2.1)." },
                "expires_in": { "type": "integer", "minimum": 0, "description": "Seconds." },
                "refresh_token": { "type": "string", "description": "The next one; the one before it is spent." },
                "scope": { "type": "string" },
                "authorization_details": details(),
            },
            "examples": [{
                "access_token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.e30.c2lnbmF0dXJl",
                "token_type": "Bearer",
                "expires_in": 600,
                "refresh_token": "hp_rt_example",
                "scope": "read offline_access",
            }],
        })
    },
};

/// RFC 9396 §7, §9.2.
fn details() -> Value {
    json!({
        "type": "array",
        "description": "The only tools that the token is for, and what their arguments have to be (RFC 9396). Without it, all that the scope allows.",
        "items": {
            "type": "object",
            "required": ["type", "tool"],
            "properties": {
                "type": { "const": "mcp_tool" },
                "tool": { "type": "string" },
                "arguments": { "type": "object", "description": "Conditions by argument." },
            },
        },
    })
}

/// RFC 7591 §2.
pub static REGISTRATION: Schema = Schema {
    name: "Registration",
    json: || {
        json!({
            "type": "object",
            "description": "What a client says of itself (RFC 7591 §2). Members that are not named here are ignored; `software_statement` is refused. `redirect_uris` are needed with `authorization_code`.",
            "properties": client_members(),
            "examples": [{
                "client_name": "Example",
                "redirect_uris": ["http://127.0.0.1/callback"],
                "grant_types": ["authorization_code", "refresh_token"],
                "token_endpoint_auth_method": "none",
            }],
        })
    },
};

/// RFC 7591 §3.2.1.
pub static REGISTERED: Schema = Schema {
    name: "Registered",
    json: || {
        let mut members = client_members();
        for (name, shape) in [
            ("client_id", json!({ "type": "string", "description": "Never expires." })),
            ("client_id_issued_at", seconds()),
            ("client_secret", json!({ "type": "string", "description": "Where the method needs one." })),
            (
                "client_secret_expires_at",
                json!({ "type": "integer", "minimum": 0, "description": "0: never." }),
            ),
        ] {
            members.insert(name.into(), shape);
        }
        json!({
            "type": "object",
            "description": "What was really registered (RFC 7591 §3.2.1); it may differ from what was asked.",
            "required": ["client_id", "grant_types", "token_endpoint_auth_method"],
            "properties": members,
        })
    },
};

fn client_members() -> Map<String, Value> {
    let mut members = Map::new();
    for (name, shape) in [
        (
            "redirect_uris",
            json!({
                "type": "array",
                "items": { "type": "string" },
                "maxItems": 15,
                "description": "https, http on the person's own computer, or a scheme of the app's own.",
            }),
        ),
        ("client_name", json!({ "type": "string", "maxLength": 1024 })),
        (
            "grant_types",
            list(
                "`authorization_code`, `urn:ietf:params:oauth:grant-type:device_code` for a device without a browser, and `refresh_token` to stay signed in.",
            ),
        ),
        ("response_types", list("`code`.")),
        (
            "token_endpoint_auth_method",
            json!({ "type": "string", "enum": ["none", "client_secret_basic", "client_secret_post"] }),
        ),
        ("application_type", json!({ "type": "string", "enum": ["native", "web"] })),
        ("require_pushed_authorization_requests", json!({ "type": "boolean" })),
    ] {
        members.insert(name.into(), shape);
    }
    members
}

/// RFC 7662 §2.2.
pub static INTROSPECTION: Schema = Schema {
    name: "Introspection",
    json: || {
        json!({
            "type": "object",
            "description": "RFC 7662 §2.2. A token that is not alive, not for this caller, or none at all: `active` is false and nothing else is said.",
            "required": ["active"],
            "properties": {
                "active": { "type": "boolean" },
                "iss": uri("The issuer."),
                "sub": { "type": "string" },
                "aud": uri("The resource."),
                "client_id": { "type": "string" },
                "scope": { "type": "string" },
                "exp": seconds(),
                "iat": seconds(),
                "jti": { "type": "string" },
                "token_type": { "enum": ["Bearer", "DPoP"] },
                "cnf": {
                    "type": "object",
                    "description": "RFC 9449 §6.2: take the token with a proof of this key only.",
                    "properties": { "jkt": { "type": "string" } },
                },
                "authorization_details": details(),
            },
            "examples": [{ "active": false }],
        })
    },
};

/// RFC 8628 §3.2.
pub static DEVICE_AUTHORIZATION: Schema = Schema {
    name: "DeviceAuthorization",
    json: || {
        json!({
            "type": "object",
            "description": "RFC 8628 §3.2.",
            "required": ["device_code", "user_code", "verification_uri", "expires_in"],
            "properties": {
                "device_code": { "type": "string", "description": "A secret of the device." },
                "user_code": { "type": "string", "description": "To be shown: eight letters and a hyphen." },
                "verification_uri": uri("To be shown: where the letters are typed."),
                "verification_uri_complete": uri("The same with the letters in it, for a QR code."),
                "expires_in": { "type": "integer", "description": "Seconds." },
                "interval": { "type": "integer", "description": "Seconds between two polls." },
            },
            "examples": [{
                "device_code": "AQBz",
                "user_code": "WDJB-MJHT",
                "verification_uri": "https://auth.example/device",
                "verification_uri_complete": "https://auth.example/device?user_code=WDJB-MJHT",
                "expires_in": 600,
                "interval": 5,
            }],
        })
    },
};

/// RFC 9126 §2.2.
pub static PUSHED: Schema = Schema {
    name: "Pushed",
    json: || {
        json!({
            "type": "object",
            "description": "RFC 9126 §2.2.",
            "required": ["request_uri", "expires_in"],
            "properties": {
                "request_uri": { "type": "string", "format": "uri", "maxLength": hallpass_core::grant::MAX_REQUEST_URI },
                "expires_in": { "type": "integer", "minimum": 5, "maximum": 600, "description": "Seconds." },
            },
            "examples": [{ "request_uri": "urn:ietf:params:oauth:request_uri:AQBz", "expires_in": 90 }],
        })
    },
};

/// RFC 7517 §5.
pub static KEYS: Schema = Schema {
    name: "Keys",
    json: || {
        json!({
            "type": "object",
            "description": "Public keys (RFC 7517 §5): also the next one, before it signs, and old ones while their tokens live.",
            "required": ["keys"],
            "properties": { "keys": { "type": "array", "minItems": 1, "items": {
                "type": "object",
                "required": ["kty", "kid", "alg", "use"],
                "properties": {
                    "kty": { "type": "string", "enum": ["EC", "OKP", "RSA"] },
                    "kid": { "type": "string" },
                    "alg": { "type": "string" },
                    "use": { "const": "sig" },
                    "crv": { "type": "string" },
                    "x": { "type": "string" },
                    "y": { "type": "string" },
                    "n": { "type": "string" },
                    "e": { "type": "string" },
                },
            } } },
        })
    },
};

/// RFC 8414 §2.
pub static METADATA: Schema = Schema {
    name: "AuthorizationServerMetadata",
    json: || {
        let mut members = Map::new();
        for name in [
            "issuer",
            "authorization_endpoint",
            "token_endpoint",
            "registration_endpoint",
            "revocation_endpoint",
            "introspection_endpoint",
            "pushed_authorization_request_endpoint",
            "device_authorization_endpoint",
            "jwks_uri",
        ] {
            members.insert(name.into(), json!({ "type": "string", "format": "uri" }));
        }
        for name in [
            "scopes_supported",
            "response_types_supported",
            "response_modes_supported",
            "grant_types_supported",
            "token_endpoint_auth_methods_supported",
            "token_endpoint_auth_signing_alg_values_supported",
            "revocation_endpoint_auth_methods_supported",
            "revocation_endpoint_auth_signing_alg_values_supported",
            "introspection_endpoint_auth_methods_supported",
            "introspection_endpoint_auth_signing_alg_values_supported",
            "code_challenge_methods_supported",
            "dpop_signing_alg_values_supported",
            "authorization_details_types_supported",
            "protected_resources",
            "subject_types_supported",
            "id_token_signing_alg_values_supported",
        ] {
            members.insert(name.into(), json!({ "type": "array", "items": { "type": "string" } }));
        }
        for name in [
            "authorization_response_iss_parameter_supported",
            "client_id_metadata_document_supported",
            "require_pushed_authorization_requests",
        ] {
            members.insert(name.into(), json!({ "type": "boolean" }));
        }
        json!({
            "type": "object",
            "description": "RFC 8414 §2. An endpoint that is not served is not named.",
            "required": [
                "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported",
                "code_challenge_methods_supported",
            ],
            "properties": members,
        })
    },
};

/// Whether requests should come here, and why not.
pub static READY: Schema = Schema {
    name: "Ready",
    json: || {
        json!({
            "type": "object",
            "required": ["ready", "reasons"],
            "properties": {
                "ready": { "type": "boolean" },
                "reasons": { "type": "array", "items": { "type": "string" } },
            },
            "examples": [{ "ready": true, "reasons": [] }],
        })
    },
};

/// The process answers.
pub static LIVE: Schema = Schema {
    name: "Live",
    json: || json!({ "type": "object", "required": ["live"], "properties": { "live": { "const": true } } }),
};

/// The document itself.
pub static OPENAPI: Schema = Schema {
    name: "OpenApi",
    json: || json!({ "type": "object", "required": ["openapi"], "properties": { "openapi": { "const": "3.1.0" } }, "description": "OpenAPI 3.1: this document." }),
};

fn list(text: &str) -> Value {
    json!({ "type": "array", "items": { "type": "string" }, "description": text })
}

fn uri(text: &str) -> Value {
    json!({ "type": "string", "format": "uri", "description": text })
}

fn seconds() -> Value {
    json!({ "type": "integer", "minimum": 0, "description": "Seconds since 1970." })
}
