//! Places: those that matter everywhere, and those that a policy's texts may stand for.

use std::collections::{BTreeMap, BTreeSet};

use regex_syntax::hir::{Hir, HirKind};
use valetkey_model::Resource;

use super::Scene;

/// At most so many places are made of one text.
const MAX_OF_TEXT: usize = 24;
/// Endings that are tried behind beginnings.
const MAX_ENDINGS: usize = 40;

/// Places in a home directory that are worth asking for, whatever the policy.
const IN_HOME: [&str; 22] = [
    "",
    "notes.txt",
    "Documents/letter.odt",
    "Documents/taxes/2025.pdf",
    "Documents/**",
    "Downloads/setup.sh",
    ".bashrc",
    ".profile",
    ".config/autostart/x.desktop",
    ".config/systemd/user/x.service",
    ".config/git/config",
    ".gitconfig",
    ".local/bin/tool",
    ".ssh",
    ".ssh/id_ed25519",
    ".ssh/config",
    ".ssh/authorized_keys",
    ".aws/credentials",
    ".gnupg/private-keys-v1.d/a.key",
    ".claude/settings.json",
    ".mozilla/firefox/x/logins.json",
    "**",
];
/// The same in the workspace.
const IN_WORKSPACE: [&str; 16] = [
    "",
    "**",
    "README.md",
    "src/main.rs",
    "src/**",
    "a/b/c.txt",
    ".env",
    ".git/config",
    ".git/hooks/pre-commit",
    ".git/index",
    ".vscode/tasks.json",
    "AGENTS.md",
    ".mcp.json",
    "package.json",
    "report.xlsx",
    "report.xlsm",
];
/// Elsewhere.
const ELSEWHERE: [&str; 20] = [
    "file:/",
    "file:/**",
    "file:/etc/hosts",
    "file:/etc/passwd",
    "file:/etc/shadow",
    "file:/etc/cron.d/x",
    "file:/etc/ssh/ssh_host_ed25519_key",
    "file:/srv/data/a.csv",
    "file:/srv/**",
    "file:/tmp/x",
    "file:/var/log/syslog",
    "file:/root/.ssh/id_rsa",
    "file:/usr/bin/env",
    "file:/proc/1/environ",
    "exec:/usr/bin/git",
    "exec:/bin/sh",
    "https://example.com/",
    "https://api.example.com/v1/**",
    "tcp:db.internal:5432",
    "tool:github/create_issue",
];

/// A resource to ask for, and the text that it was made from.
pub(crate) struct Place {
    pub(crate) resource: Resource,
    pub(crate) origin: Option<String>,
}

/// All of them, each once.
pub(super) fn all(texts: &BTreeSet<String>, scene: &Scene) -> Vec<Place> {
    let mut found: BTreeMap<String, Place> = BTreeMap::new();
    let mut add = |text: &str, origin: Option<&str>| {
        if let Ok(resource) = text.parse::<Resource>() {
            found.entry(resource.to_string()).or_insert(Place {
                resource,
                origin: origin.map(str::to_owned),
            });
        }
    };
    let workspace = trimmed(&scene.workspace.to_string());
    let home = home(scene);
    // What a policy speaks of comes first: a place that it names is known by that name.
    for text in texts {
        for place in of_text(text, &workspace, &home) {
            add(&place, Some(text));
        }
    }
    let endings: Vec<&String> = texts
        .iter()
        .filter(|text| is_ending(text))
        .take(MAX_ENDINGS)
        .collect();
    for folder in texts
        .iter()
        .filter(|text| is_folder(text))
        .take(MAX_ENDINGS)
    {
        for ending in &endings {
            let start = folder.trim_start_matches('/');
            add(&format!("{workspace}/{start}x{ending}"), Some(folder));
        }
    }
    for below in IN_WORKSPACE {
        add(&joined(&workspace, below), None);
    }
    for below in IN_HOME {
        add(&joined(&home, below), None);
    }
    for place in ELSEWHERE {
        add(place, None);
    }
    for resource in &scene.tree {
        add(&resource.to_string(), None);
    }
    found.into_values().collect()
}

fn trimmed(tree: &str) -> String {
    tree.trim_end_matches("/**").to_owned()
}

fn home(scene: &Scene) -> String {
    Resource::file(std::path::Path::new(&scene.user.home))
        .map_or_else(|_| "file:/home/user".to_owned(), |home| home.to_string())
}

fn joined(base: &str, below: &str) -> String {
    if below.is_empty() {
        base.to_owned()
    } else {
        format!("{base}/{below}")
    }
}

fn is_ending(text: &str) -> bool {
    text.starts_with('.') && !text.contains('/') && text.len() > 1
}

fn is_folder(text: &str) -> bool {
    text.ends_with('/') && !text.contains(':') && text.len() > 1
}

/// The places that one text may stand for.
fn of_text(text: &str, workspace: &str, home: &str) -> Vec<String> {
    if text.len() > 1024 || text.is_empty() || text.contains(char::is_whitespace) {
        return Vec::new();
    }
    let mut starts: Vec<String> = Vec::new();
    let is_regex =
        text.starts_with('^') || text.ends_with('$') || text.contains(".*") || text.contains("\\.");
    if is_regex {
        starts.extend(samples(text));
    } else {
        starts.push(text.to_owned());
    }
    let mut places = BTreeSet::new();
    for start in starts {
        for filled in filled(&start) {
            places.extend(anchored(&filled, workspace, home));
        }
    }
    places.into_iter().take(MAX_OF_TEXT).collect()
}

/// Puts a text where it can stand: with its scheme, as an absolute path, or as a name in the workspace and the home.
fn anchored(text: &str, workspace: &str, home: &str) -> Vec<String> {
    let has_scheme = [
        "file:/", "exec:/", "https://", "tcp:", "tool:", "secret:", "bus:",
    ]
    .iter()
    .any(|scheme| text.starts_with(scheme));
    let bases: Vec<String> = if has_scheme {
        vec![text.to_owned()]
    } else if text.starts_with('/') {
        vec![format!("file:{text}")]
    } else if text.starts_with('.') || text.contains('/') || text.contains('.') {
        let name = if is_ending(text) {
            format!("x{text}")
        } else {
            text.to_owned()
        };
        vec![
            format!("{workspace}/{name}"),
            format!("{home}/{name}"),
            format!("{workspace}/{text}"),
            format!("{home}/{text}"),
        ]
    } else if text.len() >= 3
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    {
        vec![format!("{workspace}/{text}"), format!("{home}/{text}")]
    } else {
        Vec::new()
    };
    let mut places = Vec::new();
    for base in bases {
        let plain = base.trim_end_matches('/');
        places.push(plain.to_owned());
        if plain.starts_with("file:/") {
            // A prefix has things behind it, near and far.
            places.push(format!("{plain}/x"));
            places.push(format!("{plain}/x/y"));
        }
    }
    places
}

/// A pattern as it is, and with its stars filled in: short, and with more parts than a single star allows.
fn filled(text: &str) -> Vec<String> {
    if !text.contains('*') {
        return vec![text.to_owned()];
    }
    let mut all = vec![text.to_owned()];
    for (deep, shallow) in [("x", "x"), ("x/y", "x"), ("x/y", "x/y"), ("x/y/z", "x")] {
        all.push(text.replace("**", deep).replace('*', shallow));
    }
    // One star at a time, with more parts than it allows: what it must not cover.
    for (at, _) in text.match_indices('*') {
        let (before, after) = text.split_at(at);
        let after = after.trim_start_matches('*');
        let before = before
            .trim_end_matches('*')
            .replace("**", "x")
            .replace('*', "x");
        let after = after.replace("**", "x").replace('*', "x");
        all.push(format!("{before}x/y{after}"));
    }
    all
}

/// Texts that a regular expression matches: each repetition as short as it may be, and once longer and across parts.
fn samples(pattern: &str) -> Vec<String> {
    let Ok(hir) = regex_syntax::Parser::new().parse(pattern) else {
        return Vec::new();
    };
    ["x", "x/y", "x/y/z", "xy", ""]
        .iter()
        .filter_map(|fill| sample(&hir, fill))
        .collect()
}

fn sample(hir: &Hir, fill: &str) -> Option<String> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(String::new()),
        HirKind::Literal(literal) => String::from_utf8(literal.0.to_vec()).ok(),
        HirKind::Class(_) => one_of(hir).map(String::from),
        HirKind::Repetition(repeated) => {
            let takes = |c: char| is_of(&repeated.sub, c);
            if repeated.max.is_none() && !fill.is_empty() && fill.chars().all(takes) {
                return Some(fill.to_owned());
            }
            let least = usize::try_from(repeated.min).unwrap_or(0).min(64);
            let times = if repeated.max.is_none() {
                least.max(1)
            } else {
                least
            };
            Some(sample(&repeated.sub, fill)?.repeat(times))
        }
        HirKind::Capture(capture) => sample(&capture.sub, fill),
        HirKind::Concat(parts) => parts.iter().map(|part| sample(part, fill)).collect(),
        HirKind::Alternation(parts) => sample(parts.first()?, fill),
    }
}

/// A character of a class, a usual one where there is one.
fn one_of(hir: &Hir) -> Option<char> {
    let usual = "xaA0-_./".chars().find(|c| is_of(hir, *c));
    usual.or_else(|| {
        let HirKind::Class(regex_syntax::hir::Class::Unicode(class)) = hir.kind() else {
            return None;
        };
        let first = class.ranges().first();
        first.map(regex_syntax::hir::ClassUnicodeRange::start)
    })
}

fn is_of(hir: &Hir, c: char) -> bool {
    if let HirKind::Class(regex_syntax::hir::Class::Unicode(class)) = hir.kind() {
        let mut ranges = class.ranges().iter();
        return ranges.any(|range| (range.start()..=range.end()).contains(&c));
    }
    let mut bytes = [0; 4];
    let c = c.encode_utf8(&mut bytes).as_bytes();
    matches!(hir.kind(), HirKind::Literal(literal) if literal.0.as_ref() == c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_are_filled_short_and_deep() {
        let all = filled("/srv/*/a.csv");
        for text in ["/srv/*/a.csv", "/srv/x/a.csv", "/srv/x/y/a.csv"] {
            assert!(all.iter().any(|one| one == text), "{text}: {all:?}");
        }
    }

    #[test]
    fn expressions_have_samples_that_they_match() {
        let all = samples(r"^/srv/[^/]+/reports/.*\.csv$");
        assert!(
            all.contains(&"/srv/x/reports/x/y.csv".to_owned()),
            "{all:?}"
        );
        assert!(all.contains(&"/srv/x/reports/x.csv".to_owned()), "{all:?}");
    }

    #[test]
    fn a_text_stands_for_places() {
        let of = |text: &str| of_text(text, "file:/w", "file:/home/a");
        assert!(of("/etc/").contains(&"file:/etc/x".to_owned()));
        assert!(of(".xlsx").contains(&"file:/w/x.xlsx".to_owned()));
        assert!(of("https://example.com/v1/*").contains(&"https://example.com/v1/x".to_owned()));
        assert!(of("a sentence for people").is_empty());
    }
}
