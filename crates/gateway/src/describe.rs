//! What a protected server's paths take and answer, for the description of the whole surface. `router` serves these and
//! no others.

use hallpass_core::openapi::{Answer, Field, Kind::Text, Method, Operation, Path, Schema};
use hallpass_resource::metadata;
use serde_json::json;

const JSON: &str = "application/json";
const GROUP: &str = "gateway";

static ERROR: Schema = Schema {
    name: "JsonRpcError",
    json: || {
        json!({
            "type": "object",
            "description": "A JSON-RPC error of the gateway. What the upstream is and does is for the operator's log.",
            "required": ["jsonrpc", "error"],
            "properties": {
                "jsonrpc": { "const": "2.0" },
                "id": { "type": ["string", "number", "null"] },
                "error": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": { "code": { "type": "integer" }, "message": { "type": "string" }, "data": {} },
                },
            },
        })
    },
};

static MESSAGE: Schema = Schema {
    name: "JsonRpcMessage",
    json: || {
        json!({
            "type": "object",
            "description": "One message of MCP: a request, a notification or a response. Batches are not accepted.",
            "required": ["jsonrpc"],
            "properties": {
                "jsonrpc": { "const": "2.0" },
                "id": { "type": ["string", "number"] },
                "method": { "type": "string" },
                "params": { "type": "object" },
                "result": {},
                "error": { "type": "object" },
            },
            "examples": [{ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }],
        })
    },
};

static DOCUMENT: Schema = Schema {
    name: "ProtectedResourceMetadata",
    json: || {
        let list = json!({ "type": "array", "items": { "type": "string" } });
        json!({
            "type": "object",
            "description": "RFC 9728 §2.",
            "required": ["resource", "authorization_servers"],
            "properties": {
                "resource": { "type": "string", "format": "uri" },
                "authorization_servers": list,
                "scopes_supported": list,
                "bearer_methods_supported": list,
                "resource_name": { "type": "string" },
                "authorization_details_types_supported": list,
                "dpop_signing_alg_values_supported": list,
                "dpop_bound_access_tokens_required": { "type": "boolean" },
            },
        })
    },
};

const SESSION: Field = Field {
    name: "Mcp-Session-Id",
    kind: Text,
    required: false,
    text: "Of the answer to `initialize`, in the revisions that have sessions.",
    example: "",
};
const VERSION: Field = Field {
    name: "MCP-Protocol-Version",
    kind: Text,
    required: false,
    text: "The revision that was agreed on.",
    example: "2025-11-25",
};

const PROOF: Field = Field {
    name: "DPoP",
    kind: Text,
    required: false,
    text: "With a token that is bound to a key (`Authorization: DPoP`): the proof of that key for this request and token (RFC 9449 §7.1).",
    example: "",
};

const REFUSED: &[(&str, Option<&Schema>)] = &[(JSON, Some(&ERROR))];

const fn error(status: u16, text: &'static str) -> Answer {
    Answer { status, text, content: REFUSED, headers: &[] }
}

const CHALLENGE: &[(&str, &str)] = &[
    (
        "WWW-Authenticate",
        "`Bearer` with `resource_metadata`, and `scope` with all that the call takes; `DPoP` with `algs` for whoever presents a bound token.",
    ),
    ("DPoP-Nonce", "For the next proof, where proofs have to carry a nonce."),
];
const NO_TOKEN: Answer = Answer {
    status: 401,
    text: "No token, or none that is good here at this moment. A browser without one, which asks for `text/html`, gets a page.",
    content: REFUSED,
    headers: CHALLENGE,
};
const NOT_ALLOWED: Answer = Answer {
    status: 403,
    text: "More scope is needed (with a challenge), or no scope allows it to this caller with these arguments.",
    content: REFUSED,
    headers: CHALLENGE,
};
const NO_SESSION: Answer = error(404, "No such session: initialize a new one.");
const GATEWAY: Answer = error(502, "The MCP server cannot be reached, or its answer cannot be passed on.");
const LATER: Answer = Answer {
    status: 503,
    text: "The MCP server has crashed several times, or no further session can be opened now.",
    content: REFUSED,
    headers: &[("Retry-After", "Seconds to wait.")],
};
const TOO_MANY: Answer = Answer {
    status: 429,
    text: "Too many calls of this person or machine, or too many requests or streams at a time.",
    content: REFUSED,
    headers: &[("Retry-After", "Seconds to wait.")],
};
const SLOW: Answer = error(504, "The MCP server did not answer in time.");

static CALL: Operation = Operation {
    id: "call",
    summary: "One message to the MCP server",
    text: "The message is checked, written anew and passed on without the token. What the answer is, the MCP server says. Where rules open something to anybody, that takes no token.",
    group: GROUP,
    headers: &[SESSION, VERSION, PROOF],
    body: Some(&MESSAGE),
    answers: &[
        Answer {
            status: 200,
            text: "The answer, or a stream of events that ends with it.",
            content: &[(JSON, Some(&MESSAGE)), ("text/event-stream", None)],
            headers: &[("Mcp-Session-Id", "With the answer to `initialize`, where there are sessions.")],
        },
        Answer { status: 202, text: "Taken; there is nothing to answer.", content: &[], headers: &[] },
        error(400, "Not a message that is accepted here; the code says which rule."),
        NO_TOKEN,
        NOT_ALLOWED,
        NO_SESSION,
        error(408, "The message was not received in time."),
        error(413, "The message is too long."),
        error(415, "Content-Type must be application/json."),
        TOO_MANY,
        GATEWAY,
        LATER,
        SLOW,
    ],
    security: &["accessToken"],
    ..Operation::NONE
};

static LISTEN: Operation = Operation {
    id: "listen",
    summary: "A stream of what the MCP server has to say",
    group: GROUP,
    headers: &[SESSION, VERSION, PROOF],
    answers: &[
        Answer {
            status: 200,
            text: "Events, until the token or its grant ends.",
            content: &[("text/event-stream", None)],
            headers: &[],
        },
        NO_TOKEN,
        NOT_ALLOWED,
        NO_SESSION,
        error(405, "The MCP server has no such stream."),
        TOO_MANY,
        GATEWAY,
        LATER,
        SLOW,
    ],
    security: &["accessToken"],
    ..Operation::NONE
};

static END: Operation = Operation {
    id: "endSession",
    summary: "Ends a session",
    group: GROUP,
    headers: &[SESSION, VERSION, PROOF],
    answers: &[
        Answer {
            status: 200,
            text: "Ended; what is said of it is the MCP server's.",
            content: &[],
            headers: &[],
        },
        NO_TOKEN,
        NOT_ALLOWED,
        NO_SESSION,
        TOO_MANY,
        GATEWAY,
        SLOW,
    ],
    security: &["accessToken"],
    ..Operation::NONE
};

static METADATA: Operation = Operation {
    id: "protectedResourceMetadata",
    summary: "What the protected server says about itself (RFC 9728)",
    group: GROUP,
    answers: &[Answer {
        status: 200,
        text: "The document.",
        content: &[(JSON, Some(&DOCUMENT))],
        headers: &[("Cache-Control", "For how long it may be kept.")],
    }],
    ..Operation::NONE
};

/// What is served at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serves {
    /// MCP.
    Mcp,
    /// The metadata document.
    Metadata,
}

/// Every path of the gateway, whose it is (by position) and what is there. The router has these and no others.
pub(crate) fn paths<'a>(servers: impl ExactSizeIterator<Item = &'a str>) -> Vec<(String, usize, Serves)> {
    let only_one = servers.len() == 1;
    let mut all = Vec::new();
    for (at, path) in servers.enumerate() {
        all.push((path.to_owned(), at, Serves::Mcp));
        all.push((metadata::path(path), at, Serves::Metadata));
        if only_one {
            // Clients of the older revisions ask at the root only (RS-001).
            all.push((metadata::path(""), at, Serves::Metadata));
        }
    }
    all
}

/// The paths of servers with these names and paths, described.
#[must_use]
pub fn describe(servers: &[(&str, &str)]) -> Vec<Path> {
    let paths = paths(servers.iter().map(|(_, path)| *path));
    let described = paths.into_iter().enumerate().map(|(nth, (path, at, serves))| {
        let name = servers.get(at).map_or("", |(name, _)| name);
        let method = |verb, operation: &'static Operation| Method {
            name: verb,
            // One server may have its document at two places.
            id: format!("{}-{name}-{nth}", operation.id),
            operation,
            refusals: Vec::new(),
            pages: Vec::new(),
        };
        let methods = match serves {
            Serves::Mcp => vec![method("post", &CALL), method("get", &LISTEN), method("delete", &END)],
            Serves::Metadata => vec![method("get", &METADATA)],
        };
        Path { path, methods, listener: None }
    });
    described.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_its_paths_and_every_operation_a_name_of_its_own() {
        let one = describe(&[("demo", "/mcp")]);
        let paths: Vec<&str> = one.iter().map(|path| &*path.path).collect();
        let document = "/.well-known/oauth-protected-resource";
        assert_eq!(paths, ["/mcp", &format!("{document}/mcp"), document]);
        let two = describe(&[("a", "/a"), ("b", "/b")]);
        assert!(!two.iter().any(|path| path.path == document), "the root is nobody's where there are two");
        let mut ids: Vec<&str> =
            one.iter().chain(&two).flat_map(|path| &path.methods).map(|method| &*method.id).collect();
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((all, ids.len()), (13, 13));
    }
}
