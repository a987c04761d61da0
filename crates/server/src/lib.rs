//! The authorization server of hallpass: OAuth 2.1 for MCP, as one axum router.
//!
//! Start reading at [`router`], the one table of routes. The story of an authorization is `authorize`, then `token`.
//! The server sees the store only through its traits, and makes no outbound request but through `fetch`.

mod account;
mod admin;
pub mod app;
pub mod audit;
mod authorize;
mod cidr;
mod clients;
mod clock;
pub mod connections;
pub mod cross_domain;
mod cx;
mod describe;
mod device;
pub mod feed;
mod http;
mod introspect;
pub mod issuers;
pub mod keys;
mod login;
mod metadata;
pub mod metrics;
mod pages;
mod register;
mod revoke;
pub mod router;
pub mod settings;
mod sweep;
mod token;
pub mod upstream_token;

pub use admin::admin_router;
pub use app::{App, Live, Parts, StartError};
pub use cidr::{Cidr, NotCidr};
pub use clients::{
    blocked, initial_access,
    life::DocumentLife,
    operator::{
        ClientRecord, EXCHANGE_LIFETIME, MAX_SECRETS, Machine, OperatorClient, OperatorClientError,
        TOKEN_EXCHANGE, digest_of_secret,
    },
    registered::{is_registration, master_key_of as master_key_of_client},
};
pub use clock::SteadyClock;
pub use cx::{Cx, address as caller_address};
pub use feed::follow;
pub use http::rate_limit::Limits;
pub use keys::follow_keys;
pub use login::{
    invitation::{OneTimeLink, invitation_link},
    password::{fold as fold_name, name_complaint},
    providers::{
        settings::{Accounts, Says, SignInProvider, SignInProviderError, SignInSettings, WrittenProvider},
        watch::{AskedAgain, ask_again, ask_again_forever},
    },
    second_factor::{reseal_one as reseal_second_factor, rules::SecondFactorPolicy},
    setup::{new_setup_link, setup_link},
};
pub use pages::of_server as page_of_server;
pub use router::{own_paths, router};
pub use settings::{
    DocumentPolicy, KeySettings, OFFLINE_ACCESS, ProofSettings, RefreshPolicy, RegistrationPolicy, Resource,
    ScopeEntry, Settings, SettingsError,
};
pub use sweep::{sweep, sweep_forever, sweep_once};
