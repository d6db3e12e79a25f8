//! An agent's changes, made as the view makes them, and undone: trees and files are as they were.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::ffi::OsStr;
    use std::fs::{self, File};
    use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::{Path, PathBuf};

    use proptest::prelude::*;
    use rustix::fs::{
        AtFlags, CWD, Mode, OFlags, RenameFlags, StatxFlags, open, renameat_with, statx,
    };
    use valetkey_snapshot::{
        Budget, Choice, Directory, History, Id, Keep, Object, SnapshotError, Ticket, Undone, undo,
    };

    /// An agent whose changes are kept.
    struct Agent {
        top: tempfile::TempDir,
        keep: Keep,
    }

    fn look(path: &Path) -> Option<(Id, (i64, u32), u64)> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let stat = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted).ok()?;
        let id = Id {
            dev: (u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor),
            ino: stat.stx_ino,
            birth: Some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)),
        };
        let changed = (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec);
        let is_file = stat.stx_mode & 0o170_000 == 0o100_000;
        Some((id, changed, if is_file { stat.stx_size } else { 0 }))
    }

    fn directory(path: &Path) -> OwnedFd {
        open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    fn object<'o>(at: &'o OwnedFd, path: &'o Path) -> Object<'o> {
        let (id, changed, size) = look(path).unwrap();
        Object {
            directory: at.as_fd(),
            name: path.file_name().unwrap(),
            path,
            id,
            changed,
            size,
        }
    }

    impl Agent {
        fn new() -> Self {
            Self::with(Budget::default())
        }

        fn with(budget: Budget) -> Self {
            let top = tempfile::tempdir().unwrap();
            fs::create_dir(top.path().join("tree")).unwrap();
            fs::create_dir(top.path().join("undo")).unwrap();
            fs::set_permissions(top.path().join("undo"), fs::Permissions::from_mode(0o700))
                .unwrap();
            let keep = Keep::begin(&top.path().join("undo/ses-1"), budget, |_, _| true).unwrap();
            Self { top, keep }
        }

        fn at(&self, below: &str) -> PathBuf {
            self.top.path().join("tree").join(below)
        }

        /// The change has happened to what is at these names now.
        fn done(&self, ticket: Ticket, paths: &[&Path]) {
            let held: Vec<_> = paths
                .iter()
                .map(|path| open(*path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap())
                .collect();
            let now: Vec<_> = paths
                .iter()
                .zip(&held)
                .map(|(path, held)| (*path, held.as_fd()))
                .collect();
            self.keep.done(ticket, &now);
        }

        fn change(&self, path: &Path, how: impl FnOnce(&Path)) {
            let at = directory(path.parent().unwrap());
            let ticket = self.keep.before_change(&object(&at, path)).unwrap();
            how(path);
            self.done(ticket, &[path]);
        }

        fn write(&self, below: &str, content: &[u8]) {
            let path = self.at(below);
            self.change(&path, |path| fs::write(path, content).unwrap());
        }

        fn make(&self, below: &str, how: impl FnOnce(&Path) -> bool) {
            let path = self.at(below);
            let above = path.parent().unwrap();
            let at = directory(above);
            let parent = Directory {
                at: at.as_fd(),
                path: above,
            };
            let ticket = self.keep.before_making(&parent, &path, None).unwrap();
            if !how(&path) {
                return self.keep.failed(ticket);
            }
            self.keep.done(ticket, &[]);
            let (id, changed, _) = look(&path).unwrap();
            self.keep.made(&path, id, changed);
        }

        fn link(&self, from: &str, to: &str) {
            let (from, to) = (self.at(from), self.at(to));
            let above = to.parent().unwrap();
            let at = directory(above);
            let parent = Directory {
                at: at.as_fd(),
                path: above,
            };
            let id = look(&from).unwrap().0;
            let ticket = self.keep.before_making(&parent, &to, Some(id)).unwrap();
            match fs::hard_link(&from, &to) {
                Ok(()) => self.done(ticket, &[&to]),
                Err(_) => self.keep.failed(ticket),
            }
        }

        fn remove(&self, below: &str) {
            let path = self.at(below);
            let above = path.parent().unwrap();
            let at = directory(above);
            let parent = Directory {
                at: at.as_fd(),
                path: above,
            };
            let ticket = self
                .keep
                .before_removing(&parent, &object(&at, &path))
                .unwrap();
            let held = open(&path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap();
            let removed = if fs::symlink_metadata(&path).unwrap().is_dir() {
                fs::remove_dir(&path)
            } else {
                fs::remove_file(&path)
            };
            match removed {
                Ok(()) => self.keep.done(ticket, &[(&path, held.as_fd())]),
                Err(_) => self.keep.failed(ticket),
            }
        }

        fn rename(&self, from: &str, to: &str, exchanged: bool) {
            let (from, to) = (self.at(from), self.at(to));
            let (above_from, above_to) = (from.parent().unwrap(), to.parent().unwrap());
            let (at_from, at_to) = (directory(above_from), directory(above_to));
            let parents =
                [(&at_from, above_from), (&at_to, above_to)].map(|(at, path)| Directory {
                    at: at.as_fd(),
                    path,
                });
            let replaced = look(&to).is_some().then(|| object(&at_to, &to));
            let ticket = self
                .keep
                .before_renaming(
                    [&parents[0], &parents[1]],
                    &object(&at_from, &from),
                    &to,
                    replaced.as_ref(),
                    exchanged,
                )
                .unwrap();
            let held = open(&to, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).ok();
            let flags = if exchanged {
                RenameFlags::EXCHANGE
            } else {
                RenameFlags::empty()
            };
            if renameat_with(CWD, &from, CWD, &to, flags).is_err() {
                return self.keep.failed(ticket);
            }
            match held.filter(|_| !exchanged) {
                // As the view does for what has further names.
                Some(held) if look(&to).is_some() => {
                    let moved = open(&to, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty()).unwrap();
                    let now: [(&Path, BorrowedFd<'_>); 2] =
                        [(&to, moved.as_fd()), (&to, held.as_fd())];
                    self.keep.done(ticket, &now);
                }
                _ if exchanged => self.done(ticket, &[&to, &from]),
                _ => self.done(ticket, &[&to]),
            }
        }

        fn finish(self) -> tempfile::TempDir {
            self.keep.end().unwrap();
            self.top
        }
    }

    fn go_back(top: &Path, session: &str, choice: &Choice) -> Undone {
        let directory = top.join("undo").join(session);
        let history = History::read(&directory, false).unwrap();
        let items = history.items();
        let own = top.join("undo").join(format!("{session}.undo-1"));
        let keep = Keep::begin(&own, Budget::default(), |_, _| false).unwrap();
        let undone = undo(&history, &items, choice, &keep).unwrap();
        keep.end().unwrap();
        undone
    }

    /// Mode, time of change, and content.
    type Entry = (u32, (i64, i64), Vec<u8>);

    fn tree(top: &Path) -> BTreeMap<PathBuf, Entry> {
        let mut found = BTreeMap::new();
        let mut left = vec![top.to_path_buf()];
        while let Some(path) = left.pop() {
            let data = fs::symlink_metadata(&path).unwrap();
            let content = if data.is_dir() {
                let mut below: Vec<_> = fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path())
                    .collect();
                below.sort();
                left.extend(below);
                Vec::new()
            } else if data.is_symlink() {
                fs::read_link(&path)
                    .unwrap()
                    .into_os_string()
                    .into_encoded_bytes()
            } else {
                fs::read(&path).unwrap()
            };
            found.insert(
                path.strip_prefix(top).unwrap().to_path_buf(),
                (data.mode(), (data.mtime(), data.mtime_nsec()), content),
            );
        }
        found
    }

    fn populate(agent: &Agent) {
        for name in ["a", "b", "d/a", "d/c", "d/e/a"] {
            let path = agent.at(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("the first content of {name}\n")).unwrap();
        }
        fs::hard_link(agent.at("a"), agent.at("d/second")).unwrap();
        std::os::unix::fs::symlink("a", agent.at("l")).unwrap();
        fs::set_permissions(agent.at("b"), fs::Permissions::from_mode(0o640)).unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::new(1_000_000_000, 123);
        File::open(agent.at("b"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        File::open(agent.at("d"))
            .unwrap()
            .set_modified(old)
            .unwrap();
    }

    const NAMES: [&str; 12] = [
        "a", "b", "c", "d", "l", "d/a", "d/c", "d/e", "d/e/a", "d/second", "c/a", "c/e",
    ];

    #[derive(Clone, Debug)]
    enum Step {
        Write(usize, u8),
        Create(usize),
        MakeDirectory(usize),
        Symlink(usize),
        Link(usize, usize),
        Remove(usize),
        Rename(usize, usize, bool),
        Mode(usize, u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        let name = 0..NAMES.len();
        prop_oneof![
            (name.clone(), any::<u8>()).prop_map(|(name, byte)| Step::Write(name, byte)),
            name.clone().prop_map(Step::Create),
            name.clone().prop_map(Step::MakeDirectory),
            name.clone().prop_map(Step::Symlink),
            (name.clone(), name.clone()).prop_map(|(from, to)| Step::Link(from, to)),
            name.clone().prop_map(Step::Remove),
            (name.clone(), name.clone(), any::<bool>())
                .prop_map(|(from, to, exchanged)| Step::Rename(from, to, exchanged)),
            (name, 0o600_u32..0o777).prop_map(|(name, mode)| Step::Mode(name, mode | 0o700)),
        ]
    }

    /// Does a step where it can be done at all: what has no directory is never begun.
    fn take(agent: &Agent, step: &Step) {
        let there = |name: usize| fs::symlink_metadata(agent.at(NAMES[name])).ok();
        let can_be = |name: usize| {
            let path = agent.at(NAMES[name]);
            let is_directory =
                |above: &Path| fs::symlink_metadata(above).is_ok_and(|data| data.is_dir());
            path.ancestors()
                .skip(1)
                .take_while(|above| *above != agent.top.path())
                .all(is_directory)
        };
        match *step {
            // The view goes along no link.
            Step::Write(name, byte)
                if can_be(name) && there(name).is_some_and(|data| data.is_file()) =>
            {
                agent.write(NAMES[name], &[byte; 100]);
            }
            Step::Create(name) if can_be(name) => {
                agent.make(NAMES[name], |path| File::create_new(path).is_ok());
            }
            Step::MakeDirectory(name) if can_be(name) => {
                agent.make(NAMES[name], |path| fs::create_dir(path).is_ok());
            }
            Step::Symlink(name) if can_be(name) => agent.make(NAMES[name], |path| {
                std::os::unix::fs::symlink("elsewhere", path).is_ok()
            }),
            Step::Link(from, to)
                if can_be(from) && can_be(to) && there(from).is_some_and(|data| !data.is_dir()) =>
            {
                agent.link(NAMES[from], NAMES[to]);
            }
            Step::Remove(name) if can_be(name) && there(name).is_some() => {
                agent.remove(NAMES[name]);
            }
            Step::Rename(from, to, exchanged)
                if can_be(from) && there(from).is_some() && can_be(to) =>
            {
                agent.rename(NAMES[from], NAMES[to], exchanged);
            }
            Step::Mode(name, mode)
                if can_be(name) && there(name).is_some_and(|data| !data.is_symlink()) =>
            {
                agent.change(&agent.at(NAMES[name]), |path| {
                    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
                });
            }
            _ => {}
        }
    }

    /// Plans that are tried; more of them by `VALETKEY_PLANS`.
    fn cases() -> u32 {
        let told = std::env::var("VALETKEY_PLANS").ok();
        told.and_then(|cases| cases.parse().ok()).unwrap_or(192)
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn whatever_was_done_is_undone_to_the_last_byte(steps in prop::collection::vec(step(), 1..30)) {
            let agent = Agent::new();
            populate(&agent);
            let before = tree(&agent.at(""));
            for step in &steps {
                take(&agent, step);
            }
            let top = agent.finish();
            let undone = go_back(top.path(), "ses-1", &Choice::default());
            prop_assert_eq!(&undone.left, &[]);
            let now = tree(&top.path().join("tree"));
            let differs: Vec<_> = before
                .iter()
                .filter(|(path, entry)| now.get(*path) != Some(entry))
                .map(|(path, entry)| (path, entry, now.get(path)))
                .collect();
            prop_assert!(differs.is_empty(), "{differs:?}");
            prop_assert!(now.keys().eq(before.keys()), "{:?}", now.keys());
        }

        #[test]
        fn an_undo_is_undone_too(steps in prop::collection::vec(step(), 1..20)) {
            let agent = Agent::new();
            populate(&agent);
            for step in &steps {
                take(&agent, step);
            }
            let content = |tree: BTreeMap<PathBuf, Entry>| -> BTreeMap<PathBuf, Vec<u8>> {
                tree.into_iter().map(|(path, entry)| (path, entry.2)).collect()
            };
            let after = content(tree(&agent.at("")));
            let top = agent.finish();
            go_back(top.path(), "ses-1", &Choice::default());
            go_back(top.path(), "ses-1.undo-1", &Choice::default());
            prop_assert_eq!(content(tree(&top.path().join("tree"))), after);
        }
    }

    #[test]
    fn what_was_removed_in_a_directory_of_the_agents_comes_back_and_the_directory_does_not() {
        let agent = Agent::new();
        populate(&agent);
        let before = tree(&agent.at(""));
        agent.make("bin", |path| fs::create_dir(path).is_ok());
        agent.rename("b", "bin/b", false);
        agent.rename("bin", "other", false);
        agent.remove("other/b");
        agent.remove("other");
        let only = Choice {
            only: vec![agent.at("b")],
            ..Choice::default()
        };
        let top = agent.finish();
        assert_eq!(go_back(top.path(), "ses-1", &only).left, []);
        let now = tree(&top.path().join("tree"));
        assert!(now.keys().eq(before.keys()), "{:?}", now.keys());
        assert_eq!(now[Path::new("b")], before[Path::new("b")]);
    }

    #[test]
    fn what_was_moved_through_a_directory_of_the_agents_is_left_nowhere() {
        let agent = Agent::new();
        populate(&agent);
        let before = tree(&agent.at(""));
        for _ in 0..2 {
            agent.make("new", |path| fs::create_dir(path).is_ok());
            agent.rename("b", "new/b", false);
            agent.rename("new/b", "b", false);
            agent.remove("new");
        }
        let top = agent.finish();
        assert_eq!(go_back(top.path(), "ses-1", &Choice::default()).left, []);
        assert_eq!(tree(&top.path().join("tree")), before);
    }

    #[test]
    fn what_was_written_down_and_did_not_happen_is_no_conflict() {
        let agent = Agent::new();
        populate(&agent);
        let before = tree(&agent.at(""));
        agent.write("d/c", b"the agent's");
        let paths = ["b", "d/c", "d/a"].map(|name| agent.at(name));
        let [b, c, a] = &paths;
        let (top, d) = (directory(&agent.at("")), directory(&agent.at("d")));
        let (above, below) = (agent.at(""), agent.at("d"));
        let parents = [(&top, &above), (&d, &below)].map(|(at, path)| Directory {
            at: at.as_fd(),
            path,
        });
        let [_, parent] = &parents;
        let _killed = agent.keep.before_removing(parent, &object(&d, a)).unwrap();
        let _killed = agent
            .keep
            .before_renaming(
                [&parents[0], &parents[1]],
                &object(&top, b),
                c,
                Some(&object(&d, c)),
                false,
            )
            .unwrap();
        let top = agent.finish();
        assert_eq!(go_back(top.path(), "ses-1", &Choice::default()).left, []);
        assert_eq!(tree(&top.path().join("tree")), before);
    }

    #[test]
    fn what_was_removed_before_its_directory_changed_places_comes_back() {
        let agent = Agent::new();
        populate(&agent);
        agent.make("c", |path| fs::create_dir(path).is_ok());
        agent.rename("d/e", "c", true);
        agent.make("d/e/a", |path| {
            std::os::unix::fs::symlink("elsewhere", path).is_ok()
        });
        let top = agent.finish();
        assert_eq!(go_back(top.path(), "ses-1", &Choice::default()).left, []);
        let again = go_back(top.path(), "ses-1.undo-1", &Choice::default());
        assert_eq!(again.left, []);
        let link = top.path().join("tree/d/e/a");
        assert_eq!(fs::read_link(link).unwrap(), Path::new("elsewhere"));
    }

    #[test]
    fn what_somebody_else_has_changed_since_is_left_alone_and_shown() {
        let agent = Agent::new();
        populate(&agent);
        agent.write("b", b"the agent's");
        agent.write("d/c", b"the agent's");
        let (b, c) = (agent.at("b"), agent.at("d/c"));
        let top = agent.finish();
        fs::write(&b, "the person's").unwrap();
        let undone = go_back(top.path(), "ses-1", &Choice::default());
        assert_eq!(undone.left.len(), 1);
        assert_eq!(undone.left[0].path, b);
        assert_eq!(fs::read_to_string(&b).unwrap(), "the person's");
        assert_eq!(
            fs::read_to_string(&c).unwrap(),
            "the first content of d/c\n"
        );
    }

    #[test]
    fn content_comes_back_for_all_names_of_a_file_and_they_stay_one() {
        let agent = Agent::new();
        populate(&agent);
        agent.write("a", b"the agent's");
        let (one, other) = (agent.at("a"), agent.at("d/second"));
        let top = agent.finish();
        go_back(top.path(), "ses-1", &Choice::default());
        assert_eq!(
            fs::read_to_string(&other).unwrap(),
            "the first content of a\n"
        );
        assert_eq!(look(&one).unwrap().0, look(&other).unwrap().0);
    }

    #[test]
    fn what_is_forced_is_undone_and_nothing_beside_it() {
        let agent = Agent::new();
        populate(&agent);
        agent.write("b", b"the agent's");
        agent.write("d/c", b"the agent's");
        let (b, c) = (agent.at("b"), agent.at("d/c"));
        let top = agent.finish();
        fs::write(&b, "the person's").unwrap();
        let choice = Choice {
            only: vec![b.clone()],
            force: vec![b.clone()],
        };
        assert!(go_back(top.path(), "ses-1", &choice).left.is_empty());
        assert_eq!(fs::read_to_string(&b).unwrap(), "the first content of b\n");
        assert_eq!(fs::read_to_string(&c).unwrap(), "the agent's");
    }

    #[test]
    fn a_persons_change_between_two_of_the_agents_is_not_lost() {
        let agent = Agent::new();
        populate(&agent);
        agent.write("b", b"the agent's");
        let b = agent.at("b");
        fs::write(&b, "the person's").unwrap();
        agent.write("b", b"the agent's again");
        let top = agent.finish();
        assert!(
            go_back(top.path(), "ses-1", &Choice::default())
                .left
                .is_empty()
        );
        assert_eq!(fs::read_to_string(&b).unwrap(), "the person's");
    }

    #[test]
    fn a_persons_file_in_a_directory_of_the_agents_stays() {
        let agent = Agent::new();
        agent.make("new", |path| fs::create_dir(path).is_ok());
        agent.make("new/own", |path| File::create_new(path).is_ok());
        let (new, persons) = (agent.at("new"), agent.at("new/persons"));
        fs::write(&persons, "mine").unwrap();
        let top = agent.finish();
        let undone = go_back(top.path(), "ses-1", &Choice::default());
        assert_eq!(undone.left[0].path, new);
        assert_eq!(fs::read_to_string(&persons).unwrap(), "mine");
        assert!(!new.join("own").exists());
    }

    #[test]
    fn what_is_beyond_the_budget_is_declared_and_told() {
        let small = Budget {
            file_bytes: 10,
            ..Budget::default()
        };
        let agent = Agent::with(small);
        populate(&agent);
        agent.write("b", b"the agent's");
        let b = agent.at("b");
        let top = agent.finish();
        let undone = go_back(top.path(), "ses-1", &Choice::default());
        assert_eq!(undone.left[0].path, b);
        assert_eq!(fs::read_to_string(&b).unwrap(), "the agent's");
    }

    #[test]
    fn what_is_beyond_the_budget_and_cannot_be_declared_is_refused() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("file");
        fs::write(&path, "more than ten bytes").unwrap();
        let small = Budget {
            file_bytes: 10,
            ..Budget::default()
        };
        let keep = Keep::begin(&top.path().join("undo/ses-1"), small, |_, _| false).unwrap();
        let at = directory(top.path());
        let refused = keep.before_change(&object(&at, &path));
        assert!(matches!(refused, Err(SnapshotError::Budget(_))));
    }

    #[test]
    fn a_session_that_still_runs_is_not_undone() {
        let agent = Agent::new();
        let directory = agent.top.path().join("undo/ses-1");
        let read = History::read(&directory, false);
        assert!(matches!(read, Err(SnapshotError::InUse(_))));
        assert!(History::read(&directory, true).is_ok());
    }

    #[test]
    fn a_record_torn_at_any_byte_counts_for_nothing_and_changed_content_is_found() {
        let agent = Agent::new();
        populate(&agent);
        agent.write("b", b"the agent's");
        let top = agent.finish();
        let file = top.path().join("undo/ses-1/changes");
        let whole = fs::read(&file).unwrap();
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length]).unwrap();
            let history = History::read(&top.path().join("undo/ses-1"), false).unwrap();
            assert!(history.items().len() <= 1);
        }
        let at = whole
            .windows(9)
            .position(|bytes| bytes == b"the first")
            .unwrap();
        let mut changed = whole;
        changed[at] ^= 1;
        fs::write(&file, changed).unwrap();
        let history = History::read(&top.path().join("undo/ses-1"), false).unwrap();
        let state = history.items()[0].before.clone().unwrap();
        assert!(matches!(
            history.content(&state),
            Err(SnapshotError::Damaged { .. })
        ));
    }

    #[test]
    fn names_of_any_bytes_come_back() {
        use std::os::unix::ffi::OsStrExt as _;
        let agent = Agent::new();
        let name = agent.at("").join(OsStr::from_bytes(b"\xff\xfe\n"));
        fs::write(&name, "content").unwrap();
        let below = agent.at("");
        let below = name.strip_prefix(&below).unwrap().to_path_buf();
        agent.change(&name, |path| fs::write(path, "other").unwrap());
        let top = agent.finish();
        go_back(top.path(), "ses-1", &Choice::default());
        let found = fs::read_to_string(top.path().join("tree").join(below)).unwrap();
        assert_eq!(found, "content");
    }
}
