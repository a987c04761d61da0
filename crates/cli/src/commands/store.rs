//! `hallpass store`: a backup while the server runs, and the way from a file to a server and back.

use super::place::PlaceArgs;
use crate::{
    config::{self, Database},
    output::note,
    say,
    state::StateFolder,
};
use anyhow::bail;
use clap::Subcommand;
use hallpass_store::{
    PostgresSettings, StoreError,
    copy::{self, Place},
    sqlite,
};
use serde_json::{Value, json};
use std::{
    error::Error as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// `hallpass store`.
#[derive(Subcommand, Debug)]
#[command(after_help = "\
From one file to PostgreSQL, with hallpass.toml naming the new [database]:
  hallpass store copy --from .hallpass --to hallpass.toml
and back:
  hallpass store copy --from hallpass.toml --to FOLDER")]
pub enum StoreCommand {
    /// Write what is kept now to a new file, while the server runs. Keep it apart from master.key.
    Backup {
        /// The new file. Only its owner can read it.
        file: PathBuf,
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Copy everything from one place to another: accounts, grants, keys, all. Stop the server first.
    ///
    /// The source stays as it is. The target gets everything or nothing: it is read back and compared before it counts.
    Copy {
        /// A state folder, or a configuration file (.toml): what its [database] names.
        #[arg(long, value_name = "PLACE")]
        from: PathBuf,
        /// The same. A folder is made if there is none.
        #[arg(long, value_name = "PLACE")]
        to: PathBuf,
        /// Lose what the target holds.
        #[arg(long)]
        replace: bool,
        /// One JSON array of tables and rows.
        #[arg(long)]
        json: bool,
    },
}

/// Runs it.
pub async fn run(command: StoreCommand) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Backup { file, place } => backup(&file, &place)?,
        StoreCommand::Copy { from, to, replace, json } => copy_all(&from, &to, replace, json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn backup(file: &Path, place: &PlaceArgs) -> anyhow::Result<()> {
    let config = place.config()?;
    if config.database != Database::File {
        bail!("what is kept is in PostgreSQL: back it up with pg_dump, it needs nobody to stop");
    }
    let database = config.state.join("hallpass.sqlite");
    let bytes = sqlite::backup(&database, file).map_err(|error| words(&error))?;
    note(&format!(
        "{} holds {bytes} bytes; it is of no use without {}: keep a copy of that somewhere else",
        file.display(),
        config.state.join("master.key").display()
    ));
    Ok(())
}

async fn copy_all(from: &Path, to: &Path, replace: bool, as_json: bool) -> anyhow::Result<()> {
    let (source, target) = (Side::read(from)?, Side::read(to)?);
    if source.is(&target) {
        bail!("--from and --to are the same place: name another one to copy to");
    }
    let key = target.key_to_bring(&source)?;
    note(&format!("from {}\nto   {}", source.said(), target.said()));
    if let Place::File(_) = target.place {
        StateFolder::open(&target.state)?;
    }
    let copied = copy::copy(source.place, target.place, replace).await.map_err(|error| words(&error))?;
    if as_json {
        let list = copied.iter().map(|table| json!({ "table": table.table, "rows": table.rows }));
        say!("{}", Value::Array(list.collect()));
    } else {
        for table in &copied {
            say!("{:14} {}", table.table, table.rows);
        }
    }
    let rows: u64 = copied.iter().map(|table| table.rows).sum();
    note(&format!("{rows} rows copied, read back and found the same"));
    if let Some(sentence) = key {
        note(&sentence);
    }
    Ok(())
}

/// One end of the way.
struct Side {
    place: Place,
    /// Where its master key is.
    state: PathBuf,
}

impl Side {
    fn read(named: &Path) -> anyhow::Result<Self> {
        // Not repeated: there may be a password in it.
        if named.to_str().is_some_and(|named| named.contains("://")) {
            bail!(
                "--from and --to take a state folder or a configuration file, never a URL: name the database in a file's [database] (url_file), where no list of processes shows its password"
            );
        }
        if named.extension().is_none_or(|extension| extension != "toml") {
            let place = Place::File(named.join("hallpass.sqlite"));
            return Ok(Self { place, state: named.to_owned() });
        }
        let config = config::read(named).map_err(|problems| {
            anyhow::anyhow!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })?;
        let place = match &config.database {
            Database::File => Place::File(config.state.join("hallpass.sqlite")),
            Database::Server { url, .. } => Place::Server(PostgresSettings {
                extra_ca: config.extra_ca.clone(),
                ..PostgresSettings::new(url.clone())
            }),
        };
        Ok(Self { place, state: config.state })
    }

    /// Whether both are one file, however it is spelt.
    fn is(&self, other: &Self) -> bool {
        let (Place::File(one), Place::File(two)) = (&self.place, &other.place) else { return false };
        one == two || one.canonicalize().is_ok_and(|one| two.canonicalize().is_ok_and(|two| one == two))
    }

    /// Without the URL: there may be a password in it.
    fn said(&self) -> String {
        match &self.place {
            Place::File(path) => format!("the file {}", path.display()),
            Place::Server(_) => "the PostgreSQL database of the configuration".to_owned(),
        }
    }

    /// What is copied is void without its master key. Another one beside the target is refused before anything is done.
    fn key_to_bring(&self, source: &Self) -> anyhow::Result<Option<String>> {
        let [theirs, ours] = [&source.state, &self.state].map(|folder| folder.join("master.key"));
        let wanted = StateFolder::open(&source.state)?.key_file()?;
        if !ours.exists() {
            return Ok(Some(format!(
                "now copy {} to {}: without it nothing there can be read",
                theirs.display(),
                ours.display()
            )));
        }
        if !StateFolder::open(&self.state)?.key_file()?.contains(&wanted) {
            bail!(
                "{} and {} differ, and what is copied is void without its own: put the first in the place of the second",
                theirs.display(),
                ours.display()
            );
        }
        Ok(None)
    }
}

fn words(error: &StoreError) -> anyhow::Error {
    let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    anyhow::anyhow!("{reason}")
}
