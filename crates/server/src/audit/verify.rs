//! Checking a log: each line by its MAC, and the lines against each other.

use super::{
    Kind, Line,
    chain::{self, Broken, Head},
    file::Found,
};
use hallpass_core::seal::KeyRing;
use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::PathBuf,
};

/// Longest line that is read.
const LONGEST: u64 = 64 * 1024;

/// A line that is not as it was written.
#[derive(Debug)]
pub struct Finding {
    /// In which file.
    pub path: PathBuf,
    /// Which line of it, from 1.
    pub line: u64,
    /// What.
    pub broken: Broken,
}

/// What a check found.
#[derive(Debug, Default)]
pub struct Verified {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// Lines read.
    pub lines: u64,
    /// What an operator should know although each line is good.
    pub notes: Vec<String>,
    /// The last line of each node: its number and MAC.
    pub heads: BTreeMap<String, (u64, String)>,
}

/// Checks files, in the order given, and hands every good line to `each`.
///
/// # Errors
/// When a file cannot be read.
pub fn verify(keys: &KeyRing, files: &[Found], mut each: impl FnMut(Line, &str)) -> io::Result<Verified> {
    let mut verified = Verified::default();
    let mut chains: BTreeMap<String, Chain> = BTreeMap::new();
    for found in files {
        let mut reader = BufReader::new(File::open(&found.path)?);
        let mut number = 0;
        while let Some((text, whole)) = next(&mut reader)? {
            number += 1;
            verified.lines += 1;
            let chain = chains.entry(found.node.clone()).or_default();
            let checked = if whole { chain::check(keys, &text) } else { Err(Broken::CutOff) };
            let broken = match checked {
                Err(broken) => {
                    chain.unread += 1;
                    Some(broken)
                }
                Ok(line) => {
                    let broken = chain.add(&line, &found.node, &mut verified.notes);
                    each(line, &text);
                    broken
                }
            };
            if let Some(broken) = broken {
                verified.findings.push(Finding { path: found.path.clone(), line: number, broken });
            }
        }
    }
    for (node, chain) in chains {
        if chain.last != Some(Kind::LogClosed) {
            verified.notes.push(format!(
                "the log of {node} is not closed: it is being written, its node crashed, or lines were taken off its end"
            ));
        }
        verified.heads.insert(node, (chain.head.sequence, chain.head.mac));
    }
    Ok(verified)
}

#[derive(Default)]
struct Chain {
    head: Head,
    started: bool,
    last: Option<Kind>,
    /// Lines since the last good one that could not be read. The line after them is not blamed for following none.
    unread: u64,
}

impl Chain {
    fn add(&mut self, line: &Line, node: &str, notes: &mut Vec<String>) -> Option<Broken> {
        let begins = line.sequence == 1 && line.previous.is_empty();
        let stdout = begins && line.reason.as_deref() == Some("stdout");
        let behind_unread = self.unread > 0
            && line.sequence == self.head.sequence.saturating_add(self.unread).saturating_add(1);
        let broken = if !self.started {
            if !begins {
                notes.push(format!(
                    "the log of {node} begins at line {}: earlier files were not given",
                    line.sequence
                ));
            }
            None
        } else if stdout || behind_unread {
            None
        } else {
            chain::follows(&self.head, line).err()
        };
        if line.kind() == Some(Kind::LogOpened)
            && let Some(reason @ ("after_no_close" | "after_cut_off_line" | "after_broken_line")) =
                line.reason.as_deref()
        {
            notes.push(format!("{node}, line {}, {}: opened {reason}", line.sequence, line.at));
        }
        if !matches!(broken, Some(Broken::OutOfOrder { .. })) {
            self.head = Head { sequence: line.sequence, mac: line.mac.clone() };
            self.last = line.kind();
        }
        (self.started, self.unread) = (true, 0);
        broken
    }
}

/// The next line, and whether it ends as a line does.
fn next(reader: &mut impl BufRead) -> io::Result<Option<(String, bool)>> {
    let mut bytes = Vec::new();
    let read = io::Read::take(&mut *reader, LONGEST).read_until(b'\n', &mut bytes)?;
    if read == 0 {
        return Ok(None);
    }
    let whole = bytes.last() == Some(&b'\n');
    if whole {
        bytes.pop();
    }
    Ok(Some((String::from_utf8_lossy(&bytes).into_owned(), whole)))
}
