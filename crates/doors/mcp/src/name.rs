//! Paths as clients write them, made into one absolute path without `.` and `..`.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use crate::access;
use crate::fail::Fail;

/// The path that a client means: `~` is the home, what is relative lies in the first granted place that has it.
///
/// Nothing is decided here. The view decides by where the path really leads.
pub(crate) fn resolve(written: &str) -> Result<PathBuf, Fail> {
    if written.contains('\0') {
        return Err(Fail::said("a path has no NUL in it"));
    }
    let expanded = expand_home(written);
    let absolute = if expanded.is_absolute() {
        plain(&expanded)
    } else {
        in_a_place(&expanded)?
    };
    Ok(real(&absolute))
}

fn expand_home(written: &str) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    match (written, written.strip_prefix("~/"), home) {
        ("~", _, Some(home)) => home,
        (_, Some(below), Some(home)) => home.join(below),
        _ => PathBuf::from(written),
    }
}

fn in_a_place(relative: &Path) -> Result<PathBuf, Fail> {
    let mut places = access::places()?;
    places.extend(std::env::current_dir());
    let candidates: Vec<PathBuf> = places
        .iter()
        .map(|place| plain(&place.join(relative)))
        .collect();
    let there = candidates
        .iter()
        .find(|path| path.symlink_metadata().is_ok());
    there
        .or(candidates.first())
        .cloned()
        .ok_or_else(|| Fail::said("a relative path needs a granted directory"))
}

/// Without `.` and `..`, by its letters alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => plain.push(name),
            Component::ParentDir => {
                plain.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    plain
}

/// Where it really is, as far as it is there; the rest stays as it is written.
fn real(path: &Path) -> PathBuf {
    let mut rest: Vec<OsString> = Vec::new();
    let mut above = path;
    loop {
        if let Ok(mut found) = above.canonicalize() {
            found.extend(rest.iter().rev());
            return found;
        }
        let (Some(parent), Some(name)) = (above.parent(), above.file_name()) else {
            return path.to_path_buf();
        };
        rest.push(name.to_os_string());
        above = parent;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dots_go_by_their_letters() {
        for (written, meant) in [
            ("/a/./b//c", "/a/b/c"),
            ("/a/../b", "/b"),
            ("/../../etc", "/etc"),
            ("/", "/"),
        ] {
            assert_eq!(plain(Path::new(written)), Path::new(meant));
        }
    }

    #[test]
    fn links_are_followed_and_what_is_not_there_stays() {
        let dir = std::env::temp_dir().join(format!("valetkey-mcp-name-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("real")).expect("make");
        std::os::unix::fs::symlink(dir.join("real"), dir.join("link")).expect("link");
        let found = resolve(dir.join("link/new/file").to_str().expect("text")).expect("resolve");
        let real = dir.canonicalize().expect("real").join("real/new/file");
        assert_eq!(found, real);
        std::fs::remove_dir_all(&dir).expect("remove");
        assert!(resolve("/a\0b").is_err());
    }
}
