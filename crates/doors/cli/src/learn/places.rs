//! From the events of a session to the fewest places that tell of them tightly.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use valetkey_audit::{Attribute, AuditDecision, EventType, Record};
use valetkey_model::{Action, ActionSet, Resource};

/// So many files of one directory stand for all of it.
const STAND_FOR_ALL: usize = 4;
/// Directories of the home that hold things of everybody's: they are never given whole.
const SHARED: [&str; 8] = [
    ".cache",
    ".config",
    ".local",
    ".local/bin",
    ".local/lib",
    ".local/share",
    ".local/state",
    "bin",
];
/// What changes a file.
const CHANGING: ActionSet = ActionSet::of(&[
    Action::Write,
    Action::Append,
    Action::Create,
    Action::Delete,
]);
/// What is more than a look at a name.
const USING: ActionSet = ActionSet::of(&[Action::Read, Action::List, Action::Execute]);

/// What a session touched.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    pub(super) read: BTreeSet<PathBuf>,
    pub(super) written: BTreeSet<PathBuf>,
    pub(super) hosts: BTreeSet<String>,
    /// What was wanted and not given, with the reason.
    pub(super) refused: BTreeMap<String, String>,
}

impl Touched {
    /// Adds what one event tells. `is_known` says of what is given anyway.
    pub(super) fn add(&mut self, record: &Record, is_known: &dyn Fn(&Path) -> bool) {
        let (Some(resource), Some(actions)) = (&record.resource, record.action) else {
            return;
        };
        if record.kind == EventType::OperationPerformed {
            self.add_done(resource, actions, is_known);
        }
        if record.kind == EventType::RequestDecided
            && record.decision != Some(AuditDecision::Allowed)
        {
            let uses = USING.union(CHANGING);
            let uses = uses.union(ActionSet::of(&[Action::Connect]));
            if !actions.intersection(uses).is_empty() {
                let reason = reason(record);
                self.refused.insert(format!("{resource}={actions}"), reason);
            }
        }
    }

    fn add_done(
        &mut self,
        resource: &Resource,
        actions: ActionSet,
        is_known: &dyn Fn(&Path) -> bool,
    ) {
        if actions.allows(Action::Connect) {
            let text = resource.to_string();
            self.hosts
                .extend(text.strip_prefix("tcp:").map(str::to_owned));
        }
        let pattern = resource.as_file().filter(|pattern| pattern.is_literal());
        let path = pattern.map(valetkey_model::PathPattern::literal_prefix);
        let Some(path) = path.filter(|path| !is_known(path)) else {
            return;
        };
        if !actions.intersection(CHANGING).is_empty() {
            self.written.insert(path);
        } else if !actions.intersection(USING).is_empty() {
            self.read.insert(path);
        }
    }
}

fn reason(record: &Record) -> String {
    match record.attributes.get("reason") {
        Some(Attribute::Text(text)) => text.clone(),
        Some(Attribute::Count(_) | Attribute::Flag(_) | Attribute::Facts(_)) | None => {
            String::new()
        }
    }
}

/// The places that a set of files comes to: a directory of which many were touched stands for all of it, where that gives nothing shared away.
pub(super) fn places(files: &BTreeSet<PathBuf>, home: &Path) -> Vec<String> {
    let mut trees = BTreeSet::new();
    let mut left = files.clone();
    loop {
        let mut of: BTreeMap<&Path, usize> = BTreeMap::new();
        for path in &left {
            if let Some(above) = path.parent() {
                let count = of.entry(above).or_default();
                *count = count.saturating_add(1);
            }
        }
        let whole = of
            .iter()
            .find(|(above, count)| **count >= STAND_FOR_ALL && may_be_whole(above, home));
        let Some((above, _)) = whole else { break };
        let above = above.to_path_buf();
        left.retain(|path| !path.starts_with(&above));
        trees.retain(|tree: &PathBuf| !tree.starts_with(&above));
        left.insert(above.clone());
        trees.insert(above);
    }
    let name = |path: &Path| {
        let text = match path.strip_prefix(home) {
            Ok(below) => format!("~/{}", below.display()),
            Err(_) => path.display().to_string(),
        };
        if trees.contains(path) {
            format!("{text}/")
        } else {
            text
        }
    };
    let is_below = |path: &Path| path.ancestors().skip(1).any(|above| trees.contains(above));
    left.iter()
        .filter(|path| !is_below(path))
        .map(|path| name(path))
        .collect()
}

/// Whether a directory may be given whole: not the home nor what is above it, nothing that is shared, nothing near the root.
fn may_be_whole(dir: &Path, home: &Path) -> bool {
    match dir.strip_prefix(home) {
        Ok(below) => {
            !below.as_os_str().is_empty() && !SHARED.iter().any(|shared| below == Path::new(shared))
        }
        Err(_) => dir.components().count() > 3 && !home.starts_with(dir),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[&str]) -> Vec<String> {
        places(
            &files.iter().map(PathBuf::from).collect(),
            Path::new("/home/a"),
        )
    }

    #[test]
    fn many_files_of_a_directory_stand_for_it_and_few_for_themselves() {
        let few = ["/home/a/.toy/1", "/home/a/.toy/2", "/srv/x/y/z"];
        assert_eq!(of(&few), ["~/.toy/1", "~/.toy/2", "/srv/x/y/z"]);
        let many = [
            "/home/a/.toy/1",
            "/home/a/.toy/2",
            "/home/a/.toy/3",
            "/home/a/.toy/d/4",
            "/home/a/.toy/5",
        ];
        assert_eq!(of(&many), ["~/.toy/"]);
    }

    #[test]
    fn what_is_shared_or_near_the_root_is_never_given_whole() {
        for dir in [
            "/home/a",
            "/home/a/.config",
            "/home/a/.local/share",
            "/srv",
            "/srv/x",
            "/",
            "/home",
        ] {
            let files: Vec<_> = (0..9)
                .map(|at| format!("{}/f{at}", dir.trim_end_matches('/')))
                .collect();
            let files: Vec<_> = files.iter().map(String::as_str).collect();
            assert_eq!(of(&files).len(), 9, "{dir}");
        }
    }
}
