//! How long it takes to run `true`: plainly, in bubblewrap, and in a cell with its session, view and log.
//!
//! `cargo run --release -p valetkey-benches --bin launch`

use std::process::{Command, Stdio};
use std::time::Duration;

use valetkey_benches::measure::{Times, ratio, show, timed};
use valetkey_benches::product::Product;
use valetkey_benches::table::Table;
use valetkey_benches::{Failure, machine, peer};

/// How often each is run, turn and turn about.
const ROUNDS: usize = 300;
/// How often a broker is started anew.
const STARTS: usize = 10;
/// As much of a cell as bubblewrap makes: all namespaces, system directories, `/proc`, `/dev`, `/tmp`, no capability. It has no view, no
/// session, no Landlock and no record.
const BUBBLEWRAP: &str = "--unshare-all --die-with-parent --cap-drop ALL --ro-bind /usr /usr --symlink usr/bin /bin \
     --symlink usr/sbin /sbin --symlink usr/lib /lib --symlink usr/lib64 /lib64 --ro-bind /etc /etc --proc /proc --dev /dev --tmpfs /tmp -- true";

fn main() -> Result<(), Failure> {
    let product = Product::find()?;
    product.start_broker()?;
    let workspace = product.scratch().join("work");
    std::fs::create_dir(&workspace)?;
    let workspace = workspace.to_string_lossy();

    let mut cases = vec![
        ("`true`", product.plain("true", &[])),
        (
            "`valetkey run -- true`",
            product.valetkey(&["run", "--", "true"]),
        ),
        (
            "`valetkey run --workspace DIR -- true`",
            product.valetkey(&["run", "--workspace", &workspace, "--", "true"]),
        ),
    ];
    println!("## launch\n\n{}\n", machine::line());
    if peer::find("bwrap", "bubblewrap").is_some() {
        let arguments: Vec<&str> = BUBBLEWRAP.split_whitespace().collect();
        cases.insert(1, ("`bwrap … true`", product.plain("bwrap", &arguments)));
    }

    let mut times = vec![Times::default(); cases.len()];
    for _ in 0..ROUNDS {
        for ((_, command), times) in cases.iter_mut().zip(&mut times) {
            times.add(one(command)?);
        }
    }
    let mut head = vec!["", "min", "p50", "p95"];
    let of: Vec<String> = cases
        .iter()
        .take(cases.len() - 2)
        .map(|(name, _)| format!("p50 of {name}"))
        .collect();
    head.extend(of.iter().map(String::as_str));
    let mut table = Table::new(&head);
    for ((name, _), own) in cases.iter().zip(&times) {
        let mut row = vec![
            (*name).to_owned(),
            show(own.at(0)),
            show(own.median()),
            show(own.at(950)),
        ];
        let others = times.iter().take(of.len());
        row.extend(others.map(|other| ratio(own.median(), other.median())));
        table.row(row);
    }
    println!("{ROUNDS} rounds, turn and turn about, the broker running\n\n{table}");
    println!(
        "with the broker to be started first: {} (median of {STARTS})",
        show(with_start(&product)?.median())
    );
    Ok(())
}

fn one(command: &mut Command) -> Result<Duration, Failure> {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    let (status, time) = timed(|| command.status())?;
    if status.success() {
        Ok(time)
    } else {
        Err(format!("{command:?} ended with {status}").into())
    }
}

fn with_start(product: &Product) -> Result<Times, Failure> {
    let mut times = Times::default();
    for _ in 0..STARTS {
        one(&mut product.valetkey(&["stop"]))?;
        // Until the old one is gone and with it its lock.
        while product.paths().guard_socket().exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(Duration::from_millis(100));
        times.add(one(&mut product.valetkey(&["run", "--", "true"]))?);
    }
    Ok(times)
}
