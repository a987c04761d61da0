//! The `act` claim (RFC 8693 §4.1): who acts for the subject, and who acted before it.

use serde::Serialize;
use serde_json::{Map, Value};

/// Longest chain that is read or written.
pub const MAX_ACTORS: usize = 5;
/// All names of a chain together, in bytes: a token has to fit into a header.
pub const MAX_ACTORS_LENGTH: usize = 1024;

/// As written: the one who acts now is outermost.
#[derive(Serialize)]
pub struct Act<'a> {
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<Box<Self>>,
}

/// The claim for this chain, the one who acts now first; `None` for nobody.
pub fn written(actors: &[String]) -> Option<Act<'_>> {
    let (sub, before) = actors.split_first()?;
    Some(Act { sub, act: written(before).map(Box::new) })
}

/// The chain of these claims, the one who acts now first; empty where nobody acts for the subject. `None` when it is not one
/// or too long: a chain that is cut short would hide somebody.
pub(super) fn read(claims: &Map<String, Value>) -> Option<Vec<String>> {
    let (mut actors, mut length, mut claims) = (Vec::new(), 0, claims);
    while let Some(act) = claims.get("act") {
        claims = act.as_object()?;
        // Other servers name a client by `client_id` alone.
        let name = claims.get("sub").or_else(|| claims.get("client_id"))?.as_str()?;
        length += name.len();
        if name.is_empty() || actors.len() == MAX_ACTORS || length > MAX_ACTORS_LENGTH {
            return None;
        }
        actors.push(name.to_owned());
    }
    Some(actors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read_json(claims: &Value) -> Option<Vec<String>> {
        read(claims.as_object().unwrap())
    }

    #[test]
    fn as_177_a_chain_is_read_as_it_was_written() {
        for count in 0..=MAX_ACTORS {
            let actors: Vec<String> = (0..count).map(|n| format!("client-{n}")).collect();
            let mut claims = json!({ "sub": "somebody" });
            if let Some(act) = written(&actors) {
                claims["act"] = serde_json::to_value(act).unwrap();
            }
            assert_eq!(read_json(&claims), Some(actors));
        }
        let chain = ["now".to_owned(), "before".to_owned()];
        let act = written(&chain);
        assert_eq!(serde_json::to_string(&act).unwrap(), r#"{"sub":"now","act":{"sub":"before"}}"#);
    }

    #[test]
    fn as_177_what_is_no_chain_or_too_long_is_refused_and_never_cut_short() {
        for bad in [
            json!("client"),
            json!(null),
            json!([{ "sub": "a" }]),
            json!({}),
            json!({ "sub": "" }),
            json!({ "sub": 7 }),
            json!({ "sub": "a", "act": {} }),
            json!({ "sub": "a".repeat(MAX_ACTORS_LENGTH + 1) }),
        ] {
            assert_eq!(read_json(&json!({ "act": bad })), None, "{bad}");
        }
        let deep: Vec<String> = (0..=MAX_ACTORS).map(|n| n.to_string()).collect();
        assert_eq!(read_json(&json!({ "act": written(&deep) })), None);
    }
}
