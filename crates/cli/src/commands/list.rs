//! `hallpass list`: what an MCP server offers.

use super::{call::json, explain::explain, login::ClientArgs};
use crate::{output::note, say};
use clap::{Args, ValueEnum};
use hallpass_client::{
    driver::Caller,
    error::{ClientError, Failed},
    peer::PeerText,
    wire::Incoming,
};
use serde_json::{Map, Value};
use std::process::ExitCode;

/// Pages that are asked for. A server that has more, or always names another, is cut off there.
const PAGES: usize = 100;

/// `hallpass list`.
#[derive(Args, Debug)]
#[command(after_help = "\
One line each: the name, and what the server says it does. --json has everything, in one array.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a sign-in is needed, 4 the MCP server answered with an error.

Examples:
  hallpass list http://localhost:8080/mcp
  hallpass list http://localhost:8080/mcp resources --json")]
pub struct ListArgs {
    /// URL of the MCP server, as at the sign-in.
    pub url: String,
    /// What to list.
    #[arg(value_enum, default_value_t = Kind::Tools)]
    pub kind: Kind,
    /// Print JSON, as the server sent it.
    #[arg(long)]
    pub json: bool,
    /// Where and as whom.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// What a server can list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// What can be called.
    Tools,
    /// Texts to begin with.
    Prompts,
    /// What can be read.
    Resources,
    /// Patterns of what can be read.
    Templates,
}

impl Kind {
    /// The method, the member of its result, and the member of each one that names it.
    const fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Tools => ("tools/list", "tools", "name"),
            Self::Prompts => ("prompts/list", "prompts", "name"),
            Self::Resources => ("resources/list", "resources", "uri"),
            Self::Templates => ("resources/templates/list", "resourceTemplates", "uriTemplate"),
        }
    }
}

/// What the pages held.
enum Listed {
    All(Vec<Value>),
    Cut(Vec<Value>),
    Refused(Value),
}

/// Lists.
pub async fn run(args: ListArgs) -> anyhow::Result<ExitCode> {
    let client = args.client.client(None, false)?;
    let mut caller = match client.caller(&args.url, &args.client.account) {
        Ok(caller) => caller,
        Err(failed) => return Ok(explain(&args.url, &failed)),
    };
    let listed = pages(&mut caller, args.kind).await;
    caller.close().await;
    let (items, whole) = match listed {
        Ok(Listed::All(items)) => (items, true),
        Ok(Listed::Cut(items)) => (items, false),
        Ok(Listed::Refused(error)) => {
            say!("{}", json(&serde_json::json!({ "error": error })));
            return Ok(ExitCode::from(4));
        }
        Err(failed) => return Ok(explain(&args.url, &failed)),
    };
    let (_, what, name) = args.kind.words();
    if args.json {
        say!("{}", json(&Value::Array(items)));
    } else {
        if items.is_empty() {
            note(&format!("The server has no {what} for you"));
        }
        for item in &items {
            say!("{}", line(item, name));
        }
    }
    if !whole {
        note(&format!("The server has more than {PAGES} pages: these are the first"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn pages(caller: &mut Caller, kind: Kind) -> Result<Listed, Failed> {
    let (method, member, _) = kind.words();
    let (mut items, mut params) = (Vec::new(), None);
    for _ in 0..PAGES {
        let mut result = match answer(caller, method, params.as_ref()).await? {
            Ok(result) => result,
            Err(error) => return Ok(Listed::Refused(error)),
        };
        match result.get_mut(member).map(Value::take) {
            Some(Value::Array(page)) => items.extend(page),
            _ => return Err(ClientError::NotMcp.into()),
        }
        match result.get_mut("nextCursor").map(Value::take) {
            Some(cursor @ Value::String(_)) => {
                params = Some(Map::from_iter([("cursor".to_owned(), cursor)]));
            }
            _ => return Ok(Listed::All(items)),
        }
    }
    Ok(Listed::Cut(items))
}

async fn answer(
    caller: &mut Caller,
    method: &str,
    params: Option<&Map<String, Value>>,
) -> Result<Result<Value, Value>, Failed> {
    let mut messages = caller.call(method, params).await?;
    while let Some(message) = messages.next().await? {
        match message {
            Incoming::Result(result) => return Ok(Ok(result)),
            Incoming::Error(error) => return Ok(Err(error)),
            Incoming::Notification(_) | Incoming::Request { .. } => {}
        }
    }
    Err(ClientError::NotMcp.into())
}

/// Both are the server's words: nothing of them acts on a terminal (T-69).
fn line(item: &Value, name: &str) -> String {
    let text = |member| item.get(member).and_then(Value::as_str).and_then(first_line);
    let name = text(name).map_or_else(|| "(without a name)".to_owned(), |name| name.to_string());
    match text("description").or_else(|| text("title")) {
        Some(about) => format!("{name}  {about}"),
        None => name,
    }
}

fn first_line(text: &str) -> Option<PeerText> {
    text.lines().find_map(PeerText::of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn t_69_a_line_is_one_line_and_cannot_steer_the_terminal() {
        let item = json!({ "name": "a\u{1b}[2Jb\u{202e}", "description": "\n\n first\u{7f} line \nsecond" });
        assert_eq!(line(&item, "name"), "a[2Jb  first line");
        assert_eq!(line(&json!({ "uri": "x://y", "title": "T" }), "uri"), "x://y  T");
        assert_eq!(line(&json!({ "name": "echo" }), "name"), "echo");
        assert_eq!(line(&json!({ "name": 1 }), "name"), "(without a name)");
    }

    #[test]
    fn cl_098_t_69_icons_are_not_shown() {
        for src in [
            "javascript:alert(1)",
            "file:///etc/passwd",
            "data:image/svg+xml,<svg onload=x>",
            "https://x.example/i.svg",
        ] {
            let item = json!({ "name": "echo", "title": "Echo", "icons": [{ "src": src, "mimeType": "image/svg+xml" }] });
            assert_eq!(line(&item, "name"), "echo  Echo");
        }
    }
}
