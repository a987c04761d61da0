//! Writes the tokens that other libraries are asked about: first a line with keys and expectations, then a line for each.
//! `tests/e2e/tokens.test.mjs` reads them. The seed may be given.

use hallpass_core::time::{Clock, SystemClock};
use hallpass_fuzz::tokens::{AUDIENCE, ISSUER, LEEWAY, SEED, generate, keys::Keys};
use serde_json::json;
use std::io::{self, BufWriter, Write};

fn main() -> io::Result<()> {
    let seed = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(SEED);
    let (keys, now) = (Keys::generate(), SystemClock.now());
    let mut out = BufWriter::new(io::stdout().lock());
    let first = json!({
        "seed": seed, "now": now.seconds(), "issuer": ISSUER, "audience": AUDIENCE, "leeway": LEEWAY.as_secs(),
        "keys": keys.published(),
    });
    writeln!(out, "{first}")?;
    for case in generate(seed, &keys, now) {
        let refused = case.ours(&keys, now).err().map(|error| format!("{error:?}"));
        writeln!(out, "{}", json!({ "what": case.what, "text": case.text, "refused": refused }))?;
    }
    out.flush()
}
