//! What is found, and what is not.

use super::*;
use crate::{STARTER_NAMES, starter_files};

const ANSWER: &str = r#"decision := {"effect": "deny", "policy_id": "p"}"#;

fn found(files: &[(&str, &str)]) -> Vec<Finding> {
    let files = files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
        .collect();
    check(files, BundleLimits::default())
}

/// The findings of one module: a `decision` that needs `body`, in line 3.
fn of_body(body: &str) -> Vec<Finding> {
    found(&[(
        "p.rego",
        &format!("package valetkey\n\n{ANSWER} if {{\n\t{body}\n}}\n"),
    )])
}

fn only(findings: &[Finding]) -> &Finding {
    assert_eq!(findings.len(), 1, "{findings:#?}");
    &findings[0]
}

#[test]
fn starter_bundles_are_clean() {
    for name in STARTER_NAMES {
        let findings = found(starter_files(name).unwrap());
        assert!(findings.is_empty(), "{name}: {findings:#?}");
    }
}

#[test]
fn a_misspelt_member_of_the_input_has_its_place_and_what_was_meant() {
    for (body, column, meant) in [
        (
            "input.subject.agnet.id == \"x\"",
            16,
            Some("input.subject.agent"),
        ),
        (
            "input[\"subject\"][\"usr\"]",
            20,
            Some("input.subject.user"),
        ),
        ("input.sbject.user", 8, Some("input.subject")),
        (
            "some grant in input.subject.sesion.grants",
            30,
            Some("input.subject.session"),
        ),
        (
            "input.subject.session.grants[_].resorce",
            34,
            Some("input.subject.session.grants[_].resource"),
        ),
        ("input.context.weather", 16, None),
        ("input.context.time.hour == 3", 21, None),
        ("input.request.actions.read", 24, None),
    ] {
        let findings = of_body(body);
        let finding = only(&findings);
        assert_eq!(finding.code, "unknown-input", "{body}");
        assert_eq!(
            (finding.place.line, finding.place.column),
            (4, column),
            "{body}: {finding}"
        );
        assert_eq!(finding.suggestion.as_deref(), meant, "{body}");
        assert_eq!(finding.severity, Severity::Error);
    }
    for body in [
        "input.subject.agent.id == \"x\"",
        "input.request.constraints.max_bytes < 9",
        "input.request.constraints.arguments.whatever.there.is",
        "input.request.granted_by_person.constraints.max_rows == 1",
        "input.resource[input.resource.kind]",
        "some i; input.subject.user.groups[i] == 4",
    ] {
        assert!(of_body(body).is_empty(), "{body}: {:?}", of_body(body));
    }
}

#[test]
fn imports_are_followed() {
    let text = format!(
        "package valetkey\n\nimport input.subject as who\nimport data.lists\n\n{ANSWER} if {{\n\twho.agnet\n\tlists.bda\n}}\n"
    );
    let findings = found(&[
        ("p.rego", &text),
        ("data.json", r#"{"lists": {"bad": [1]}}"#),
    ]);
    let meant: Vec<_> = findings
        .iter()
        .map(|found| found.suggestion.as_deref())
        .collect();
    assert_eq!(meant, [Some("input.subject.agent"), Some("data.lists.bad")]);
    let unused = format!("package valetkey\n\nimport data.lists\n\n{ANSWER}\n");
    let findings = found(&[
        ("p.rego", &unused),
        ("data.json", r#"{"lists": {"bad": [1]}}"#),
    ]);
    assert_eq!(only(&findings).code, "unused-import");
}

#[test]
fn data_and_rules_that_are_not_there_are_found() {
    let findings = of_body("data.valetkey.decison.effect == \"x\"");
    let finding = only(&findings);
    assert_eq!(finding.code, "unknown-data");
    assert_eq!(
        finding.suggestion.as_deref(),
        Some("data.valetkey.decision")
    );
}

#[test]
fn what_a_test_replaces_must_be_there() {
    let test = "package valetkey_test\n\ntest_x if {\n\tdata.valetkey.decision.effect == \"deny\" with input.subject.agnet as 1\n}\n";
    let policy = format!("package valetkey\n\n{ANSWER}\n");
    let findings = found(&[("p.rego", &policy), ("p_test.rego", test)]);
    let finding = only(&findings);
    assert_eq!(
        (finding.code, finding.place.file.as_str()),
        ("unknown-input", "p_test.rego")
    );
}

#[test]
fn rules_that_no_decision_needs_are_found() {
    let text = format!(
        "package valetkey\n\n{ANSWER} if helps\n\nhelps if input.request\n\nidle if helps\n\nidle_too(x) := x\n"
    );
    let findings = found(&[("p.rego", &text)]);
    let names: Vec<_> = findings
        .iter()
        .map(|found| (found.code, found.place.line))
        .collect();
    assert_eq!(names, [("unused-rule", 7), ("unused-rule", 9)]);
}

#[test]
fn an_else_behind_no_condition_is_found() {
    let text = format!(
        "package valetkey\n\n{ANSWER} if {{\n\tinput.request\n}} else := {{\"effect\": \"deny\", \"policy_id\": \"q\"}} if {{\n\ttrue\n}} else := {{\"effect\": \"deny\", \"policy_id\": \"r\"}}\n"
    );
    let findings = found(&[("p.rego", &text)]);
    assert_eq!(only(&findings).code, "unreachable");
}

#[test]
fn conditions_that_never_hold_are_found() {
    for body in [
        "1 == 2",
        "input.resource.kind == \"file\"\n\tinput.resource.kind == \"directory\"",
        "input.resource.is_pattern\n\tnot input.resource.is_pattern",
        "count(input.request.actions) < 0",
        "lower(input.resource.path) == \"/Etc\"",
        "contains(upper(input.resource.path), \"etc\")",
        "startswith(input.resource.path, \"home/\")",
        "endswith(input.resource.path, \"src/\")",
        "startswith(input.request.resource, \"/home\")",
        "input.request.resource == \"file:/home/alice/../bob\"",
        "input.resource.scheme == \"flie\"",
        "regex.match(`a^b`, input.resource.path)",
        "regex.match(`b$a`, input.resource.path)",
        "regex.match(`[^\\s\\S]x`, input.resource.path)",
    ] {
        let findings = of_body(body);
        assert_eq!(findings.len(), 1, "{body}: {findings:#?}");
        assert_eq!(only(&findings).code, "never-holds", "{body}");
    }
    for body in [
        "input.resource.kind == \"file\"\n\tinput.resource.mode == 420",
        "count(input.request.actions) > 0",
        "lower(input.resource.path) == \"/etc\"",
        "startswith(input.resource.path, \"/home/\")",
        "startswith(input.request.resource, \"file:/home/\")",
        "input.request.resource == \"https://example.com/a\"",
        "regex.match(`^/etc/(a|b)+$`, input.resource.path)",
        "regex.match(`(?m)a$\\nb`, input.resource.path)",
        "regex.match(`^$|x`, input.resource.path)",
    ] {
        assert!(of_body(body).is_empty(), "{body}: {:?}", of_body(body));
    }
    let broken = of_body("regex.match(`[`, input.resource.path)");
    assert_eq!(only(&broken).code, "regex");
}

#[test]
fn words_that_do_not_exist_are_found() {
    for (body, meant) in [
        ("\"raed\" in input.request.actions", "read"),
        ("input.resource.kind == \"fil\"", "file"),
        (
            "some action in input.request.actions\n\taction == \"x\"",
            "",
        ),
        (
            "input.resource.kind in {\"file\", \"directry\"}",
            "directory",
        ),
    ] {
        let findings = of_body(body);
        if meant.is_empty() {
            // What a local variable holds is not followed.
            assert!(findings.is_empty());
            continue;
        }
        let finding = only(&findings);
        assert_eq!(finding.code, "unknown-word", "{body}");
        assert_eq!(finding.suggestion.as_deref(), Some(meant), "{body}");
    }
    let text = format!(
        "package valetkey\n\nactions := {{a | some a in input.request.actions}}\n\n{ANSWER} if count(actions & {{\"raed\"}}) > 0\n"
    );
    assert_eq!(only(&found(&[("p.rego", &text)])).code, "unknown-word");
}

#[test]
fn an_answer_that_would_be_a_denial_is_found() {
    let text = "package valetkey\n\ndecision := {\"efect\": \"allow\", \"effect\": \"alow\", \"policy_id\": \"p\", \"constraints\": {\"max_byte\": 1},\n\t\"approval\": {\"lease\": {\"scope\": \"onse\"}}}\n";
    let findings = found(&[("p.rego", text)]);
    let meant: Vec<_> = findings
        .iter()
        .map(|found| found.suggestion.as_deref())
        .collect();
    assert_eq!(
        meant,
        [
            Some("effect"),
            Some("allow"),
            Some("max_bytes"),
            Some("once")
        ],
        "{findings:#?}"
    );
    assert!(findings.iter().all(|found| found.code == "answer"));
}

#[test]
fn every_module_that_does_not_parse_is_told() {
    let findings = found(&[
        ("a.rego", "package a\n\nx := }\n"),
        ("b.rego", "package b\n\ny := \n"),
        ("c.rego", "package c\n\nz := http.send({})\n"),
    ]);
    let files: Vec<_> = findings
        .iter()
        .map(|found| (found.place.file.as_str(), found.code))
        .collect();
    assert_eq!(files, [("a.rego", "syntax"), ("b.rego", "syntax")]);
    let refused = of_body("http.send({\"url\": input.request.resource})");
    assert_eq!(only(&refused).code, "unsupported");
    assert!(is_refused(&refused));
}

#[test]
fn a_bundle_that_decides_nothing_is_told() {
    let findings = found(&[("p.rego", "package valetkey\n\ndecisions := 1\n")]);
    assert!(
        findings.iter().any(|found| found.code == "no-entry-point"),
        "{findings:#?}"
    );
}

#[test]
fn style_is_told_and_refuses_nothing() {
    let text = format!(
        "package valetkey\n\n{ANSWER} if isThere \n\nisThere = input.request.id\n\ntest_x if isThere\n"
    );
    let findings = found(&[("p.rego", &text)]);
    let codes: Vec<_> = findings.iter().map(|found| found.code).collect();
    for code in [
        "trailing-space",
        "rule-name",
        "assignment",
        "test-in-policy",
    ] {
        assert!(codes.contains(&code), "{code}: {findings:#?}");
    }
    assert!(!is_refused(&findings));
    let twice = of_body(
        "input.request\n}\n\nhelps if input.request\n\nhelps if input.request\n\nx if {\n\thelps",
    );
    assert!(
        twice.iter().any(|found| found.code == "duplicate"),
        "{twice:#?}"
    );
}
