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

/// Most bytes of the static verifier: what one sends along with an export.
const VERIFIER_MAX_BYTES: u64 = 2_000_000;

/// Builds `valetkey-verify` without a library that it needs, and checks that it is so and small.
pub(crate) fn verifier(cargo: &Cargo) -> Result<u8, String> {
    const TARGET: &str = "x86_64-unknown-linux-gnu";
    let build = [
        "build",
        "--profile",
        "verifier",
        "--package",
        "valetkey-verify",
        "--target",
        TARGET,
    ];
    let mut build = cargo.command(build);
    build.env("RUSTFLAGS", "-C target-feature=+crt-static");
    if !succeeds(&mut build)? {
        return Ok(1);
    }
    let file = cargo
        .target_directory()?
        .join(TARGET)
        .join("verifier/valetkey-verify");
    let bytes = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    say::line(&format!("{}: {length} bytes", file.display()));
    // The path of the loader; its bare name is in every C library.
    let loader = b"/lib64/ld-linux";
    if bytes.windows(loader.len()).any(|window| window == loader) {
        return Err("it needs a loader, so it is not static".to_owned());
    }
    if length > VERIFIER_MAX_BYTES {
        return Err(format!("it has more than {VERIFIER_MAX_BYTES} bytes"));
    }
    Ok(0)
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
