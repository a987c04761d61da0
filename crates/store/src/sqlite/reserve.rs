//! Room that is kept for what ends things, as a file beside the database.
//!
//! On a full disk somebody must still be able to take back what he gave, and the sweep to run. So some room is taken
//! while there is some, and given back in small slices to the very write that needs it. In slices, because whatever else
//! fills the disk, such as our own audit log, would take a large piece faster than we use it. As long as the file is
//! not whole, only such writes are run.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Beside the database.
const NAME: &str = "hallpass.reserve";
/// What one try to write gets.
const SLICE: u64 = 256 * 1024;
/// Between two tries to make it whole again.
const PAUSE: Duration = Duration::from_secs(1);

/// For whom a slice is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum For {
    /// What a person waits for: to the last byte.
    Ending,
    /// Sweeps and checkpoints: half of it stays.
    Upkeep,
}

/// The file. Each thread has a value of its own; what counts is the length of the file, which other processes see too.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
    size: u64,
    /// Whether this is the server, which makes it. A command beside the server only uses it.
    makes: bool,
    tried: Option<Instant>,
}

impl Reserve {
    /// Of `size` bytes beside the database at `path`; 0 for none.
    pub fn beside(path: &Path, size: u64, makes: bool) -> Self {
        Self { path: path.with_file_name(NAME), size, makes, tried: None }
    }

    /// Makes it whole, or leaves it as it was.
    pub fn make(&self) -> io::Result<()> {
        let length = self.length().unwrap_or(0);
        if length >= self.size {
            return Ok(());
        }
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&self.path)?;
        let made = fill(&mut file, self.size.saturating_sub(length));
        if made.is_err() {
            // Half of it would only take the room away from others.
            file.set_len(length)?;
        }
        made
    }

    /// Whether everything may be written: it is whole, or can be made whole again.
    pub fn is_whole(&mut self) -> bool {
        match self.length() {
            Some(length) if length >= self.size => return true,
            // A command beside a server of an older release, or none.
            None if !self.makes => return true,
            Some(_) | None => {}
        }
        if !self.makes || self.tried.is_some_and(|tried| tried.elapsed() < PAUSE) {
            return false;
        }
        self.tried = Some(Instant::now());
        let made = self.make();
        if made.is_ok() {
            tracing::warn!("there is room on the disk again: everything is written");
        }
        made.is_ok()
    }

    /// Gives one slice of the room to whoever writes next. `false` when there is nothing left for this.
    pub fn give(&self, to: For) -> bool {
        let kept = match to {
            For::Ending => 0,
            For::Upkeep => self.size / 2,
        };
        let Some(length) = self.length().filter(|length| *length > kept) else { return false };
        let given = OpenOptions::new().write(true).open(&self.path).and_then(|file| {
            file.set_len(length.saturating_sub(SLICE).max(kept))?;
            // Some file systems free nothing before this is on the disk.
            file.sync_all()
        });
        if let Err(error) = &given {
            tracing::warn!(%error, "the reserve cannot be used");
        } else if length >= self.size {
            tracing::error!(
                "the disk is full: make room. Until then only what ends access is written, from the reserve"
            );
        }
        given.is_ok()
    }

    fn length(&self) -> Option<u64> {
        if self.size == 0 {
            return Some(0);
        }
        std::fs::metadata(&self.path).ok().map(|file| file.len())
    }
}

/// Appends bytes that no file system can keep in less room.
fn fill(file: &mut File, count: u64) -> io::Result<()> {
    const PIECE: usize = 64 * 1024;
    let (mut state, mut piece, mut left) = (count, vec![0; PIECE], count);
    while left > 0 {
        for word in piece.chunks_exact_mut(8) {
            // SplitMix64.
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            word.copy_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
        }
        let take = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
        file.write_all(piece.get(..take).unwrap_or_default())?;
        left = left.saturating_sub(u64::try_from(take).unwrap_or(left));
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_given_in_slices_and_made_whole_again() {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("hallpass.db");
        let size = 4 * SLICE;
        let mut reserve = Reserve::beside(&database, size, true);
        let mut beside = Reserve::beside(&database, size, false);
        assert!(beside.is_whole(), "no server keeps one");
        assert!(!beside.give(For::Ending));
        reserve.make().unwrap();
        assert!(beside.is_whole());
        assert!(reserve.give(For::Upkeep) && reserve.give(For::Upkeep) && !reserve.give(For::Upkeep), "half");
        assert!(!beside.is_whole(), "every process sees it");
        assert!(beside.give(For::Ending) && reserve.give(For::Ending) && !reserve.give(For::Ending), "all");
        assert_eq!(reserve.length(), Some(0));
        assert!(reserve.is_whole(), "it could be made again");
        let text = std::fs::read(folder.path().join(NAME)).unwrap();
        assert_eq!(text.len(), usize::try_from(size).unwrap());
        assert!(text.chunks(4096).all(|page| page != [0; 4096]), "holes take no room");
        assert!(!Reserve::beside(&database, 0, true).give(For::Ending), "none is wanted");
        assert!(Reserve::beside(&database, 0, true).is_whole());
    }

    #[test]
    fn what_cannot_be_made_is_not_there_and_not_tried_all_the_time() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(NAME)).unwrap();
        let mut reserve = Reserve::beside(&folder.path().join("hallpass.db"), u64::MAX, true);
        assert!(reserve.make().is_err());
        assert!(!reserve.is_whole() && !reserve.is_whole());
        std::fs::remove_dir(folder.path().join(NAME)).unwrap();
        reserve.size = SLICE;
        assert!(!reserve.is_whole(), "not at once");
        reserve.tried = None;
        assert!(reserve.is_whole());
    }
}
