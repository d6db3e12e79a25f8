//! Random plans of an agent's changes through a real view, also cut off by a kill, and undone: the tree is as it was.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use valetkey_tests::Home;

use crate::needs_cells;

/// Numbers that look random, the same ones for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = self.0.wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[usize::try_from(self.below(all.len() as u64)).unwrap()]
    }
}

/// Mode, time of change, names, and content or target.
type Entry = (u32, (i64, i64), u64, Vec<u8>);

fn tree(top: &Path) -> BTreeMap<PathBuf, Entry> {
    let mut found = BTreeMap::new();
    let mut left = vec![top.to_path_buf()];
    while let Some(path) = left.pop() {
        let data = fs::symlink_metadata(&path).unwrap();
        let content = if data.is_dir() {
            left.extend(
                fs::read_dir(&path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            Vec::new()
        } else if data.is_symlink() {
            let target = fs::read_link(&path).unwrap();
            target.into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).unwrap()
        };
        let names = if data.is_dir() { 0 } else { data.nlink() };
        let times = (data.mtime(), data.mtime_nsec());
        let name = path.strip_prefix(top).unwrap().to_path_buf();
        found.insert(name, (data.mode(), times, names, content));
    }
    found
}

/// A tree with a bit of everything, not tracked by anything.
fn grown() -> (Home, PathBuf) {
    let home = Home::new();
    for name in ["a", "b", "d/a", "d/c", "d/e/a", "d/e/f/a"] {
        drop(home.write(
            &format!("work/{name}"),
            format!("first content of {name}\n"),
        ));
    }
    let work = home.path("work");
    fs::write(work.join("d/large"), vec![b'x'; 5 << 20]).unwrap();
    fs::hard_link(work.join("a"), work.join("d/second")).unwrap();
    symlink("a", work.join("l")).unwrap();
    symlink("d/e", work.join("d/way")).unwrap();
    fs::set_permissions(work.join("b"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(work.join("d/c"), fs::Permissions::from_mode(0o755)).unwrap();
    (home, work)
}

const NAMES: [&str; 16] = [
    "a", "b", "c", "d", "l", "n", "d/a", "d/c", "d/e", "d/e/a", "d/e/f", "d/second", "d/large",
    "c/a", "c/e", "n/x",
];

/// A script of random changes; each may fail as it likes.
fn plan(dice: &mut Dice, steps: u32) -> String {
    let mut script = String::from("exec 2>/dev/null\n");
    for step in 0..steps {
        let (one, other) = (dice.of(&NAMES), dice.of(&NAMES));
        let line = match dice.below(16) {
            0 | 1 => format!("echo written {step} > {one}"),
            2 => format!("echo added {step} >> {one}"),
            3 => format!("truncate -s 7 {one}"),
            4 => format!("mkdir {one}"),
            5 => format!("rm -rf {one}"),
            6 => format!("rm -f {one}"),
            7 | 8 => format!("mv -T {one} {other}"),
            9 => format!("mv {one} {other}"),
            10 => format!("ln {one} {other}"),
            11 => format!("ln -s {one} {other}"),
            12 => format!("chmod {} {one}", dice.of(&["700", "755", "777"])),
            13 => format!("cp -r {one} {other}"),
            14 => format!("touch -d 2020-02-02 {one}"),
            _ => format!("echo whole {step} > {one}.tmp && mv {one}.tmp {one}"),
        };
        writeln!(script, "{line}").unwrap();
    }
    script.push_str("true\n");
    script
}

fn number(name: &str, otherwise: u64) -> u64 {
    let told = std::env::var(name).ok();
    told.and_then(|value| value.parse().ok())
        .unwrap_or(otherwise)
}

fn assert_same(before: &BTreeMap<PathBuf, Entry>, work: &Path, what: &str) {
    let now = tree(work);
    let differs: Vec<_> = before
        .keys()
        .chain(now.keys())
        .filter(|path| before.get(*path) != now.get(*path))
        .map(|path| {
            let short = |entry: Option<&Entry>| {
                entry.map(|(mode, time, names, content)| {
                    let text = String::from_utf8_lossy(content);
                    (
                        *mode,
                        *time,
                        *names,
                        text.chars().take(40).collect::<String>(),
                    )
                })
            };
            (path, short(before.get(path)), short(now.get(path)))
        })
        .collect();
    assert!(differs.is_empty(), "{what}: {differs:#?}");
}

#[test]
fn whatever_an_agent_does_in_its_workspace_is_undone() {
    needs_cells!();
    let first = number("VALETKEY_SEED", 1);
    for seed in first..first + number("VALETKEY_PLANS", 4) {
        let mut dice = Dice(seed);
        let (home, work) = grown();
        let before = tree(&work);
        let script = plan(&mut dice, 60);
        let options = ["--undo", "--workspace", work.to_str().unwrap()];
        let session = home.run(&options, &["sh", "-c", &script]).cwd(&work);
        drop(session.done().ok());
        let undone = home.valetkey(["undo"]).done();
        assert_eq!(
            undone.code(),
            0,
            "seed {seed}: {}\n{}",
            undone.text(),
            undone.errors()
        );
        assert_same(&before, &work, &format!("seed {seed}, script:\n{script}"));
    }
}

/// What is written over and over: each file whole, by a rename.
const BUSY: &str = "exec 2>/dev/null; i=0; echo begun
    while true; do i=$((i+1)); n=$((i%5))
        { head -c 20000 /dev/zero | tr '\\0' $n; echo end; } > whole$n.tmp && mv whole$n.tmp whole$n
        echo $i >> a; echo $i > b; mkdir -p new/$n; mv d/c new/c$n; mv new/c$n d/c; rm -f d/a; echo $i > d/a; echo $i > d/e/a.tmp && mv d/e/a.tmp d/e/a; rm -rf new; chmod 700 d/e
    done";

#[test]
fn a_guard_killed_at_any_time_leaves_files_whole_and_the_session_is_undone() {
    needs_cells!();
    let first = number("VALETKEY_SEED", 1);
    for seed in first..first + number("VALETKEY_KILLS", 5) {
        let mut dice = Dice(seed);
        let (home, work) = grown();
        let before = tree(&work);
        let options = ["--undo", "--workspace", work.to_str().unwrap()];
        let mut session = home.run(&options, &["sh", "-c", BUSY]).cwd(&work).start();
        session.wait_for("begun", Duration::from_secs(30));
        std::thread::sleep(Duration::from_millis(dice.below(700)));
        session.signal(Signal::KILL);
        drop(session.finish(Duration::from_secs(30)));
        for number in 0..5 {
            let Ok(content) = fs::read_to_string(work.join(format!("whole{number}"))) else {
                continue;
            };
            let whole = format!("{}end\n", number.to_string().repeat(20_000));
            assert!(content == whole, "seed {seed}: whole{number} is not whole");
        }
        let undone = home.valetkey(["undo"]).done();
        if undone.errors().contains("has changed anything") {
            // Killed before its first change.
            assert_same(&before, &work, &format!("seed {seed}"));
            continue;
        }
        assert_eq!(
            undone.code(),
            0,
            "seed {seed}: {}\n{}",
            undone.text(),
            undone.errors()
        );
        assert_same(&before, &work, &format!("seed {seed}"));
    }
}
