//! Plain words for what is asked: "change the file budget.xlsx in ~/Documents", not names of actions.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use valetkey_model::{Action, ActionSet, ExecResource, FileKind, PathPattern, Resource};

use crate::asked::Asked;
use crate::show::{SafeText, visible};

/// Who wants what kind of thing.
pub(super) fn title(asked: &Asked) -> SafeText {
    let single = asked
        .grant
        .resource
        .as_file()
        .is_some_and(PathPattern::is_literal);
    let what = match asked.grant.resource.scheme() {
        "file" if !asked.also.is_empty() => "several files",
        "file" if single => "a file or folder",
        "file" => "many files",
        "exec" => "a program",
        "https" => "a web address",
        "tcp" => "a network endpoint",
        "bus" => "a desktop service",
        "tool" => "a tool",
        "secret" => "a secret",
        _ => "something",
    };
    let verbs = verbs(asked.grant.actions, &asked.grant.resource);
    let agent = SafeText::of(&asked.agent.to_string());
    SafeText::words(format_args!("{agent} wants to {verbs} {what}"))
}

/// What would be allowed.
pub(super) fn plain(asked: &Asked, home: Option<&Path>) -> SafeText {
    let resource = &asked.grant.resource;
    let verbs = verbs(asked.grant.actions, resource);
    let object = match resource {
        Resource::File(pattern) if !asked.also.is_empty() => {
            let count = asked.also.len().saturating_add(1);
            let folder = place(pattern.literal_prefix().parent(), home);
            format!("{count} files in {folder}, each listed below")
        }
        Resource::File(pattern) if pattern.is_literal() => {
            let kind = asked.file.as_ref().map(|file| file.kind);
            one_file(&pattern.literal_prefix(), kind, home)
        }
        Resource::File(pattern) => many_files(pattern, home),
        Resource::Exec(program) => one_program(program),
        Resource::Https(_) => {
            let text = resource.to_string();
            let each = if text.contains('*') {
                "every web address that matches"
            } else {
                "the web address"
            };
            format!("{each} {}", SafeText::quoted(text.as_bytes()))
        }
        Resource::Bus(_) => {
            let text = resource.to_string();
            let name = text.strip_prefix("bus:").unwrap_or(&text);
            format!("the desktop service {}", SafeText::quoted(name.as_bytes()))
        }
        Resource::Tcp { host, port } => {
            format!("{}, port {port}", SafeText::quoted(host.as_bytes()))
        }
        Resource::Tool { server, name } => {
            let name = SafeText::quoted(name.as_bytes());
            let server = SafeText::quoted(server.as_bytes());
            format!("the tool {name} of the server {server}")
        }
        Resource::Secret(path) => format!("the secret {}", SafeText::quoted(path.as_bytes())),
        other => visible(&other.to_string()),
    };
    let except = match asked.grant.except.len() {
        0 => String::new(),
        1 => ", without the exception below".to_owned(),
        some => format!(", without the {some} exceptions below"),
    };
    SafeText::words(format_args!("{verbs} {object}{except}"))
}

/// What is done, as verbs before an object.
fn verbs(actions: ActionSet, resource: &Resource) -> String {
    let has = |action| actions.allows(action);
    let sees =
        has(Action::Read) || has(Action::List) || has(Action::Append) || has(Action::Execute);
    let all = [
        (has(Action::Read), "read"),
        (has(Action::Write), "change"),
        (
            has(Action::Append) && !has(Action::Write),
            "add to the end of",
        ),
        (has(Action::Create), "make"),
        (has(Action::Delete), "delete"),
        (has(Action::Execute), "run"),
        (has(Action::List), "list the names in"),
        (
            has(Action::Metadata) && has(Action::Write),
            "change the attributes of",
        ),
        (has(Action::Metadata) && !sees, "see the attributes of"),
        (has(Action::Connect), "connect to"),
        (has(Action::Call), "call"),
        (
            has(Action::Use),
            if matches!(resource, Resource::Secret(_)) {
                "use, without seeing it,"
            } else {
                "use"
            },
        ),
    ];
    let words: Vec<&str> = all
        .iter()
        .filter_map(|(holds, word)| holds.then_some(*word))
        .collect();
    match words.split_last() {
        // An action that has no words here yet: its name, rather than nothing.
        None => visible(&actions.to_string()),
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
    }
}

fn one_program(program: &ExecResource) -> String {
    let pinned = program.digest().map_or_else(String::new, |digest| {
        format!(", as long as its digest is {digest}")
    });
    let pattern = program.path();
    if pattern.is_literal() {
        let path = pattern.literal_prefix();
        let name = SafeText::quoted(path.as_os_str().as_bytes());
        format!("the program {name}{pinned}")
    } else {
        let pattern = SafeText::quoted(pattern.to_string().as_bytes());
        format!("every program whose path matches {pattern}{pinned}")
    }
}

fn one_file(path: &Path, kind: Option<FileKind>, home: Option<&Path>) -> String {
    let noun = match kind {
        Some(FileKind::Directory) => "the folder",
        Some(FileKind::Symlink) => "the symbolic link",
        Some(FileKind::Other) => "the device, socket or pipe",
        Some(FileKind::Absent) => "the file, which does not exist yet,",
        Some(FileKind::File) | None => "the file",
    };
    match path.file_name() {
        Some(name) => {
            let name = SafeText::quoted(name.as_bytes());
            format!("{noun} {name} in {}", place(path.parent(), home))
        }
        None => "the root folder \"/\"".to_owned(),
    }
}

fn many_files(pattern: &PathPattern, home: Option<&Path>) -> String {
    let text = pattern.to_string();
    let prefix = pattern.literal_prefix();
    if pattern.is_literal_tree() {
        return format!(
            "everything below {}, including hidden files",
            place(Some(&prefix), home)
        );
    }
    let segments = text.split('/').count();
    let literal = prefix
        .components()
        .filter(|part| matches!(part, std::path::Component::Normal(_)))
        .count();
    let name = text.rsplit('/').next().unwrap_or_default();
    // The folder is literal, and the pattern is its last segment alone.
    if literal.saturating_add(2) == segments {
        let folder = place(Some(&prefix), home);
        return if name == "*" {
            format!("every name in {folder}, including hidden ones")
        } else {
            let name = SafeText::quoted(name.as_bytes());
            format!("every name that matches {name} in {folder}")
        };
    }
    let text = SafeText::quoted(text.as_bytes());
    format!("every path that matches {text}, including hidden files")
}

/// A folder, with the person's home written `~`. Absolute paths never begin with `~`, so there is no other folder of that look.
fn place(folder: Option<&Path>, home: Option<&Path>) -> SafeText {
    let folder = folder.unwrap_or(Path::new("/"));
    let home = home.filter(|home| home.parent().is_some() && home.is_absolute());
    match home.and_then(|home| folder.strip_prefix(home).ok()) {
        Some(rest) if rest.as_os_str().is_empty() => SafeText::quoted(b"~"),
        Some(rest) => SafeText::quoted(&[b"~/", rest.as_os_str().as_bytes()].concat()),
        None => SafeText::quoted(folder.as_os_str().as_bytes()),
    }
}
