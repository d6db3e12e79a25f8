//! How much is at stake: a small scale that follows from the question alone, and how wide a resource is.

use serde::{Deserialize, Serialize};
use valetkey_model::{Action, ActionSet, FileKind, LeaseScope, Resource};

use crate::asked::{Asked, FileFacts};

/// The id by which the built-in guardrails sign their part of a decision.
const GUARDRAILS: &str = "valetkey-guardrails";
/// Directories that must stand before a tree that is not wide: `/home/alice/Reports/**` has three, a whole home two.
const TREE_DEPTH_MIN: usize = 3;
/// The same for the names of one directory.
const FOLDER_DEPTH_MIN: usize = 2;
/// Set-user-id, set-group-id.
const SET_ID_BITS: u32 = 0o6000;

/// How much is at stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// One thing is looked at.
    Low,
    /// Something is changed or reached, or more than one thing is looked at.
    Elevated,
    /// Something is run, removed or used that cannot be taken back, or more is touched than a person can oversee.
    High,
}

/// Why a question is not of low risk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskReason {
    /// A name is removed.
    Deletes,
    /// A program is run.
    Runs,
    /// A secret is used.
    UsesSecret,
    /// More is named than a person can oversee.
    Wide,
    /// Many files are changed by one yes.
    ChangesMany,
    /// A document with macros may be worked on.
    Macros,
    /// A device, socket or pipe.
    Device,
    /// What is changed runs with its owner's rights.
    SetId,
    /// What is changed has other names too.
    OtherNames,
    /// What is changed belongs to root.
    RootOwned,
    /// The built-in guardrails want a person.
    Guardrails,
    /// A file is changed.
    Changes,
    /// Something beyond this machine's files is reached.
    Reaches,
    /// Several files are looked at.
    Several,
    /// A hidden file is looked at.
    Hidden,
}

impl RiskReason {
    /// How much it weighs.
    #[must_use]
    pub fn risk(self) -> Risk {
        match self {
            Self::Deletes
            | Self::Runs
            | Self::UsesSecret
            | Self::Wide
            | Self::ChangesMany
            | Self::Macros
            | Self::Device
            | Self::SetId
            | Self::OtherNames
            | Self::RootOwned
            | Self::Guardrails => Risk::High,
            Self::Changes | Self::Reaches | Self::Several | Self::Hidden => Risk::Elevated,
        }
    }

    /// In words for a person.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Deletes => "something is removed",
            Self::Runs => "a program is run",
            Self::UsesSecret => "a secret is used",
            Self::Wide => "more is named than can be looked over",
            Self::ChangesMany => "many files can be changed by one yes",
            Self::Macros => "a document with macros may be worked on",
            Self::Device => "it is a device, a socket or a pipe",
            Self::SetId => "what is changed runs with its owner's rights",
            Self::OtherNames => "what is changed has other names too",
            Self::RootOwned => "what is changed belongs to root",
            Self::Guardrails => "the built-in guardrails want a person to look",
            Self::Changes => "a file is changed",
            Self::Reaches => "something beyond files is reached",
            Self::Several => "more than one thing is touched",
            Self::Hidden => "a hidden file is looked at",
        }
    }
}

/// How many things a resource names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// One thing.
    One,
    /// Names of one directory, at least two directories deep.
    Folder,
    /// Everything below one directory, at least three directories deep.
    Tree,
    /// More: a whole home, a pattern in the middle of a path, programs by pattern.
    Wide,
}

/// How wide a resource is.
#[must_use]
pub fn width(resource: &Resource) -> Width {
    let Resource::File(pattern) = resource else {
        // Canonical text has a `*` only where it is a wildcard.
        return if resource.to_string().contains('*') {
            Width::Wide
        } else {
            Width::One
        };
    };
    if pattern.is_literal() {
        return Width::One;
    }
    let text = pattern.to_string();
    let segments: Vec<&str> = text.split('/').skip(1).collect();
    let (last, before) = match segments.split_last() {
        Some((last, before)) if !before.iter().any(|segment| segment.contains('*')) => {
            (*last, before.len())
        }
        _ => return Width::Wide,
    };
    match last {
        "**" if before >= TREE_DEPTH_MIN => Width::Tree,
        name if name != "**" && before >= FOLDER_DEPTH_MIN => Width::Folder,
        _ => Width::Wide,
    }
}

/// The risk of a question, and why; the reasons that weigh most come first.
#[must_use]
pub fn assess(asked: &Asked) -> (Risk, Vec<RiskReason>) {
    let actions = asked.grant.actions;
    let mut reasons = of_actions(actions, &asked.grant.resource);
    let changes = changes(actions);
    for (resource, facts) in asked.resources() {
        let width = width(resource);
        if width == Width::Wide {
            reasons.push(RiskReason::Wide);
        }
        if width != Width::One {
            reasons.push(RiskReason::Several);
            if changes {
                reasons.push(RiskReason::ChangesMany);
            }
        }
        if is_hidden(resource) {
            reasons.push(RiskReason::Hidden);
        }
        if let Some(facts) = facts {
            reasons.extend(of_facts(facts, changes));
        }
    }
    if !asked.also.is_empty() {
        reasons.push(RiskReason::Several);
        if changes {
            reasons.push(RiskReason::ChangesMany);
        }
    }
    if asked.grant.constraints.allow_macros == Some(true) {
        reasons.push(RiskReason::Macros);
    }
    if asked.policy_id.split('+').any(|part| part == GUARDRAILS) {
        reasons.push(RiskReason::Guardrails);
    }
    reasons.sort_by_key(|reason| (std::cmp::Reverse(reason.risk()), *reason));
    reasons.dedup();
    let risk = reasons
        .iter()
        .map(|reason| reason.risk())
        .max()
        .unwrap_or(Risk::Low);
    (risk, reasons)
}

/// Whether one yes may reach further than one use: never to delete, to run, to use a secret, over wide patterns, or where the risk is high.
#[must_use]
pub fn lease_allowed(actions: ActionSet, resource: &Resource, risk: Risk) -> bool {
    let never = [Action::Delete, Action::Execute, Action::Use]
        .into_iter()
        .any(|action| actions.allows(action));
    // What is named later is not leased until someone has thought about it.
    let kind = matches!(
        resource,
        Resource::File(_) | Resource::Https(_) | Resource::Tcp { .. } | Resource::Tool { .. }
    );
    !never && kind && width(resource) != Width::Wide && risk < Risk::High
}

/// The scope that is given where policy offers `offered`.
#[must_use]
pub fn lease_within(offered: LeaseScope, asked: &Asked) -> LeaseScope {
    let (risk, _) = assess(asked);
    let may = |resource: &Resource| lease_allowed(asked.grant.actions, resource, risk);
    let all = asked.resources().all(|(resource, _)| may(resource));
    match offered {
        LeaseScope::Operations(list) if all && list.iter().all(may) => LeaseScope::Operations(list),
        LeaseScope::Minutes if all => LeaseScope::Minutes,
        LeaseScope::Task if all => LeaseScope::Task,
        LeaseScope::Once | LeaseScope::Operations(_) | LeaseScope::Minutes | LeaseScope::Task => {
            LeaseScope::Once
        }
    }
}

fn of_actions(actions: ActionSet, resource: &Resource) -> Vec<RiskReason> {
    let mut reasons = Vec::new();
    let mut when = |holds: bool, reason| {
        if holds {
            reasons.push(reason);
        }
    };
    when(actions.allows(Action::Delete), RiskReason::Deletes);
    when(
        actions.allows(Action::Execute) || matches!(resource, Resource::Exec(_)),
        RiskReason::Runs,
    );
    when(
        actions.allows(Action::Use) || matches!(resource, Resource::Secret(_)),
        RiskReason::UsesSecret,
    );
    when(
        actions.allows(Action::Connect) || actions.allows(Action::Call),
        RiskReason::Reaches,
    );
    when(changes(actions), RiskReason::Changes);
    reasons
}

fn of_facts(facts: &FileFacts, changes: bool) -> Vec<RiskReason> {
    let mut reasons = Vec::new();
    if facts.kind == FileKind::Other {
        reasons.push(RiskReason::Device);
    }
    // A directory's links are its subdirectories.
    if changes && facts.kind == FileKind::File {
        if facts.links > 1 {
            reasons.push(RiskReason::OtherNames);
        }
        if facts.mode & SET_ID_BITS != 0 {
            reasons.push(RiskReason::SetId);
        }
    }
    if changes && facts.owner == 0 && facts.kind != FileKind::Absent {
        reasons.push(RiskReason::RootOwned);
    }
    reasons
}

/// Whether some of the actions change something that stays.
pub(crate) fn changes(actions: ActionSet) -> bool {
    [
        Action::Write,
        Action::Append,
        Action::Create,
        Action::Delete,
    ]
    .into_iter()
    .any(|action| actions.allows(action))
}

/// Whether some segment of a file's path begins with a dot.
fn is_hidden(resource: &Resource) -> bool {
    resource
        .as_file()
        .is_some_and(|pattern| pattern.to_string().contains("/."))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testkit::{facts, question};

    fn risk(resource: &str, actions: &str) -> Risk {
        assess(&question(resource, actions)).0
    }

    #[test]
    fn the_scale_is_as_documented() {
        for (resource, actions, expected) in [
            ("file:/home/alice/a.txt", "read", Risk::Low),
            ("file:/home/alice/Reports", "list,metadata", Risk::Low),
            ("file:/home/alice/.profile", "read", Risk::Elevated),
            ("file:/home/alice/Reports/*.csv", "read", Risk::Elevated),
            ("file:/home/alice/Reports/**", "read", Risk::Elevated),
            ("file:/home/alice/a.txt", "append", Risk::Elevated),
            ("tcp:db.internal:5432", "connect", Risk::Elevated),
            ("tool:github/create_issue", "call", Risk::Elevated),
            (
                "https://api.example.com/v1/items",
                "connect",
                Risk::Elevated,
            ),
            ("https://api.example.com/**", "connect", Risk::High),
            (
                "bus:org.freedesktop.Notifications/Notify",
                "call",
                Risk::Elevated,
            ),
            ("file:/home/alice/**", "read", Risk::High),
            ("file:/home/alice/Reports/**", "write", Risk::High),
            ("file:/home/alice/a.txt", "read,delete", Risk::High),
            ("exec:/usr/bin/git", "execute", Risk::High),
            ("secret:vault/x", "use", Risk::High),
        ] {
            assert_eq!(risk(resource, actions), expected, "{actions} {resource}");
        }
    }

    #[test]
    fn facts_and_guardrails_raise_it() {
        let with = |change: fn(&mut Asked)| {
            let mut asked = question("file:/home/alice/a", "write");
            asked.file = Some(facts());
            change(&mut asked);
            assess(&asked)
        };
        assert_eq!(with(|_| {}), (Risk::Elevated, vec![RiskReason::Changes]));
        let file = |asked: &mut Asked, change: fn(&mut FileFacts)| {
            if let Some(file) = &mut asked.file {
                change(file);
            }
        };
        assert_eq!(
            with(|asked| asked.policy_id = "x+valetkey-guardrails".to_owned()).1[0],
            RiskReason::Guardrails
        );
        assert_eq!(
            with(|asked| asked.grant.constraints.allow_macros = Some(true)).1[0],
            RiskReason::Macros
        );
        let mut asked = question("file:/home/alice/a", "write");
        asked.file = Some(facts());
        file(&mut asked, |file| file.links = 2);
        assert_eq!(assess(&asked).1[0], RiskReason::OtherNames);
        file(&mut asked, |file| file.mode = 0o4755);
        assert_eq!(assess(&asked).1[0], RiskReason::SetId);
        file(&mut asked, |file| file.owner = 0);
        file(&mut asked, |file| file.kind = FileKind::Other);
        assert_eq!(assess(&asked).1[0], RiskReason::Device);
    }

    #[test]
    fn width_counts_directories() {
        for (resource, expected) in [
            ("file:/a/b/c/**", Width::Tree),
            ("file:/a/b/**", Width::Wide),
            ("file:/a/b/*", Width::Folder),
            ("file:/a/*", Width::Wide),
            ("file:/**", Width::Wide),
            ("file:/a/b/c/**/*.csv", Width::Wide),
            ("file:/a/*/c/d", Width::Wide),
            ("file:/a/b/c", Width::One),
            ("exec:/usr/bin/local/*", Width::Wide),
        ] {
            assert_eq!(width(&resource.parse().unwrap()), expected, "{resource}");
        }
    }

    proptest! {
        #[test]
        fn nothing_dangerous_is_ever_leased(
            bits in prop::collection::vec(prop::sample::select(Action::ALL.to_vec()), 1..5),
            resource in prop::sample::select(vec![
                "file:/home/alice/a", "file:/home/alice/Reports/**", "file:/home/alice/**", "file:/**/x", "exec:/usr/bin/git",
                "secret:vault/x", "tcp:h:1", "tool:a/b",
            ]),
            scope in prop::sample::select(vec![
                LeaseScope::Once, LeaseScope::Minutes, LeaseScope::Task,
                LeaseScope::Operations(vec!["file:/home/alice/a".parse().unwrap()]),
                LeaseScope::Operations(vec!["exec:/usr/bin/git".parse().unwrap()]),
            ]),
        ) {
            let mut asked = question(resource, "read");
            asked.grant.actions = ActionSet::of(&bits);
            let given = lease_within(scope.clone(), &asked);
            prop_assert_eq!(given.clone().narrower(scope), given.clone());
            let never = bits.iter().any(|action| matches!(action, Action::Delete | Action::Execute | Action::Use))
                || resource.starts_with("exec") || resource.starts_with("secret") || width(&asked.grant.resource) == Width::Wide;
            if never {
                prop_assert_eq!(given, LeaseScope::Once);
            }
        }
    }
}
