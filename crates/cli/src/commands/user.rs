//! `hallpass user`: accounts, with the same power as the pages and more.

mod link;
mod second_factor;
mod sessions;

use super::{
    grants::Pages,
    place::{Place, PlaceArgs},
};
use crate::{
    output::{agreed, note},
    say,
};
use anyhow::bail;
use clap::Subcommand;
use hallpass_core::{entropy::SystemEntropy, id::PersonId, time::Timestamp};
use hallpass_server::{
    OneTimeLink,
    audit::{By, Event, Who},
};
use hallpass_store::{Link, Person, SecondFactor};
use std::process::ExitCode;

/// `hallpass user`.
#[derive(Subcommand, Debug)]
pub enum UserCommand {
    /// List the accounts.
    List {
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Make an account and print a one-time link with which its person chooses a password.
    Add {
        /// The name to sign in with.
        name: String,
        /// The link in a JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Print a one-time link to choose a new password, for who forgot theirs. Using it signs the account out everywhere.
    Recover {
        /// The name.
        name: String,
        /// The link in a JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Show one account.
    Show {
        /// The name.
        name: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Remove an account for good, with everything it allowed. Its name is free for somebody else then.
    Remove {
        /// The name.
        name: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Sign an account out everywhere and take back all access it gave.
    SignOut {
        /// The name.
        name: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// List the browsers in which somebody is signed in, the newest first.
    Sessions {
        /// The name.
        name: String,
        /// One JSON array.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Sign somebody out in one browser. What they allowed in it stays.
    EndSession {
        /// The name.
        name: String,
        /// Which, as `hallpass user sessions` lists it.
        id: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Link an account to whom an identity provider means: that person signs in to it from now on.
    Link {
        /// The name.
        name: String,
        #[command(flatten)]
        who: link::WhoThere,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Take such a link away. Where the account is signed in, and what it allowed, stays: `hallpass user sign-out` ends it.
    Unlink {
        /// The name.
        name: String,
        #[command(flatten)]
        who: link::WhoThere,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Say whether an account has a second factor, or take it away from who has lost phone and recovery codes.
    SecondFactor {
        /// The name.
        name: String,
        /// Take it away: the password, or the sign-in at a provider, is enough then.
        #[arg(long)]
        remove: bool,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Disable an account: nobody signs in, and all access it gave ends.
    Disable {
        /// The name.
        name: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Enable a disabled account again. Access that it gave before does not come back.
    Enable {
        /// The name.
        name: String,
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// Runs it.
pub async fn run(command: UserCommand) -> anyhow::Result<ExitCode> {
    match command {
        UserCommand::List { json, place } => list(&place.open().await?, json).await?,
        UserCommand::Add { name, json, place } => add(&place.open().await?, &name, json).await?,
        UserCommand::Recover { name, json, place } => {
            let place = place.open().await?;
            invite(&place, &place.person(&name).await?, json).await?;
        }
        UserCommand::Show { name, json, place } => show(&place.open().await?, &name, json).await?,
        UserCommand::Remove { name, yes, json, place } => {
            remove(&place.open().await?, &name, yes, json).await?;
        }
        UserCommand::SignOut { name, json, place } => sign_out(&place.open().await?, &name, json).await?,
        UserCommand::Sessions { name, json, place } => {
            sessions::list(&place.open().await?, &name, json).await?;
        }
        UserCommand::EndSession { name, id, json, place } => {
            sessions::end(&place.open().await?, &name, &id, json).await?;
        }
        UserCommand::Link { name, who, place } => link::link(&place.open().await?, &name, &who).await?,
        UserCommand::Unlink { name, who, place } => link::unlink(&place.open().await?, &name, &who).await?,
        UserCommand::SecondFactor { name, remove, json, place } => {
            second_factor::run(&place.open().await?, &name, remove, json).await?;
        }
        UserCommand::Disable { name, json, place } => {
            switch(&place.open().await?, &name, true, json).await?;
        }
        UserCommand::Enable { name, json, place } => {
            switch(&place.open().await?, &name, false, json).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(place: &Place, json: bool) -> anyhow::Result<()> {
    let mut people: Vec<Person> = Vec::new();
    loop {
        let page = place.store.people_list(people.last().map(|person| person.id), 500).await?;
        if page.is_empty() {
            break;
        }
        people.extend(page);
    }
    let mut rows = Vec::new();
    for person in &people {
        let links = place.store.links_of_person(person.id).await?;
        let factor = place.store.second_factor_read(person.id).await?;
        if json {
            rows.push(described(person, &links, factor.as_ref()));
        } else {
            let at: Vec<String> =
                links.iter().map(|link| format!("  {} at {}", link.subject, link.issuer)).collect();
            let second = if factor.is_some() { "  second factor" } else { "" };
            say!("{}  {:8}  {}{}{second}", person.id, state(person, &links), person.name, at.concat());
        }
    }
    if json {
        say!("{}", serde_json::to_string_pretty(&rows)?);
    }
    Ok(())
}

const fn state(person: &Person, links: &[Link]) -> &'static str {
    match (person.disabled_at, person.password.is_empty() && links.is_empty()) {
        (Some(_), _) => "disabled",
        (None, true) => "invited",
        (None, false) => "active",
    }
}

fn described(person: &Person, links: &[Link], factor: Option<&SecondFactor>) -> serde_json::Value {
    let links: Vec<_> = links.iter().map(link::described).collect();
    serde_json::json!({
        "id": person.id.to_string(), "name": person.name, "disabled": person.disabled_at.is_some(),
        "password": !person.password.is_empty(), "created_at": person.created_at.to_rfc3339(), "links": links,
        "second_factor": second_factor::described(factor),
    })
}

async fn show(place: &Place, name: &str, json: bool) -> anyhow::Result<()> {
    let person = place.person(name).await?;
    let (mut pages, mut grants) = (Pages::of_person(place, person.id), 0);
    while let Some(page) = pages.next().await? {
        grants += page.len();
    }
    let browsers = sessions::of(place, person.id).await?.len();
    let links = place.store.links_of_person(person.id).await?;
    let factor = place.store.second_factor_read(person.id).await?;
    if json {
        let mut row = described(&person, &links, factor.as_ref());
        if let Some(row) = row.as_object_mut() {
            row.insert("grants".to_owned(), grants.into());
            row.insert("sessions".to_owned(), browsers.into());
            row.insert("disabled_at".to_owned(), person.disabled_at.map(Timestamp::to_rfc3339).into());
            row.insert("epoch".to_owned(), person.epoch.into());
        }
        say!("{}", serde_json::to_string_pretty(&row)?);
        return Ok(());
    }
    say!("id       {}", person.id);
    say!("name     {}", person.name);
    say!("state    {}", state(&person, &links));
    say!("since    {}", person.created_at.to_rfc3339());
    if let Some(at) = person.disabled_at {
        say!("disabled {}", at.to_rfc3339());
    }
    for one in &links {
        say!("link     {} at {}, {}", one.subject, one.issuer, link::words(one));
    }
    say!("second   {}", second_factor::words(factor.as_ref()));
    say!("browsers {browsers} (hallpass user sessions {})", person.name);
    say!("grants   {grants} (hallpass grant list --user {})", person.name);
    Ok(())
}

/// What was done to an account, for `--json`.
fn done(person: &Person, (what, is): (&str, bool)) {
    say!("{}", serde_json::json!({ "id": person.id.to_string(), "name": person.name, what: is }));
}

async fn sign_out(place: &Place, name: &str, json: bool) -> anyhow::Result<()> {
    let person = place.person(name).await?;
    let until = place.tokens_until();
    if let Some(epoch) = place.store.person_epoch_raise(person.id, until, place.now).await? {
        let who = Who::of(&person);
        place.record(&[Event::signed_out_everywhere(who, epoch, until, By::Operator)]).await?;
    }
    if json {
        done(&person, ("signed_out_everywhere", true));
    }
    note(&format!("{} is signed out everywhere, and all access is taken back", person.name));
    Ok(())
}

async fn switch(place: &Place, name: &str, disabled: bool, json: bool) -> anyhow::Result<()> {
    let person = place.person(name).await?;
    able(place, &person, disabled).await?;
    if json {
        done(&person, ("disabled", disabled));
    }
    Ok(())
}

async fn remove(place: &Place, name: &str, yes: bool, json: bool) -> anyhow::Result<()> {
    let person = place.person(name).await?;
    let question = format!("Remove the account {} with all access that it gave, for good?", person.name);
    if !yes && !agreed(&question) {
        bail!("nothing was done: say --yes, or `hallpass user disable` for what can be undone");
    }
    let until = place.tokens_until();
    if let Some(epoch) = place.store.person_remove(person.id, until).await? {
        place.record(&[Event::person_removed(Who::of(&person), epoch, until)]).await?;
    }
    if json {
        done(&person, ("removed", true));
    }
    note(&format!("{} is removed", person.name));
    if !place.store.person_exists().await? {
        note("no account is left: `hallpass admin recover` prints the link for a new first one");
    }
    Ok(())
}

async fn add(place: &Place, name: &str, json: bool) -> anyhow::Result<()> {
    let folded = hallpass_server::fold_name(name);
    if let Some(complaint) = hallpass_server::name_complaint(&folded) {
        bail!("{complaint}");
    }
    let person = Person {
        id: PersonId::new(place.now, &SystemEntropy),
        name: folded,
        password: String::new(),
        epoch: 0,
        disabled_at: None,
        created_at: place.now,
    };
    if !place.store.person_create(person.clone()).await? {
        bail!("there is an account {name:?} already: `hallpass user recover` makes a new link for it");
    }
    place.record(&[Event::person_created(Who::of(&person))]).await?;
    if !place.settings.sign_in.passwords {
        if json {
            say!("{}", linked(&person, None));
        }
        note(&format!(
            "{} is there: `hallpass user link` says whom an identity provider means by it",
            person.name
        ));
        return Ok(());
    }
    invite(place, &person, json).await
}

fn linked(person: &Person, link: Option<&OneTimeLink>) -> serde_json::Value {
    serde_json::json!({
        "id": person.id.to_string(), "name": person.name, "link": link.map(|one| one.link.expose()),
        "expires_at": link.map(|one| one.expires_at.to_rfc3339()),
    })
}

/// Prints a one-time link for this person.
pub async fn invite(place: &Place, person: &Person, json: bool) -> anyhow::Result<()> {
    if !place.settings.sign_in.passwords {
        bail!(
            "passwords are off in [sign_in]: `hallpass user link` lets people in who sign in at a provider"
        );
    }
    let link = hallpass_server::invitation_link(&*place.store, &place.settings, person.id, place.now).await?;
    place.record(&[Event::invitation_made(Who::of(person), &link.digest)]).await?;
    if json {
        say!("{}", linked(person, Some(&link)));
    } else {
        say!("{}", link.link.expose());
    }
    note(&format!("Give this link to {}: it works once and for one day.", person.name));
    if place.store.second_factor_read(person.id).await?.is_some() {
        note(&format!(
            "{} has a second factor, which is asked for after it. `hallpass user second-factor {} --remove` takes it away.",
            person.name, person.name
        ));
    }
    Ok(())
}

/// Disables or enables an account.
pub async fn able(place: &Place, person: &Person, disabled: bool) -> anyhow::Result<()> {
    let until = place.tokens_until();
    place.store.person_disable(person.id, disabled, until, place.now).await?;
    let epoch = place.store.person_read(person.id).await?.map_or(person.epoch, |person| person.epoch);
    let who = Who::of(person);
    let event = if disabled { Event::person_disabled(who, epoch, until) } else { Event::person_enabled(who) };
    place.record(&[event]).await?;
    note(&format!("{} is {}", person.name, if disabled { "disabled" } else { "enabled" }));
    Ok(())
}
