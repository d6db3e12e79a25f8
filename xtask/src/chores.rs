//! The chores that build and run: the demonstration and the tests.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use xtask::cargo::Cargo;

use crate::say;

/// The packages whose programs a session needs, side by side in one directory.
const PROGRAMS: [&str; 3] = ["valetkey-cli", "valetkey-broker", "valetkey-sheet"];

/// Builds the programs in release mode and becomes `valetkey demo`.
pub(crate) fn demo(cargo: &Cargo, args: &[String]) -> Result<u8, String> {
    let mut build = vec!["build", "--release", "--bins"];
    build.extend(PROGRAMS.iter().flat_map(|package| ["--package", package]));
    if !succeeds(&mut cargo.command(build))? {
        return Ok(1);
    }
    let program = cargo.target_directory()?.join("release/valetkey");
    let error = Command::new(&program).arg("demo").args(args).exec();
    Err(format!("cannot run {}: {error}", program.display()))
}

/// Builds every program, then runs every test; the black-box suites find the programs by `VALETKEY_BIN_DIR`.
pub(crate) fn test(cargo: &Cargo, args: &[String]) -> Result<u8, String> {
    note_what_is_missing();
    if !succeeds(&mut cargo.command(["build", "--workspace", "--bins"]))? {
        return Ok(1);
    }
    let programs = cargo.target_directory()?.join("debug");
    let mut tests = cargo.command(["test", "--workspace", "--no-fail-fast"]);
    tests.args(args).env("VALETKEY_BIN_DIR", programs);
    Ok(u8::from(!succeeds(&mut tests)?))
}

/// Says before the tests, in one line, what most often keeps them from running on a fresh machine.
fn note_what_is_missing() {
    let opened = std::fs::File::options()
        .read(true)
        .write(true)
        .open(Path::new("/dev/fuse"));
    if let Err(error) = opened {
        say::error(&format!(
            "note: cannot open /dev/fuse ({error}): tests of the view and the cell will fail; as root: modprobe fuse; chmod 666 /dev/fuse"
        ));
    }
}

fn succeeds(command: &mut Command) -> Result<bool, String> {
    command
        .stdin(Stdio::null())
        .status()
        .map(|status| status.success())
        .map_err(|error| format!("cannot run cargo: {error}"))
}
