//! Claims for somebody else, of another time, of another form; and texts that two readers may read differently.

use super::{AUDIENCE, ISSUER, pick};
use crate::mutate::Dice;
use serde_json::{Value, json};

/// Changes one claim; says which, and whether the verdict now hangs on the very second.
pub fn change(dice: &mut Dice, claims: &mut Value, now: i64) -> (String, bool) {
    let name = pick(
        dice,
        &["iss", "aud", "exp", "exp", "nbf", "nbf", "iat", "sub", "client_id", "jti", "scope", "cnf", "act"],
    );
    if dice.below(8) == 0 {
        claims.as_object_mut().expect("an object").remove(name);
        return (format!("no {name}"), false);
    }
    let (value, exact) = match name {
        "iss" => (issuer(dice), false),
        "aud" => (audience(dice), false),
        "exp" | "nbf" | "iat" => date(dice, now),
        "scope" => (pick(dice, &[json!(""), json!("read"), json!(["read"]), json!(7), json!(null)]), false),
        "cnf" => (confirmation(dice), false),
        "act" => (actor(dice), false),
        _ => (
            pick(dice, &[json!(""), json!("x"), json!(7), json!(["x"]), json!(null), json!("é\u{0}")]),
            false,
        ),
    };
    claims[name] = value;
    (format!("{name} {}", claims[name]), exact)
}

fn issuer(dice: &mut Dice) -> Value {
    pick(
        dice,
        &[
            json!("https://auth.example/tenant/"),
            json!("https://auth.example"),
            json!("HTTPS://auth.example/tenant"),
            json!("https://auth.example/other"),
            json!(""),
            json!([ISSUER]),
            json!([ISSUER, "https://other.example"]),
            json!(7),
            json!(null),
        ],
    )
}

fn audience(dice: &mut Dice) -> Value {
    pick(
        dice,
        &[
            json!([AUDIENCE]),
            json!([AUDIENCE, "https://other.example"]),
            json!(["https://other.example"]),
            json!("https://other.example"),
            json!("https://mcp.example/mcp/"),
            json!("https://mcp.example"),
            json!([]),
            json!(""),
            json!([AUDIENCE, 7]),
            json!([[AUDIENCE]]),
            json!({"0": AUDIENCE}),
            json!(7),
            json!(null),
        ],
    )
}

fn date(dice: &mut Dice, now: i64) -> (Value, bool) {
    match dice.below(6) {
        0 | 1 => (json!(now + pick(dice, &[-86_400, -900, -60, -45, -15, 15, 45, 60, 900, 86_400])), false),
        2 | 3 => (json!(now + pick(dice, &[-32, -31, -30, -29, -28, 28, 29, 30, 31, 32])), true),
        4 => (json!(pick(dice, &[now - 900, now + 900]).to_string()), false),
        _ => {
            let forms = [
                json!(-1),
                json!(1e300),
                json!(i64::MAX),
                json!(u64::MAX),
                json!(null),
                json!([now]),
                json!(true),
            ];
            (pick(dice, &forms), false)
        }
    }
}

fn confirmation(dice: &mut Dice) -> Value {
    pick(
        dice,
        &[
            json!({"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
            json!({"jkt": "short"}),
            json!({"x5t#S256": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}),
            json!("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
            json!({}),
            json!(null),
        ],
    )
}

fn actor(dice: &mut Dice) -> Value {
    pick(
        dice,
        &[
            json!({"sub": "helper"}),
            json!({"sub": "helper", "act": {"sub": "before"}}),
            json!({"sub": ""}),
            json!({}),
            json!("helper"),
            json!(null),
        ],
    )
}

/// Writes header or payload in a way that has two readings or none, and says in which.
pub fn rewrite(dice: &mut Dice, header: &mut String, payload: &mut String) -> &'static str {
    let behind = |text: &str, more: &str| text.replacen('{', &format!("{{{more},"), 1);
    match dice.below(12) {
        0 => {
            *header = behind(header, r#""alg":"none""#);
            "alg twice"
        }
        1 => {
            *header = behind(header, r#""\u0074yp":"JWT""#);
            "typ twice, once escaped"
        }
        2 => {
            *header = behind(header, r#""more":1,"more":2"#);
            "an unknown member of the header twice"
        }
        3 => {
            *payload = behind(payload, r#""aud":"https://other.example""#);
            "aud twice"
        }
        4 => {
            *payload = behind(payload, r#""\u0069ss":"https://other.example""#);
            "iss twice, once escaped"
        }
        5 => {
            *payload = behind(payload, r#""more":{"a":1,"a":2}"#);
            "a member inside a claim twice"
        }
        6 => {
            header.push(' ');
            payload.insert(0, '\n');
            "white space around both"
        }
        7 => {
            payload.push('x');
            "something behind the claims"
        }
        8 => {
            payload.insert(0, '\u{feff}');
            "a byte order mark"
        }
        9 => {
            *payload = format!("[{payload}]");
            "claims in an array"
        }
        10 => {
            *payload = behind(payload, &format!(r#""more":{}{}"#, "[".repeat(20), "]".repeat(20)));
            "twenty arrays inside each other"
        }
        _ => {
            *payload = behind(payload, r#""more":1e400"#);
            "a number that is not one"
        }
    }
}
