//! `valetkey policy diff`: what another bundle would newly allow, ask and deny.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::SystemTime;

use serde_json::json;
use valetkey_approval::SafeText;
use valetkey_model::{Resource, Timestamp};
use valetkey_policy::tools::{Scene, Summary, Trial, corpus, diff};
use valetkey_policy::{Bundle, PolicySet};

use super::logged::Reader;
use super::replay::{open, unreadable};
use super::{eval, source};
use crate::fail::{Fail, Status};
use crate::out::{self, Style, styled};
use crate::policy_args::{DiffArgs, FailOn};

/// Names of a directory that are tried.
const MAX_TREE: usize = 10_000;
/// Lines that are signed under a change, and characters of each: what a person reads.
const LINES_MAX: usize = 200;
const LINE_MAX: usize = 400;
/// Requests that a policy must fail on before it is given up.
const PROBES: usize = 4;
/// Requests of a log that are tried.
const MAX_LOGGED: usize = 100_000;

pub(super) fn command(args: &DiffArgs) -> Result<u8, Fail> {
    let (before, after) = (source::load(&args.before)?, source::load(&args.after)?);
    let scene = scene(args.tree.as_deref())?;
    let refused = |error| Fail::new(Status::Usage, error);
    let (mut trials, cut) = corpus(&[&before, &after], &scene).map_err(refused)?;
    let made = trials.len();
    if let Some(log) = &args.log {
        trials.extend(logged(log)?);
    }
    let bar = out::Progress::new("requests");
    let found = diff(&before, &after, &trials, |done, of| bar.show(done, of));
    bar.end();
    let found = found.map_err(refused)?;
    if args.json {
        out::json(&json!({
            "tried": found.tried, "made": made, "differing": found.differing, "widens": found.widens(), "complete": !cut,
            "summaries": found.summaries,
        }));
    } else {
        found.summaries.iter().for_each(show);
        if cut {
            out::line("note: the policies speak of more places than are tried");
        }
        let words = format!(
            "{} of {} requests are decided otherwise{}",
            found.differing,
            found.tried,
            if found.widens() {
                ", and more is given"
            } else {
                ""
            }
        );
        let style = if found.widens() {
            Style::Red
        } else {
            Style::Green
        };
        out::line(&styled(style, &words));
    }
    Ok(u8::from(match args.fail_on {
        FailOn::Widening => found.widens(),
        FailOn::Any => found.differing > 0,
        FailOn::Nothing => false,
    }))
}

fn show(summary: &Summary) {
    let sign = if summary.change.widens() {
        styled(Style::Red, "+")
    } else {
        styled(Style::Green, "-")
    };
    let policy = SafeText::of(&summary.policy_id);
    let text = SafeText::prose(&summary.text);
    out::line(&format!("{sign} {text} ({policy})"));
}

/// What differs, in lines for people, and whether more is given.
pub(super) fn in_words(before: &Bundle, after: &Bundle) -> Result<(Vec<String>, bool), Fail> {
    let refused = |error| Fail::new(Status::Usage, error);
    let (trials, cut) = corpus(&[before, after], &scene(None)?).map_err(refused)?;
    if let Some(why) = hopeless(after, &trials)? {
        return Ok((vec![why], false));
    }
    let bar = out::Progress::new("requests");
    let found = diff(before, after, &trials, |done, of| bar.show(done, of));
    bar.end();
    let found = found.map_err(refused)?;
    let lines = found.summaries.iter().take(LINES_MAX).map(|one| {
        let sign = if one.change.widens() { '+' } else { '-' };
        let line = format!("{sign} {} ({})", one.text, one.policy_id);
        line.chars().take(LINE_MAX).collect()
    });
    let mut lines: Vec<String> = lines.collect();
    let left = found.summaries.len().saturating_sub(lines.len());
    if left > 0 {
        lines.push(format!("{left} more, as `valetkey policy diff` says"));
    }
    if cut {
        lines.push("the policies speak of more places than were tried".to_owned());
    }
    Ok((lines, found.widens()))
}

/// What to say of a policy that answers none of the first requests: to try all of them could take it hours.
fn hopeless(bundle: &Bundle, trials: &[Trial]) -> Result<Option<String>, Fail> {
    let set = PolicySet::new(bundle).map_err(|error| Fail::new(Status::Usage, error))?;
    let mut fault = None;
    for trial in trials.iter().take(PROBES) {
        match set.judge(&trial.input).faults.into_iter().next() {
            Some(found) => fault = Some(found),
            None => return Ok(None),
        }
    }
    Ok(fault.map(|fault| format!("- it gives no usable answer, and so denies: {fault}")))
}

fn scene(tree_dir: Option<&Path>) -> Result<Scene, Fail> {
    let user = eval::user();
    let home = Path::new(&user.home);
    let workspace = Resource::tree(&home.join("work"))
        .map_err(|error| Fail::new(Status::Failed, format!("the home directory: {error}")))?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let ms = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    Ok(Scene {
        workspace,
        tree: tree_dir.map(tree).transpose()?.unwrap_or_default(),
        platform: std::env::consts::OS.to_owned(),
        time: Timestamp::from_unix_ms(ms),
        user,
    })
}

/// Names below a directory, without following links.
fn tree(dir: &Path) -> Result<Vec<Resource>, Fail> {
    let fail = |error: std::io::Error| {
        Fail::new(
            Status::Usage,
            format!("cannot list {}: {error}", dir.display()),
        )
    };
    let dir = std::path::absolute(dir).map_err(fail)?;
    let mut found = BTreeSet::new();
    let mut waiting = vec![dir.clone()];
    std::fs::read_dir(&dir).map_err(fail)?;
    while let Some(current) = waiting.pop() {
        let entries = std::fs::read_dir(&current).into_iter().flatten().flatten();
        for entry in entries {
            if found.len() >= MAX_TREE {
                return Ok(found.into_iter().collect());
            }
            let path = entry.path();
            found.extend(Resource::file(&path).ok());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(path);
            }
        }
    }
    Ok(found.into_iter().collect())
}

fn logged(dir: &Path) -> Result<Vec<Trial>, Fail> {
    let reader = open(Some(dir.to_path_buf()))?;
    let mut sessions = Reader::default();
    let mut trials = Vec::new();
    for entry in reader.entries(0).map_err(unreadable)? {
        let record = entry.map_err(unreadable)?.record;
        let input = sessions.take(record).and_then(|logged| logged.input());
        trials.extend(input.map(|input| Trial {
            input,
            origin: None,
        }));
        if trials.len() >= MAX_LOGGED {
            break;
        }
    }
    Ok(trials)
}
