//! What can be typed.

use anyhow::{Context, Result, bail};
use std::time::Duration;

/// The measurements, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The authorization server's metadata.
    Metadata,
    /// Codes for tokens.
    Redemption,
    /// Refresh tokens for their successors.
    Refresh,
    /// A call through the gateway.
    Gateway,
    /// Time to the first answer, and memory at rest.
    Start,
    /// Whether a token is alive, each seen for the first time.
    Introspection,
    /// Refreshes while sign-ins are tried as fast as they are answered.
    Flood,
    /// Refreshes among a million grants, and what a grant takes on disk.
    Million,
    /// Refreshes over two nodes on PostgreSQL.
    Nodes,
    /// A machine's token, by a secret and by a signature.
    Machines,
    /// Refreshes with a proof of the key that their grants are bound to.
    Bound,
    /// A call through the gateway, one at a time.
    OneConnection,
    /// Calls through the gateway, each with a token that it has not seen.
    NeverSeen,
    /// Calls while thousands of streams are open.
    Streams,
    /// A list of hundreds of tools, of which some are left out.
    LongList,
    /// The tower layer, without a network.
    Middleware,
    /// The client: a command, its layer, its bridge.
    Client,
}

const LETTERS: [(&str, Part); 20] = [
    ("a", Part::Metadata),
    ("b", Part::Redemption),
    ("c", Part::Refresh),
    ("d", Part::Gateway),
    ("e", Part::Start),
    ("f", Part::Introspection),
    ("g", Part::Flood),
    ("h", Part::Million),
    ("i", Part::Nodes),
    ("j", Part::Machines),
    ("k", Part::Machines),
    ("l", Part::Bound),
    ("m", Part::OneConnection),
    ("n", Part::NeverSeen),
    ("o", Part::Streams),
    ("p", Part::LongList),
    ("q", Part::Middleware),
    ("r", Part::Client),
    ("s", Part::Client),
    ("t", Part::Client),
];

/// The options.
#[derive(Clone, Debug)]
pub struct Options {
    /// Length of one measurement.
    pub time: Duration,
    /// What to measure; nothing means everything.
    only: Vec<Part>,
    /// `HALLPASS_LOG` of the program.
    pub log: Option<String>,
    /// Whether to write the table into the documentation.
    pub write: bool,
    /// As typed, for the report.
    pub typed: String,
}

impl Options {
    /// Reads the arguments.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let typed = arguments.join(" ");
        let mut options =
            Self { time: Duration::from_secs(5), only: Vec::new(), log: None, write: false, typed };
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            if name == "--write" {
                options.write = true;
                continue;
            }
            let value = rest.next().with_context(|| format!("{name} needs a value, or is not known"))?;
            match name.as_str() {
                "--seconds" => {
                    let seconds = value.parse().ok().filter(|seconds| (1..=60).contains(seconds));
                    options.time =
                        Duration::from_secs(seconds.context("--seconds is a number from 1 to 60")?);
                }
                "--only" => options.only = value.split(',').map(part).collect::<Result<_>>()?,
                "--log" => options.log = Some(value.clone()),
                other => bail!("{other} is not known"),
            }
        }
        Ok(options)
    }

    /// Whether this is to be measured.
    pub fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}

fn part(letter: &str) -> Result<Part> {
    let found = LETTERS.iter().find(|(name, _)| *name == letter.trim());
    found.map(|(_, part)| *part).with_context(|| format!("--only knows a to t, not {letter:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options> {
        Options::parse(&text.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_is_typed_is_what_is_measured() {
        let all = parse("").unwrap();
        assert!(all.wants(Part::Metadata) && all.wants(Part::Start) && !all.write);
        let some = parse("--only a,c --seconds 2 --write").unwrap();
        assert!(some.wants(Part::Refresh) && !some.wants(Part::Gateway) && some.write);
        assert_eq!(some.time, Duration::from_secs(2));
        for bad in ["--only z", "--seconds 0", "--seconds 61", "--seconds", "--other x", "x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
