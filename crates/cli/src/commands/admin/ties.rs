//! After a restore: accounts elsewhere that were unlinked since, and services that were disconnected. Both would let somebody in,
//! or lend an account, that a person or an operator had taken back.

use super::super::place::Place;
use hallpass_core::id::PersonId;
use hallpass_server::audit::{Kind, Line};
use std::collections::BTreeMap;

/// Whether each of them was taken back last, by the lines.
#[derive(Default)]
pub struct Ties {
    /// By person, issuer and subject.
    links: BTreeMap<(PersonId, String, String), bool>,
    /// By person and the name of the connection.
    connections: BTreeMap<(PersonId, String), bool>,
}

impl Ties {
    /// Takes a line about a link.
    pub fn link(&mut self, place: &Place, line: &Line) {
        let (Some(person), Some(at)) = (line.person_id(), &line.receiver) else { return };
        // An account page names the provider, a command its issuer.
        let provider = place.settings.sign_in.providers.iter().find(|provider| provider.name() == at);
        let issuer = provider.map_or_else(|| at.clone(), |provider| provider.issuer.as_str().to_owned());
        let subject = line.client_name.clone().unwrap_or_default();
        self.links.insert((person, issuer, subject), line.kind() == Some(Kind::AccountUnlinked));
    }

    /// Takes a line about a connection.
    pub fn connection(&mut self, line: &Line) {
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
        id::{ConnectionId, LinkId},
    };
    use hallpass_store::{NewConnection, NewLink, Person, SqliteSettings, SqliteStore};
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
            ties.link(&place, &line(event, id, at, subject));
        }
        for (event, at) in [("disconnected", "git"), ("disconnected", "mail"), ("connected", "mail")] {
            ties.connection(&line(event, id, at, ""));
        }
        assert_eq!(ties.settle(&place).await.unwrap(), (2, 1));
        let links = place.store.links_of_person(id).await.unwrap();
        assert_eq!(links.iter().map(|link| &*link.subject).collect::<Vec<_>>(), ["two"]);
        let connections = place.store.connections_of_person(id).await.unwrap();
        assert_eq!(connections.iter().map(|row| &*row.name).collect::<Vec<_>>(), ["mail"]);
        assert_eq!(ties.settle(&place).await.unwrap(), (0, 0));
    }
}
