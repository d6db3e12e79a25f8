//! Random plans, carried out through a view in which everything is allowed and on the host's own file system: a program
//! must not see a difference. And through a view in which nothing may be changed: nothing is, and what differs is a refusal.
//!
//! `VALETKEY_PLANS` is the number of plans; without it there are few enough for every run.

mod plan;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use proptest::test_runner::{Config, TestCaseError, TestRunner};
use rustix::io::Errno;
use tempfile::TempDir;
use valetkey_view::Connection;

use crate::fixture::Fixture;
use plan::{Step, Tree, digest, steps};

/// Steps of one plan, at most.
const STEPS_MAX: usize = 60;
const EVERYTHING: &str = "read,write,append,create,delete,execute,list,metadata";

fn plans() -> u32 {
    let given = std::env::var("VALETKEY_PLANS").ok();
    given.and_then(|text| text.parse().ok()).unwrap_or(200)
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    })
}

#[test]
fn a_program_sees_no_difference_from_the_host() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.grant("/work", EVERYTHING);
    sees_no_difference(&view, &view.at("/work"), plans(), |_| true);
}

#[test]
fn a_program_in_a_quiet_tree_sees_no_difference_from_the_host() {
    let connection = Connection::Quiet {
        root: "/work".into(),
    };
    let Some(view) = Fixture::with_connection(|_| {}, connection) else {
        return;
    };
    view.grant_freely("/work", EVERYTHING);
    // A file without a name is not offered there: nothing could stand in for its handle.
    let is_offered = |step: &Step| !matches!(step, Step::Temporary(..));
    sees_no_difference(&view, &view.mount, plans().div_ceil(4), is_offered);
}

fn sees_no_difference(view: &Fixture, work: &Path, cases: u32, is_offered: impl Fn(&Step) -> bool) {
    let outcome = runner(cases).run(&steps(STEPS_MAX), |plan| {
        let twin = twin();
        let inner = tempfile::tempdir_in(view.real("/work")).expect("directory");
        let through = work.join(inner.path().file_name().expect("name"));
        let mut plain = Tree::new(twin.path());
        let mut viewed = Tree::new(&through);
        for (number, step) in plan.iter().filter(|step| is_offered(step)).enumerate() {
            let (expected, got) = (plain.run(step), viewed.run(step));
            if got != expected {
                let text = format!("step {number} {step:?}: {got:?} and not {expected:?}");
                return Err(TestCaseError::fail(text));
            }
        }
        let expected = snapshot(twin.path());
        same(&snapshot(&through), &expected)?;
        same(&snapshot(inner.path()), &expected)
    });
    outcome.expect("no difference");
}

#[test]
fn where_nothing_may_be_changed_nothing_is_and_all_else_is_the_hosts() {
    let Some(view) = Fixture::new(|_| {}) else {
        return;
    };
    view.grant("/work", "read,execute,list,metadata");
    let outcome = runner(plans()).run(&(steps(20), steps(STEPS_MAX)), |(before, plan)| {
        let twin = twin();
        let inner = tempfile::tempdir_in(view.real("/work")).expect("directory");
        for root in [twin.path(), inner.path()] {
            let mut tree = Tree::new(root);
            for step in &before {
                drop(tree.run(step));
            }
        }
        let expected = snapshot(inner.path());
        let through = view
            .at("/work")
            .join(inner.path().file_name().expect("name"));
        let mut plain = Tree::new(twin.path());
        let mut viewed = Tree::new(&through);
        for (number, step) in plan.iter().enumerate() {
            let got = viewed.run(step);
            if matches!(got, Err(Errno::ACCESS | Errno::PERM | Errno::ROFS)) && changes(step) {
                // What was not opened is not there for later steps of the other side either.
                if let Step::Open(slot, ..) | Step::Temporary(slot, ..) = *step {
                    drop(plain.run(&Step::Close(slot)));
                }
                continue;
            }
            let wanted = plain.run(step);
            if got != wanted {
                let text = format!("step {number} {step:?}: {got:?} and not {wanted:?}");
                return Err(TestCaseError::fail(text));
            }
        }
        same(&snapshot(inner.path()), &expected)?;
        same(&snapshot(twin.path()), &expected)
    });
    outcome.expect("nothing changed");
}

fn changes(step: &Step) -> bool {
    match step {
        Step::Open(_, _, flags, _) => {
            use rustix::fs::OFlags;
            let flags = OFlags::from_bits_retain(*flags);
            flags.intersects(OFlags::WRONLY | OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC)
        }
        Step::Close(_)
        | Step::Read(..)
        | Step::Copy(..)
        | Step::Holes(..)
        | Step::ReadLink(_)
        | Step::Attributes(_)
        | Step::Stat(..)
        | Step::OpenStat(_)
        | Step::List(_) => false,
        _ => true,
    }
}

fn twin() -> TempDir {
    tempfile::Builder::new()
        .prefix("twin-")
        .tempdir()
        .expect("tempdir")
}

fn same(got: &str, expected: &str) -> Result<(), TestCaseError> {
    if got == expected {
        return Ok(());
    }
    Err(TestCaseError::fail(format!(
        "got\n{got}\nand not\n{expected}"
    )))
}

/// A tree in words: names, kinds, modes, link counts, sizes, contents.
fn snapshot(root: &Path) -> String {
    let mut text = String::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(directory) = left.pop() {
        let mut entries: Vec<_> = fs::read_dir(&directory)
            .expect("read_dir")
            .map(|entry| entry.expect("entry").path())
            .collect();
        entries.sort();
        for at in entries {
            let stat = fs::symlink_metadata(&at).expect("stat");
            let name = at.strip_prefix(root).expect("below");
            write!(text, "{name:?} {:o} {}", stat.mode(), stat.nlink()).expect("a string");
            let kind = stat.file_type();
            if kind.is_dir() {
                left.push(at);
            } else if kind.is_symlink() {
                let target = fs::read_link(&at).expect("link");
                write!(text, " -> {target:?}").expect("a string");
            } else if !kind.is_fifo() {
                let content = digest(&fs::read(&at).expect("read"));
                write!(text, " {} {content:?}", stat.size()).expect("a string");
            }
            text.push('\n');
        }
    }
    text
}
