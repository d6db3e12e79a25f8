//! That inputs with one question have one decision, for the starter policies.

use proptest::prelude::*;
use valetkey_model::{AgentId, PolicyInput, SessionId, Timestamp};

use crate::testkit::asks_in;
use crate::{PolicySet, starter};

const RESOURCES: [&str; 8] = [
    "file:/home/alice/work/a.txt",
    "file:/home/alice/work/**",
    "file:/home/alice/notes.txt",
    "file:/home/alice/.ssh/id_ed25519",
    "file:/home/alice/work/.git/config",
    "file:/home/alice/Reports/Q3.xlsx",
    "file:/srv/data/x",
    "tcp:db.internal:5432",
];
const ACTIONS: [&str; 4] = ["read", "write", "append", "metadata"];

/// What no starter policy reads, one after the other.
fn unread(input: &mut PolicyInput, which: usize, number: u64) {
    let session = &mut input.subject.session;
    match which {
        0 => {
            input.request.id =
                valetkey_model::RequestId::new(Timestamp::from_unix_ms(number), [3; 10])
        }
        1 => input.context.time = Timestamp::from_unix_ms(number),
        2 => input.context.requests_last_hour = number,
        3 => session.age_seconds = number,
        4 => session.id = SessionId::new(Timestamp::from_unix_ms(number), [4; 10]),
        5 => input.subject.agent.id = AgentId::sanitised(&format!("agent{number}")),
        6 => session.purpose = Some(format!("purpose {number}")),
        _ => input.request.justification = Some(format!("because {number}")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn one_question_has_one_decision(
        name in prop::sample::select(vec!["base", "finance"]),
        resource in prop::sample::select(RESOURCES.to_vec()),
        actions in prop::sample::select(ACTIONS.to_vec()),
        changes in prop::collection::vec((0_usize..8, 0_u64..1 << 40), 0..6),
    ) {
        let set = PolicySet::new(&starter(name).unwrap()).unwrap();
        let before = asks_in("file:/home/alice/work/**", actions, resource);
        let mut after = before.clone();
        for (which, number) in changes {
            unread(&mut after, which, number);
        }
        prop_assert!(set.question(&before).is_some());
        prop_assert_eq!(set.question(&before), set.question(&after));
        prop_assert_eq!(set.decide(&before), set.decide(&after));
    }

    #[test]
    fn other_decisions_have_other_questions(
        name in prop::sample::select(vec!["base", "finance"]),
        resources in prop::array::uniform2(prop::sample::select(RESOURCES.to_vec())),
        actions in prop::array::uniform2(prop::sample::select(ACTIONS.to_vec())),
        uids in prop::array::uniform2(0_u32..2),
        workspaces in prop::array::uniform2(prop::sample::select(vec!["file:/home/alice/work/**", "file:/srv/**"])),
    ) {
        let set = PolicySet::new(&starter(name).unwrap()).unwrap();
        let [a, b] = [0, 1].map(|at| {
            let mut input = asks_in(workspaces[at], actions[at], resources[at]);
            input.subject.user.uid = uids[at] * 1000;
            input
        });
        if set.decide(&a) != set.decide(&b) {
            prop_assert_ne!(set.question(&a), set.question(&b));
        }
    }
}

#[test]
fn a_policy_that_reads_all_has_no_question() {
    let bundle = crate::testkit::bundle(
        "package valetkey\n\ndecision := {\"effect\": \"deny\", \"policy_id\": \"p\", \"reasons\": [json.marshal(input)]}\n",
    )
    .unwrap();
    let set = PolicySet::new(&bundle).unwrap();
    assert_eq!(
        set.question(&asks_in("file:/w/**", "read", "file:/w/a")),
        None
    );
}

#[test]
fn a_policy_that_reads_the_time_has_another_question_at_another_time() {
    let bundle = crate::testkit::bundle(
        "package valetkey\n\ndecision := {\"effect\": \"allow\", \"policy_id\": \"p\"} if input.context.time > \"2026-06\"\n",
    )
    .unwrap();
    let set = PolicySet::new(&bundle).unwrap();
    let before = asks_in("file:/w/**", "read", "file:/w/a");
    let mut after = before.clone();
    after.context.time = Timestamp::from_unix_ms(before.context.time.unix_ms() + 1);
    assert_ne!(set.question(&before), set.question(&after));
}
