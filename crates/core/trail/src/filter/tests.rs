//! Filters: each member alone, and the sieve against the whole.

use valetkey_audit::{AuditDecision, EventType};

use super::*;
use crate::testing::{START_MS, capability, event, one_of_each, record, request, session, write};

fn matching(filter: &Filter) -> Vec<u64> {
    let records = [
        record(0, event(EventType::SessionOpened)),
        record(1, write("/home/alice/a.txt")),
        record(
            2,
            write("/home/alice/Reports/q3.xlsx").justification("Third Quarter"),
        ),
        record(
            3,
            event(EventType::RequestDecided)
                .decision(AuditDecision::Denied)
                .request(request(2)),
        ),
        record(
            4,
            write("/srv/x")
                .session(session(2))
                .user(0, "root")
                .capability(capability(9)),
        ),
    ];
    let hits = records.iter().filter(|record| filter.matches(record));
    hits.map(|record| record.seq).collect()
}

#[test]
fn each_member_narrows() {
    let at = |seconds: u64| Some(Timestamp::from_unix_ms(START_MS + seconds * 1000));
    let resource = |text: &str| vec![text.parse().unwrap()];
    let cases: [(Filter, &[u64]); 12] = [
        (Filter::default(), &[0, 1, 2, 3, 4]),
        (
            Filter {
                since: at(2),
                until: at(4),
                ..Filter::default()
            },
            &[2, 3],
        ),
        (
            Filter {
                kinds: vec!["operation".parse().unwrap()],
                ..Filter::default()
            },
            &[1, 2, 4],
        ),
        (
            Filter {
                kinds: vec![
                    "request.decided".parse().unwrap(),
                    "session.*".parse().unwrap(),
                ],
                ..Filter::default()
            },
            &[0, 3],
        ),
        (
            Filter {
                decisions: vec![AuditDecision::Denied],
                ..Filter::default()
            },
            &[3],
        ),
        (
            Filter {
                users: vec![UserTerm::from("root")],
                ..Filter::default()
            },
            &[4],
        ),
        (
            Filter {
                users: vec![UserTerm::from("1000")],
                ..Filter::default()
            },
            &[0, 1, 2, 3],
        ),
        (
            Filter {
                sessions: vec![session(2)],
                ..Filter::default()
            },
            &[4],
        ),
        (
            Filter {
                capabilities: vec![capability(9)],
                ..Filter::default()
            },
            &[4],
        ),
        (
            Filter {
                resources: resource("file:/home/alice/Reports/**"),
                ..Filter::default()
            },
            &[2],
        ),
        (
            Filter {
                texts: vec!["third".to_owned(), "Q3".to_owned()],
                ..Filter::default()
            },
            &[2],
        ),
        (
            Filter {
                requests: vec![request(2)],
                ..Filter::default()
            },
            &[3],
        ),
    ];
    for (filter, expected) in cases {
        assert_eq!(matching(&filter), expected, "{filter:?}");
    }
}

#[test]
fn a_text_does_not_match_the_names_of_members() {
    let filter = |text: &str| Filter {
        texts: vec![text.to_owned()],
        ..Filter::default()
    };
    assert!(matching(&filter("policy_digest")).is_empty());
    assert_eq!(matching(&filter("nobody here")), Vec::<u64>::new());
}

#[test]
fn unknown_types_are_refused() {
    for text in [
        "",
        "operations",
        "operation.x",
        "*",
        "operation.performed.*",
    ] {
        assert!(text.parse::<KindTerm>().is_err(), "{text}");
    }
}

#[test]
fn the_sieve_holds_back_nothing_that_matches() {
    let records = one_of_each();
    let mut filters = vec![
        Filter {
            decisions: vec![AuditDecision::Allowed],
            ..Filter::default()
        },
        Filter {
            outcomes: vec![Outcome::Succeeded],
            ..Filter::default()
        },
        Filter {
            actors: vec![Actor::Guard],
            ..Filter::default()
        },
        Filter {
            agents: vec![AgentId::sanitised("codex")],
            ..Filter::default()
        },
        Filter {
            sessions: vec![session(1)],
            capabilities: vec![capability(3)],
            requests: vec![request(4)],
            ..Filter::default()
        },
    ];
    let kinds = EventType::ALL
        .iter()
        .flat_map(|kind| [KindTerm::Exact(*kind), kind.family().parse().unwrap()]);
    filters.extend(kinds.map(|kind| Filter {
        kinds: vec![kind],
        ..Filter::default()
    }));
    let (mut through, mut held) = (0, 0);
    for filter in filters {
        let sieve = filter.sieve();
        for record in &records {
            let bytes = serde_json::to_vec(record).unwrap();
            let may = sieve.may_match(&bytes);
            assert!(may || !filter.matches(record), "{filter:?} {record:?}");
            if may { through += 1 } else { held += 1 }
        }
    }
    assert!(through > 100 && held > 100, "{through} {held}");
}
