//! Starting the command: its streams, its process group, its walls, and at last itself.

use std::ffi::{CString, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, fcntl_dupfd_cloexec, write};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, chdir, getpid, setpgid, umask};
use rustix::termios::tcsetpgrp;
use rustix::thread::UnshareFlags;
use valetkey_sys::exec::execve;
use valetkey_sys::fork::{Inherit, fork};
use valetkey_sys::{descriptors, signals};

use super::Plan;
use crate::control::Report;
use crate::error::{AtStep, Fault, Step};
use crate::seccomp::{AGENT, Compiled, Profile, WITHOUT_FILES_IN_MEMORY};
use crate::spec::{CellSpec, Stdio};

/// Where programs are looked for when the environment does not say.
const PATH_DEFAULT: &str = "/usr/local/bin:/usr/bin:/bin";
/// What shells answer when a program is not there.
const EXIT_NOT_FOUND: u8 = 127;
/// What shells answer when a program cannot be executed.
const EXIT_NOT_EXECUTABLE: u8 = 126;

/// A started command.
pub(super) struct Agent {
    pub(super) pid: Pid,
    /// Ends without a word when the command was executed; else it says why not.
    pub(super) failure: OwnedFd,
    /// The signals that pid 1 takes.
    pub(super) signals: OwnedFd,
}

/// The command's standard streams, from the cell's own devices or the guard's pipes.
pub(super) fn open_streams(
    spec: &CellSpec,
    pipes: [Option<OwnedFd>; 3],
    terminal: Option<&OwnedFd>,
) -> Result<Vec<OwnedFd>, Fault> {
    let missing = || Fault::new(Step::StartCommand, "a stream is missing");
    let open_one = |kind: &Stdio, pipe: Option<OwnedFd>| match kind {
        Stdio::Pipe => pipe.ok_or_else(missing),
        Stdio::Pty => {
            let slave = terminal.ok_or_else(missing)?;
            fcntl_dupfd_cloexec(slave, 3).at(Step::StartCommand, "terminal")
        }
        Stdio::Null => open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
            .at(Step::StartCommand, "/dev/null"),
    };
    spec.stdio
        .iter()
        .zip(pipes)
        .map(|(kind, pipe)| open_one(kind, pipe))
        .collect()
}

/// Forks the command. Its walls go up between the fork and the execution.
pub(super) fn start(
    plan: &Plan<'_>,
    streams: Vec<OwnedFd>,
    terminal: Option<OwnedFd>,
    mask: Mode,
) -> Result<Agent, Fault> {
    let beneath = plan
        .spec
        .commands
        .as_ref()
        .map(|_| &WITHOUT_FILES_IN_MEMORY);
    // Of two that refuse, the last one gives the answer.
    let filters = beneath
        .into_iter()
        .chain([&AGENT])
        .map(Profile::compile)
        .collect::<Result<Vec<_>, _>>()?;
    let signals = signals::signal_descriptor(&[libc::SIGCHLD, libc::SIGHUP])
        .at(Step::StartCommand, "signals")?;
    let (failure, tell) = pipe_with(PipeFlags::CLOEXEC).at(Step::StartCommand, "pipe")?;
    let child = fork(
        UnshareFlags::empty(),
        Inherit::Everything,
        vec![tell],
        |handed| {
            let (report, status) =
                become_command(plan, &filters, &streams, terminal.as_ref(), mask);
            if let (Some(tell), Ok(bytes)) = (handed.first(), serde_json::to_vec(&report)) {
                // Shorter than a pipe's buffer, so it is written whole or, with nobody there, not at all.
                let _told = write(tell, &bytes);
            }
            status
        },
    )
    .at(Step::StartCommand, "fork")?;
    // Both sides do it, so that it is done for whoever comes next. Too late is an error that says
    // that the child did.
    let _grouped = setpgid(Some(child.pid), Some(child.pid));
    Ok(Agent {
        pid: child.pid,
        failure,
        signals,
    })
}

/// Runs in the child and returns only to say what failed, with the exit status.
fn become_command(
    plan: &Plan<'_>,
    filters: &[Compiled],
    streams: &[OwnedFd],
    terminal: Option<&OwnedFd>,
    mask: Mode,
) -> (Report, u8) {
    let command = match Command::new(plan.spec) {
        Ok(command) => command,
        Err(fault) => return (Report::Failed(fault), EXIT_NOT_EXECUTABLE),
    };
    if let Err(fault) = confine(plan, filters, streams, terminal, mask) {
        return (Report::Failed(fault), EXIT_NOT_EXECUTABLE);
    }
    let errno = command.execute();
    let status = if errno == Errno::NOENT {
        EXIT_NOT_FOUND
    } else {
        EXIT_NOT_EXECUTABLE
    };
    let program = plan
        .spec
        .command
        .first()
        .map(|name| name.to_string_lossy().into_owned());
    let program = program.unwrap_or_default();
    (
        Report::ExecFailed {
            program,
            errno: errno.raw_os_error(),
        },
        status,
    )
}

fn confine(
    plan: &Plan<'_>,
    filters: &[Compiled],
    streams: &[OwnedFd],
    terminal: Option<&OwnedFd>,
    mask: Mode,
) -> Result<(), Fault> {
    let step = Step::StartCommand;
    setpgid(None, None).at(step, "process group")?;
    if let Some(terminal) = terminal {
        // A background group that takes the terminal would be stopped.
        signals::block(&[libc::SIGTTOU]).at(step, "signals")?;
        tcsetpgrp(terminal, getpid()).at(step, "foreground")?;
    }
    let [input, output, error] = streams else {
        return Err(Fault::new(step, "a stream is missing"));
    };
    rustix::stdio::dup2_stdin(input).at(step, "standard input")?;
    rustix::stdio::dup2_stdout(output).at(step, "standard output")?;
    rustix::stdio::dup2_stderr(error).at(step, "standard error")?;
    if chdir(&plan.spec.cwd).is_err() {
        chdir("/").at(step, "working directory")?;
    }
    umask(mask);
    signals::reset_all().at(step, "signals")?;
    descriptors::close_on_exec_from(3).at(step, "descriptors")?;
    plan.version
        .confine_agent(plan.spec.commands.as_ref(), &plan.spec.extra_ro_binds)?;
    filters.iter().try_for_each(Compiled::install)
}

/// A command as the kernel wants it.
struct Command {
    /// The paths to try, in order.
    candidates: Vec<CString>,
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    fn new(spec: &CellSpec) -> Result<Self, Fault> {
        let nul = |_| Fault::new(Step::StartCommand, "NUL in the command");
        let arguments = spec
            .command
            .iter()
            .map(|word| CString::new(word.as_bytes()));
        let arguments = arguments.collect::<Result<Vec<_>, _>>().map_err(nul)?;
        let environment = spec
            .env
            .iter()
            .map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()));
        let environment = environment.collect::<Result<Vec<_>, _>>().map_err(nul)?;
        let path = spec
            .env
            .iter()
            .find(|(name, _)| name == "PATH")
            .map(|(_, value)| value);
        let path = path.map_or(OsStr::new(PATH_DEFAULT), OsString::as_os_str);
        let program = spec
            .command
            .first()
            .map_or(OsStr::new(""), OsString::as_os_str);
        let candidates = candidates(program.as_bytes(), path.as_bytes());
        let candidates = candidates
            .into_iter()
            .map(CString::new)
            .collect::<Result<Vec<_>, _>>();
        Ok(Self {
            candidates: candidates.map_err(nul)?,
            arguments,
            environment,
        })
    }

    /// Executes the first candidate that can be; the answer is why none could, as `execvp` tells it: a
    /// program that is there but refused counts for more than one that is not there.
    fn execute(&self) -> Errno {
        let mut refused = None;
        for candidate in &self.candidates {
            let error = execve(candidate, &self.arguments, &self.environment);
            match Errno::from_io_error(&error).unwrap_or(Errno::IO) {
                Errno::NOENT | Errno::NOTDIR => {}
                Errno::ACCESS => refused = Some(Errno::ACCESS),
                Errno::NOEXEC => return self.execute_as_script(candidate),
                other => return other,
            }
        }
        refused.unwrap_or(Errno::NOENT)
    }

    /// A text without `#!` is the shell's.
    fn execute_as_script(&self, script: &CString) -> Errno {
        let mut arguments = vec![c"sh".to_owned(), script.clone()];
        arguments.extend(self.arguments.iter().skip(1).cloned());
        let error = execve(c"/bin/sh", &arguments, &self.environment);
        Errno::from_io_error(&error).unwrap_or(Errno::NOEXEC)
    }
}

fn candidates(program: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
    if program.contains(&b'/') {
        return vec![program.to_vec()];
    }
    let directories = path.split(|byte| *byte == b':');
    directories
        .map(|directory| match directory {
            b"" => [b"./", program].concat(),
            directory => [directory, b"/", program].concat(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_and_a_path_is_not() {
        assert_eq!(candidates(b"/bin/true", b"/a:/b"), [b"/bin/true"]);
        assert_eq!(
            candidates(b"true", b"/a:/b"),
            [b"/a/true".to_vec(), b"/b/true".to_vec()]
        );
        assert_eq!(
            candidates(b"true", b"/a:"),
            [b"/a/true".to_vec(), b"./true".to_vec()]
        );
    }
}
