//! No core dump: what is in memory is keys, tokens and passwords, and a file with them lies where anybody may find it (T-98).

use std::io;

/// From here on a crash of this process, and of what it starts, leaves no core file. The hard limit stays: a program that wants one
/// says so itself, and so does somebody who looks for a fault (`prlimit`).
#[cfg(unix)]
pub fn forbid() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Core).maximum;
    Ok(setrlimit(Resource::Core, Rlimit { current: Some(0), maximum })?)
}

/// There are none unless somebody asks the system for them.
#[cfg(not(unix))]
pub fn forbid() -> io::Result<()> {
    Ok(())
}
