//! Names that the host swaps for links, and directories that it covers with windows into the kernel, while they are read, written and made
//! through the view: nothing ever leads out.
//!
//! `VALETKEY_RACES` is the number of swaps; without it there are few enough for every run.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};

use crate::fixture::Fixture;

/// Threads that use names while others swap them.
const USERS: usize = 2;
/// What must never be read, and what must never be written over it.
const SECRET: &str = "SECRET";
const PUBLIC: &str = "public";

fn swaps() -> u64 {
    let given = std::env::var("VALETKEY_RACES").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(8000)
}

/// A tree with names to be swapped, and a place beside it where none of them may lead.
fn arrange(view: &Fixture) {
    view.put("/secret/key", SECRET);
    view.put("/work/f", PUBLIC);
    view.put("/work/d/key", PUBLIC);
    view.put("/work/p/version", PUBLIC);
    symlink("../secret/key", view.real("/work/f-link")).expect("symlink");
    symlink("../secret", view.real("/work/d-link")).expect("symlink");
}

/// What the host does, over and over: a file and a directory change places with links that lead out, and `/proc` is mounted over
/// a directory.
fn swap(host: &Path, number: u64) {
    let exchange = |one: &str, two: &str| {
        let (one, two) = (host.join(one), host.join(two));
        renameat_with(CWD, one, CWD, two, RenameFlags::EXCHANGE).expect("swap");
    };
    exchange("work/f", "work/f-link");
    exchange("work/d", "work/d-link");
    // Once in a while, since a mount takes as long as a hundred renames.
    if number.is_multiple_of(64) {
        let at = host.join("work/p");
        let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
        mount("proc", &at, "proc", flags, None::<&std::ffi::CStr>).expect("mount");
        unmount(&at, UnmountFlags::DETACH).expect("unmount");
    }
}

/// The ways to a file: by a name that is checked and then used, as a careless program would, or through the view.
trait Way: Sync {
    fn open(&self, path: &Path, write: bool) -> Option<File>;
}

struct ThroughTheView;

impl Way for ThroughTheView {
    fn open(&self, path: &Path, write: bool) -> Option<File> {
        File::options().read(!write).write(write).open(path).ok()
    }
}

/// The fault: the name is looked at, and opened when it is no link.
struct Careless;

impl Way for Careless {
    fn open(&self, path: &Path, write: bool) -> Option<File> {
        let ordinary = |path: &Path| path.symlink_metadata().is_ok_and(|stat| !stat.is_symlink());
        if !ordinary(path) || !path.parent().is_some_and(ordinary) {
            return None;
        }
        ThroughTheView.open(path, write)
    }
}

/// Uses every name once; answers how often something came of it, and how often what must not.
fn use_names(way: &dyn Way, root: &Path, number: u64) -> (u64, u64) {
    let (mut used, mut escaped) = (0, 0);
    for name in ["f", "f-link", "d/key", "d-link/key", "p/version"] {
        let path = root.join(name);
        if let Some(mut file) = way.open(&path, false) {
            let mut text = String::new();
            if file.read_to_string(&mut text).is_ok() {
                used += 1;
                escaped += u64::from(text.contains(SECRET) || text.contains("Linux version"));
            }
        }
    }
    // Whoever is led out writes over the secret.
    for name in ["f", "d/key"] {
        if number.is_multiple_of(2)
            && let Some(mut file) = way.open(&root.join(name), true)
        {
            used += u64::from(file.write_all(PUBLIC.as_bytes()).is_ok());
        }
    }
    let made = root.join(format!("d/made-{number}"));
    if way.open(&root.join("d/key"), false).is_some() {
        drop(File::create_new(&made));
        drop(fs::remove_file(&made));
    }
    (used, escaped)
}

/// Swaps and uses at one time: how often names were used, and how often they led out.
fn race(view: &Fixture, way: &dyn Way, root: &Path, swaps: u64) -> (u64, u64) {
    let stop = AtomicBool::new(false);
    let (used, escaped) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for user in 0..USERS {
            let (stop, used, escaped) = (&stop, &used, &escaped);
            scope.spawn(move || {
                for number in (u64::try_from(user).expect("small")..).step_by(USERS) {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (ok, out) = use_names(way, root, number);
                    used.fetch_add(ok, Ordering::Relaxed);
                    escaped.fetch_add(out, Ordering::Relaxed);
                }
            });
        }
        for number in 0..swaps {
            swap(&view.host, number);
        }
        stop.store(true, Ordering::Relaxed);
    });
    (used.into_inner(), escaped.into_inner())
}

/// What lies beside the tree is what it was, and nothing was made there.
fn untouched(view: &Fixture) -> bool {
    let key = fs::read_to_string(view.real("/secret/key")).unwrap_or_default();
    let names = fs::read_dir(view.real("/secret")).expect("list").count();
    key == SECRET && names == 1
}

#[test]
fn nothing_that_the_host_swaps_leads_out() {
    let Some(view) = Fixture::whole() else { return };
    arrange(&view);
    let swaps = swaps();
    let (used, escaped) = race(&view, &ThroughTheView, &view.at("/work"), swaps);
    println!(
        "{swaps} rounds of two swaps, {used} uses that came to something, {escaped} that led out"
    );
    assert_eq!(escaped, 0);
    assert!(untouched(&view));
    assert!(used > swaps / 100, "{used} of {swaps}");
}

#[test]
fn a_way_that_looks_first_and_opens_then_is_found_out() {
    let Some(view) = Fixture::whole() else { return };
    // Until it is led out, which takes a moment; the test above would have seen it.
    for _ in 0..200 {
        arrange_anew(&view);
        let (used, escaped) = race(&view, &Careless, &view.real("/work"), 500);
        if escaped > 0 || !untouched(&view) {
            return;
        }
        assert!(used > 0);
    }
    panic!("the careless way was never led out: the races race nothing");
}

fn arrange_anew(view: &Fixture) {
    for name in ["work", "secret"] {
        drop(fs::remove_dir_all(view.real(name)));
    }
    arrange(view);
}
