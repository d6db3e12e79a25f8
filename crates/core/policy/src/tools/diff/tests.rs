//! Planted differences are found, and said in one line.

use std::fmt::Write as _;

use valetkey_model::{Timestamp, UserFacts};

use super::*;
use crate::testkit::bundle;
use crate::tools::corpus::{Scene, corpus};

fn scene() -> Scene {
    Scene {
        user: UserFacts {
            uid: 1000,
            name: "alice".into(),
            home: "/home/alice".into(),
            home_resource: None,
            groups: vec![1000],
        },
        workspace: "file:/home/alice/work/**".parse().unwrap(),
        tree: vec![],
        platform: "linux".into(),
        time: Timestamp::from_unix_ms(1_768_662_720_000),
    }
}

fn difference(before: &str, after: &str) -> Difference {
    let (before, after) = (bundle(before).unwrap(), bundle(after).unwrap());
    let (trials, cut) = corpus(&[&before, &after], &scene()).unwrap();
    assert!(!cut);
    diff(&before, &after, &trials, |_, _| {}).unwrap()
}

/// Sixty rules, each for the reports of one team.
fn sixty(change: impl Fn(usize, String) -> String) -> String {
    let mut text = String::from(
        "package valetkey\n\ndefault decision := {\"effect\": \"deny\", \"policy_id\": \"teams\"}\n\ndecision := {\"effect\": \"allow\", \"policy_id\": \"teams\"} if may_read\n\n",
    );
    for team in 0..60 {
        let rule = format!(
            "may_read if {{\n\tinput.request.actions == [\"read\"]\n\tglob.match(\"file:/srv/team{team:02}/reports/*.csv\", [\"/\"], input.request.resource)\n}}\n\n"
        );
        let _written = write!(text, "{}", change(team, rule));
    }
    text
}

#[test]
fn one_star_too_many_among_sixty_rules_is_one_line() {
    let before = sixty(|_, rule| rule);
    let after = sixty(|team, rule| match team {
        37 => rule.replace("*.csv", "**.csv"),
        _ => rule,
    });
    let found = difference(&before, &after);
    assert_eq!(found.summaries.len(), 1, "{:#?}", found.summaries);
    let summary = &found.summaries[0];
    assert_eq!(summary.change, Change::Allowed);
    assert!(found.widens());
    assert!(
        summary.text.starts_with("agents can now read `")
            && summary.text.contains("/srv/team37/reports/"),
        "{}",
        summary.text
    );
    // The other way round it is a narrowing.
    let back = difference(&after, &before);
    assert_eq!(back.summaries.len(), 1);
    assert_eq!(back.summaries[0].change, Change::Denied);
    assert!(!back.widens());
}

#[test]
fn a_wider_expression_is_found() {
    let with = |pattern: &str| {
        format!(
            "package valetkey\n\ndefault decision := {{\"effect\": \"deny\", \"policy_id\": \"p\"}}\n\ndecision := {{\"effect\": \"allow\", \"policy_id\": \"p\"}} if regex.match(`{pattern}`, input.resource.path)\n"
        )
    };
    let found = difference(&with("^/srv/[^/]+/a\\.csv$"), &with("^/srv/.+/a\\.csv$"));
    assert!(found.widens() && !found.summaries.is_empty(), "{found:#?}");
    let same = difference(&with("^/srv/[^/]+/a\\.csv$"), &with("^/srv/[^/]+/a[.]csv$"));
    assert_eq!(same.differing, 0, "{same:#?}");
}

#[test]
fn less_to_hold_a_grant_is_a_widening() {
    let with = |ttl: u32, bytes: u32| {
        format!(
            "package valetkey\n\ndecision := {{\"effect\": \"allow\", \"policy_id\": \"p\", \"ttl_seconds\": {ttl}, \"constraints\": {{\"max_bytes\": {bytes}}}}}\n"
        )
    };
    let kind = |a: &str, b: &str| {
        difference(a, b)
            .summaries
            .first()
            .map(|summary| summary.change)
    };
    assert_eq!(kind(&with(60, 9), &with(61, 9)), Some(Change::Loosened));
    assert_eq!(kind(&with(60, 9), &with(59, 9)), Some(Change::Changed));
    assert_eq!(kind(&with(60, 9), &with(59, 10)), Some(Change::Loosened));
    assert_eq!(kind(&with(60, 9), &with(60, 9)), None);
}

#[test]
fn an_agent_of_its_own_is_named() {
    let with = |who: &str| {
        format!(
            "package valetkey\n\ndefault decision := {{\"effect\": \"deny\", \"policy_id\": \"p\"}}\n\ndecision := {{\"effect\": \"ask\", \"policy_id\": \"p\", \"approval\": {{\"quorum\": [{{\"role\": \"owner\", \"count\": 1}}]}}}} if {{\n\tinput.subject.agent.id == \"{who}\"\n\tinput.request.resource == \"file:/srv/x\"\n}}\n"
        )
    };
    let found = difference(&with("clerk"), &with("robot"));
    let texts: Vec<&str> = found
        .summaries
        .iter()
        .map(|summary| summary.text.as_str())
        .collect();
    assert_eq!(found.summaries.len(), 2, "{texts:#?}");
    assert!(
        texts[0].starts_with("robot can now") && texts[0].ends_with("`file:/srv/x` after asking"),
        "{texts:#?}"
    );
    assert!(texts[1].starts_with("clerk can no longer"), "{texts:#?}");
}
