//! An agent that races with itself: none of its own changes is taken for somebody else's, and so each is undone.
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::fd::{AsFd as _, OwnedFd};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags, open, statx};
    use valetkey_snapshot::{Budget, Choice, History, Id, Keep, Object, undo};

    fn object<'o>(at: &'o OwnedFd, path: &'o Path) -> Object<'o> {
        let name = path.file_name().unwrap();
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        let stat = statx(at, name, AtFlags::SYMLINK_NOFOLLOW, wanted).unwrap();
        Object {
            directory: at.as_fd(),
            name,
            path,
            id: Id {
                dev: (u64::from(stat.stx_dev_major) << 32) | u64::from(stat.stx_dev_minor),
                ino: stat.stx_ino,
                birth: Some((stat.stx_btime.tv_sec, stat.stx_btime.tv_nsec)),
            },
            changed: (stat.stx_ctime.tv_sec, stat.stx_ctime.tv_nsec),
            size: stat.stx_size,
        }
    }

    fn directory(path: &Path) -> OwnedFd {
        open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    struct Place {
        top: tempfile::TempDir,
        keep: Keep,
    }

    impl Place {
        fn new(content: &[u8]) -> Self {
            let top = tempfile::tempdir().unwrap();
            let store = top.path().join("undo/ses-1");
            fs::create_dir(top.path().join("undo")).unwrap();
            let private = fs::Permissions::from_mode(0o700);
            fs::set_permissions(top.path().join("undo"), private).unwrap();
            let keep = Keep::begin(&store, Budget::default(), |_, _| true).unwrap();
            fs::write(top.path().join("file"), content).unwrap();
            Self { top, keep }
        }

        fn go_back(self) -> Vec<u8> {
            self.keep.end().unwrap();
            drop(self.keep);
            let store = self.top.path().join("undo");
            let history = History::read(&store.join("ses-1"), false).unwrap();
            let own = Keep::begin(&store.join("own"), Budget::default(), |_, _| false).unwrap();
            let items = history.items();
            let undone = undo(&history, &items, &Choice::default(), &own).unwrap();
            assert_eq!(undone.left, []);
            fs::read(self.top.path().join("file")).unwrap()
        }
    }

    #[test]
    fn a_change_begun_while_another_is_under_way_is_the_agents() {
        let place = Place::new(b"before");
        let path = place.top.path().join("file");
        let at = directory(place.top.path());
        let one = place.keep.before_change(&object(&at, &path)).unwrap();
        fs::write(&path, "one").unwrap();
        // Seen when the first has changed it and has not said so.
        let seen = object(&at, &path);
        let other = place.keep.before_change(&seen).unwrap();
        fs::write(&path, "other").unwrap();
        let held = open(&path, OFlags::PATH, Mode::empty()).unwrap();
        place.keep.done(one, &[(&path, held.as_fd())]);
        place.keep.done(other, &[(&path, held.as_fd())]);
        // Seen before the second, and told after it.
        let late = place.keep.before_change(&seen).unwrap();
        fs::write(&path, "late").unwrap();
        place.keep.done(late, &[(&path, held.as_fd())]);
        drop(held);
        assert_eq!(place.go_back(), b"before");
    }

    #[test]
    fn what_failed_leaves_known_how_the_file_stands() {
        let place = Place::new(b"before");
        let path = place.top.path().join("file");
        let at = directory(place.top.path());
        let change = |content: Option<&str>| {
            let ticket = place.keep.before_change(&object(&at, &path)).unwrap();
            match content {
                Some(content) => {
                    fs::write(&path, content).unwrap();
                    let held = open(&path, OFlags::PATH, Mode::empty()).unwrap();
                    place.keep.done(ticket, &[(&path, held.as_fd())]);
                }
                None => place.keep.failed(ticket),
            }
        };
        change(Some("the agent's"));
        change(None);
        fs::write(&path, "the person's").unwrap();
        change(Some("the agent's again"));
        assert_eq!(place.go_back(), b"the person's");
    }

    #[test]
    fn many_changes_of_one_file_at_once_are_all_undone() {
        let content = vec![b'x'; 3 << 20];
        let place = Place::new(&content);
        let path = place.top.path().join("file");
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            // One that changes by name, without a pause.
            scope.spawn(|| {
                let at = directory(place.top.path());
                let mut mode = 0o600;
                while !over.load(Ordering::Relaxed) {
                    mode ^= 0o040;
                    let ticket = place.keep.before_change(&object(&at, &path)).unwrap();
                    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
                    let held = open(&path, OFlags::PATH, Mode::empty()).unwrap();
                    place.keep.done(ticket, &[(&path, held.as_fd())]);
                }
            });
            let writers: Vec<_> = (0..3_u8)
                .map(|writer| {
                    let (place, path) = (&place, &path);
                    scope.spawn(move || {
                        let at = directory(place.top.path());
                        for round in 0..100 {
                            let seen = object(&at, path);
                            let ticket = place.keep.before_change(&seen).unwrap();
                            let file = fs::File::options().write(true).open(path).unwrap();
                            place.keep.opened(seen.id);
                            place.keep.done(ticket, &[(path, file.as_fd())]);
                            let bytes = [writer, round];
                            std::os::unix::fs::FileExt::write_all_at(&file, &bytes, 7).unwrap();
                            place.keep.closed(path, file.as_fd());
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.join().unwrap();
            }
            over.store(true, Ordering::Relaxed);
        });
        assert!(place.go_back() == content);
    }
}
