//! `hallpass keyring`: where the key of the kept sign-ins is. Also where a new one goes.

mod offered;

pub use offered::{offered, say_where};

use super::login::ClientArgs;
use crate::output::note;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use hallpass_client::storage::KeyCommand;
use hallpass_core::{encoding::base64url, entropy::SystemEntropy, secret::SecretString};
use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

/// `hallpass keyring`.
#[derive(Subcommand, Debug)]
pub enum KeyringCommand {
    /// Move the key out of its file into the keyring of this system.
    On(OnArgs),
    /// Bring the key back into its file.
    Off(OffArgs),
}

/// `hallpass keyring on`.
#[derive(Args, Debug)]
#[command(after_help = "\
On Linux the keyring is the Secret Service of your desktop (GNOME, KDE, KeePassXC), reached by the program secret-tool; on macOS \
the Keychain. The folder then says where the key is, and all processes that use it look there: also those over SSH or of a timer, \
where the keyring may be locked.

A key that a sign-in in a desktop session makes new goes there by itself where the keyring answers; HALLPASS_CLIENT_KEYRING=off, or \
`hallpass keyring off` before the first sign-in, keeps it in its file.

Any other place, with a command of your own that prints the key. Put it there first:
  hallpass keyring on -- pass show hallpass            # after: xxd -p -c 32 credentials.key | pass insert -m hallpass

Exit codes: 0 done, 1 failed, and the key is where it was, 2 wrong usage.")]
pub struct OnArgs {
    /// Where.
    #[command(flatten)]
    pub client: ClientArgs,
    /// A program and its arguments that print the key, in place of the system's keyring. No shell reads them.
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// `hallpass keyring off`.
#[derive(Args, Debug)]
#[command(after_help = "Exit codes: 0 done, 1 failed, and the key is where it was, 2 wrong usage.")]
pub struct OffArgs {
    /// Where.
    #[command(flatten)]
    pub client: ClientArgs,
}

/// For somebody who has to unlock it first.
const PATIENCE: Duration = Duration::from_mins(1);

/// A keyring that a program of the system reaches.
#[derive(Debug)]
struct SystemKeyring {
    program: PathBuf,
    arguments: Vec<String>,
    /// What it reads, before and after the key. No key is an argument: others may read those.
    around: (String, &'static str),
    get: KeyCommand,
}

/// Runs it.
pub async fn run(command: KeyringCommand) -> anyhow::Result<ExitCode> {
    tokio::task::spawn_blocking(move || match command {
        KeyringCommand::On(args) => on(args),
        KeyringCommand::Off(args) => off(&args),
    })
    .await?
}

fn on(args: OnArgs) -> anyhow::Result<ExitCode> {
    let client = args.client.client(None, false)?;
    let store = client.store();
    if args.command.is_empty() {
        let folder = std::path::absolute(store.folder())?;
        let keyring = SystemKeyring::of_this_system(&folder)?;
        let put = |key: &SecretString| keyring.put_within(key, PATIENCE, Stdio::inherit());
        store.move_key(&keyring.get, put, &SystemEntropy)?;
        note(&format!("The key is in the keyring now: {}", keyring.get));
    } else {
        let command = KeyCommand::new(args.command).context("this is no command")?;
        store.move_key(&command, |_| Ok(()), &SystemEntropy)?;
        note(&format!("The key comes from there now: {command}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn off(args: &OffArgs) -> anyhow::Result<ExitCode> {
    let client = args.client.client(None, false)?;
    if client.store().bring_key_back(&SystemEntropy)? {
        note(
            "The key is in its file again. The keyring still holds it; remove it there when nothing uses it any more.",
        );
    } else {
        note("The key is in its file.");
    }
    Ok(ExitCode::SUCCESS)
}

impl SystemKeyring {
    fn of_this_system(folder: &Path) -> anyhow::Result<Self> {
        let folder = folder.to_str().context("the path of the folder is not UTF-8")?;
        if cfg!(target_os = "macos") {
            return Self::keychain(folder);
        }
        if cfg!(windows) {
            bail!("on Windows name a command that prints the key, after --");
        }
        Self::secret_service(folder)
    }

    fn secret_service(folder: &str) -> anyhow::Result<Self> {
        let program = found("secret-tool").context(
            "secret-tool is not there, by which the keyring is reached: install libsecret-tools (Debian, Ubuntu) or libsecret (Fedora, Arch)",
        )?;
        let shown = program.to_str().context("the path of secret-tool is not UTF-8")?.to_owned();
        let words = |list: &[&str]| list.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let attributes = words(&["application", "hallpass", "credentials", folder]);
        let arguments = [words(&["store", "--label", "hallpass"]), attributes.clone()].concat();
        let get = [vec![shown, "lookup".to_owned()], attributes].concat();
        let get = KeyCommand::new(get).context("the path of the folder is too long")?;
        Ok(Self { program, arguments, around: (String::new(), ""), get })
    }

    /// The program of macOS takes a password as an argument, or in a command that it reads.
    fn keychain(folder: &str) -> anyhow::Result<Self> {
        let program = "/usr/bin/security";
        // A name without characters that its commands give a meaning.
        let account = base64url(folder.as_bytes());
        let words = ["find-generic-password", "-s", "hallpass", "-a", &account, "-w"];
        let get = std::iter::once(program).chain(words).map(str::to_owned).collect();
        let get = KeyCommand::new(get).context("the path of the folder is too long")?;
        let before = format!("add-generic-password -U -s hallpass -a {account} -l hallpass -w ");
        Ok(Self { program: program.into(), arguments: vec!["-i".to_owned()], around: (before, "\n"), get })
    }

    fn put_within(&self, key: &SecretString, patience: Duration, said: Stdio) -> io::Result<()> {
        let until = Instant::now() + patience;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(said);
        let mut child = command.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            let (before, after) = &self.around;
            for part in [before, key.expose(), after] {
                input.write_all(part.as_bytes())?;
            }
        }
        if ends_well(&mut child, until)? { Ok(()) } else { Err(io::Error::other("the keyring refused it")) }
    }
}

/// Whether it ends well. One that is late is ended: with it goes the window in which the keyring asks for its password.
fn ends_well(child: &mut Child, until: Instant) -> io::Result<bool> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if until <= Instant::now() {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Where a program is. Kept with its whole path: whoever starts hallpass later may look elsewhere.
#[allow(clippy::disallowed_methods, reason = "only the cli reads the environment")]
fn found(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}
