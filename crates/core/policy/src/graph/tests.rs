//! Circles and chains are found, and nothing else is taken for them.

use super::*;
use crate::testkit::bundle;

fn refusal(body: &str) -> Option<String> {
    bundle(&format!("package valetkey\n\n{body}\n"))
        .err()
        .map(|error| error.to_string())
}

#[test]
fn a_function_that_calls_itself_is_refused_with_its_place() {
    for body in [
        "f(x) := f(x)",
        "f(x) := y if { y := f(x + 1) }",
        "f(x) := g(x)\ng(x) := f(x)",
        "f(x) := [y | y := data.valetkey.f(x)]",
        "f(0) := 1\nf(x) := f(x - 1)",
    ] {
        let said = refusal(body).unwrap_or_default();
        assert!(
            said.starts_with("policy.rego:3:1: ") && said.contains("itself"),
            "{body}: {said}"
        );
    }
}

#[test]
fn a_long_chain_is_refused_and_a_short_one_is_not() {
    let chain = |length: usize, link: &dyn Fn(usize) -> String| {
        (1..=length)
            .map(|at| format!("{}\n", link(at)))
            .collect::<String>()
    };
    let value = |at: usize| format!("x{at} := x{}", at - 1);
    let function = |at: usize| format!("f{at}(a) := f{}(a)", at - 1);
    let whole = |at: usize| format!("y{at} := data.valetkey.y{}", at - 1);
    assert_eq!(refusal(&format!("x0 := 1\n{}", chain(30, &value))), None);
    assert_eq!(
        refusal(&format!("f0(a) := 1\n{}", chain(30, &function))),
        None
    );
    for body in [
        format!("x0 := 1\n{}", chain(40, &value)),
        format!("f0(a) := 1\n{}", chain(40, &function)),
        format!("y0 := 1\n{}", chain(40, &whole)),
    ] {
        assert!(
            refusal(&body).unwrap_or_default().contains("chain"),
            "{body}"
        );
    }
}

#[test]
fn locals_with_the_names_of_rules_are_no_circle() {
    assert_eq!(
        refusal("x := y if { some y in [1] }\ny := x if { some x in [2] }"),
        None
    );
    assert_eq!(refusal("f(x) := x\nx := f(1)"), None);
    assert_eq!(refusal("test_f if { true }\nf(f) := 1"), None);
}

#[test]
fn components_come_after_what_they_need() {
    let needs = BTreeMap::from([
        (1, vec![2, 3]),
        (2, vec![3]),
        (3, vec![4, 2]),
        (4, vec![]),
        (5, vec![5, 1]),
    ]);
    let mut found = components(&needs);
    found
        .iter_mut()
        .for_each(|component| component.sort_unstable());
    assert_eq!(found, [vec![4], vec![2, 3], vec![1], vec![5]]);
}
