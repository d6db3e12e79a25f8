//! The starter policies in words: who asks what, and what comes of it.

use std::collections::BTreeSet;
use std::path::Path;

use valetkey_model::{Constraints, Decision, Durability, Effect, FileKind, LeaseScope};

use super::*;
use crate::testkit::{asks, asks_in, grant};
use crate::{PolicySet, TestOutcome, run_tests};

fn set(name: &str) -> PolicySet {
    PolicySet::new(&starter(name).unwrap()).unwrap()
}

fn check(set: &PolicySet, table: &[(&str, &str, Effect)]) {
    for (actions, resource, expected) in table {
        let judgement = set.judge(&asks(actions, resource));
        assert!(
            judgement.faults.is_empty(),
            "{actions} {resource}: {:?}",
            judgement.faults
        );
        let decision = judgement.decision;
        assert_eq!(
            decision.effect, *expected,
            "{actions} {resource}: {decision:?}"
        );
        assert!(!decision.reasons.is_empty(), "{actions} {resource}");
    }
}

use Effect::{Allow, Ask, Deny};

#[test]
fn in_the_workspace_the_agent_is_at_home() {
    check(
        &set("base"),
        &[
            (
                "read,write,append,create,delete,list,metadata,execute",
                "file:/home/alice/work/**",
                Allow,
            ),
            ("read", "file:/home/alice/work/src/main.rs", Allow),
            ("create,write", "file:/home/alice/work/src/new.rs", Allow),
            ("delete", "file:/home/alice/work/target", Allow),
            ("read", "file:/home/alice/work/.git/config", Allow),
            (
                "write,create",
                "file:/home/alice/work/.git/index.lock",
                Allow,
            ),
            ("read", "file:/home/alice/work/.env.example", Allow),
            ("read", "file:/home/alice/work/venv/cacert.pem", Allow),
            ("read", "file:/home/alice/work/monkey", Allow),
            ("read,metadata", "file:/home/alice/work/AGENTS.md", Allow),
            ("connect", "tcp:db.internal:5432", Deny),
        ],
    );
}

#[test]
fn secrets_are_not_given_wherever_they_lie() {
    check(
        &set("base"),
        &[
            ("read", "file:/home/alice/.ssh/id_ed25519", Deny),
            ("metadata", "file:/home/alice/.ssh", Deny),
            ("list", "file:/home/alice/.ssh", Deny),
            (
                "create,write",
                "file:/home/alice/.ssh/authorized_keys",
                Deny,
            ),
            ("read", "file:/home/alice/.config/gh/hosts.yml", Deny),
            ("read", "file:/home/alice/.cargo/credentials.toml", Deny),
            (
                "read",
                "file:/home/alice/.mozilla/firefox/x/logins.json",
                Deny,
            ),
            (
                "read",
                "file:/home/alice/.local/share/keyrings/login.keyring",
                Deny,
            ),
            (
                "read",
                "file:/home/alice/.local/state/valetkey/approver.key",
                Deny,
            ),
            ("metadata", "file:/home/alice/.vk", Deny),
            ("read", "file:/home/alice/.bash_history", Deny),
            ("read", "file:/home/alice/work/.env", Deny),
            ("read", "file:/home/alice/work/deploy/.env.production", Deny),
            ("read", "file:/home/alice/work/tls/server.pem", Deny),
            ("read", "file:/home/alice/work/tls/server.key", Deny),
            ("read", "file:/home/alice/work/id_rsa_old", Deny),
            ("read", "file:/home/alice/work/vault.kdbx", Deny),
            ("create", "file:/home/alice/work/.env", Deny),
            ("read", "file:/home/alice/.ssh/**", Deny),
            ("read", "file:/home/alice/work/**/.env", Deny),
            ("read", "file:/home/alice/work/*.pem", Deny),
            ("read", "file:/etc/shadow", Deny),
            ("read", "file:/etc/sudoers.d/alice", Deny),
            ("read", "file:/proc/1/environ", Deny),
            ("read", "file:/dev/sda", Deny),
            ("read", "file:/root/notes", Deny),
            ("read", "file:/run/user/1000/bus", Deny),
        ],
    );
}

#[test]
fn directories_that_hold_secrets_are_not_moved_away() {
    check(
        &set("base"),
        &[
            ("delete", "file:/home/alice/.config", Deny),
            ("delete", "file:/home/alice/.local/share", Deny),
            ("delete", "file:/home/alice", Deny),
            ("delete", "file:/home", Deny),
            ("delete", "file:/", Deny),
            ("create", "file:/home/alice/.config", Ask),
        ],
    );
    let mut own_state = asks("delete", "file:/home/alice/work/state");
    own_state.context.protected = vec!["file:/home/alice/work/state/vk/**".parse().unwrap()];
    assert_eq!(set("base").decide(&own_state).effect, Deny);
}

#[test]
fn what_runs_later_is_asked_about_before_it_is_changed() {
    check(
        &set("base"),
        &[
            ("write", "file:/home/alice/work/.git/config", Ask),
            ("create", "file:/home/alice/work/.git/hooks/pre-commit", Ask),
            ("create", "file:/home/alice/work/sub/.git", Ask),
            ("delete", "file:/home/alice/work/.git", Ask),
            ("append", "file:/home/alice/work/.git/modules/x/config", Ask),
            ("write", "file:/home/alice/work/.vscode/tasks.json", Ask),
            ("create", "file:/home/alice/work/.vscode", Ask),
            ("create", "file:/home/alice/work/.github", Ask),
            (
                "write",
                "file:/home/alice/work/.github/workflows/ci.yml",
                Ask,
            ),
            ("write", "file:/home/alice/work/CLAUDE.md", Ask),
            ("create", "file:/home/alice/work/a/b/.mcp.json", Ask),
            ("write", "file:/home/alice/work/.envrc", Ask),
            ("append", "file:/home/alice/.bashrc", Ask),
            (
                "create",
                "file:/home/alice/.config/autostart/x.desktop",
                Ask,
            ),
            (
                "create",
                "file:/home/alice/.config/systemd/user/x.service",
                Ask,
            ),
            ("write", "file:/home/alice/.claude/settings.json", Ask),
            ("create", "file:/home/alice/bin/ls", Ask),
            ("write", "file:/home/alice/work/.git/**", Allow),
        ],
    );
}

#[test]
fn the_rest_of_the_home_is_seen_and_asked_for() {
    check(
        &set("base"),
        &[
            ("metadata", "file:/home/alice/Documents/tax.pdf", Allow),
            ("metadata", "file:/home/alice/**", Allow),
            ("read", "file:/home/alice/Documents/tax.pdf", Ask),
            ("list", "file:/home/alice/Documents", Ask),
            ("list", "file:/home/alice", Ask),
            ("execute,read", "file:/home/alice/.nvm/node", Ask),
            ("write", "file:/home/alice/Documents/tax.pdf", Ask),
            ("metadata", "file:/home/alice/.bashrc", Allow),
            ("read", "file:/home/bob/notes", Deny),
            ("read", "file:/srv/other", Deny),
            ("read", "file:/opt/x", Deny),
            ("use", "secret:vault/x", Deny),
            ("call", "tool:github/create_issue", Deny),
        ],
    );
}

#[test]
fn a_read_is_asked_once_for_the_task_and_a_change_each_time() {
    let base = set("base");
    let read = base.decide(&asks("read", "file:/home/alice/Documents/tax.pdf"));
    let write = base.decide(&asks("write", "file:/home/alice/Documents/tax.pdf"));
    let scope = |decision: &Decision| {
        let approval = decision.approval.clone().unwrap();
        assert_eq!(approval.quorum.len(), 1);
        assert_eq!(
            (approval.quorum[0].role.as_str(), approval.quorum[0].count),
            ("owner", 1)
        );
        assert!(!approval.justification.is_needed());
        approval.lease.unwrap().scope
    };
    assert_eq!(scope(&read), LeaseScope::Task);
    assert_eq!(scope(&write), LeaseScope::Once);
    assert_eq!(write.obligations.durability, Durability::BeforeEffect);
}

#[test]
fn what_the_person_granted_is_granted_as_they_said() {
    let base = set("base");
    let mut input = asks("read,list", "file:/srv/data/**");
    let decision = base.decide(&input);
    assert_eq!(decision.effect, Allow);
    assert_eq!(
        base.decide(&asks("metadata", "file:/srv/data")).effect,
        Allow
    );
    assert_eq!(base.decide(&asks("write", "file:/srv/data/x")).effect, Deny);

    let mut narrow = grant("file:/srv/data/**", "read");
    narrow.constraints.max_bytes = Some(100);
    narrow.except = vec!["file:/srv/data/private/**".parse().unwrap()];
    input.subject.session.grants = vec![narrow];
    let decision = base.decide(&input);
    assert_eq!(decision.constraints.max_bytes, Some(100));
    assert!(
        decision
            .except
            .contains(&"file:/srv/data/private/**".parse().unwrap())
    );
    assert!(decision.except.contains(&"file:/**/*.pem".parse().unwrap()));

    input.subject.session.grants = vec![grant("tcp:db.internal:5432", "connect")];
    input.request.resource = "tcp:db.internal:5432".parse().unwrap();
    input.request.actions = "connect".parse().unwrap();
    assert_eq!(base.decide(&input).effect, Allow);
}

#[test]
fn a_grant_by_the_person_does_not_reach_secrets() {
    let base = set("base");
    let mut input = asks("read", "file:/home/alice/.ssh/id_rsa");
    input.subject.session.grants = vec![grant("file:/**", "read")];
    assert_eq!(base.decide(&input).effect, Deny);
    input.request.resource = "file:/etc/shadow".parse().unwrap();
    assert_eq!(base.decide(&input).effect, Deny);
    input.request.resource = "file:/opt/readme".parse().unwrap();
    assert_eq!(base.decide(&input).effect, Allow);
}

#[test]
fn a_workspace_within_secrets_or_around_them_changes_nothing() {
    let base = set("base");
    for (workspace, actions, resource, expected) in [
        (
            "file:/home/alice/.ssh/**",
            "read",
            "file:/home/alice/.ssh/**",
            Deny,
        ),
        (
            "file:/home/alice/**",
            "read",
            "file:/home/alice/.ssh/config",
            Deny,
        ),
        (
            "file:/home/alice/**",
            "read",
            "file:/home/alice/notes",
            Allow,
        ),
        (
            "file:/home/alice/**",
            "write",
            "file:/home/alice/.profile",
            Ask,
        ),
        (
            "file:/home/alice/**",
            "delete",
            "file:/home/alice/.config",
            Deny,
        ),
        (
            "file:/home/alice/.claude/**",
            "write",
            "file:/home/alice/.claude/**",
            Ask,
        ),
        ("file:/**", "read", "file:/etc/shadow", Deny),
        ("file:/**", "write", "file:/etc/cron.d/x", Ask),
        (
            "file:/**",
            "create",
            "file:/var/spool/cron/crontabs/alice",
            Ask,
        ),
        ("file:/tmp/x/**", "read,write", "file:/tmp/x/**", Allow),
    ] {
        let decision = base.decide(&asks_in(workspace, actions, resource));
        assert_eq!(
            decision.effect, expected,
            "{workspace} {actions} {resource}: {decision:?}"
        );
    }
}

#[test]
fn devices_are_given_in_the_workspace_only() {
    let base = set("base");
    for (resource, expected) in [
        ("file:/home/alice/work/pipe", Allow),
        ("file:/home/alice/pipe", Deny),
    ] {
        let mut input = asks("read", resource);
        input.resource.kind = Some(FileKind::Other);
        assert_eq!(base.decide(&input).effect, expected, "{resource}");
    }
}

#[test]
fn root_may_have_its_own_home() {
    let base = set("base");
    let mut input = asks_in("file:/root/work/**", "read,write", "file:/root/work/a");
    assert_eq!(base.decide(&input).effect, Deny, "for alice");
    input.subject.user.uid = 0;
    input.subject.user.home = "/root".into();
    assert_eq!(base.decide(&input).effect, Allow);
    input.request.resource = "file:/root/.ssh/id_rsa".parse().unwrap();
    assert_eq!(base.decide(&input).effect, Deny);
}

#[test]
fn a_user_without_a_known_home_gets_no_file() {
    let base = set("base");
    for home in ["", "home", "/a/../b"] {
        let mut input = asks("read", "file:/home/alice/work/a");
        input.subject.user.home = home.into();
        assert_eq!(base.decide(&input).effect, Deny, "{home:?}");
    }
    let mut input = asks("read", "file:/.ssh/id_x");
    input.subject.user.home = "/".into();
    input.subject.session.workspace = Some("file:/**".parse().unwrap());
    assert_eq!(base.decide(&input).effect, Deny);
    input.request.resource = "file:/home/alice/work/a".parse().unwrap();
    assert_eq!(base.decide(&input).effect, Allow);
}

#[test]
fn the_finance_case() {
    let finance = set("finance");
    let workspace = "file:/srv/Finance/**";
    for (actions, resource, expected) in [
        ("read", "file:/srv/Finance/Reports/Q3.xlsx", Allow),
        ("read,metadata", "file:/srv/Finance/Reports/*.xlsx", Allow),
        ("metadata", "file:/srv/Finance/Reports/Q3.xlsx", Allow),
        ("append", "file:/srv/Finance/Reports/Q3.xlsx", Ask),
        (
            "read,append",
            "file:/srv/Finance/Reports/Q3%20final.xlsx",
            Ask,
        ),
        ("append", "file:/srv/Finance/Reports/*.xlsx", Deny),
        ("write", "file:/srv/Finance/Reports/Q3.xlsx", Deny),
        ("delete", "file:/srv/Finance/Reports/Q3.xlsx", Deny),
        ("read", "file:/srv/Finance/Reports/Q3.xlsm", Deny),
        ("append", "file:/srv/Finance/Reports/Q3.XLSM", Deny),
        ("metadata", "file:/srv/Finance/Reports/Q3.xlsb", Deny),
        ("read", "file:/srv/Finance/Reports/old/Q3.xlsx", Deny),
        ("read", "file:/srv/Finance/Reports/.xlsx", Deny),
        ("read", "file:/srv/Finance/Reports/**", Deny),
        ("read", "file:/srv/Finance/Salaries.xlsx", Deny),
        ("list,metadata", "file:/srv/Finance/Reports", Allow),
        ("list", "file:/srv/Finance", Allow),
        ("list", "file:/srv", Deny),
        ("read", "file:/srv/Finance/Reports/.env", Deny),
        ("read", "file:/srv/FinanceReports/Q3.xlsx", Deny),
        ("connect", "tcp:evil.example:443", Deny),
    ] {
        let judgement = finance.judge(&asks_in(workspace, actions, resource));
        assert!(judgement.faults.is_empty(), "{:?}", judgement.faults);
        assert_eq!(judgement.decision.effect, expected, "{actions} {resource}");
    }
    let mut nowhere = asks("read", "file:/srv/Finance/Reports/Q3.xlsx");
    nowhere.subject.session.workspace = None;
    assert_eq!(finance.decide(&nowhere).effect, Deny);
}

#[test]
fn an_append_to_a_report_has_the_articles_limits() {
    let mut input = asks_in(
        "file:/srv/Finance/**",
        "append",
        "file:/srv/Finance/Reports/Q3.xlsx",
    );
    let decision = set("finance").decide(&input);
    assert_eq!(decision.policy_id, "finance-reports");
    assert_eq!(decision.ttl_seconds, 300);
    assert_eq!(
        decision.constraints,
        Constraints {
            max_rows: Some(50),
            max_write_bytes: Some(65_536),
            allow_macros: Some(false),
            ..Constraints::default()
        }
    );
    input.request.constraints.single_use = Some(true);
    input.request.constraints.max_rows = Some(70);
    let decision = set("finance").decide(&input);
    assert_eq!(decision.ttl_seconds, 60);
    assert_eq!(decision.constraints.max_rows, Some(50));
}

#[test]
fn the_starter_bundles_pass_their_own_tests() {
    for name in STARTER_NAMES {
        let results = run_tests(&starter(name).unwrap()).unwrap();
        assert!(results.len() >= 6, "{name} has {} tests", results.len());
        for test in results {
            assert_eq!(
                test.outcome,
                TestOutcome::Passed,
                "{} at {}",
                test.name,
                test.place
            );
        }
    }
}

/// Every file of `policies/` is built in: one that was forgotten would be tested by nobody.
#[test]
fn no_policy_file_is_forgotten() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../policies");
    for name in STARTER_NAMES {
        let files = starter_files(name).unwrap();
        let there: BTreeSet<String> = std::fs::read_dir(root.join(name))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|file| !file.ends_with(".md"))
            .collect();
        let built_in: BTreeSet<String> = files.iter().map(|(file, _)| (*file).to_owned()).collect();
        assert_eq!(there, built_in, "{name}");
    }
    // What agents need for themselves is no policy, and lies beside them.
    let is_policy = |entry: &std::fs::DirEntry| {
        entry.file_type().unwrap().is_dir() && entry.file_name() != "agents"
    };
    let directories = std::fs::read_dir(&root)
        .unwrap()
        .filter(|entry| is_policy(entry.as_ref().unwrap()))
        .count();
    assert_eq!(directories, STARTER_NAMES.len());
}

/// The guardrails' own are tested by this crate too, and their mutants take minutes.
#[test]
fn tests_of_starters_reach_every_rule_and_notice_nearly_every_change() {
    for name in STARTER_NAMES {
        let bundle = starter(name).unwrap();
        #[cfg(feature = "tools")]
        {
            let (_, coverage) = crate::tools::cover(&bundle).unwrap();
            assert!(coverage.missed.is_empty(), "{name}: {:#?}", coverage.missed);
            if name != "guardrails" {
                let found = crate::tools::mutate(&bundle, |_, _| {}).unwrap();
                let score = found.score_percent();
                assert!(score >= 95.0, "{name}: {score}: {:#?}", found.survived);
            }
        }
        assert!(starter_purpose(name).is_some() && bundle.modules().count() >= 2);
    }
}

#[test]
fn guardrails_are_no_policy_to_grant_with() {
    let bundle = starter("guardrails").unwrap();
    assert!(matches!(
        PolicySet::new(&bundle).unwrap_err(),
        PolicyError::NoEntryPoint {
            rule: "data.valetkey.decision"
        }
    ));
    assert!(matches!(
        starter("nobody"),
        Err(PolicyError::NoSuchStarter { .. })
    ));
}
