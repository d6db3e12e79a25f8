//! Where the programs under test are, and building them when they are missing or older than their sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The programs under test.
const NAMES: [&str; 5] = [
    "valetkey",
    "valetkeyd",
    "valetkey-sheet",
    "valetkey-desktop",
    "valetkey-mcp",
];
/// The packages that they are built from, by what is built together: `valetkey-mcp` by itself, so that what its libraries ask of shared ones
/// is not asked for the others.
const PACKAGES: [&[&str]; 2] = [
    &[
        "valetkey-cli",
        "valetkey-broker",
        "valetkey-sheet",
        "valetkey-desktop",
    ],
    &["valetkey-mcp"],
];

/// The directory with the programs.
#[derive(Clone, Debug)]
pub struct Binaries {
    /// The directory.
    pub dir: PathBuf,
}

impl Binaries {
    /// One of the programs.
    #[must_use]
    pub fn get(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether they were built with optimisation, as far as their place tells.
    #[must_use]
    pub fn are_release(&self) -> bool {
        self.dir.ends_with("release")
    }

    /// Copies all of them into a directory that any user may read.
    ///
    /// # Panics
    /// When that fails: no test can go on.
    #[must_use]
    pub fn copied_to(&self, dir: &Path) -> Self {
        fs::create_dir_all(dir).expect("make a directory for the programs");
        for name in NAMES {
            fs::copy(self.get(name), dir.join(name)).expect("copy a program");
        }
        Self {
            dir: dir.to_path_buf(),
        }
    }
}

/// The programs: from `VALETKEY_BIN_DIR`, or beside this test, built once if they are missing or stale.
///
/// # Panics
/// When they cannot be built.
pub fn binaries() -> &'static Binaries {
    static FOUND: OnceLock<Result<Binaries, String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        if let Some(dir) = std::env::var_os("VALETKEY_BIN_DIR") {
            let found = Binaries { dir: dir.into() };
            return match NAMES.iter().find(|name| !found.get(name).exists()) {
                Some(name) => Err(format!("VALETKEY_BIN_DIR has no {name}")),
                None => Ok(found),
            };
        }
        let found = Binaries {
            dir: target_dir_of_this_test(),
        };
        if is_stale(&found) {
            build(&found)?;
        }
        Ok(found)
    });
    match found {
        Ok(found) => found,
        Err(why) => panic!("{why}"),
    }
}

/// The profile's directory: this executable is `<dir>/deps/suite-…`.
fn target_dir_of_this_test() -> PathBuf {
    let own = std::env::current_exe().expect("the path of this test");
    let deps = own.parent().expect("a directory");
    if deps.ends_with("deps") {
        deps.parent().expect("a directory above deps").to_path_buf()
    } else {
        deps.to_path_buf()
    }
}

fn is_stale(found: &Binaries) -> bool {
    let age = |path: PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let oldest = NAMES
        .iter()
        .map(|name| age(found.get(name)))
        .min()
        .flatten();
    let root = workspace();
    let newest = [root.join("crates"), root.join("policies")]
        .iter()
        .filter_map(|dir| newest_below(dir))
        .max();
    match (oldest, newest) {
        (Some(oldest), Some(newest)) => oldest < newest,
        (None, _) => true,
        (Some(_), None) => false,
    }
}

fn newest_below(dir: &Path) -> Option<SystemTime> {
    let mut newest = None;
    for entry in fs::read_dir(dir).ok()?.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let time = if path.is_dir() {
            // Tests beside the code are no part of the programs.
            if name == "tests" || name == "examples" {
                continue;
            }
            newest_below(&path)
        } else {
            entry.metadata().and_then(|meta| meta.modified()).ok()
        };
        newest = newest.max(time);
    }
    newest
}

fn build(found: &Binaries) -> Result<(), String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = found.dir.parent().expect("a target directory");
    for together in PACKAGES {
        let mut command = Command::new(&cargo);
        command
            .current_dir(workspace())
            .arg("build")
            .arg("--bins")
            .arg("--target-dir")
            .arg(target);
        for package in together {
            command.args(["-p", package]);
        }
        if found.are_release() {
            command.arg("--release");
        }
        let status = command.status().expect("run cargo");
        if !status.success() {
            return Err("the programs under test do not build".to_owned());
        }
    }
    for name in NAMES {
        // Cargo leaves a program alone whose sources changed in nothing but their times.
        let file = fs::File::options().append(true).open(found.get(name));
        file.and_then(|file| file.set_modified(SystemTime::now()))
            .expect("the programs under test");
    }
    Ok(())
}

/// The root of the workspace.
fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("a workspace").to_path_buf()
}
