//! `valetkey policy eval`: one request decided, and why so and not otherwise.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use rustix::process::{getgroups, getuid};
use serde_json::{Value, json};
use valetkey_approval::SafeText;
use valetkey_model::{
    Action, ActionSet, AgentFacts, AgentId, Constraints, ContextFacts, Effect, PolicyInput,
    RequestFacts, RequestId, Resource, ResourceFacts, SessionFacts, SessionId, SubjectFacts,
    Timestamp, UserFacts,
};
use valetkey_policy::tools::{DefinitionSeen, Explained, Layer, RuleSeen, explain};

use super::source;
use crate::fail::{Fail, Status};
use crate::out::{self, Style, styled};
use crate::policy_args::EvalArgs;

/// How far a failed condition is followed into the rules that it names.
const DEPTH: usize = 4;
/// How much of a value is shown.
const SHOWN: usize = 160;

pub(super) fn command(args: &EvalArgs) -> Result<u8, Fail> {
    let bundle = source::load(&args.policy)?;
    let input = input(args)?;
    let explained = explain(&bundle, &input).map_err(|error| Fail::new(Status::Usage, error))?;
    if args.json {
        out::json(&json!({"input": input.with_derived_facts(), "explained": explained}));
    } else {
        show(&explained);
    }
    Ok(match explained.decision.effect {
        Effect::Allow => 0,
        Effect::Ask => 1,
        Effect::Deny => 3,
    })
}

fn input(args: &EvalArgs) -> Result<PolicyInput, Fail> {
    if let Some(file) = &args.input {
        return read_input(file);
    }
    let usage = |why: &dyn std::fmt::Display| Fail::new(Status::Usage, why);
    let file = |path: &Path| {
        let path = std::path::absolute(path).map_err(|error| usage(&error))?;
        Resource::file(&path).map_err(|error| usage(&error))
    };
    let (resource, actions) = if let Some(path) = &args.read {
        (file(path)?, ActionSet::of(&[Action::Read]))
    } else if let Some(path) = &args.write {
        (file(path)?, ActionSet::of(&[Action::Write]))
    } else if let Some(resource) = &args.resource {
        let actions = args.actions.unwrap_or(ActionSet::of(&[Action::Read]));
        (resource.clone(), actions)
    } else {
        return Err(usage(&"nothing is asked for")
            .hinted("give --read PATH, --write PATH, --resource RESOURCE or --input FILE"));
    };
    let workspace = match &args.workspace {
        Some(dir) => dir.clone(),
        None => std::env::current_dir().map_err(|error| usage(&error))?,
    };
    let workspace = std::path::absolute(workspace).map_err(|error| usage(&error))?;
    let time = now();
    let mut facts = ResourceFacts::of(&resource);
    look(&resource, &mut facts);
    Ok(PolicyInput {
        request: RequestFacts {
            id: RequestId::new(time, [0; 10]),
            resource,
            actions,
            constraints: Constraints::default(),
            justification: None,
            granted_by_person: None,
        },
        subject: SubjectFacts {
            user: user(),
            agent: AgentFacts {
                id: AgentId::sanitised(&args.agent),
                digest: None,
                attested: false,
            },
            session: SessionFacts {
                id: SessionId::new(time, [0; 10]),
                purpose: None,
                workspace: Resource::tree(&workspace).ok(),
                grants: Vec::new(),
                age_seconds: 0,
                labels: args.labels.clone(),
            },
        },
        resource: facts,
        context: ContextFacts {
            time,
            platform: std::env::consts::OS.to_owned(),
            requests_last_minute: 1,
            requests_last_hour: 1,
            protected: Vec::new(),
        },
    }
    .with_derived_facts())
}

fn read_input(file: &Path) -> Result<PolicyInput, Fail> {
    let fail = |error: &dyn std::fmt::Display| {
        Fail::new(Status::Usage, format!("cannot read the input {}: {error}", file.display()))
            .hinted("its form is schemas/policy-input.json; `valetkey policy eval --read PATH --json` prints one")
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| fail(&error))?;
    } else {
        text = std::fs::read_to_string(file).map_err(|error| fail(&error))?;
    }
    let input: PolicyInput = serde_json::from_str(&text).map_err(|error| fail(&error))?;
    Ok(input.with_derived_facts())
}

/// The person at this machine, as far as it matters to a policy.
pub(super) fn user() -> UserFacts {
    let uid = getuid().as_raw();
    let name = std::env::var("USER").unwrap_or_else(|_| uid.to_string());
    let home = std::env::var("HOME").unwrap_or_else(|_| "/".to_owned());
    let groups = getgroups().unwrap_or_default();
    UserFacts {
        uid,
        name,
        home,
        home_resource: None,
        groups: groups.iter().map(|group| group.as_raw()).collect(),
    }
}

/// What is there now, as a guard would see it.
fn look(resource: &Resource, facts: &mut ResourceFacts) {
    use std::os::unix::fs::MetadataExt as _;
    use valetkey_model::FileKind;
    let Some(pattern) = resource.as_file().filter(|pattern| pattern.is_literal()) else {
        return;
    };
    let path: PathBuf = pattern.literal_prefix().to_path_buf();
    let Ok(meta) = std::fs::symlink_metadata(&path) else {
        facts.kind = Some(FileKind::Absent);
        return;
    };
    let kind = meta.file_type();
    facts.kind = Some(match () {
        () if kind.is_file() => FileKind::File,
        () if kind.is_dir() => FileKind::Directory,
        () if kind.is_symlink() => FileKind::Symlink,
        () => FileKind::Other,
    });
    facts.size = Some(meta.len());
    facts.owner = Some(meta.uid());
    facts.mode = Some(meta.mode() & 0o7777);
    facts.links = Some(meta.nlink());
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    });
    Timestamp::from_unix_ms(ms)
}

fn show(explained: &Explained) {
    let decision = &explained.decision;
    let (style, word) = match decision.effect {
        Effect::Allow => (Style::Green, "allow"),
        Effect::Ask => (Style::Bold, "ask"),
        Effect::Deny => (Style::Red, "deny"),
    };
    out::line(&format!(
        "{} by {}",
        styled(style, word),
        SafeText::of(&decision.policy_id)
    ));
    for reason in &decision.reasons {
        out::line(&format!("  {}", SafeText::prose(reason)));
    }
    for fault in &explained.faults {
        out::line(&format!(
            "  fault: {}",
            SafeText::prose(&fault.replace('\n', " "))
        ));
    }
    for layer in &explained.layers {
        show_layer(layer);
    }
}

fn show_layer(layer: &Layer) {
    let said = layer
        .said
        .as_ref()
        .and_then(|said| said.get("effect"))
        .map_or("undefined".to_owned(), short);
    out::line(&format!("{}: {}", styled(Style::Bold, layer.name), said));
    let by_name: BTreeMap<&str, &RuleSeen> = layer
        .rules
        .iter()
        .map(|rule| (rule.rule.as_str(), rule))
        .collect();
    let entry = layer.entry.trim_start_matches("data.");
    if let Some(rule) = by_name.get(entry) {
        let mut told = vec![entry];
        alternatives(rule, &by_name, 1, &mut told);
    }
    let values = layer
        .rules
        .iter()
        .filter(|rule| rule.rule != entry && rule.value.is_some());
    for rule in values {
        let value = rule.value.as_ref().map_or_else(String::new, short);
        let line = format!("    {} = {value}", rule.rule);
        out::line(&styled(Style::Dim, &SafeText::of(&line).to_string()));
    }
}

/// The definitions of a rule: the one that counts, and why not those before it.
fn alternatives<'a>(
    rule: &'a RuleSeen,
    rules: &BTreeMap<&str, &'a RuleSeen>,
    depth: usize,
    told: &mut Vec<&'a str>,
) {
    let mut counts = false;
    let ends_search = depth == 1;
    for seen in &rule.definitions {
        if counts {
            break;
        }
        one(seen, rules, depth, told);
        // Of a chain of `else` the first that holds counts, and what follows was not looked at.
        counts = seen.holds && ends_search;
    }
}

fn one<'a>(
    seen: &'a DefinitionSeen,
    rules: &BTreeMap<&str, &'a RuleSeen>,
    depth: usize,
    told: &mut Vec<&'a str>,
) {
    let indent = "  ".repeat(depth);
    let Some(failed) = &seen.failed else {
        out::line(&format!(
            "{indent}{} {}",
            styled(Style::Green, "holds"),
            SafeText::of(&seen.place)
        ));
        return;
    };
    let values: Vec<String> = failed
        .values
        .iter()
        .map(|(name, value)| {
            let value = value.as_ref().map_or("undefined".to_owned(), short);
            format!("{name} = {value}")
        })
        .collect();
    let values = match values.as_slice() {
        [] => String::new(),
        some => format!("; {}", some.join(", ")),
    };
    let line = format!("{}: `{}`{values}", failed.place, failed.condition);
    out::line(&format!(
        "{indent}{} {}",
        styled(Style::Red, "not"),
        SafeText::of(&line)
    ));
    if depth >= DEPTH {
        return;
    }
    for name in &failed.rules {
        let Some(rule) = rules.get(name.as_str()) else {
            continue;
        };
        if rule.value.is_none() && !told.contains(&rule.rule.as_str()) {
            told.push(&rule.rule);
            alternatives(rule, rules, depth.saturating_add(1), told);
        }
    }
}

fn short(value: &Value) -> String {
    let mut text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push('…');
    }
    text
}
