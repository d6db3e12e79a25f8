//! `valetkey diff`: what a session changed, as text where it is text.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use serde::Serialize;
use similar::TextDiff;
use valetkey_api::Paths;
use valetkey_approval::visible;
use valetkey_snapshot::{Happened, History, Item, Kind, StagedItem, State, stages};

use super::undo::{absolute, failed, latest, named, read, word};
use crate::args::DiffArgs;
use crate::fail::Fail;
use crate::home;
use crate::out;

/// Files above this are told by their size: nobody reads the rest, and comparing takes long.
const TEXT_MAX_BYTES: u64 = 1 << 20;

/// Shows what a session changed.
pub(crate) fn command(args: &DiffArgs) -> Result<(), Fail> {
    let paths = home::paths()?;
    if let Some(name) = waiting(&paths, args.session.as_deref())? {
        return show_staged(&paths.staged(), &name, args);
    }
    let directory = paths.undo();
    let session = match &args.session {
        Some(name) => named(&directory, name)?,
        None => latest(&directory, None)?,
    };
    // To look is no change, so a running session may be looked at.
    let history = read(&session, true)?;
    let mut items = history.items();
    if let Some(path) = &args.path {
        let path = absolute(path);
        items.retain(|item| item.path.starts_with(&path));
    }
    if args.json {
        let told: Vec<Told> = items.iter().map(told).collect();
        out::json(&told);
        return Ok(());
    }
    for item in &items {
        show(&history, item)?;
    }
    Ok(())
}

/// The session that is meant, if what it changed waits to be taken.
fn waiting(paths: &Paths, session: Option<&str>) -> Result<Option<String>, Fail> {
    let staged = stages(&paths.staged()).map_err(failed)?;
    let Some(name) = session else {
        // Ids begin with their time.
        let kept = latest(&paths.undo(), None).ok();
        return Ok(staged
            .into_iter()
            .next()
            .filter(|staged| kept.is_none_or(|kept| kept.name < *staged)));
    };
    Ok(staged.into_iter().find(|staged| staged == name))
}

fn show_staged(directory: &Path, name: &str, args: &DiffArgs) -> Result<(), Fail> {
    let staged = super::changes::read(directory, name, true)?;
    let mut items = staged.items().map_err(failed)?;
    if let Some(path) = &args.path {
        let path = absolute(path);
        items.retain(|item| item.path.starts_with(&path));
    }
    let all: Vec<Told> = items.iter().map(told_staged).collect();
    if args.json {
        out::json(&all);
        return Ok(());
    }
    for (item, told) in items.iter().zip(&all) {
        let text = |path: Option<&Path>| path.map_or(Some(String::new()), text_now);
        let before = (item.happened != Happened::Made).then_some(item.path.as_path());
        head(told);
        if item.kind != Some(Kind::Directory) {
            compare(told, text(before), text(item.staged.as_deref()));
        }
    }
    Ok(())
}

fn told_staged(item: &StagedItem) -> Told {
    Told {
        path: item.path.to_string_lossy().into_owned(),
        was: None,
        happened: word(item.happened),
        size_before: item.size_before,
        size: item.size,
        mode_before: mode_of(&item.path),
        mode: item.staged.as_deref().and_then(mode_of),
        conflict: item.conflict.clone(),
    }
}

fn mode_of(path: &Path) -> Option<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = std::fs::symlink_metadata(path).ok()?;
    Some(format!("{:04o}", metadata.permissions().mode() & 0o7777))
}

#[derive(Serialize)]
struct Told {
    path: String,
    was: Option<String>,
    happened: &'static str,
    size_before: Option<u64>,
    size: Option<u64>,
    mode_before: Option<String>,
    mode: Option<String>,
    conflict: Option<String>,
}

fn told(item: &Item) -> Told {
    use std::os::unix::fs::PermissionsExt as _;
    let now = present(item).and_then(|path| std::fs::symlink_metadata(path).ok());
    Told {
        path: item.path.to_string_lossy().into_owned(),
        was: item
            .was
            .as_ref()
            .map(|was| was.to_string_lossy().into_owned()),
        happened: word(item.happened),
        size_before: item.before.as_ref().map(|before| before.size),
        size: now.as_ref().map(std::fs::Metadata::len),
        mode_before: item
            .before
            .as_ref()
            .map(|before| format!("{:04o}", before.mode)),
        mode: now
            .as_ref()
            .map(|now| format!("{:04o}", now.permissions().mode() & 0o7777)),
        conflict: item.conflict.clone(),
    }
}

fn present(item: &Item) -> Option<&Path> {
    (item.happened != Happened::Removed).then_some(item.path.as_path())
}

fn head(told: &Told) {
    let path = visible(&told.path);
    let was = told
        .was
        .as_deref()
        .map_or(String::new(), |was| format!(", was {}", visible(was)));
    let conflict = told
        .conflict
        .as_deref()
        .map_or(String::new(), |why| format!(" ({})", visible(why)));
    out::line(&format!("{} {path}{was}{conflict}", told.happened));
    if let (Some(before), Some(now)) = (&told.mode_before, &told.mode)
        && before != now
    {
        out::line(&format!("  mode {before} -> {now}"));
    }
}

fn show(history: &History, item: &Item) -> Result<(), Fail> {
    let told = told(item);
    head(&told);
    if item.lost {
        out::line("  what was there was not kept");
        return Ok(());
    }
    let before = text_before(history, item.before.as_ref())?;
    let now = present(item).map_or(Some(String::new()), text_now);
    compare(&told, before, now);
    Ok(())
}

fn compare(told: &Told, before: Option<String>, now: Option<String>) {
    let path = visible(&told.path);
    match (before, now) {
        (Some(before), Some(now)) => show_text(&before, &now, &path),
        _ => {
            let size = |size: Option<u64>| size.map_or("-".to_owned(), |size| size.to_string());
            let (before, now) = (size(told.size_before), size(told.size));
            out::line(&format!("  not shown as text; {before} -> {now} bytes"));
        }
    }
}

fn show_text(before: &str, now: &str, path: &str) {
    if before == now {
        return;
    }
    let diff = TextDiff::from_lines(before, now);
    let unified = diff.unified_diff().context_radius(3).to_string();
    out::line(&format!("--- {path}"));
    out::line(&format!("+++ {path}"));
    for line in unified.lines() {
        // A tab is what it looks like; everything else that a terminal acts on is made visible.
        let parts: Vec<_> = line.split('\t').map(visible).collect();
        out::line(&parts.join("\t"));
    }
}

/// The text before; nothing where it is none, or too much.
fn text_before(history: &History, state: Option<&State>) -> Result<Option<String>, Fail> {
    let Some(state) = state else {
        return Ok(Some(String::new()));
    };
    if state.kind != Kind::File || state.size > TEXT_MAX_BYTES {
        return Ok(None);
    }
    let content = history.content(state).map_err(failed)?;
    Ok(text(content))
}

fn text_now(path: &Path) -> Option<String> {
    // Neither a link nor a pipe that the agent has put there is opened.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut content = Vec::new();
    let most = TEXT_MAX_BYTES.saturating_add(1);
    file.take(most).read_to_end(&mut content).ok()?;
    let fits = u64::try_from(content.len()).is_ok_and(|length| length <= TEXT_MAX_BYTES);
    fits.then_some(content).and_then(text)
}

fn text(content: Vec<u8>) -> Option<String> {
    String::from_utf8(content)
        .ok()
        .filter(|text| !text.contains('\0'))
}
