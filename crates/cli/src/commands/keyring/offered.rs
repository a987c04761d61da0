//! Where the key of a folder that is new goes: into the keyring of a desktop session, where one really answers, else into its
//! file. A process over SSH, in a container or of a timer has no desktop, and whatever reads the folder later may be one.

use super::SystemKeyring;
use crate::output::note;
use anyhow::bail;
use hallpass_client::storage::{KeyCommand, KeyPlace, Keyring, Store};
use hallpass_core::secret::SecretString;
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

/// The setting.
const VARIABLE: &str = "HALLPASS_CLIENT_KEYRING";

/// The keyring of this session for a new key, looked for when there is one to keep.
#[derive(Debug)]
struct OfThisSession {
    folder: PathBuf,
}

impl OfThisSession {
    fn keyring(&self) -> Option<SystemKeyring> {
        let folder = std::path::absolute(&self.folder).ok()?;
        SystemKeyring::of_this_system(&folder).ok()
    }
}

impl Keyring for OfThisSession {
    fn command(&self) -> Option<KeyCommand> {
        Some(self.keyring()?.get)
    }

    fn put(&self, key: &SecretString, patience: Duration) -> io::Result<()> {
        let keyring = self.keyring().ok_or(io::ErrorKind::NotFound)?;
        keyring.put_within(key, patience, Stdio::null())
    }
}

/// The folder, with the keyring of this session for a key that has to be made; `HALLPASS_CLIENT_KEYRING=off` forbids it.
pub fn offered(folder: PathBuf) -> anyhow::Result<Store> {
    let setting = variable(VARIABLE).unwrap_or_default();
    let is_off = match setting.to_str() {
        Some("off") => true,
        Some("" | "auto") => false,
        Some(_) | None => bail!("{VARIABLE} is {}: write off, or auto, or nothing", setting.display()),
    };
    let store = Store::new(folder.clone());
    if is_off || !is_desktop(variable, Path::exists) {
        return Ok(store);
    }
    Ok(store.with_keyring(Arc::new(OfThisSession { folder })))
}

/// Whether a person sits in front of this session. A display that SSH brings with it belongs to another computer.
fn is_desktop(variable: impl Fn(&str) -> Option<OsString>, exists: impl Fn(&Path) -> bool) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    if ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].into_iter().any(is_set) {
        return false;
    }
    let bus = || variable("XDG_RUNTIME_DIR").is_some_and(|folder| exists(&Path::new(&folder).join("bus")));
    cfg!(target_os = "macos")
        || (is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")) && (is_set("DBUS_SESSION_BUS_ADDRESS") || bus())
}

#[allow(clippy::disallowed_methods, reason = "only the cli reads the environment")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Says where a key went that this process made.
pub fn say_where(store: &Store) {
    match store.key_made() {
        Some(KeyPlace::Command(_)) => {
            note(
                "The key to your sign-ins is new, and in the keyring of this system. For sessions that have none (SSH, timers), \
                 `hallpass keyring off` brings it into a file.",
            );
        }
        Some(KeyPlace::File) => {
            note(&format!(
                "The key to your sign-ins is new, and in its file: {}",
                store.key_file().display()
            ));
        }
        None => {}
    }
}

#[cfg(all(test, not(target_os = "macos")))]
mod tests {
    use super::*;

    #[test]
    fn p25_a_desktop_is_one_that_a_person_sits_at() {
        let desktop = |set: &[&str], bus: bool| {
            let variable = |name: &str| set.contains(&name).then(|| OsString::from("x"));
            is_desktop(variable, |path| bus && path == Path::new("x/bus"))
        };
        assert!(desktop(&["DISPLAY", "DBUS_SESSION_BUS_ADDRESS"], false));
        assert!(desktop(&["WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"], true));
        assert!(!desktop(&["WAYLAND_DISPLAY", "XDG_RUNTIME_DIR"], false));
        assert!(!desktop(&["DISPLAY"], true), "no session bus");
        assert!(
            !desktop(&["DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"], true),
            "no display: a timer, a console"
        );
        for ssh in ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"] {
            assert!(!desktop(&["DISPLAY", "DBUS_SESSION_BUS_ADDRESS", ssh], true));
        }
    }
}
