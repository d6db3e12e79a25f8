//! Grants as people write them on the command line: `PATH=ACTIONS` or `RESOURCE=ACTIONS`.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};
use valetkey_api::StartGrant;
use valetkey_model::{Action, ActionSet, Constraints, Grant, PathPattern, Resource};

/// Reads what [`parse`] reads, with a time and limits after it: `~/notes=read,ttl=10m,max_bytes=4096`.
pub(crate) fn parse_start(text: &str) -> Result<StartGrant, String> {
    let (mut plain, mut ttl_seconds, mut limits) = (text, None, Map::new());
    while let Some((before, option)) = plain.rsplit_once(',') {
        let Some((name, value)) = option.split_once('=') else {
            break;
        };
        let twice = if name == "ttl" {
            let time = crate::args::life(value)?;
            ttl_seconds.replace(time.as_secs().max(1)).is_some()
        } else {
            add_limit(&mut limits, name, value)
        };
        if twice {
            return Err(format!("`{name}` is given twice"));
        }
        plain = before;
    }
    let mut grant = parse(plain)?;
    grant.constraints = limits_of(limits)?;
    Ok(StartGrant { grant, ttl_seconds })
}

/// Adds a limit as text; whether it was there already. Its value is JSON, plain text, or words joined by `+` where a limit lists words.
pub(crate) fn add_limit(limits: &mut Map<String, Value>, name: &str, value: &str) -> bool {
    let value = serde_json::from_str(value).unwrap_or_else(|_| match name {
        // What lists words is written `redact=secrets+pii`: commas part the limits.
        "redact" => value.split('+').map(Value::from).collect(),
        _ => Value::from(value),
    });
    limits.insert(name.to_owned(), value).is_some()
}

/// The limits as constraints: members of the closed set, each of its own form.
pub(crate) fn limits_of(limits: Map<String, Value>) -> Result<Constraints, String> {
    serde_json::from_value(Value::Object(limits)).map_err(|error| error.to_string())
}

/// Reads `~/notes=read`, `./src/**=read,write` or `file:/srv/data/**=read,list,ttl=…`.
///
/// A directory that is named plainly is granted as the tree below it. Reading a tree includes seeing and listing it.
pub(crate) fn parse(text: &str) -> Result<Grant, String> {
    let (what, actions) = text
        .rsplit_once('=')
        .ok_or("write it as RESOURCE=ACTIONS, for example ~/notes=read")?;
    let mut actions: ActionSet = actions
        .parse()
        .map_err(|error: valetkey_model::ParseActionError| error.to_string())?;
    actions = actions.union(ActionSet::of(&[Action::Metadata]));
    if actions.allows(Action::Read) {
        actions = actions.union(ActionSet::of(&[Action::List]));
    }
    Ok(Grant {
        resource: resource(what)?,
        actions,
        constraints: Constraints::default(),
        except: Vec::new(),
    })
}

/// Reads `~/notes`, `./src/**` or `file:/srv/data/**`. A directory that is named plainly stands for the tree below it.
pub(crate) fn resource(text: &str) -> Result<Resource, String> {
    if text.starts_with('/') || text.starts_with('~') || text.starts_with('.') {
        return path(text);
    }
    text.parse()
        .map_err(|error: valetkey_model::ParseResourceError| error.to_string())
}

fn path(text: &str) -> Result<Resource, String> {
    let tree = text.strip_suffix("/**");
    let plain = tree.unwrap_or(text);
    if plain.contains('*') {
        return Err("a pattern is written as a resource: file:/absolute/path/*.txt".to_owned());
    }
    let absolute = absolute(plain)?;
    // What a link leads to is what is granted: the view never follows links of the host.
    let real = std::fs::canonicalize(&absolute).unwrap_or(absolute);
    let pattern = if tree.is_some() || real.is_dir() {
        PathPattern::tree(&real)
    } else {
        PathPattern::literal(&real)
    };
    pattern
        .map(Resource::File)
        .map_err(|error| error.to_string())
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let named = match text
        .strip_prefix("~/")
        .or_else(|| (text == "~").then_some(""))
    {
        Some(rest) => Path::new(&std::env::var_os("HOME").ok_or("HOME is not set")?).join(rest),
        None => std::env::current_dir()
            .map_err(|error| error.to_string())?
            .join(text),
    };
    // Only `.` goes away here; a `..` would mean different things before and after links are followed.
    if named.components().any(|part| part == Component::ParentDir) && !named.exists() {
        return Err(format!("{} does not exist", named.display()));
    }
    Ok(named.components().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_and_limits_come_after_the_actions() {
        let start =
            parse_start("/a/b,c=read,append,ttl=10m,max_bytes=4096,single_use=true").unwrap();
        assert_eq!(start.ttl_seconds, Some(600));
        assert_eq!(start.grant.resource, "file:/a/b,c".parse().unwrap());
        assert_eq!(start.grant.constraints.max_bytes, Some(4096));
        assert!(start.grant.constraints.is_single_use());
        assert_eq!(
            parse_start("/a=read").unwrap(),
            parse("/a=read").unwrap().into()
        );
        for wrong in [
            "/a=read,ttl=long",
            "/a=read,ttl=1m,ttl=2m",
            "/a=read,max_fun=1",
            "/a=read,max_bytes=many",
            "/a,ttl=1m",
            "ttl=1m",
        ] {
            assert!(parse_start(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn people_write_paths_and_resources() {
        let dir = tempfile::tempdir().unwrap();
        let real = std::fs::canonicalize(dir.path()).unwrap();
        let grant = parse(&format!("{}=read", real.display())).unwrap();
        assert_eq!(grant.resource, Resource::tree(&real).unwrap());
        assert_eq!(grant.actions, "read,list,metadata".parse().unwrap());
        let file = parse(&format!("{}/a b=append", real.display())).unwrap();
        assert_eq!(file.resource, Resource::file(&real.join("a b")).unwrap());
        assert!(parse("file:/srv/*.csv=read").is_ok());
        for text in ["/etc", "/etc=fly", "/a/*.txt=read", "nothing=read", "=read"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
