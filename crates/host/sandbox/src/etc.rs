//! The cell's `/etc`: what is generated, what is copied from the host, what is bound read-only.
//!
//! It is collected before the fork, with the caller's own rights, so that nothing of the host has to
//! be read once the new root is entered.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::spec::CellSpec;

/// Files that programs need and that hold nothing personal.
const COPIED: [&str; 22] = [
    "bash.bashrc",
    "debian_version",
    "gai.conf",
    "host.conf",
    "inputrc",
    "issue",
    "ld.so.cache",
    "ld.so.conf",
    "locale.alias",
    "localtime",
    "lsb-release",
    "magic",
    "magic.mime",
    "mime.types",
    "os-release",
    "profile",
    "protocols",
    "services",
    "shells",
    "ssl/openssl.cnf",
    "timezone",
    "vimrc",
];

/// Directories that are bound read-only. `/etc/ssl` itself is not among them: `/etc/ssl/private`
/// holds keys that a cell of the superuser could read.
const BOUND: [&str; 11] = [
    "alternatives",
    "ca-certificates",
    "crypto-policies",
    "fonts",
    "ld.so.conf.d",
    "pki/ca-trust",
    "pki/tls/certs",
    "profile.d",
    "ssl/certs",
    "terminfo",
    "xdg",
];

/// Directories whose name starts so are bound read-only as well.
const BOUND_PREFIXES: [&str; 2] = ["java-", "python3"];

/// A configuration file larger than this is not one.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// One entry of the cell's `/etc`, by its path below it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A file with this content.
    File(PathBuf, Vec<u8>),
    /// A symbolic link with this target.
    Link(PathBuf, PathBuf),
    /// A directory of the host.
    Bind(PathBuf),
}

/// Everything that the cell's `/etc` holds.
pub(crate) fn collect(spec: &CellSpec) -> Vec<Entry> {
    let host = Path::new("/etc");
    let mut entries = generated(spec);
    for name in COPIED {
        entries.extend(copied(host, Path::new(name), &spec.system_dirs));
    }
    keep_search_path(&mut entries, spec);
    for name in BOUND {
        entries.extend(bound(host, Path::new(name), &spec.system_dirs));
    }
    for name in fs::read_dir(host)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name())
    {
        if has_bound_prefix(&name) {
            entries.extend(bound(host, Path::new(&name), &spec.system_dirs));
        }
    }
    entries
}

/// The host's own `profile` sets another search path: a login shell, in which some agents run every command, would not find what is in the
/// cell. So the cell's path is set again behind it.
fn keep_search_path(entries: &mut Vec<Entry>, spec: &CellSpec) {
    let Some((_, path)) = spec.env.iter().find(|(name, _)| name == "PATH") else {
        return;
    };
    let quoted = path.to_string_lossy().replace('\'', "'\\''");
    let line = format!("\nPATH='{quoted}'\nexport PATH\n");
    let wanted = Path::new("profile");
    for entry in &mut *entries {
        match entry {
            Entry::File(name, bytes) if name == wanted => {
                return bytes.extend_from_slice(line.as_bytes());
            }
            // It is a system directory's: nothing is known of what it does.
            Entry::Link(name, _) if name == wanted => return,
            Entry::File(..) | Entry::Link(..) | Entry::Bind(_) => {}
        }
    }
    entries.push(Entry::File(wanted.to_owned(), line.into_bytes()));
}

fn generated(spec: &CellSpec) -> Vec<Entry> {
    let file = |name: &str, text: String| Entry::File(PathBuf::from(name), text.into_bytes());
    let (user, home, shell) = (&spec.user_name, spec.home.display(), spec.shell.display());
    let (uid, gid) = (spec.uid, spec.gid);
    let mut passwd = format!("{user}:x:{uid}:{gid}:{user}:{home}:{shell}\n");
    let mut group = format!("{user}:x:{gid}:\n");
    for (name, id, home) in [("root", 0, "/root"), ("nobody", 65534, "/nonexistent")] {
        if id != uid && name != user {
            passwd.push_str(&format!(
                "{name}:x:{id}:{id}:{name}:{home}:/usr/sbin/nologin\n"
            ));
        }
    }
    for (name, id) in [("root", 0), ("nogroup", 65534)] {
        if id != gid && name != user {
            group.push_str(&format!("{name}:x:{id}:\n"));
        }
    }
    vec![
        file("passwd", passwd),
        file("group", group),
        file("hostname", format!("{HOST_NAME}\n")),
        file(
            "hosts",
            format!("127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {HOST_NAME}\n"),
        ),
        file(
            "nsswitch.conf",
            "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
             protocols: files\nservices: files\n"
                .to_owned(),
        ),
        file(
            "resolv.conf",
            "# A cell has no name service of its own.\n".to_owned(),
        ),
        Entry::Link(PathBuf::from("mtab"), PathBuf::from("/proc/mounts")),
    ]
}

/// The host name inside every cell.
pub(crate) const HOST_NAME: &str = "cell";

/// A small regular file as it is; a symbolic link as a link if it leads into a system directory.
fn copied(host: &Path, name: &Path, system_dirs: &[PathBuf]) -> Option<Entry> {
    let path = host.join(name);
    if let Some(link) = system_link(&path, name, system_dirs) {
        return Some(link);
    }
    let file = fs::File::open(&path).ok()?;
    let meta = file.metadata().ok()?;
    if !meta.is_file() || meta.len() > FILE_BYTES_MAX {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(Entry::File(name.to_owned(), bytes))
}

fn bound(host: &Path, name: &Path, system_dirs: &[PathBuf]) -> Option<Entry> {
    let path = host.join(name);
    if let Some(link) = system_link(&path, name, system_dirs) {
        return Some(link);
    }
    // Only a real directory: a link to elsewhere would take a part of the host in under this name.
    let is_directory = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_dir());
    is_directory.then(|| Entry::Bind(name.to_owned()))
}

fn system_link(path: &Path, name: &Path, system_dirs: &[PathBuf]) -> Option<Entry> {
    let target = fs::read_link(path).ok()?;
    let real = fs::canonicalize(path).ok()?;
    let inside = system_dirs.iter().any(|dir| real.starts_with(dir));
    inside.then(|| Entry::Link(name.to_owned(), target))
}

fn has_bound_prefix(name: &OsStr) -> bool {
    name.to_str()
        .is_some_and(|name| BOUND_PREFIXES.iter().any(|prefix| name.starts_with(prefix)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(entries: &[Entry], wanted: &str) -> String {
        entries
            .iter()
            .find_map(|entry| match entry {
                Entry::File(name, bytes) if name == Path::new(wanted) => {
                    Some(String::from_utf8_lossy(bytes).into_owned())
                }
                Entry::File(..) | Entry::Link(..) | Entry::Bind(..) => None,
            })
            .expect("entry")
    }

    #[test]
    fn a_generated_passwd_holds_each_id_once() {
        let mut spec = CellSpec::new(vec!["true".into()]);
        (spec.uid, spec.gid, spec.user_name) = (0, 0, "root".to_owned());
        let root = text_of(&generated(&spec), "passwd");
        assert_eq!(
            root.lines()
                .filter(|line| line.starts_with("root:"))
                .count(),
            1
        );
        (spec.uid, spec.gid, spec.user_name) = (1000, 1000, "al".to_owned());
        let al = text_of(&generated(&spec), "passwd");
        assert_eq!(al.lines().count(), 3);
    }

    #[test]
    fn a_login_shell_keeps_the_search_path() {
        let mut spec = CellSpec::new(vec!["true".into()]);
        spec.env = vec![("PATH".into(), "/usr/bin:/it's/bin".into())];
        let profile = text_of(&collect(&spec), "profile");
        assert!(
            profile.ends_with("\nPATH='/usr/bin:/it'\\''s/bin'\nexport PATH\n"),
            "{profile}"
        );
        let mut entries = vec![Entry::File("profile".into(), b"PATH=/bin".to_vec())];
        keep_search_path(&mut entries, &spec);
        assert!(text_of(&entries, "profile").starts_with("PATH=/bin\nPATH='"));
    }

    #[test]
    fn no_secret_of_the_host_is_taken_in() {
        let spec = CellSpec::new(vec!["true".into()]);
        for entry in collect(&spec) {
            let (Entry::File(name, _) | Entry::Link(name, _) | Entry::Bind(name)) = entry;
            let name = name.display().to_string();
            assert!(
                !["shadow", "gshadow", "ssl", "ssl/private", "ssh"].contains(&name.as_str()),
                "{name}"
            );
        }
    }
}
