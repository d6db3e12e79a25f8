//! Running the `cell` and `worker` examples, as this user and as an ordinary one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// The number that `setpriv` gives the ordinary user of these tests.
const NOBODY: &str = "65534";

/// Whose cell it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    /// The user who runs the tests.
    Me,
    /// An ordinary user; only the superuser can run tests so.
    Nobody,
}

/// Everybody that the tests can be run as.
pub(crate) fn everybody() -> Vec<As> {
    if rustix::process::geteuid().is_root() {
        vec![As::Me, As::Nobody]
    } else {
        vec![As::Me]
    }
}

/// What the names of the tests' directories begin with, before the process id.
const PREFIX: &str = "cell-tests-";

/// A directory that everybody can read, with the examples in it. The next run removes it.
pub(crate) fn shared() -> &'static Path {
    static SHARED: OnceLock<PathBuf> = OnceLock::new();
    SHARED.get_or_init(|| {
        remove_those_of_ended_runs();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let directory = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir()
            .expect("tempdir");
        let directory = directory.keep();
        std::fs::set_permissions(&directory, PermissionsExt::from_mode(0o755)).expect("chmod");
        let test = std::env::current_exe().expect("own path");
        let examples = test
            .parent()
            .and_then(Path::parent)
            .expect("target")
            .join("examples");
        for name in ["cell", "service", "worker"] {
            std::fs::copy(examples.join(name), directory.join(name)).expect("example is built");
        }
        directory
    })
}

/// Nothing is run when a test program ends, so its directory is left to the next one.
fn remove_those_of_ended_runs() {
    for entry in std::fs::read_dir(std::env::temp_dir())
        .expect("temporary directory")
        .flatten()
    {
        let name = entry.file_name().to_string_lossy().into_owned();
        let process = name
            .strip_prefix(PREFIX)
            .and_then(|rest| rest.split('-').next());
        if process.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            // Somebody else's stays where it is.
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

/// The `cell` example with these arguments.
pub(crate) fn cell(who: As, arguments: &[&str]) -> Command {
    program(who, "cell", arguments)
}

/// An example with these arguments.
pub(crate) fn program(who: As, name: &str, arguments: &[&str]) -> Command {
    let example = shared().join(name);
    let mut command = match who {
        As::Me => Command::new(example),
        As::Nobody => {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
            command.arg("--").arg(example);
            command
        }
    };
    command
        .args(arguments)
        .current_dir("/")
        .stdin(Stdio::null());
    command
}

/// Runs a shell script in a cell.
pub(crate) fn script(who: As, options: &[&str], text: &str) -> Output {
    let arguments = [options, &["--", "sh", "-c", text]].concat();
    cell(who, &arguments).output().expect("run")
}

/// What a script printed; its errors if it failed.
pub(crate) fn printed(who: As, options: &[&str], text: &str) -> String {
    let output = script(who, options, text);
    assert!(output.status.success(), "{who:?}: {text}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
