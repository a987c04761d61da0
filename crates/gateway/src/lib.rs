//! The gateway: stands in front of MCP servers, lets authorized calls through and nothing else back.
//!
//! ```text
//! admit → message → tools → credentials → upstream → headers, stream
//! ```
//!
//! `upstream::send` takes `Authorized<Call>`: it cannot be reached without a verified token and a scope check, and
//! what it sends is written from the call. The received bytes and headers go nowhere.
//!
//! | to read | file |
//! |---|---|
//! | what an operator sets, and what is refused at start | [`config`] |
//! | every route | `router` |
//! | one call, from top to bottom | `forward` |
//! | who may speak to us at all, and who without a token | `admit`, `anonymous` |
//! | what is asked | `message`, `session`, `handles` |
//! | what it takes, and for whom | `tools`, `rules`, `explain` |
//! | how often, and how many streams | `traffic` |
//! | how more scope is asked for, by which name | `challenge`, `trust` |
//! | what of it is shown | `lists`, `events` |
//! | whose account it is asked with, and how a person is told to connect one | `person`, `connect` |
//! | with a token that its own authorization server gives for whoever calls | `on_behalf` |
//! | what the upstream sees | `credentials`, `assertion`, `upstream_credential`, `upstream/` |
//! | servers on stdio: sessions, processes, their end | `upstream/stdio/` |
//! | what the client sees, and who opens the address in a browser | `headers`, `stream`, `refuse`, `browser` |
//! | what the operator sees | `audit`, `span` |
//! | what is said of the routes in `/openapi.json` | `describe` |
//! | an MCP server to try it with | [`demo`] |

mod admit;
mod anonymous;
mod assertion;
mod audit;
mod browser;
mod challenge;
pub mod config;
mod connect;
mod credentials;
pub mod demo;
mod describe;
mod events;
mod explain;
mod forward;
mod handles;
mod headers;
mod lists;
mod message;
mod on_behalf;
mod person;
mod recorded;
mod refuse;
mod router;
mod rules;
pub mod session;
mod span;
mod stream;
mod tools;
mod traffic;
mod trust;
mod upstream;
mod upstream_credential;

pub use assertion::{CALLER, SignsCallers};
pub use audit::{CallLog, CallOutcome, CallRecord, CallerAddress};
pub use challenge::{ChallengeStyle, StyleFor};
pub use config::{
    BrowserPage, CallerLimits, Callers, ChallengeScopes, ConfigError, GatewayConfig, Group, HttpServer,
    Limits, Members, Policy, ProtectedServer, Rule, StdioCommand, StdioLimits, Unlisted, Upstream,
    check_path,
};
pub use describe::describe;
pub use explain::{Explanation, Question, RuleStands, explain};
pub use on_behalf::CallerCredentials;
pub use person::{CredentialAnswer, NoCredential, PersonCredentials};
pub use recorded::RecordedArguments;
pub use router::{Answering, CallPaths, Gateway, Processes, restart, router, start};
pub use session::{KeyRingSealer, Principal, SessionSealer};
pub use span::{Span, SpanId, Tracing};
pub use upstream_credential::{HeaderFault, SecretHeader, UpstreamCredential};
