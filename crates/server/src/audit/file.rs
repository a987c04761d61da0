//! The files of a node's audit log: `NODE-NNNNNNNN.jsonl`, only ever appended to, a new one each day and above a size.

use super::chain::{self, Head};
use hallpass_core::{seal::KeyRing, time::Timestamp};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

const DAY: i64 = 86_400;
/// A line is shorter: enough of a file's end to find its last one.
const TAIL: u64 = 64 * 1024;

/// How the log before this start ended. Kept in the first line of this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// There was none.
    Nothing,
    /// It was closed.
    Closed,
    /// It was not: a crash, a full disk, or somebody took lines off its end.
    NotClosed,
    /// Its last line is cut off: a crash in the middle of a write.
    CutOff,
    /// Its last line is not one of ours.
    Broken,
}

impl Before {
    /// The `reason` of the first line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "first",
            Self::Closed => "after_close",
            Self::NotClosed => "after_no_close",
            Self::CutOff => "after_cut_off_line",
            Self::Broken => "after_broken_line",
        }
    }
}

/// The file that is written, and what comes after it.
pub struct LogFile {
    folder: PathBuf,
    node: String,
    limit: u64,
    file: File,
    number: u64,
    length: u64,
    day: i64,
    /// Held as long as this node writes: a second one would tear the chain apart.
    _lock: File,
}

/// Where a log goes on.
pub struct Resumed {
    /// The file.
    pub file: LogFile,
    /// Behind which line.
    pub head: Head,
    /// How the log before ended.
    pub before: Before,
}

/// Opens the log of a node behind its last line. `wait` is for short commands that take turns; a node that finds
/// another one writing fails.
pub fn open(
    folder: &Path,
    node: &str,
    limit: u64,
    (keys, now): (&KeyRing, Timestamp),
    wait: bool,
) -> io::Result<Resumed> {
    make_folder(folder)?;
    let lock = private(OpenOptions::new().create(true).truncate(false).write(true))
        .open(folder.join(format!("{node}.lock")))?;
    if wait {
        lock.lock()?;
    } else {
        lock.try_lock().map_err(|_| {
            io::Error::new(io::ErrorKind::WouldBlock, "another hallpass writes the audit log of this node")
        })?;
    }
    let found = files(folder, Some(node))?;
    let Ending { head, before, at: ended } = ending(&found, keys)?;
    let number = found.last().map_or(1, |last| last.number);
    let day = now.seconds().div_euclid(DAY);
    let mut file = LogFile {
        file: append(&name(folder, node, number))?,
        folder: folder.to_owned(),
        node: node.to_owned(),
        limit,
        number,
        length: 0,
        day,
        _lock: lock,
    };
    file.length = file.file.metadata()?.len();
    let same_day = ended.is_some_and(|at| at.seconds().div_euclid(DAY) == day);
    let whole = matches!(before, Before::Nothing | Before::Closed | Before::NotClosed);
    if !whole || (before != Before::Nothing && (!same_day || file.length >= limit)) {
        file.next()?;
    }
    Ok(Resumed { file, head, before })
}

impl LogFile {
    /// Whether lines of this moment belong into a new file.
    pub fn is_full(&self, now: Timestamp) -> bool {
        self.length >= self.limit || now.seconds().div_euclid(DAY) > self.day
    }

    /// Begins the next file.
    pub fn begin(&mut self, now: Timestamp) -> io::Result<()> {
        self.file.sync_data()?;
        self.next()?;
        self.day = now.seconds().div_euclid(DAY);
        Ok(())
    }

    /// Appends whole lines. After a failure the file ends where it did before: what was written of them is taken
    /// back, or left behind in this file while a new one begins.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            if self.file.set_len(self.length).is_err() {
                self.next()?;
            }
            return Err(error);
        }
        self.length = self.length.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    /// To the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn next(&mut self) -> io::Result<()> {
        let number = self.number.saturating_add(1);
        self.file = append(&name(&self.folder, &self.node, number))?;
        (self.number, self.length) = (number, self.file.metadata()?.len());
        // The name is in the folder, which is a file of its own.
        File::open(&self.folder)?.sync_all()
    }
}

/// A file of a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Whose.
    pub node: String,
    /// Which of them.
    pub number: u64,
    /// Where.
    pub path: PathBuf,
}

/// The files of one node or of all, in order.
pub fn files(folder: &Path, node: Option<&str>) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem =
            path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jsonl"));
        let parts = stem.and_then(|stem| stem.rsplit_once('-'));
        if let Some((of, number)) = parts
            && node.is_none_or(|node| node == of)
            && let Ok(number) = number.parse()
        {
            found.push(Found { node: of.to_owned(), number, path });
        }
    }
    found.sort();
    Ok(found)
}

fn name(folder: &Path, node: &str, number: u64) -> PathBuf {
    folder.join(format!("{node}-{number:08}.jsonl"))
}

struct Ending {
    head: Head,
    before: Before,
    at: Option<Timestamp>,
}

/// How the files end: with the last line that is ours, and what stands behind it.
fn ending(files: &[Found], keys: &KeyRing) -> io::Result<Ending> {
    let (mut cut_off, mut broken) = (false, false);
    for found in files.iter().rev() {
        let text = tail(&found.path)?;
        let (whole, rest) = text.rsplit_once('\n').unwrap_or(("", &text));
        cut_off |= !rest.is_empty();
        for last in whole.rsplit('\n').filter(|line| !line.is_empty()) {
            let Ok(line) = chain::check(keys, last) else {
                broken = true;
                continue;
            };
            let before = match line.kind() {
                _ if broken => Before::Broken,
                _ if cut_off => Before::CutOff,
                Some(super::Kind::LogClosed) => Before::Closed,
                Some(_) | None => Before::NotClosed,
            };
            let at = line.time();
            return Ok(Ending { head: Head { sequence: line.sequence, mac: line.mac }, before, at });
        }
    }
    let before = if broken || cut_off { Before::Broken } else { Before::Nothing };
    Ok(Ending { head: Head::default(), before, at: None })
}

fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn append(path: &Path) -> io::Result<File> {
    private(OpenOptions::new().create(true).append(true)).open(path)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

fn make_folder(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::{seal::MasterKey, secret::SecretBytes};

    #[test]
    fn a_file_that_cannot_be_written_is_left_behind_with_whole_lines_only() {
        let folder = tempfile::tempdir().unwrap();
        let master = MasterKey { number: 0, bytes: SecretBytes::new([1; 32]) };
        let keys = KeyRing::new(&[master], &SecretBytes::new([2; 32]), "https://a.example").unwrap();
        let now = Timestamp::from_seconds(1_790_000_000);
        let mut log = open(folder.path(), "main", 1_000, (&keys, now), false).unwrap().file;
        let (first, head) = chain::link(&keys, "main", &Head::default(), "\"event\":\"a\"");
        log.append(first.as_bytes()).unwrap();
        log.file = File::open(name(folder.path(), "main", 1)).unwrap();
        let (second, _) = chain::link(&keys, "main", &head, "\"event\":\"b\"");
        assert!(log.append(second.as_bytes()).is_err(), "opened for reading only");
        log.append(second.as_bytes()).unwrap();
        let found = files(folder.path(), Some("main")).unwrap();
        let texts: Vec<String> = found.iter().map(|found| fs::read_to_string(&found.path).unwrap()).collect();
        assert_eq!(texts, [first, second]);
        let verified = crate::audit::verify(&keys, &found, |_, _| {}).unwrap();
        assert!(verified.findings.is_empty(), "{verified:?}");
    }
}
