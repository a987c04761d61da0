//! Where the requests of a server go: a URL, a command of ours, or the demo server.

use super::{Check, Problem, file::ServerEntry};
use hallpass_gateway::{StdioCommand, StdioLimits};
use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    time::Duration,
};
use toml::Spanned;

/// What is behind a path.
#[derive(Clone, Debug)]
pub enum Behind {
    /// The built-in demo server.
    Demo,
    /// An MCP server at a URL.
    Url(String),
    /// An MCP server on stdio.
    Command {
        /// Its environment is only what the file says; that of this program is not read here.
        command: StdioCommand,
        /// Names of variables that it gets as they are.
        pass: Vec<String>,
    },
}

impl Behind {
    /// Whether it is the demo server.
    pub const fn is_demo(&self) -> bool {
        matches!(self, Self::Demo)
    }
}

/// Variables that each command gets: what programs need to run at all, and nothing that is anybody's secret.
const ALWAYS: [&str; 24] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    "TEMP",
    "TMP",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "COMSPEC",
    "PATHEXT",
    "APPDATA",
    "LOCALAPPDATA",
    "USERPROFILE",
    "PROGRAMFILES",
    "PROGRAMDATA",
];

/// Ours. They configure this program, and may be secret.
const OURS: &str = "HALLPASS_";

/// The command with its whole environment: of `ours`, what is on the list or named; then what the file says.
pub fn with_environment(
    command: &StdioCommand,
    pass: &[String],
    ours: impl Iterator<Item = (OsString, OsString)>,
) -> StdioCommand {
    let passes = |name: &OsString| {
        name.to_str().is_some_and(|name| {
            ALWAYS.iter().any(|known| name.eq_ignore_ascii_case(known))
                || pass.iter().any(|known| known == name)
        })
    };
    let mut environment: Vec<_> = ours.filter(|(name, _)| passes(name)).collect();
    environment.extend(command.environment.iter().cloned());
    StdioCommand { environment, ..command.clone() }
}

impl Check<'_> {
    /// Checks what a server says of where its requests go. Relative paths are below `folder`.
    pub(super) fn behind(&mut self, entry: &ServerEntry, folder: &Path) -> Option<Behind> {
        match (&entry.upstream, &entry.command) {
            (Some(_), Some(command)) => {
                self.wrong(command, "there is an upstream and a command", "keep one of them");
                None
            }
            (upstream, None) => {
                self.only_with_a_command(entry);
                Some(match upstream {
                    Some(url) => {
                        self.upstream(url);
                        Behind::Url(url.get_ref().clone())
                    }
                    None => Behind::Demo,
                })
            }
            (None, Some(command)) => self.command(entry, command, folder),
        }
    }

    fn only_with_a_command(&mut self, entry: &ServerEntry) {
        let stray = [
            ("cwd", entry.cwd.as_ref().map(|at| at.span().start)),
            ("env", entry.env.as_ref().map(|at| at.span().start)),
            ("pass_env", entry.pass_env.as_ref().map(|at| at.span().start)),
            ("secret_env", entry.secret_env.as_ref().map(|at| at.span().start)),
            ("max_processes", entry.max_processes.as_ref().map(|at| at.span().start)),
            ("max_processes_per_person", entry.max_processes_per_person.as_ref().map(|at| at.span().start)),
            ("connection_env", entry.connection_env.as_ref().map(|at| at.span().start)),
            ("shared_processes", entry.shared_processes.as_ref().map(|at| at.span().start)),
            ("idle_time", entry.idle_time.as_ref().map(|at| at.span().start)),
        ];
        for (key, at) in stray {
            if let Some(at) = at {
                let what = format!("{key} is only for a server with a command");
                self.wrong_at(at, what, format!("add command = [\"npx\", \"-y\", \"…\"], or remove {key}"));
            }
        }
    }

    fn command(
        &mut self,
        entry: &ServerEntry,
        command: &Spanned<Vec<String>>,
        folder: &Path,
    ) -> Option<Behind> {
        let fix = "write the program and each argument as a string of its own, such as [\"npx\", \"-y\", \"some-server\"]";
        let Some((program, arguments)) =
            command.get_ref().split_first().filter(|(program, _)| !program.is_empty())
        else {
            self.wrong(command, "command names no program", fix);
            return None;
        };
        if arguments.is_empty() && program.contains(' ') && !program.contains(['/', '\\']) {
            self.wrong(command, "command is one string with spaces, and no shell takes it apart", fix);
            return None;
        }
        if command.get_ref().iter().any(|text| text.contains('\0')) {
            self.wrong(command, "command contains a NUL character", "remove it");
            return None;
        }
        let mut environment = self.environment(entry);
        environment.extend(self.secret_environment(entry, folder));
        let pass = self.passed(entry);
        let limits = self.process_limits(entry);
        let cwd = entry.cwd.as_ref().map(|cwd| folder.join(cwd.get_ref()));
        let program = located(program, folder);
        self.present((command, &program), (entry.cwd.as_ref(), cwd.as_deref()), &environment);
        let command = StdioCommand {
            program,
            arguments: arguments.to_vec(),
            folder: cwd,
            environment,
            shared_processes: self.shared(entry, limits),
            token_variable: self.token_variable(entry),
            limits,
        };
        Some(Behind::Command { command, pass })
    }

    /// Whether program and folder are there: else the first client would be who finds out.
    fn present(
        &mut self,
        (at, program): (&Spanned<Vec<String>>, &str),
        (cwd_at, cwd): (Option<&Spanned<String>>, Option<&Path>),
        environment: &[(OsString, OsString)],
    ) {
        let path = environment.iter().rev().find(|(name, _)| name == "PATH").map(|(_, value)| &**value);
        if !is_there(program, path) {
            let what = format!("there is no program {program:?}");
            let fix = "install it, or correct command; without a slash it is looked for in PATH";
            self.absent.push(Problem::at(self.text, at.span().start, what, fix.to_owned()));
        }
        if let (Some(at), Some(cwd)) = (cwd_at, cwd.filter(|cwd| !cwd.is_dir())) {
            let what = format!("there is no folder {}", cwd.display());
            let fix = "make it, or correct cwd".to_owned();
            self.absent.push(Problem::at(self.text, at.span().start, what, fix));
        }
    }

    fn environment(&mut self, entry: &ServerEntry) -> Vec<(OsString, OsString)> {
        let Some(env) = &entry.env else { return Vec::new() };
        if env.get_ref().iter().any(|(name, value)| !is_variable(name) || value.contains('\0')) {
            self.wrong(
                env,
                "env has a name or value that no process can get",
                "write env = { NAME = \"value\" }, names without =",
            );
        }
        env.get_ref().iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    fn passed(&mut self, entry: &ServerEntry) -> Vec<String> {
        let Some(names) = &entry.pass_env else { return Vec::new() };
        if names.get_ref().iter().any(|name| !is_variable(name)) {
            self.wrong(names, "pass_env has something that is no name of a variable", "write names only");
        }
        if names.get_ref().iter().any(|name| name.to_ascii_uppercase().starts_with(OURS)) {
            self.wrong(
                names,
                "pass_env names a variable of hallpass itself",
                "remove it, or set another in env",
            );
        }
        names.get_ref().clone()
    }

    fn process_limits(&mut self, entry: &ServerEntry) -> StdioLimits {
        let usual = StdioLimits::default();
        let processes = self.count(entry.max_processes.as_ref(), usual.processes);
        StdioLimits {
            processes,
            processes_per_subject: self
                .count(entry.max_processes_per_person.as_ref(), usual.processes_per_subject.min(processes)),
            idle: self.duration(entry.idle_time.as_ref(), usual.idle, 1, 7 * 86_400),
            stop: Duration::from_secs(2),
            ..usual
        }
    }

    /// Processes for everybody; none unless the file says so.
    fn shared(&mut self, entry: &ServerEntry, limits: StdioLimits) -> usize {
        let Some(at) = &entry.shared_processes else { return 0 };
        let count = usize::from(*at.get_ref());
        if count > limits.processes && limits.processes > 0 {
            self.wrong(
                at,
                "shared_processes is more than max_processes",
                "raise max_processes, or share fewer",
            );
        }
        count
    }

    /// The variable that each process gets the token of its person in.
    fn token_variable(&mut self, entry: &ServerEntry) -> Option<String> {
        let at = entry.connection_env.as_ref()?;
        let name = at.get_ref();
        let is_set = entry.env.as_ref().is_some_and(|env| env.get_ref().contains_key(name))
            || entry.secret_env.as_ref().is_some_and(|env| env.get_ref().contains_key(name))
            || entry.pass_env.as_ref().is_some_and(|names| names.get_ref().contains(name));
        if !is_variable(name) || name.to_ascii_uppercase().starts_with(OURS) {
            self.wrong(
                at,
                "connection_env is no name of a variable of the command",
                "write one such as \"GITHUB_TOKEN\"",
            );
        } else if is_set {
            self.wrong(at, format!("{name} is set by env, pass_env or secret_env too"), "keep one of them");
        } else if entry.connection.is_none() {
            let fix = "add connection = \"NAME\" of a [[connection]], or remove it";
            self.wrong(at, "connection_env is for a server with a connection", fix);
        } else if entry.shared_processes.as_ref().is_some_and(|count| *count.get_ref() > 0) {
            let what = "there is a connection_env, and processes that several people share";
            self.wrong(at, what, "remove shared_processes: a process has the token of one person");
        }
        Some(name.clone())
    }

    fn count(&mut self, at: Option<&Spanned<u16>>, usual: usize) -> usize {
        let Some(at) = at else { return usual };
        if *at.get_ref() == 0 {
            self.wrong(at, "no process could be started", "write 1 or more");
        }
        usize::from(*at.get_ref())
    }
}

/// Names without a separator are looked up in `PATH`; relative paths are below the folder of the file.
fn located(program: &str, folder: &Path) -> String {
    let path = PathBuf::from(program);
    if program.contains(['/', '\\']) && path.is_relative() && !folder.as_os_str().is_empty() {
        std::path::absolute(folder.join(&path)).unwrap_or(path).to_string_lossy().into_owned()
    } else {
        program.to_owned()
    }
}

/// Whether a program can be started, looked for in `path`, or in ours.
#[cfg(unix)]
#[allow(clippy::disallowed_methods, reason = "only the cli reads the environment")]
pub fn is_there(program: &str, path: Option<&OsStr>) -> bool {
    if program.contains('/') {
        return Path::new(program).is_file();
    }
    let folders = path.map(OsStr::to_owned).or_else(|| std::env::var_os("PATH"));
    folders
        .is_some_and(|folders| std::env::split_paths(&folders).any(|folder| folder.join(program).is_file()))
}

/// Elsewhere a name stands for several files.
#[cfg(not(unix))]
pub const fn is_there(_: &str, _: Option<&OsStr>) -> bool {
    true
}

fn is_variable(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(environment: &[(&str, &str)]) -> StdioCommand {
        StdioCommand {
            program: "x".into(),
            arguments: vec![],
            folder: None,
            environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
            shared_processes: 0,
            token_variable: None,
            limits: StdioLimits::default(),
        }
    }

    #[test]
    fn rs_069_a_command_gets_none_of_our_secrets() {
        let ours = [
            ("PATH", "/bin"),
            ("Path", "C:\\"),
            ("HALLPASS_MASTER_KEY", "secret"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
            ("GITHUB_TOKEN", "passed"),
            ("LD_PRELOAD", "x"),
            ("NODE_OPTIONS", "x"),
        ];
        let ours = ours.iter().map(|(name, value)| (name.into(), value.into()));
        let command =
            with_environment(&command(&[("KEY", "k"), ("PATH", "/opt")]), &["GITHUB_TOKEN".into()], ours);
        let names: Vec<_> =
            command.environment.iter().map(|(name, value)| format!("{name:?}={value:?}")).collect();
        assert_eq!(
            names,
            [
                r#""PATH"="/bin""#,
                r#""Path"="C:\\""#,
                r#""GITHUB_TOKEN"="passed""#,
                r#""KEY"="k""#,
                r#""PATH"="/opt""#
            ]
        );
    }

    #[test]
    fn programs_are_found_where_they_are_meant() {
        let at = |program| located(program, Path::new("/etc/hallpass"));
        assert_eq!((at("npx"), at("/bin/x")), ("npx".into(), "/bin/x".into()));
        assert!(at("./server").starts_with("/etc/hallpass/") && at("bin/server").ends_with("bin/server"));
        assert_eq!(located("./server", Path::new("")), "./server");
    }
}
