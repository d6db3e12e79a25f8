//! `valetkey undo`: put back what a session changed.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use valetkey_api::{Client, Did, Undoing};
use valetkey_approval::visible;
use valetkey_guard::connect_or_start;
use valetkey_snapshot::{
    Budget, Choice, Happened, History, Item, Keep, Session, SnapshotError, Undone, prune, sessions,
    undo,
};
use valetkey_store::LogReader;

use crate::args::UndoArgs;
use crate::fail::{Fail, Status};
use crate::home;
use crate::out;

/// Undos of one session, and of those, that are numbered.
const UNDOS_MAX: u32 = 1000;

/// Runs `undo`. The status is that of a failure when something was left as it is.
pub(crate) fn command(args: &UndoArgs) -> Result<u8, Fail> {
    let paths = home::paths()?;
    let directory = paths.undo();
    if args.list {
        return list(&directory, args.json).map(|()| 0);
    }
    if args.prune {
        return throw_away(&directory, args.older_than).map(|()| 0);
    }
    let wanted = Wanted::find(&directory, args.what.as_deref())?;
    let history = read(&wanted.session, args.live)?;
    if let Some(by) = &history.undone_by
        && wanted.only.is_empty()
        && args.force.is_empty()
    {
        let text = format!("{} was undone already", wanted.session.name);
        return Err(Fail::new(Status::Failed, text)
            .hinted(format!("`valetkey undo {by}` undoes that again"))
            .hinted("what was left can be put back with `--force FILE`"));
    }
    let choice = Choice {
        only: wanted.only,
        force: args.force.iter().map(|path| absolute(path)).collect(),
    };
    let items = chosen(&history, &choice);
    if args.dry_run {
        tell_plan(&items, &choice, args.json);
        return Ok(0);
    }
    record(&wanted.session, &items, &choice)?;
    let (name, keep) = own_keep(&directory, &wanted.session)?;
    let undone = undo(&history, &items, &choice, &keep).map_err(failed)?;
    keep.end().map_err(failed)?;
    tell(&name, &undone, args.json);
    Ok(u8::from(!undone.left.is_empty()))
}

/// Throws away what has expired, or is older than the person says.
fn throw_away(directory: &Path, days: Option<u64>) -> Result<(), Fail> {
    let mut budget = Budget::default();
    if let Some(days) = days {
        let told = Duration::from_secs(days.saturating_mul(24 * 60 * 60));
        budget.age = budget.age.min(told);
    }
    for name in prune(directory, &budget).map_err(failed)? {
        out::line(&format!("{} is not kept any more", visible(&name)));
    }
    Ok(())
}

/// What is to be undone.
struct Wanted {
    session: Session,
    only: Vec<PathBuf>,
}

impl Wanted {
    fn find(directory: &Path, what: Option<&str>) -> Result<Self, Fail> {
        match what {
            None => Ok(Self {
                session: latest(directory, None)?,
                only: Vec::new(),
            }),
            Some(name) if name.starts_with("ses-") => Ok(Self {
                session: named(directory, name)?,
                only: Vec::new(),
            }),
            Some(event) if event.starts_with("evt-") => Self::of_event(directory, event),
            Some(path) => {
                let path = absolute(Path::new(path));
                Ok(Self {
                    session: latest(directory, Some(&path))?,
                    only: vec![path],
                })
            }
        }
    }

    /// What the session of an event did to what the event names.
    fn of_event(directory: &Path, event: &str) -> Result<Self, Fail> {
        let paths = home::paths()?;
        home::may_read_log(&paths)?;
        let unreadable = |error| Fail::new(Status::Failed, error);
        let reader = LogReader::open(&paths.log()).map_err(unreadable)?;
        for entry in reader.entries(0).map_err(unreadable)? {
            let record = entry.map_err(unreadable)?.record;
            if record.event_id.as_str() != event {
                continue;
            }
            let path = record
                .resource
                .as_ref()
                .and_then(|resource| Some(resource.as_file()?.literal_prefix()));
            let (Some(session), Some(path)) = (&record.session, path) else {
                let text = format!("{event} is not about a file of a session");
                return Err(Fail::new(Status::Failed, text));
            };
            return Ok(Self {
                session: named(directory, session.as_str())?,
                only: vec![path],
            });
        }
        Err(Fail::new(
            Status::Failed,
            format!("there is no event {}", visible(event)),
        ))
    }
}

/// The session of this name.
pub(super) fn named(directory: &Path, name: &str) -> Result<Session, Fail> {
    sessions(directory)
        .map_err(failed)?
        .into_iter()
        .find(|session| session.name == name)
        .ok_or_else(|| {
            Fail::new(
                Status::Failed,
                format!("nothing is kept of {}", visible(name)),
            )
            .hinted("`valetkey undo --list` shows what is")
        })
}

/// The latest session that changed something: at or below `path`, and not undone yet.
pub(super) fn latest(directory: &Path, path: Option<&Path>) -> Result<Session, Fail> {
    for session in sessions(directory).map_err(failed)? {
        if session.name.contains(".undo-") {
            continue;
        }
        let Ok(history) = History::read(&session.directory, true) else {
            continue;
        };
        let touches = |item: &Item| {
            path.is_none_or(|path| {
                item.path.starts_with(path)
                    || item.was.as_ref().is_some_and(|was| was.starts_with(path))
            })
        };
        if history.undone_by.is_none() && history.items().iter().any(touches) {
            return Ok(session);
        }
    }
    let text = path.map_or_else(
        || "no session that is kept has changed anything".to_owned(),
        |path| {
            let path = visible(&path.to_string_lossy());
            format!("no session that is kept has changed {path}")
        },
    );
    Err(Fail::new(Status::Failed, text).hinted("`valetkey undo --list` shows what is kept"))
}

pub(super) fn read(session: &Session, live: bool) -> Result<History, Fail> {
    History::read(&session.directory, live).map_err(|error| match error {
        SnapshotError::InUse(_) => Fail::new(
            Status::Failed,
            format!("{} still runs", visible(&session.name)),
        )
        .hinted("end it first, or undo what it did so far with `--live`"),
        other @ (SnapshotError::Io { .. }
        | SnapshotError::Budget(_)
        | SnapshotError::Full(_)
        | SnapshotError::Damaged { .. }) => failed(other),
    })
}

/// The items that a choice means.
fn chosen(history: &History, choice: &Choice) -> Vec<Item> {
    let mut items = history.items();
    let is_meant = |path: &Path| choice.only.iter().any(|only| path.starts_with(only));
    if !choice.only.is_empty() {
        items.retain(|item| is_meant(&item.path) || item.was.as_deref().is_some_and(is_meant));
    }
    items
}

/// In the log before it happens; a broker is started for that if need be.
fn record(session: &Session, items: &[Item], choice: &Choice) -> Result<(), Fail> {
    let paths = home::paths()?;
    drop(connect_or_start(&paths.guard_socket(), &paths)?);
    let mut operator: Client = home::operator()?;
    let count = |which: &dyn Fn(&Item) -> bool| {
        let count = items.iter().filter(|item| which(item)).count();
        u64::try_from(count).unwrap_or(u64::MAX)
    };
    let forced = |item: &Item| item.conflict.is_some() && choice.force.contains(&item.path);
    let left = |item: &Item| (item.conflict.is_some() && !forced(item)) || item.lost;
    let undoing = Undoing {
        session: session.name.clone(),
        did: Did::Undone,
        changes: count(&|item| !left(item)),
        left: count(&left),
        forced: count(&forced),
    };
    Ok(operator.post::<_, ()>("/v1/undone", &undoing)?)
}

/// Where this undo keeps what it takes away.
fn own_keep(directory: &Path, session: &Session) -> Result<(String, Keep), Fail> {
    for number in 1..UNDOS_MAX {
        let name = format!("{}.undo-{number}", session.name);
        let own = directory.join(&name);
        if own.exists() {
            continue;
        }
        // What cannot be kept is not taken away: there is nobody to say that to but the person, who can make room.
        let keep = Keep::begin(&own, Budget::default(), |_, _| false).map_err(failed)?;
        return Ok((name, keep));
    }
    Err(Fail::new(Status::Failed, "it was undone too often")
        .hinted("`valetkey undo --prune` throws away what has expired"))
}

#[derive(Serialize)]
struct Line<'i> {
    path: String,
    was: Option<String>,
    happened: &'i str,
    conflict: Option<&'i str>,
    kept: bool,
}

/// What happened to an item, in a word.
pub(super) fn word(happened: Happened) -> &'static str {
    match happened {
        Happened::Made => "made",
        Happened::Changed => "changed",
        Happened::Removed => "removed",
        Happened::Moved => "moved",
    }
}

fn tell_plan(items: &[Item], choice: &Choice, json: bool) {
    let left = |item: &Item| !choice.force.contains(&item.path);
    if json {
        let lines: Vec<Line<'_>> = items
            .iter()
            .map(|item| Line {
                path: item.path.to_string_lossy().into_owned(),
                was: item
                    .was
                    .as_ref()
                    .map(|was| was.to_string_lossy().into_owned()),
                happened: word(item.happened),
                conflict: item.conflict.as_deref().filter(|_| left(item)),
                kept: !item.lost,
            })
            .collect();
        return out::json(&lines);
    }
    for item in items {
        let path = visible(&item.path.to_string_lossy());
        let line = match (&item.conflict, item.happened) {
            _ if item.lost => format!("leave     {path}: what was there was not kept"),
            (Some(why), _) if left(item) => format!("leave     {path}: {why}"),
            (_, Happened::Made) => format!("remove    {path}"),
            (_, Happened::Changed) => format!("restore   {path}"),
            (_, Happened::Removed) => format!("put back  {path}"),
            (_, Happened::Moved) => format!("move      {path}"),
        };
        let was = item.was.as_ref().map_or(String::new(), |was| {
            format!(" to {}", visible(&was.to_string_lossy()))
        });
        out::line(&format!("{line}{was}"));
    }
}

#[derive(Serialize)]
struct Report {
    undo: String,
    changed: Vec<String>,
    left: Vec<(String, String)>,
}

fn tell(name: &str, undone: &Undone, json: bool) {
    let mut changed: Vec<String> = undone
        .changed
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    changed.sort();
    changed.dedup();
    let left: Vec<(String, String)> = undone
        .left
        .iter()
        .map(|told| (told.path.to_string_lossy().into_owned(), told.why.clone()))
        .collect();
    if json {
        return out::json(&Report {
            undo: name.to_owned(),
            changed,
            left,
        });
    }
    for path in &changed {
        out::line(&format!("undone    {}", visible(path)));
    }
    for (path, why) in &left {
        out::line(&format!("left      {}: {}", visible(path), visible(why)));
    }
    out::line(&format!("`valetkey undo {name}` undoes this"));
}

#[derive(Serialize)]
struct Listed<'s> {
    session: &'s str,
    /// Nothing where what is kept cannot be read.
    changes: Option<usize>,
    bytes: u64,
    running: bool,
    undone: bool,
    expires_in_seconds: u64,
}

fn list(directory: &Path, json: bool) -> Result<(), Fail> {
    let all = sessions(directory).map_err(failed)?;
    let now = SystemTime::now();
    let age = Budget::default().age;
    let mut listed = Vec::new();
    for session in &all {
        // One that is damaged does not hide the others.
        let history = History::read(&session.directory, true).ok();
        listed.push(Listed {
            session: &session.name,
            changes: history.as_ref().map(|history| history.items().len()),
            bytes: session.bytes,
            running: session.running,
            undone: history.is_some_and(|history| history.undone_by.is_some()),
            expires_in_seconds: age
                .saturating_sub(now.duration_since(session.touched).unwrap_or_default())
                .as_secs(),
        });
    }
    if json {
        out::json(&listed);
        return Ok(());
    }
    if listed.is_empty() {
        out::error("nothing is kept");
    }
    for line in listed {
        let state = match (line.running, line.undone) {
            (true, _) => "  still runs",
            (false, true) => "  undone",
            (false, false) => "",
        };
        let changes = line.changes.map_or_else(
            || "cannot be read".to_owned(),
            |changes| format!("{changes} changes"),
        );
        out::line(&format!(
            "{}  {changes}  {} KiB  {} h left{state}",
            visible(line.session),
            line.bytes / 1024,
            line.expires_in_seconds / 3600
        ));
    }
    Ok(())
}

/// A path as the records have it: absolute, and its directory without links. The last name may itself be one, or be gone.
pub(super) fn absolute(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let (Some(above), Some(name)) = (path.parent(), path.file_name()) else {
        return path;
    };
    match std::fs::canonicalize(above) {
        Ok(above) => above.join(name),
        Err(_) => path,
    }
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what `map_err` hands over"
)]
pub(super) fn failed(error: SnapshotError) -> Fail {
    Fail::new(Status::Failed, visible(&error.to_string()))
}
