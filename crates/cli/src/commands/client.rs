//! `hallpass client`: clients that the operator makes, those that the operator does not want, and who may register.

mod blocks;

use super::place::{Place, PlaceArgs};
use crate::{config, output::note, say};
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use hallpass_client::device::DEVICE_CODE;
use hallpass_core::{
    encoding,
    entropy::{self, SystemEntropy},
    secret::SecretString,
};
use hallpass_server::{
    ClientRecord, MAX_SECRETS, OperatorClient, OperatorClientError, TOKEN_EXCHANGE, audit::Event,
    digest_of_secret, initial_access,
};
use hallpass_store::StoredClient;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

/// `hallpass client`.
#[derive(Subcommand, Debug)]
pub enum ClientCommand {
    /// Make a client and print its id, and its secret once.
    Add(AddArgs),
    /// List the clients that were made with `client add`.
    List {
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Show one of them as JSON.
    Show {
        /// Its client id.
        id: String,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Remove one: it gets no more tokens, and those that it has end within a second.
    Remove {
        /// Its client id.
        id: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Print a new secret. The one before stays good until the next call, so that the client can change over.
    RotateSecret {
        /// Its client id.
        id: String,
        /// End the secret before at once.
        #[arg(long)]
        only_new: bool,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Give a client with `private_key_jwt` other public keys. A set may hold the old and the new one while it changes over.
    SetKeys {
        /// Its client id.
        id: String,
        /// A file with its public keys.
        #[arg(long, value_name = "FILE", required_unless_present = "jwks_uri")]
        jwks_file: Option<PathBuf>,
        /// The address of its public keys.
        #[arg(long, value_name = "URL", conflicts_with = "jwks_file")]
        jwks_uri: Option<String>,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Refuse a client, a host, or redirect URIs: within a second on every node.
    Block {
        #[command(flatten)]
        what: blocks::What,
        /// Why, for whoever reads the list.
        #[arg(long, default_value = "")]
        note: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Lift a block.
    Unblock {
        #[command(flatten)]
        what: blocks::What,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List what is blocked.
    Blocks {
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Print an initial access token, with which clients may register where `[clients] registration = "token"`.
    Token {
        /// How long it is good, such as 30d.
        #[arg(long, value_name = "TIME", default_value = "7d")]
        valid: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// `hallpass client add`.
#[derive(Args, Debug)]
#[command(after_help = "\
A client for people:
  hallpass client add --name Reports --redirect-uri https://reports.example.com/callback --auth client_secret_basic
A device without a browser, which shows a code:
  hallpass client add --name Television --device
A machine, which gets tokens for itself (client_credentials) and for nobody:
  hallpass client add --name Nightly --machine --scopes read --resource https://mcp.example.com/calendar
The same with a key in place of a secret:
  hallpass client add --name Nightly --machine --scopes read --auth private_key_jwt --jwks-file nightly.jwks
A sub-agent, which acts with narrower tokens in place of those that an agent was given:
  hallpass client add --name Researcher --auth client_secret_basic --exchange-from https://agent.example.com/client.json --exchange-lifetime 2m")]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct AddArgs {
    /// Its client id. Without it, one is made.
    #[arg(long)]
    id: Option<String>,
    /// Its name, for people.
    #[arg(long)]
    name: String,
    /// Where answers may go; more than once for several.
    #[arg(long = "redirect-uri", value_name = "URI")]
    redirect_uris: Vec<String>,
    /// A vendor's rule in place of a redirect URI, such as chatgpt-connector.
    #[arg(long = "redirect-rule", value_name = "RULE")]
    redirect_rules: Vec<String>,
    /// none, `client_secret_basic`, `client_secret_post` or `private_key_jwt`. Without it none; for a machine
    /// `client_secret_basic`.
    #[arg(long)]
    auth: Option<String>,
    /// It works by itself and for nobody: it gets tokens with `client_credentials`, within --scopes and --resource.
    #[arg(long, requires = "scopes", conflicts_with_all = ["redirect_uris", "redirect_rules", "no_refresh"])]
    machine: bool,
    /// A server that a machine may use, by its URL; more than once for several. Without it, the only one that there is.
    #[arg(long = "resource", value_name = "URL", requires = "machine")]
    resources: Vec<String>,
    /// It may exchange tokens that it was given for narrower ones.
    #[arg(long)]
    exchange: bool,
    /// It may exchange those of this client too, by its id; more than once for several.
    #[arg(long, value_name = "CLIENT")]
    exchange_from: Vec<String>,
    /// What it gets by exchange lives so long at most, such as 2m, and never longer than what it gave for it.
    #[arg(long, value_name = "TIME")]
    exchange_lifetime: Option<String>,
    /// A file with its public keys, for `private_key_jwt`.
    #[arg(long, value_name = "FILE", conflicts_with = "jwks_uri")]
    jwks_file: Option<PathBuf>,
    /// The address of its public keys, for `private_key_jwt`.
    #[arg(long, value_name = "URL")]
    jwks_uri: Option<String>,
    /// All scopes that it can ever get, separated by spaces. Without it, whatever a person allows.
    #[arg(long)]
    scopes: Option<String>,
    /// Let it ask from devices without a browser (RFC 8628). Without a redirect URI it can do only that.
    #[arg(long, conflicts_with = "machine")]
    device: bool,
    /// Answer only authorization requests that it pushed before (RFC 9126).
    #[arg(long)]
    require_pushed: bool,
    /// Give it tokens only that are bound to a key of its own (DPoP): without that key they are of no use.
    #[arg(long)]
    bound_tokens: bool,
    /// Give it no refresh tokens.
    #[arg(long)]
    no_refresh: bool,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Runs it.
pub async fn run(command: ClientCommand) -> anyhow::Result<ExitCode> {
    match command {
        ClientCommand::Add(args) => add(args).await?,
        ClientCommand::List { json, place } => list(&place.open().await?, json).await?,
        ClientCommand::Show { id, place } => {
            let client = existing(&place.open().await?, &id).await?;
            say!("{}", serde_json::to_string_pretty(&shown(&client)?)?);
        }
        ClientCommand::Remove { id, json, place } => remove(&place.open().await?, &id, json).await?,
        ClientCommand::RotateSecret { id, only_new, json, place } => {
            rotate(&place.open().await?, &id, only_new, json).await?;
        }
        ClientCommand::SetKeys { id, jwks_file, jwks_uri, json, place } => {
            set_keys(&place.open().await?, &id, jwks_file.as_deref(), jwks_uri).await?;
            if json {
                say!("{}", serde_json::json!({ "client_id": id }));
            }
        }
        ClientCommand::Block { what, note, json, place } => {
            blocks::block(&place.open().await?, &what, note, json).await?;
        }
        ClientCommand::Unblock { what, json, place } => {
            blocks::unblock(&place.open().await?, &what, json).await?;
        }
        ClientCommand::Blocks { json, place } => blocks::list(&place.open().await?, json).await?,
        ClientCommand::Token { valid, json, place } => token(&place.open().await?, &valid, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn add(args: AddArgs) -> anyhow::Result<()> {
    let (grant_types, exchanges) = (grant_types(&args), exchanges(&args));
    let place = args.place.open().await?;
    let random = || encoding::base64url(&entropy::random::<12>(&SystemEntropy));
    let id = args.id.unwrap_or_else(|| format!("hpo_{}", random()));
    let usual = if args.machine { "client_secret_basic" } else { "none" };
    let auth = args.auth.unwrap_or_else(|| usual.to_owned());
    let secret = auth.starts_with("client_secret_").then(new_secret);
    let jwks = args.jwks_file.as_deref().map(key_set).transpose()?;
    let record = ClientRecord {
        name: args.name,
        redirect_uris: args.redirect_uris,
        redirect_rules: args.redirect_rules,
        auth,
        secrets: secret.iter().filter_map(digest_of_secret).collect(),
        jwks,
        jwks_uri: args.jwks_uri,
        grant_types,
        dpop_bound_access_tokens: args.bound_tokens,
        scopes: args.scopes.map(|text| text.split_whitespace().map(str::to_owned).collect()),
        resources: (!args.resources.is_empty()).then_some(args.resources),
        require_pushed_authorization_requests: args.require_pushed,
        exchange_from: exchanges.then_some(args.exchange_from),
        exchange_lifetime: args
            .exchange_lifetime
            .as_deref()
            .map(length_of_time)
            .transpose()?
            .map(|it| it.as_secs()),
    };
    if id.starts_with("https://") {
        bail!("a client with the URL of its document as its id belongs into the configuration: [[client]]");
    }
    let checked = OperatorClient::new(&id, &record).map_err(in_flags)?;
    if place.settings.is_workload(&id) {
        bail!("there is a workload {id:?} in the configuration already: give the client another --id");
    }
    if let Some(machine) = checked.machine()
        && let Err(complaint) = config::servers_of_machine(machine, &place.settings.resources)
    {
        bail!("{complaint}: name them with --resource");
    }
    let named = record.scopes.as_deref().unwrap_or_default();
    if let Err((complaint, fix)) = config::scopes_of_servers(named, &place.settings.resources) {
        bail!("{complaint}: {fix}, with --scopes");
    }
    let body = serde_json::to_string(&record)?;
    let client = StoredClient { id: id.clone(), version: 1, created_at: place.now, body };
    if !place.store.client_create(client, place.tokens_until()).await? {
        bail!("there is a client {id:?} already: `hallpass client show {id}` shows it");
    }
    place.record(&[Event::client_added(&id, &record.name)]).await?;
    let secret = secret.as_ref().map(SecretString::expose);
    if args.json {
        let made = serde_json::json!({ "client_id": id, "client_secret": secret });
        say!("{}", serde_json::to_string_pretty(&made)?);
    } else {
        say!("client_id      {id}");
        if let Some(secret) = secret {
            say!("client_secret  {secret}");
        }
    }
    if secret.is_some() {
        note("Keep the secret now: only its digest is kept here, and it is not shown again.");
    }
    Ok(())
}

fn length_of_time(text: &str) -> anyhow::Result<Duration> {
    let length = config::length_of_time(text);
    length.with_context(|| {
        format!("{text:?} is not a length of time: write a number with s, m, h or d, such as 30d")
    })
}

fn key_set(path: &Path) -> anyhow::Result<serde_json::Value> {
    let text = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", path.display()))
}

async fn set_keys(
    place: &Place,
    id: &str,
    file: Option<&Path>,
    jwks_uri: Option<String>,
) -> anyhow::Result<()> {
    let client = existing(place, id).await?;
    let record: ClientRecord = serde_json::from_str(&client.body)?;
    let record = ClientRecord { jwks: file.map(key_set).transpose()?, jwks_uri, ..record };
    OperatorClient::new(id, &record)?;
    change(place, client, &record).await?;
    place.record(&[Event::client_secret_changed(id)]).await?;
    note("From now on only these keys sign for it.");
    Ok(())
}

async fn change(place: &Place, client: StoredClient, record: &ClientRecord) -> anyhow::Result<()> {
    let changed = StoredClient { body: serde_json::to_string(record)?, ..client };
    if !place.store.client_change(changed).await? {
        bail!("somebody else changed this client at the same moment: nothing was done, try again");
    }
    Ok(())
}

fn exchanges(args: &AddArgs) -> bool {
    args.exchange || !args.exchange_from.is_empty()
}

fn grant_types(args: &AddArgs) -> Vec<String> {
    let exchanges = exchanges(args);
    let for_people = !(args.redirect_uris.is_empty() && args.redirect_rules.is_empty());
    // A device or a sub-agent alone has nowhere to answer.
    let code = !args.machine && (for_people || !(args.device || exchanges));
    let types = [
        (args.machine, "client_credentials"),
        (code, "authorization_code"),
        (args.device, DEVICE_CODE),
        (!args.no_refresh && (code || args.device), "refresh_token"),
        (exchanges, TOKEN_EXCHANGE),
    ];
    types.into_iter().filter(|(wanted, _)| *wanted).map(|(_, name)| name.to_owned()).collect()
}

fn new_secret() -> SecretString {
    SecretString::new(format!("hps_{}", encoding::base64url(&entropy::random::<32>(&SystemEntropy))))
}

/// A complaint about a client, in the words of the command line where those of the configuration are others.
fn in_flags(error: OperatorClientError) -> anyhow::Error {
    let pairs = [
        (
            OperatorClientError::NoRedirects,
            "there is no redirect URI: say where answers may go with --redirect-uri, or with a vendor's --redirect-rule; a device takes --device, a program without people --machine",
        ),
        (
            OperatorClientError::Keys,
            "--auth private_key_jwt takes either --jwks-file or --jwks-uri, and no other --auth takes any",
        ),
        (OperatorClientError::KeySet, "the file of --jwks-file is not a set of public keys"),
        (OperatorClientError::KeyPlace, "--jwks-uri is not an https URL"),
        (
            OperatorClientError::MachineWithoutProof,
            "a machine proves who it is: --auth client_secret_basic, or private_key_jwt",
        ),
        (
            OperatorClientError::ExchangeWithoutProof,
            "a client that exchanges the tokens of others proves who it is: --auth client_secret_basic, or private_key_jwt",
        ),
    ];
    match pairs.into_iter().find(|(one, _)| *one == error) {
        Some((_, words)) => anyhow::anyhow!(words),
        None => error.into(),
    }
}

async fn existing(place: &Place, id: &str) -> anyhow::Result<StoredClient> {
    match place.store.client_read(id.to_owned()).await? {
        Some(client) => Ok(client),
        None => bail!("there is no client {id:?} that was made here: `hallpass client list` shows those"),
    }
}

/// Everything but the digests of its secrets, which are of no use to anybody who reads this.
fn shown(client: &StoredClient) -> anyhow::Result<serde_json::Value> {
    let record: ClientRecord = serde_json::from_str(&client.body)?;
    let secrets = record.secrets.len();
    let mut shown = serde_json::to_value(ClientRecord { secrets: Vec::new(), ..record })?;
    if let Some(members) = shown.as_object_mut() {
        members.insert("client_id".into(), client.id.as_str().into());
        members.insert("secrets".into(), secrets.into());
        members.insert("created_at".into(), client.created_at.to_rfc3339().into());
    }
    Ok(shown)
}

async fn list(place: &Place, json: bool) -> anyhow::Result<()> {
    let mut clients: Vec<StoredClient> = Vec::new();
    loop {
        let after = clients.last().map(|client| client.id.clone());
        let page = place.store.clients_list(after, 500).await?;
        if page.is_empty() {
            break;
        }
        clients.extend(page);
    }
    let rows = clients.iter().map(shown).collect::<anyhow::Result<Vec<_>>>()?;
    if json {
        say!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for row in &rows {
        let text =
            |name: &str| row.get(name).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        say!("{}  {}  {}", text("client_id"), text("auth"), text("name"));
    }
    Ok(())
}

async fn remove(place: &Place, id: &str, json: bool) -> anyhow::Result<()> {
    existing(place, id).await?;
    let until = place.tokens_until();
    if place.store.client_remove(id.to_owned(), until).await? {
        place.record(&[Event::client_removed(id, until)]).await?;
    }
    if json {
        say!("{}", serde_json::json!({ "client_id": id, "removed": true }));
    }
    note("removed");
    Ok(())
}

async fn rotate(place: &Place, id: &str, only_new: bool, json: bool) -> anyhow::Result<()> {
    let client = existing(place, id).await?;
    let mut record: ClientRecord = serde_json::from_str(&client.body)?;
    let secret = new_secret();
    record.secrets.splice(0..0, digest_of_secret(&secret));
    record.secrets.truncate(if only_new { 1 } else { MAX_SECRETS });
    OperatorClient::new(id, &record)?;
    change(place, client, &record).await?;
    place.record(&[Event::client_secret_changed(id)]).await?;
    if json {
        say!("{}", serde_json::json!({ "client_id": id, "client_secret": secret.expose() }));
    } else {
        say!("{}", secret.expose());
    }
    note(if only_new {
        "This is the only secret from now on."
    } else {
        "The secret before stays good until the next call; --only-new ends it."
    });
    Ok(())
}

async fn token(place: &Place, valid: &str, json: bool) -> anyhow::Result<()> {
    let valid = length_of_time(valid)?;
    let keys = place.keys().await?;
    let until = place.now.plus(valid);
    place.record(&[Event::initial_access_issued(until)]).await?;
    let token = initial_access::issue(&keys, &SystemEntropy, until);
    if json {
        let issued =
            serde_json::json!({ "initial_access_token": token.expose(), "expires_at": until.to_rfc3339() });
        say!("{issued}");
    } else {
        say!("{}", token.expose());
    }
    note("Whoever has it may register clients until it is over; it cannot be taken back.");
    Ok(())
}
