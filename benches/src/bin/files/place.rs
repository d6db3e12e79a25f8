//! A place: the files, and the way by which they are reached.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use valetkey_benches::Failure;
use valetkey_benches::product::{Product, output, run};

use crate::inside::{Case, LARGE_BYTES, PIECE_BYTES};
use crate::{Part, builds};

/// Directories, and files in each.
const DIRECTORIES: usize = 100;
const FILES: usize = 100;

/// How the files of a place are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain,
    Watched,
    Quiet,
    Bindfs,
    Overlay,
}

impl Way {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "native",
            Self::Watched => "view",
            Self::Quiet => "view, quiet",
            Self::Bindfs => "bindfs",
            Self::Overlay => "fuse-overlayfs",
        }
    }
}

/// A directory with the files, this program beside them.
pub(crate) struct Place {
    pub(crate) way: Way,
    /// Where everything of it is.
    whole: PathBuf,
    /// Where the files lie.
    source: PathBuf,
    /// Where they are used; another place for a mount.
    used: PathBuf,
}

impl Place {
    pub(crate) fn make(product: &Product, way: Way, part: Part) -> Result<Self, Failure> {
        let whole =
            product
                .scratch()
                .join(format!("{}-{}", part.name(), way.name().replace(", ", "-")));
        let source = whole.join("files");
        let used = if matches!(way, Way::Bindfs | Way::Overlay) {
            whole.join("mount")
        } else {
            source.clone()
        };
        for directory in [&whole, &source, &whole.join("work")] {
            fs::create_dir_all(directory)?;
        }
        fs::create_dir_all(&used)?;
        fs::copy(std::env::current_exe()?, source.join("probe"))?;
        match part {
            Part::Searches => fill(product, &source.join("tree"))?,
            Part::Content => {
                fs::write(source.join("small"), "needle\n".repeat(500))?;
                write_large(&source.join("large"))?;
            }
            Part::Builds => builds::fill(product, &source)?,
        }
        Ok(Self {
            way,
            whole,
            source,
            used,
        })
    }

    /// Takes the files away: five places of them would fill a small disk.
    pub(crate) fn remove(self) -> Result<(), Failure> {
        Ok(fs::remove_dir_all(&self.whole)?)
    }

    /// One round: a fresh cell or mount, everything measured from inside.
    pub(crate) fn measure(&self, product: &Product, part: Part) -> Result<Vec<Case>, Failure> {
        let used = self.used.to_string_lossy();
        let probe = self.used.join("probe");
        let probe = probe.to_string_lossy();
        let inside = [&*probe, "--inside", part.name(), &*used];
        let plainly = || output(&mut product.plain(&probe, inside.get(1..).unwrap_or_default()));
        let printed = match self.way {
            Way::Plain => plainly()?,
            Way::Watched | Way::Quiet => {
                let mut command = product.valetkey(&["run", "--workspace", &used]);
                if self.way == Way::Quiet {
                    command.arg("--quiet");
                }
                for tree in builds::tools(part) {
                    command
                        .arg("--grant")
                        .arg(format!("{}/**=read,execute,list,metadata", tree.display()));
                }
                output(command.arg("--").args(inside))?
            }
            Way::Bindfs => {
                let mut command = Command::new("bindfs");
                let _mount = Mount::make(command.arg(&self.source), &self.used)?;
                plainly()?
            }
            Way::Overlay => {
                let upper = self.whole.join("upper");
                fs::create_dir_all(&upper)?;
                let options = format!(
                    "lowerdir={},upperdir={},workdir={}",
                    self.source.display(),
                    upper.display(),
                    self.whole.join("work").display()
                );
                let mut command = Command::new("fuse-overlayfs");
                let _mount = Mount::make(command.args(["-o", &options]), &self.used)?;
                plainly()?
            }
        };
        printed.lines().map(Case::read).collect()
    }
}

/// A mount; dropping it takes it away.
struct Mount(PathBuf);

impl Mount {
    fn make(command: &mut Command, mount: &Path) -> Result<Self, Failure> {
        run(command.arg(mount))?;
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
pub(crate) fn fill(product: &Product, tree: &Path) -> Result<(), Failure> {
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

pub(crate) fn write_large(path: &Path) -> Result<(), Failure> {
    let piece = vec![0x61; PIECE_BYTES];
    let mut file = File::create(path)?;
    for _ in 0..LARGE_BYTES / PIECE_BYTES {
        file.write_all(&piece)?;
    }
    Ok(())
}
