//! `valetkey changes`, `commit` and `discard`: what a session with `--commit=ask` has changed, and taking it or throwing it away.

use std::path::{Path, PathBuf};

use serde::Serialize;
use valetkey_api::{Client, Did, Undoing};
use valetkey_approval::visible;
use valetkey_guard::connect_or_start;
use valetkey_snapshot::{
    Budget, Choice, Keep, SnapshotError, Staged, StagedItem, remove_stage, stages,
};

use super::undo::{absolute, failed, word};
use crate::args::{ChangesArgs, CommitArgs, DiscardArgs};
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Commits of one session, which are numbered: each by name, at most.
const COMMITS_MAX: u32 = 1000;

/// Lists what waits.
pub(crate) fn list(args: &ChangesArgs) -> Result<(), Fail> {
    let directory = home::paths()?.staged();
    let name = match &args.session {
        Some(name) => name.clone(),
        None => latest(&directory)?,
    };
    let staged = read(&directory, &name, true)?;
    let items = staged.items().map_err(failed)?;
    if args.json {
        out::json(&items.iter().map(Line::of).collect::<Vec<_>>());
        return Ok(());
    }
    out::line(&visible(&name));
    for item in &items {
        let line = Line::of(item);
        let size = |size: Option<u64>| size.map_or("-".to_owned(), |size| size.to_string());
        let sizes = if line.size.is_some() || line.size_before.is_some() {
            format!("  {} -> {} bytes", size(line.size_before), size(line.size))
        } else {
            String::new()
        };
        let conflict = item
            .conflict
            .as_ref()
            .map_or(String::new(), |why| format!(" ({})", visible(why)));
        let path = visible(&line.path);
        out::line(&format!("  {} {path}{sizes}{conflict}", line.happened));
    }
    if items.is_empty() {
        out::line("  nothing waits");
    }
    Ok(())
}

/// Takes what waits. The status is that of a failure when something was left.
pub(crate) fn commit(args: &CommitArgs) -> Result<u8, Fail> {
    let paths = home::paths()?;
    let staged = read(&paths.staged(), &args.session, false)?;
    let items = staged.items().map_err(failed)?;
    let choice = Choice {
        only: args.paths.iter().map(|path| absolute(path)).collect(),
        force: args.force.iter().map(|path| absolute(path)).collect(),
    };
    let meant = meant(&items, &choice.only);
    if meant.is_empty() {
        return Err(nothing(&args.session));
    }
    let left = |item: &StagedItem| item.conflict.is_some() && !choice.force.contains(&item.path);
    if args.dry_run {
        for item in meant {
            let does = if left(item) { "left" } else { "taken" };
            let why = item
                .conflict
                .as_deref()
                .map_or(String::new(), |why| format!(" ({})", visible(why)));
            let path = visible(&item.path.to_string_lossy());
            out::line(&format!("{does}: {} {path}{why}", word(item.happened)));
        }
        return Ok(0);
    }
    let count = |which: &dyn Fn(&StagedItem) -> bool| {
        u64::try_from(meant.iter().filter(|item| which(item)).count()).unwrap_or(u64::MAX)
    };
    record(&Undoing {
        session: args.session.clone(),
        did: Did::Committed,
        changes: count(&|item| !left(item)),
        left: count(&|item| left(item)),
        forced: count(&|item| item.conflict.is_some() && !left(item)),
    })?;
    let (name, keep) = own_keep(&paths.undo(), &args.session)?;
    let done = staged.commit(&items, &choice, &keep).map_err(failed)?;
    keep.end().map_err(failed)?;
    for told in &done.left {
        let path = visible(&told.path.to_string_lossy());
        out::line(&format!("left as it is: {path} ({})", visible(&told.why)));
    }
    out::line(&format!(
        "{} taken; `valetkey undo {name}` undoes that",
        done.changed.len()
    ));
    end(staged, done.left.is_empty())?;
    Ok(u8::from(!done.left.is_empty()))
}

/// Throws away what waits.
pub(crate) fn discard(args: &DiscardArgs) -> Result<(), Fail> {
    let directory = home::paths()?.staged();
    let staged = read(&directory, &args.session, false)?;
    let items = staged.items().map_err(failed)?;
    let only: Vec<PathBuf> = args.paths.iter().map(|path| absolute(path)).collect();
    let meant = meant(&items, &only);
    if meant.is_empty() && !only.is_empty() {
        return Err(nothing(&args.session));
    }
    record(&Undoing {
        session: args.session.clone(),
        did: Did::Discarded,
        changes: u64::try_from(meant.len()).unwrap_or(u64::MAX),
        left: 0,
        forced: 0,
    })?;
    let whole = only.is_empty();
    let choice = Choice {
        only,
        force: Vec::new(),
    };
    let gone = staged.discard(&items, &choice).map_err(failed)?;
    out::line(&format!("{} thrown away", gone.len()));
    let all = whole || meant.len() == items.len();
    end(staged, all)
}

/// Says after a session that something waits; a session that changed nothing leaves nothing.
pub(super) fn remind(directory: &Path) {
    let Ok(name) = latest(directory) else { return };
    // Threads of the view may hold it for a moment longer.
    let Ok(staged) = read(directory, &name, true) else {
        return;
    };
    match staged.items() {
        Ok(items) if items.is_empty() => drop(remove_stage(staged)),
        Ok(items) => out::error(&format!(
            "{} changes wait: `valetkey changes {name}`, `valetkey commit {name}`",
            items.len()
        )),
        Err(_) => out::error(&format!("changes wait: `valetkey changes {name}`")),
    }
}

/// A stage on which nothing is left is removed.
fn end(staged: Staged, may_be_empty: bool) -> Result<(), Fail> {
    if may_be_empty && staged.items().map_err(failed)?.is_empty() {
        remove_stage(staged).map_err(failed)?;
    }
    Ok(())
}

fn meant<'i>(items: &'i [StagedItem], only: &[PathBuf]) -> Vec<&'i StagedItem> {
    let is_meant =
        |item: &&StagedItem| only.is_empty() || only.iter().any(|only| item.path.starts_with(only));
    items.iter().filter(is_meant).collect()
}

fn nothing(session: &str) -> Fail {
    let text = format!("nothing of {} waits there", visible(session));
    Fail::new(Status::Failed, text).hinted(format!(
        "`valetkey changes {}` shows what waits",
        visible(session)
    ))
}

/// The latest session that has something waiting.
pub(super) fn latest(directory: &Path) -> Result<String, Fail> {
    stages(directory)
        .map_err(failed)?
        .into_iter()
        .next()
        .ok_or_else(|| {
            Fail::new(Status::Failed, "no session's changes wait to be taken")
                .hinted("`valetkey run --commit=ask` holds them back")
        })
}

/// What waits of the session of this name.
pub(super) fn read(directory: &Path, name: &str, live: bool) -> Result<Staged, Fail> {
    if !stages(directory)
        .map_err(failed)?
        .iter()
        .any(|stage| stage == name)
    {
        let text = format!("nothing of {} waits to be taken", visible(name));
        return Err(Fail::new(Status::Failed, text)
            .hinted("`valetkey changes` shows the latest session of which something does"));
    }
    Staged::read(&directory.join(name), live).map_err(|error| match error {
        SnapshotError::InUse(_) => {
            Fail::new(Status::Failed, format!("{} still runs", visible(name)))
                .hinted("end it first")
        }
        other @ (SnapshotError::Io { .. }
        | SnapshotError::Budget(_)
        | SnapshotError::Full(_)
        | SnapshotError::Damaged { .. }) => failed(other),
    })
}

/// In the log before it happens; a broker is started for that if need be.
fn record(what: &Undoing) -> Result<(), Fail> {
    let paths = home::paths()?;
    drop(connect_or_start(&paths.guard_socket(), &paths)?);
    let mut operator: Client = home::operator()?;
    Ok(operator.post::<_, ()>("/v1/undone", what)?)
}

/// Where this commit keeps what it takes away.
fn own_keep(directory: &Path, session: &str) -> Result<(String, Keep), Fail> {
    for number in 1..COMMITS_MAX {
        let name = format!("{session}.commit-{number}");
        let own = directory.join(&name);
        if own.exists() {
            continue;
        }
        // What cannot be kept is not taken away: the person can make room, and give the command again.
        let keep = Keep::begin(&own, Budget::default(), |_, _| false).map_err(failed)?;
        return Ok((name, keep));
    }
    Err(Fail::new(Status::Failed, "it was taken in too many parts")
        .hinted("`valetkey undo --prune` throws away what has expired"))
}

#[derive(Serialize)]
struct Line {
    path: String,
    happened: &'static str,
    size_before: Option<u64>,
    size: Option<u64>,
    conflict: Option<String>,
}

impl Line {
    fn of(item: &StagedItem) -> Self {
        Self {
            path: item.path.to_string_lossy().into_owned(),
            happened: word(item.happened),
            size_before: item.size_before,
            size: item.size,
            conflict: item.conflict.clone(),
        }
    }
}
