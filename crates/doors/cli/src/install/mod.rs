//! `valetkey install`: the MCP server and a few words in an agent's own settings, shown before they are there, and taken back.

mod json;
mod text;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args as ClapArgs;
use serde::Serialize;
use similar::TextDiff;
use valetkey_client::IN_CELL;

use crate::agents::profile;
use crate::fail::{Fail, Status};
use crate::out;

/// Settings that are longer are not ours to read.
const MAX_BYTES: u64 = 16 << 20;
/// What is behind the name of a file that was as it was.
const KEPT: &str = "before-valetkey";

#[derive(Debug, ClapArgs)]
#[command(
    after_help = "What was there before the first change is kept beside each file, with `.before-valetkey` behind its name."
)]
pub(crate) struct InstallArgs {
    /// The agent: the name of its profile (`valetkey profile list`)
    #[arg(value_name = "NAME")]
    name: String,
    /// Take it back
    #[arg(long)]
    remove: bool,
    /// Only show what would be changed
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// One file, as it is and as it should be.
#[derive(Debug)]
struct Change {
    file: PathBuf,
    was: Option<String>,
    becomes: String,
}

#[derive(Serialize)]
struct Told {
    file: PathBuf,
    diff: String,
    done: bool,
}

/// Changes the settings, or shows how.
pub(crate) fn command(args: &InstallArgs) -> Result<u8, Fail> {
    if Path::new(IN_CELL).exists() {
        return Err(Fail::new(
            Status::Denied,
            "settings of agents are not changed from within a cell",
        ));
    }
    let changes = changes(args)?;
    let mut told = Vec::new();
    for change in &changes {
        let diff = diff(change);
        if !args.dry_run {
            make(change, args.remove).map_err(|error| {
                let message = format!("cannot change {}: {error}", change.file.display());
                Fail::new(Status::Failed, message)
            })?;
        }
        if !args.json {
            out::line(&shown(&diff));
        }
        told.push(Told {
            file: change.file.clone(),
            diff,
            done: !args.dry_run,
        });
    }
    if args.json {
        out::json(&told);
    } else if told.is_empty() {
        out::line("nothing to change");
    }
    Ok(0)
}

/// Text of a file as a terminal may show it.
fn shown(diff: &str) -> String {
    let lines: Vec<_> = diff.lines().map(valetkey_approval::visible).collect();
    lines.join("\n")
}

fn changes(args: &InstallArgs) -> Result<Vec<Change>, Fail> {
    let named = profile::named(&args.name)?;
    let install = named.profile.install.ok_or_else(|| {
        let message = format!(
            "nothing is known of where {} keeps its MCP servers",
            args.name
        );
        Fail::new(Status::Usage, message)
    })?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.ok_or_else(|| Fail::new(Status::Failed, "HOME is not set"))?;
    let mut changes = Vec::new();
    let mut add = |below: &str, become_: &dyn Fn(&Path, &str) -> Result<String, String>| {
        let named = home.join(below);
        // What a link leads to is what is changed: the link stays.
        let file = fs::canonicalize(&named).unwrap_or(named);
        let fail = |why: String| {
            Fail::new(
                Status::Failed,
                format!("{} is left as it is: {why}", file.display()),
            )
        };
        let was = read(&file).map_err(|error| fail(error.to_string()))?;
        let becomes = become_(&file, was.as_deref().unwrap_or_default()).map_err(fail)?;
        if was.as_deref().unwrap_or_default() != becomes {
            changes.push(Change { file, was, becomes });
        }
        Ok::<(), Fail>(())
    };
    add(&install.settings, &|file, text| {
        text::settings(file, text, &install, !args.remove)
    })?;
    if let Some(instructions) = &install.instructions {
        add(instructions, &|_, text| {
            text::instructions(text, !args.remove)
        })?;
    }
    Ok(changes)
}

fn read(file: &Path) -> std::io::Result<Option<String>> {
    let meta = match fs::metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if !meta.is_file() || meta.len() > MAX_BYTES {
        return Err(std::io::Error::other(
            "it is no plain file of at most 16 MiB",
        ));
    }
    fs::read_to_string(file).map(Some)
}

fn diff(change: &Change) -> String {
    let name = change.file.display().to_string();
    let was = change.was.as_deref().unwrap_or_default();
    let diff = TextDiff::from_lines(was, &change.becomes);
    diff.unified_diff().header(&name, &name).to_string()
}

/// Puts the new text in the place of the old one, in one step.
fn make(change: &Change, is_removal: bool) -> std::io::Result<()> {
    let directory = change.file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let kept = kept(&change.file);
    // What is left is nothing, and nothing was there before.
    let is_bare = matches!(change.becomes.trim(), "" | "{}");
    if is_removal && is_bare && !kept.exists() {
        return fs::remove_file(&change.file);
    }
    if let (Some(was), false) = (&change.was, is_removal || kept.exists()) {
        write(directory, &kept, was, &change.file)?;
    }
    // An agent that runs writes to its settings too: what it wrote meanwhile is not overwritten.
    if read(&change.file)? != change.was {
        return Err(std::io::Error::other(
            "it was changed meanwhile: try again, best while the agent does not run",
        ));
    }
    write(directory, &change.file, &change.becomes, &change.file)?;
    if is_removal && fs::read_to_string(&kept).is_ok_and(|before| before == change.becomes) {
        fs::remove_file(&kept)?;
    }
    Ok(())
}

/// Where a file is kept as it was before the first change.
fn kept(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{KEPT}"));
    file.with_file_name(name)
}

/// Writes a file whole or not at all, with the mode of another one, or for its owner alone.
fn write(directory: &Path, file: &Path, text: &str, like: &Path) -> std::io::Result<()> {
    let mut fresh = tempfile::NamedTempFile::new_in(directory)?;
    fresh.write_all(text.as_bytes())?;
    if let Ok(meta) = fs::metadata(like) {
        fresh.as_file().set_permissions(meta.permissions())?;
    }
    fresh.as_file().sync_all()?;
    fresh.persist(file)?;
    Ok(())
}
