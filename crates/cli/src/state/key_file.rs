//! What stands in `master.key`: the keys, and what `hallpass key master` has done to them.
//!
//! A key a line, `NUMBER BASE64URL`, the first one for what is new. Lines with `#` are comments; those with `#!` say what
//! happened to a key and when, for `hallpass key master list`. A file without them is as good: then nobody knows when.

use anyhow::{Context, bail};
use hallpass_core::{
    encoding,
    entropy::{self, Entropy},
    seal::{MasterKey, MasterKeys},
    secret::{SecretBytes, SecretString},
    time::Timestamp,
};
use std::fmt::Write;

/// What happened to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was made, and is accepted since.
    Added,
    /// It is for what is new since.
    Used,
    /// It is gone.
    Removed,
}

impl Happened {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Added, "added"), (Self::Used, "used"), (Self::Removed, "removed")];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(one, _)| *one == self).map_or("", |(_, name)| name)
    }
}

/// The file.
#[derive(Clone, Debug, Default)]
pub struct KeyFile {
    comments: Vec<String>,
    keys: Vec<MasterKey>,
    history: Vec<(u8, Happened, Timestamp)>,
}

impl KeyFile {
    /// With its first key.
    pub fn first(entropy: &dyn Entropy, now: Timestamp) -> Self {
        let keys = vec![MasterKey { number: 0, bytes: SecretBytes::new(entropy::random(entropy)) }];
        Self { comments: Vec::new(), keys, history: vec![(0, Happened::Used, now)] }
    }

    /// Reads it. No error says what stands in a line.
    pub fn parse(text: &SecretString) -> anyhow::Result<Self> {
        let mut file = Self::default();
        for line in text.expose().lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Some(entry) = line.strip_prefix("#!") {
                file.history.extend(entry_of(entry));
                continue;
            }
            if line.starts_with('#') {
                file.comments.push(line.to_owned());
                continue;
            }
            let Some(key) = key_of(line) else {
                bail!("a line is not a number and 43 characters of base64url")
            };
            if file.has(key.number) {
                bail!("two keys have the number {}", key.number);
            }
            file.keys.push(key);
        }
        if file.keys.is_empty() {
            bail!("there is no key in it");
        }
        Ok(file)
    }

    /// As it is written.
    pub fn text(&self) -> SecretString {
        // Room for all of it at once: a text that grows leaves copies behind that nobody wipes.
        let mut text = String::with_capacity(
            64 * (self.keys.len() + self.history.len()) + 256 * (self.comments.len() + 1),
        );
        for comment in &self.comments {
            let _ = writeln!(text, "{comment}");
        }
        for key in &self.keys {
            let secret = SecretString::new(encoding::base64url(key.bytes.expose()));
            let _ = writeln!(text, "{} {}", key.number, secret.expose());
        }
        for (number, happened, at) in &self.history {
            let _ = writeln!(text, "#! {number} {} {}", happened.name(), at.to_rfc3339());
        }
        SecretString::new(text)
    }

    /// For the keys of the program.
    pub fn master_keys(&self) -> MasterKeys {
        MasterKeys { keys: self.keys.clone(), highest: self.highest() }
    }

    /// The numbers, that of the key for what is new first.
    pub fn numbers(&self) -> Vec<u8> {
        self.keys.iter().map(|key| key.number).collect()
    }

    /// Whether there is such a key.
    pub fn has(&self, number: u8) -> bool {
        self.keys.iter().any(|key| key.number == number)
    }

    /// Whether all keys of the other are here too, the same under the same number.
    pub fn contains(&self, other: &Self) -> bool {
        other.keys.iter().all(|key| {
            let same =
                |mine: &&MasterKey| mine.number == key.number && mine.bytes.expose() == key.bytes.expose();
            self.keys.iter().any(|mine| same(&mine))
        })
    }

    /// Which key is for what is new.
    pub fn current(&self) -> u8 {
        self.keys.first().map_or(0, |key| key.number)
    }

    /// The highest number that a key ever had. A number is given once: what an old key made must never look like the work of
    /// a new one.
    fn highest(&self) -> u8 {
        self.keys
            .iter()
            .map(|key| key.number)
            .chain(self.history.iter().map(|(number, ..)| *number))
            .max()
            .unwrap_or(0)
    }

    /// A new key, accepted and not used: its number.
    pub fn add(&mut self, entropy: &dyn Entropy, now: Timestamp) -> anyhow::Result<u8> {
        let number =
            self.highest().checked_add(1).context("all 256 numbers of master keys have been given")?;
        self.keys.push(MasterKey { number, bytes: SecretBytes::new(entropy::random(entropy)) });
        self.history.push((number, Happened::Added, now));
        Ok(number)
    }

    /// Makes a key the one for what is new; `false` when it is that already.
    pub fn use_for_new(&mut self, number: u8, now: Timestamp) -> anyhow::Result<bool> {
        let at = self.position(number)?;
        if at == 0 {
            return Ok(false);
        }
        let key = self.keys.remove(at);
        self.keys.insert(0, key);
        self.history.push((number, Happened::Used, now));
        Ok(true)
    }

    /// Takes a key out.
    pub fn remove(&mut self, number: u8, now: Timestamp) -> anyhow::Result<()> {
        let at = self.position(number)?;
        if at == 0 {
            bail!(
                "key {number} is the one for what is new: make another one that first, with `hallpass key master use`"
            );
        }
        self.keys.remove(at);
        self.history.push((number, Happened::Removed, now));
        Ok(())
    }

    fn position(&self, number: u8) -> anyhow::Result<usize> {
        let at = self.keys.iter().position(|key| key.number == number);
        at.with_context(|| format!("there is no master key {number}: `hallpass key master list` shows them"))
    }

    /// When this last happened to it, as far as the file knows.
    pub fn last(&self, number: u8, happened: Happened) -> Option<Timestamp> {
        let of = self.history.iter().rev().find(|(of, what, _)| *of == number && *what == happened);
        of.map(|(_, _, at)| *at)
    }

    /// Whether nothing was ever made with it, for sure.
    pub fn was_never_used(&self, number: u8) -> bool {
        self.current() != number
            && self.last(number, Happened::Added).is_some()
            && self.last(number, Happened::Used).is_none()
    }

    /// Since when nothing new is made with it, as far as the file knows: since another one was used after it.
    pub fn only_read_since(&self, number: u8) -> Option<Timestamp> {
        if self.current() == number {
            return None;
        }
        let mine = self.history.iter().rposition(|(of, what, _)| *of == number && *what == Happened::Used);
        let after = self.history.iter().skip(mine.map_or(0, |at| at + 1));
        let mut others = after.filter(|(of, what, _)| *of != number && *what == Happened::Used);
        others.next().map(|(_, _, at)| *at)
    }
}

fn key_of(line: &str) -> Option<MasterKey> {
    let (number, key) = line.split_once(' ')?;
    let bytes = encoding::array_from_base64url(key.trim())?;
    Some(MasterKey { number: number.parse().ok()?, bytes: SecretBytes::new(bytes) })
}

/// An entry that cannot be read says nothing, and a key is never lost because of it.
fn entry_of(text: &str) -> Option<(u8, Happened, Timestamp)> {
    let mut words = text.split_whitespace();
    let number = words.next()?.parse().ok()?;
    let name = words.next()?;
    let (happened, _) = Happened::ALL.iter().find(|(_, known)| *known == name)?;
    Some((number, *happened, Timestamp::from_rfc3339(words.next()?)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::entropy::SystemEntropy;

    const A: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn at(minutes: i64) -> Timestamp {
        Timestamp::from_seconds(1_800_000_000 + minutes * 60)
    }

    fn parse(text: &str) -> anyhow::Result<KeyFile> {
        KeyFile::parse(&SecretString::new(text))
    }

    #[test]
    fn t_101_damaged_files_are_refused_and_no_error_shows_a_key() {
        for bad in [
            String::new(),
            "x".into(),
            "0 short".into(),
            format!("0 {A}\n0 {A}"),
            format!("256 {A}"),
            format!("-1 {A}"),
            format!("0 {A}A"),
            format!("0 {A}\n1"),
            format!("0\t{A}"),
            "#! 0 used 2027-01-15T08:00:00Z".into(),
        ] {
            let error = parse(&bad).unwrap_err().to_string();
            assert!(!error.contains("AAAA"), "{error}");
        }
    }

    #[test]
    fn t_49_a_key_is_added_used_and_removed_and_its_number_is_never_given_again() {
        let mut file = KeyFile::first(&SystemEntropy, at(0));
        assert_eq!((file.numbers(), file.only_read_since(0), file.was_never_used(0)), (vec![0], None, false));
        assert_eq!(file.add(&SystemEntropy, at(1)).unwrap(), 1);
        assert_eq!((file.numbers(), file.current(), file.was_never_used(1)), (vec![0, 1], 0, true));
        assert!(file.remove(0, at(2)).unwrap_err().to_string().contains("for what is new"));
        assert!(file.use_for_new(1, at(3)).unwrap() && !file.use_for_new(1, at(4)).unwrap());
        assert_eq!((file.numbers(), file.only_read_since(0)), (vec![1, 0], Some(at(3))));
        assert!(file.use_for_new(0, at(5)).unwrap());
        assert_eq!((file.only_read_since(0), file.only_read_since(1)), (None, Some(at(5))));
        assert!(!file.was_never_used(1));
        file.remove(1, at(6)).unwrap();
        assert!(file.remove(1, at(7)).is_err() && file.use_for_new(1, at(7)).is_err());
        assert_eq!(file.master_keys().highest, 1, "what it made is known to be of the past");
        assert_eq!(file.add(&SystemEntropy, at(8)).unwrap(), 2);
        let again = KeyFile::parse(&file.text()).unwrap();
        assert_eq!(again.text(), file.text());
        assert_eq!((again.numbers(), again.last(1, Happened::Removed)), (vec![0, 2], Some(at(6))));
        assert_eq!(again.keys[1].bytes.expose(), file.keys[1].bytes.expose());
    }

    #[test]
    fn a_file_of_an_operator_keeps_its_comments_and_what_it_does_not_say_is_unknown() {
        let text = format!("# ours\n7 {A}\n  3 {A}  \n#! nonsense\n#! 3 used yesterday\n");
        let mut file = parse(&text).unwrap();
        assert_eq!((file.numbers(), file.master_keys().highest), (vec![7, 3], 7));
        assert_eq!((file.only_read_since(3), file.was_never_used(3)), (None, false));
        assert_eq!(file.add(&SystemEntropy, at(0)).unwrap(), 8);
        assert!(file.text().expose().starts_with(&format!("# ours\n7 {A}\n3 {A}\n8 ")));
        let mut last = parse(&format!("255 {A}")).unwrap();
        assert!(last.add(&SystemEntropy, at(0)).unwrap_err().to_string().contains("256"));
    }
}
