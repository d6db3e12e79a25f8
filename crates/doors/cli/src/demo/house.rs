//! The demonstration's house: a home of its own in a temporary folder, with real workbooks and decoy secrets.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::failed;
use crate::fail::Fail;

/// A real workbook with formulas, a chart and a hidden sheet.
const REPORT: &[u8] = include_bytes!("../../../../adapters/sheet/fixtures/QuarterlyReport.xlsx");
/// A real workbook with macros.
const LEDGER: &[u8] = include_bytes!("../../../../adapters/sheet/fixtures/Ledger.xlsm");

/// The temporary home; removed when dropped, unless it is to be kept.
pub(crate) struct House {
    root: Option<tempfile::TempDir>,
    path: PathBuf,
    folder: PathBuf,
}

impl House {
    /// Builds it.
    pub(crate) fn build(keep: bool) -> Result<Self, Fail> {
        let root = tempfile::Builder::new()
            .prefix("valetkey-demo-")
            .tempdir()
            .map_err(|error| failed("make a folder", &error))?;
        let real =
            fs::canonicalize(root.path()).map_err(|error| failed("make a folder", &error))?;
        let house = Self {
            path: real.clone(),
            folder: real.join("home/Finance"),
            root: Some(root),
        };
        house
            .furnish()
            .map_err(|error| failed("furnish the folder", &error))?;
        Ok(if keep { house.kept() } else { house })
    }

    fn kept(mut self) -> Self {
        if let Some(root) = self.root.take() {
            self.path = root.keep();
        }
        self
    }

    fn furnish(&self) -> std::io::Result<()> {
        let home = self.home();
        for dir in [
            self.folder.join("Reports"),
            home.join(".ssh"),
            self.path.join("policy"),
            self.path.join("valetkey"),
        ] {
            fs::create_dir_all(dir)?;
        }
        fs::write(self.report(), REPORT)?;
        fs::write(self.ledger(), LEDGER)?;
        fs::write(
            self.folder.join(".env"),
            "PAYROLL_DB_PASSWORD=correct-horse-battery-staple\n",
        )?;
        fs::write(
            home.join(".ssh/id_ed25519"),
            "-----BEGIN OPENSSH PRIVATE KEY-----\ndecoy\n-----END OPENSSH PRIVATE KEY-----\n",
        )?;
        std::os::unix::fs::symlink(
            home.join(".ssh/id_ed25519"),
            self.folder.join("Reports/Forecast.xlsx"),
        )?;
        for (name, text) in valetkey_policy::starter_files("finance")
            .unwrap_or_default()
            .iter()
            .filter(|(name, _)| !name.ends_with("_test.rego"))
        {
            // Five minutes are too long to wait for in a demonstration.
            let text = text.replace("\"ttl_seconds\": 300", "\"ttl_seconds\": 3");
            let path = self.policy().join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        Ok(())
    }

    /// What is in it, for people.
    pub(crate) fn inventory(&self) -> [(&'static str, &'static str); 5] {
        [
            (
                "Finance/Reports/QuarterlyReport.xlsx",
                "the report: formulas, a chart, a hidden sheet",
            ),
            ("Finance/Reports/Ledger.xlsm", "a ledger with macros"),
            (
                "Finance/Reports/Forecast.xlsx",
                "really a symbolic link to the ssh key",
            ),
            ("Finance/.env", "a database password"),
            (".ssh/id_ed25519", "an ssh key"),
        ]
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.path.join("home")
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn report(&self) -> PathBuf {
        self.folder.join("Reports/QuarterlyReport.xlsx")
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.folder.join("Reports/Ledger.xlsm")
    }

    pub(crate) fn original_report(&self) -> &'static [u8] {
        REPORT
    }

    pub(crate) fn original_ledger(&self) -> &'static [u8] {
        LEDGER
    }

    pub(crate) fn policy(&self) -> PathBuf {
        self.path.join("policy")
    }

    /// Valetkey's own directories in this house.
    pub(crate) fn valetkey(&self) -> PathBuf {
        self.path.join("valetkey")
    }

    /// Gives a command this house's home and Valetkey.
    pub(crate) fn environment(&self, command: &mut Command) {
        command
            .env("HOME", self.home())
            .env("VALETKEY_HOME", self.valetkey());
    }

    pub(crate) fn report_file(&self) -> Result<Stdio, Fail> {
        let file = File::create(self.path.join("agent.out"))
            .map_err(|error| failed("keep the agent's words", &error))?;
        Ok(file.into())
    }

    /// What the agent found, one JSON object a line.
    pub(crate) fn agent_report(&self) -> Result<Vec<Value>, Fail> {
        let text = fs::read_to_string(self.path.join("agent.out"))
            .map_err(|error| failed("read the agent's words", &error))?;
        text.lines()
            .map(|line| {
                serde_json::from_str(line)
                    .map_err(|error| failed(&format!("read the agent's words `{line}`"), &error))
            })
            .collect()
    }

    /// Another program run in this house.
    pub(crate) fn valetkey_command(
        &self,
        arguments: &[&str],
    ) -> Result<std::process::Output, Fail> {
        let program =
            std::env::current_exe().map_err(|error| failed("find this program", &error))?;
        let mut command = Command::new(program);
        self.environment(&mut command);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| failed("run valetkey", &error))
    }

    pub(crate) fn stop_broker(&self) {
        // The house is about to go; a broker that cannot be stopped ends with its directory.
        drop(self.valetkey_command(&["stop"]));
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop_broker();
    }
}
