//! What `run --undo` costs: the same work on the same files in a cell's view, with and without what it changes being kept.
//!
//! `cargo run --release -p valetkey-benches --bin undo`
//!
//! Each piece of work is timed from inside the cell, so that its start is not in the figures. Every round has files of its own.

use std::fs;
use std::path::Path;
use std::time::Duration;

use valetkey_benches::measure::{Times, ratio, show};
use valetkey_benches::product::{Product, output, run};
use valetkey_benches::table::Table;
use valetkey_benches::{Failure, machine, peer};

/// With and without, turn and turn about.
const ROUNDS: usize = 5;
/// Files that are unpacked, written and removed.
const FILES: usize = 2000;
const FILE_BYTES: usize = 4096;
/// Files that are compiled, one after the other.
const SOURCES: usize = 40;

/// A piece of work, and the script that does it in a workspace that has `tree`, `tree.tar` and `src`.
const WORK: [(&str, &str); 5] = [
    ("unpack 2,000 files", "tar xf tree.tar -C new"),
    (
        "compile 40 files",
        "for f in src/*.c; do cc -O1 -c $f -o ${f%.c}.o; done",
    ),
    (
        "write over 2,000 files",
        "for f in tree/*; do echo changed > $f; done",
    ),
    (
        "write over one file 2,000 times",
        "i=0; while [ $i -lt 2000 ]; do i=$((i+1)); echo $i > tar.log; done",
    ),
    ("remove 2,000 files", "rm -r tree"),
];

fn main() -> Result<(), Failure> {
    let product = Product::find()?;
    product.start_broker()?;
    println!("## undo\n\n{}\n", machine::line());
    let has_compiler = peer::find("cc", "gcc").is_some();
    let mut table = Table::new(&["", "without", "with `--undo`", "×"]);
    for (name, script) in WORK {
        if name.starts_with("compile") && !has_compiler {
            continue;
        }
        let mut times = [Times::default(), Times::default()];
        for round in 0..ROUNDS {
            for (kept, times) in [false, true].into_iter().zip(&mut times) {
                let place = product.scratch().join(format!("work-{round}-{kept}"));
                prepare(&product, &place)?;
                times.add(one(&product, &place, script, kept)?);
                fs::remove_dir_all(&place)?;
            }
        }
        let [without, with] = times.map(|times| times.median());
        let row = [
            name.to_owned(),
            show(without),
            show(with),
            ratio(with, without),
        ];
        table.row(row);
    }
    println!("median of {ROUNDS} rounds, turn and turn about\n\n{table}");
    Ok(())
}

fn prepare(product: &Product, place: &Path) -> Result<(), Failure> {
    for below in ["tree", "src", "new"] {
        fs::create_dir_all(place.join(below))?;
    }
    for file in 0..FILES {
        let mut content = file.to_string().repeat(FILE_BYTES);
        content.truncate(FILE_BYTES);
        fs::write(place.join(format!("tree/{file}")), content)?;
    }
    for file in 0..SOURCES {
        let content = format!(
            "#include <stdio.h>\nint f{file}(int i) {{ return printf(\"%d\", i + {file}); }}\n"
        );
        fs::write(place.join(format!("src/{file}.c")), content)?;
    }
    fs::write(place.join("tar.log"), "")?;
    let place = place.to_string_lossy();
    run(&mut product.plain(
        "tar",
        &["cf", &format!("{place}/tree.tar"), "-C", &place, "tree"],
    ))?;
    // What the disk still has to write does not fall into the first round.
    run(&mut product.plain("sync", &[]))
}

fn one(product: &Product, place: &Path, script: &str, kept: bool) -> Result<Duration, Failure> {
    let place = place.to_string_lossy();
    let timed =
        format!("cd {place} && b=$(date +%s%N) && {script} && e=$(date +%s%N) && echo $((e-b))");
    let mut arguments = vec!["run", "--workspace", &place];
    if kept {
        arguments.push("--undo");
    }
    arguments.extend(["--", "sh", "-c", &timed]);
    let said = output(&mut product.valetkey(&arguments))?;
    Ok(Duration::from_nanos(said.trim().parse()?))
}
