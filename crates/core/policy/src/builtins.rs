//! The built-in functions that a policy may call: a closed list, and for well-known others the reason why not.
//!
//! A function is here when its answer depends on nothing but its arguments, agrees with OPA's (but for what `tests/opa.rs`
//! lists), and its cost is bounded by what it is given. All others that the engine knows are refused when a bundle is loaded.

use crate::glob;

/// Whether a policy may call the engine's built-in `name`.
pub(crate) fn is_available(name: &str) -> bool {
    AVAILABLE.binary_search(&name).is_ok()
}

/// How many arguments an available function takes.
pub(crate) fn arguments(name: &str) -> Option<usize> {
    if name == glob::NAME {
        return Some(usize::from(glob::ARGUMENTS));
    }
    let (_, arguments) = regorus::unstable::BUILTINS.get(name)?;
    Some(usize::from(*arguments))
}

/// Why a well-known function is not available.
pub(crate) fn why_not(name: &str) -> Option<&'static str> {
    REASONS
        .iter()
        .find(|(prefix, _)| name == *prefix || prefix.ends_with('.') && name.starts_with(prefix))
        .map(|(_, reason)| *reason)
}

/// Sorted, for [`is_available`].
const AVAILABLE: [&str; 69] = [
    "abs",
    "array.concat",
    "array.reverse",
    "array.slice",
    "bits.and",
    "bits.negate",
    "bits.or",
    "bits.xor",
    "ceil",
    "concat",
    "contains",
    "count",
    "endswith",
    "floor",
    "format_int",
    "glob.match",
    "indexof",
    "indexof_n",
    "intersection",
    "is_array",
    "is_boolean",
    "is_null",
    "is_number",
    "is_object",
    "is_set",
    "is_string",
    "json.filter",
    "json.is_valid",
    "json.marshal",
    "json.remove",
    "json.unmarshal",
    "lower",
    "max",
    "min",
    "object.filter",
    "object.get",
    "object.keys",
    "object.remove",
    "object.union",
    "object.union_n",
    "product",
    "regex.find_all_string_submatch_n",
    "regex.find_n",
    "regex.is_valid",
    "regex.match",
    "regex.replace",
    "regex.split",
    "replace",
    "round",
    "sort",
    "split",
    "sprintf",
    "startswith",
    "strings.any_prefix_match",
    "strings.any_suffix_match",
    "strings.replace_n",
    "strings.reverse",
    "substring",
    "sum",
    "to_number",
    "trim",
    "trim_left",
    "trim_prefix",
    "trim_right",
    "trim_space",
    "trim_suffix",
    "type_name",
    "union",
    "upper",
];

/// The first entry that fits is said; one that ends with `.` stands for all names below it.
const REASONS: [(&str, &str); 20] = [
    (
        "http.send",
        "a decision opens no connection; put the facts in `data`",
    ),
    (
        "opa.runtime",
        "a decision must not depend on the machine; use `input.context`",
    ),
    (
        "rand.",
        "a decision must be the same when it is taken again",
    ),
    (
        "uuid.",
        "a decision must be the same when it is taken again",
    ),
    (
        "time.now_ns",
        "a decision must be the same when it is taken again; use `input.context.time`",
    ),
    (
        "time.",
        "there is no calendar here; `input.context.time` sorts as text",
    ),
    (
        "numbers.",
        "its result can be too large for memory; write the list down",
    ),
    (
        "bits.lsh",
        "its result can be too large for memory; multiply instead",
    ),
    (
        "bits.rsh",
        "its answer for a negative shift is not that of OPA; divide instead",
    ),
    (
        "walk",
        "its paths differ from those of OPA; name the members",
    ),
    (
        "graph.",
        "its answers differ from those of OPA; write the paths down",
    ),
    (
        "object.subset",
        "it ends the program on an empty list; compare the members",
    ),
    (
        "strings.count",
        "its answer for overlapping matches differs from that of OPA",
    ),
    (
        "json.match_schema",
        "the shape of its answer differs from that of OPA",
    ),
    (
        "json.verify_schema",
        "the shape of its answer differs from that of OPA",
    ),
    (
        "regex.template_match",
        "it is not checked against OPA; use `regex.match`",
    ),
    (
        "glob.",
        "of the functions for patterns with `*` there is `glob.match` alone",
    ),
    (
        "units.",
        "its answers for very large numbers are not bounded; write the number down",
    ),
    (
        "print",
        "a decision writes nothing; print in a `_test.rego` file",
    ),
    ("trace", "a decision writes nothing"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_known_to_the_engine() {
        assert!(AVAILABLE.is_sorted());
        for name in AVAILABLE {
            assert!(arguments(name).is_some(), "{name} is not in the engine");
        }
    }

    /// No argument, however odd, ends the process: an error is a denial, a panic would end the broker.
    #[test]
    fn no_argument_makes_a_function_panic() {
        let some: Vec<&str> = ODD.iter().copied().step_by(4).collect();
        for name in AVAILABLE {
            let arity = arguments(name).unwrap();
            let lists: [&[&str]; 4] = match arity {
                1 => [&ODD, &["0"], &["0"], &["0"]],
                2 => [&ODD, &ODD, &["0"], &["0"]],
                3 => [&ODD, &ODD, &some, &["0"]],
                _ => [&some, &some, &some, &some],
            };
            for (a, b) in lists[0]
                .iter()
                .flat_map(|a| lists[1].iter().map(move |b| (a, b)))
            {
                for (c, d) in lists[2]
                    .iter()
                    .flat_map(|c| lists[3].iter().map(move |d| (c, d)))
                {
                    let given = [*a, *b, *c, *d];
                    let query = format!("{name}({})", given[..arity].join(", "));
                    let ended = std::panic::catch_unwind(move || {
                        let mut engine = regorus::Engine::new();
                        engine.set_strict_builtin_errors(true);
                        glob::add_to(&mut engine).unwrap();
                        // Either answer is well; that there is one is the test.
                        engine.eval_query(query, false).is_ok()
                    });
                    assert!(ended.is_ok(), "{name} panics on {given:?}");
                }
            }
        }
    }

    const ODD: [&str; 26] = [
        "0",
        "-1",
        "1.5",
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551616",
        "1e300",
        "null",
        "true",
        r#""""#,
        r#""ß€😀""#,
        r#""%""#,
        r#""%v %d %s %999d""#,
        r#""1e400""#,
        r#""(a+)+$""#,
        r#""[""#,
        r#""-""#,
        "[]",
        r#"["a", "ß"]"#,
        "[[1], 2]",
        "[1, null, true]",
        "{}",
        r#"{"a": {"b": 1}}"#,
        "{1, 2}",
        "set()",
        r#"[["a", "b"]]"#,
    ];

    #[test]
    fn every_other_function_has_its_reason() {
        assert!(!is_available("http.send") && !is_available("rand.intn"));
        assert!(why_not("rand.intn").is_some_and(|why| why.contains("again")));
        assert!(why_not("numbers.range").is_some_and(|why| why.contains("memory")));
        assert_eq!(why_not("numbersrange"), None);
    }
}
