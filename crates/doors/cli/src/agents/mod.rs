//! Agents as they are: from a command to its profile, and from that to what a session gives it.

pub(crate) mod profile;
pub(crate) mod program;
pub(crate) mod start;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use valetkey_api::StartGrant;
use valetkey_model::{Action, ActionSet, Constraints, Grant, Resource};

use crate::fail::{Fail, Status};
use crate::grant;
use profile::{Named, Placed, Profile};
use program::Program;
use start::Place;

/// The name that stands for no profile at all.
const NONE: &str = "none";
/// Reading a tree includes seeing and listing it.
const LOOKING: ActionSet = ActionSet::of(&[Action::Read, Action::List, Action::Metadata]);
const RUNNING: ActionSet = ActionSet::of(&[
    Action::Read,
    Action::List,
    Action::Metadata,
    Action::Execute,
]);
const CHANGING: ActionSet = ActionSet::of(&[
    Action::Read,
    Action::List,
    Action::Metadata,
    Action::Write,
    Action::Append,
    Action::Create,
    Action::Delete,
]);
const CONNECT: ActionSet = ActionSet::of(&[Action::Connect]);

/// What a session has for the sake of its agent.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    /// The profile's name, where there is one.
    pub(crate) name: Option<String>,
    /// The command as it is executed.
    pub(crate) command: Vec<OsString>,
    /// Words before it: what prepares its place in the cell.
    pub(crate) starter: Vec<OsString>,
    pub(crate) grants: Vec<StartGrant>,
    /// Variables of the person's that pass.
    pub(crate) passed: Vec<String>,
    /// Variables that are set.
    pub(crate) variables: Vec<(String, OsString)>,
    pub(crate) search: Vec<PathBuf>,
}

/// What the agent of a command is given: that of the profile that is named, or that its command is known by.
pub(crate) fn prepare(
    agent: Option<&str>,
    with_login: bool,
    command: Vec<OsString>,
) -> Result<Prepared, Fail> {
    let named = match (agent, command.first()) {
        (Some(NONE), _) | (None, None) => None,
        (Some(name), _) => Some(profile::named(name)?),
        (None, Some(first)) => {
            let name = Path::new(first)
                .file_name()
                .unwrap_or_default()
                .to_string_lossy();
            profile::of_program(&name)?
        }
    };
    let Some(Named { profile, name, .. }) = named else {
        if with_login {
            return Err(Fail::new(
                Status::Usage,
                "no agent is known here whose login could be given",
            )
            .hinted("name its profile with --agent"));
        }
        return Ok(Prepared {
            command,
            ..Prepared::default()
        });
    };
    let first = command.first().cloned().unwrap_or_default();
    let program = program::find(&first, &profile.packages)?;
    of_profile(&name, &profile, &program, with_login, command)
}

fn of_profile(
    name: &str,
    profile: &Profile,
    program: &Program,
    with_login: bool,
    command: Vec<OsString>,
) -> Result<Prepared, Fail> {
    let mut prepared = Prepared {
        name: Some(name.to_owned()),
        command: program::real_command(program, command),
        search: program.search.clone(),
        passed: profile.environment.pass.clone(),
        ..Prepared::default()
    };
    for tree in &program.trees {
        prepared.grants.push(of_path(tree, RUNNING)?);
    }
    for host in &profile.network.hosts {
        prepared.grants.push(of_host(host)?);
    }
    for variable in &profile.environment.servers {
        if let Some(value) = std::env::var(variable)
            .ok()
            .filter(|value| !value.is_empty())
        {
            let host = host_of(&value).ok_or_else(|| {
                let message = format!(
                    "{variable} is `{value}`, which names no host that could be connected to"
                );
                Fail::new(Status::Usage, message)
            })?;
            prepared.grants.push(of_host(&host)?);
            prepared.passed.push(variable.clone());
        }
    }
    for (what, actions) in [
        (&profile.files.read, RUNNING),
        (&profile.files.write, CHANGING),
    ] {
        for what in what {
            let resource = grant::resource(what).map_err(|why| {
                Fail::new(
                    Status::Usage,
                    format!("the profile {name}: `{what}`: {why}"),
                )
            })?;
            prepared.grants.push(granted(resource, actions));
        }
    }
    let set = profile.environment.set.iter();
    prepared
        .variables
        .extend(set.map(|(name, value)| (name.clone(), value.into())));
    if with_login {
        prepared.passed.extend(profile.login.pass.iter().cloned());
    }
    add_place(&mut prepared, profile, with_login)?;
    prepared
        .grants
        .sort_by_key(|start| start.grant.resource.to_string());
    prepared.grants.dedup();
    Ok(prepared)
}

/// The agent's own directory in the cell, with what comes into it.
fn add_place(prepared: &mut Prepared, profile: &Profile, with_login: bool) -> Result<(), Fail> {
    if profile.own.variables.is_empty() {
        return Ok(());
    }
    let own = PathBuf::from(format!(
        "/run/user/{}/agent",
        rustix::process::geteuid().as_raw()
    ));
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.ok_or_else(|| Fail::new(Status::Failed, "HOME is not set"))?;
    let mut place = Place {
        own: own.clone(),
        ..Place::default()
    };
    for (name, below) in &profile.own.variables {
        let directory = if below == "." {
            own.clone()
        } else {
            own.join(below)
        };
        prepared.variables.push((name.clone(), directory.into()));
        place.directories.push(below.into());
    }
    let login = profile.login.copy.iter().filter(|_| with_login);
    for placed in profile.own.copy.iter().chain(login) {
        if let Some((from, to)) = real(&home, placed, Path::is_file) {
            prepared.grants.push(of_path(&from, LOOKING)?);
            place.copy.push((from, to));
        }
    }
    for placed in &profile.own.link {
        if let Some((from, to)) = real(&home, placed, Path::is_dir) {
            prepared.grants.push(of_path(&from, RUNNING)?);
            place.link.push((from, to));
        }
    }
    let words = serde_json::to_string(&place).map_err(|error| Fail::new(Status::Failed, error))?;
    prepared.starter = ["/run/valetkey/bin/valetkey", "cell-start", &words, "--"]
        .map(OsString::from)
        .to_vec();
    Ok(())
}

/// Where something of the home really lies, if it is there: the view never follows links of the host.
fn real(home: &Path, placed: &Placed, is_it: fn(&Path) -> bool) -> Option<(PathBuf, PathBuf)> {
    let from = std::fs::canonicalize(home.join(&placed.from)).ok()?;
    is_it(&from).then(|| (from, PathBuf::from(&placed.to)))
}

fn of_path(path: &Path, actions: ActionSet) -> Result<StartGrant, Fail> {
    let resource = if path.is_dir() {
        Resource::tree(path)
    } else {
        Resource::file(path)
    };
    let resource = resource
        .map_err(|error| Fail::new(Status::Usage, format!("{}: {error}", path.display())))?;
    Ok(granted(resource, actions))
}

fn of_host(host: &str) -> Result<StartGrant, Fail> {
    let resource: Resource = format!("tcp:{host}").parse().map_err(|error| {
        Fail::new(
            Status::Usage,
            format!("`{host}` is no host and port: {error}"),
        )
    })?;
    Ok(granted(resource, CONNECT))
}

fn granted(resource: Resource, actions: ActionSet) -> StartGrant {
    StartGrant {
        grant: Grant {
            resource,
            actions,
            constraints: Constraints::default(),
            except: Vec::new(),
        },
        ttl_seconds: None,
    }
}

/// `HOST:PORT` of a URL. Names in it that are no plain host are none.
fn host_of(url: &str) -> Option<String> {
    let (rest, port) = match url.split_once("://")? {
        ("https", rest) => (rest, 443),
        ("http", rest) => (rest, 80),
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next()?.to_ascii_lowercase();
    if authority.contains('@') || authority.is_empty() {
        return None;
    }
    let authority = match authority.strip_prefix("localhost") {
        // By its number, as the network door knows this machine.
        Some(port) if port.is_empty() || port.starts_with(':') => format!("127.0.0.1{port}"),
        _ => authority,
    };
    let has_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| !port.ends_with(']'));
    Some(if has_port {
        authority
    } else {
        format!("{authority}:{port}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_in_a_url_and_nowhere_else() {
        for (url, host) in [
            ("https://api.example.com/v1", Some("api.example.com:443")),
            ("http://127.0.0.1:8080", Some("127.0.0.1:8080")),
            ("http://localhost:11434/v1", Some("127.0.0.1:11434")),
            ("http://[::1]/x", Some("[::1]:80")),
            ("https://API.example.com?x", Some("api.example.com:443")),
            ("https://api.example.com@evil.example/", None),
            ("api.example.com", None),
            ("ftp://api.example.com", None),
            ("https:///x", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
        assert!(of_host("evil.example/443:1").is_err());
    }
}
