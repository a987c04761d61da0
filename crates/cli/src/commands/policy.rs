//! `hallpass policy`: what the rules of a server say, and why.

use super::place::PlaceArgs;
use crate::{
    config::{self, Config, Protected},
    say,
};
use anyhow::{Context, bail};
use clap::Subcommand;
use hallpass_core::{id::GrantId, mcp::Message, scope::Scope};
use hallpass_gateway::{Explanation, Question, explain};
use hallpass_server::Resource;
use serde_json::{Value, json};
use std::process::ExitCode;

/// `hallpass policy`.
#[derive(Subcommand, Debug)]
pub enum PolicyCommand {
    /// Say which rule decides about a call, and why. Exit code 1 when it would be refused.
    Explain(ExplainArgs),
}

/// `hallpass policy explain`.
#[derive(clap::Args, Debug)]
#[command(after_help = EXPLAIN)]
pub struct ExplainArgs {
    /// Who calls: the name of an account, NAME:SUB for a person of the authorization server NAME, or "ID SUBJECT" for one of the
    /// programs of the workload ID, as `sub` of its tokens says it. Without it, a machine.
    #[arg(long = "as", value_name = "NAME")]
    person: Option<String>,
    /// A group that the token of a person of another authorization server names, as NAME:GROUP. May be repeated. Groups of the
    /// configuration file need none: who is in them is known.
    #[arg(long = "group", value_name = "NAME:GROUP", requires = "person")]
    groups: Vec<String>,
    /// Nobody calls: there is no token.
    #[arg(long, conflicts_with_all = ["person", "client", "grant", "scope"])]
    anonymous: bool,
    /// The client that calls, by its client_id, or NAME:CLIENT_ID for a client of the authorization server NAME. One of several
    /// programs of a client is named here too, by the `sub` of its tokens.
    #[arg(long, value_name = "CLIENT_ID", default_value = "")]
    client: String,
    /// The grant that its token belongs to, by its id.
    #[arg(long, value_name = "ID")]
    grant: Option<String>,
    /// The scopes of its token, as one text. Without it, all that the server has.
    #[arg(long, value_name = "SCOPES")]
    scope: Option<String>,
    /// The server, by its name. Needed where there are several.
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Arguments of the tool or prompt, as a JSON object.
    #[arg(long, value_name = "JSON")]
    arguments: Option<String>,
    /// One JSON object.
    #[arg(long)]
    json: bool,
    /// What is called: tools/call, prompts/get, resources/read, or any other method.
    method: String,
    /// The tool or prompt by its name, or the resource by its URI.
    name: Option<String>,
    #[command(flatten)]
    place: PlaceArgs,
}

const EXPLAIN: &str = "\
Examples:
  hallpass policy explain --config hallpass.toml --as ann --scope \"read write\" tools/call delete_file
  hallpass policy explain --config hallpass.toml --as ann --client https://claude.ai/oauth/mcp-oauth-client-metadata \\
      tools/call read_file --arguments '{\"path\": \"/public/a.txt\"}'
  hallpass policy explain --config hallpass.toml --as \"ci system:serviceaccount:ci:deploy\" tools/call read_file";

/// Runs it.
pub async fn run(command: PolicyCommand) -> anyhow::Result<ExitCode> {
    let PolicyCommand::Explain(args) = command;
    let config = args.place.config()?;
    let message = message(&args)?;
    let at = place_of(&config.servers, args.server.as_deref())?;
    let server = config.servers.get(at).context("there is no server")?;
    let scope = match (&args.scope, config.settings.resources.get(at)) {
        _ if args.anonymous => Scope::none(),
        (Some(text), resource) => known_scopes(text, resource)?,
        (None, Some(resource)) => Scope::of(resource.scopes.iter().map(|scope| scope.name.as_str())),
        (None, None) => Scope::none(),
    };
    let caller = caller(&config, &args).await?;
    let grant =
        args.grant.as_deref().map(|id| GrantId::parse(id).context("--grant is not the id of a grant"));
    let groups = groups(&config, &args)?;
    let question = Question {
        person: caller.person.as_deref(),
        groups: &groups,
        client: if args.anonymous { hallpass_resource::ANONYMOUS } else { &caller.client },
        machine: caller.machine.as_deref(),
        anonymous: args.anonymous,
        grant: grant.transpose()?,
        scope: &scope,
        message: &message,
    };
    let found = explain(&server.required_scope, &server.policy, &question);
    if args.json {
        say!("{}", serde_json::to_string_pretty(&described(server, &scope, &found))?);
    } else {
        show(server, &scope, &found);
    }
    let passes = found.decision == "allowed" || found.dry_run;
    Ok(if passes { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Who calls, as tokens say it.
struct Caller {
    person: Option<String>,
    client: String,
    machine: Option<String>,
}

async fn caller(config: &Config, args: &ExplainArgs) -> anyhow::Result<Caller> {
    let program_of_ours =
        |name: &&str| name.split_once(' ').is_some_and(|(client, _)| config.settings.is_workload(client));
    let named = args.person.as_deref().filter(program_of_ours);
    // No client has a space in its id, while the name of a person may have one.
    if let Some(sub) = named.or_else(|| Some(&*args.client).filter(|client| client.contains(' '))) {
        if args.person.is_some() && !args.client.is_empty() {
            bail!(
                "a program calls for nobody but itself: name it with --as or with --client, and nobody else"
            );
        }
        return program(config, sub);
    }
    let theirs = |written: &str| config::foreign(&config.authorization_servers, written);
    let client = theirs(&args.client).unwrap_or_else(|| args.client.clone());
    let person = match &args.person {
        Some(name) if theirs(name).is_some() => theirs(name),
        Some(name) => Some(args.place.open().await?.person(name).await?.id.to_string()),
        None => None,
    };
    Ok(Caller { person, client, machine: None })
}

/// One of several programs of a client, by the `sub` of its tokens: the client, a space, and which it is.
fn program(config: &Config, sub: &str) -> anyhow::Result<Caller> {
    let (id, which) = sub.split_once(' ').unwrap_or((sub, ""));
    if let Some(client) = config::foreign(&config.authorization_servers, id) {
        let machine = format!("{client} {which}");
        return Ok(Caller { person: None, client, machine: Some(machine) });
    }
    let workload = config.settings.workloads().find(|workload| workload.id() == id);
    let workload = workload.with_context(|| {
        format!("there is no workload {id:?}, and no other client has programs called {sub:?}")
    })?;
    // With another one the answer would be about a token that nobody can get.
    if workload.subject(which).as_deref() != Some(sub) {
        bail!("no program of the workload {id:?} is called {sub:?}: its `subject` says how they are");
    }
    Ok(Caller { person: None, client: id.to_owned(), machine: Some(sub.to_owned()) })
}

/// The groups of a token, which can name those of its own authorization server alone.
fn groups(config: &Config, args: &ExplainArgs) -> anyhow::Result<Vec<String>> {
    let server = |written: &str| written.split_once(':').map(|(name, _)| name.to_owned());
    let of = args.person.as_deref().and_then(server);
    let named = |group: &String| {
        let group_of = server(group).filter(|name| Some(name) == of.as_ref());
        let found = group_of.and_then(|_| config::foreign(&config.authorization_servers, group));
        found.with_context(|| {
            format!("--group {group:?} is not NAME:GROUP with the authorization server NAME that --as names")
        })
    };
    args.groups.iter().map(named).collect()
}

/// Scopes that the server has: with another one the answer would be about a token that nobody can get.
fn known_scopes(text: &str, resource: Option<&Resource>) -> anyhow::Result<Scope> {
    let scope = Scope::parse(text).context("--scope")?;
    let known: Vec<&str> =
        resource.iter().flat_map(|resource| &resource.scopes).map(|scope| &*scope.name).collect();
    if let Some(unknown) = scope.iter().find(|name| !known.contains(name)) {
        bail!("--scope: this server has no scope {unknown:?}: there is {}", known.join(", "));
    }
    Ok(scope)
}

fn place_of(servers: &[Protected], named: Option<&str>) -> anyhow::Result<usize> {
    let all = || servers.iter().map(|server| server.name.as_str()).collect::<Vec<_>>().join(", ");
    match named {
        Some(name) => {
            let at = servers.iter().position(|server| server.name == name);
            at.with_context(|| format!("there is no server {name:?}: there is {}", all()))
        }
        None if servers.len() == 1 => Ok(0),
        None => bail!("there are several servers: name one with --server ({})", all()),
    }
}

/// The message as a client would send it, read as the gateway reads it.
fn message(args: &ExplainArgs) -> anyhow::Result<Message> {
    let mut params = serde_json::Map::new();
    if let Some(name) = &args.name {
        let key = if args.method.starts_with("resources/") { "uri" } else { "name" };
        params.insert(key.to_owned(), name.as_str().into());
    }
    if let Some(text) = &args.arguments {
        let arguments: Value = serde_json::from_str(text).context("--arguments is not JSON")?;
        if !arguments.is_object() {
            bail!("--arguments is not a JSON object, such as '{{\"path\": \"/a\"}}'");
        }
        params.insert("arguments".to_owned(), arguments);
    }
    let text = json!({ "jsonrpc": "2.0", "id": 1, "method": args.method, "params": params }).to_string();
    Message::parse(text.as_bytes(), Message::LIMITS).context("no such call can be made")
}

fn show(server: &Protected, scope: &Scope, found: &Explanation) {
    say!("{} at {}, with the scopes {:?}", found.decision, server.name, scope.to_string());
    say!("  decided by  {}", found.rule);
    say!("  because     {}", found.why);
    if let Some(scopes) = &found.scopes {
        say!("  asks for    {scopes}");
    }
    for rule in &found.rules {
        let group = rule.group.as_ref().map(|group| format!(", by the group {group}"));
        say!("  rule        {}: {}{}", rule.rule, rule.stands, group.unwrap_or_default());
    }
    if found.dry_run {
        say!("  dry run     the rules of this server only tell: the call passes");
    }
}

fn described(server: &Protected, scope: &Scope, found: &Explanation) -> Value {
    let rules = found
        .rules
        .iter()
        .map(|rule| json!({ "rule": rule.rule, "stands": rule.stands, "group": rule.group }));
    json!({
        "server": server.name,
        "scope": scope.to_string(),
        "decision": found.decision,
        "rule": found.rule,
        "why": found.why,
        "asks_for": found.scopes.as_ref().map(ToString::to_string),
        "rules": rules.collect::<Vec<_>>(),
        "dry_run": found.dry_run,
    })
}
