//! The agent's environment: what a program needs to run, and nothing that could hold a secret or lead out of the cell.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use valetkey_sandbox::NETWORK_PORT;

/// Variables that pass as they are: terminal, language, time zone and the like.
const PASSED: [&str; 14] = [
    "COLORTERM",
    "COLUMNS",
    "EDITOR",
    "LANG",
    "LANGUAGE",
    "LINES",
    "NO_COLOR",
    "PAGER",
    "SHELL",
    "SOURCE_DATE_EPOCH",
    "TERM",
    "TERM_PROGRAM",
    "TZ",
    "VISUAL",
];

/// Where programs are looked for when the person's own path has nothing that is in the cell.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin";

/// What the environment is made from.
pub(crate) struct Wanted<'a> {
    /// The person's own environment.
    pub(crate) own: &'a [(OsString, OsString)],
    /// The names that the person lets through beside the usual ones.
    pub(crate) further: &'a [String],
    /// What is set, whatever the person's own says.
    pub(crate) variables: &'a [(String, OsString)],
    /// Where programs are looked for first.
    pub(crate) search: &'a [PathBuf],
    pub(crate) home: &'a Path,
    pub(crate) user: &'a str,
    pub(crate) cwd: &'a Path,
    /// Whether a directory of the host is in the cell.
    pub(crate) in_cell: &'a dyn Fn(&Path) -> bool,
}

/// The agent's whole environment.
pub(crate) fn build(wanted: &Wanted<'_>) -> Vec<(OsString, OsString)> {
    let value = |name: &str| {
        wanted
            .own
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.clone())
    };
    let mut env: Vec<(OsString, OsString)> = wanted
        .own
        .iter()
        .filter(|(name, _)| passes(name, wanted.further))
        .cloned()
        .collect();
    let mut set = |name: &str, value: OsString| {
        env.retain(|(had, _)| had != name);
        env.push((name.into(), value));
    };
    let path = search_path(wanted.search, value("PATH"), wanted.in_cell);
    for (name, value) in wanted.variables {
        set(name, value.clone());
    }
    set("PATH", path);
    set("HOME", wanted.home.into());
    set("USER", wanted.user.into());
    set("LOGNAME", wanted.user.into());
    set("PWD", wanted.cwd.into());
    set("TMPDIR", "/tmp".into());
    set("VALETKEY", "/run/valetkey".into());
    // Whatever takes notice of these goes out by the network door; whatever does not goes nowhere.
    for (name, value) in proxy() {
        set(name, value.into());
    }
    env
}

/// How programs are told of the network door. The cell's own loopback interface needs none.
fn proxy() -> [(&'static str, String); 9] {
    const DIRECT: &str = "localhost,127.0.0.1,::1";
    let http = format!("http://127.0.0.1:{NETWORK_PORT}");
    [
        ("HTTP_PROXY", http.clone()),
        ("http_proxy", http.clone()),
        ("HTTPS_PROXY", http.clone()),
        ("https_proxy", http.clone()),
        // Not as SOCKS: Python's HTTP clients fail whole where the package for it is not installed.
        ("ALL_PROXY", http.clone()),
        ("all_proxy", http),
        ("NO_PROXY", DIRECT.to_owned()),
        ("no_proxy", DIRECT.to_owned()),
        ("NODE_USE_ENV_PROXY", "1".to_owned()),
    ]
}

/// The person's own search path, as far as it leads to places that are in the cell: each other place would only cost a question. The
/// program that asks comes last, so that it hides nothing of the person's.
fn search_path(
    first: &[PathBuf],
    own: Option<OsString>,
    in_cell: &dyn Fn(&Path) -> bool,
) -> OsString {
    let own = own.filter(|own| !own.is_empty());
    let own = own.unwrap_or_else(|| DEFAULT_PATH.into());
    let mut kept: Vec<_> = std::env::split_paths(&own)
        .filter(|dir| dir.is_absolute() && in_cell(dir))
        .collect();
    if kept.is_empty() {
        kept = std::env::split_paths(DEFAULT_PATH).collect();
    }
    kept.splice(0..0, first.iter().cloned());
    let mut path = std::env::join_paths(kept).unwrap_or_else(|_| DEFAULT_PATH.into());
    path.push(":/run/valetkey/bin");
    path
}

fn passes(name: &OsStr, further: &[String]) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    PASSED.contains(&name) || name.starts_with("LC_") || further.iter().any(|wanted| wanted == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_stay_out_and_what_is_wanted_passes() {
        let own: Vec<(OsString, OsString)> = [
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("SSH_AUTH_SOCK", "/tmp/a"),
            ("DBUS_SESSION_BUS_ADDRESS", "unix:path=/run/bus"),
            ("LD_PRELOAD", "/tmp/evil.so"),
            ("LANG", "C.UTF-8"),
            ("LC_ALL", "C"),
            ("CI", "true"),
            ("PATH", "/opt/x:relative:/home/a/bin:/usr/bin"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec();
        let further = ["CI".to_owned()];
        let wanted = Wanted {
            own: &own,
            further: &further,
            variables: &[("CLAUDE_CONFIG_DIR".to_owned(), "/x".into())],
            search: &[PathBuf::from("/home/a/node/bin")],
            home: Path::new("/home/a"),
            user: "a",
            cwd: Path::new("/w"),
            in_cell: &|dir| !dir.starts_with("/home"),
        };
        let env = build(&wanted);
        let names: Vec<_> = env.iter().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "LANG",
                "LC_ALL",
                "CI",
                "CLAUDE_CONFIG_DIR",
                "PATH",
                "HOME",
                "USER",
                "LOGNAME",
                "PWD",
                "TMPDIR",
                "VALETKEY",
                "HTTP_PROXY",
                "http_proxy",
                "HTTPS_PROXY",
                "https_proxy",
                "ALL_PROXY",
                "all_proxy",
                "NO_PROXY",
                "no_proxy",
                "NODE_USE_ENV_PROXY"
            ]
        );
        assert!(env.contains(&(
            "PATH".into(),
            "/home/a/node/bin:/opt/x:/usr/bin:/run/valetkey/bin".into()
        )));
    }
}
