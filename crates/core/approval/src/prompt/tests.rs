//! Snapshots of prompts in `snapshots/`, and what holds for every prompt. `VALETKEY_SNAPSHOTS=write` writes them anew; look at the difference.

use std::path::PathBuf;

use proptest::prelude::*;
use valetkey_model::{ActionSet, FileKind, Justification, JustificationRule, Lease, LeaseScope};

use super::*;
use crate::show::tests::{is_acted_on, tricky};
use crate::testkit::{at, facts, question, requirement};
use crate::{ChangeLine, ChangeSummary, ChangeUnit, FileFacts, Memory, put_together};

fn home() -> Context {
    Context {
        home: Some(PathBuf::from("/home/alice")),
        ..Context::default()
    }
}

fn check(name: &str, asked: &Asked, context: &Context) {
    let prompt = Prompt::of(asked, context);
    let text = prompt.text(100);
    assert!(!text.chars().any(|c| c != '\n' && is_acted_on(c)), "{text}");
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("snapshots")
        .join(format!("{name}.txt"));
    if std::env::var_os("VALETKEY_SNAPSHOTS").is_some_and(|how| how == "write") {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, kept, "{} differs", path.display());
}

#[test]
fn snapshot_of_a_plain_read() {
    let mut asked = question("file:/home/alice/Documents/budget.xlsx", "read");
    asked.file = Some(facts());
    asked.justification = Some("to compare the totals with last year’s".to_owned());
    check("plain_read", &asked, &home());
}

#[test]
fn snapshot_of_rows_appended() {
    let mut asked = question("file:/srv/Finance/Reports/Q3.xlsx", "append");
    asked.file = Some(facts());
    asked.grant.constraints.max_rows = Some(50);
    asked.grant.constraints.max_write_bytes = Some(65_536);
    asked.grant.constraints.allow_macros = Some(false);
    asked.policy_id = "finance-reports".to_owned();
    asked.reasons = vec!["rows appended to a report need the owner's consent".to_owned()];
    let rows = (1..=3)
        .map(|row| ChangeLine::Added(format!("2026-09-{row:02}\tinvoice {row}\t{row}00.00")));
    asked.change = Some(ChangeSummary::new(
        ChangeUnit::Rows,
        40,
        0,
        rows.chain([ChangeLine::Added("=cmd|' /C calc'!A0\u{202e}".to_owned())])
            .chain(std::iter::repeat_n(ChangeLine::Added("x".repeat(500)), 36)),
        Some(Digest::of(b"rows")),
    ));
    asked.requirement.lease = Some(Lease {
        scope: LeaseScope::Once,
        max_seconds: 300,
    });
    check("rows_appended", &asked, &home());
}

#[test]
fn snapshot_of_a_whole_home() {
    let mut asked = question("file:/home/alice/**", "read,write,create,delete");
    asked.grant.except = vec![
        "file:/home/alice/.ssh/**".parse().unwrap(),
        "file:/**/.env".parse().unwrap(),
    ];
    asked.grant.constraints.max_bytes = Some(1_048_576);
    check("whole_home", &asked, &home());
}

#[test]
fn snapshot_of_a_deletion_that_is_new() {
    let mut asked = question("file:/home/alice/Archive/2019.zip", "delete");
    asked.file = Some(FileFacts {
        links: 3,
        size: 3_495_253_504,
        ..facts()
    });
    let mut memory = Memory::default();
    memory.remember(&question("file:/home/alice/Documents/a", "read"));
    asked.before = Some(memory.before(&asked));
    let context = Context {
        name_of: Some(|uid| (uid == 1000).then(|| "alice".to_owned())),
        ..home()
    };
    check("deletion_that_is_new", &asked, &context);
}

#[test]
fn snapshot_of_a_program() {
    let mut asked = question("exec:/usr/bin/git", "execute");
    asked.agent_digest = Some(Digest::of(b"agent"));
    asked.purpose = Some("tidy the repository".to_owned());
    asked.before = Some(Memory::default().before(&asked));
    check("program", &asked, &home());
}

#[test]
fn snapshot_of_a_changed_program_and_file() {
    let mut asked = question("file:/home/alice/plan.txt", "write,metadata");
    asked.file = Some(facts());
    asked.agent_digest = Some(Digest::of(b"changed"));
    let mut earlier = asked.clone();
    earlier.agent_digest = Some(Digest::of(b"agent"));
    earlier.file = Some(FileFacts {
        mode: 0o600,
        ..facts()
    });
    let mut memory = Memory::default();
    memory.remember(&earlier);
    memory.remember(&earlier);
    asked.before = Some(memory.before(&asked));
    check("changed_program_and_file", &asked, &home());
}

#[test]
fn what_a_person_edited_since_is_new_and_no_warning() {
    let mut earlier = question("file:/home/alice/plan.txt", "read");
    earlier.file = Some(facts());
    let mut memory = Memory::default();
    memory.remember(&earlier);
    let mut asked = earlier.clone();
    asked.file = Some(FileFacts {
        size: 13,
        ..facts()
    });
    asked.before = Some(memory.before(&asked));
    let prompt = Prompt::of(&asked, &home());
    assert!(prompt.warnings.is_empty());
    let new: Vec<_> = prompt.new.iter().map(ToString::to_string).collect();
    assert_eq!(new, ["what is in it changed since it was last approved"]);
    asked.file = Some(facts());
    assert!(Prompt::of(&asked, &home()).new.is_empty());
}

#[test]
fn snapshot_of_two_people_with_a_ticket() {
    let mut asked = question("file:/srv/Ledger/2026.db", "write");
    asked.requirement = requirement(&[("owner", 1), ("finance-approver", 2)]);
    asked.requirement.justification = Justification::Rule(JustificationRule {
        min_length: 20,
        ticket: vec!["^[A-Z]{2,10}-[0-9]+$".parse().unwrap()],
    });
    asked.requirement.mfa_max_age_seconds = Some(900);
    asked.requirement.lease = Some(Lease {
        scope: LeaseScope::Task,
        max_seconds: 600,
    });
    asked.policy_id = "ledger+valetkey-guardrails".to_owned();
    check("two_people_with_a_ticket", &asked, &home());
}

#[test]
fn snapshot_of_files_put_together() {
    let questions = (1u8..=4)
        .map(|n| {
            let mut asked = question(&format!("file:/home/alice/Photos/{n}.jpg"), "read");
            asked.request_id = valetkey_model::RequestId::new(at(0), [n; 10]);
            asked.file = Some(facts());
            asked
        })
        .collect();
    let together = put_together(questions);
    check("files_put_together", &together[0], &home());
}

#[test]
fn snapshot_of_endpoint_tool_and_secret() {
    for (name, resource, actions) in [
        ("endpoint", "tcp:db.internal:5432", "connect"),
        ("tool", "tool:github/create_issue", "call"),
        ("web_addresses", "https://api.example.com/v1/**", "connect"),
        (
            "desktop_service",
            "bus:org.freedesktop.Notifications/Notify",
            "call",
        ),
        ("secret", "secret:vault/database/creds/reporting", "use"),
    ] {
        check(name, &question(resource, actions), &home());
    }
}

#[test]
fn snapshot_of_patterns() {
    for (name, resource) in [
        ("pattern_in_folder", "file:/home/alice/Reports/*.csv"),
        ("pattern_of_folder", "file:/home/alice/Reports/*"),
        ("pattern_anywhere", "file:/srv/**/secrets/*.key"),
        ("pattern_of_everything", "file:/**"),
    ] {
        check(name, &question(resource, "read,list,metadata"), &home());
    }
}

/// Names that try something: each must be seen for what it is.
#[test]
fn snapshots_of_hostile_names() {
    let names: [(&str, &str); 8] = [
        ("hostile_reversed", "/home/alice/invoice\u{202e}xslx.exe"),
        ("hostile_escape", "/home/alice/\x1b[2J\x1b[1;1Hsafe.txt\r\n"),
        ("hostile_cyrillic", "/home/alice/p\u{430}ssw\u{43e}rds.txt"),
        ("hostile_slash", "/home/alice/etc\u{2215}passwd"),
        (
            "hostile_zalgo",
            "/home/alice/q\u{30d}\u{30d}\u{30d}\u{30d}\u{30d}\u{30d}",
        ),
        ("hostile_quotes", "/home/alice/a\" in \"~"),
        ("hostile_mark", "/home/alice/<U+202E>"),
        (
            "hostile_long",
            "/home/alice/a-rather-long-name/of-a-folder/in-a-folder/in-another/that-nobody-reads/.hidden/and-then/some-more-of-them/id_rsa",
        ),
    ];
    for (name, path) in names {
        let resource = valetkey_model::Resource::file(std::path::Path::new(path)).unwrap();
        let mut asked = question("file:/home/alice/x", "read");
        asked.grant.resource = resource;
        asked.file = Some(FileFacts {
            kind: FileKind::File,
            ..facts()
        });
        check(name, &asked, &home());
    }
}

#[test]
fn snapshot_of_hostile_words() {
    let mut asked = question("file:/home/alice/x", "read");
    asked.user = "al\u{456}ce".to_owned();
    asked.purpose = Some("\u{1b}]0;title\u{7}".to_owned());
    asked.reasons = vec!["fine\n  risk         low".to_owned()];
    asked.justification = Some(
        "harmless\r\n\r\nrequest      approved already\u{2028}\u{9b}31m\u{200b} see “docs” – it’s fine"
            .to_owned(),
    );
    check("hostile_words", &asked, &home());
}

#[test]
fn a_prompt_is_bound_by_its_digest() {
    let asked = question("file:/home/alice/x", "read");
    let one = Prompt::of(&asked, &home());
    let other = Prompt::of(&asked, &Context::default());
    assert!(one.digest().is_some());
    assert_ne!(one.digest(), other.digest());
    assert_eq!(one.digest(), Prompt::of(&asked, &home()).digest());
}

#[test]
fn every_limit_is_shown() {
    let mut asked = question("file:/home/alice/x", "read");
    asked.grant.constraints = serde_json::from_str(
        r#"{"max_bytes":1,"max_write_bytes":1500,"max_files":2,"max_operations":3,"max_rows":4,"single_use":true,
            "allow_macros":true,"media_types":["text/plain","a\"b"],"not_before":"2026-01-17T15:12:00.000Z"}"#,
    )
    .unwrap();
    let prompt = Prompt::of(&asked, &home());
    let limits: Vec<&str> = prompt
        .fields
        .iter()
        .filter(|field| field.name == "limit")
        .map(|field| field.value.as_str())
        .collect();
    assert_eq!(
        limits,
        [
            "documents with macros, too",
            "reads at most 1 byte in all",
            "at most 2 different files",
            "at most 3 operations",
            "at most 4 rows",
            "writes at most 1.4 KiB (1500 bytes) in all",
            "only of the types \"text/plain\", \"a<U+0022>b\"",
            "not before 2026-01-17T15:12:00.000Z",
            "one use only",
        ]
    );
}

fn any_question() -> impl Strategy<Value = Asked> {
    (
        prop::collection::vec(tricky(), 1..4),
        tricky(),
        1u16..2048,
        tricky(),
    )
        .prop_map(|(segments, words, actions, user)| {
            let mut asked = question("file:/home/alice/x", "read");
            let clean = |text: &String| {
                text.replace(['/', '\0'], "_")
                    .chars()
                    .take(60)
                    .collect::<String>()
            };
            let path = format!(
                "/{}",
                segments
                    .iter()
                    .map(clean)
                    .map(|s| format!("n{s}"))
                    .collect::<Vec<_>>()
                    .join("/")
            );
            asked.grant.resource =
                valetkey_model::Resource::file(std::path::Path::new(&path)).unwrap();
            let picked: Vec<_> = valetkey_model::Action::ALL
                .into_iter()
                .enumerate()
                .filter(|(at, _)| actions & (1 << at) != 0)
                .map(|(_, action)| action)
                .collect();
            asked.grant.actions = ActionSet::of(&picked);
            asked.justification = Some(words.clone());
            asked.purpose = Some(words.clone());
            asked.reasons = vec![words];
            asked.user = user;
            asked
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_prompt_has_a_character_that_a_terminal_acts_on(asked in any_question(), width in 0usize..120) {
        let prompt = Prompt::of(&asked, &home());
        for text in [prompt.text(width), prompt.whole(width)] {
            prop_assert!(!text.chars().any(|c| c != '\n' && is_acted_on(c)), "{}", text);
        }
        let json = serde_json::to_string(&prompt).unwrap();
        prop_assert!(!json.chars().any(is_acted_on));
    }

    #[test]
    fn two_resources_are_never_shown_alike(a in any_question(), b in any_question()) {
        prop_assume!(a.grant.resource != b.grant.resource);
        let of = |asked: &Asked| {
            let prompt = Prompt::of(asked, &home());
            let resource = prompt.fields.iter().find(|field| field.name == "resource").unwrap().value.clone();
            (resource, prompt.plain_words)
        };
        let mut b = b;
        b.grant.actions = a.grant.actions;
        let (a, b) = (of(&a), of(&b));
        prop_assert_ne!(a.0, b.0);
        prop_assert_ne!(a.1, b.1);
    }
}
