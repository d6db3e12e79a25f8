//! What files cost: the same commands on the same files, plainly, through a cell's view, and through `bindfs`.
//!
//! `cargo run --release -p valetkey-benches --bin files`
//!
//! The program copies itself to where the files are and times everything from there, so that neither the start of a cell nor that of a
//! mount is in the figures. *First* is the first time on a new cell or mount, whose own caches are empty; the host's page cache is warm
//! throughout, for all of them.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use valetkey_benches::measure::{Times, ratio, show};
use valetkey_benches::product::{Product, output, run};
use valetkey_benches::table::Table;
use valetkey_benches::{Failure, machine, peer};

/// Fresh cells and mounts, turn and turn about.
const ROUNDS: usize = 5;
/// How often each is repeated on one cell or mount, after the first time.
const REPEATS: usize = 5;
/// The same for what takes long.
const LONG_REPEATS: usize = 2;
/// Directories, and files in each.
const DIRECTORIES: usize = 100;
const FILES: usize = 100;
/// Opens that are timed as one.
const OPENS: u32 = 2000;
/// The size of the large file, and of the pieces that it is read and written in.
const LARGE_BYTES: usize = 1 << 30;
const PIECE_BYTES: usize = 1 << 20;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(word), Some(place)) if word == "--inside" => inside(Path::new(&place)),
        (Some(word), Some(file)) if word == "--opens" => opens_alone(Path::new(&file)),
        (None, None) => outside(),
        _ => Err("it takes no arguments".into()),
    }
}

/// Sets the places up, lets each be measured from inside, and prints the table.
fn outside() -> Result<(), Failure> {
    let product = Product::find()?;
    println!("## files\n\n{}\n", machine::line());
    let mut places = vec![Place::make(&product, "native", Way::Plain)?];
    places.push(Place::make(&product, "view", Way::Cell)?);
    if peer::find("bindfs", "bindfs fuse3").is_some() {
        places.push(Place::make(&product, "bindfs", Way::Bindfs)?);
    }
    if peer::find("rg", "ripgrep").is_none() {
        println!("The row for `rg` is missing.\n");
    }
    product.start_broker()?;
    let mut found: Vec<Vec<Case>> = vec![Vec::new(); places.len()];
    for _ in 0..ROUNDS {
        for (place, found) in places.iter().zip(&mut found) {
            merge(found, place.measure(&product)?);
        }
    }
    println!(
        "{} files of 1 to 8 KiB, {ROUNDS} fresh cells and mounts turn and turn about, first / later (p50)\n\n{}",
        DIRECTORIES * FILES,
        table(&places, &found)
    );
    println!(
        "open+read+close under a capability whose every open is durable in the log before it happens: {}",
        show(recorded_first(&product)?)
    );
    Ok(())
}

fn table(places: &[Place], found: &[Vec<Case>]) -> Table {
    let mut head = vec!["".to_owned()];
    for place in places {
        head.push(place.name.to_owned());
        if place.way != Way::Plain {
            head.push("× native".to_owned());
        }
    }
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = Table::new(&head);
    let Some((native, _)) = found.split_first() else {
        return table;
    };
    for case in native {
        let mut row = vec![case.name.clone()];
        for (place, own) in places.iter().zip(found) {
            let Some(own) = own.iter().find(|own| own.name == case.name) else {
                row.push("–".to_owned());
                continue;
            };
            let (first, later) = (own.first.median(), own.later.median());
            row.push(format!("{} / {}", show(first), show(later)));
            if place.way != Way::Plain {
                let base = (case.first.median(), case.later.median());
                row.push(format!(
                    "{} / {}",
                    ratio(first, base.0),
                    ratio(later, base.1)
                ));
            }
        }
        table.row(row);
    }
    table
}

/// How the files of a place are reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Plain,
    Cell,
    Bindfs,
}

/// A directory with the files, this program beside them.
struct Place {
    name: &'static str,
    way: Way,
    /// Where the files lie.
    source: PathBuf,
    /// Where they are used; another place for a mount.
    used: PathBuf,
}

impl Place {
    fn make(product: &Product, name: &'static str, way: Way) -> Result<Self, Failure> {
        let source = product.scratch().join(format!("{name}-files"));
        let used = if way == Way::Bindfs {
            let mount = product.scratch().join(format!("{name}-mount"));
            fs::create_dir(&mount)?;
            mount
        } else {
            source.clone()
        };
        fs::create_dir(&source)?;
        fs::copy(std::env::current_exe()?, source.join("probe"))?;
        fill(product, &source.join("tree"))?;
        write_large(&source.join("large"))?;
        Ok(Self {
            name,
            way,
            source,
            used,
        })
    }

    /// One round: a fresh cell or mount, everything measured from inside.
    fn measure(&self, product: &Product) -> Result<Vec<Case>, Failure> {
        let used = self.used.to_string_lossy();
        let probe = self.used.join("probe");
        let probe = probe.to_string_lossy();
        let printed = match self.way {
            Way::Plain => output(&mut product.plain(&probe, &["--inside", &used]))?,
            Way::Cell => {
                let command = ["run", "--workspace", &used, "--", &probe, "--inside", &used];
                output(&mut product.valetkey(&command))?
            }
            Way::Bindfs => {
                let _mount = Mount::make(&self.source, &self.used)?;
                output(&mut product.plain(&probe, &["--inside", &used]))?
            }
        };
        printed.lines().map(Case::read).collect()
    }
}

/// A `bindfs` mount; dropping it takes it away.
struct Mount(PathBuf);

impl Mount {
    fn make(source: &Path, mount: &Path) -> Result<Self, Failure> {
        run(Command::new("bindfs").arg(source).arg(mount))?;
        Ok(Self(mount.to_path_buf()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // If it does not end, the directory below it stays, and that is seen.
        let _ended = Command::new("fusermount3").arg("-u").arg(&self.0).status();
    }
}

/// The tree: text of different lengths, all of it committed.
fn fill(product: &Product, tree: &Path) -> Result<(), Failure> {
    const WORDS: [&str; 8] = [
        "quarter", "report", "ledger", "needle", "invoice", "balance", "total", "draft",
    ];
    for directory in 0..DIRECTORIES {
        let directory_path = tree.join(format!("part{directory:02}"));
        fs::create_dir_all(&directory_path)?;
        for file in 0..FILES {
            let number = directory * FILES + file;
            // 1 to 8 KiB, the same in every run, with no two files alike.
            let size = 1024 + number.wrapping_mul(2_654_435_761) % 7168;
            let mut text = String::with_capacity(size + 64);
            let mut line = 0_usize;
            while text.len() < size {
                let word = WORDS.get(number.wrapping_add(line * 3) % 7).unwrap_or(&"");
                text.push_str(&format!("{number} {line} {word}\n"));
                line += 1;
            }
            fs::write(directory_path.join(format!("file{file:02}.txt")), text)?;
        }
    }
    let git = |arguments: &[&str]| {
        let mut command = product.plain("git", &["-c", "user.name=a", "-c", "user.email=a@b"]);
        // Nothing in the background that would go on while it is measured.
        command.args(["-c", "gc.auto=0", "-c", "maintenance.auto=0"]);
        run(command.args(arguments).current_dir(tree))
    };
    git(&["init", "-q"])?;
    git(&["add", "."])?;
    git(&["commit", "-qm", "all"])?;
    git(&["gc", "-q"])
}

fn write_large(path: &Path) -> Result<(), Failure> {
    let piece = vec![0x61; PIECE_BYTES];
    let mut file = File::create(path)?;
    for _ in 0..LARGE_BYTES / PIECE_BYTES {
        file.write_all(&piece)?;
    }
    Ok(())
}

/// Something that was timed: the first time, and later ones.
#[derive(Clone, Default)]
struct Case {
    name: String,
    first: Times,
    later: Times,
}

impl Case {
    /// Times `once`, which gives the time that counts.
    fn take(
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
    fn read(line: &str) -> Result<Self, Failure> {
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

fn merge(all: &mut Vec<Case>, round: Vec<Case>) {
    if all.is_empty() {
        *all = round;
        return;
    }
    for (had, new) in all.iter_mut().zip(round) {
        had.first.extend(new.first);
        had.later.extend(new.later);
    }
}

/// Measures in one place, from inside, and prints a line for each case.
fn inside(place: &Path) -> Result<(), Failure> {
    let tree = place.join("tree");
    let one = tree.join("part50/file50.txt");
    let mut cases = vec![
        command(&tree, "find . -printf %s", REPEATS)?,
        command(&tree, "git status", REPEATS)?,
        command(&tree, "grep -rc --exclude-dir=.git needle .", REPEATS)?,
    ];
    if peer_is_there("rg") {
        cases.push(command(&tree, "rg -c needle", REPEATS)?);
    }
    cases.push(Case::take("open+read+close of one file", REPEATS, || {
        open_and_read(&one)
    })?);
    cases.push(Case::take("stat of one file", REPEATS, || stat(&one))?);
    let large = place.join("large");
    cases.push(Case::take("read 1 GiB", LONG_REPEATS, || {
        read_large(&large)
    })?);
    let written = place.join("written");
    cases.push(Case::take("write 1 GiB", LONG_REPEATS, || {
        let start = Instant::now();
        write_large(&written)?;
        Ok(start.elapsed())
    })?);
    fs::remove_file(&written)?;
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

fn peer_is_there(name: &str) -> bool {
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

/// The time of one open under a capability that may change the file, granted by name: the base policy wants every use of it recorded before.
fn recorded_first(product: &Product) -> Result<Duration, Failure> {
    let place = product.scratch().join("recorded");
    fs::create_dir(&place)?;
    fs::copy(std::env::current_exe()?, place.join("probe"))?;
    let file = place.join("ledger.txt");
    fs::write(&file, "one line\n")?;
    let (probe, file) = (place.join("probe"), file.to_string_lossy());
    let probe = probe.to_string_lossy();
    let see = format!("{probe}=read,execute");
    let change = format!("{file}=read,write");
    let command = [
        "run", "--grant", &see, "--grant", &change, "--", &probe, "--opens", &file,
    ];
    let printed = output(&mut product.valetkey(&command))?;
    Ok(Duration::from_nanos(printed.trim().parse()?))
}

fn opens_alone(path: &Path) -> Result<(), Failure> {
    open_and_read(path)?;
    println!("{}", open_and_read(path)?.as_nanos());
    Ok(())
}
