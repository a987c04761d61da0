//! `hallpass call`: one request to an MCP server, with the kept sign-in.

use super::{explain::explain, login::ClientArgs, pages::Terminal};
use crate::{
    output::{acts, note},
    say,
};
use anyhow::{Context, bail};
use clap::Args;
use hallpass_client::{
    driver::{Caller, Messages},
    error::Failed,
    wire::Incoming,
};
use serde_json::{Map, Value};
use std::{fmt::Write as _, io::Read, process::ExitCode};

/// `hallpass call`.
#[derive(Args, Debug)]
#[command(after_help = "\
The result goes to standard output as JSON, or the error object if the server answered with one; with --json on one line. \
Progress is asked for, and goes to standard error as it comes, with other notifications, one JSON object in a line. At a terminal \
you are asked when the server wants you to open a page.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a sign-in is needed, 4 the MCP server answered with an error.

Examples:
  hallpass call http://localhost:8080/mcp tools/list
  hallpass call http://localhost:8080/mcp tools/call '{\"name\":\"echo\",\"arguments\":{\"message\":\"hi\"}}'")]
pub struct CallArgs {
    /// URL of the MCP server, as at the sign-in.
    pub url: String,
    /// Method, such as tools/list.
    pub method: String,
    /// Parameters as a JSON object; `-` reads standard input.
    pub params: Option<String>,
    /// Print the result on one line, for a program. Without, the same JSON is indented.
    #[arg(long)]
    pub json: bool,
    /// Where and as whom.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// Calls.
pub async fn run(args: CallArgs) -> anyhow::Result<ExitCode> {
    let params = match args.params.as_deref().map(read_params).transpose() {
        Ok(params) => params,
        Err(error) => {
            note(&format!("hallpass: {error:#}"));
            return Ok(ExitCode::from(2));
        }
    };
    let client = args.client.client(None, false)?;
    let mut caller = match client.caller(&args.url, &args.client.account) {
        Ok(caller) => caller,
        Err(failed) => return Ok(explain(&args.url, &failed)),
    };
    if let Some(person) = Terminal::there() {
        caller = caller.with_pages(Box::new(person));
    }
    let params = with_progress(&args.method, params);
    let outcome = call(&mut caller, (&args.method, params.as_ref()), args.json).await;
    caller.close().await;
    Ok(outcome.unwrap_or_else(|failed| explain(&args.url, &failed)))
}

async fn call(
    caller: &mut Caller,
    (method, params): (&str, Option<&Map<String, Value>>),
    on_one_line: bool,
) -> Result<ExitCode, Failed> {
    let mut messages = caller.call(method, params).await?;
    show(&mut messages, on_one_line).await
}

/// Asks for progress, where the method may take long and nobody has said anything about it: a server reports none unasked.
fn with_progress(method: &str, params: Option<Map<String, Value>>) -> Option<Map<String, Value>> {
    if !["tools/call", "resources/read", "prompts/get"].contains(&method) {
        return params;
    }
    let mut params = params.unwrap_or_default();
    if let Value::Object(meta) = params.entry("_meta").or_insert_with(|| Value::Object(Map::new())) {
        meta.entry("progressToken").or_insert_with(|| Value::from("hallpass"));
    }
    Some(params)
}

async fn show(messages: &mut Messages<'_>, on_one_line: bool) -> Result<ExitCode, Failed> {
    let json = |value: &Value| if on_one_line { harmless(&value.to_string()) } else { json(value) };
    let mut code = ExitCode::from(1);
    while let Some(message) = messages.next().await? {
        match message {
            Incoming::Result(result) => {
                let failed = result.get("isError").and_then(Value::as_bool).unwrap_or(false);
                code = if failed { ExitCode::from(4) } else { ExitCode::SUCCESS };
                say!("{}", json(&result));
            }
            Incoming::Error(error) => {
                code = ExitCode::from(4);
                say!("{}", json(&serde_json::json!({ "error": error })));
            }
            Incoming::Notification(notification) => note(&harmless(&Value::Object(notification).to_string())),
            Incoming::Request { method, .. }
                if method == "elicitation/create" && Terminal::there().is_some() => {}
            Incoming::Request { method, .. } => {
                let method = harmless(&Value::String(method).to_string());
                note(&format!("The server asked for {method}, which this command does not offer"));
            }
        }
    }
    Ok(code)
}

fn read_params(text: &str) -> anyhow::Result<Map<String, Value>> {
    let mut input = String::new();
    if text == "-" {
        std::io::stdin().read_to_string(&mut input).context("standard input cannot be read")?;
    } else {
        text.clone_into(&mut input);
    }
    let example = "such as '{\"name\":\"echo\"}'";
    match serde_json::from_str(&input)
        .with_context(|| format!("the parameters are no JSON object, {example}"))?
    {
        Value::Object(params) => Ok(params),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            bail!("the parameters have to be a JSON object, {example}")
        }
    }
}

/// Indented JSON that a terminal only shows.
pub fn json(value: &Value) -> String {
    harmless(&serde_json::to_string_pretty(value).unwrap_or_default())
}

/// JSON escapes control characters up to U+001F; those above and the ones that turn text around would still act
/// on a terminal (T-69). They can only stand inside strings, where an escape means the same.
fn harmless(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        // Line breaks are the JSON's own.
        if c != '\n' && acts(c) {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_69_output_cannot_steer_the_terminal_and_stays_the_same_json() {
        let value = serde_json::json!({ "a": "\u{9b}2J\u{1b}[2J\u{202e}x\u{7f}é" });
        let shown = json(&value);
        assert!(shown.chars().all(|c| c == '\n' || !c.is_control()) && !shown.contains('\u{202e}'));
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }

    #[test]
    fn progress_is_asked_for_unless_somebody_has_said_how() {
        let asked = |method: &str, params: Value| {
            let params = with_progress(method, params.as_object().cloned());
            params.map_or(Value::Null, Value::Object)
        };
        let call = asked("tools/call", serde_json::json!({ "name": "t", "_meta": { "a": 1 } }));
        assert_eq!(
            call,
            serde_json::json!({ "name": "t", "_meta": { "a": 1, "progressToken": "hallpass" } })
        );
        let own = serde_json::json!({ "_meta": { "progressToken": 7 } });
        assert_eq!(asked("tools/call", own.clone()), own);
        let odd = serde_json::json!({ "_meta": 1 });
        assert_eq!(asked("tools/call", odd.clone()), odd);
        assert_eq!(asked("tools/list", Value::Null), Value::Null);
    }

    #[test]
    fn parameters_are_an_object() {
        assert!(read_params("{\"a\":1}").is_ok());
        for bad in ["[]", "1", "", "{", "null"] {
            assert!(read_params(bad).is_err(), "{bad}");
        }
    }
}
