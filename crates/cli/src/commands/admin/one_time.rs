//! After a restore: one-time links that were used or replaced since. Each would let whoever finds it in an old message choose a
//! password, and be signed in with it (T-21).

use super::super::place::Place;
use hallpass_core::id::PersonId;
use hallpass_server::audit::{Kind, Line};
use std::collections::{BTreeMap, BTreeSet};

/// A link as the store and the lines know it: SHA-256 of its code.
type Digest = [u8; 32];

/// What became of links, by the lines.
#[derive(Default)]
pub struct Links {
    /// By person: the one that was made last, where the lines say which.
    last: BTreeMap<PersonId, Option<Digest>>,
    /// Used, so never the one that is good.
    used: BTreeSet<Digest>,
    /// Of set-ups: used. Which one, where the line says it.
    set_up: BTreeSet<Option<Digest>>,
}

impl Links {
    /// Takes a line; one about something else changes nothing.
    pub fn take(&mut self, line: &Line) {
        let (kind, digest) = (line.kind(), line.link_digest());
        if kind == Some(Kind::SetupUsed) {
            self.set_up.insert(digest);
        }
        let Some(person) = line.person_id() else { return };
        if kind == Some(Kind::InvitationMade) {
            self.last.insert(person, digest);
        }
        if kind == Some(Kind::InvitationUsed) {
            let last = self.last.entry(person).or_default();
            match digest {
                // By the link and not by the order: operators and nodes have clocks of their own.
                Some(digest) => drop(self.used.insert(digest)),
                None => *last = None,
            }
        }
    }

    /// Takes away what is in force and is not the last one, unused: how many. A link that was made after the restore stays.
    pub async fn settle(&self, place: &Place) -> anyhow::Result<u64> {
        let mut ended = 0;
        for (person, last) in &self.last {
            let keep = last.filter(|digest| !self.used.contains(digest));
            ended += u64::from(place.store.invitation_end(*person, keep, place.now).await?);
        }
        for used in &self.set_up {
            ended += u64::from(place.store.setup_code_end(*used, place.now).await?);
        }
        Ok(ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::place::PlaceArgs;
    use clap::Parser;
    use hallpass_core::{encoding, entropy::SystemEntropy, time::Timestamp};
    use hallpass_store::{FirstPerson, Person, SqliteSettings, SqliteStore};
    use serde_json::json;
    use std::time::Duration;

    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        place: PlaceArgs,
    }

    fn line(event: &str, person: PersonId, link: Option<Digest>) -> Line {
        let link = link.map(|digest| encoding::base64url(&digest));
        Line::read(&json!({"event": event, "person": person.to_string(), "link": link}).to_string()).unwrap()
    }

    fn somebody(name: &str, now: Timestamp) -> Person {
        let (name, password) = (name.to_owned(), String::new());
        let id = PersonId::new(now, &SystemEntropy);
        Person { id, name, password, epoch: 0, disabled_at: None, created_at: now }
    }

    #[tokio::test]
    async fn t_21_a_link_is_good_after_a_restore_if_it_was_made_last_and_never_used() {
        let folder = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(&folder.path().join("hallpass.sqlite"), SqliteSettings::default()).unwrap());
        let place =
            Words::parse_from(["x", "--state", folder.path().to_str().unwrap()]).place.open().await.unwrap();
        let (mine, other) = (Some([1; 32]), Some([2; 32]));
        let end = place.now.plus(Duration::from_hours(1));
        // The backup has the link 1 of each of them; what happened since, and whether it is good.
        for (name, events, good) in [
            ("untouched", &[][..], true),
            ("used", &[("invitation_used", mine)], false),
            ("replaced", &[("invitation_made", other)], false),
            ("made-before-the-backup", &[("invitation_made", mine)], true),
            (
                "used-and-made-after-the-restore",
                &[("invitation_used", other), ("invitation_made", mine)],
                true,
            ),
            ("clocks-apart", &[("invitation_made", mine), ("invitation_used", other)], true),
            ("clocks-apart-and-used", &[("invitation_used", mine), ("invitation_made", mine)], false),
            ("used-by-an-older-release", &[("invitation_used", None)], false),
            ("made-by-an-older-release", &[("invitation_made", None)], false),
        ] {
            let person = somebody(name, place.now);
            assert!(place.store.person_create(person.clone()).await.unwrap());
            assert!(place.store.invitation_put(person.id, [1; 32], end).await.unwrap());
            let mut links = Links::default();
            for (event, link) in events {
                links.take(&line(event, person.id, *link));
            }
            assert_eq!(links.settle(&place).await.unwrap(), u64::from(!good), "{name}");
            assert_eq!(links.settle(&place).await.unwrap(), 0, "{name}: twice");
            let read = place.store.invitation_read([1; 32], place.now).await.unwrap();
            assert_eq!(read.is_some_and(|found| found.id == person.id), good, "{name}");
            place.store.invitation_end(person.id, None, place.now).await.unwrap();
        }
    }

    #[tokio::test]
    async fn t_21_t_101_a_set_up_link_that_was_used_makes_nobody_after_a_restore() {
        let folder = tempfile::tempdir().unwrap();
        drop(SqliteStore::open(&folder.path().join("hallpass.sqlite"), SqliteSettings::default()).unwrap());
        let place =
            Words::parse_from(["x", "--state", folder.path().to_str().unwrap()]).place.open().await.unwrap();
        let ada = somebody("ada", place.now);
        let end = place.now.plus(Duration::from_hours(1));
        let used = |link| {
            let mut links = Links::default();
            links.take(&line("setup_used", ada.id, link));
            links
        };
        for (link, ended) in [(Some([2; 32]), 0), (Some([1; 32]), 1), (None, 1)] {
            assert!(place.store.setup_code_put([1; 32], end).await.unwrap());
            assert_eq!(used(link).settle(&place).await.unwrap(), ended);
        }
        let thief = place.store.person_create_first([1; 32], somebody("mallory", place.now), place.now).await;
        assert_eq!(thief.unwrap(), FirstPerson::WrongCode);
    }
}
