//! What would overflow the parser's stack or take it for ever is refused; what people write is not.

use super::*;
use crate::testkit::bundle;

fn repeated(before: &str, part: &str, after: &str, count: usize) -> String {
    format!(
        "package valetkey\n{before}{}1{}\n",
        part.repeat(count),
        after.repeat(count)
    )
}

#[test]
fn deep_nesting_is_refused_before_it_is_parsed() {
    for (before, part, after) in [
        ("x := ", "[", "]"),
        ("x := ", "(\n", "\n)"),
        ("x := ", "{1: ", "}"),
        ("x := ", "{", "}"),
        ("x := ", "f(\n", "\n)"),
        ("x := ", "[y | y := ", "]"),
        ("x if ", "every y in z {\n", "\n}"),
        ("x := ", "-\n", ""),
        ("x := ", "- ", ""),
        ("x := ", "1 + 1 + 1 + 1 + 1 +\n", ""),
        ("x := ", "y == y ==\n", ""),
        ("x := ", "y | y |\n", ""),
        ("x := ", "y in y in\n", ""),
        ("x := a", "[b][b][b][b][b][\nb]", ""),
        ("x := ", "\"]\" + [\"]\", ", "]"),
        ("x := ", "`]` + [`]`, #]\n", "]"),
        ("x := ", "[\"\\\"]\", ", "]"),
    ] {
        let result = bundle(&repeated(before, part, after, 5000));
        assert!(
            matches!(&result, Err(PolicyError::Syntax { message, .. }) if message.contains("split")),
            "{part:?}: {result:?}"
        );
    }
}

#[test]
fn many_deep_nests_are_too_much_work_together() {
    let nest = format!("x := {}1{}\n", "[".repeat(15), "]".repeat(15));
    assert!(check("a.rego", &nest).is_ok());
    assert!(check("a.rego", &nest.repeat(100)).is_err());
}

#[test]
fn what_people_write_is_taken() {
    let flat = "x := 1 + 2 * (3 - 4)\ny := a.b.c[d].e\n";
    assert_eq!(check("a.rego", &flat.repeat(5000)), Ok(()));
    let table = format!(
        "x := [{}]\n",
        "{\"a\": [1, 2], \"b\": f(x.y.z)}, ".repeat(5000)
    );
    assert_eq!(check("a.rego", &table), Ok(()));
    let rules = "x contains y if {\n\tsome y in input.a.b\n\tnot y in {1, 2}\n\tcount([z | z := y[_].c; z > 1]) == 3\n}\n";
    assert_eq!(check("a.rego", &rules.repeat(1000)), Ok(()));
    let strings = format!(
        "x := \"{}\"\n# {}\ny := `{}`\n",
        "[(".repeat(500),
        "{".repeat(500),
        "((\n".repeat(500)
    );
    assert_eq!(check("a.rego", &strings), Ok(()));
}

#[test]
fn the_place_is_told() {
    let error = check("a.rego", &format!("package a\nx := {}", "(".repeat(30))).unwrap_err();
    assert!(error.to_string().starts_with("a.rego:2:24: "), "{error}");
}
