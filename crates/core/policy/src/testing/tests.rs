//! Every test is listed, whatever becomes of it.

use super::*;
use crate::testkit::files;

fn outcomes(text: &str) -> Vec<(String, TestOutcome)> {
    let bundle = files(&[
        ("a.rego", "package a\nx := input.n + 1\n"),
        ("a_test.rego", text),
    ])
    .unwrap();
    run_tests(&bundle)
        .unwrap()
        .into_iter()
        .map(|test| (test.name, test.outcome))
        .collect()
}

#[test]
fn a_test_passes_fails_errs_or_waits() {
    let seen = outcomes(
        r#"package a_test
import data.a

test_passes if a.x == 2 with input as {"n": 1}
test_fails if a.x == 3 with input as {"n": 1}
test_undefined if a.nothing == 1
test_false := false
test_errs if startswith(1, "x")
test_number := 5
todo_test_later if false
not_a_test if false
test_helper(x) := x
"#,
    );
    let names: Vec<&str> = seen.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "data.a_test.test_errs",
            "data.a_test.test_fails",
            "data.a_test.test_false",
            "data.a_test.test_number",
            "data.a_test.test_passes",
            "data.a_test.test_undefined",
            "data.a_test.todo_test_later",
        ]
    );
    use TestOutcome::{Error, Failed, Passed, Skipped};
    assert!(matches!(seen[0].1, Error(_)), "{:?}", seen[0]);
    assert_eq!(seen[1].1, Failed);
    assert_eq!(seen[2].1, Failed);
    assert!(matches!(seen[3].1, Error(_)));
    assert_eq!(seen[4].1, Passed);
    assert_eq!(seen[5].1, Failed);
    assert_eq!(seen[6].1, Skipped);
}

#[test]
fn a_test_does_not_see_what_another_mocked() {
    let seen = outcomes(
        r#"package a_test
import data.a

test_1 if a.x == 2 with input as {"n": 1}
test_2 if not a.x
test_3 if a.x == 8 with input.n as 7
"#,
    );
    assert!(
        seen.iter()
            .all(|(_, outcome)| *outcome == TestOutcome::Passed),
        "{seen:?}"
    );
}

#[test]
fn places_and_prints_are_told() {
    let bundle = files(&[(
        "t/a_test.rego",
        "package a_test\n\ntest_x if {\n\tprint(\"hello\", 1)\n}\n",
    )])
    .unwrap();
    let tests = run_tests(&bundle).unwrap();
    assert_eq!(tests.len(), 1);
    assert_eq!(tests[0].place.to_string(), "t/a_test.rego:3:1");
    assert!(
        tests[0].prints.concat().contains("hello 1"),
        "{:?}",
        tests[0].prints
    );
}
