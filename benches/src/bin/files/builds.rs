//! What makes many files: unpacking, building, installing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use valetkey_benches::Failure;
use valetkey_benches::product::{Product, output, run};

use crate::Part;
use crate::inside::{Case, peer_is_there};
use crate::place;

/// Packages that are installed, and files in each.
const PACKAGES: usize = 30;
const PACKAGE_FILES: usize = 50;
/// What is built: a program with a dependency that has some of its own, all of them kept beside it.
const MANIFEST: &str = "[package]\nname = \"built\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\nserde_json = \"1\"\n\n[workspace]\n";
const VENDORED: &str =
    "[source.crates-io]\nreplace-with = \"kept\"\n\n[source.kept]\ndirectory = \"vendor\"\n";
const PROGRAM: &str =
    "fn main() {\n    println!(\"{}\", serde_json::json!({\"built\": true}));\n}\n";

/// The directories of the host in which the tools are.
pub(crate) fn tools(part: Part) -> Vec<PathBuf> {
    let is_needed = part == Part::Builds;
    is_needed.then(sysroot).flatten().into_iter().collect()
}

/// Where the compiler and its libraries are.
fn sysroot() -> Option<PathBuf> {
    let told = output(Command::new("rustc").args(["--print", "sysroot"])).ok()?;
    fs::canonicalize(told.trim()).ok()
}

/// An archive, sources with their dependencies, and packages.
pub(crate) fn fill(product: &Product, place: &Path) -> Result<(), Failure> {
    let tree = place.join("tree");
    place::fill(product, &tree)?;
    let mut tar = product.plain("tar", &["-cf", "tree.tar", "--exclude=.git", "tree"]);
    run(tar.current_dir(place))?;
    fs::remove_dir_all(&tree)?;
    if let Some(sysroot) = sysroot() {
        fill_sources(&place.join("sources"), &sysroot)?;
    }
    if peer_is_there("npm") {
        fill_packages(product, &place.join("packages"))?;
    }
    Ok(())
}

fn fill_sources(sources: &Path, sysroot: &Path) -> Result<(), Failure> {
    fs::create_dir_all(sources.join("src"))?;
    fs::create_dir_all(sources.join(".cargo"))?;
    fs::write(sources.join("Cargo.toml"), MANIFEST)?;
    fs::write(sources.join("src/main.rs"), PROGRAM)?;
    // From what was fetched before for this very workspace.
    let mut vendor = Command::new(sysroot.join("bin/cargo"));
    vendor.args(["vendor", "--offline", "--quiet"]);
    run(vendor.current_dir(sources).stdout(Stdio::null()))?;
    fs::write(sources.join(".cargo/config.toml"), VENDORED)?;
    // So that the build can be told where the compiler is, and nothing else is.
    let place = sysroot.to_string_lossy();
    Ok(fs::write(sources.join("sysroot"), &*place)?)
}

fn fill_packages(product: &Product, packages: &Path) -> Result<(), Failure> {
    let project = packages.join("project");
    fs::create_dir_all(&project)?;
    let mut wanted = Vec::with_capacity(PACKAGES);
    for number in 0..PACKAGES {
        let name = format!("bench-package-{number}");
        let package = packages.join("package");
        fs::create_dir_all(package.join("lib"))?;
        let manifest = format!("{{\"name\":\"{name}\",\"version\":\"1.0.0\"}}\n");
        fs::write(package.join("package.json"), manifest)?;
        for file in 0..PACKAGE_FILES {
            let text = format!("module.exports = {number} + {file};\n").repeat(20);
            fs::write(package.join(format!("lib/part{file}.js")), text)?;
        }
        let archive = format!("{name}.tgz");
        let mut tar = product.plain("tar", &["-czf", &archive, "package"]);
        run(tar.current_dir(packages))?;
        fs::remove_dir_all(&package)?;
        wanted.push(format!("\"{name}\":\"file:../{archive}\""));
    }
    let manifest = format!(
        "{{\"name\":\"project\",\"version\":\"1.0.0\",\"dependencies\":{{{}}}}}\n",
        wanted.join(",")
    );
    Ok(fs::write(project.join("package.json"), manifest)?)
}

/// Each once on a new cell or mount: what was made is taken away again, and is not what was there before.
pub(crate) fn cases(place: &Path) -> Result<Vec<Case>, Failure> {
    let mut cases = vec![once(
        "`tar -x` of 10,000 files",
        place,
        &["tree"],
        |place| {
            let mut tar = Command::new("tar");
            tar.args(["-xf", "tree.tar"]).current_dir(place);
            tar
        },
    )?];
    let sources = place.join("sources");
    if let Ok(sysroot) = fs::read_to_string(sources.join("sysroot")) {
        let sysroot = PathBuf::from(sysroot);
        cases.push(once("`cargo build`", &sources, &["target"], |sources| {
            let mut cargo = Command::new(sysroot.join("bin/cargo"));
            cargo
                .args(["build", "--offline", "--quiet"])
                .env("CARGO_HOME", sources.join("cargo-home"))
                .env("RUSTC", sysroot.join("bin/rustc"))
                .env_remove("CARGO_TARGET_DIR")
                .current_dir(sources);
            cargo
        })?);
    }
    let project = place.join("packages/project");
    if project.is_dir() {
        let made = ["node_modules", "package-lock.json", ".npm"];
        cases.push(once("`npm install`", &project, &made, |project| {
            let mut npm = Command::new("npm");
            npm.args([
                "install",
                "--offline",
                "--no-audit",
                "--no-fund",
                "--ignore-scripts",
            ])
            .arg("--cache")
            .arg(project.join(".npm"))
            .current_dir(project);
            npm
        })?);
    }
    Ok(cases)
}

/// Times a command that makes `made` in `place`.
fn once(
    name: &str,
    place: &Path,
    made: &[&str],
    command: impl Fn(&Path) -> Command,
) -> Result<Case, Failure> {
    Case::take(name, 1, || {
        let mut command = command(place);
        let start = Instant::now();
        run(command.stdin(Stdio::null()))?;
        let time = start.elapsed();
        for made in made {
            let made = place.join(made);
            if made.is_dir() {
                fs::remove_dir_all(&made)?;
            } else if made.exists() {
                fs::remove_file(&made)?;
            }
        }
        Ok(time)
    })
}
