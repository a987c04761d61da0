//! `hallpass user second-factor`: whether somebody has one, and the way out for who has lost theirs.

use super::super::place::Place;
use crate::{output::note, say};
use anyhow::bail;
use hallpass_server::audit::{By, Event, Who};
use hallpass_store::SecondFactor;

/// Shows it, or takes it away.
pub async fn run(place: &Place, name: &str, remove: bool, json: bool) -> anyhow::Result<()> {
    let person = place.person(name).await?;
    let factor = place.store.second_factor_read(person.id).await?;
    if !remove {
        if json {
            let row = serde_json::json!({ "name": person.name, "second_factor": described(factor.as_ref()) });
            say!("{}", serde_json::to_string_pretty(&row)?);
        } else {
            say!("{}", words(factor.as_ref()));
        }
        return Ok(());
    }
    let removed = match &factor {
        Some(factor) => place.store.second_factor_remove(person.id, factor.id).await?,
        None => false,
    };
    if !removed {
        bail!("{} has no second factor", person.name);
    }
    place.record(&[Event::second_factor_off(Who::of(&person), By::Operator)]).await?;
    if json {
        say!("{}", serde_json::json!({ "name": person.name, "second_factor": null }));
    }
    note(&format!(
        "{} signs in without a second factor now. If the phone may be in other hands: `hallpass user sign-out {}`",
        person.name, person.name
    ));
    Ok(())
}

/// For `--json`; null for nothing.
pub fn described(factor: Option<&SecondFactor>) -> serde_json::Value {
    factor.map_or(serde_json::Value::Null, |factor| {
        serde_json::json!({
            "turned_on_at": factor.turned_on_at.to_rfc3339(), "recovery_codes_left": factor.codes_left,
        })
    })
}

/// For people.
pub fn words(factor: Option<&SecondFactor>) -> String {
    factor.map_or_else(
        || "no second factor".to_owned(),
        |factor| {
            let (since, left) = (factor.turned_on_at.to_rfc3339(), factor.codes_left);
            format!("an authenticator app since {since}, {left} recovery code(s) left")
        },
    )
}
