//! The product's own programs, in a home that is made for the measurement and taken away after it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;
use valetkey_api::Paths;

use crate::Failure;

/// Where the measurements are made: on a disk, since the log is, and not below `/tmp`, which every cell has to itself.
const SCRATCH: &str = "/var/tmp";

/// The programs and their home. Dropping it ends the broker and removes everything.
#[derive(Debug)]
pub struct Product {
    scratch: TempDir,
    program: PathBuf,
}

impl Product {
    /// Finds the programs beside this one and makes an empty home.
    ///
    /// # Errors
    /// When they have not been built.
    pub fn find() -> Result<Self, Failure> {
        let own = std::env::current_exe()?;
        let directory = own.parent().ok_or("this program has no directory")?;
        for name in ["valetkey", "valetkeyd"] {
            if !directory.join(name).is_file() {
                let directory = directory.display();
                return Err(format!(
                    "`{name}` is not in {directory}: `cargo build --release --bins` first"
                )
                .into());
            }
        }
        let scratch = tempfile::Builder::new()
            .prefix("valetkey-bench-")
            .tempdir_in(SCRATCH)?;
        let product = Self {
            program: directory.join("valetkey"),
            scratch,
        };
        std::fs::create_dir(product.home())?;
        Ok(product)
    }

    /// The directory that everything is in.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// A home directory with nothing in it, so that no program's settings change what is measured.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.scratch().join("home")
    }

    /// The product's directories and sockets.
    #[must_use]
    pub fn paths(&self) -> Paths {
        Paths::below(&self.scratch().join("valetkey"))
    }

    /// `valetkey` with these arguments.
    #[must_use]
    pub fn valetkey(&self, arguments: &[&str]) -> Command {
        let mut command = self.plain(&self.program.to_string_lossy(), arguments);
        command.env("VALETKEY_HOME", self.scratch().join("valetkey"));
        command
    }

    /// Another program, in the same surroundings.
    #[must_use]
    pub fn plain(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(self.scratch())
            .env("HOME", self.home())
            .stdin(Stdio::null());
        command
    }

    /// Starts the broker, by the way that the program itself does it.
    ///
    /// # Errors
    /// When a first command in a cell does not succeed.
    pub fn start_broker(&self) -> Result<(), Failure> {
        run(&mut self.valetkey(&["run", "--", "true"]))
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // Without a broker there is nothing to stop.
        let _stopped = self
            .valetkey(&["stop"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

/// Runs a command that must succeed, and gives what it printed.
///
/// # Errors
/// When it cannot be run or ends with another status than 0; its own words are in the error.
pub fn output(command: &mut Command) -> Result<String, Failure> {
    let done = command.output()?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
        return Err(format!("{command:?} ended with {}: {said}", done.status).into());
    }
    Ok(String::from_utf8(done.stdout)?)
}

/// Runs a command that must succeed.
///
/// # Errors
/// As [`output`].
pub fn run(command: &mut Command) -> Result<(), Failure> {
    output(command).map(drop)
}
