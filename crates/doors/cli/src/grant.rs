//! Grants as people write them on the command line: `PATH=ACTIONS` or `RESOURCE=ACTIONS`.

use std::path::{Component, Path, PathBuf};

use valetkey_model::{Action, ActionSet, Constraints, Grant, PathPattern, Resource};

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
    let resource = if what.starts_with('/') || what.starts_with('~') || what.starts_with('.') {
        path(what)?
    } else {
        what.parse()
            .map_err(|error: valetkey_model::ParseResourceError| error.to_string())?
    };
    Ok(Grant {
        resource,
        actions,
        constraints: Constraints::default(),
        except: Vec::new(),
    })
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
