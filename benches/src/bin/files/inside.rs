//! What is timed, from within a place.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use valetkey_benches::Failure;
use valetkey_benches::measure::Times;

use crate::place::write_large;
use crate::{Part, builds};

/// How often each is repeated on one cell or mount, after the first time.
const REPEATS: usize = 5;
/// The same for what takes long.
const LONG_REPEATS: usize = 2;
/// Opens that are timed as one.
const OPENS: u32 = 2000;
/// The size of the large file, and of the pieces that it is read and written in.
pub(crate) const LARGE_BYTES: usize = 512 << 20;
pub(crate) const PIECE_BYTES: usize = 1 << 20;

/// Something that was timed: the first time, and later ones.
#[derive(Clone, Default)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) first: Times,
    pub(crate) later: Times,
}

impl Case {
    /// Times `once`, which gives the time that counts.
    pub(crate) fn take(
        name: &str,
        repeats: usize,
        mut once: impl FnMut() -> Result<Duration, Failure>,
    ) -> Result<Self, Failure> {
        let first = Times::from_iter([once()?]);
        let later = (0..repeats).map(|_| once()).collect::<Result<Times, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            first,
            later,
        })
    }

    /// A line of what [`inside`] prints: name, first time and later times, in nanoseconds.
    pub(crate) fn read(line: &str) -> Result<Self, Failure> {
        let mut fields = line.split('\t');
        let name = fields.next().unwrap_or_default().to_owned();
        let mut times = fields.map(|field| field.parse().map(Duration::from_nanos));
        let first = times.next().ok_or("the probe printed no time")??;
        Ok(Self {
            name,
            first: Times::from_iter([first]),
            later: times.collect::<Result<_, _>>()?,
        })
    }
}

pub(crate) fn merge(all: &mut Vec<Case>, round: Vec<Case>) {
    if all.is_empty() {
        *all = round;
        return;
    }
    for (had, new) in all.iter_mut().zip(round) {
        had.first.extend(new.first);
        had.later.extend(new.later);
    }
}

/// Measures in one place, and prints a line for each case.
pub(crate) fn measure(part: Part, place: &Path) -> Result<(), Failure> {
    let cases = match part {
        Part::Searches => searches(&place.join("tree"))?,
        Part::Content => content(place)?,
        Part::Builds => builds::cases(place)?,
    };
    for case in cases {
        let mut times = case.first;
        print!("{}\t{}", case.name, times.median().as_nanos());
        times = case.later;
        // In order of time, which is as good as any other.
        let last = times.len().saturating_sub(1).max(1);
        for place in 0..times.len() {
            print!("\t{}", times.at(place * 1000 / last).as_nanos());
        }
        println!();
    }
    Ok(())
}

fn searches(tree: &Path) -> Result<Vec<Case>, Failure> {
    let mut cases = vec![
        command(tree, "find . -printf %s", REPEATS)?,
        command(tree, "git status", REPEATS)?,
        command(tree, "grep -rc --exclude-dir=.git needle .", REPEATS)?,
    ];
    if peer_is_there("rg") {
        cases.push(command(tree, "rg -c needle", REPEATS)?);
    }
    Ok(cases)
}

fn content(place: &Path) -> Result<Vec<Case>, Failure> {
    let (one, large) = (place.join("small"), place.join("large"));
    let written = place.join("written");
    let cases = vec![
        Case::take("open+read+close of one file", REPEATS, || {
            open_and_read(&one)
        })?,
        Case::take("stat of one file", REPEATS, || stat(&one))?,
        Case::take("read 512 MiB", LONG_REPEATS, || read_large(&large))?,
        Case::take("write 512 MiB", LONG_REPEATS, || {
            let start = Instant::now();
            write_large(&written)?;
            Ok(start.elapsed())
        })?,
    ];
    fs::remove_file(&written)?;
    Ok(cases)
}

pub(crate) fn peer_is_there(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

fn command(tree: &Path, line: &str, repeats: usize) -> Result<Case, Failure> {
    let mut words = line.split_whitespace();
    let program = words.next().ok_or("no program")?;
    let arguments: Vec<&str> = words.collect();
    Case::take(&format!("`{line}`"), repeats, || {
        let start = Instant::now();
        let status = Command::new(program)
            .args(&arguments)
            .current_dir(tree)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .status()?;
        let time = start.elapsed();
        if status.success() {
            Ok(time)
        } else {
            Err(format!("`{line}` ended with {status}").into())
        }
    })
}

/// The time of one open, read and close.
fn open_and_read(path: &Path) -> Result<Duration, Failure> {
    let mut buffer = vec![0; 16 * 1024];
    let start = Instant::now();
    for _ in 0..OPENS {
        let mut file = File::open(path)?;
        if file.read(&mut buffer)? == 0 {
            return Err("the file is empty".into());
        }
    }
    Ok(start.elapsed() / OPENS)
}

fn stat(path: &Path) -> Result<Duration, Failure> {
    let start = Instant::now();
    for _ in 0..OPENS {
        fs::metadata(path)?;
    }
    Ok(start.elapsed() / OPENS)
}

fn read_large(path: &Path) -> Result<Duration, Failure> {
    let mut piece = vec![0; PIECE_BYTES];
    let start = Instant::now();
    let mut file = File::open(path)?;
    let mut whole = 0;
    loop {
        match file.read(&mut piece)? {
            0 => break,
            count => whole += count,
        }
    }
    if whole == LARGE_BYTES {
        Ok(start.elapsed())
    } else {
        Err("the large file is not whole".into())
    }
}

pub(crate) fn opens_alone(path: &Path) -> Result<(), Failure> {
    open_and_read(path)?;
    println!("{}", open_and_read(path)?.as_nanos());
    Ok(())
}
