//! `valetkey run`: a command in a cell.

use std::path::Path;

use valetkey_api::BundleFile;
use valetkey_guard::{RunSpec, UndoSpec};
use valetkey_snapshot::Budget;

use crate::agents::{self, Prepared};
use crate::args::{CellArgs, CommitWhen, RunArgs};
use crate::fail::{Fail, Status};
use crate::home;

/// The most bytes of a bundle that are read.
const MAX_BUNDLE_BYTES: u64 = 1 << 20;
/// The most files.
const MAX_BUNDLE_FILES: usize = 256;

/// Runs the command and passes its exit status on.
pub(crate) fn run(args: RunArgs) -> Result<u8, Fail> {
    let agent = args.agent.agent.as_deref();
    let prepared = agents::prepare(agent, args.agent.with_login, args.command)?;
    in_cell(args.cell, prepared)
}

/// Runs a command in a cell of its own.
pub(crate) fn in_cell(mut args: CellArgs, prepared: Prepared) -> Result<u8, Fail> {
    let policy = match args.policy.take() {
        Some(dir) => Some(dir),
        None => super::init::chosen()?,
    };
    let policy = policy.as_deref().map(read_bundle).transpose()?;
    in_cell_under(args, prepared, policy)
}

/// The same under a policy of which the files are at hand; none is the built-in one.
pub(crate) fn in_cell_under(
    args: CellArgs,
    prepared: Prepared,
    policy: Option<Vec<BundleFile>>,
) -> Result<u8, Fail> {
    let paths = home::paths()?;
    let undo = args.undo.then(|| UndoSpec {
        directory: paths.undo(),
        budget: Budget {
            total_bytes: args.undo_budget.saturating_mul(1 << 20),
            ..Budget::default()
        },
    });
    let stage = (args.commit == CommitWhen::Ask).then(|| paths.staged());
    let spec = RunSpec {
        command: prepared.command,
        agent: prepared.name,
        workspace: args.workspace,
        grants: [args.grant, prepared.grants].concat(),
        policy,
        purpose: args.purpose,
        require: args.require,
        limits: args.limits,
        commands: args.commands,
        environment: [args.environment, prepared.passed].concat(),
        no_prompt: args.no_prompt
            || std::env::var_os("VALETKEY_PROMPT").is_some_and(|when| when == "never"),
        quiet: args.quiet,
        unattended: args.unattended,
        starter: prepared.starter,
        variables: prepared.variables,
        search: prepared.search,
        undo,
        stage,
    };
    let status = valetkey_guard::run(&spec, &paths)?;
    if spec.stage.is_some() {
        super::changes::remind(&paths.staged());
    }
    Ok(status)
}

/// Reads the files of a policy bundle: Rego, data and manifest.
pub(crate) fn read_bundle(dir: &Path) -> Result<Vec<BundleFile>, Fail> {
    let fail = |path: &Path, reason: &dyn std::fmt::Display| {
        Fail::new(
            Status::Usage,
            format!("cannot read the policy {}: {reason}", path.display()),
        )
    };
    let mut files = Vec::new();
    let mut left = MAX_BUNDLE_BYTES;
    let mut waiting = vec![dir.to_path_buf()];
    while let Some(current) = waiting.pop() {
        let mut entries = std::fs::read_dir(&current)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| fail(&current, &error))?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type().map_err(|error| fail(&path, &error))?;
            if kind.is_dir() {
                waiting.push(path);
                continue;
            }
            let name = entry.file_name();
            let wanted = name == "data.json"
                || name == ".manifest"
                || path.extension().is_some_and(|end| end == "rego");
            if !wanted {
                continue;
            }
            let text = std::fs::read_to_string(&path).map_err(|error| fail(&path, &error))?;
            left = u64::try_from(text.len())
                .ok()
                .and_then(|size| left.checked_sub(size))
                .filter(|_| files.len() < MAX_BUNDLE_FILES)
                .ok_or_else(|| fail(dir, &"a bundle has at most 256 files and 1 MiB"))?;
            let below = path
                .strip_prefix(dir)
                .map_err(|error| fail(&path, &error))?;
            files.push(BundleFile {
                path: below.to_string_lossy().into_owned(),
                text,
            });
        }
    }
    if files.is_empty() {
        return Err(fail(dir, &"there is no .rego file in it"));
    }
    Ok(files)
}
