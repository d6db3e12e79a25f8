//! What files cost: the same commands on the same files, plainly, through a cell's view, watched and quiet, and through other file systems.
//!
//! `cargo run --release -p valetkey-benches --bin files [-- searches|content|builds]`
//!
//! The program copies itself to where the files are and times everything from there, so that neither the start of a cell nor that of a
//! mount is in the figures. *First* is the first time on a new cell or mount, whose own caches are empty; the host's page cache is warm
//! throughout, for all of them. Each part takes about two minutes.

mod builds;
mod inside;
mod place;

use std::fs;
use std::path::Path;
use std::time::Duration;

use valetkey_benches::measure::{ratio, show};
use valetkey_benches::product::{Product, output};
use valetkey_benches::table::Table;
use valetkey_benches::{Failure, machine, peer};

use inside::Case;
use place::{Place, Way};

/// Fresh cells and mounts, turn and turn about.
const ROUNDS: usize = 3;
/// The same for what takes long.
const LONG_ROUNDS: usize = 2;

/// What is measured together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Many small files, looked at.
    Searches,
    /// One file, small or large.
    Content,
    /// Many files, made.
    Builds,
}

impl Part {
    const ALL: [Self; 3] = [Self::Searches, Self::Content, Self::Builds];

    fn name(self) -> &'static str {
        match self {
            Self::Searches => "searches",
            Self::Content => "content",
            Self::Builds => "builds",
        }
    }

    fn of(name: &str) -> Result<Self, Failure> {
        let known = Self::ALL.into_iter().find(|part| part.name() == name);
        known.ok_or_else(|| format!("there is no part `{name}`").into())
    }

    fn rounds(self) -> usize {
        if self == Self::Searches {
            ROUNDS
        } else {
            LONG_ROUNDS
        }
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--inside", part, place] => inside::measure(Part::of(part)?, Path::new(place)),
        ["--opens", file] => inside::opens_alone(Path::new(file)),
        [] => outside(&Part::ALL),
        [part] => outside(&[Part::of(part)?]),
        _ => Err("it takes the name of one part, or nothing".into()),
    }
}

/// Sets the places up, lets each be measured from inside, and prints the tables.
fn outside(parts: &[Part]) -> Result<(), Failure> {
    let product = Product::find()?;
    println!("## files\n\n{}\n", machine::line());
    let mut ways = vec![Way::Plain, Way::Watched, Way::Quiet];
    if peer::find("bindfs", "bindfs fuse3").is_some() {
        ways.push(Way::Bindfs);
    }
    if peer::find("fuse-overlayfs", "fuse-overlayfs fuse3").is_some() {
        ways.push(Way::Overlay);
    }
    if peer::find("rg", "ripgrep").is_none() {
        println!("The row for `rg` is missing.\n");
    }
    product.start_broker()?;
    for part in parts {
        let places = ways
            .iter()
            .map(|way| Place::make(&product, *way, *part))
            .collect::<Result<Vec<_>, _>>()?;
        let mut found: Vec<Vec<Case>> = vec![Vec::new(); places.len()];
        for _ in 0..part.rounds() {
            for (place, found) in places.iter().zip(&mut found) {
                inside::merge(found, place.measure(&product, *part)?);
            }
        }
        println!(
            "{}: {} fresh cells and mounts turn and turn about, first / later (p50)\n\n{}",
            part.name(),
            part.rounds(),
            table(&places, &found)
        );
        for place in places {
            place.remove()?;
        }
    }
    println!(
        "open+read+close under a capability whose every open is durable in the log before it happens: {}",
        show(recorded_first(&product)?)
    );
    Ok(())
}

fn table(places: &[Place], found: &[Vec<Case>]) -> Table {
    let mut head = vec!["".to_owned()];
    for place in places {
        head.push(place.way.name().to_owned());
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
