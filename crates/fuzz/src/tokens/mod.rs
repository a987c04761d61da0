//! Access tokens by the thousand, good and bad, for comparing our verdict with that of other libraries: the same tokens for
//! the same seed, but for the keys and the signatures, which are new each time.
//!
//! | to read | file |
//! |---|---|
//! | who signs, and what everybody verifies with | [`keys`] |
//! | what is wrong with the header | [`header`] |
//! | what is wrong with the claims | [`payload`] |
//! | what is done to the text and the signature | [`damage`] |

mod damage;
mod header;
pub mod keys;
mod payload;

use crate::mutate::Dice;
use hallpass_core::{
    encoding::base64url,
    jwt::access_token::{self, AccessTokenError},
    time::Timestamp,
};
use keys::Keys;
use serde_json::{Value, json};
use std::time::Duration;

/// How many are made.
pub const COUNT: usize = 10_000;
/// The seed of the tests.
pub const SEED: u64 = 20_261_130;
/// Who issues the tokens.
pub const ISSUER: &str = "https://auth.example/tenant";
/// For whom they are.
pub const AUDIENCE: &str = "https://mcp.example/mcp";
/// How far clocks may differ.
pub const LEEWAY: Duration = Duration::from_secs(30);

/// One token.
#[derive(Clone, Debug)]
pub struct Case {
    /// What was done to it.
    pub what: String,
    /// Its text.
    pub text: String,
    /// Whether the verdict hangs on the very second: a library that reads the clock itself cannot be asked.
    pub exact: bool,
}

/// What a token is before it is signed, and who signs it.
struct Draft {
    what: String,
    header: String,
    payload: String,
    signer: usize,
    exact: bool,
}

impl Case {
    /// Our verdict.
    pub fn ours(&self, keys: &Keys, now: Timestamp) -> Result<(), AccessTokenError> {
        let expected =
            access_token::Expectations { issuer: ISSUER, audiences: &[AUDIENCE], now, leeway: LEEWAY };
        access_token::verify(&self.text, &keys.set, &expected).map(drop)
    }
}

/// The tokens of this seed. A third is good but for chance; the others have one thing done to them, or two.
pub fn generate(seed: u64, keys: &Keys, now: Timestamp) -> Vec<Case> {
    let mut dice = Dice(seed);
    (0..COUNT).map(|_| one(&mut dice, keys, now)).collect()
}

fn one(dice: &mut Dice, keys: &Keys, now: Timestamp) -> Case {
    let signer = keys.any(dice);
    let mut header = json!({"alg": keys.name(signer), "kid": keys.id(signer), "typ": "at+jwt"});
    let mut claims = usual(now.seconds());
    let mut what = Vec::new();
    let mut exact = false;
    let kind = dice.below(12);
    if kind < 3 {
        what.push(header::change(dice, &mut header, keys, signer));
    }
    if (2..6).contains(&kind) {
        let (done, hangs_on_the_second) = payload::change(dice, &mut claims, now.seconds());
        what.push(done);
        exact = hangs_on_the_second;
    }
    let mut draft = Draft {
        what: what.join(", "),
        header: header.to_string(),
        payload: claims.to_string(),
        signer,
        exact,
    };
    if kind == 6 {
        let done = payload::rewrite(dice, &mut draft.header, &mut draft.payload);
        done.clone_into(&mut draft.what);
    }
    damage::signed(dice, keys, draft, (7..10).contains(&kind))
}

fn usual(now: i64) -> Value {
    json!({
        "iss": ISSUER, "sub": "0190a1b2", "aud": AUDIENCE, "client_id": "https://client.example/metadata.json",
        "iat": now, "exp": now + 300, "scope": "read write", "jti": "0190a1b2c3d4.3.1",
    })
}

fn encoded(header: &str, payload: &str) -> String {
    format!("{}.{}", base64url(header.as_bytes()), base64url(payload.as_bytes()))
}

/// One of these.
fn pick<T: Clone>(dice: &mut Dice, of: &[T]) -> T {
    of[dice.below(of.len())].clone()
}
