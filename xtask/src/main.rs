//! `cargo xtask`: the project's chores, in one small program with no dependency but a JSON reader.
#![forbid(unsafe_code)]

mod chores;
mod say;

use std::process::ExitCode;

use xtask::cargo::Cargo;
use xtask::{check, schemas};

const USAGE: &str = "usage: cargo xtask CHORE

  demo [ARGS]        build in release mode and run `valetkey demo` with ARGS
  test [ARGS]        build the programs, then run every test of the workspace; ARGS go to `cargo test`
  verifier           build the static verifier, and check that it is small and needs no library
  check              check that the tree is as its documents say
  schemas [--check]  write the JSON Schemas that are made from the types, or only compare them";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let chore = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let result = Cargo::find().and_then(|cargo| match (chore.as_str(), rest.as_slice()) {
        ("demo", _) => chores::demo(&cargo, &rest),
        ("test", _) => chores::test(&cargo, &rest),
        ("verifier", []) => chores::verifier(&cargo),
        ("check", []) => tell(&check::all(&cargo)),
        ("schemas", []) => schemas::write(&cargo).map(|()| 0),
        ("schemas", [only]) if only == "--check" => tell(&schemas::stale(&cargo)),
        _ => {
            say::error(USAGE);
            Ok(2)
        }
    });
    match result {
        Ok(status) => ExitCode::from(status),
        Err(message) => {
            say::error(&format!("error: {message}"));
            ExitCode::FAILURE
        }
    }
}

/// Prints what was found; the exit status says whether it was nothing.
fn tell(findings: &[String]) -> Result<u8, String> {
    for finding in findings {
        say::error(finding);
    }
    if findings.is_empty() {
        say::line("in order");
        return Ok(0);
    }
    say::error(&format!("{} to mend", findings.len()));
    Ok(1)
}
