//! Headers that ask for something else.

use super::{keys::Keys, pick};
use crate::mutate::Dice;
use serde_json::{Value, json};

const TYPES: [&str; 14] = [
    "at+JWT",
    "AT+jwt",
    "application/at+jwt",
    "APPLICATION/AT+JWT",
    "JWT",
    "jwt",
    "dpop+jwt",
    "oauth-id-jag+jwt",
    "client-authentication+jwt",
    "logout+jwt",
    "text/at+jwt",
    "at+jwt ",
    "at",
    "",
];
const ALGORITHMS: [&str; 16] = [
    "ES256", "EdDSA", "RS256", "Ed25519", "none", "None", "HS256", "HS384", "HS512", "ES384", "ES256K",
    "PS256", "RS384", "es256", "Ed448", "",
];

/// Changes the header in one way, and says in which.
pub fn change(dice: &mut Dice, header: &mut Value, keys: &Keys, signer: usize) -> String {
    match dice.below(7) {
        0 | 1 => {
            header["typ"] = pick(dice, &TYPES).into();
            format!("typ {}", header["typ"])
        }
        2 | 3 => {
            header["alg"] = pick(dice, &ALGORITHMS).into();
            format!("alg {}", header["alg"])
        }
        4 => {
            let kid = match dice.below(6) {
                0 => keys.id(keys.any(dice)).to_owned(),
                1 => keys.attackers(signer).key_id().to_owned(),
                2 => "../../dev/null".to_owned(),
                3 => "' OR 1=1 --".to_owned(),
                4 => String::new(),
                _ => "k".repeat(300),
            };
            header["kid"] = kid.into();
            format!("kid {}", header["kid"])
        }
        5 => {
            let name = pick(dice, &["typ", "alg", "kid", "kid", "kid"]);
            header.as_object_mut().expect("an object").remove(name);
            format!("no {name}")
        }
        _ => more(dice, header, keys, signer),
    }
}

/// A member more, or one of another type.
fn more(dice: &mut Dice, header: &mut Value, keys: &Keys, signer: usize) -> String {
    let (name, value) = pick(
        dice,
        &[
            ("crit", json!(["exp"])),
            ("crit", json!(["b64"])),
            ("crit", json!([])),
            ("b64", json!(false)),
            ("b64", json!(true)),
            ("zip", json!("DEF")),
            ("jwk", keys.attackers(signer).public_jwk().to_json()),
            ("jku", json!("https://attacker.example/jwks.json")),
            ("x5u", json!("https://attacker.example/chain.pem")),
            ("x5c", json!(["MIIB"])),
            ("cty", json!("JWT")),
            ("more", json!({"deep": [[1]]})),
            ("typ", json!(null)),
            ("typ", json!(["at+jwt"])),
            ("alg", json!(256)),
            ("alg", json!(["ES256"])),
            ("kid", json!(7)),
            ("kid", json!(null)),
        ],
    );
    header[name] = value;
    format!("{name} {}", if name == "jwk" { "of the attacker".into() } else { header[name].to_string() })
}
