//! What is known of an agent: its own files, its servers, its variables. Data in TOML, built in from `policies/agents/` or of the person's own.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use serde::Deserialize;

use crate::fail::{Fail, Status};
use crate::home;

/// The file of a profile, in a directory of its name.
pub(crate) const FILE: &str = "profile.toml";
/// The directory of a person's own profiles, below that of their configuration, which no view shows.
pub(crate) const OWN: &str = "agents";
/// A profile is read whole; one that is longer is none.
const MAX_BYTES: u64 = 256 << 10;
/// Variables that are the cell's own, or decide what code runs: no profile sets or passes them.
const NOT_TO_SET: [&str; 11] = [
    "ALL_PROXY",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LOGNAME",
    "NODE_OPTIONS",
    "NO_PROXY",
    "PATH",
    "PWD",
    "TMPDIR",
    "USER",
];

macro_rules! built_in {
    ($($name:literal),+) => {
        &[$((
            $name,
            include_str!(concat!("../../../../../policies/agents/", $name, "/profile.toml")),
        )),+]
    };
}

/// The profiles that come with Valetkey.
pub(crate) const BUILT_IN: &[(&str, &str)] = built_in!(
    "claude-code",
    "codex",
    "copilot",
    "gemini",
    "mini-swe-agent",
    "opencode",
    "qwen-code"
);

/// One agent.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Profile {
    /// What it is, in one line.
    pub(crate) summary: String,
    /// Names of its command by which it is recognised.
    #[serde(default)]
    pub(crate) programs: Vec<String>,
    /// The npm packages that it is made of, beside each other; without any, all of the directory in which its package lies.
    #[serde(default)]
    pub(crate) packages: Vec<String>,
    /// Its own directory in the cell.
    #[serde(default)]
    pub(crate) own: Own,
    /// What it is signed in with. Stays outside, unless the person lets it in.
    #[serde(default)]
    pub(crate) login: Login,
    /// Its environment.
    #[serde(default)]
    pub(crate) environment: Environment,
    /// Where it connects to.
    #[serde(default)]
    pub(crate) network: Network,
    /// Further files of the host.
    #[serde(default)]
    pub(crate) files: Files,
    /// Where it keeps its MCP servers and instructions.
    pub(crate) install: Option<Install>,
}

/// A directory of the session's own, in the cell's memory, in place of the agent's directories in the home.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Own {
    /// Variables that lead to it, with what they lead to below it.
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, String>,
    /// Files that are copied into it as the session begins.
    #[serde(default)]
    pub(crate) copy: Vec<Placed>,
    /// Directories that are linked into it: they are read where they are, and a change there is asked for.
    #[serde(default)]
    pub(crate) link: Vec<Placed>,
}

/// A file or directory of the home, and its place below the agent's own directory.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Placed {
    /// Below the home.
    pub(crate) from: String,
    /// Below the agent's own directory.
    pub(crate) to: String,
}

/// Credentials of the agent itself.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Login {
    /// Files, copied as those of [`Own`].
    #[serde(default)]
    pub(crate) copy: Vec<Placed>,
    /// Variables.
    #[serde(default)]
    pub(crate) pass: Vec<String>,
}

/// Variables of the agent.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Environment {
    /// Those of the person's that pass.
    #[serde(default)]
    pub(crate) pass: Vec<String>,
    /// Those that are set.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, String>,
    /// Those of the person's that hold the URL of a server: they pass, and the server is one of the agent's.
    #[serde(default)]
    pub(crate) servers: Vec<String>,
}

/// Hosts.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    /// `HOST:PORT` each.
    #[serde(default)]
    pub(crate) hosts: Vec<String>,
}

/// Files of the host beside the workspace, as on the command line: `~/notes`, `/srv/data`.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Files {
    /// Read, listed and run.
    #[serde(default)]
    pub(crate) read: Vec<String>,
    /// Read and changed.
    #[serde(default)]
    pub(crate) write: Vec<String>,
}

/// What `valetkey install` changes, below the home.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct Install {
    /// Its settings, as TOML by the name of the file, otherwise as JSON.
    pub(crate) settings: String,
    /// The member that holds MCP servers.
    pub(crate) under: String,
    /// The server, as the agent writes one.
    pub(crate) server: serde_json::Value,
    /// Instructions that it reads in every session.
    pub(crate) instructions: Option<String>,
}

impl Profile {
    /// Reads a profile. Whatever is not understood makes it none.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let profile: Self = toml_edit::de::from_str(text)
            .map_err(|error| error.to_string().trim_end().to_owned())?;
        let placed = profile.own.copy.iter().chain(&profile.own.link);
        let ends = placed
            .chain(&profile.login.copy)
            .flat_map(|placed| [&placed.from, &placed.to]);
        let installed = profile
            .install
            .iter()
            .flat_map(|install| std::iter::once(&install.settings).chain(&install.instructions));
        let ends = ends.chain(installed);
        let below = profile.own.variables.values();
        for path in ends.chain(below.filter(|path| *path != ".")) {
            let mut parts = Path::new(path).components();
            if path.is_empty() || !parts.all(|part| matches!(part, Component::Normal(_))) {
                return Err(format!("`{path}` is not a plain path below a directory"));
            }
        }
        let environment = &profile.environment;
        let names = environment.pass.iter().chain(environment.set.keys());
        let names = names.chain(&environment.servers).chain(&profile.login.pass);
        for name in names.chain(profile.own.variables.keys()) {
            let upper = name.to_ascii_uppercase();
            let is_name = !name.is_empty()
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let is_kept = NOT_TO_SET.contains(&upper.as_str())
                || upper.starts_with("LD_")
                || upper.starts_with("VALETKEY");
            if !is_name || is_kept {
                return Err(format!(
                    "`{name}` is no variable that a profile may set or pass"
                ));
            }
        }
        Ok(profile)
    }
}

/// A profile with its name and where it comes from.
#[derive(Debug)]
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) profile: Profile,
    pub(crate) text: String,
    /// Whether it is the person's own.
    pub(crate) is_own: bool,
}

/// The profile of this name: the person's own, or else the built-in one. One that is there and does not read is no profile.
pub(crate) fn named(name: &str) -> Result<Named, Fail> {
    let unknown = || {
        let known: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
        Fail::new(Status::Usage, format!("there is no profile `{name}`")).hinted(format!(
            "there are: {}; `valetkey profile learn` makes another",
            known.join(", ")
        ))
    };
    let is_name =
        valetkey_model::AgentId::sanitised(name).as_str() == name && !name.starts_with('.');
    if !is_name {
        return Err(unknown());
    }
    let file = home::paths()?.config.join(OWN).join(name).join(FILE);
    let (text, is_own) = match read(&file) {
        Ok(text) => (text, true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let found = BUILT_IN.iter().find(|(built_in, _)| *built_in == name);
            (found.ok_or_else(unknown)?.1.to_owned(), false)
        }
        Err(error) => {
            let message = format!("cannot read {}: {error}", file.display());
            return Err(Fail::new(Status::Failed, message));
        }
    };
    let place = if is_own {
        file.display().to_string()
    } else {
        format!("the profile {name}")
    };
    let profile =
        Profile::parse(&text).map_err(|why| Fail::new(Status::Usage, format!("{place}: {why}")))?;
    Ok(Named {
        name: name.to_owned(),
        profile,
        text,
        is_own,
    })
}

/// The names of all profiles.
pub(crate) fn names() -> Result<Vec<String>, Fail> {
    let mut names: Vec<String> = BUILT_IN
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    let own = home::paths()?.config.join(OWN);
    if let Ok(entries) = std::fs::read_dir(own) {
        let there = entries
            .flatten()
            .filter(|entry| entry.path().join(FILE).is_file());
        names.extend(there.filter_map(|entry| entry.file_name().into_string().ok()));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// The profile of the agent that a command of this name starts.
pub(crate) fn of_program(program: &str) -> Result<Option<Named>, Fail> {
    for name in names()? {
        let named = named(&name)?;
        if named.profile.programs.iter().any(|known| known == program) {
            return Ok(Some(named));
        }
    }
    Ok(None)
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let mut file = std::io::Read::take(std::fs::File::open(file)?, MAX_BYTES);
    std::io::Read::read_to_string(&mut file, &mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_reads_and_recognises_its_command() {
        for (name, text) in BUILT_IN {
            let profile = Profile::parse(text).unwrap_or_else(|why| panic!("{name}: {why}"));
            assert!(
                !profile.summary.is_empty() && !profile.programs.is_empty(),
                "{name}"
            );
            assert!(text.starts_with("# "), "{name} opens with what it is for");
            // A server of the agent's is named to the port, and what it is signed in with is not among what comes along anyway.
            for host in &profile.network.hosts {
                assert!(
                    format!("tcp:{host}")
                        .parse::<valetkey_model::Resource>()
                        .is_ok(),
                    "{name}: {host}"
                );
            }
            for placed in &profile.login.copy {
                assert!(!profile.own.copy.contains(placed), "{name}: {placed:?}");
            }
        }
    }

    #[test]
    fn what_is_not_understood_or_reaches_out_is_no_profile() {
        let parse =
            |more: &str| Profile::parse(&format!("summary = 'x'\nprograms = ['x']\n{more}"));
        assert!(parse("").is_ok());
        for wrong in [
            "mode = 'open'",
            "[own]\ncopy = [{ from = '../x', to = 'x' }]",
            "[own]\ncopy = [{ from = '/etc/shadow', to = 'x' }]",
            "[own]\nlink = [{ from = 'x', to = '../../x' }]",
            "[login]\ncopy = [{ from = 'a/../../b', to = 'x' }]",
            "[own]\nvariables = { PATH = '.' }",
            "[own]\nvariables = { X = '/etc' }",
            "[environment]\nset = { LD_PRELOAD = '/tmp/x.so' }",
            "[environment]\npass = ['NODE_OPTIONS']",
            "[environment]\nset = { http_proxy = 'x' }",
            "[environment]\nset = { 'A=B' = 'x' }",
            "[environment]\nservers = ['VALETKEY_HOME']",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
