//! After a restore: accounts elsewhere that were unlinked since, and services that were disconnected. Both would let somebody in,
//! or lend an account, that a person or an operator had taken back. And second factors, which nobody but the person can turn on
//! again: who has to is named.

use super::super::place::Place;
use crate::output::note;
use hallpass_core::{id::PersonId, time::Timestamp};
use hallpass_server::audit::{Kind, Line};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// A line is written when its row is, give or take this.
const SLACK: Duration = Duration::from_secs(5);

/// Whether lines of this kind matter here.
pub const fn concerns(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::AccountLinked
            | Kind::AccountUnlinked
            | Kind::Connected
            | Kind::Disconnected
            | Kind::SecondFactorOn
            | Kind::SecondFactorOff
            | Kind::RecoveryCodesMade
            | Kind::RecoveryCodeUsed
    )
}

/// Whether each of them was taken back last, by the lines.
#[derive(Default)]
pub struct Ties {
    /// By person, issuer and subject.
    links: BTreeMap<(PersonId, String, String), bool>,
    /// By person and the name of the connection.
    connections: BTreeMap<(PersonId, String), bool>,
    /// By person: the name, and since when there is a second factor, if there is one.
    factors: BTreeMap<PersonId, (String, Option<Timestamp>)>,
    /// By person: the name of who used recovery codes and made no new ones.
    codes: BTreeMap<PersonId, String>,
}

/// Whose second factor is not what it was, by name.
#[derive(Default)]
pub struct Factors {
    /// It was turned on since, or replaced: there is none, or the older one.
    pub gone: BTreeSet<String>,
    /// It was turned off since: it is asked for again.
    pub back: BTreeSet<String>,
    /// Recovery codes were used since: they are good once more.
    pub codes: BTreeSet<String>,
}

impl Factors {
    /// Says what there is to do.
    pub fn say(&self) {
        for name in &self.gone {
            note(&format!(
                "{name} turned on a second factor since, and it is gone: have it turned on again, after `hallpass user sign-out {name}` \
                 if somebody else may have the password"
            ));
        }
        for name in &self.back {
            note(&format!(
                "the second factor of {name} was turned off since, and is asked for again: `hallpass user second-factor {name} --remove`"
            ));
        }
        for name in &self.codes {
            note(&format!(
                "{name} used a recovery code since, and it is good again: have new ones made at the account page"
            ));
        }
    }
}

impl Ties {
    /// Takes a line that [`concerns`] this; no other changes anything.
    pub fn take(&mut self, place: &Place, line: &Line, kind: Kind) {
        if matches!(kind, Kind::AccountLinked | Kind::AccountUnlinked) {
            self.link(place, line);
        } else if matches!(kind, Kind::Connected | Kind::Disconnected) {
            self.connection(line);
        } else if concerns(kind) {
            self.factor(line, kind);
        }
    }

    fn factor(&mut self, line: &Line, kind: Kind) {
        let Some(person) = line.person_id() else { return };
        let name = line.name.clone().unwrap_or_default();
        if kind == Kind::RecoveryCodeUsed {
            self.codes.insert(person, name);
            return;
        }
        // Each of the others makes new codes, or leaves none.
        self.codes.remove(&person);
        if matches!(kind, Kind::SecondFactorOn | Kind::SecondFactorOff) {
            let since = line.time().filter(|_| kind == Kind::SecondFactorOn);
            self.factors.insert(person, (name, since));
        }
    }

    /// Whose second factor is not what it was last, by the lines.
    pub async fn factors(&self, place: &Place) -> anyhow::Result<Factors> {
        let mut found = Factors::default();
        for (person, (name, since)) in &self.factors {
            if place.store.person_read(*person).await?.is_none() {
                continue;
            }
            let here = place.store.second_factor_read(*person).await?;
            match (since, here) {
                (Some(since), Some(here)) if here.turned_on_at.plus(SLACK) >= *since => {}
                (Some(_), _) => drop(found.gone.insert(name.clone())),
                (None, Some(_)) => drop(found.back.insert(name.clone())),
                (None, None) => {}
            }
        }
        for (person, name) in &self.codes {
            if place.store.second_factor_read(*person).await?.is_some() && !found.gone.contains(name) {
                found.codes.insert(name.clone());
            }
        }
        Ok(found)
    }

    /// Takes a line about a link.
    fn link(&mut self, place: &Place, line: &Line) {
        let (Some(person), Some(at)) = (line.person_id(), &line.receiver) else { return };
        // An account page names the provider, a command its issuer.
        let provider = place.settings.sign_in.providers.iter().find(|provider| provider.name() == at);
        let issuer = provider.map_or_else(|| at.clone(), |provider| provider.issuer.as_str().to_owned());
        let subject = line.client_name.clone().unwrap_or_default();
        self.links.insert((person, issuer, subject), line.kind() == Some(Kind::AccountUnlinked));
    }

    /// Takes a line about a connection.
    fn connection(&mut self, line: &Line) {
        let (Some(person), Some(name)) = (line.person_id(), line.receiver.clone()) else { return };
        self.connections.insert((person, name), line.kind() == Some(Kind::Disconnected));
    }

    /// Takes back again what was taken back last: how many links, and how many connections.
    pub async fn settle(&self, place: &Place) -> anyhow::Result<(u64, u64)> {
        let (mut unlinked, mut disconnected) = (0, 0);
        for (person, issuer, subject) in ended(&self.links) {
            for link in place.store.links_of_person(*person).await? {
                // A line holds the beginning of a long one.
                if link.issuer == *issuer && hallpass_server::audit::cut(&link.subject) == subject {
                    unlinked += u64::from(place.store.link_remove(link.id, *person).await?);
                }
            }
        }
        for (person, name) in ended(&self.connections) {
            for connection in place.store.connections_of_person(*person).await? {
                if connection.name == *name {
                    disconnected += u64::from(place.store.connection_remove(connection.id, *person).await?);
                }
            }
        }
        Ok((unlinked, disconnected))
    }
}

fn ended<K>(all: &BTreeMap<K, bool>) -> impl Iterator<Item = &K> {
    all.iter().filter(|(_, ended)| **ended).map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::place::PlaceArgs;
    use clap::Parser;
    use hallpass_core::{
        entropy::SystemEntropy,
        id::{ConnectionId, FactorId, LinkId},
    };
    use hallpass_store::{NewConnection, NewLink, NewSecondFactor, Person, SqliteSettings, SqliteStore};
    use serde_json::json;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        place: PlaceArgs,
    }

    fn line(event: &str, person: PersonId, at: &str, subject: &str) -> Line {
        let written =
            json!({"event": event, "person": person.to_string(), "receiver": at, "client_name": subject});
        Line::read(&written.to_string()).unwrap()
    }

    #[tokio::test]
    async fn t_21_what_was_unlinked_and_disconnected_last_is_so_again_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(&folder.path().join("hallpass.sqlite"), SqliteSettings::default()).unwrap());
        let place =
            Words::parse_from(["x", "--state", folder.path().to_str().unwrap()]).place.open().await.unwrap();
        let id = PersonId::new(place.now, &SystemEntropy);
        let (name, password) = ("ada".to_owned(), String::new());
        let ada = Person { id, name, password, epoch: 0, disabled_at: None, created_at: place.now };
        assert!(place.store.person_create(ada).await.unwrap());
        let long = "s".repeat(250);
        for subject in ["one", "two", &long] {
            let (issuer, subject) = ("https://login.example.com".to_owned(), subject.to_owned());
            let link_id = LinkId::new(place.now, &SystemEntropy);
            let link = NewLink { id: link_id, issuer, subject, person: id, linked_at: place.now };
            place.store.link_put(link).await.unwrap();
        }
        for name in ["git", "mail"] {
            let connection_id = ConnectionId::new(place.now, &SystemEntropy);
            let (name, sealed) = (name.to_owned(), vec![0]);
            let row = NewConnection {
                id: connection_id,
                person: id,
                epoch: 0,
                name,
                sealed,
                connected_at: place.now,
            };
            assert!(place.store.connection_put(row).await.unwrap());
        }
        let mut ties = Ties::default();
        for (event, at, subject) in [
            ("account_unlinked", "https://login.example.com", "one"),
            ("account_unlinked", "https://login.example.com", "two"),
            ("account_linked", "https://login.example.com", "two"),
            ("account_unlinked", "https://login.example.com", &long[..200]),
            ("account_unlinked", "https://other.example.com", "two"),
        ] {
            ties.take(&place, &line(event, id, at, subject), kind_of(event));
        }
        for (event, at) in [("disconnected", "git"), ("disconnected", "mail"), ("connected", "mail")] {
            ties.take(&place, &line(event, id, at, ""), kind_of(event));
        }
        assert_eq!(ties.settle(&place).await.unwrap(), (2, 1));
        let links = place.store.links_of_person(id).await.unwrap();
        assert_eq!(links.iter().map(|link| &*link.subject).collect::<Vec<_>>(), ["two"]);
        let connections = place.store.connections_of_person(id).await.unwrap();
        assert_eq!(connections.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["mail"]);
        assert_eq!(ties.settle(&place).await.unwrap(), (0, 0));
    }

    fn kind_of(event: &str) -> Kind {
        Kind::ALL.iter().copied().find(|kind| kind.name() == event).unwrap()
    }

    #[tokio::test]
    async fn t_21_whose_second_factor_is_not_what_it_was_is_named() {
        let folder = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(&folder.path().join("hallpass.sqlite"), SqliteSettings::default()).unwrap());
        let place =
            Words::parse_from(["x", "--state", folder.path().to_str().unwrap()]).place.open().await.unwrap();
        let mut ties = Ties::default();
        // Before the backup, each of these but `new` and `gone` had one.
        for (name, lines) in [
            ("new", &["second_factor_on"][..]),
            ("replaced", &["second_factor_on"]),
            ("off", &["second_factor_off"]),
            ("used", &["recovery_code_used"]),
            ("used-and-made", &["recovery_code_used", "recovery_codes_made"]),
            ("gone", &["second_factor_on", "second_factor_off"]),
        ] {
            let id = PersonId::new(place.now, &SystemEntropy);
            let (password, name) = (String::new(), name.to_owned());
            let person = Person {
                id,
                name: name.clone(),
                password,
                epoch: 0,
                disabled_at: None,
                created_at: place.now,
            };
            assert!(place.store.person_create(person).await.unwrap());
            if name != "new" && name != "gone" {
                let factor = FactorId::new(place.now, &SystemEntropy);
                let new = NewSecondFactor {
                    person: id,
                    epoch: 0,
                    id: factor,
                    sealed: vec![0],
                    turned_on_at: place.now,
                    step: 0,
                    replaces: None,
                    codes: Vec::new(),
                    session: None,
                };
                assert!(place.store.second_factor_put(new).await.unwrap());
            }
            for event in lines {
                let at = place.now.plus(Duration::from_hours(1)).to_rfc3339();
                let written = json!({"event": event, "person": id.to_string(), "name": name, "at": at});
                ties.take(&place, &Line::read(&written.to_string()).unwrap(), kind_of(event));
            }
        }
        let found = ties.factors(&place).await.unwrap();
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(names(&found.gone), "new replaced");
        assert_eq!(names(&found.back), "off");
        assert_eq!(names(&found.codes), "used");
    }
}
