//! Cargo, as the chores call it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Cargo in the workspace's root.
#[derive(Clone, Debug)]
pub struct Cargo {
    program: PathBuf,
    root: PathBuf,
}

impl Cargo {
    /// The cargo that runs this program, or the one on the path.
    ///
    /// # Errors
    /// When the workspace's root cannot be told.
    pub fn find() -> Result<Self, String> {
        let program =
            std::env::var_os("CARGO").map_or_else(|| PathBuf::from("cargo"), PathBuf::from);
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .ok_or("the xtask crate has no directory above it")?;
        Ok(Self {
            program,
            root: root.to_path_buf(),
        })
    }

    /// The workspace's root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A call, not started yet.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.root).args(args);
        command
    }

    /// What a call prints.
    ///
    /// # Errors
    /// When it cannot be started or fails; what it says on standard error is seen by the caller's reader.
    pub fn output(&self, args: &[&str]) -> Result<String, String> {
        let told = |reason: String| format!("`cargo {}`: {reason}", args.join(" "));
        let output = self
            .command(args)
            .stderr(Stdio::inherit())
            .output()
            .map_err(|error| told(error.to_string()))?;
        if !output.status.success() {
            return Err(told(output.status.to_string()));
        }
        String::from_utf8(output.stdout).map_err(|error| told(error.to_string()))
    }

    /// The workspace's own packages, as `cargo metadata` tells them; nothing is resolved or downloaded.
    ///
    /// # Errors
    /// When cargo fails or prints something else.
    pub fn workspace(&self) -> Result<Value, String> {
        self.metadata(&["--no-deps"])
    }

    /// Every package that a build for this machine may use.
    ///
    /// # Errors
    /// As [`Cargo::workspace`].
    pub fn everything(&self) -> Result<Value, String> {
        let target = host_target(&self.output(&["version", "--verbose"])?)?;
        self.metadata(&["--filter-platform", &target])
    }

    fn metadata(&self, further: &[&str]) -> Result<Value, String> {
        let args: Vec<&str> = ["metadata", "--format-version", "1"]
            .into_iter()
            .chain(further.iter().copied())
            .collect();
        serde_json::from_str(&self.output(&args)?)
            .map_err(|error| format!("cargo metadata: {error}"))
    }

    /// Where builds go.
    ///
    /// # Errors
    /// As [`Cargo::workspace`].
    pub fn target_directory(&self) -> Result<PathBuf, String> {
        let metadata = self.workspace()?;
        let directory = metadata.get("target_directory").and_then(Value::as_str);
        directory
            .map(PathBuf::from)
            .ok_or_else(|| "cargo metadata names no target directory".to_owned())
    }
}

fn host_target(version: &str) -> Result<String, String> {
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .ok_or_else(|| "cargo does not say what machine this is".to_owned())
}
