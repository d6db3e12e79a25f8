//! What a policy may not do is refused when it is loaded, with its place.

use crate::testkit::{bundle, files};
use crate::{Place, PolicyError};

fn refusal(text: &str) -> (Place, String) {
    match bundle(text) {
        Err(PolicyError::Refused { place, what, .. }) => (place, what),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn functions_that_are_not_available_are_named_with_their_place() {
    for call in [
        "http.send({})",
        "opa.runtime()",
        "rand.intn(\"x\", 5)",
        "time.now_ns()",
        "uuid.rfc4122(\"x\")",
        "numbers.range(1, 2)",
        "numbers.range_step(1, 2, 1)",
        "graph.reachable({}, [])",
        "graph.reachable_paths({}, [])",
        "strings.count(\"aaa\", \"aa\")",
        "json.match_schema({}, {})",
        "walk(input)",
        "trace(\"x\")",
        "glob.quote_meta(\"*\")",
        "bits.lsh(1, 100000000000)",
        "units.parse_bytes(\"1e99999K\")",
        "print(\"x\")",
    ] {
        let name = call.split_once('(').unwrap().0;
        let text = format!("package valetkey\n\nx := 1 if {{\n\ttrue\n\ty := {call}\n}}\n");
        let text = text.replace("y := print", "print");
        let (place, what) = refusal(&text);
        assert_eq!(what, name);
        assert_eq!(
            (place.file.as_str(), place.line),
            ("policy.rego", 5),
            "{call}"
        );
        let column = if name == "print" { 2 } else { 7 };
        assert_eq!(place.column, column, "{call}");
    }
}

#[test]
fn no_corner_of_a_module_is_passed_over() {
    let call = "http.send({})";
    for body in [
        "x := CALL",
        "default x := 1\nx := 2 if CALL",
        "x := 1 if { not CALL }",
        "x := 1 if { some y in CALL }",
        "x := 1 if { some i, y in [CALL] }",
        "x := 1 if { every y in [1] { CALL } }",
        "x := 1 if { every y in CALL { true } }",
        "x := [y | y := CALL]",
        "x := [CALL | true]",
        "x := {y | y := CALL}",
        "x := {\"a\": y | y := CALL}",
        "x := {CALL: 1 | true}",
        "x := {\"a\": CALL}",
        "x := {CALL: 1}",
        "x := {CALL}",
        "x := [[CALL]]",
        "x := count(CALL)",
        "x := 1 + CALL",
        "x := -CALL",
        "x := {1} | CALL",
        "x := 1 if CALL == 1",
        "x := 1 if 1 in CALL",
        "x := 1 if CALL in [1]",
        "x := input[CALL]",
        "x := input[CALL].y",
        "x[CALL] := 1",
        "x contains CALL",
        "x contains y if y := CALL",
        "f(y) := CALL",
        "f(y) := 1 if CALL",
        "x := 1 if false\nelse := CALL",
        "x := 1 if false\nelse := 2 if CALL",
        "x := 1 if input.a with input as CALL",
        "x := 1 if input.a with input.b as [CALL]",
        "test_x if CALL",
    ] {
        let text = format!("package valetkey\n{}\n", body.replace("CALL", call));
        assert_eq!(refusal(&text).1, "http.send", "{body}");
    }
}

#[test]
fn a_call_by_another_spelling_is_refused_too() {
    for text in [
        "package valetkey\nx := http . send({})\n",
        "package valetkey\nx := http[`send`]({})\n",
        "package valetkey\nx := http[\"send\"]({})\n",
        "package valetkey\nx := data.f[\"g\"](1)\n",
    ] {
        assert!(bundle(text).is_err(), "{text}");
    }
}

#[test]
fn sets_at_the_end_of_dotted_names_are_refused() {
    assert_eq!(refusal("package valetkey\na.b contains 1\n").1, "contains");
    assert!(bundle("package valetkey\nb contains 1\n").is_ok());
}

#[test]
fn what_is_available_and_what_is_ones_own_is_taken() {
    let sound = files(&[
        (
            "a.rego",
            "package valetkey\nimport data.team.lib\nimport data.team.lib as other\nhelper(x) := x + 1\na.b(x) := x\n\
             y := helper(count([1]))\nz := data.team.lib.f(1)\nw := regex.match(`^a$`, \"a\")\nv := lib.f(1)\n\
             u := other.f(1)\nt := a.b(1)\ns if helper(1, 2)\n",
        ),
        ("b.rego", "package team.lib\nf(x) := x\n"),
    ]);
    assert!(sound.is_ok(), "{sound:?}");
}

#[test]
fn a_test_may_print() {
    assert!(files(&[("a_test.rego", "package a\ntest_x if { print(1); true }\n")]).is_ok());
    assert!(files(&[("a_test.rego", "package a\ntest_x if { http.send({}) }\n")]).is_err());
}
