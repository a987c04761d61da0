//! Where the key of the file is: beside it, or wherever a command takes it from, such as the system's keyring.
//!
//! The key file says which. It either is the key, 32 bytes, or names the command: one choice for all processes, also for those
//! that a desktop starts without the person's variables. Whoever may write it may read the key; it is the owner's alone.

use super::StorageError;
use hallpass_core::{encoding::from_base64url, secret::SecretString};
use std::{
    fmt, io,
    io::Read as _,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// Bytes of a key.
pub(super) const LENGTH: usize = 32;
const FIRST_LINE: &str = "hallpass key by command 1\n";
/// Most that a command and its arguments may have together.
const MAX_COMMAND: usize = 4 * 1024;
/// Most that is read of what a command prints.
const MAX_PRINTED: u64 = 1024;
/// For somebody who has to unlock something first.
const PATIENCE: Duration = Duration::from_mins(1);

/// A program with arguments that prints the key: 64 hexadecimal digits, or base64. No shell reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCommand(Vec<String>);

/// Where the key is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In a file beside the credentials; made when something is first kept.
    File,
    /// Where this command takes it from.
    Command(KeyCommand),
}

/// Why a command brought no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyCommandError {
    /// There is no such program, or it may not be run.
    #[error("cannot be started: {0}")]
    Start(io::Error),
    /// Its exit code was not 0. What it says about that is on standard error.
    #[error("failed; is the keyring there, and unlocked?")]
    Failed,
    /// It did not come to an end.
    #[error("did not end in time")]
    Late,
    /// It printed something else.
    #[error("printed no key (32 bytes in hexadecimal digits or base64)")]
    NotAKey,
    /// It printed a key that the file was not sealed with.
    #[error("printed another key than the one in use; nothing was changed")]
    AnotherKey,
}

impl KeyCommand {
    /// A program and its arguments. `None`: there is no program, or something that no command line holds.
    pub fn new(parts: Vec<String>) -> Option<Self> {
        let length: usize = parts.iter().map(String::len).sum();
        let writable = |part: &String| !part.contains(['\n', '\0']);
        let program = parts.first().is_some_and(|program| !program.is_empty());
        (program && length <= MAX_COMMAND && parts.iter().all(writable)).then_some(Self(parts))
    }

    /// What the key file says. `None`: it is the key itself.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes.strip_prefix(FIRST_LINE.as_bytes())?).ok()?;
        Self::new(text.lines().map(str::to_owned).collect())
    }

    /// For the key file.
    pub(super) fn written(&self) -> String {
        let mut text = FIRST_LINE.to_owned();
        for part in &self.0 {
            text.push_str(part);
            text.push('\n');
        }
        text
    }

    /// Runs it, with time for somebody who has to unlock something first.
    pub(super) fn run(&self) -> Result<Zeroizing<Vec<u8>>, KeyCommandError> {
        self.printed(PATIENCE, Stdio::inherit())
    }

    /// Tries it: what it has to say is for nobody.
    pub(super) fn tried(&self, patience: Duration) -> Result<Zeroizing<Vec<u8>>, KeyCommandError> {
        self.printed(patience, Stdio::null())
    }

    fn printed(&self, patience: Duration, said: Stdio) -> Result<Zeroizing<Vec<u8>>, KeyCommandError> {
        let Some((program, arguments)) = self.0.split_first() else { return Err(KeyCommandError::NotAKey) };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(said);
        let mut child = command.spawn().map_err(KeyCommandError::Start)?;
        let until = Instant::now() + patience;
        let (sender, printed) = mpsc::channel();
        if let Some(output) = child.stdout.take() {
            thread::spawn(move || {
                let mut bytes = Zeroizing::new(Vec::with_capacity(2048));
                let read = output.take(MAX_PRINTED).read_to_end(&mut bytes);
                let _ = sender.send(read.map(|_| bytes));
            });
        }
        let printed = printed.recv_timeout(patience);
        let has_succeeded = ends(&mut child, until)?;
        match printed {
            Ok(Ok(bytes)) if has_succeeded => read_key(&bytes).ok_or(KeyCommandError::NotAKey),
            Ok(Ok(_) | Err(_)) | Err(_) => Err(KeyCommandError::Failed),
        }
    }
}

impl fmt::Display for KeyCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Whether it ends well. One that does not end is ended.
fn ends(child: &mut Child, until: Instant) -> Result<bool, KeyCommandError> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if Instant::now() < until => thread::sleep(Duration::from_millis(2)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(KeyCommandError::Late);
            }
        }
    }
}

/// A key as text, for a keyring.
pub(super) fn text_of(key: &[u8]) -> SecretString {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |number: u8| DIGITS.get(usize::from(number)).copied().unwrap_or_default();
    SecretString::new(key.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect::<String>())
}

fn read_key(printed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let text = std::str::from_utf8(printed).ok()?.trim();
    let bytes = if text.len() == LENGTH * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let pair = |at: usize| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok();
        Zeroizing::new((0..LENGTH).map(pair).collect::<Option<Vec<u8>>>()?)
    } else {
        // Either alphabet, with or without its padding.
        let plain = Zeroizing::new(text.trim_end_matches('=').replace('+', "-").replace('/', "_"));
        Zeroizing::new(from_base64url(&plain)?)
    };
    (bytes.len() == LENGTH).then_some(bytes)
}

/// What a command printed last, so that a process runs it once. Clones of a store share it.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<Mutex<Option<Printed>>>);

struct Printed {
    by: KeyCommand,
    key: Zeroizing<Vec<u8>>,
}

impl Known {
    pub(super) fn key(&self, command: &KeyCommand) -> Result<Zeroizing<Vec<u8>>, StorageError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(printed) = &*known
            && printed.by == *command
        {
            return Ok(printed.key.clone());
        }
        let key =
            command.run().map_err(|source| StorageError::KeyAway { command: command.clone(), source })?;
        *known = Some(Printed { by: command.clone(), key: key.clone() });
        Ok(key)
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Known(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_in_any_of_its_writings() {
        let key: Vec<u8> = (0..32).map(|byte| byte * 8 + 7).collect();
        let hex = text_of(&key);
        let base64 = "Bw8XHycvNz9HT1dfZ293f4ePl5+nr7e/x8/X3+fv9/8=";
        let unpadded = base64.replace('+', "-").replace('/', "_").replace('=', "");
        for text in [hex.expose(), base64, &unpadded, &format!("\n {base64}\r\n")] {
            assert_eq!(read_key(text.as_bytes()).unwrap()[..], key[..], "{text}");
        }
        for bad in
            ["", "x", &hex.expose()[2..], &format!("{}00", hex.expose()), "p\u{e4}ss", "not a key at all"]
        {
            assert_eq!(read_key(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn a_command_is_written_and_read_back_and_a_key_is_none() {
        let of = |parts: &[&str]| KeyCommand::new(parts.iter().map(|&part| part.to_owned()).collect());
        let command = of(&["/usr/bin/pass", "show", "a b", ""]).unwrap();
        assert_eq!(KeyCommand::read(command.written().as_bytes()), Some(command));
        for bad in [&[][..], &[""], &["a\nb"], &["a", "\0"], &["a", &"x".repeat(5_000)]] {
            assert_eq!(of(bad), None);
        }
        assert_eq!(KeyCommand::read(&[7; 32]), None);
        assert_eq!(KeyCommand::read(FIRST_LINE.as_bytes()), None);
    }

    #[test]
    fn what_prints_no_key_brings_none() {
        let of = |script: &str| KeyCommand::new(vec!["sh".into(), "-c".into(), script.into()]).unwrap().run();
        assert!(matches!(of("exit 1"), Err(KeyCommandError::Failed)));
        assert!(matches!(of(&format!("echo {}; exit 3", "00".repeat(32))), Err(KeyCommandError::Failed)));
        assert!(matches!(of("echo secret"), Err(KeyCommandError::NotAKey)));
        assert!(matches!(of("yes"), Err(KeyCommandError::Failed | KeyCommandError::NotAKey)));
        assert_eq!(of(&format!("echo {}", "0a".repeat(32))).unwrap()[..], [10; 32]);
        let none = KeyCommand::new(vec!["/no/such/program".into()]).unwrap().run();
        assert!(matches!(none, Err(KeyCommandError::Start(_))));
    }
}
