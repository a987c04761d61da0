//! `[database]`: a file in the state folder, or PostgreSQL for several nodes.

use super::Check;
use hallpass_core::secret::SecretString;
use hallpass_store::{PostgresSettings, postgres};
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;

/// `[database]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseEntry {
    /// "postgres://user@host/database".
    pub url: Option<Spanned<String>>,
    /// A file that holds it, so that no password stands in the configuration.
    pub url_file: Option<Spanned<String>>,
    /// Connections of this node at a time.
    pub connections: Option<Spanned<u16>>,
}

/// Where everything is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    /// SQLite in the state folder.
    File,
    /// PostgreSQL.
    Server {
        /// Where. It may hold a password.
        url: SecretString,
        /// Connections of this node at a time.
        connections: usize,
    },
}

impl Check<'_> {
    pub(super) fn database(
        &mut self,
        table: Option<&Spanned<DatabaseEntry>>,
        folder: &Path,
        without_tls: bool,
    ) -> Database {
        let Some(table) = table else { return Database::File };
        let entry = table.get_ref();
        let (at, url) = match (&entry.url, &entry.url_file) {
            (None, None) => {
                match &entry.connections {
                    Some(at) => self.wrong(
                        at,
                        "connections is only for a database server",
                        "add url_file, or remove connections",
                    ),
                    None => self.wrong(
                        table,
                        "[database] names no database",
                        "add url_file = \"database-url\"; or remove [database] for a file in the state folder",
                    ),
                }
                return Database::File;
            }
            (Some(_), Some(at)) => {
                self.wrong(at, "there are url and url_file", "keep one of them");
                return Database::File;
            }
            (Some(at), None) => (at, SecretString::new(at.get_ref())),
            (None, Some(at)) => match self.file(at, folder) {
                Some(text) => (at, SecretString::new(text.trim())),
                None => return Database::File,
            },
        };
        match postgres::check_url(&PostgresSettings::new(url.clone())) {
            Err(what) => self.wrong(at, what, "for example \"postgres://hallpass@db.example.com/hallpass\""),
            Ok(postgres::Transport::Open) if !without_tls => self.wrong(
                at,
                "the database URL says sslmode=disable for another machine: passwords and sessions would cross the network in the open",
                "remove sslmode=disable, or set database_without_tls = true under [dangerous]",
            ),
            Ok(postgres::Transport::Open | postgres::Transport::Guarded) => {}
        }
        let usual = PostgresSettings::new(SecretString::new("")).connections;
        let connections = match &entry.connections {
            None => usual,
            Some(at) => {
                if *at.get_ref() == 0 {
                    self.wrong(at, "no connection could be made", "write 1 or more; the default is 32");
                }
                usize::from(*at.get_ref())
            }
        };
        Database::Server { url, connections }
    }
}
