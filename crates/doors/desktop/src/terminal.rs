//! Which terminal the inbox is opened in, and the words of the command that opens it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Terminals that are looked for, with the words between them and the command.
const KNOWN: [(&str, &[&str]); 12] = [
    ("xdg-terminal-exec", &[]),
    ("x-terminal-emulator", &["-e"]),
    ("gnome-terminal", &["--"]),
    ("kgx", &["--"]),
    ("ptyxis", &["--"]),
    ("konsole", &["-e"]),
    ("xfce4-terminal", &["-x"]),
    ("foot", &[]),
    ("kitty", &[]),
    ("alacritty", &["-e"]),
    ("wezterm", &["start", "--"]),
    ("xterm", &["-e"]),
];

/// The words that open a terminal; the command that runs in it comes after them. Nothing where there is none.
pub(crate) fn words(
    chosen: Option<&OsStr>,
    usual: Option<&OsStr>,
    path: Option<&OsStr>,
) -> Option<Vec<OsString>> {
    // What the person chose for this is taken as they wrote it, word for word.
    if let Some(chosen) = chosen.and_then(OsStr::to_str) {
        let words: Vec<OsString> = chosen.split_whitespace().map(OsString::from).collect();
        if !words.is_empty() {
            return Some(words);
        }
    }
    if let Some(usual) = usual.filter(|usual| !usual.is_empty()) {
        let name = Path::new(usual).file_name().unwrap_or(usual);
        let between = KNOWN
            .iter()
            .find(|(known, _)| name == OsStr::new(known))
            .map_or(&["-e"][..], |(_, between)| between);
        if let Some(program) = found(Path::new(usual), path) {
            return Some(with(program, between));
        }
    }
    KNOWN
        .iter()
        .find_map(|(name, between)| Some(with(found(Path::new(name), path)?, between)))
}

fn with(program: PathBuf, between: &[&str]) -> Vec<OsString> {
    std::iter::once(program.into_os_string())
        .chain(between.iter().map(OsString::from))
        .collect()
}

fn found(program: &Path, path: Option<&OsStr>) -> Option<PathBuf> {
    if program.is_absolute() {
        return program.is_file().then(|| program.to_path_buf());
    }
    // A relative place on the search path would be somebody's working directory.
    std::env::split_paths(path?)
        .filter(|dir| dir.is_absolute())
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_person_chose_comes_before_what_is_there() {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["konsole", "xterm", "mine"] {
            std::fs::write(dir.path().join(name), "").expect("write");
        }
        let path = Some(dir.path().as_os_str());
        let at = |name: &str| dir.path().join(name).into_os_string();
        let some = |text: &'static str| Some(OsStr::new(text));
        let chosen = words(some("my-terminal --wait -e"), some("xterm"), path);
        assert_eq!(
            chosen,
            Some(vec!["my-terminal".into(), "--wait".into(), "-e".into()])
        );
        let usual = words(None, some("mine"), path);
        assert_eq!(usual, Some(vec![at("mine"), "-e".into()]));
        let missing = words(some(" "), some("missing"), path);
        assert_eq!(missing, Some(vec![at("konsole"), "-e".into()]));
        assert_eq!(words(None, None, some("relative:")), None);
        assert_eq!(words(None, None, None), None);
    }
}
