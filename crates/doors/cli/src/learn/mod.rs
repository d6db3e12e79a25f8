//! `valetkey profile learn`: runs a program once in a cell that is closed but for files, and writes down what it needed, for a person to review.

mod places;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde_json::json;
use valetkey_api::BundleFile;
use valetkey_audit::EventType;
use valetkey_model::{AgentId, Resource};
use valetkey_store::LogReader;

use crate::agents::{Prepared, profile, program};
use crate::args::CellArgs;
use crate::commands::in_cell_under;
use crate::fail::{Fail, Status};
use crate::{home, out};
use places::{Touched, places};

const LEARNING: &str = include_str!("learning.rego");
const LEARNED: &str = include_str!("learned.rego");
const LEARNED_TEST: &str = include_str!("learned_test.rego");
const MANIFEST: &str = "{\"revision\": \"learned\", \"roots\": [\"valetkey\"], \"rego_version\": 1, \"metadata\": {\"name\": \"learned\"}}\n";

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "It reads what it likes but for keys and credentials, and connects to nothing that is not granted: give it a throwaway key, or a model of your own machine. What it changed in your home is kept: `valetkey undo`."
)]
pub(crate) struct LearnArgs {
    #[command(flatten)]
    cell: CellArgs,
    /// The profile's name; otherwise that of the command
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// A new directory for the profile and the policy; otherwise NAME.learned
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the command, and writes what was learned. The exit status is the command's.
pub(crate) fn command(args: LearnArgs) -> Result<u8, Fail> {
    let mut cell = args.cell;
    if cell.policy.is_some() {
        return Err(Fail::new(
            Status::Usage,
            "a profile is learned under a policy of its own: --policy has no place here",
        ));
    }
    let program = program::find(
        args.command
            .first()
            .map_or_else(Default::default, OsString::as_os_str),
        &[],
    )?;
    let name = AgentId::sanitised(args.name.as_deref().unwrap_or(&program.name)).to_string();
    let directory = args
        .out
        .unwrap_or_else(|| PathBuf::from(format!("{name}.learned")));
    if directory.exists() {
        return Err(Fail::new(
            Status::Usage,
            format!("{} is there already", directory.display()),
        ));
    }
    let workspace = cell
        .workspace
        .as_ref()
        .and_then(|dir| fs::canonicalize(dir).ok());
    let learned = Learned {
        granted: cell
            .grant
            .iter()
            .map(|start| start.grant.resource.clone())
            .collect(),
        program,
        name,
        workspace,
    };
    // Nobody is asked, and what is changed can be put back.
    (cell.unattended, cell.undo) = (true, true);
    let paths = home::paths()?;
    let begun = next_event(&paths.log());
    let prepared = Prepared {
        name: Some(learned.name.clone()),
        command: program::real_command(&learned.program, args.command),
        search: learned.program.search.clone(),
        ..Prepared::default()
    };
    let policy = vec![
        BundleFile {
            path: ".manifest".to_owned(),
            text: MANIFEST.to_owned(),
        },
        BundleFile {
            path: "learning.rego".to_owned(),
            text: LEARNING.to_owned(),
        },
    ];
    let status = in_cell_under(cell, prepared, Some(policy))?;
    let touched = learned.touched(&paths.log(), begun)?;
    learned.write(&directory, &touched)?;
    out::error(&format!(
        "valetkey: {} has what was learned: read it, then move profile.toml to {}",
        directory.display(),
        paths
            .config
            .join(profile::OWN)
            .join(&learned.name)
            .join(profile::FILE)
            .display()
    ));
    Ok(status)
}

/// The number of the event that comes next, in a log that may not be there yet.
fn next_event(log: &Path) -> u64 {
    let last = LogReader::open(log).and_then(|reader| reader.tail(1));
    let last = last.unwrap_or_default().pop();
    last.map_or(0, |entry| entry.record.seq.saturating_add(1))
}

struct Learned {
    name: String,
    program: program::Program,
    workspace: Option<PathBuf>,
    /// What the person granted on the command line.
    granted: Vec<Resource>,
}

impl Learned {
    /// What the session touched whose first event is the first of the log since `begun` that opens one of this name.
    fn touched(&self, log: &Path, begun: u64) -> Result<Touched, Fail> {
        let unreadable = |error: valetkey_store::StoreError| Fail::new(Status::Failed, error);
        let reader = LogReader::open(log).map_err(unreadable)?;
        let known = |path: &Path| {
            let below = |dir: &PathBuf| path.starts_with(dir);
            self.workspace.as_ref().is_some_and(below)
                || self.program.trees.iter().any(below)
                || path == self.program.path
        };
        let (mut session, mut touched) = (None, Touched::default());
        for entry in reader.entries(begun).map_err(unreadable)? {
            let record = entry.map_err(unreadable)?.record;
            let is_ours = record
                .agent_id
                .as_ref()
                .is_some_and(|id| id.as_str() == self.name);
            if session.is_none() && record.kind == EventType::SessionOpened && is_ours {
                session.clone_from(&record.session);
            }
            if session.is_some() && record.session == session {
                touched.add(&record, &known);
            }
        }
        let granted = |host: &String| {
            let resource = format!("tcp:{host}");
            self.granted
                .iter()
                .any(|granted| granted.to_string() == resource)
        };
        touched.hosts.retain(|host| !granted(host));
        touched.read.retain(|path| !touched.written.contains(path));
        Ok(touched)
    }

    /// Writes the profile and the policy.
    fn write(&self, directory: &Path, touched: &Touched) -> Result<(), Fail> {
        let home = std::env::var_os("HOME")
            .map(PathBuf::from)
            .unwrap_or_default();
        let home = fs::canonicalize(&home).unwrap_or(home);
        let (read, written) = (
            places(&touched.read, &home),
            places(&touched.written, &home),
        );
        let data = json!({"valetkey": {"learned": {"read": read, "write": written, "hosts": touched.hosts}}});
        let data = serde_json::to_string_pretty(&data)
            .map_err(|error| Fail::new(Status::Failed, error))?;
        let files = [
            (profile::FILE, self.profile(touched, &read, &written)),
            ("policy/.manifest", MANIFEST.to_owned()),
            ("policy/data.json", format!("{data}\n")),
            ("policy/learned.rego", LEARNED.to_owned()),
            ("policy/learned_test.rego", LEARNED_TEST.to_owned()),
        ];
        let fail = |error: std::io::Error| {
            Fail::new(
                Status::Failed,
                format!("cannot write to {}: {error}", directory.display()),
            )
        };
        fs::create_dir(directory)
            .and_then(|()| fs::create_dir(directory.join("policy")))
            .map_err(fail)?;
        for (name, text) in files {
            fs::write(directory.join(name), text).map_err(fail)?;
        }
        Ok(())
    }

    /// The profile as text, with what it leaves out as comments.
    fn profile(&self, touched: &Touched, read: &[String], written: &[String]) -> String {
        let list = |values: &[String]| {
            let lines = values
                .iter()
                .map(|value| format!("    {},\n", quoted(value)));
            if values.is_empty() {
                "[]".to_owned()
            } else {
                format!("[\n{}]", lines.collect::<String>())
            }
        };
        let hosts: Vec<String> = touched.hosts.iter().cloned().collect();
        let mut text = format!(
            "# Learned from one run of `{0}`. Read each line: what the program touched is not yet what it should have.\nsummary = {1}\nprograms = [{2}]\n\n\
             # Variables cannot be seen. What leads it to its own directory belongs in `[own]` (docs/agents.md): then what it writes there ends with the\n\
             # session, and the places below need not be written.\n\n\
             [network]\nhosts = {3}\n",
            self.program.name,
            quoted(&format!("{}, as learned", self.name)),
            quoted(&self.program.name),
            list(&hosts),
        );
        // A grant of a directory is one of all below it, which was not learned.
        let alone = |place: &&String| !place.ends_with('/') && is_directory(place);
        let files = |places: &[String]| {
            let files: Vec<_> = places
                .iter()
                .filter(|place| !alone(place))
                .cloned()
                .collect();
            list(&files)
        };
        text.push_str("\n[files]\n# Read, listed or run.\n");
        text.push_str(&format!(
            "read = {}\n# Changed.\nwrite = {}\n",
            files(read),
            files(written)
        ));
        let directories: Vec<_> = read.iter().chain(written).filter(alone).collect();
        if !directories.is_empty() {
            text.push_str(
                "\n# Directories that were made, and are not given with all below them:\n",
            );
        }
        for directory in directories {
            text.push_str(&format!("# - {}\n", one_line(directory)));
        }
        if !touched.refused.is_empty() {
            text.push_str("\n# Wanted and not given:\n");
        }
        for (what, reason) in &touched.refused {
            text.push_str(&format!("# - {}: {}\n", one_line(what), one_line(reason)));
        }
        text
    }
}

/// Whether a place, as it is written, is a directory now.
fn is_directory(place: &str) -> bool {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .unwrap_or_default();
    match place.strip_prefix("~/") {
        Some(below) => home.join(below).is_dir(),
        None => Path::new(place).is_dir(),
    }
}

/// A text as TOML writes one.
fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// A text that cannot end the comment that it stands in.
fn one_line(text: &str) -> String {
    valetkey_approval::visible(text)
}
